"""The strategy for estimators: parameters that are valid together, on any data."""

import inspect
from typing import Any

from hypothesis import assume, note
from hypothesis import strategies as st
from sklearn.utils._param_validation import InvalidParameterError

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.trials import check_parameters
from minibatch._problems.passive import PASSIVE
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.losses import CLASSIFICATION, REGRESSION, SMOOTH
from minibatch.engine.optimizers import SOLVERS, VARIANCE_REDUCED
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDOneClassSVM, MiniBatchSGDRegressor
from minibatch.neural_network import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from minibatch.schedules._named import ONCE_A_RUN, SCHEDULES
from minibatch.testing._data import batch_sizes

__all__ = ["KINDS", "LOSSES", "OF_ALL", "OF_LINEAR", "OF_NETWORKS", "OF_ONE_CLASS", "estimators"]

KINDS: dict[str | None, tuple[type[MiniBatchEstimator], ...]] = {
    None: (MiniBatchSGDRegressor, MiniBatchSGDClassifier, MiniBatchMLPRegressor, MiniBatchMLPClassifier),
    "classifier": (MiniBatchSGDClassifier, MiniBatchMLPClassifier),
    "regressor": (MiniBatchSGDRegressor, MiniBatchMLPRegressor),
    "outlier_detector": (MiniBatchSGDOneClassSVM,),
}
_CLASSES = (*KINDS[None], MiniBatchSGDOneClassSVM)
# Values to draw. The first is the simplest, where failures shrink to: the default, unless that takes long or is not
# reproducible. What is not here keeps its default.
OF_ALL: dict[str, list[Any]] = {
    "random_state": [0, 1, 2**31 - 1],
    "max_iter": [2, 1, 3, 5],
    "tol": [None, 1e-3],
    "alpha": [1e-4, 0.0, 0.01, 1.0],
    "shuffle": [True, False, "block", "replacement"],
    "warm_start": [False, True],
    "last_batch": ["keep", "drop"],
    "max_updates": [None, 1, 5],
    "evaluate_every": [None, 1, 2],
    "momentum": [0.9, 0.0, 0.5],
    "beta_1": [0.9, 0.0],
    "beta_2": [0.999, 0.5],
    "power_t": [0.5, 0.0, 1.0],
    "cycle_length": [None, 0.5, 2],
    "cycle_decay": [0.5, 1.0],
    "decay_base": [False, True],
    "warmup": [0.0, 0.5, 2],
    "learning_rate_scaling": [None, "linear", "sqrt"],
    "reference_batch_size": [32, 1],
    "batch_growth": [None, 2, 1.5, "adaptive", "schedule"],
    "batch_growth_interval": [None, 1],
    "max_batch_size": [None, 4, 0.5, "full"],
}
OF_LINEAR: dict[str, list[Any]] = {
    "penalty": ["l2", "l1", "elasticnet", None],
    "l1_ratio": [0.15, 0.0, 0.5, 1.0],
    "fit_intercept": [True, False],
    "epsilon": [0.1, 0.0, 1.0],
    "average": [False, True, 3],
    "n_jobs": [None, 2],
    "quantile": [0.5, 0.1],
    "multi_class": ["ovr", "multinomial"],
    "learning_rate": [*SCHEDULES, *PASSIVE],
    "eta0": [0.01, 0.1, "auto"],
    "solver": [*SOLVERS, *VARIANCE_REDUCED, "lbfgs"],
}
OF_NETWORKS: dict[str, list[Any]] = {
    "hidden_layer_sizes": [(1,), (3,), (2, 2)],
    "activation": list(ACTIVATIONS),
    "nesterovs_momentum": [True, False],
    "dropout": [0.0, 0.3],
    "average": [False, True, 3, "ema"],
    "average_half_life": [1.0, 0.1, 20],
    "learning_rate": [*(name for name in SCHEDULES if name not in ("optimal", "dowg")), "auto"],
    "learning_rate_init": [0.001, 0.1, "auto"],
    "solver": ["adam", *(name for name in SOLVERS if name != "adam"), "lbfgs"],
}
OF_ONE_CLASS: dict[str, list[Any]] = {
    **OF_LINEAR,
    "nu": [0.5, 0.1, 1.0],
    "solver": list(SOLVERS),
    "learning_rate": [*SCHEDULES, "auto"],
}
# Losses of regressors that need targets above 0, not below, or in [0, 1] are left to those who ask for them.
LOSSES: dict[type, list[str]] = {
    MiniBatchSGDClassifier: list(CLASSIFICATION),
    MiniBatchSGDRegressor: [name for name in REGRESSION if name not in ("poisson", "gamma", "log_loss")],
    MiniBatchMLPRegressor: ["squared_error"],
}


def _parameters_of(estimator: type) -> dict[str, Any]:
    return dict(inspect.signature(estimator).parameters)


def _values_for(estimator: type) -> dict[str, list[Any]]:
    linear = OF_LINEAR if estimator in KINDS[None][:2] else OF_NETWORKS
    own = OF_ONE_CLASS if estimator is MiniBatchSGDOneClassSVM else linear
    named = _parameters_of(estimator)
    values = {name: values for name, values in (OF_ALL | own).items() if name in named}
    return {"loss": LOSSES[estimator], **values} if estimator in LOSSES else values


def _out_of_place(drawn: dict[str, Any]) -> set[str]:
    """Parameters whose values may not go with the others."""
    rate = drawn.get("eta0", drawn.get("learning_rate_init"))
    schedule, solver, growth = drawn["learning_rate"], drawn["solver"], drawn["batch_growth"]
    unforeseen = growth in ("adaptive", "schedule")
    endless = unforeseen and drawn["max_updates"] is not None and drawn["cycle_length"] is None
    level = growth == "schedule" and schedule in ("constant", "auto", "dowg", *PASSIVE)
    conflicts = {
        "multi_class": drawn.get("loss") != "log_loss",
        "alpha": schedule in ("optimal", "inverse_time") and drawn.get("alpha") == 0,
        "eta0": schedule == "optimal" or (schedule in ("dowg", *PASSIVE) and rate == "auto"),
        "learning_rate_init": schedule == "auto",
        "learning_rate_scaling": schedule in ("auto", "optimal", "dowg", *PASSIVE) or rate == "auto",
        "warmup": schedule in ("auto", "dowg"),
        "solver": schedule in ("dowg", *PASSIVE),
        "momentum": solver == "schedule_free_sgd" and drawn["momentum"] == 0,
        "beta_1": solver == "schedule_free_adamw" and drawn["beta_1"] == 0,
        "average": solver.startswith("schedule_free") or solver == "lbfgs" or solver in VARIANCE_REDUCED,
        "penalty": solver == "lbfgs" and drawn.get("penalty") in ("l1", "elasticnet"),
        "loss": solver == "lbfgs" and drawn.get("loss", SMOOTH[0]) not in SMOOTH,
        "dropout": solver == "lbfgs",
        "batch_growth": bool(drawn.get("batch_normalization")) or (schedule in ONCE_A_RUN and endless) or level,
    }
    return {name for name, conflict in conflicts.items() if conflict and name in drawn}


@st.composite
def estimators(draw: Any, /, kind: Any = None, **parameters: Any) -> Any:
    """Strategy for estimators of this package, unfitted, with parameters that are valid together.

    They fit any data set of :func:`classification_data` or :func:`regression_data` in a few epochs. What asks something
    of the data keeps its default, unless it is given: ``early_stopping`` (two rows to hold out), ``class_weight`` (no
    ``'balanced'`` in ``partial_fit``), ``batch_normalization`` (two rows in each batch) and the losses ``'poisson'``
    and ``'gamma'`` (positive targets) and ``'log_loss'`` of regressors (targets that are shares).

    Parameters
    ----------
    kind : {'classifier', 'regressor', 'outlier_detector'}, class or None, default=None
        Which of the classes to draw, or one of them; None draws from all classifiers and regressors.

    **parameters : values or strategies
        Of the estimators' parameters: what they are to be, or what they are to be drawn from. Only classes that have
        all of them are drawn.

    Returns
    -------
    strategy of estimators
        Shrinks to parameters near the defaults; their repr shows the others only.

    Raises
    ------
    ValueError
        For another ``kind``, a parameter that is not valid, or if no class has all the parameters.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.testing import batch_sizes, estimators
    >>> models = estimators(
    ...     MiniBatchSGDRegressor, batch_size=batch_sizes(max_size=8), max_iter=3
    ... )
    >>> find(models, lambda model: model.alpha == 0)
    MiniBatchSGDRegressor(alpha=0.0, batch_size=1, learning_rate='constant',
                          max_iter=3, power_t=0.5, random_state=0, tol=None)
    """
    classes = (kind,) if kind in _CLASSES else KINDS.get(kind) if isinstance(kind, str) or kind is None else None
    if classes is None:
        raise ValueError(
            f"kind must be 'classifier', 'regressor', 'outlier_detector', a class of minibatch or None; got {kind!r}."
        )
    classes = tuple(estimator for estimator in classes if parameters.keys() <= _parameters_of(estimator).keys())
    if not classes:
        raise ValueError(f"No estimator of kind {kind!r} has all the parameters {sorted(parameters)}.")
    estimator = draw(st.sampled_from(classes))
    values = {"batch_size": batch_sizes(), **{n: st.sampled_from(v) for n, v in _values_for(estimator).items()}}
    drawn = {
        name: draw(value, label=name) if isinstance(value, st.SearchStrategy) else value
        for name, value in (values | parameters).items()
    }
    if drawn.get("multi_class") == "multinomial" and "loss" not in parameters:
        drawn["loss"] = "log_loss"
    if drawn["learning_rate"] in (*PASSIVE,) and "loss" not in parameters:
        drawn["loss"] = "hinge" if estimator is MiniBatchSGDClassifier else "epsilon_insensitive"
    for name in _out_of_place(drawn) - parameters.keys():
        drawn[name] = _values_for(estimator)[name][0]
    model = estimator(**drawn)
    try:
        check_parameters(model)
    except InvalidParameterError:  # no other draw would help
        raise
    except ValueError as error:  # what was given does not go with what was drawn
        note(f"{model!r} is not valid: {error}")
        assume(False)
    return model
