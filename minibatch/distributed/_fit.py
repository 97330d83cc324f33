"""Training with several workers: what is asked is checked, workers come and go, the estimator gets what they learnt."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _num_samples

from minibatch._base.callbacks import says_when_it_compiles
from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.trials import check_parameters
from minibatch._base.unchanged import unchanged_on_error
from minibatch._training.epochs import Steps, alone
from minibatch.distributed._checkpoint import Keeping
from minibatch.distributed._driver import Orders, Record, Teller, drive
from minibatch.distributed._processes import Processes

__all__ = ["fit"]

_BACKENDS = {"processes": Processes}


def fit(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    n_workers: int = 1,
    sync: Literal["gradients", "parameters"] = "gradients",
    period: int | None = None,
    backend: Literal["processes"] = "processes",
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
      ``period=1`` that is a batch of the rows of all workers.

    Parameters
    ----------
    estimator : estimator
        Of this package; it is fitted and returned. ``batch_size`` means the rows of an update over all workers with
        ``sync="gradients"``, and those of one worker with ``sync="parameters"``, where all of them together make as
        many updates an epoch as one with ``n_workers`` times as large a batch.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows. Workers on this machine share one copy.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.

    sample_weight : array-like of shape (n_samples,), default=None
        As in ``fit``.

    X_val, y_val : array-like, default=None
        A validation set, as in ``fit``.

    n_workers : int, default=1
        How many. One trains in this process.

    sync : {'gradients', 'parameters'}, default='gradients'
        What workers tell each other.

    period : int, default=None
        Updates between two means of the parameters. A long period saves waiting and lets workers drift apart. None: so
        many that workers wait for about a tenth of the time, as it is measured while they train; set it for results
        that do not depend on clocks.

    backend : {'processes'}, default='processes'
        Where workers live: processes of this machine.

    checkpoint : path-like, default=None
        A folder for what the fit has come to, which is written every half minute at most, and at the end. The same call
        goes on from there, with more epochs too (``max_iter``).

    timeout : float, default=60
        Seconds for which anybody is waited for. One that does not answer is ended and started anew.

    verbose : int, default=0
        1 says when workers have come, and when one is lost.

    Returns
    -------
    estimator
        The one that was given. Its ``history_`` has three more columns, sums up to the end of an epoch: ``n_rounds`` of
        exchange between workers, ``n_bytes`` that each sent, and ``seconds_waiting``.

    Raises
    ------
    ValueError
        If a parameter or the rows are wrong: before any work.
    TimeoutError
        If workers do not come.
    RuntimeError
        If more than three workers are lost. In any case the estimator stays as it was.

    Notes
    -----
    A worker that dies costs half a second of training: it is started anew, and all go on from the last parameters that
    the driver has. Ctrl-C ends all workers.

    References
    ----------
    .. [1] L. Bottou, F. Curtis, J. Nocedal, "Optimization Methods for Large-Scale Machine Learning", 2018,
       arXiv:1606.04838
    .. [2] S. Stich, "Local SGD Converges Fast and Communicates Little", 2018, arXiv:1805.09767

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.distributed import fit
    >>> X, y = make_classification(2000, random_state=0)
    >>> model = MiniBatchSGDClassifier("log_loss", batch_size=500, max_iter=3, tol=None, random_state=0)
    >>> model = fit(model, X, y, n_workers=2)  # doctest: +SKIP
    """
    _check_arguments(estimator, n_workers, sync, period, backend, timeout)
    check_parameters(estimator)
    if estimator.solver == "lbfgs" and n_workers > 1:
        raise ValueError("solver='lbfgs' has no batches to share; use n_workers=1, or another solver.")
    if sync == "gradients" and n_workers > 1 and getattr(estimator, "batch_normalization", False):
        raise ValueError(
            "batch_normalization needs all rows of a batch in one place; use sync='parameters', or n_workers=1."
        )
    by_gradients = sync == "gradients"
    record = Record(period, by_gradients)
    with unchanged_on_error(estimator), ExitStack() as stack:
        kept = Keeping(estimator, checkpoint, record, n_workers=n_workers, sync=sync)
        if not kept.is_complete:
            limits: dict[str, Any] = kept.limits()
            orders = Orders(stack.enter_context(ThreadPoolExecutor(1)), by_gradients)
            if n_workers > 1:
                limits["orders"] = orders
            if not by_gradients:
                limits["batch_size"] = _rows_of_all(estimator, _num_samples(X), n_workers)
            with says_when_it_compiles(estimator):
                steps: Steps[str] = estimator._training(
                    X, y, sample_weight, validation=(X_val, y_val, None), limits=limits,
                    bridge_of=partial(Teller, record, kept.keep), goes_on=kept.goes_on,
                )  # fmt: skip
                message = _run(steps, stack, record, orders, n_workers, backend, timeout, verbose)
            kept.finish()
            if not by_gradients:
                _name_own_batches(estimator, n_workers)
            if message:
                warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return estimator


def _run(
    steps: Steps[str], stack: ExitStack, record: Record, orders: Orders, n_workers: int, backend: str,
    timeout: float, verbose: int,
) -> str:  # fmt: skip
    if n_workers == 1:
        return alone(steps)
    workers = _BACKENDS[backend](n_workers, timeout)
    stack.callback(workers.close)
    if verbose:
        print(f"{n_workers} workers have come")
    return drive(steps, workers, record, orders)


def _check_arguments(estimator: Any, n_workers: Any, sync: Any, period: Any, backend: Any, timeout: Any) -> None:
    if not isinstance(estimator, MiniBatchEstimator):
        raise TypeError(f"estimator must be one of this package; got {type(estimator).__name__}.")
    if isinstance(n_workers, bool) or not isinstance(n_workers, Integral) or n_workers < 1:
        raise ValueError(f"n_workers must be a positive integer; got {n_workers!r}.")
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


def _rows_of_all(estimator: Any, n_samples: int, n_workers: int) -> int:
    """Rows in an update of every worker."""
    return min(n_samples, n_workers * int(estimator._resolved_batch_size(n_samples)))
