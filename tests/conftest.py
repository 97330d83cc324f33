"""Settings that all tests share, and the convergence curves that the displays are tested on.

``pytest`` leaves out what takes long, ``pytest -m ""`` does not; ``--hypothesis-profile=thorough`` looks further,
``quick`` less.
"""

import warnings

import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import make_regression
from sklearn.exceptions import ConvergenceWarning

from minibatch import MiniBatchSGDRegressor
from minibatch.model_selection import convergence_curve
from references.plots import EPOCHS, FOLDS, SGD, SIZES, X, Y

# The first example of a test may have to wait for a compilation.
settings.register_profile(
    "default", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("default"), max_examples=10)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=500, derandomize=False)
settings.load_profile("default")


@pytest.fixture
def close_figures():
    """Figures are drawn without a screen, and none is left."""
    import matplotlib as mpl

    mpl.use("Agg")

    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curve():
    """Over batch sizes, with a target."""
    return convergence_curve(
        SGD, X, Y, param_range=SIZES, cv=FOLDS, budget={"epochs": EPOCHS}, target={"test_loss": 0.5}
    )


@pytest.fixture(scope="module")
def many():
    """Over twelve batch sizes."""
    sizes = [1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, "full"]
    return convergence_curve(SGD, X, Y, param_range=sizes, cv=2, budget={"epochs": 4}, target=0.7)


@pytest.fixture(scope="module")
def diverging():
    """Over two learning rates, the second of which diverges."""
    Xr, yr = make_regression(90, 4, random_state=0)
    regressor = MiniBatchSGDRegressor(learning_rate="constant", tol=None, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return convergence_curve(
            regressor, Xr, yr, param_name="eta0", param_range=[0.01, 1e8], cv=2, budget={"epochs": 8}
        )
