"""Training with several workers: what is asked is checked, workers come and go, the estimator gets what they learnt."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _num_samples

from minibatch._base.callbacks import says_when_it_compiles
from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.solvers import WITHOUT_WORKERS
from minibatch._base.trials import check_parameters
from minibatch._base.unchanged import unchanged_on_error
from minibatch._training.epochs import Steps, alone
from minibatch.distributed._checkpoint import Keeping
from minibatch.distributed._driver import Orders, Record, Teller, Workers, drive
from minibatch.distributed._given import Given, learn, learnt_by, mark_of, parts_of, source_of, through_transformers
from minibatch.distributed._look import Look, look_at
from minibatch.distributed._mpi import MPIWorkers, Ranks
from minibatch.distributed._processes import Processes
from minibatch.distributed._ray import RayWorkers
from minibatch.distributed._sources import Source
from minibatch.distributed._stream import ROWS_OF_WINDOW as ROWS_AT_ONCE
from minibatch.distributed._streamed import Local

__all__ = ["How", "fit"]

_BACKENDS = {"processes": Processes, "ray": RayWorkers, "mpi": MPIWorkers}


def fit(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    target: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    n_workers: int | None = None,
    sync: Literal["gradients", "parameters"] = "gradients",
    period: int | None = None,
    backend: Literal["processes", "ray", "mpi"] = "processes",
    checkpoint: Any = None,
    timeout: float = 60.0,
    verbose: int = 0,
) -> Any:
    """Fit an estimator of this package with several workers.

    It is ``estimator.fit``, with the epochs run elsewhere: what comes back is the same estimator, with its
    ``history_``, its stopping rule, early stopping and callbacks.

    Workers train one model on all rows, in one of two ways:

    * ``sync="gradients"``: a batch is dealt to all workers, and every update follows the sum of their gradients. Any
      number of workers gives, to rounding, the model of ``estimator.fit``. Every update waits for all, so that this
      pays only with batches of thousands of rows, or for networks.
    * ``sync="parameters"``, or local SGD [1]_, [2]_: each worker makes ``period`` updates by itself with batches of its
      own, then all go on from the mean of their parameters and of their optimizers' memory, by rows. With plain SGD and
      ``period=1`` that is a batch of the rows of all workers. Orders and draws of rows are each worker's own.

    Parameters
    ----------
    estimator : estimator
        Of this package; it is fitted and returned. ``batch_size`` means the rows of an update over all workers with
        ``sync="gradients"``, and those of one worker with ``sync="parameters"``, where all of them together make as
        many updates an epoch as one with ``n_workers`` times as large a batch.

    X : {array-like, sparse matrix} of shape (n_samples, n_features), ArrayShards, ParquetRows or Ray Data set
        Rows, or where to read them. Arrays are in memory: workers on this machine share one copy with
        ``sync="gradients"``, and each has its own rows with ``"parameters"``. Sources are read in pieces, one ahead,
        and only as far as they are needed; ``shuffle="replacement"`` is not for them.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets. A source has its own.

    sample_weight : array-like of shape (n_samples,), default=None
        As in ``fit``. A source has its own.

    target : str or list of str, default=None
        The columns of targets, of a Ray Data set.

    X_val, y_val : array-like, default=None
        A validation set, as in ``fit``.

    n_workers : int, default=None
        How many. One trains in this process. None: one, or with MPI all that there are.

    sync : {'gradients', 'parameters'}, default='gradients'
        What workers tell each other.

    period : int, default=None
        Updates between two means of the parameters. A long period saves waiting and lets workers drift apart. None: so
        many that exchanges, with the waiting for them, take about a tenth of the time, as it is measured while workers
        train; set it for results that do not depend on clocks.

    backend : {'processes', 'ray', 'mpi'}, default='processes'
        Where workers live:

        * ``'processes'`` of this machine;
        * ``'ray'``: actors of Ray (extra ``ray``), in the cluster that ``ray.init`` has found, or a local one. There an
          exchange takes milliseconds, not microseconds: take long periods.
        * ``'mpi'``: the processes of ``mpirun`` (extra ``mpi``). All of them call ``fit``, and all get the fitted
          estimator. What rank 0 gives is trained on; the others may give ``X=None``.

    checkpoint : path-like, default=None
        A folder for what the fit has come to, which is written every half minute at most, and at the end. The same call
        goes on from there, with more epochs too (``max_iter``).

    timeout : float, default=60
        Seconds for which a worker is waited for that trains. One that does not answer is ended and started anew. To
        start, and to compile, workers have a minute at least.

    verbose : int, default=0
        1 says when workers have come.

    Returns
    -------
    estimator
        The one that was given. Its ``history_`` has three more columns, sums up to the end of an epoch: ``n_rounds`` of
        exchange between workers, ``n_bytes`` that each sent, and ``seconds_waiting``.

    Raises
    ------
    ValueError
        If a parameter or the rows are wrong: before any work.
    ImportError
        If the extra of an engine is not installed.
    TimeoutError
        If workers do not come; with MPI, if a rank stands still.
    RuntimeError
        If workers are lost more than three times in a row. In any case the estimator stays as it was.

    Warns
    -----
    RuntimeWarning
        If a worker is lost and started anew (MB502), or a checkpoint cannot be written (MB503): training goes on.

    Notes
    -----
    A worker that dies costs half a second of training: it is started anew, and all go on from the last parameters that
    the driver has. With MPI it ends all, as ``mpirun`` does: ``checkpoint`` is for that. Ctrl-C ends all workers.

    References
    ----------
    .. [1] L. Bottou, F. Curtis, J. Nocedal, "Optimization Methods for Large-Scale Machine Learning", 2018,
       arXiv:1606.04838
    .. [2] S. Stich, "Local SGD Converges Fast and Communicates Little", 2018,
       arXiv:1805.09767

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.distributed import fit
    >>> X, y = make_classification(2000, random_state=0)
    >>> model = MiniBatchSGDClassifier(
    ...     "log_loss", batch_size=500, max_iter=3, tol=None, random_state=0
    ... )
    >>> model = fit(model, X, y, n_workers=2)  # doctest: +SKIP
    """
    transformers, final = parts_of(estimator)
    _check_arguments(final, n_workers, sync, period, backend, timeout)
    check_parameters(final)
    given, parts = Given(X, y, sample_weight, (X_val, y_val, None), target), [*transformers, final]
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(unchanged_on_error(part))
        ranks = stack.enter_context(Ranks(timeout, n_workers)) if backend == "mpi" else None
        number = ranks.size if ranks is not None else n_workers or 1
        _refuse_what_cannot_be_shared(final, sync, number)
        if ranks is not None and ranks.rank > 0:
            for part, learnt in zip(parts, ranks.follow(), strict=True):
                learn(part, learnt)
            return estimator
        start = partial(_BACKENDS[backend], ranks or number, timeout)
        message = _fit(transformers, final, given, How(number, sync, period, start, verbose), checkpoint)
        if message:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        if ranks is not None:
            ranks.end([learnt_by(part) for part in parts])
    return estimator


class How(NamedTuple):
    """The arguments that say how."""

    n_workers: int
    sync: str
    period: int | None
    start: Callable[[Any, Any], Workers]  # workers, of a source and of the look at it
    verbose: int


def _fit(transformers: list[Any], final: Any, given: Given, how: How, checkpoint: Any) -> str:
    """All parts; returns what to warn of."""
    source = source_of(given, transformers)
    _refuse_draws_from_pieces(final, source)
    rows = "" if checkpoint is None else mark_of(given, source)
    about = {"n_workers": how.n_workers, "sync": how.sync, "transformers": transformers, "rows": rows}
    keeping = Keeping(final, checkpoint, **about)
    if source is not None and transformers:
        source = through_transformers(transformers, source)
        given = _transformed(given, transformers)
    return "" if keeping.is_complete else _train(final, given, source, how, keeping)


def _train(final: Any, given: Given, source: Source | None, how: How, keeping: Keeping) -> str:
    """Fit the estimator itself; returns what to warn of."""
    look, by_gradients = None if source is None else look_at(source, final), how.sync == "gradients"
    record = Record(how.period, by_gradients, np.inf if source is None else how.n_workers * ROWS_AT_ONCE)
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(1)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        orders = Orders(pool, look is not None or not by_gradients)
        limits: dict[str, Any] = keeping.limits()
        n_rows = _num_samples(given.X) if look is None else look.n_rows
        if look is not None:
            _refuse_sample_as_validation(final, given.validation)
            limits["n_rows"] = n_rows
        if look is not None or how.n_workers > 1:
            limits["orders"] = orders
        if not by_gradients:
            limits["batch_size"] = min(n_rows, how.n_workers * int(final._resolved_batch_size(n_rows)))
        data = (given.X, given.y, given.weight) if look is None else (look.sample, None, None)
        steps: Steps[str] = final._training(
            *data, validation=given.validation, limits=limits, bridge_of=partial(Teller, record, keeping.keep),
            goes_on=keeping.goes_on,
        )  # fmt: skip
        with says_when_it_compiles(final):
            if look is None and how.n_workers == 1:
                message = alone(steps)
            else:
                workers = _workers(how, source, look)
                stack.callback(workers.close)
                message = drive(steps, workers, record, orders)
    keeping.finish(record)
    if not by_gradients:
        _name_own_batches(final, how.n_workers)
    return message


def _workers(how: How, source: Source | None, look: Look | None) -> Workers:
    if how.n_workers == 1:
        assert source is not None
        assert look is not None
        return Local(source, look)
    workers = how.start(source, look)
    if how.verbose:
        print(f"{how.n_workers} workers have come")
    return workers


def _transformed(given: Given, transformers: list[Any]) -> Given:
    X_val, y_val, weight = given.validation
    for transformer in transformers if X_val is not None else ():
        X_val = transformer.transform(X_val)
    return given._replace(validation=(X_val, y_val, weight))


def _refuse_what_cannot_be_shared(final: Any, sync: str, n_workers: int) -> None:
    if final.solver in WITHOUT_WORKERS:
        what = WITHOUT_WORKERS[final.solver]
        raise ValueError(f"solver={final.solver!r} has {what}; use its fit, or another solver.")
    if sync == "gradients" and n_workers > 1 and getattr(final, "batch_normalization", False):
        raise ValueError(
            "batch_normalization needs all rows of a batch in one place; use sync='parameters', or n_workers=1."
        )


def _refuse_draws_from_pieces(final: Any, source: Source | None) -> None:
    if source is not None and final.shuffle == "replacement":
        raise ValueError(
            "shuffle='replacement' draws from all rows, but these are read in pieces, of which some are at hand; use "
            "shuffle=True, or give arrays to an estimator without transformers."
        )


def _refuse_sample_as_validation(final: Any, validation: tuple[Any, ...]) -> None:
    if final.early_stopping and validation[0] is None:
        raise ValueError("early_stopping needs X_val and y_val where rows are read in pieces.")


def _check_arguments(estimator: Any, n_workers: Any, sync: Any, period: Any, backend: Any, timeout: Any) -> None:
    if not isinstance(estimator, MiniBatchEstimator):
        raise TypeError(
            f"estimator must be one of this package, or a pipeline that ends in one; got {type(estimator).__name__}."
        )
    if n_workers is not None and (isinstance(n_workers, bool) or not isinstance(n_workers, Integral) or n_workers < 1):
        raise ValueError(f"n_workers must be a positive integer or None; got {n_workers!r}.")
    if sync not in ("gradients", "parameters"):
        raise ValueError(f"sync must be 'gradients' or 'parameters'; got {sync!r}.")
    if period is not None and (isinstance(period, bool) or not isinstance(period, Integral) or period < 1):
        raise ValueError(f"period must be a positive integer or None; got {period!r}.")
    if period is not None and sync == "gradients":
        raise ValueError(
            f"period={period!r} goes with sync='parameters'; with sync='gradients' every update is shared."
        )
    if backend not in _BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, _BACKENDS))}; got {backend!r}.")
    if isinstance(timeout, bool) or not isinstance(timeout, Real) or not float(timeout) > 0.0:
        raise ValueError(f"timeout must be a positive number of seconds; got {timeout!r}.")


def _name_own_batches(estimator: Any, n_workers: int) -> None:
    """The batch size is that of a worker."""
    sizes = [max(1, size // n_workers) for size in estimator.history_["batch_size"].tolist()]
    estimator.history_.put({"batch_size": sizes})
    estimator.batch_size_ = sizes[-1]
