"""The network that classifies."""

from functools import partial as partially
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)

from minibatch._base.docstrings import documented
from minibatch._base.estimator import Rows
from minibatch._base.targets import refuse_balanced_chunks, softmax_of_rows
from minibatch._problems.mlp import MLPProblem
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.losses import LOG_LOSS
from minibatch.neural_network._base import MultiLayerPerceptron, takes_chunks
from minibatch.neural_network._docstrings import ENTRIES


@partially(documented, entries=ENTRIES)
class MiniBatchMLPClassifier(ClassifierMixin, MultiLayerPerceptron):
    """Multi-layer perceptron for classification, trained by gradient descent with a chosen batch size.

    ``MLPClassifier`` of scikit-learn with an honest ``batch_size``: change the class, keep the parameters. It minimises

        ``F = sum_i s_i loss(y_i, f(x_i)) / sum_i s_i + alpha/2 sum_layers ||W||^2``

    with weights ``s_i``, for every batch size alike: an update follows the mean gradient of its batch plus the whole
    gradient of the penalty. The loss is the cross-entropy of the softmax of the last layer; for two classes the log
    loss of its one output; for several labels a row (y an indicator matrix) the sum of the log losses of the labels.

    Parameters
    ----------
    $layers

    $training

    class_weight : dict, list of dict, 'balanced' or None, default=None
        Weights of the classes, multiplied with ``sample_weight``; ``'balanced'`` is ``n_samples / (n_classes *
        np.bincount(y))``. For several labels a row: ``'balanced'`` or a list with one dict a label, whose weights are
        multiplied.

    $regularization_of_networks

    $cycles

    $scaling

    $growth

    $budget

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes.

    $network_fitted

    $fitted

    See Also
    --------
    MiniBatchMLPRegressor : The same for regression.
    MiniBatchSGDClassifier : Without hidden layers.
    sklearn.neural_network.MLPClassifier : A Python loop over batches; the penalty depends on their size.

    Notes
    -----
    The first weights are uniform with the bounds of Glorot & Bengio [6]_, as in scikit-learn. Batches that are worth
    it (rows times weights from 300,000 on) are shared by as many threads as BLAS is set to use; results do not depend
    on their number.

    References
    ----------
    $references

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from minibatch import MiniBatchMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MiniBatchMLPClassifier((32,), max_iter=10, tol=None, random_state=0)
    >>> search = GridSearchCV(model, {"batch_size": [8, 64, "full"]}).fit(X / 16, y)
    >>> search.best_params_
    {'batch_size': 8}
    >>> search.best_estimator_.history_
    History of 10 epochs, 2250 updates: progressive_loss ... -> ...
    """

    _parameter_constraints: dict = {
        **MultiLayerPerceptron._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        class_weight=None,
        dropout=0.0,
        batch_normalization=False,
        last_batch="keep",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.dropout = dropout
        self.batch_normalization = batch_normalization
        self.last_batch = last_batch
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
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train on all rows.

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels (numbers, strings or bools), or an indicator matrix of 0 and 1 for several labels a row.

        $weights_and_validation

        Returns
        -------
        self : MiniBatchMLPClassifier

        $fit_raises
        """
        return self._train(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(takes_chunks)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train for one epoch on a chunk of rows, going on from the last call. Not with ``solver='lbfgs'``.

        $chunks

        Parameters
        ----------
        $X

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels of the chunk.

        $partial

        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Required in the first call.

        Returns
        -------
        self : MiniBatchMLPClassifier
        """
        return self._train(X, y, sample_weight, partial=True, classes=classes)

    def predict(self, X):
        """Predicted labels.

        Parameters
        ----------
        $X_predict

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class; for several labels a row, 1 where a label is more probable than not (sparse where y
            was).
        """
        probabilities = self._probabilities(self._scores(X))
        return self._label_binarizer.inverse_transform(probabilities)

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        $X_predict

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``. The softmax of the scores, or, for two classes, the logistic function of the
            one score. For several labels a row, the probability of each; they do not sum to 1.
        """
        probabilities = self._probabilities(self._scores(X))
        if self.n_outputs_ > 1:
            return probabilities
        if len(self.classes_) == 1:
            return np.ones((len(probabilities), 1), probabilities.dtype)
        return np.stack([1 - probabilities, probabilities], axis=1)

    def predict_log_proba(self, X):
        """Logarithm of ``predict_proba``.

        Parameters
        ----------
        $X_predict

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; minus infinity where a probability rounds to 0.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _probabilities(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Of all outputs; one-dimensional for two classes, as the label binarizer wants them."""
        if self.out_activation_ == "softmax":
            return softmax_of_rows(scores)
        return expit(scores if scores.shape[1] > 1 else scores[:, 0])

    def _check_parameters(self, partial: bool) -> None:
        super()._check_parameters(partial)
        refuse_balanced_chunks(self.class_weight, partial)

    def _encode(self, y: Any, reset: bool, partial: bool = False, classes: Any = None) -> NDArray[Any]:
        """Bools for two classes or for the columns of an indicator matrix, else class numbers; sets ``classes_`` where
        ``reset``."""
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        goes_on = hasattr(self, "history_") and self.warm_start
        if reset and not goes_on:
            self.__dict__.pop("classes_", None)
        first = _check_partial_fit_first_call(self, classes) if partial else reset and not goes_on
        if first:
            given = y if not partial or type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(given)
            self.classes_ = self._label_binarizer.classes_
        self._check_kind(y)
        self._check_classes(unique_labels(y), every=reset and goes_on and not partial)
        if self._out_activation() == "softmax":
            return np.searchsorted(self.classes_, y)
        encoded = self._label_binarizer.transform(y)
        encoded = (encoded.toarray() if sp.issparse(encoded) else encoded).astype(bool)
        return encoded if encoded.shape[1] > 1 else encoded[:, 0]

    def _check_kind(self, y: Any) -> None:
        """Whether y is one label a row, or an indicator matrix, as the one that the labels are known from."""
        n_labels = len(self.classes_) if self._label_binarizer.y_type_.startswith("multilabel") else 0
        given = y.shape[1] if y.ndim == 2 else 0
        if given != n_labels:
            said, known = (f"an indicator matrix of {n} labels" if n else "one label a row" for n in (given, n_labels))
            raise ValueError(f"y has {said}, but the labels are known as {known}.")

    def _check_classes(self, present: NDArray[Any], every: bool) -> None:
        """Whether labels are among those known; with ``every``, whether they are all of them."""
        if every and set(present) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {present}"
            )
        unknown = np.setdiff1d(present, self.classes_)
        if len(unknown):
            raise ValueError(f"y contains labels that are not in classes {self.classes_}: {unknown}.")

    def _training_weights(self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool) -> dict[str, Any]:
        """Sample times class weights."""
        if self.class_weight is not None:
            target = rows.target.astype(int)
            if target.ndim == 1:
                labels = self.classes_[target]
                by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)[target]
            else:
                by_class = compute_sample_weight(self.class_weight, target)
            rows = rows._replace(weight=by_class if rows.weight is None else rows.weight * by_class)
        return super()._training_weights(rows, kept, normalize)

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> MLPProblem:
        if self._out_activation() == "softmax":
            objective = self._objective(LOG_LOSS, SOFTMAX)
            return self._mlp_problem(X, target, weight, objective, len(self.classes_), **more)
        n_labels = 1 if target.ndim == 1 else target.shape[1]
        return self._mlp_problem(X, np.where(target, 1, -1), weight, self._objective(LOG_LOSS), n_labels, **more)

    def _validation_score(self, scores: NDArray[Any], target: NDArray[Any], weight: Any) -> float:
        """Accuracy: of several labels a row, all must be right."""
        if self._out_activation() == "softmax":
            right = scores.argmax(axis=1) == target
        else:
            right = ((scores > 0) == target.reshape(scores.shape)).all(axis=1)
        return float(np.average(right, weights=weight))

    def _out_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
