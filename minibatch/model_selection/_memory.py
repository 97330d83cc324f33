"""How much memory a fit will take."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from minibatch._base.pipelines import split_pipeline
from minibatch._base.ranges import AnyFloat
from minibatch._base.trials import check_parameters
from minibatch._problems.batching import UNIFORMS_AT_ONCE
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.linear import LinearProblem
from minibatch._problems.mlp import ROWS_OF_STATISTICS, MLPProblem
from minibatch._problems.state import SCORES_AT_ONCE as SCORES_COPIED
from minibatch._training.beginning import SCORES_AT_ONCE, n_rows_looked_at
from minibatch._training.first_distance import n_rows_of_sample
from minibatch.distributed._simulation import MOST_WORKERS
from minibatch.model_selection._memory_fit import MOST, Fit, fit_of
from minibatch.model_selection._memory_result import MemoryRequired, Parts
from minibatch.model_selection._memory_workers import refuse_what_cannot_be_shared, with_workers

__all__ = ["memory_required"]

# What scikit-learn takes in passing, in bytes a row, measured (1.9): the stratified and the plain split of a validation
# set, the weights of classes, the labels of two classes as 0 and 1.
_STRATIFIED_SPLIT, _SPLIT, _CLASS_WEIGHTS, _BINARY_LABELS = 79, 16, 49, 56
# From the numbers of the updates to their rates, in bytes a batch, measured.
_RATES = 24
# Vectors of the size of the parameters, measured: L-BFGS-B keeps ten pairs and a workspace; while a first distance is
# found.
_LBFGS_VECTORS, _FIRST_DISTANCE_VECTORS = 38, 7.5
_MOST_OUTPUTS = 10**7  # their weights are made

_CONSTRAINTS: dict[str, list[Any]] = {
    "n_features": [Interval(Integral, 1, MOST, closed="both")],
    "n_samples": [Interval(Integral, 2, MOST, closed="both")],
    "n_outputs": [Interval(Integral, 1, _MOST_OUTPUTS, closed="both")],
    "density": [AnyFloat(Real, 0, 1, closed="both"), None],
    "n_workers": [Interval(Integral, 1, MOST_WORKERS, closed="both")],
    "sync": [StrOptions({"gradients", "parameters"})],
}


def memory_required(
    estimator: Any,
    n_features: int,
    batch_size: Any = None,
    *,
    n_samples: int,
    n_outputs: int = 1,
    dtype: Any = np.float64,
    density: float | None = None,
    n_workers: int = 1,
    sync: Literal["gradients", "parameters"] = "gradients",
) -> MemoryRequired:
    """The memory that ``fit`` takes at its peak, beyond X and y themselves.

    It is the sum of what is there all the time (parameters ``P``, the optimizer's memory ``k P``, the target in the
    type of X, their copies to go back to) and what one moment adds: the order of the rows, the rates of the batches and
    the buffers of a batch in an epoch, or the scores of a validation set, or what setting up takes. Nothing is trained,
    and nothing of this size is allocated.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        What transformers take is not counted.

    n_features : int
        Columns of X, as the estimator (in a pipeline, the final one) gets it.

    batch_size : int, float, 'full' or 'auto', default=None
        In place of the estimator's.

    n_samples : int
        Rows, those of a validation set that ``early_stopping`` holds out among them.

    n_outputs : int, default=1
        Columns of the target of a regressor; the number of classes of a classifier, where 1, like 2, means two.

    dtype : dtype, default=numpy.float64
        Type of X, ``numpy.float64`` or ``numpy.float32``.

    density : float, default=None
        Of a sparse X, the share of its values that are stored, ``X.nnz / (n_samples * n_features)``. None: X is dense.

    n_workers : int, default=1
        Processes that train, as in :func:`minibatch.distributed.fit`: the sum is then that of the driver, of what is
        shared (a copy of the rows, the order of an epoch, exchanges) and of all workers, each of which takes 160 MB
        before it has seen a row. One trains in the calling process.

    sync : {'gradients', 'parameters'}, default='gradients'
        What several workers tell each other. With ``'parameters'`` the batch size is that of a worker, and each has
        a copy of its own rows.

    Returns
    -------
    MemoryRequired
        Bytes in all (``total``) and by what they hold (``parts``).

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        If a parameter is out of range, or workers cannot share such a fit.

    See Also
    --------
    batch_size_grid : Batch sizes to compare.
    minibatch.distributed.fit : Fits with several workers.

    Notes
    -----
    The model is that of a dense X in C order, or of a CSR matrix, of ``dtype``, of a regression target of that type, of
    integer labels, and of fits without ``sample_weight``, initial parameters and ``X_val``. X is not copied then. In
    another order or type it is, once, which is not counted. Nor are compiled code, the workspace of BLAS, the samples
    of rows that ``eta0='auto'`` and ``batch_growth='adaptive'`` look at, and about 100 kB of Python objects and NumPy's
    own buffers. With ``batch_growth``, the largest batch counts; all rows are scored to judge the end of a fit, where a
    sample of them may do. What ``tracemalloc`` sees beyond these is met within 20 %. With several workers, ``shared``
    memory counts once; compiling for the first time takes each of them another 20 to 100 MB.

    Examples
    --------
    >>> from minibatch import MiniBatchMLPClassifier
    >>> from minibatch.model_selection import memory_required
    >>> net = MiniBatchMLPClassifier((512,))
    >>> small, large = (
    ...     memory_required(net, 784, size, n_samples=60_000, n_outputs=10)
    ...     for size in (1024, 4096)
    ... )
    >>> small.total < large.total
    True
    >>> small
    Memory that fit requires beyond X and y: 56.4 MB with batches of 1024, in an epoch
                         part   memory
                   parameters  3.26 MB
             optimizer memory  6.51 MB
    average of the parameters  3.26 MB
     parameters to go back to  19.5 MB
                       target   960 kB
            order of the rows   480 kB
                        rates    472 B
                batch buffers  22.4 MB
                        total  56.4 MB
    """
    given: dict[str, Any] = {
        "n_features": n_features,
        "n_samples": n_samples,
        "n_outputs": n_outputs,
        "density": density,
    }
    given |= {"n_workers": n_workers, "sync": sync}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="memory_required")
    if isinstance(density, bool):  # a number to Python
        raise ValueError(f"density must be the share of values of X that are stored, or None; got {density}.")
    dtype = _training_type(dtype)
    _, final = split_pipeline(estimator)
    final = clone(final)
    if batch_size is not None:
        final.set_params(batch_size=batch_size)
    check_parameters(final)
    refuse_what_cannot_be_shared(final, n_workers, sync)
    fit = fit_of(final, n_features, n_samples, n_outputs, dtype, density)
    always = _always(fit)
    moments = {name: always | parts for name, parts in _moments(fit).items()} | _setting_up(fit)
    if n_workers > 1:
        moments = with_workers(fit, moments, n_workers, sync)
    totals = {name: sum(parts.values()) for name, parts in moments.items()}
    parts = {name: size for name, size in moments[max(totals, key=totals.__getitem__)].items() if size}
    return MemoryRequired(parts, totals, fit.batch_size)


def _training_type(dtype: Any) -> Any:
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):  # NumPy's message does not name the parameter
        found = np.dtype(object)
    if found not in (np.float64, np.float32):
        raise ValueError(f"dtype must be numpy.float64 or numpy.float32, the types fit trains in; got {dtype!r}.")
    return found


def _always(fit: Fit) -> Parts:
    """What is there from the first epoch to the last."""
    # copies: of the first parameters, once more to measure the distance from them, of the state before an epoch
    n_parameters, n_states = (1, 0) if fit.final.solver == "lbfgs" else (2, 1)
    copies = n_parameters * fit.state["parameters"] + (n_states + fit.by_score) * sum(fit.state.values())
    return {
        **fit.state,
        "parameters to go back to": copies,
        "target": _target(fit),
        "moments of the columns": fit.moments_of_columns,
        # in float64 and, where that is another, in the type of X
        "row weights": (8 + fit.itemsize * (fit.itemsize < 8)) * fit.n_samples if _weighted(fit) else 0,
        "validation rows": fit.n_held_out * (fit.row_bytes + fit.n_columns * fit.itemsize),
        "rows to train on": 8 * fit.n_trained_on if fit.n_held_out else 0,
    }


def _weighted(fit: Fit) -> bool:
    return getattr(fit.final, "class_weight", None) is not None


def _binary_network(fit: Fit) -> bool:
    return isinstance(fit.problem, MLPProblem) and is_classifier(fit.final) and len(fit.final.classes_) == 2


def _target(fit: Fit) -> int:
    """Class numbers (for a network with two classes: bools), and the target in the type of X."""
    if not is_classifier(fit.final):
        return 0
    encoded = 1 if _binary_network(fit) else 8
    return encoded * (fit.n_samples + fit.n_held_out) + fit.itemsize * fit.n_samples


def _setting_up(fit: Fit) -> dict[str, Parts]:
    """What is there before the first epoch, in all."""
    n, classifier = fit.n_samples, is_classifier(fit.final)
    encoded = _target(fit) - fit.itemsize * n if classifier else 0
    moments = {}
    if _binary_network(fit):
        moments["while labels become numbers"] = {"target": _BINARY_LABELS * n}
    elif fit.coded_by_sign:
        moments["while labels become numbers"] = {"target": encoded + 16 * n}
    if fit.n_held_out:
        split = _STRATIFIED_SPLIT if classifier else _SPLIT
        moments["while validation rows are chosen"] = {"target": encoded, "choice": split * n}
    if _weighted(fit):
        validation = {"validation rows": fit.n_held_out * fit.row_bytes}
        rows = validation | {"rows to train on": 8 * fit.n_trained_on if fit.n_held_out else 0}
        moments["while rows are weighted"] = {"target": encoded, **rows, "row weights": _CLASS_WEIGHTS * n}
    if isinstance(fit.problem, DualAveragingProblem):
        moments["while the first distance is found"] = _first_distance(fit, fit.problem)
    return moments


def _moments(fit: Fit) -> dict[str, Parts]:
    """What the moments of an epoch add."""
    state, P = sum(fit.state.values()), fit.n_parameters
    order = {"order of the rows": 8 * fit.n_trained_on}
    evaluations = _evaluations(fit)
    if fit.final.solver == "lbfgs":
        vectors = {"L-BFGS": 8 * _LBFGS_VECTORS * P}
        gradient = {"in an iteration": fit.problem.evaluation_bytes() | vectors}
        return gradient | {name: parts | vectors for name, parts in evaluations.items()}
    trained = (2 if fit.n_held_out else 1) * order["order of the rows"]
    averaged = fit.state["average of the parameters"] > 0
    epochs = [fit.problem.epoch_bytes(size, averaged) for size in (fit.batch_size, fit.largest_batch)]
    buffers = max(epochs, key=lambda parts: sum(parts.values()))
    moments = {
        "while rates are computed": order | {"rates": _RATES * fit.n_batches},
        "in an epoch": {"order of the rows": trained, "rates": 8 * fit.n_batches, **buffers},
    }
    if fit.final.shuffle and (fit.batch_size < fit.n_trained_on or fit.in_chunks):
        drawn = (2 if fit.final.shuffle == "block" else 1) * order["order of the rows"]
        words = 3 if fit.final.shuffle == "replacement" else 1  # as integers, as shares, as places
        uniforms = 8 * words * min(UNIFORMS_AT_ONCE, fit.n_trained_on)
        moments["while the order is drawn"] = {"order of the rows": drawn, "random numbers": uniforms}
    if isinstance(fit.problem, MLPProblem) and fit.problem.network.normalized:
        looked_at = min(ROWS_OF_STATISTICS, fit.n_trained_on)
        buffers = fit.problem.in_whole_batches().epoch_bytes(looked_at, False)
        moments["before the first epoch"] = buffers | {"copies": state}
    if fit.final.max_iter > 1:
        # the new copy is made before the old one goes
        moments["between epochs"] = {"copies": state}
    if isinstance(fit.problem, LinearProblem) and fit.problem.objective.l1 > 0.0:
        moments["while the penalty is computed"] = {"sizes of the weights": fit.itemsize * P}
    if fit.by_score:
        moments["when a score is the best"] = {"copies": state}
    return moments | evaluations


def _first_distance(fit: Fit, problem: DualAveragingProblem) -> Parts:
    n_rows, n_outputs = n_rows_of_sample(problem), problem.n_outputs
    copied = n_rows < fit.n_trained_on or fit.n_held_out > 0 or _weighted(fit)
    there = {name: size for name, size in _always(fit).items() if name != "parameters to go back to"}
    scores = 2 * fit.itemsize * n_outputs * n_rows + 3 * 8 * min(n_outputs * n_rows, SCORES_COPIED)
    return there | {
        "first parameters": fit.state["parameters"],
        "rows looked at": n_rows * fit.row_bytes if copied else 0,
        "scores": scores,
        "steps tried": round(8 * _FIRST_DISTANCE_VECTORS * fit.n_parameters),
    }


def _judging(fit: Fit) -> Parts:
    """The objective of some rows, or all, at the beginning and at the end."""
    n_outputs, looked_at = fit.problem.data.class_weight.shape[1], n_rows_looked_at(fit.values_of_row, fit.n_trained_on)
    sample = {"rows looked at": looked_at * fit.row_bytes if looked_at < fit.n_trained_on else 0}
    if fit.n_trained_on * n_outputs > SCORES_AT_ONCE:
        return sample | fit.problem.evaluation_bytes()
    at_once = min(fit.n_trained_on, SCORES_COPIED // n_outputs)
    copied = {"scores that become losses": at_once * (8 + fit.itemsize * n_outputs)}
    return sample | fit.problem.scores_bytes(fit.n_samples) | copied


def _evaluations(fit: Fit) -> dict[str, Parts]:
    """What happens after an epoch: measuring all rows, and the validation rows."""
    moments = {}
    averaged = fit.state["average of the parameters"] and isinstance(fit.problem, LinearProblem)
    average = {"parameters measured": (8 + fit.itemsize) * fit.n_parameters if averaged else 0}
    if fit.final.evaluate_every is not None:
        moments["while all rows are measured"] = fit.problem.evaluation_bytes() | average
    if fit.final.solver != "lbfgs":
        moments["while its end is judged"] = _judging(fit) | average
    if fit.n_held_out:
        parts = fit.problem.scores_bytes(fit.n_held_out)
        predictions = {"predictions": parts["scores"] * (1 if is_classifier(fit.final) else 2)}  # and their errors
        if fit.final.scoring not in (None, "loss"):  # scores, probabilities and what a metric makes of them
            predictions["predictions for a scorer"] = 4 * parts["scores"]
        moments["while validation rows are measured"] = parts | predictions | average
    return moments
