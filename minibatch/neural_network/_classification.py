"""What the network that classifies does, whatever its parameters: labels to numbers, their weights, probabilities."""

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)

from minibatch._base.rows import Rows, times_class_weights
from minibatch._base.solvers import takes_chunks
from minibatch._base.targets import (
    check_class_weight,
    numbers_of_known,
    numbers_of_labels,
    refuse_other_classes,
    softmax_of_rows,
)
from minibatch._base.types import Matrix, available_if, checks_parameters
from minibatch._problems.mlp import MLPProblem
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.losses import LOG_LOSS
from minibatch.neural_network._base import MultiLayerPerceptron

__all__ = ["ClassifyingNetwork"]


class ClassifyingNetwork(ClassifierMixin, MultiLayerPerceptron):
    """The network that classifies but for the list of its parameters."""

    classes_: NDArray[Any]
    _label_binarizer: LabelBinarizer

    _parameter_constraints: dict = {
        **MultiLayerPerceptron._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    @checks_parameters
    def fit(
        self,
        X: Matrix,
        y: Matrix,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Matrix | None = None,
        y_val: Matrix | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels (numbers, strings or bools), or an indicator matrix of 0 and 1 for several labels a row.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative; only their ratios matter.
        X_val, y_val, sample_weight_val : array-like, default=None
            A validation set of your own: its loss and score are recorded after every epoch, and ``early_stopping`` uses
            it instead of holding out rows. A search or cross-validation of scikit-learn cuts what it hands on to
            ``fit`` to its folds where that is as long as X: there, give a set of another length.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError
            For wrong parameters or data, before any work; the estimator stays as it was.

        Warns
        -----
        ConvergenceWarning
            If training diverged (MB109; the last finite parameters are kept) or reached ``max_iter`` first (MB105 to
            MB108); the message says whether the objective was still descending or had reached the noise of the batch
            size.
        """
        return self._train(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))

    @available_if(takes_chunks)
    def partial_fit(
        self, X: Matrix, y: Matrix, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on a chunk of rows, going on from the last call. Not with ``solver='lbfgs'``.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at a constant rate and without
        dropout: ``'invscaling'`` changes the rate from call to call, ``cycle_length`` and ``warmup`` count calls, and
        dropout takes the rows of a call by their number in it. ``'adaptive'`` keeps the rate. ``max_iter`` and
        ``max_updates`` end nothing: the whole chunk is trained on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels of the chunk.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, used as they are: a chunk does not know the others, so give weights of mean 1 overall.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; of an indicator matrix the numbers of its columns. Required in the first
            call.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._train(X, y, sample_weight, partial=True, classes=classes)

    def predict(self, X: Matrix) -> NDArray[Any] | Any:  # sparse where y was
        """Predicted labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class; for several labels a row, 1 where a label is more probable than not (sparse where y
            was).
        """
        probabilities, binarizer = self._probabilities(self._scores(X)), self._label_binarizer
        if binarizer.y_type_ == "multiclass":
            return binarizer.classes_[probabilities.argmax(axis=1)]
        if binarizer.y_type_ == "binary" and len(binarizer.classes_) == 2:
            return binarizer.classes_[(probabilities > 0.5).astype(int)]
        return binarizer.inverse_transform(probabilities)

    def predict_proba(self, X: Matrix) -> NDArray[Any]:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

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

    def predict_log_proba(self, X: Matrix) -> NDArray[Any]:
        """Logarithm of ``predict_proba``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

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
        check_class_weight(self.class_weight, partial)

    def _encode(self, y: Any, reset: bool, partial: bool = False, classes: Any = None) -> NDArray[Any]:
        """Bools for two classes or for the columns of an indicator matrix, else class numbers; sets ``classes_`` where
        ``reset``."""
        one_of_them = not reset and classes is None and self._label_binarizer.y_type_ in ("binary", "multiclass")
        known = numbers_of_known(self.classes_, y) if one_of_them else None
        if known is not None:
            return known if self._out_activation() == "softmax" else known.astype(bool)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        goes_on = hasattr(self, "history_") and self.warm_start
        if reset and not goes_on:
            self.__dict__.pop("classes_", None)
        first = _check_partial_fit_first_call(self, classes) if partial else reset and not goes_on
        if first:
            several = type_of_target(y).startswith("multilabel")
            if several and partial and not np.array_equal(self.classes_, np.arange(y.shape[1])):
                raise ValueError(
                    f"classes must be the numbers of the columns of y, range({y.shape[1]}), where a row may have "
                    f"several labels; got {classes!r}."
                )
            given = y if several or not partial else classes
            self._label_binarizer = LabelBinarizer().fit(given)
            self.classes_ = self._label_binarizer.classes_
        self._check_kind(y)
        self._check_classes(unique_labels(y), every=reset and goes_on and not partial)
        if self._out_activation() == "softmax":
            return numbers_of_labels(self.classes_, y)
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
        if every:
            refuse_other_classes(present, self.classes_)
        unknown = np.setdiff1d(present, self.classes_)
        if len(unknown):
            raise ValueError(f"y contains labels that are not in classes {self.classes_}: {unknown}.")

    def _decode(self, target: NDArray[Any]) -> NDArray[Any]:
        """Labels, or an indicator matrix, of what ``_encode`` makes of them."""
        numbers = target.astype(int)
        return numbers if target.ndim == 2 else self.classes_[numbers]

    def _training_weights(self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool) -> dict[str, Any]:
        """Sample times class weights."""
        if self.class_weight is not None:
            target = rows.target.astype(int)
            if target.ndim == 1:
                labels = self.classes_[target]
                by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)[target]
            else:
                by_class = compute_sample_weight(self.class_weight, target)
            rows = rows._replace(weight=times_class_weights(rows.weight, by_class, relative=normalize))
        return super()._training_weights(rows, kept, normalize)

    def _n_outputs(self) -> int:
        """Of the network, by the labels."""
        several = self._label_binarizer.y_type_ != "binary"
        return len(self.classes_) if several else 1

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
