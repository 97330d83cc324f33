"""What a search keeps of every candidate besides its score."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from minibatch._base.pipelines import split_pipeline, transform

__all__ = ["ConvergenceScorer"]

_KEPT = ("loss", "n_updates", "n_iter", "n_samples_seen", "seconds", "train_loss", "batch_size")
_STATUSES = ("converged", "max_iter", "max_updates", "early_stopped", "stopped_by_callback", "diverged")


class ConvergenceScorer:
    """A scorer that also reports how training went, for ``scoring=`` of a search or of ``cross_validate``
    (``cross_val_score`` takes one number only).

    With ``GridSearchCV(..., scoring=ConvergenceScorer("accuracy"), refit="score")``, ``cv_results_`` has, besides
    ``mean_test_score``, the columns ``mean_test_<name>``, ``std_test_<name>`` and ``split0_test_<name>`` ... for each
    name below. They are about the fit, so they are the same under ``train`` as under ``test``, but for the scores and
    ``loss``.

    ====================== =============================================================================================
    ``score``              the score; with several, their own names instead
    ``loss``               mean loss on the rows that are scored, without penalty: ``mean_test_loss``, and
                           ``mean_train_loss`` with ``return_train_score=True``
    ``n_updates``          updates done
    ``n_iter``             epochs done
    ``n_samples_seen``     rows trained on
    ``seconds``            of training, evaluations and compilation of the search left out
    ``train_loss``         the last training loss in ``history_``; without ``evaluate_every`` the mean loss of the last
                           epoch's rows, each just before it was trained on (``progressive_loss``)
    ``batch_size``         rows in a batch, resolved
    ``status_<status>``    1 where ``status_`` is that, else 0: means are shares of folds. ``status_converged``,
                           ``status_max_iter``, ``status_max_updates``, ``status_early_stopped``,
                           ``status_stopped_by_callback``, ``status_diverged``
    ====================== =============================================================================================

    Parameters
    ----------
    scoring : str, callable, list, tuple, dict or None, default=None
        As in scikit-learn. Several (a list of names, or a dict of names to scorings) give a column each; ``refit`` is
        then one of their names, which must differ from the columns above.

    Raises
    ------
    ValueError
        If a score has the name of another column.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.model_selection import ConvergenceScorer
    >>> X, y = load_iris(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier(max_iter=5, tol=None, random_state=0)
    >>> grid = {"batch_size": [1, 16, "full"]}
    >>> search = GridSearchCV(
    ...     sgd, grid, scoring=ConvergenceScorer("accuracy"), refit="score"
    ... ).fit(X, y)
    >>> search.cv_results_["mean_test_n_updates"]
    array([600.,  40.,   5.])
    """

    def __init__(self, scoring: Any = None) -> None:
        self.scoring = scoring
        taken = {*_KEPT, *(f"status_{status}" for status in _STATUSES)} & _by_name(scoring).keys()
        if taken:
            raise ValueError(f"scoring must not use the names of what is kept besides; got {', '.join(sorted(taken))}.")

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        transformers, final = split_pipeline(estimator)
        known = not _has_unknown_labels(final, y)  # the score may be known all the same
        loss = final._loss(transform(transformers, X), y, sample_weight) if known else np.nan
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        scorings = _by_name(self.scoring)
        scorer = check_scoring(estimator, scoring=scorings)
        try:
            scores = scorer(estimator, X, y, **weights)
        except ValueError as error:
            # metrics refuse the infinite predictions of a fit that diverged, and rows that lack a class of the model;
            # what else is known is kept (a search cannot do with a scorer that raises in some of its folds)
            if np.isfinite(loss) or not known:
                warnings.warn(f"Scoring failed, and the score is NaN: {error} [MB402]", UserWarning, stacklevel=2)
            scores = dict.fromkeys(scorings, np.nan)
        return {**scores, "loss": loss if np.isfinite(loss) else np.nan, **_training(final)}

    def get_metadata_routing(self) -> MetadataRouter:
        """What the scores ask for, with scikit-learn's metadata routing. The estimator's own score cannot be asked."""
        router = MetadataRouter(owner=self)
        for name, scoring in _by_name(self.scoring).items():
            if scoring is not None:
                scores = MethodMapping().add(caller="score", callee="score")
                router.add(**{name: get_scorer(scoring)}, method_mapping=scores)
        return router

    def __repr__(self) -> str:
        return f"ConvergenceScorer({'' if self.scoring is None else repr(self.scoring)})"


def _has_unknown_labels(final: Any, y: Any) -> bool:
    """Whether rows have a class that the training part lacked."""
    check_is_fitted(final)
    return hasattr(final, "classes_") and np.ndim(y) == 1 and len(np.setdiff1d(y, final.classes_)) > 0


def _by_name(scoring: Any) -> dict[str, Any]:
    if isinstance(scoring, Mapping):
        return dict(scoring)
    return {name: name for name in scoring} if isinstance(scoring, list | tuple | set) else {"score": scoring}


def _training(final: Any) -> dict[str, float]:
    """What the history says."""
    last = final.history_.last
    evaluated = final.history_["train_loss"] if "train_loss" in final.history_ else np.array([])
    known = evaluated[np.isfinite(evaluated)]
    return {
        "n_updates": final.n_updates_,
        "n_iter": final.n_iter_,
        "n_samples_seen": last("n_samples_seen"),
        "seconds": last("seconds"),
        "train_loss": known[-1] if len(known) else last("progressive_loss", np.nan),
        "batch_size": final.batch_size_,
        **{f"status_{status}": float(final.status_ == status) for status in _STATUSES},
    }
