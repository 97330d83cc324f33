"""What the two linear models share: the penalty, the layout of the coefficients, the parameters of the problem."""

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot

from minibatch._base.allocation import zeros_or_refused
from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.fitted import check_shape, fitted_attribute, not_fitting, refuse_unfitted
from minibatch._base.persistence import Rate
from minibatch._base.plain import rows_to_predict
from minibatch._base.ranges import ScheduleNames, number_above, number_from
from minibatch._base.rates import FIRST_RATE, check_rates, is_passive
from minibatch._base.rows import Rows
from minibatch._base.scoring import check_scoring, score_rule
from minibatch._base.solvers import check_solver
from minibatch._base.sparse import refuse_damaged
from minibatch._problems.batching import power_of_two_below_root
from minibatch._problems.best_constant import LOG_LINKS, best_constant
from minibatch._problems.dual_averaging import DualAveragingProblem, going_on
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.linear_loops import LARGE_BATCH
from minibatch._problems.passive import PASSIVE, with_passive_steps
from minibatch._problems.smoothness import rate_of_variance_reduction
from minibatch._problems.state import State, Vector
from minibatch._problems.variance_reduced import as_its_solver_asks
from minibatch._training.beginning import Findings
from minibatch._training.epochs import Plan
from minibatch._training.first_distance import first_distances
from minibatch._training.loop import Outcome
from minibatch._training.rules import BestRule, Rule, WindowRule
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.optimizers import DOWG, SOLVERS, VARIANCE_REDUCED
from minibatch.history import History
from minibatch.schedules._named import SCHEDULES

__all__ = ["DEFAULT_ETA0", "SCIKIT_LEARNS", "LinearModel"]

DEFAULT_ETA0 = 0.01
SCIKIT_LEARNS = ("constant", "optimal", "invscaling", "adaptive", *PASSIVE)  # schedules


class LinearModel(SparseCoefMixin, MiniBatchEstimator):
    """Base of the two estimators."""

    _usual_rate = DEFAULT_ETA0
    _names_of_init = ("coef_init", "intercept_init")
    _shares_passes = True
    coef_: NDArray[Any] | Any  # sparse after ``sparsify``
    intercept_: NDArray[Any]
    t_: float
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    _parameter_constraints: dict = {
        **MiniBatchEstimator._parameter_constraints,
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "epsilon": [number_from(0)],
        "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
        "learning_rate": [ScheduleNames({*SCHEDULES, *PASSIVE, "auto"}, "eta0"), callable],
        "eta0": FIRST_RATE,
        "solver": [StrOptions({*SOLVERS, *VARIANCE_REDUCED, "lbfgs"})],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "adam_epsilon": [number_above(0)],
        "n_jobs": [Integral, None],
    }

    def _check_before_data(self, partial: bool, watched: bool) -> None:
        super()._check_before_data(partial, watched)
        by = {"optimal": "begins at a rate of its own", "auto": "finds its rates by itself"}
        ignored = self.learning_rate in (*by,) and self.eta0 not in (DEFAULT_ETA0, "auto")
        if ignored and not watched and not (partial and hasattr(self, "history_")):
            message = f"eta0={self.eta0!r} is not used: "
            message += f"learning_rate={self.learning_rate!r} {by[self.learning_rate]}. Use "
            message += "another learning_rate, for instance 'constant' or 'invscaling', or leave eta0 out. [MB301]"
            # to the caller of partial_fit or fit; around the latter is a decorator of scikit-learn's
            warnings.warn(message, UserWarning, stacklevel=6 if partial else 7)

    def _check_parameters(self, partial: bool) -> None:
        """What the constraints of single parameters cannot say."""
        if partial and self.early_stopping:
            raise ValueError("early_stopping should be False with partial_fit, which sees one chunk at a time.")
        check_rates(self)
        check_solver(self)
        check_scoring(self.scoring)
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'; got l1_ratio=None.")

    def _objective(self, loss: tuple[int, ...], parameter: float, outputs: str) -> Objective:
        share = {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty, 0.0)  # of L1 in the penalty
        alpha = float(self.alpha) if self.penalty is not None else 0.0
        l1, l2 = alpha * share, alpha * (1.0 - share)
        return Objective(loss, float(parameter), OUTPUTS[outputs], 0, l1, l2, bool(self.fit_intercept))

    def _solver(self) -> Solver:
        numbers = (self.momentum, self.beta_1, self.beta_2, self.adam_epsilon)
        name = "sgd" if self.solver == "lbfgs" else self.solver
        kind = DOWG if self.learning_rate == "dowg" else {**SOLVERS, **VARIANCE_REDUCED}[name]
        return Solver(kind, *(float(number) for number in numbers))

    def _n_threads(self, n_rows: float = np.inf) -> int:
        """At most. One output has nothing to share out of rows that are no large batch; joblib would take as long to
        find its number as a short batch does to be trained on."""
        if self.n_jobs is None and n_rows < LARGE_BATCH and self._n_outputs() == 1:
            return 1
        return effective_n_jobs(self.n_jobs)

    def _plan(self, n_samples: int, rate: Rate, seed: int, partial: bool, limits: Mapping[str, Any]) -> Plan:
        plan = super()._plan(n_samples, rate, seed, partial, limits)
        # with a rate of its own the model is an average already
        averaged = self.average and not self._finds_rates()
        return plan._replace(average_from=int(self.average) if averaged else None)

    @property
    def _is_auto(self) -> bool:
        """Whether nobody set a rate; with a solver other than plain SGD it is found beforehand, and constant."""
        return self.learning_rate == "auto" and self.solver != "lbfgs"

    def _finds_rates(self) -> bool:
        """Whether the engine does, update by update."""
        return self._is_auto and self.solver == "sgd"

    def _has_no_schedule(self) -> bool:
        return self._finds_rates() or self.solver == "lbfgs"

    def _rate(self, problem: Any, n_rows: int, theta: Vector, fresh: bool, partial: bool, seed: int) -> Rate:
        if self._is_auto and self.solver in VARIANCE_REDUCED:
            batch_size = self._resolved_batch_size(n_rows)
            eta0 = rate_of_variance_reduction(problem, min(batch_size, problem.n_samples))
            if np.isfinite(eta0):
                return Rate(eta0, batch_size, calibrated=True)
        return super()._rate(problem, n_rows, theta, fresh, partial, seed)

    def _lbfgs_options(self) -> dict[str, float]:
        """The objective has one minimum, which more steps come nearer to until rounding hides it."""
        return {"ftol": 2.0**-46, "maxls": 50, "maxfun": np.inf}

    def _auto_batch_size(self, n_samples: int) -> int:
        return power_of_two_below_root(n_samples)

    def _rule(self, problem: Any, unit: float) -> Rule:
        if self.early_stopping:
            return score_rule(self, self.n_iter_no_change, unit)
        if self._ends_as_in_scikit_learn(problem):
            return BestRule(self.tol, self.n_iter_no_change, is_scikit_learns=True)
        return WindowRule(self.tol, self.n_iter_no_change, unit)

    def _ends_as_in_scikit_learn(self, problem: Any) -> bool:
        """Whether the fit is one of ``SGDClassifier`` or ``SGDRegressor`` of one problem."""
        theirs = self.solver == "sgd" and self.learning_rate in SCIKIT_LEARNS
        if not theirs or self.batch_growth is not None or problem.n_outputs > 1:
            return False
        return self._resolved_batch_size(problem.n_samples) == 1

    def _problem_of(
        self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool, stack: ExitStack, found: Findings
    ) -> Any:
        problem: Any = super()._problem_of(rows, kept, normalize, stack, found)
        if self.solver in VARIANCE_REDUCED:
            return as_its_solver_asks(problem)
        if self._finds_rates():
            _zeros(problem)  # refuses what is too much, before there are numbers of every column
            if found.moments is not None:
                return DualAveragingProblem.with_moments(problem, found.moments)
            if normalize or not hasattr(self, "_optimizer"):
                return DualAveragingProblem.of(problem)
            return DualAveragingProblem.of(problem, self._optimizer.moments, self._optimizer.scaled_by)
        if is_passive(self):
            return with_passive_steps(problem, self.learning_rate, float(self.eta0))
        looks_at_objective = normalize and self.tol is not None and not self.early_stopping
        if looks_at_objective and self._ends_as_in_scikit_learn(problem):
            return problem.following_penalty(averaged=bool(self.average))
        return problem

    def _publish(self, problem: Any, outcome: Outcome, history: History, rate: Rate) -> None:
        for name in ("_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept", "_n_averaged"):
            self.__dict__.pop(name, None)
        super()._publish(problem, outcome, history, rate)
        self.t_ = outcome.state.schedule_updates + 1.0
        if self.average and not self._finds_rates():
            self.__dict__.update(self._average_attributes(problem, outcome.state))

    def _initial_theta(self, problem: LinearProblem, fresh: bool, init: tuple[Any, Any]) -> Vector:
        dtype, theta = problem.data.y.dtype, _zeros(problem)
        start = problem.parameters(theta)
        if fresh and problem.objective.loss in LOG_LINKS and self.fit_intercept:  # at 0, a large mean is far away
            start.intercept[:] = best_constant(problem).scores
        previous: tuple[Any, Any] = (None, None)
        if not fresh:
            averaged = self.average and hasattr(self, "_standard_coef")
            previous = (self._standard_coef, self._standard_intercept) if averaged else (self.coef_, self.intercept_)
        for name, given, before, part in zip(self._names_of_init, init, previous, start, strict=True):
            value = before if given is None else given
            if value is None:
                continue
            value = np.asarray(value.toarray() if sp.issparse(value) else value, dtype)
            flat_is_fine = problem.n_outputs == 1 and value.size == part.size
            if value.shape != part.shape and not flat_is_fine and given is None:
                raise ValueError(
                    f"warm_start=True goes on from weights of shape {value.shape}, but these data need {part.shape}; "
                    "fit with warm_start=False."
                )
            if value.shape != part.shape and not flat_is_fine:
                raise ValueError(
                    f"Provided {name} does not match dataset: its shape is {value.shape}, not {part.shape}."
                )
            if not np.isfinite(value).all():
                raise ValueError(f"{name} contains NaN or infinity.")
            part[...] = value.reshape(part.shape)
        return theta

    def _initial_state(
        self, problem: Any, plan: Plan, theta: Vector, fresh: bool, partial: bool, init: tuple[Any, Any]
    ) -> State:
        state = super()._initial_state(problem, plan, theta, fresh, partial, init)
        if not isinstance(problem, DualAveragingProblem):
            return state
        scaled_by = self._optimizer.scaled_by if state.slot_updates > 0 else None
        if scaled_by is not None and going_on(problem, state, scaled_by):
            return state
        state = problem.new_state(theta, False)
        problem.begin(state, first_distances(problem, theta, plan.seed))
        return state

    def _n_outputs(self) -> int:
        """How many rows of weights there are, by what y was."""
        raise NotImplementedError

    def _check_arrays(self) -> int:
        n_outputs, n_features = self._n_outputs(), self.n_features_in_
        names = [("coef_", "intercept_")]
        if hasattr(self, "_n_averaged"):
            names += [("_standard_coef", "_standard_intercept"), ("_average_coef", "_average_intercept")]
        for of_weights, of_intercept in names:
            coef, intercept = fitted_attribute(self, of_weights), fitted_attribute(self, of_intercept)
            shape = self._as_coef(np.empty((n_outputs, n_features))).shape
            why = f"{n_features} features and {n_outputs} outputs"
            if sp.issparse(coef):
                refuse_damaged(coef, of_weights)
                flat = shape[0] if len(shape) == 1 else -1
                if coef.shape not in (shape, (1, flat)):
                    raise not_fitting(self, f"{of_weights} has shape {coef.shape}, but {why} ask for {shape}")
            else:
                check_shape(self, of_weights, coef, shape, why)
            check_shape(self, of_intercept, intercept, (n_outputs,), why)
            for name, dtype in ((of_weights, coef.dtype), (of_intercept, intercept.dtype)):
                if dtype.kind not in "fiu":
                    raise not_fitting(self, f"{name} has the type {dtype}, not float32 or float64")
        return n_outputs * (n_features + 1)

    def _scores(self, X: Any) -> NDArray[Any]:
        """``X @ coef_.T + intercept_``, of the shape that these give it."""
        refuse_unfitted(self)
        self._check_arrays()
        X = rows_to_predict(self, X, np.float64, np.float32)
        coef: Any = self.coef_
        if sp.issparse(coef) and coef.ndim == 1:  # sparsified: scipy has no product of it with sparse rows
            coef = coef.toarray()
        with np.errstate(over="ignore"):  # infinity is the right answer
            scores: NDArray[Any] = safe_sparse_dot(X, coef.T, dense_output=True) + self.intercept_
        return scores

    def _fitted_theta(self, problem: LinearProblem) -> Vector:
        if self._check_arrays() != problem.n_parameters:
            raise not_fitting(self, f"coef_ is of {self.coef_.shape}, where the data need {problem.n_outputs} outputs")
        coef: Any = self.coef_
        coef = coef.toarray() if sp.issparse(coef) else coef
        return np.concatenate([np.ravel(coef), self.intercept_]).astype(problem.data.y.dtype, copy=False)

    def _fitted_attributes(self, problem: LinearProblem, theta: Vector) -> dict[str, Any]:
        coef, intercept = problem.parameters(theta)
        return {"coef_": self._as_coef(coef), "intercept_": intercept}

    def _average_attributes(self, problem: LinearProblem, state: State) -> dict[str, Any]:
        """The iterate and the average, apart; ``coef_`` is the average as soon as there is one."""
        coef, intercept = problem.parameters(state.theta)
        average_coef, average_intercept = problem.parameters(state.total / max(1, state.n_averaged))
        return {
            "_standard_coef": self._as_coef(coef),
            "_standard_intercept": intercept,
            "_average_coef": self._as_coef(average_coef),
            "_average_intercept": average_intercept,
            "_n_averaged": state.n_averaged,
        }

    def _as_coef(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _zeros(problem: LinearProblem) -> Vector:
    """All 0."""
    return zeros_or_refused(problem.n_parameters, problem.data.y.dtype, f"X has {problem.n_features:,} columns")
