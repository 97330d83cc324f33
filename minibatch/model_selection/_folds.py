"""One fit, watched: every fold of every candidate is trained once, and measured along the way."""

from collections.abc import Callable, Sequence
from numbers import Real
from traceback import format_exc
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from minibatch._base.pipelines import fit_transform, split_pipeline, transform
from minibatch._base.trials import Updates, without_callbacks
from minibatch._base.watch import Measures
from minibatch._problems.state import Vector
from minibatch._training.epochs import Steps
from minibatch._training.together import side_by_side
from minibatch.model_selection._progress import progress_bar_of

__all__ = [
    "COUNTS", "QUANTITIES", "Candidate", "Fold", "Part", "Recorder", "Scorer", "Sides", "WatchedFit", "run_all",
    "unknown_classes", "watched_fits",
]  # fmt: skip

# What is recorded at every evaluation. `epoch` comes in fractions: batches done of those in an epoch.
COUNTS = ("epoch", "n_updates", "n_samples_seen", "seconds")
QUANTITIES = (
    *COUNTS,
    "learning_rate",
    "train_loss",
    "test_loss",
    "train_score",
    "test_score",
    "gradient_norm",
)

Scorer = Callable[..., Any]


class Part(NamedTuple):
    """Rows of one side of a fold, as the final estimator gets them."""

    X: Any
    y: Any
    weight: Any

    def rows(self, numbers: NDArray[np.int64]) -> "Part":
        weight = None if self.weight is None else self.weight[numbers]
        return Part(_safe_indexing(self.X, numbers), _safe_indexing(self.y, numbers), weight)

    def score(self, scorer: Any, fitted: Any) -> float:
        weights = {} if self.weight is None else {"sample_weight": self.weight}
        score: Any = scorer(fitted, self.X, self.y, **weights)
        if not isinstance(score, Real):
            raise TypeError(f"scoring must give a number; it gave {score!r}.")
        return float(score)


class Fold(NamedTuple):
    """Numbers of the rows to train on and to test on."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


class WatchedFit(NamedTuple):
    """What happened in one fit: evaluations in order, the same of the model that was kept, how training ended."""

    rows: list[dict[str, float]]
    kept: dict[str, float]
    status: str
    batch_size: int
    n_samples: int
    unknown: list[Any]  # classes of the test part that the training part lacks
    failure: str = ""  # the traceback of a fit that failed


class Recorder:
    """The ``Watch`` of a fit: losses and scores of both parts at every evaluation."""

    def __init__(
        self, scorer: Scorer | None, train: Part, test: Part, limits: dict[str, Any], test_has_loss: bool
    ) -> None:
        self.scorer, self.train_part, self.test_part, self.limits = scorer, train, test, limits
        self.test_has_loss = test_has_loss
        self.test = tuple(test if test_has_loss else train)  # nothing is asked about the latter
        self.rows: list[dict[str, float]] = []
        self.kept: dict[str, float] = {}

    def begin(self, measures: Measures, theta: Vector) -> None:
        self._measures = measures

    def see(self, row: dict[str, Any], theta: Vector) -> None:
        self.rows.append({**row, **self._measured(theta)})

    def end(self, theta: Vector) -> None:
        self.kept = self._measured(theta)

    @np.errstate(over="ignore", invalid="ignore")  # on the way to divergence
    def _measured(self, theta: Vector) -> dict[str, float]:
        if not np.isfinite(theta).all():
            return {}
        measured = self._measures.training(theta)
        if self.scorer is None:  # the same numbers as those of ``score``, for less than half the time on small data
            measured["train_score"] = self._measures.train.score(theta)
            measured["test_loss"], measured["test_score"] = self._measures.test.both(theta)
        else:
            measured["test_loss"] = self._measures.test.loss(theta) if self.test_has_loss else np.nan
            losses = [measured["train_loss"], *([measured["test_loss"]] if self.test_has_loss else [])]
            measured |= self._scored(theta, bool(np.isfinite(losses).all()))
        return {name: value if np.isfinite(value) else np.nan for name, value in measured.items()}

    def _scored(self, theta: Vector, finite: bool) -> dict[str, float]:
        fitted = self._measures.fitted(theta)
        try:
            return {
                "train_score": self.train_part.score(self.scorer, fitted),
                "test_score": self.test_part.score(self.scorer, fitted),
            }
        except ValueError:
            if finite:
                raise
            return {}  # metrics refuse infinite predictions


class Candidate(NamedTuple):
    """What to fit: an estimator, what to set on it, the seed where it has none, and the words for errors."""

    estimator: Any
    parameters: dict[str, Any]
    seed: int
    words: str

    def model(self) -> Any:
        model = clone(self.estimator).set_params(**clone(self.parameters, safe=False))
        _, final = split_pipeline(model)
        if final.random_state is None:
            final.set_params(random_state=self.seed)
        without_callbacks(final)
        return model


def watched_fits(
    candidates: Sequence[Candidate], data: Part, fold: Fold, scorer: Scorer | None, limits: dict[str, Any],
    error_score: Any,
) -> list[WatchedFit]:  # fmt: skip
    """Fit on the training rows of the fold; its test rows are only looked at. A fit that raises has ``error_score``,
    unless that is "raise". Several candidates have the same transformers and batches, and train side by side."""
    sides = Sides(data, fold)
    fits = [_watched_or_failed(candidate, sides, scorer, limits, error_score) for candidate in candidates]
    return side_by_side(fits)


class Sides:
    """The two parts of a fold behind transformers, which the first candidate fits for all."""

    def __init__(self, data: Part, fold: Fold) -> None:
        self.data, self.fold = data, fold
        self._transformed: tuple[Part, Part] | None = None

    def transformed(self, transformers: list[Any]) -> tuple[Part, Part]:
        if self._transformed is None:
            train, test = self.data.rows(self.fold.train), self.data.rows(self.fold.test)
            train = train._replace(X=fit_transform(transformers, train.X, train.y))
            self._transformed = train, test._replace(X=transform(transformers, test.X))
        return self._transformed


def _watched_or_failed(
    candidate: Candidate, sides: Sides, scorer: Scorer | None, limits: dict[str, Any], error_score: Any
) -> Steps[WatchedFit]:
    n_samples = len(sides.fold.train)
    try:
        return (yield from _watched(candidate, sides, scorer, limits))
    except Exception as error:
        why = format_exc()  # the same text for the same failure, so that the warning counts them
        error.add_note(f"In the fit of {candidate.words}, {n_samples} training rows.")
        if error_score == "raise":
            raise
        failed = {"train_score": float(error_score), "test_score": float(error_score)}
        rows = [dict.fromkeys(COUNTS, 0.0) | failed]
        _, final = split_pipeline(candidate.model())
        return WatchedFit(rows, failed, "failed", final._resolved_batch_size(max(1, n_samples)), n_samples, [], why)


def _watched(candidate: Candidate, sides: Sides, scorer: Scorer | None, limits: dict[str, Any]) -> Steps[WatchedFit]:
    transformers, final = split_pipeline(candidate.model())
    train, test = sides.transformed(transformers)
    _load_kernels(final, train)
    unknown = unknown_classes(final, train.y, test.y)
    if unknown and scorer is None:  # what ``score`` says of rows whose class is unknown
        scorer = check_scoring(final)
    recorder = Recorder(scorer, train, test, limits, test_has_loss=not unknown)
    # the recorder evaluates; that the estimator does so too would be twice the work
    yield from final.set_params(evaluate_every=None)._training(*train, watch=recorder)
    # L-BFGS may find nothing to do
    rows = recorder.rows or [dict.fromkeys(COUNTS, 0.0) | recorder.kept]
    return WatchedFit(rows, recorder.kept, final.status_, final.batch_size_, len(sides.fold.train), unknown)


def unknown_classes(final: Any, train: Any, test: Any) -> list[Any]:
    """Classes of the test part that the training part lacks; none where y is an indicator matrix."""
    if not is_classifier(final) or np.ndim(train) != 1:
        return []
    return np.setdiff1d(test, train).tolist()


def _load_kernels(estimator: Any, train: Part) -> None:
    """Make one update on a clone: compiling kernels, or loading them into a new process, is not a cost of the fit."""
    quiet = {"early_stopping": False, "evaluate_every": None, "verbose": 0}
    names = quiet.keys() & estimator.get_params(deep=False).keys()  # a one-class machine has no early stopping
    warm = clone(estimator).set_params(**{name: quiet[name] for name in names})
    warm._train(*train, watch=Updates(tuple(train), 1))


def run_all(
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    n_jobs: int | None,
    progress_bar: bool,
    what: str = "Fits",
) -> list[Any]:
    """``function`` of every tuple of arguments, in their order, on any backend of joblib."""
    calls = (delayed(function)(*arguments) for arguments in jobs)
    if not progress_bar:
        return Parallel(n_jobs=n_jobs)(calls)
    with progress_bar_of(what, len(jobs)) as show:

        class WithProgress(Parallel):  # joblib calls this after every result, whatever the backend
            def print_progress(self) -> None:
                show(self.n_completed_tasks)

        return WithProgress(n_jobs=n_jobs)(calls)
