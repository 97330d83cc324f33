"""What the two networks share: layers, solver, schedule, the first parameters, prediction."""

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions

from minibatch._base.allocation import refuse_unaddressable, zeros_or_refused
from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.fitted import check_shape, refuse_unfitted
from minibatch._base.persistence import OptimizerMemory, Rate
from minibatch._base.plain import rows_to_predict
from minibatch._base.ranges import ScheduleNames, number_above
from minibatch._base.rates import FIRST_RATE, check_rates
from minibatch._base.rows import Rows
from minibatch._base.scoring import check_scoring, score_rule
from minibatch._base.solvers import check_solver
from minibatch._problems.best_constant import LOG_LINKS, best_constant
from minibatch._problems.blas import n_blas_threads, one_blas_thread
from minibatch._problems.layout import layers_of, network_of
from minibatch._problems.mlp import MLPProblem, scores_of
from minibatch._problems.pieces import pool_of
from minibatch._problems.state import State, Vector, rows_of
from minibatch._training.beginning import Beginning, Findings
from minibatch._training.epochs import Plan, Steps
from minibatch._training.loop import Outcome
from minibatch._training.probe import probed_rate
from minibatch._training.rules import BestRule, Rule
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.linear import SEPARATE, Objective, Solver
from minibatch.engine.network import Network
from minibatch.engine.optimizers import SOLVERS
from minibatch.history import History
from minibatch.neural_network._auto import rates_to_try, schedule_from
from minibatch.neural_network._averages import AVERAGES, averaged_from, half_life_of
from minibatch.neural_network._layers import network_that_fits
from minibatch.neural_network._normalization import check_batches, refuse_one_row, refuse_sparse, rows_of_chunk
from minibatch.schedules._named import SCHEDULES

__all__ = ["DEFAULT_RATE", "MultiLayerPerceptron"]

DEFAULT_RATE = 0.001


class MultiLayerPerceptron(MiniBatchEstimator):
    """Base of the two estimators."""

    coefs_: list[NDArray[Any]]
    intercepts_: list[NDArray[Any]]
    scales_: list[NDArray[Any]]
    running_means_: list[NDArray[Any]]
    running_variances_: list[NDArray[Any]]
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    t_: int
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    _parameter_constraints: dict = {
        **MiniBatchEstimator._parameter_constraints,
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "solver": [StrOptions({*SOLVERS, "lbfgs"})],
        "learning_rate": [ScheduleNames({"auto", *SCHEDULES} - {"optimal", "dowg"}, "learning_rate_init"), callable],
        "learning_rate_init": FIRST_RATE,
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "epsilon": [number_above(0)],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_normalization": ["boolean", StrOptions({"input"})],
        "ghost_batch_size": [Interval(Integral, 2, None, closed="left"), None],
        **AVERAGES,
    }
    _rate_parameter = "learning_rate_init"
    _usual_rate = 0.001
    _invscaling_by_rows = True  # seen before the epoch, as in scikit-learn

    def _check_parameters(self, partial: bool) -> None:
        """What the constraints of single parameters cannot say."""
        self._hidden_units()
        check_rates(self)
        check_solver(self)
        check_scoring(self.scoring)
        if partial and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it sees one chunk at a time.")
        if self.solver == "lbfgs" and (self.dropout > 0.0 or self.batch_normalization):
            name = "dropout" if self.dropout > 0.0 else "batch_normalization"
            raise ValueError(
                f"solver='lbfgs' needs an objective that is the same at every look, which {name} changes; use another "
                f"solver, or leave {name} off."
            )

    def _check_before_data(self, partial: bool, watched: bool) -> None:
        super()._check_before_data(partial, watched)
        given = self.learning_rate == "auto" and self.solver != "lbfgs" and not self._is_auto
        if given and not watched and not (partial and hasattr(self, "history_")):
            scaled = self.learning_rate_scaling is not None
            name = "learning_rate_scaling" if scaled else "learning_rate_init"
            message = f"{name}={getattr(self, name)!r} makes the rate constant, as in scikit-learn; "
            message += "learning_rate='auto' finds its rates by itself. Set learning_rate='constant', or leave "
            message += f"{name} out. [MB302]"
            # to the caller of partial_fit or fit; around the latter is a decorator of scikit-learn's
            warnings.warn(message, UserWarning, stacklevel=6 if partial else 7)

    @property
    def _is_auto(self) -> bool:
        """Whether training finds its rates by itself, and averages. A rate of the user's own, or one to be scaled, is a
        constant one, as it is in scikit-learn: code that sets it there need say no more here."""
        if self.learning_rate != "auto" or self.solver == "lbfgs":
            return False
        return self.learning_rate_init in (DEFAULT_RATE, "auto") and self.learning_rate_scaling is None

    def _rate(self, problem: Any, n_rows: int, theta: Vector, fresh: bool, partial: bool, seed: int) -> Rate:
        if not self._is_auto:
            return super()._rate(problem, n_rows, theta, fresh, partial, seed)
        known = None if fresh else self._optimizer.rate
        if known is not None and known.probed:
            return known
        batch_size = self._resolved_batch_size(n_rows)
        rates = rates_to_try(self.solver, batch_size, noisy=batch_size < n_rows)
        eta0 = probed_rate(problem, theta, rates, min(batch_size, problem.n_samples), seed)
        return Rate(eta0, batch_size, calibrated=False, probed=True)

    def _plan(self, n_samples: int, rate: Rate, seed: int, partial: bool, limits: Mapping[str, Any]) -> Plan:
        of_auto = {"schedule": schedule_from(rate.eta0, self.solver)} if self._is_auto else {}
        in_chunks = bool(self.batch_normalization) and rows_of_chunk(self) < n_samples
        fields = {"average_from": averaged_from(self), "in_chunks": in_chunks, **of_auto, **limits}
        return super()._plan(n_samples, rate, seed, partial, fields)

    def _hidden_units(self) -> list[int]:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        valid = all(isinstance(size, Integral) and size is not True and int(size) >= 1 for size in sizes)
        if sizes.ndim != 1 or not valid:
            raise ValueError(f"hidden_layer_sizes must be > 0 and integers, got {self.hidden_layer_sizes!r}.")
        if len(sizes) == 0:
            raise ValueError(
                f"hidden_layer_sizes must name at least one layer, got {self.hidden_layer_sizes!r}; without hidden "
                "layers a network is a linear model: see minibatch.linear_model."
            )
        return [int(size) for size in sizes]

    def _multi_output(self) -> bool:
        return True

    def _n_threads(self, n_rows: float = np.inf) -> int:
        return n_blas_threads()

    def _check_batches(self, n_samples: int) -> None:
        if self.batch_normalization:
            check_batches(self, n_samples)

    def _drops_short_batches(self) -> bool:
        return self.last_batch == "drop" or bool(self.batch_normalization)

    def _auto_batch_size(self, n_samples: int) -> int:
        return 200

    def _beginning(
        self, problem: Any, state: State, theta: Vector, fresh: bool, init: tuple[Any, Any], seed: int, found: Findings
    ) -> Beginning:
        theta = problem.with_statistics(theta) if fresh else theta
        return super()._beginning(problem, state, theta, fresh, init, seed, found)

    def _rule(self, problem: Any, unit: float) -> Rule:
        patience = self.n_iter_no_change + 1  # as in scikit-learn, *more* than n_iter_no_change epochs
        if self.early_stopping:
            return score_rule(self, patience, unit)
        return BestRule(self.tol, patience, unit)

    def _optimize(
        self, problem: Any, plan: Plan, beginning: Beginning | None, state: State, history: History, *watch: Any
    ) -> Steps[Outcome]:
        with one_blas_thread():  # all the time, so that other fits can see this one
            return (yield from super()._optimize(problem, plan, beginning, state, history, *watch))

    def _lbfgs_options(self) -> dict[str, float]:
        return {"maxfun": self.max_fun}

    def _objective(self, loss: tuple[int, ...], outputs: tuple[int, ...] = SEPARATE) -> Objective:
        return Objective(loss, 0.0, outputs, 0, 0.0, float(self.alpha), True)

    def _solver(self) -> Solver:
        name = self.solver
        if name == "lbfgs" or (name == "sgd" and self.momentum == 0.0):
            name = "sgd"
        elif name == "sgd":
            name = "nesterov" if self.nesterovs_momentum else "momentum"
        numbers = (self.momentum, self.beta_1, self.beta_2, self.epsilon)
        return Solver(SOLVERS[name], *(float(number) for number in numbers))

    def _mlp_problem(
        self, X: Any, y: NDArray[Any], weight: Any, objective: Objective, n_outputs: int, **more: Any
    ) -> MLPProblem:
        normalized, of_input = bool(self.batch_normalization), self.batch_normalization == "input"
        if of_input:
            refuse_sparse(X)
        units = [X.shape[1], *self._hidden_units(), n_outputs]
        n_parameters = sum((n_inputs + 1) * n_units for n_inputs, n_units in pairwise(units))
        refuse_unaddressable(n_parameters, self._size_in_words(X.shape[1]))
        chunk = rows_of_chunk(self)
        network = network_of(units, ACTIVATIONS[self.activation], normalized, of_input, float(self.dropout), chunk)
        more["half_life"] = half_life_of(self)
        return MLPProblem.from_arrays(X, y, weight, objective, self._solver(), network, **more)

    def _size_in_words(self, n_features: int) -> str:
        return f"hidden_layer_sizes={self.hidden_layer_sizes!r} with {n_features:,} columns of X"

    def _out_activation(self) -> str:
        raise NotImplementedError

    def _n_outputs(self) -> int:
        """Of the network, by what y was."""
        raise NotImplementedError

    def _training_weights(self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool) -> dict[str, Any]:
        weights = super()._training_weights(rows, kept, normalize)
        if normalize and self.batch_normalization and np.count_nonzero(weights["weight"]) == 1:
            refuse_one_row(self, "the weights leave", "Give more rows a positive sample_weight")
        return weights

    def _initial_theta(self, problem: MLPProblem, fresh: bool, init: Any) -> Vector:
        """Random weights and intercepts (the draws of scikit-learn), or those of the last call."""
        network, dtype = problem.network, problem.data.y.dtype
        theta = zeros_or_refused(network.n_parameters, dtype, self._size_in_words(network.units[0]))
        if not fresh:
            return self._previous_theta(network).astype(dtype)
        layers, random = layers_of(network, theta), check_random_state(self.random_state)
        factor = 2.0 if self.activation == "logistic" else 6.0
        for weights, intercepts in zip(layers.weights, layers.intercepts, strict=True):
            bound = np.sqrt(factor / sum(weights.shape))
            weights[...] = random.uniform(-bound, bound, weights.shape)
            intercepts[...] = random.uniform(-bound, bound, intercepts.shape)
        if problem.objective.loss in LOG_LINKS:  # at 0, a large mean is far away
            layers.intercepts[-1][:] += best_constant(problem).scores
        for part in (*layers.scales, *layers.variances):
            part[...] = 1.0
        return theta

    def _previous_theta(self, network: Network) -> Vector:
        """The parameters of the last call, if they fit."""
        before, now = network_that_fits(self, len(self.coefs_[0]), self.n_outputs_), network.units
        if before.units[0] != now[0]:
            raise ValueError(f"X has {now[0]} features, but warm_start=True goes on from a net for {before.units[0]}.")
        if not np.array_equal(before.units, now) or before.n_parameters != network.n_parameters:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, batch_normalization={self.batch_normalization!r} and "
                f"{now[-1]} outputs do not fit the net that warm_start=True goes on from, with layers "
                f"{before.units[1:].tolist()}; fit with warm_start=False."
            )
        return self._theta()

    def _initial_state(self, problem: Any, plan: Plan, theta: Vector, fresh: bool, partial: bool, init: Any) -> State:
        state = super()._initial_state(problem, plan, theta, fresh, partial, init)
        if not fresh:
            state.schedule_updates = self._optimizer.schedule_updates
            state.rate_factor = self._optimizer.rate_factor if plan.adaptive else 1.0
            memory = self._optimizer
            if plan.average_from is not None and len(memory.iterate):
                state.theta = memory.iterate.astype(theta.dtype)  # of which theta is the average
                state.n_averaged = memory.n_averaged or memory.schedule_updates  # all, in files that do not say it
        return state

    def _fitted_attributes(self, problem: MLPProblem, theta: Vector) -> dict[str, Any]:
        layers = layers_of(problem.network, theta)
        return {
            "coefs_": layers.weights,
            "intercepts_": layers.intercepts,
            "scales_": layers.scales,
            "running_means_": layers.means,
            "running_variances_": layers.variances,
            "n_layers_": len(problem.network.units),
            "n_outputs_": int(problem.network.units[-1]),
            "out_activation_": self._out_activation(),
            "_activation": self.activation,
        }

    def _publish(self, problem: Any, outcome: Outcome, history: History, rate: Rate) -> None:
        super()._publish(problem, outcome, history, rate)
        state = outcome.state
        if state.average is not None and state.n_averaged > 0:
            self._optimizer = self._optimizer._replace(iterate=state.theta, n_averaged=state.n_averaged)
        self.t_ = history.last("n_samples_seen")
        # nobody but scikit-learn's tests asks for it
        self._no_improvement_count = getattr(outcome.rule, "n_unimproved", 0)

    # What scikit-learn keeps beside the history: made when asked for, not for every chunk of a long stream.

    @property
    def loss_curve_(self) -> list[float]:
        curve = np.full(self.history_.n_epochs, np.nan)
        for name in ("objective", "progressive_objective"):  # the first is all that L-BFGS has
            if name in self.history_:
                curve = np.where(np.isnan(self.history_[name]), curve, self.history_[name])
        return curve.tolist()

    @property
    def loss_(self) -> float:
        return self.loss_curve_[-1] if self.history_.n_epochs else np.nan

    @property
    def best_loss_(self) -> float | None:
        return None if self.early_stopping else float(np.fmin.reduce(self.loss_curve_, initial=np.inf))

    @property
    def validation_scores_(self) -> list[float] | None:
        return self.history_["validation_score"].tolist() if "validation_score" in self.history_ else None

    @property
    def best_validation_score_(self) -> float | None:
        return None if self.validation_scores_ is None else float(np.fmax.reduce(self.validation_scores_))

    def _fitted_theta(self, problem: MLPProblem) -> Vector:
        self._check_arrays()
        return self._previous_theta(problem.network)

    def _check_arrays(self) -> int:
        network, memory = self._fitted_network(), vars(self).get("_optimizer")
        if isinstance(memory, OptimizerMemory) and np.size(memory.iterate):
            why = f"{network.n_parameters} parameters"
            check_shape(self, "_optimizer.iterate", memory.iterate, (network.n_parameters,), why)
        return network.n_trained

    def _fitted_network(self) -> Network:
        return network_that_fits(self, self.n_features_in_, self._n_outputs())

    def _theta(self) -> Vector:
        n_hidden = len(self.scales_)
        means, variances = self.running_means_, self.running_variances_
        parts = [*self.coefs_, *self.intercepts_, *self.scales_, *means[:n_hidden], *variances[:n_hidden]]
        return np.concatenate([np.ravel(part) for part in (*parts, *means[n_hidden:], *variances[n_hidden:])])

    def _scores(self, X: Any) -> NDArray[Any]:
        """What the last layer gives, (n_samples, n_outputs)."""
        refuse_unfitted(self)
        network, dtype = self._fitted_network(), self.coefs_[0].dtype
        X = rows_to_predict(self, X, dtype, dtype=dtype, order="C")
        if network.normalized_inputs:
            refuse_sparse(X)
        with ExitStack() as stack:
            threads = pool_of(self._n_threads(), stack)
            return scores_of(rows_of(X), X.shape[0], network, self._theta(), threads)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.batch_normalization != "input"
        return tags
