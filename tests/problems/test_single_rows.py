"""_problems.single_rows: the penalty along batches of one row, against one computed before every update."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 7)) * (rng.random((30, 7)) < 0.7)
y = X @ rng.standard_normal(7) + 1.0
ONE_ROW = {"batch_size": 1, "shuffle": False, "learning_rate": "constant", "eta0": 0.05, "alpha": 0.3}


def penalty(model):
    return 0.5 * model.alpha * float((model.coef_.astype(float) ** 2).sum())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("average", [False, 5])
@pytest.mark.parametrize("alpha", [0.3, 30.0])  # with the latter an update multiplies the weights by 0
@pytest.mark.parametrize("loss", ["squared_error", "hinge"])
def test_the_mean_penalty_before_the_updates(loss, alpha, average, layout, dtype):
    estimator, target = (MiniBatchSGDRegressor, y) if loss == "squared_error" else (MiniBatchSGDClassifier, y > 1)
    model = estimator(loss, **{**ONE_ROW, "alpha": alpha}, max_iter=3, tol=0.0, n_iter_no_change=9, average=average)
    rows = layout(X.astype(dtype))
    history = model.fit(rows, target).history_
    if average and layout is sp.csr_array:  # another loop, which does not follow the penalty
        return
    step = estimator(loss, **{**ONE_ROW, "alpha": alpha})
    step.partial_fit(
        rows[:0].__class__((1, 7)) if sp.issparse(rows) else np.zeros((1, 7), dtype),
        target[:1],
        *([[False, True]] if loss == "hinge" else []),
    )
    step.coef_[...], step.intercept_[...] = 0.0, 0.0
    for epoch in range(3):
        penalties = []
        for i in range(30):
            penalties.append(penalty(step))
            step.partial_fit(rows[i : i + 1], target[i : i + 1])
        along = history["progressive_objective"][epoch] - history["progressive_loss"][epoch]
        assert_allclose(along, np.mean(penalties), rtol=1e-4 if dtype == np.float32 else 1e-9, atol=1e-12)


def test_rows_whose_squares_overflow_are_not_followed():
    model = MiniBatchSGDRegressor(**{**ONE_ROW, "eta0": 1e-320}, max_iter=3)
    history = model.fit(1e160 * X, y).history_
    assert np.isfinite(history["progressive_objective"]).all()
