"""The checks that apply to an estimator, and the pytest decorator that runs them."""

from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from typing import Any

from sklearn.utils import get_tags

from minibatch._base.estimator import MiniBatchEstimator
from minibatch.testing import _checks as checks
from minibatch.testing._models import short_repr

__all__ = ["Check", "batch_checks", "expected_failed_checks", "parametrize_with_batch_checks"]

Check = Callable[[Any], None]

# scikit-learn's checks that need a row of weight 2 to be two rows, and how many rows they have, either way
_WEIGHT_CHECKS = [f"check_sample_weight_equivalence_on_{layout}_data" for layout in ("dense", "sparse")]
_WEIGHTED_ROWS, _REPEATED_ROWS = 15, 27


def batch_checks(estimator: Any) -> Iterator[tuple[str, Check]]:
    """The checks that apply to an estimator.

    Parameters
    ----------
    estimator : estimator with a parameter ``batch_size``
        By its parameters and methods it is decided what applies: without ``partial_fit`` there is no check of it, and
        ``solver='lbfgs'`` takes no batches. Nothing is fitted.

    Yields
    ------
    name : str
    check : callable
        ``check(estimator)`` raises ``AssertionError`` if the check fails.

    Raises
    ------
    TypeError
        If there is no parameter ``batch_size`` or no ``predict``, or for a class in place of an instance.

    Examples
    --------
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.testing import batch_checks
    >>> for name, check in batch_checks(MiniBatchSGDClassifier()):
    ...     check(MiniBatchSGDClassifier())
    >>> name
    'check_clone_pickle_and_refit_give_the_same_model'
    """
    if isinstance(estimator, type):
        raise TypeError(f"batch_checks takes an instance: {estimator.__name__}(), not the class.")
    parameters = estimator.get_params(deep=False)
    names = set(parameters)
    if "batch_size" not in names:
        raise TypeError(f"{type(estimator).__name__} has no parameter batch_size, so there is nothing to check.")
    if not hasattr(estimator, "predict"):
        raise TypeError(f"{type(estimator).__name__} has no method predict: these checks are of predictors.")
    in_order = {"max_iter", "shuffle"} <= names
    in_batches = parameters.get("solver") != "lbfgs"
    applies: dict[Check, bool] = {
        checks.check_penalty_does_not_depend_on_batch_size: in_order and in_batches,
        checks.check_full_batch_ignores_the_order_of_rows: True,
        checks.check_all_rows_are_a_full_batch: True,
        checks.check_dense_equals_sparse: get_tags(estimator).input_tags.sparse,
        checks.check_weights_are_repetitions: "sample_weight" in signature(estimator.fit).parameters,
        checks.check_seed_alone_orders_the_rows: in_order
        and (isinstance(estimator, checks.LINEAR) or {"nesterovs_momentum", "solver", "random_state"} <= names),
        checks.check_partial_fits_over_slices_are_an_epoch: in_order and hasattr(estimator, "partial_fit"),
        checks.check_updates_are_counted: "max_iter" in names and in_batches,
        checks.check_clone_pickle_and_refit_give_the_same_model: True,
    }
    for check, does in applies.items():
        if does:
            yield check.__name__, check


def expected_failed_checks(estimator: MiniBatchEstimator) -> dict[str, str]:
    """Those of scikit-learn's checks that an estimator of this package fails, and why.

    Two are about weights as repetitions, which hold where all rows are in one batch and nothing else is drawn: with
    ``batch_size="full"`` they are not declared, with smaller batches than they have rows they are. Another has negative
    targets, whatever the estimator says that it needs, which the losses ``'poisson'`` and ``'gamma'`` refuse. Of the
    loss ``'log_loss'`` of regressors nothing is declared: scikit-learn has no tag for targets in [0, 1], and two thirds
    of its checks fit others.

    Parameters
    ----------
    estimator : estimator of this package
        By its parameters it is decided; nothing is fitted.

    Returns
    -------
    dict
        From the names of checks to reasons, as ``check_estimator`` takes it. ``parametrize_with_checks`` takes the
        function itself.

    Raises
    ------
    TypeError
        For any other estimator.

    See Also
    --------
    sklearn.utils.estimator_checks.check_estimator : scikit-learn's own checks.

    Examples
    --------
    >>> from sklearn.utils.estimator_checks import check_estimator
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.testing import expected_failed_checks
    >>> expected_failed_checks(MiniBatchSGDRegressor(batch_size="full"))
    {}
    >>> model = MiniBatchSGDRegressor(batch_size=4)
    >>> for name, reason in expected_failed_checks(model).items():
    ...     print(f"{name}: {reason}")
    check_sample_weight_equivalence_on_dense_data: a row of weight 2 is in one batch, a repeated row in two
    check_sample_weight_equivalence_on_sparse_data: a row of weight 2 is in one batch, a repeated row in two
    >>> results = check_estimator(
    ...     model, expected_failed_checks=expected_failed_checks(model)
    ... )  # doctest: +SKIP
    """
    if not isinstance(estimator, MiniBatchEstimator):
        raise TypeError(f"expected_failed_checks is about the estimators of minibatch; got {estimator!r}.")
    parameters = estimator.get_params(deep=False)
    in_batches = parameters["solver"] != "lbfgs" and any(
        estimator._resolved_batch_size(n) < n for n in (_WEIGHTED_ROWS, _REPEATED_ROWS)
    )
    if in_batches:
        reason = "a row of weight 2 is in one batch, a repeated row in two"
    elif estimator.early_stopping:
        reason = "a row of weight 2 is held out or not, a repeated row may be both"
    elif parameters.get("batch_normalization") and (parameters["ghost_batch_size"] or _REPEATED_ROWS) < _REPEATED_ROWS:
        reason = "a row of weight 2 is in one chunk, a repeated row in two"
    elif parameters.get("dropout"):
        reason = "dropout draws once for a row of weight 2, and twice for a repeated row"
    else:
        reason = ""
    declared = dict.fromkeys(_WEIGHT_CHECKS, reason) if reason else {}
    if get_tags(estimator).target_tags.positive_only:
        declared["check_regressor_multioutput"] = f"its targets are negative, which loss={estimator.loss!r} refuses"
    return declared


def parametrize_with_batch_checks(
    estimators: Iterable[Any], *, expected_failed_checks: Callable[[Any], dict[str, str]] | None = None
) -> Any:
    """Decorator of a pytest function ``(estimator, check)``: one test for each check of each estimator.

    Parameters
    ----------
    estimators : iterable of estimators
        Instances, each with a parameter ``batch_size``.

    expected_failed_checks : callable or None, default=None
        From an estimator to ``{name of a check: reason}``, as in scikit-learn: checks that are known to fail.

    Returns
    -------
    decorator

    See Also
    --------
    sklearn.utils.estimator_checks.parametrize_with_checks : scikit-learn's own checks.

    Examples
    --------
    >>> from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
    >>> from minibatch.testing import parametrize_with_batch_checks
    >>> @parametrize_with_batch_checks(
    ...     [MiniBatchSGDRegressor(), MiniBatchMLPRegressor(hidden_layer_sizes=(3,))]
    ... )
    ... def test_batch_size(estimator, check):
    ...     check(estimator)
    """
    try:
        import pytest
    except ImportError as error:
        raise ImportError("parametrize_with_batch_checks needs pytest: pip install pytest") from error

    def cases() -> Iterator[Any]:
        for estimator in estimators:
            expected = {} if expected_failed_checks is None else expected_failed_checks(estimator)
            for name, check in batch_checks(estimator):
                marks = [pytest.mark.xfail(reason=expected[name])] if name in expected else []
                yield pytest.param(estimator, check, id=f"{short_repr(estimator)}-{name}", marks=marks)

    mark = pytest.mark.parametrize(("estimator", "check"), list(cases()))

    def decorate(test: Any) -> Any:
        if getattr(test, "__name__", "") == "<lambda>":  # pytest takes it for an argument of the mark
            test.pytestmark = [mark.mark]
            return test
        return mark(test)

    return decorate
