"""Linear models trained by gradient descent with a chosen batch size."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import RegressorMixin, _fit_context
from sklearn.linear_model._base import LinearClassifierMixin, SparseCoefMixin
from sklearn.metrics import r2_score
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from minibatch._docstrings import documented
from minibatch._estimator import MiniBatchEstimator, Rows
from minibatch._problems import OUTPUTS, LinearProblem, State, Vector
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import SOLVERS

# Losses with a log link: the prediction is the exponential of the score.
LOG_LINK = ("poisson", "gamma")


class _LinearModel(SparseCoefMixin, MiniBatchEstimator):
    """What the two linear models share: penalty, layout of the coefficients, the problem."""

    _parameter_constraints: dict = {
        **MiniBatchEstimator._parameter_constraints,
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
    }

    def _check_parameters(self, partial: bool) -> None:
        """What the constraints of single parameters cannot say."""
        if partial and self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit, which sees one chunk at a time.")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError("alpha must be > 0 with learning_rate='optimal', which computes the rate from it; got alpha=0.")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'; got l1_ratio=None.")

    def _objective(self, loss: int, parameter: float, outputs: str) -> Objective:
        share = {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty, 0.0)  # of L1 in the penalty
        alpha = float(self.alpha) if self.penalty is not None else 0.0
        l1, l2 = alpha * share, alpha * (1.0 - share)
        return Objective(loss, float(parameter), OUTPUTS[outputs], 0, l1, l2, bool(self.fit_intercept))

    def _solver(self) -> Solver:
        numbers = (self.momentum, self.beta_1, self.beta_2, self.adam_epsilon)
        return Solver(SOLVERS[self.solver], *(float(number) for number in numbers))

    def _initial_theta(self, problem: LinearProblem, fresh: bool, init: tuple[Any, Any]) -> Vector:
        dtype = problem.data.y.dtype
        theta = np.zeros(problem.n_parameters, dtype)
        start = problem.parameters(theta)
        previous: tuple[Any, Any] = (None, None)
        if not fresh:
            averaged = self.average and hasattr(self, "_standard_coef")
            previous = (self._standard_coef, self._standard_intercept) if averaged else (self.coef_, self.intercept_)
        names = ("coef_init", "intercept_init")
        for name, given, before, part in zip(names, init, previous, start, strict=True):
            value = before if given is None else given
            if value is None:
                continue
            value = np.asarray(value.toarray() if sp.issparse(value) else value, dtype)
            flat_is_fine = problem.n_outputs == 1 and value.size == part.size
            if value.shape != part.shape and not flat_is_fine:
                raise ValueError(f"Provided {name} does not match dataset: its shape is {value.shape}, not {part.shape}.")
            if not np.isfinite(value).all():
                raise ValueError(f"{name} contains NaN or infinity.")
            part[...] = value.reshape(part.shape)
        return theta

    def _fitted_attributes(self, problem: LinearProblem, theta: Vector) -> dict[str, Any]:
        coef, intercept = problem.parameters(theta)
        return {"coef_": self._as_coef(coef), "intercept_": intercept}

    def _average_attributes(self, problem: LinearProblem, state: State) -> dict[str, Any]:
        """The iterate and the average, apart; ``coef_`` is the average as soon as there is one."""
        coef, intercept = problem.parameters(state.theta)
        average_coef, average_intercept = problem.parameters(state.total / max(1, state.n_averaged))
        return {
            "_standard_coef": self._as_coef(coef),
            "_standard_intercept": intercept,
            "_average_coef": self._as_coef(average_coef),
            "_average_intercept": average_intercept,
            "_n_averaged": state.n_averaged,
        }

    def _as_coef(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _has_proba(self: Any) -> bool:
    if self.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={self.loss!r}")
    return True


@documented
class MiniBatchSGDClassifier(LinearClassifierMixin, _LinearModel):
    """TODO"""

    loss_functions = tuple(CLASSIFICATION)
    _parameter_constraints: dict = {
        **_LinearModel._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFICATION))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "multi_class": [StrOptions({"ovr", "multinomial"})],
    }

    def __init__(
        self,
        loss="hinge",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        n_jobs=None,
        random_state=None,
        learning_rate="optimal",
        eta0=0.01,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
        average=False,
        batch_size=32,
        last_batch="keep",
        solver="sgd",
        momentum=0.9,
        beta_1=0.9,
        beta_2=0.999,
        adam_epsilon=1e-8,
        multi_class="ovr",
        max_updates=None,
        evaluate_every=None,
    ):
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.last_batch = last_batch
        self.solver = solver
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.adam_epsilon = adam_epsilon
        self.multi_class = multi_class
        self.max_updates = max_updates
        self.evaluate_every = evaluate_every

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        coef_init=None,
        intercept_init=None,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """TODO"""
        return self._train(
            X,
            y,
            sample_weight,
            init=(coef_init, intercept_init),
            validation=(X_val, y_val, sample_weight_val),
        )

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """TODO"""
        return self._train(X, y, sample_weight, partial=True, classes=classes)

    def _check_parameters(self, partial: bool) -> None:
        super()._check_parameters(partial)
        if self.multi_class == "multinomial" and self.loss != "log_loss":
            raise ValueError(f"multi_class='multinomial' needs loss='log_loss'; got loss={self.loss!r}.")
        if partial and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough sample "
                "of the full training set target to properly estimate the class frequency distributions. Pass the "
                "resulting weights as the class_weight parameter."
            )

    def _encode(self, y: Any, reset: bool, partial: bool = False, classes: Any = None) -> NDArray[np.int64]:
        """Class numbers; sets ``classes_`` where ``reset``."""
        check_classification_targets(y)
        if reset:
            vars(self).pop("classes_", None)
        if partial:
            _check_partial_fit_first_call(self, classes)
        elif reset:
            self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {len(self.classes_)} class: {self.classes_}."
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y contains labels that are not in classes {self.classes_}: {unknown}.")
        return np.searchsorted(self.classes_, y)

    def _training_weights(self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool) -> dict[str, Any]:
        """Sample times class weights; in one-vs-rest, a class weighs more in its own problem only, as in scikit-learn
        and LIBLINEAR."""
        if self.class_weight is None:
            return super()._training_weights(rows, kept, normalize)
        classes = np.arange(len(self.classes_))
        by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_[rows.target])
        own = rows.target[:, None] == classes
        sample = np.ones(len(own)) if rows.weight is None else rows.weight
        if self._n_outputs() == 1 or self.multi_class == "multinomial":
            return super()._training_weights(rows._replace(weight=sample * by_class[rows.target]), kept, normalize)
        weights = super()._training_weights(rows._replace(weight=sample), kept, normalize)
        class_weight = np.stack([np.ones_like(by_class), by_class], axis=1)
        if normalize:
            here = slice(None) if kept is None else kept
            class_weight /= np.mean(weights["weight"][here, None] * np.where(own[here], by_class, 1.0), axis=0)[:, None]
        return {**weights, "class_weight": class_weight}

    def _n_outputs(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> LinearProblem:
        binary = self._n_outputs() == 1
        objective = self._objective(CLASSIFICATION[self.loss], self.epsilon, "separate" if binary else self.multi_class)
        y = 2 * target - 1 if binary else target
        return LinearProblem.from_arrays(X, y, weight, objective, self._solver(), self._n_outputs(), **more)

    def _validation_score(self, scores: NDArray[Any], target: NDArray[Any], weight: Any) -> float:
        """Accuracy."""
        predicted = scores[:, 0] > 0 if scores.shape[1] == 1 else scores.argmax(axis=1)
        return float(np.average(predicted == target, weights=weight))

    @available_if(_has_proba)
    def predict_proba(self, X):
        """TODO"""
        check_is_fitted(self)
        scores = self.decision_function(X)
        if self.loss == "log_loss":
            if scores.ndim == 2 and self.multi_class == "multinomial":
                return softmax(scores, axis=1)
            return self._predict_proba_lr(X)
        probability = (np.clip(scores, -1, 1) + 1) / 2
        if scores.ndim == 1:
            return np.stack([1 - probability, probability], axis=1)
        total = probability.sum(axis=1, keepdims=True)
        uniform = np.full_like(probability, 1 / len(self.classes_))
        return np.divide(probability, total, out=uniform, where=total > 0)

    @available_if(_has_proba)
    def predict_log_proba(self, X):
        """TODO"""
        return np.log(self.predict_proba(X))


@documented
class MiniBatchSGDRegressor(RegressorMixin, _LinearModel):
    """TODO"""

    loss_functions = tuple(REGRESSION)
    _parameter_constraints: dict = {
        **_LinearModel._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION))],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        random_state=None,
        learning_rate="invscaling",
        eta0=0.01,
        power_t=0.25,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=False,
        batch_size=32,
        last_batch="keep",
        solver="sgd",
        momentum=0.9,
        beta_1=0.9,
        beta_2=0.999,
        adam_epsilon=1e-8,
        quantile=0.5,
        max_updates=None,
        evaluate_every=None,
        n_jobs=None,
    ):
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.last_batch = last_batch
        self.solver = solver
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.adam_epsilon = adam_epsilon
        self.quantile = quantile
        self.max_updates = max_updates
        self.evaluate_every = evaluate_every
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        coef_init=None,
        intercept_init=None,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """TODO"""
        return self._train(
            X,
            y,
            sample_weight,
            init=(coef_init, intercept_init),
            validation=(X_val, y_val, sample_weight_val),
        )

    def partial_fit(self, X, y, sample_weight=None):
        """TODO"""
        return self._train(X, y, sample_weight, partial=True)

    def predict(self, X):
        """TODO"""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", accept_large_sparse=True, reset=False)
        scores = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        return self._link_inverse(scores)

    def _link_inverse(self, scores: NDArray[Any]) -> NDArray[Any]:
        return np.exp(scores) if self.loss in LOG_LINK else scores

    def _encode(self, y: Any, reset: bool, partial: bool = False) -> NDArray[Any]:
        """The target as it is, if the loss is defined for it."""
        if self.loss == "poisson" and np.min(y) < 0:
            raise ValueError(f"loss='poisson' needs y >= 0; the smallest y is {np.min(y)}.")
        if self.loss == "gamma" and np.min(y) <= 0:
            raise ValueError(f"loss='gamma' needs y > 0; the smallest y is {np.min(y)}.")
        if reset:
            self._target_shape = y.shape[1:]
        elif y.shape[1:] != self._target_shape:
            raise ValueError(f"y has rows of shape {y.shape[1:]}, but the model was fitted with {self._target_shape}.")
        return y

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> LinearProblem:
        parameter = self.quantile if self.loss == "quantile" else self.epsilon
        n_outputs = 1 if target.ndim == 1 else target.shape[1]
        objective = self._objective(REGRESSION[self.loss], parameter, "separate")
        return LinearProblem.from_arrays(X, target, weight, objective, self._solver(), n_outputs, **more)

    def _as_coef(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef if self._target_shape else coef[0]

    def _validation_score(self, scores: NDArray[Any], target: NDArray[Any], weight: Any) -> float:
        """R squared."""
        return float(r2_score(target, self._link_inverse(scores), sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
