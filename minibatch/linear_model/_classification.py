"""What the linear classifier does, whatever its parameters: labels to numbers, their weights, probabilities."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets

from minibatch._base.fitted import refuse_unfitted
from minibatch._base.rows import Rows, relative_weights, times_class_weights
from minibatch._base.solvers import takes_chunks
from minibatch._base.targets import (
    check_class_weight,
    numbers_of_known,
    numbers_of_labels,
    refuse_other_classes,
    softmax_of_rows,
)
from minibatch._base.types import Matrix, available_if, checks_parameters
from minibatch._problems.linear import LinearProblem
from minibatch.engine.losses import CLASSIFICATION
from minibatch.linear_model._base import LinearModel

__all__ = ["ClassifyingLinearModel"]


def _has_proba(self: Any) -> bool:
    if self.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={self.loss!r}")
    return True


class ClassifyingLinearModel(LinearClassifierMixin, LinearModel):
    """The linear classifier but for the list of its parameters."""

    classes_: NDArray[Any]

    @checks_parameters
    def fit(
        self,
        X: Matrix,
        y: ArrayLike,
        coef_init: Matrix | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Matrix | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : array-like of shape (n_samples,)
            Class labels: numbers, strings or bools.
        coef_init : array-like, default=None
            Weights to begin with, of the shape of ``coef_``. Zeros if None.
        intercept_init : array-like, default=None
            Intercepts to begin with, of the shape of ``intercept_``. Zeros if None; for ``'poisson'`` and ``'gamma'``
            the logarithm of the mean of y.
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
        init, validation = (coef_init, intercept_init), (X_val, y_val, sample_weight_val)
        return self._train(X, y, sample_weight, init=init, validation=validation)

    @available_if(takes_chunks)
    def partial_fit(
        self, X: Matrix, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on a chunk of rows, going on from the last call.

        On the slices of an unshuffled epoch, one batch a call, this is that epoch, at any rate that does not count
        epochs: ``cycle_length`` and ``warmup`` count calls. The batch does not grow, and ``max_iter`` and
        ``max_updates`` end nothing: the whole chunk is trained on.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. C-ordered float32 and float64 arrays and CSR matrices are used as they are, others are
            converted once. The parameters have the type of X. Scale the columns: see ``StandardScaler``.
        y : array-like of shape (n_samples,)
            Class labels of the chunk.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Required in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, used as they are: a chunk does not know the others, so give weights of mean 1 overall.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._train(X, y, sample_weight, partial=True, classes=classes)

    def predict(self, X: Matrix) -> NDArray[Any]:
        """Predicted labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            The class with the highest score.
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def decision_function(self, X: Matrix) -> NDArray[Any]:
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
        scores = self._scores(X)
        return scores.ravel() if scores.shape[1] == 1 else scores

    @available_if(_has_proba)
    def predict_proba(self, X: Matrix) -> NDArray[Any]:
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
        refuse_unfitted(self)
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
    def predict_log_proba(self, X: Matrix) -> NDArray[Any]:
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

    def _check_parameters(self, partial: bool) -> None:
        super()._check_parameters(partial)
        if self.multi_class == "multinomial" and self.loss != "log_loss":
            raise ValueError(f"multi_class='multinomial' needs loss='log_loss'; got loss={self.loss!r}.")
        check_class_weight(self.class_weight, partial)

    def _encode(self, y: Any, reset: bool, partial: bool = False, classes: Any = None) -> NDArray[np.int64]:
        """Class numbers; sets ``classes_`` where ``reset``."""
        known = None if reset or classes is not None else numbers_of_known(getattr(self, "classes_", None), y)
        if known is not None:
            return known
        check_classification_targets(y)
        goes_on = hasattr(self, "history_") and self.warm_start
        if reset and goes_on and not partial:
            refuse_other_classes(np.unique(y), self.classes_)
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
        return numbers_of_labels(self.classes_, y)

    def _decode(self, target: NDArray[np.int64]) -> NDArray[Any]:
        """Labels of class numbers."""
        return self.classes_[target]

    def _training_weights(self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool) -> dict[str, Any]:
        """Sample times class weights; in one-vs-rest, a class weighs more in its own problem only, as in scikit-learn
        and LIBLINEAR."""
        if self.class_weight is None:
            return super()._training_weights(rows, kept, normalize)
        by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_[rows.target])
        weight = times_class_weights(rows.weight, by_class[rows.target], relative=normalize)
        if self._n_outputs() == 1 or self.multi_class == "multinomial":
            return super()._training_weights(rows._replace(weight=weight), kept, normalize)
        class_weight = np.stack([np.ones_like(by_class), by_class])
        if not normalize:
            return {**super()._training_weights(rows, kept, normalize), "class_weight": class_weight}
        relative_weights(weight, kept)  # refuses what is all zero
        sample = relative_weights(np.ones(len(weight)) if rows.weight is None else rows.weight, kept)
        class_weight /= np.maximum(1.0, by_class)  # so that sums do not overflow
        own = np.bincount(rows.target, sample, len(by_class))
        before, after = np.cumsum(own), np.cumsum(own[::-1])[::-1]
        rest = np.append(0.0, before[:-1]) + np.append(after[1:], 0.0)  # no difference, in which little would be lost
        mean = (rest * class_weight[0] + own * class_weight[1]) / before[-1]
        return {"weight": sample, "class_weight": class_weight / mean}

    def _n_outputs(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _new_problem(self, X: Any, target: Any, weight: Any, **more: Any) -> LinearProblem:
        binary = self._n_outputs() == 1
        objective = self._objective(CLASSIFICATION[self.loss], self.epsilon, "separate" if binary else self.multi_class)
        # what others have made of these rows has y already
        y = 2 * target - 1 if binary and more.get("data") is None else target
        return LinearProblem.from_arrays(X, y, weight, objective, self._solver(), self._n_outputs(), **more)

    def _validation_score(self, scores: NDArray[Any], target: NDArray[Any], weight: Any) -> float:
        """Accuracy."""
        hits = (scores[:, 0] > 0 if scores.shape[1] == 1 else scores.argmax(axis=1)) == target
        return np.count_nonzero(hits) / len(hits) if weight is None else float(np.average(hits, weights=weight))
