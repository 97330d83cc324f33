"""What all estimators share: checks before any work, a fit that leaves the model alone if it fails, warnings.

A model class provides its ``fit`` and ``partial_fit``, which call ``_train``, and the parts that differ:
``_check_parameters``, ``_encode`` (target to numbers), ``_new_problem``, ``_initial_theta``,
``_fitted_attributes`` (parameters to public attributes), ``_fitted_theta`` (and back), ``_check_arrays`` (whether the
attributes fit together), ``_validation_score``, ``_decode`` (numbers to target, for scorers), and in its ``_plan`` and
``_optimize`` what its parameters mean.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial as partially
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from minibatch._base.callbacks import CallbackBridge, model_after, says_when_it_compiles, take_over
from minibatch._base.complaint import complaint
from minibatch._base.fitted import check_fitted
from minibatch._base.parameters import NamedParameters, check_changed
from minibatch._base.persistence import OptimizerMemory, Rate, live_state, plain_state
from minibatch._base.plain import are_plain_rows, checked_weight, is_plain_target
from minibatch._base.ranges import countable, number_from, share
from minibatch._base.rates import (
    CONSTRAINTS,
    at_most_below_top,
    epochs_of_run,
    first_rate,
    growth_of,
    rate_is_calibrated,
    run_to_calibrate,
    schedule_for,
)
from minibatch._base.rows import Checked, Rows, relative_weights, split_off, with_relative_weights, within_type
from minibatch._base.scoring import fitted_with, refuse_one_row, validation_by
from minibatch._base.seeds import seed_of
from minibatch._base.solvers import for_batches_of
from minibatch._base.sparse import refuse_damaged
from minibatch._base.unchanged import history_so_far, unchanged_on_error
from minibatch._base.watch import Evaluation, Measures, Watch
from minibatch._problems.batching import resolve_batch_size
from minibatch._problems.pieces import pool_of
from minibatch._problems.state import Problem, State, Vector
from minibatch._training.beginning import Beginning, Findings
from minibatch._training.calibration import calibrated_rate
from minibatch._training.epochs import Plan, Steps, alone
from minibatch._training.lbfgs import minimize
from minibatch._training.loop import Outcome, training
from minibatch._training.rules import Rule
from minibatch.history import History

__all__ = ["MiniBatchEstimator"]


class MiniBatchEstimator(CallbackSupportMixin, NamedParameters):
    """Base of the estimators; see the module's docstring for what a subclass provides."""

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [number_from(0), None],
        "shuffle": ["boolean", StrOptions({"block", "replacement"})],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "alpha": [number_from(0)],
        "early_stopping": ["boolean"],
        "scoring": [str, callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), share(), StrOptions({"auto", "full"})],
        "last_batch": [StrOptions({"keep", "drop"})],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "max_updates": [Interval(Integral, 1, None, closed="left"), None],
        "evaluate_every": [Interval(Integral, 1, None, closed="left"), None],
    }
    _rate_parameter = "eta0"
    _invscaling_by_rows = False
    _shares_passes = False  # over the rows, with others like it

    def __getstate__(self) -> dict[str, Any]:
        return plain_state(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(live_state(type(self), state))
        if hasattr(self, "history_"):
            check_fitted(self)

    def __copy__(self) -> Any:
        """As without ``__getstate__``, which would pack the history at every look into a fit."""
        new = type(self).__new__(type(self))
        new.__dict__.update(vars(self))
        return new

    def _train(self, X: Any, y: Any, sample_weight: Any, *, partial: bool = False, **more: Any) -> Any:
        """Fit, or one epoch of ``partial_fit``. If anything raises, the estimator is as it was before."""
        with says_when_it_compiles(self):
            message = alone(self._training(X, y, sample_weight, partial=partial, **more))
        if message:
            # to the caller of partial_fit or fit; around the latter is a decorator of scikit-learn's
            warnings.warn(message, ConvergenceWarning, stacklevel=3 if partial else 4)
        return self

    def _training(
        self, X: Any, y: Any, sample_weight: Any, *, partial: bool = False, init: tuple[Any, Any] = (None, None),
        validation: tuple[Any, Any, Any] = (None, None, None), watch: Watch | None = None,
        limits: Mapping[str, Any] = MappingProxyType({}),
        bridge_of: Callable[..., CallbackBridge] = CallbackBridge, goes_on: bool = False, **labels: Any,
    ) -> Steps[str]:  # fmt: skip
        """``_train`` by requests for epochs; returns what to warn of. ``watch`` is told about the fit, and reports
        divergence and the like itself. ``limits`` are fields of the plan, in place of the estimator's. A fit that
        ``goes_on`` is the rest of one that was cut off: its schedule does not begin anew."""
        with unchanged_on_error(self), ExitStack() as stack:
            self._check_before_data(partial, watched=watch is not None)
            fresh = not hasattr(self, "history_") or not (partial or self.warm_start or goes_on)
            if not fresh:
                check_fitted(self)
            rows = self._checked_rows(
                X, y, sample_weight, reset=not partial or fresh, partial=partial, **labels,
                all_zero=self.early_stopping,  # weights that are all zero get a better message from the split
            )  # fmt: skip
            kept, held_out = self._validation_split(rows, validation)
            found = X.findings if isinstance(X, Checked) else Findings()
            problem = self._problem_of(rows, kept, normalize=not partial, stack=stack, found=found)
            theta = self._initial_theta(problem, fresh, init)
            seed = seed_of(self.random_state)
            n_rows = limits.get("n_rows", problem.n_samples)  # rows may be a sample of those that are trained on
            rate = self._rate(problem, n_rows, theta, fresh, partial, seed)
            problem = for_batches_of(rate.batch_size, self, problem)
            plan = self._plan(n_rows, rate, seed, partial, limits if watch is None else watch.limits)
            state = self._initial_state(problem, plan, theta, fresh, partial or goes_on, init)
            if watch is not None:
                watch.begin(self._measures(problem, rows, kept, watch.test), state.result())
            with_callbacks = hasattr(self, "_skl_callbacks") and not partial  # which cannot change a copy's parameters
            fit, before = copy.copy(self) if with_callbacks else self, set(vars(self))
            history = history_so_far(self, partial, goes_on=not fresh and all(part is None for part in init))
            seen = partially(model_after, fit, problem, history, rate)
            bridge = None if partial else bridge_of(self, X, y, sample_weight, seen)
            validate = None if held_out is None else validation_by(self, held_out, state.result())
            callbacks = bridge if bridge is not None and bridge.sees_epochs else None
            # a chunk of a stream says little about the others: rows of one class, one row
            beginning = None if partial else self._beginning(problem, state, theta, fresh, init, seed, found)
            outcome = yield from fit._optimize(problem, plan, beginning, state, history, validate, callbacks, watch)
            fit._publish(problem, outcome, history, rate)
            if bridge is not None:
                take_over(self, fit, before)
                bridge.fit_ends()
            if watch is not None:
                watch.end(outcome.state.result())
            message = complaint(fit, problem, outcome, beginning)
        return message if watch is None else ""

    def _check_before_data(self, partial: bool, watched: bool) -> None:
        """Refuse parameters; those of ``fit`` itself its decorator has checked one by one."""
        if (partial or watched) and not get_config()["skip_parameter_validation"]:
            check_changed(self)
        self._check_parameters(partial)

    def _problem_of(
        self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool, stack: ExitStack, found: Findings
    ) -> Problem:
        """The problem to train on, with the arrays that others have made of these rows. Its threads live as long as the
        stack."""
        weights = self._training_weights(rows, kept, normalize)
        threads = pool_of(self._n_threads(len(rows.target)), stack)
        known = None if kept is not None else found.data  # weights are relative to the choice of rows
        problem = self._new_problem(rows.X, rows.target, rows=kept, data=known, **weights, threads=threads)
        if kept is None:
            found.data = problem.data
        self._check_batches(problem.n_samples)
        return problem

    def _checked_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, dtype: Any = None, all_zero: bool = False,
        **encoding: Any,
    ) -> Rows:  # fmt: skip
        """Validated rows. A later chunk takes the type of the model's parameters."""
        if isinstance(X, Checked):
            self.__dict__.update(X.learnt)
            return X.rows
        if dtype is None:
            dtype = [np.float64, np.float32] if reset else self._optimizer.slots.dtype
        if reset or not (are_plain_rows(self, X, dtype) and is_plain_target(y, len(X))):
            refuse_damaged(X)
            X, y = validate_data(
                self, X, y, reset=reset, accept_sparse="csr", dtype=dtype, order="C",
                y_numeric=not is_classifier(self), multi_output=self._multi_output(),
            )  # fmt: skip
        weight = checked_weight(sample_weight, X, all_zero)
        return Rows(X, self._encode(y, reset, **encoding), weight)

    def _multi_output(self) -> bool:
        """Whether y may have several columns."""
        return not is_classifier(self)

    def _validation_split(
        self, rows: Rows, given: tuple[Any, Any, Any]
    ) -> tuple[NDArray[np.int64] | None, Rows | None]:
        """Numbers of the rows to train on (None: all), and the rows held out."""
        X_val, y_val, weight_val = given
        if weight_val is not None and X_val is None:
            raise ValueError("sample_weight_val goes with X_val and y_val, which are missing.")
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                raise ValueError(f"X_val and y_val go together, but {'X' if X_val is None else 'y'}_val is missing.")
            try:
                held_out = self._checked_rows(X_val, y_val, weight_val, reset=False, dtype=rows.X.dtype)
                if self.early_stopping:
                    refuse_one_row(self, held_out)
            except ValueError as error:
                raise ValueError(f"Validation set (X_val, y_val, sample_weight_val): {error}") from error
            return None, held_out
        if not self.early_stopping:
            return None, None
        classes = self.classes_ if is_classifier(self) and rows.target.ndim == 1 else None
        return split_off(rows, self.validation_fraction, classes, self.random_state)

    def _training_weights(self, rows: Rows, kept: NDArray[np.int64] | None, normalize: bool) -> dict[str, Any]:
        """Weights with mean 1 over the rows trained on; ``partial_fit`` takes them as they are."""
        if rows.weight is None:
            return {"weight": None}
        return {"weight": relative_weights(rows.weight, kept) if normalize else within_type(rows.weight, rows.X.dtype)}

    def _plan(self, n_samples: int, rate: Rate, seed: int, partial: bool, limits: Mapping[str, Any]) -> Plan:
        """``limits`` are fields in place of the estimator's."""
        batch_size = self._resolved_batch_size(n_samples)
        most_updates = None if self.max_updates is None else countable(self.max_updates)
        fields: dict[str, Any] = {
            "batch_size": batch_size,
            "noisy": partial or batch_size < n_samples,
            "last_batch": self.last_batch,
            "shuffle": self.shuffle,
            "seed": seed,
            "growth": None if partial else growth_of(self, n_samples, limits.get("batch_size")),
            "adaptive": self.learning_rate == "adaptive",
            "max_iter": 1 if partial else countable(self.max_iter),
            "max_updates": None if partial else most_updates,  # a chunk is trained on whole
            "max_samples": None,
            "max_seconds": None,
            "stretches": 1,
            "patience": self.n_iter_no_change,
            "evaluate_every": self.evaluate_every,
            "average_from": None,
            "verbose": int(self.verbose),
            **limits,
        }
        if "schedule" not in fields:
            of_calls = {"max_iter": countable(self.max_iter), "max_updates": most_updates}
            whole = fields | of_calls if partial else fields
            length = partially(epochs_of_run, n_samples=n_samples, **whole)
            fields["schedule"] = schedule_for(self, rate.eta0, rate.batch_size, length)
        return Plan(**fields)

    def _resolved_batch_size(self, n_samples: int) -> int:
        return resolve_batch_size(self.batch_size, n_samples, auto=self._auto_batch_size(n_samples))

    def _check_batches(self, n_samples: int) -> None:
        """Refuse batches that the model cannot use."""

    def _rate(self, problem: Problem, n_rows: int, theta: Vector, fresh: bool, partial: bool, seed: int) -> Rate:
        """The first rate of the schedule: given, scaled, calibrated, or calibrated by an earlier call."""
        batch_size = self._resolved_batch_size(n_rows)
        if partial and isinstance(self.batch_size, Integral):
            # a short chunk is a short batch of a longer epoch: its rate is that of the batch size asked for
            batch_size = countable(self.batch_size)
        if not rate_is_calibrated(self, batch_size):
            return Rate(first_rate(self, batch_size), batch_size, calibrated=False)
        known = None if fresh else self._optimizer.rate
        if known is not None and known.calibrated and (partial or known.batch_size == batch_size):
            return known
        rows, last_batch = min(batch_size, problem.n_samples), "drop" if self._drops_short_batches() else "keep"
        run = run_to_calibrate(self, problem.n_samples, rows, last_batch, partial)
        eta0 = calibrated_rate(problem, theta, run, self._usual_rate, seed)
        return Rate(at_most_below_top(self, eta0), batch_size, calibrated=True)

    def _has_no_schedule(self) -> bool:
        """Whether training finds its rates by itself."""
        return self.solver == "lbfgs"

    def _drops_short_batches(self) -> bool:
        return self.last_batch == "drop"

    def _n_threads(self, n_rows: float = np.inf) -> int:
        """That may help with so many rows."""
        raise NotImplementedError

    def _auto_batch_size(self, n_samples: int) -> int:
        raise NotImplementedError

    def _rule(self, problem: Any, unit: float) -> Rule:
        """When to stop; ``unit`` is that of ``tol``."""
        raise NotImplementedError

    def _optimize(
        self, problem: Problem, plan: Plan, beginning: Beginning | None, state: State, history: History, *watch: Any
    ) -> Steps[Outcome]:
        """Train, with what is handed on to those that watch: ``validate``, ``callbacks`` and ``observer``."""
        unit = 1.0 if beginning is None else beginning.constant.unit
        rule = self._rule(problem, unit)
        if self.solver != "lbfgs":
            return (yield from training(problem, plan, rule, beginning, state, history, *watch))
        # the root of the unit of ``tol`` is the size of gradients in a score
        options = {"gtol": (self.tol or 0.0) * np.sqrt(unit), **self._lbfgs_options()}
        return minimize(problem, plan, rule if self.early_stopping else None, options, state, history, *watch)

    def _lbfgs_options(self) -> dict[str, float]:
        raise NotImplementedError

    def _beginning(
        self, problem: Any, state: State, theta: Vector, fresh: bool, init: tuple[Any, Any], seed: int, found: Findings
    ) -> Beginning:
        """Of parameters that training leaves as they are: it works on a copy of ``theta``."""
        first, given = state.result() if state.n_averaged else theta, any(part is not None for part in init)
        return Beginning(problem, first, seed, found, goes_on=given or not fresh)

    def _initial_state(
        self, problem: Problem, plan: Plan, theta: Vector, fresh: bool, partial: bool, init: tuple[Any, Any]
    ) -> State:
        """First or given parameters, or where the last call stopped: optimizer memory, average and, for
        ``partial_fit``, the learning rate go on (a new ``fit`` starts its schedule anew, as in scikit-learn)."""
        averaged = plan.average_from is not None
        state = problem.new_state(theta, averaged)
        if fresh or any(part is not None for part in init):
            return state
        memory = self._optimizer
        if memory.kind == problem.solver.kind and state.fits(memory.slots, memory.scalars):
            state.remember(memory.slots, memory.n_updates, memory.scalars)
        if averaged and hasattr(self, "_n_averaged"):
            state.total, state.n_averaged = memory.total.copy(), self._n_averaged
        if partial:
            state.schedule_updates, state.schedule_epochs = memory.schedule_updates, memory.schedule_epochs
        return state

    def _evaluation(self, of: Rows, **more: Any) -> Evaluation:
        weight = None if of.weight is None else relative_weights(of.weight, more.get("rows"))
        problem = self._new_problem(of.X, of.target, weight=weight, **more)
        return Evaluation(problem, with_relative_weights(of), self._validation_score)

    def _loss(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The fitted model's mean loss on rows, without penalty and class weights."""
        check_is_fitted(self)
        evaluation = self._evaluation(self._checked_rows(X, y, sample_weight, reset=False))
        return evaluation.loss(self._fitted_theta(evaluation.problem))

    def _measures(self, problem: Problem, rows: Rows, kept: NDArray[np.int64] | None, test: Any) -> Measures:
        """Questions about the parameters of this fit."""
        try:
            held_out = self._checked_rows(*test, reset=False, dtype=rows.X.dtype)
        except ValueError as error:
            raise ValueError(f"Test part: {error}") from error
        weighted = getattr(self, "class_weight", None) is not None
        train = Evaluation(problem, with_relative_weights(rows), self._validation_score)
        if weighted:
            train = self._evaluation(rows, rows=kept, threads=problem.threads)

        def training(theta: Vector) -> dict[str, float]:
            losses, gradient = problem.evaluate(theta)
            loss = train.loss(theta) if weighted else float(losses.sum())
            return {"train_loss": loss, "gradient_norm": problem.gradient_norm(theta, gradient)}

        test_part = self._evaluation(held_out, threads=problem.threads)
        return Measures(training, train, test_part, partially(fitted_with, self, problem), problem)

    def _fitted_theta(self, problem: Any) -> Vector:
        """The fitted parameters as the problem lays them out."""
        raise NotImplementedError

    def _publish(self, problem: Problem, outcome: Outcome, history: History, rate: Rate) -> None:
        """Set the fitted attributes."""
        state = outcome.state
        self.eta0_ = rate.eta0
        self.__dict__.update(self._fitted_attributes(problem, state.result()))
        self._optimizer = OptimizerMemory(
            problem.solver.kind, state.slots, state.slot_updates, state.schedule_updates, state.schedule_epochs,
            state.total, rate, state.rate_factor, outcome.next_rate(), state.scalars, getattr(problem, "moments", None),
            at_last_look=getattr(problem, "at_last_look", None),
        )  # fmt: skip
        history.extend(outcome.history)
        self.history_ = history
        self.status_ = outcome.status
        self.n_iter_ = outcome.n_iter
        self.n_updates_ = history.last("n_updates")
        self.batch_size_ = history.last("batch_size", problem.n_samples)
