"""The linear classifier."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import check_is_fitted

from minibatch._base.docstrings import documented
from minibatch._base.estimator import Rows
from minibatch._base.targets import refuse_balanced_chunks, softmax_of_rows
from minibatch._problems.linear import LinearProblem
from minibatch.engine.losses import CLASSIFICATION
from minibatch.linear_model._base import LinearModel


def _has_proba(self: Any) -> bool:
    if self.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={self.loss!r}")
    return True


@documented
class MiniBatchSGDClassifier(LinearClassifierMixin, LinearModel):
    """Linear classifier (SVM, logistic regression, ...) trained by gradient descent with a chosen batch size.

    ``SGDClassifier`` of scikit-learn with a ``batch_size``: change the class, keep the parameters. It minimises

        ``F(w, b) = sum_i s_i loss(y_i, x_i @ w + b) / sum_i s_i + alpha R(w)``

    with weights ``s_i``, for every batch size alike: an update follows the mean gradient of its batch plus the whole
    gradient of the penalty, ``w -= eta (mean_i s_i grad loss_i + alpha grad R(w))``. With more than two classes, each
    class against the rest has such an objective (or, with ``multi_class='multinomial'``, all have one together).

    Parameters
    ----------
    loss : str, default='hinge'
        With ``z = x @ w + b`` and ``y`` in {-1, +1}: ``'hinge'`` ``max(0, 1 - y z)`` (linear SVM), ``'log_loss'``
        ``log(1 + exp(-y z))`` (logistic regression), ``'squared_hinge'``, ``'perceptron'`` ``max(0, -y z)``,
        ``'modified_huber'`` (the squared hinge, linear below -1), or a loss of a regression on -1 and +1:
        ``'squared_error'``, ``'huber'``, ``'epsilon_insensitive'``, ``'squared_epsilon_insensitive'``.

    $regularization

    $epochs

    epsilon : float, default=0.1
        Width of the flat (``'epsilon_insensitive'``) or quadratic (``'huber'``) part of the loss.

    $n_jobs

    $random_state

    learning_rate : str, default='optimal'
        $schedules

    $eta0

    power_t : float, default=0.5
        Exponent of ``'invscaling'``.

    $stopping

    class_weight : dict {class label: weight}, 'balanced' or None, default=None
        Weights of the classes, multiplied with ``sample_weight``; ``'balanced'`` is ``n_samples / (n_classes *
        np.bincount(y))``. One-vs-rest weighs a class in its own problem only.

    $memory

    $batches

    multi_class : {'ovr', 'multinomial'}, default='ovr'
        With more than two classes: one problem a class against the rest, or one softmax (``loss='log_loss'`` only).

    $cycles

    $scaling

    $growth

    $budget

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.

    classes_ : ndarray of shape (n_classes,)
        Labels of the classes.

    $linear_fitted

    $fitted

    See Also
    --------
    MiniBatchSGDRegressor : The same for regression.
    sklearn.linear_model.SGDClassifier : Batch size 1 in Cython.

    References
    ----------
    $references

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=0.1, random_state=0)
    ... )
    >>> search = GridSearchCV(model, {"minibatchsgdclassifier__batch_size": [1, 32, 0.5, "full"]}).fit(X, y)
    >>> bool(search.best_score_ > 0.97)
    True
    """

    loss_functions = tuple(CLASSIFICATION)
    _parameter_constraints: dict = {
        **LinearModel._parameter_constraints,
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
        max_eta=None,
        cycle_length=None,
        cycle_decay=0.5,
        decay_base=False,
        warmup=0.0,
        learning_rate_scaling=None,
        reference_batch_size=32,
        batch_growth=None,
        batch_growth_interval=None,
        max_batch_size=None,
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
        self.max_eta = max_eta
        self.cycle_length = cycle_length
        self.cycle_decay = cycle_decay
        self.decay_base = decay_base
        self.warmup = warmup
        self.learning_rate_scaling = learning_rate_scaling
        self.reference_batch_size = reference_batch_size
        self.batch_growth = batch_growth
        self.batch_growth_interval = batch_growth_interval
        self.max_batch_size = max_batch_size

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
        """Train on all rows.

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,)
            Class labels: numbers, strings or bools.

        $init

        $weights_and_validation

        Returns
        -------
        self : MiniBatchSGDClassifier

        $fit_raises
        """
        return self._train(
            X,
            y,
            sample_weight,
            init=(coef_init, intercept_init),
            validation=(X_val, y_val, sample_weight_val),
        )

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on a chunk of rows, going on from the last call.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at any rate that does not count
        epochs: ``cycle_length`` and ``warmup`` count calls. The batch does not grow.

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,)
            Class labels of the chunk.

        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Required in the first call.

        $partial

        Returns
        -------
        self : MiniBatchSGDClassifier
        """
        return self._train(X, y, sample_weight, partial=True, classes=classes)

    def _check_parameters(self, partial: bool) -> None:
        super()._check_parameters(partial)
        if self.multi_class == "multinomial" and self.loss != "log_loss":
            raise ValueError(f"multi_class='multinomial' needs loss='log_loss'; got loss={self.loss!r}.")
        refuse_balanced_chunks(self.class_weight, partial)

    def _encode(self, y: Any, reset: bool, partial: bool = False, classes: Any = None) -> NDArray[np.int64]:
        """Class numbers; sets ``classes_`` where ``reset``."""
        check_classification_targets(y)
        if reset:
            self.__dict__.pop("classes_", None)
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
        class_weight = np.stack([np.ones_like(by_class), by_class])
        if normalize:
            here = slice(None) if kept is None else kept
            class_weight /= np.mean(weights["weight"][here, None] * np.where(own[here], by_class, 1.0), axis=0)
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

    def decision_function(self, X):
        """Scores of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            ``X @ coef_.T + intercept_``; for two classes, above 0 where the second is predicted.
        """
        with np.errstate(over="ignore"):  # infinity is the right answer
            return super().decision_function(X)

    @available_if(_has_proba)
    def predict_proba(self, X):
        """Probabilities of the classes, for ``loss='log_loss'`` and ``'modified_huber'``.

        The logistic function of the scores, normalised over the classes for one-vs-rest; the softmax for
        ``multi_class='multinomial'``; ``(clip(score, -1, 1) + 1) / 2`` for the modified Huber loss (Zhang, JMLR 2002).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        check_is_fitted(self)
        softmax_model = self._n_outputs() > 1 and self.multi_class == "multinomial"
        if self.loss == "log_loss" and not softmax_model:
            return self._predict_proba_lr(X)
        scores = self.decision_function(X)
        if softmax_model:
            return softmax_of_rows(scores)
        probability = (np.clip(scores, -1, 1) + 1) / 2
        if scores.ndim == 1:
            return np.stack([1 - probability, probability], axis=1)
        total = probability.sum(axis=1, keepdims=True)
        uniform = np.full_like(probability, 1 / len(self.classes_))
        return np.divide(probability, total, out=uniform, where=total > 0)

    @available_if(_has_proba)
    def predict_log_proba(self, X):
        """Logarithm of ``predict_proba``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; minus infinity where a probability is 0 (modified Huber loss).
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))
