"""testing: each check finds the fault that it is for, and explains it."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, RegressorMixin

from minibatch import MiniBatchSGDRegressor
from minibatch.testing import (
    batch_checks,
)

CHECKS = dict(batch_checks(MiniBatchSGDRegressor()))


class Faulty(MiniBatchSGDRegressor):
    """A regressor that trains with other parameters or rows than those asked for."""

    def parameters(self, n_samples):
        return {}

    def rows(self, X, y, sample_weight):
        return X, y, sample_weight

    def fit(self, X, y, sample_weight=None):
        X, y, sample_weight = self.rows(X, y, sample_weight)
        asked = self.get_params()
        try:
            self.set_params(**self.parameters(len(y)))
            return super().fit(X, y, sample_weight=sample_weight)
        finally:
            self.set_params(**asked)

    def size(self, n_samples):
        return self.batch_size if isinstance(self.batch_size, int) else n_samples


class DividesPenalty(Faulty):
    def parameters(self, n_samples):
        return {"alpha": self.alpha / self.size(n_samples)}


class SumsGradients(Faulty):
    def parameters(self, n_samples):
        return {"eta0": self.eta0 * self.size(n_samples)}


class ForgetsTheLastRow(Faulty):
    def rows(self, X, y, sample_weight):
        return X[:-1], y[:-1], sample_weight if sample_weight is None else sample_weight[:-1]


class DropsShortBatches(Faulty):
    def parameters(self, n_samples):
        return {"last_batch": "drop"}


class KnowsNoFullBatch(Faulty):
    def parameters(self, n_samples):
        return {"batch_size": 8 if self.batch_size == "full" else self.batch_size}


class CapsBatches(Faulty):
    def parameters(self, n_samples):
        return {"batch_size": min(self.size(n_samples), n_samples) - (self.batch_size == n_samples + 7)}


class ShrinksSparseRows(Faulty):
    def rows(self, X, y, sample_weight):
        return X * (0.999 if sp.issparse(X) else 1.0), y, sample_weight


class MixesUpColumns(Faulty):
    """Of CSC matrices."""

    def rows(self, X, y, sample_weight):
        return X[:, ::-1] if sp.issparse(X) and X.format == "csc" else X, y, sample_weight


class TakesRootsOfWeights(Faulty):
    def rows(self, X, y, sample_weight):
        return X, y, sample_weight if sample_weight is None else np.sqrt(sample_weight)


class CountsWeightlessRows(Faulty):
    def rows(self, X, y, sample_weight):
        return X, y, sample_weight if sample_weight is None else np.maximum(sample_weight, 1e-3)


class OrdersByBatchSize(Faulty):
    def parameters(self, n_samples):
        return {"random_state": self.random_state + self.size(n_samples)}


class IgnoresTheSeed(Faulty):
    def parameters(self, n_samples):
        return {"random_state": 3}


class HasNoSeed(Faulty):
    def parameters(self, n_samples):
        return {"random_state": None}


class TakesChunksTwice(Faulty):
    def partial_fit(self, X, y, sample_weight=None):
        super().partial_fit(X, y, sample_weight)
        return super().partial_fit(X, y, sample_weight)


class CountsEpochs(Faulty):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.n_updates_ = self.n_iter_
        return self


class KeepsTheBatchSizeAsked(Faulty):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.batch_size_ = 2 * self.batch_size_
        return self


class GoesOn(Faulty):
    def parameters(self, n_samples):
        return {"warm_start": True}


class LosesPrecision(Faulty):
    def __getstate__(self):
        state = super().__getstate__()
        return state | {"coef_": state["coef_"].astype(np.float32)} if "coef_" in state else state


FAULTS = {
    DividesPenalty: ("penalty_does_not_depend_on_batch_size", "Without penalty they agree, so the penalty depends on"),
    SumsGradients: ("penalty_does_not_depend_on_batch_size", "Without penalty they differ too: the gradient must be"),
    ForgetsTheLastRow: ("full_batch_ignores_the_order_of_rows", "batch_size=24 on 24 rows, once in another order: the"),
    KnowsNoFullBatch: ("all_rows_are_a_full_batch", "batch_size='full' and batch_size=24 on 24 rows: the models"),
    CapsBatches: ("all_rows_are_a_full_batch", "batch_size=31 and batch_size=24 on 24 rows: the models differ by"),
    ShrinksSparseRows: ("dense_equals_sparse", "Dense and csr_array rows at batch_size=1: the models differ by 0.00"),
    MixesUpColumns: ("dense_equals_sparse", "Dense and csc_array rows at batch_size=1: the models differ by"),
    TakesRootsOfWeights: ("weights_are_repetitions", "Weights and repeated rows in full batches: the models differ"),
    CountsWeightlessRows: ("weights_are_repetitions", "Weights and repeated rows in full batches: the models differ"),
    OrdersByBatchSize: ("seed_alone_orders_the_rows", "but one by one in turns .*: the order depends on the batch"),
    IgnoresTheSeed: ("seed_alone_orders_the_rows", "random_state=0 and random_state=1 give the same order of 12 rows"),
    TakesChunksTwice: ("partial_fits_over_slices_are_an_epoch", "partial_fit over slices of 6 rows, and an epoch at"),
    CountsEpochs: ("updates_are_counted", "n_updates_ is 3, not 72, after 3 epochs over 24 rows at batch_size=1"),
    KeepsTheBatchSizeAsked: ("updates_are_counted", "batch_size_ is 2, not 1, after 3 epochs over 24 rows at batch"),
    DropsShortBatches: ("updates_are_counted", "n_updates_ is 12, not 15, after 3 epochs over 24 rows at batch_size"),
    HasNoSeed: ("clone_pickle_and_refit_give_the_same_model", "A clone learns something else, by"),
    GoesOn: ("clone_pickle_and_refit_give_the_same_model", "The estimator, fitted again, learns something else, by"),
    LosesPrecision: ("clone_pickle_and_refit_give_the_same_model", "A fitted model changes when it is pickled"),
}


@pytest.mark.parametrize("faulty", FAULTS, ids=lambda faulty: faulty.__name__)
def test_a_fault_is_found_and_explained(faulty):
    name, words = FAULTS[faulty]
    with pytest.raises(AssertionError, match=words) as caught:
        CHECKS[f"check_{name}"](faulty())
    assert len(str(caught.value)) < 400


def test_every_check_has_a_fault_to_find():
    assert {f"check_{name}" for name, _ in FAULTS.values()} == set(CHECKS)


class Wrapped(RegressorMixin, BaseEstimator):
    """Shows predictions only."""

    def __init__(self, batch_size=8, inside=MiniBatchSGDRegressor):
        self.batch_size = batch_size
        self.inside = inside

    def fit(self, X, y):
        self._model = self.inside(batch_size=self.batch_size, max_iter=5, tol=None, random_state=0).fit(X, y)
        return self

    def predict(self, X):
        return self._model.predict(X)


def test_an_estimator_that_shows_no_parameters_is_compared_by_predictions():
    names = []
    for name, check in batch_checks(Wrapped()):
        names.append(name)
        check(Wrapped())
    assert names == [
        "check_full_batch_ignores_the_order_of_rows",
        "check_all_rows_are_a_full_batch",
        "check_clone_pickle_and_refit_give_the_same_model",
    ]
    with pytest.raises(AssertionError, match="once in another order"):
        CHECKS["check_full_batch_ignores_the_order_of_rows"](Wrapped(inside=ForgetsTheLastRow))
