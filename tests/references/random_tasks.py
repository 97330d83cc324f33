"""Random estimators with random data of their kind, and what property tests ask of them."""

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from sklearn.base import is_classifier

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.testing import classification_data, estimators, regression_data

LINEAR = (MiniBatchSGDClassifier, MiniBatchSGDRegressor)
NETWORKS = (MiniBatchMLPClassifier, MiniBatchMLPRegressor)

# Where rounding may decide between the two sides of a kink, two ways of computing may part: these losses and
# activations have none, so they stay together.
SMOOTH = {
    MiniBatchSGDClassifier: {"loss": st.sampled_from(["log_loss", "squared_hinge", "squared_error", "modified_huber"])},
    MiniBatchSGDRegressor: {"loss": st.sampled_from(["squared_error", "huber", "squared_epsilon_insensitive"])},
    MiniBatchMLPClassifier: {"activation": st.sampled_from(["tanh", "identity", "logistic", "gelu"])},
    MiniBatchMLPRegressor: {"activation": st.sampled_from(["tanh", "identity", "logistic", "gelu"])},
}


def smooth_estimators(classes=(*LINEAR, *NETWORKS), **parameters):
    """Of these classes, without kinks; parameters that a class does not have are left out."""
    return st.one_of(
        [
            estimators(kind, **SMOOTH[kind], **{n: v for n, v in parameters.items() if n in kind().get_params()})
            for kind in classes
        ]
    )


@st.composite
def tasks(draw, models, **options):
    """An estimator and data of its kind: ``(model, X, y)``, or with weights ``(model, X, y, sample_weight)``."""
    model = draw(models)
    return model, *draw((classification_data if is_classifier(model) else regression_data)(**options))


def arrays_of(model):
    """All fitted parameters, by name."""
    parts = {}
    for name in ("coef_", "intercept_", "coefs_", "intercepts_"):
        value = getattr(model, name, [])
        parts |= {f"{name} {i}": part for i, part in enumerate(value if isinstance(value, list) else [value])}
    return parts


def theta(model):
    """All of them, as one vector."""
    return np.concatenate([np.ravel(part) for part in arrays_of(model).values()])


def dense(X):
    return X.toarray() if sp.issparse(X) else X
