"""A whole search for batch size, rate and penalty: its seconds, and what it finds.

Ours beside searches of scikit-learn and dask-ml around the same estimator, and theirs around ``SGDClassifier``, which
has no batch size to search. A candidate is trained for ``EPOCHS`` at most, on ``FOLDS`` folds, and the best on all
rows; all have ``WORKERS`` workers, which are there before the clock runs, and so is what they compile.

Ours and `GridSearchCV` have the same candidates and the same scores. `HalvingGridSearchCV` begins every round anew with
more epochs. `HyperbandSearchCV` draws from the grid, has one held-out part instead of folds, and follows its
documentation's rule of thumb: ``max_iter`` as many as candidates, the rows cut so that the longest sees ``EPOCHS``.
"""

import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
from data import Source, load
from measure import in_turns, seconds_of, summary
from pictures import scatter
from rivals import version_of
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, ParameterGrid
from tables import Table

EPOCHS, FOLDS, FACTOR, WORKERS = 10, 3, 3, 2
N_FEW = 2_000
BATCH_SIZES = [1, 8, 32, 256, "full"]
GRIDS = {
    "constant": {"eta0": np.logspace(-4, 0, 8).tolist(), "alpha": [1e-6, 1e-3]},
    "auto": {"alpha": np.logspace(-6, -1, 16).tolist()},
}
SCHEDULES = {"constant": "constant", "auto": "optimal"}  # of SGDClassifier: who knows no rate takes its default
SOURCES = [
    Source(40_000, 50, 2),
    Source(32_561, 108, 2, archive="adult"),
    Source(10_000, 16, 26, archive="letter"),
    Source(2_500, 784, 10, archive="mnist"),
]


def searches(rate):
    """Searches that are not fitted, by name, ours first."""
    from minibatch import MiniBatchSGDClassifier
    from minibatch.model_selection import MiniBatchGridSearchCV

    common = {"loss": "log_loss", "max_iter": EPOCHS, "tol": None, "random_state": 0}
    ours = MiniBatchSGDClassifier(learning_rate=rate, **common)
    theirs = SGDClassifier(learning_rate=SCHEDULES[rate], eta0=0.01, **common)
    grid = GRIDS[rate] | {"batch_size": BATCH_SIZES}
    way = {"cv": FOLDS, "n_jobs": WORKERS}
    halving = {"resource": "max_iter", "max_resources": EPOCHS, "factor": FACTOR, "random_state": 0}
    found = {
        "MiniBatchGridSearchCV": MiniBatchGridSearchCV(ours, grid, **way),
        f"MiniBatchGridSearchCV, factor={FACTOR}": MiniBatchGridSearchCV(ours, grid, factor=FACTOR, **way),
        "GridSearchCV": GridSearchCV(ours, grid, **way),
        "HalvingGridSearchCV": HalvingGridSearchCV(ours, grid, **halving, **way),
        "GridSearchCV, SGDClassifier": GridSearchCV(theirs, GRIDS[rate], **way),
    }
    if has_dask():
        found["HyperbandSearchCV"] = _hyperband(ours, grid)
        found["HyperbandSearchCV, SGDClassifier"] = _hyperband(theirs, GRIDS[rate])
    return found


def has_dask():
    return version_of("dask-ml") != "not installed"


def _hyperband(model, grid):
    from dask_ml.model_selection import HyperbandSearchCV

    return HyperbandSearchCV(model, grid, max_iter=EPOCHS * _n_chunks(grid), aggressiveness=FACTOR, random_state=0)


def _n_chunks(grid):
    return max(1, round(len(ParameterGrid(grid)) / EPOCHS))


def fit(search, data):
    if isinstance(search, GridSearchCV | HalvingGridSearchCV):
        return search.fit(data.X, data.y)
    import dask.array as da

    size = -(-len(data.y) // _n_chunks(search.parameters))
    rows = (da.from_array(each, chunks=(size, *each.shape[1:])) for each in (data.X, data.y))
    return search.fit(*rows, classes=np.unique(data.y))


@contextmanager
def workers():
    """Those of dask; joblib has its own."""
    if not has_dask():
        yield
        return
    from distributed import Client, LocalCluster

    shape = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**shape) as cluster, Client(cluster):
        yield


def _rows(data, rate, rounds):
    few = data._replace(X=data.X[:N_FEW], y=data.y[:N_FEW])
    for each in searches(rate).values():
        fit(each, few)  # workers begin, and compile
    made = searches(rate)
    seconds = in_turns({name: partial(seconds_of, fit, each, data) for name, each in made.items()}, 0, least=rounds)
    ours = seconds["MiniBatchGridSearchCV"]
    for name, search in made.items():
        yield {
            "data": f"{data.name}, {rate} rates",
            "at": name,
            "yardsticks": {
                "times ours": summary(np.divide(seconds[name], ours))[0],
                "candidates": _n_candidates(search),
                "best score": f"{search.best_score_:.4f}",
                "on test rows": f"{search.best_estimator_.score(data.X_test, data.y_test):.4f}",
            },
            "best": {key: _plain(value) for key, value in search.best_params_.items()},
            "values": {"seconds": summary(seconds[name])},
            "ratios": {},
            "not installed": [],
        }


def _n_candidates(search):
    """Each once, in however many rounds it took part."""
    return len({str(params | {"max_iter": None}) for params in search.cv_results_["params"]})


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def search(pace):
    for source in pace.of(SOURCES):
        data = load(source._replace(n=min(source.n, pace.rows)))
        for rate in GRIDS:
            with warnings.catch_warnings(), workers():
                warnings.simplefilter("ignore")  # rates that are too high
                yield from _rows(data, rate, 1 + pace.processes)


TABLES = [
    Table("search", "Seconds of a search, and what it finds", "s", search, over="search", ratios=False, draw=scatter)
]
