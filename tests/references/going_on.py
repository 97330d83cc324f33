"""What an estimator keeps from call to call, kept by hand: models that are fitted again and again, in NumPy.

Parameters are a list of arrays, each with an optimizer of its own. A call says what it starts from and trains epoch by
epoch; what it leaves is ``kept`` (what a divergence takes back) and ``rows`` (the history, which only grows).
"""

import copy
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from references.ends import Ends
from references.gradient_descent import Optimizer
from references.orders import order_of_epoch

COUNTS = ("epoch", "n_updates", "n_samples_seen", "learning_rate", "batch_size")  # the history of any epoch
MEMORY = ("t", "v", "m2", "due", "received", "squares", "z")


@dataclass
class Kept:
    """All that training changes. ``total`` is None where the last call did not average."""

    parts: list
    optimizers: list
    solver: str
    total: list | None = None
    n_averaged: int = 0
    updates: int = 0  # since the schedule began
    epochs: Fraction = Fraction(0)  # likewise
    factor: float = 1.0  # what "adaptive" has made of the rate

    def result(self):
        if self.n_averaged:
            return [part / self.n_averaged for part in self.total]
        return [optimizer.model(part) for optimizer, part in zip(self.optimizers, self.parts, strict=True)]


@dataclass
class Rows:
    """The rows of a call. Weights have mean 1 in ``fit``."""

    X: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    def __getitem__(self, rows):
        return self.X[rows], self.target[rows], self.weight[rows]


@dataclass
class Call:
    """How far a call has come."""

    seed: int
    batch_size: int
    start: list
    max_updates: int | None
    ends: Ends | None = None  # of a fit
    objectives: list = field(default_factory=list)
    waits_from: int = 0  # the first of them that the stopping rule counts
    n_epochs: int = 0
    n_updates: int = 0


class Reference:
    """What linear models and networks do alike. ``parameters`` are those of the estimator."""

    rate_name, is_network = "eta0", False
    sparse = False  # the rows of the next call

    def __init__(self, parameters):
        self.parameters, self.kept, self.rows = parameters, None, []
        self.status = self.n_iter = self.classes = None

    def goes_on(self, partial):
        return self.kept is not None and (partial or self.parameters["warm_start"])

    def count(self, name):
        return self.rows[-1][name] if self.rows else 0

    def fits(self, n_outputs, partial, init=()):
        """Whether a call can go on with so many outputs."""
        if not self.goes_together():
            return False
        all_given = len(init) > 0 and all(part is not None for part in init)
        return all_given or not self.goes_on(partial) or self.kept.parts[-1].size == n_outputs

    def goes_together(self):
        """Whether the solver can be with the other parameters."""
        p = self.parameters
        beta = {"schedule_free_sgd": p["momentum"], "schedule_free_adamw": p["beta_1"]}.get(p["solver"], 1.0)
        return beta > 0 and not ("schedule_free" in p["solver"] and p.get("average"))

    def train(self, X, target, weight=None, partial=False, init=()):
        """``fit``, or ``partial_fit``: an epoch that goes on with the schedule, and takes weights as they are.

        ``target`` is (n_samples, n_outputs).
        """
        p = self.parameters
        weight = np.ones(len(X)) if weight is None else np.asarray(weight)
        data = Rows(X, target, weight if partial else weight / weight.mean())
        goes_on, now = self.goes_on(partial), self.begin(data, partial, init)
        random = p["random_state"] if self.draws_on() else np.random.RandomState(p["random_state"])
        budget = None if partial else p["max_updates"]  # a chunk is trained on whole
        call = Call(random.randint(2**31 - 1), self.batch_size(len(X)), now.result(), budget)
        call.ends = None if partial else self.ends(now, data, goes_on or any(part is not None for part in init))
        most, status = 1 if partial else p["max_iter"], None
        while status is None:
            before = copy.deepcopy(now)
            self.rows.append(self.epoch(now, data, call, partial))
            if not all(np.isfinite(part).all() for part in now.parts):
                now, status = before, "diverged"
                self.rows[-1] = dict.fromkeys(self.rows[-1], np.nan) | {name: self.rows[-1][name] for name in COUNTS}
            else:
                status = self.why_to_stop(now, data, call, most)
            if p["batch_growth"] and not partial and call.n_epochs % p["batch_growth_interval"] == 0:
                call.batch_size = min(int(np.ceil(call.batch_size * p["batch_growth"])), len(X))
        if call.ends and status not in ("converged", "diverged"):
            if call.ends.has_failed(self.objective(now, data), call.objectives, call.waits_from):
                status = "diverged"
        self.kept, self.status, self.n_iter = now, status, call.n_epochs

    def objective(self, now, data):
        return self.loss(now.result(), *data[:]) + self.penalty(now.result())

    def ends(self, now, data, goes_on):
        constant = self.constant_loss(data)
        if (data.target[data.weight > 0] == data.target[data.weight > 0][0]).all():
            unit = self.loss([np.zeros_like(part) for part in now.parts], *data[:])
        else:
            unit = constant
        first, n_outputs = self.objective(now, data), data.target.shape[1]
        single = self.ends_as_in_scikit_learn(len(data.X), n_outputs)
        network = self.is_network
        unit = unit if unit > 0 else 1.0
        return Ends(self.parameters, first, constant, unit, self.has_constant(), single, network, goes_on)

    def draws_on(self):
        """Whether random numbers come from a generator that remembers, not from a seed."""
        return isinstance(self.parameters["random_state"], np.random.RandomState)

    def begin(self, data, partial, init):
        """The state that a call starts from."""
        p, before = self.parameters, self.kept if self.goes_on(partial) else None
        solver = self.solver()
        parts = self.first_parts(data, before, init)
        now = Kept(parts, [self.optimizer(solver) for _ in parts], solver, self.zeros(parts))
        if before is None or init:
            self.rows = []
            return now
        if solver == before.solver and not (solver == "sgd" and self.strengths()[0] == 0):
            for k, (new, old) in enumerate(zip(now.optimizers, before.optimizers, strict=True)):
                vars(new).update({name: getattr(old, name) for name in MEMORY})
                if new.z is not None:  # x is what the last call left; beta may be another one now
                    new.x = parts[k]
                    beta = p["momentum"] if solver == "schedule_free_sgd" else p["beta_1"]
                    now.parts[k] = (1 - beta) * new.z + beta * new.x
        if now.total is not None and before.total is not None:
            now.total, now.n_averaged = before.total, before.n_averaged
        if partial:
            now.updates, now.epochs = before.updates, before.epochs
        if self.is_network:  # as in scikit-learn, its rate goes on in a warm start too
            now.updates = before.updates
            now.factor = before.factor if p["learning_rate"] == "adaptive" else 1.0
        return now

    def zeros(self, parts):
        return [np.zeros_like(part) for part in parts] if self.parameters.get("average") else None

    def optimizer(self, solver):
        p = self.parameters
        epsilon = p["epsilon"] if self.is_network else p["adam_epsilon"]
        return Optimizer(solver, momentum=p["momentum"], beta_1=p["beta_1"], beta_2=p["beta_2"], epsilon=epsilon)

    def batch_size(self, n, clipped=True):
        size = self.parameters["batch_size"]
        if size in ("full", "auto"):
            return n if size == "full" else min(self.auto, n)
        if isinstance(size, int):
            return min(size, n) if clipped else size
        return max(1, round(size * n))

    def epoch(self, now, data, call, partial):
        """One pass; the row of the history."""
        p, n, size = self.parameters, len(data.X), call.batch_size
        order, penalty = np.arange(n), self.penalty(now.parts)
        if p["shuffle"] and size < n:
            order = order_of_epoch(n, call.seed, self.count("epoch"), p["shuffle"])
        batches = n // size if p["last_batch"] == "drop" else -(-n // size)
        budget = batches if call.max_updates is None else min(batches, call.max_updates - call.n_updates)
        loss, seen, penalties = 0.0, self.count("n_samples_seen"), []
        for batch in range(budget):
            rows = order[batch * size : (batch + 1) * size]
            eta = self.rate(now, batches, self.batch_size(n, clipped=not partial))
            loss += len(rows) * self.loss(now.parts, *data[rows])
            penalties.append(self.penalty(now.parts))
            self.step(now, data[rows], eta, noisy=partial or size < n)
            now.epochs += Fraction(1, batches)
            seen += len(rows)
            if p.get("average") and seen >= p["average"]:
                now.total = [total + part for total, part in zip(now.total, now.parts, strict=True)]
                now.n_averaged += 1
        call.n_epochs, call.n_updates = call.n_epochs + 1, call.n_updates + budget
        row = {"epoch": self.count("epoch") + 1, "n_updates": self.count("n_updates") + budget, "n_samples_seen": seen}
        row |= {"learning_rate": eta, "batch_size": size}
        row["progressive_loss"] = loss / (seen - self.count("n_samples_seen"))
        along = (penalty + self.penalty(now.parts)) / 2
        if not partial and self.follows_penalty(call):
            along = np.mean(penalties)
        row["progressive_objective"] = row["progressive_loss"] + along
        call.objectives.append(row["progressive_objective"])
        return row | self.evaluation(now, data, call, row["epoch"])

    def evaluation(self, now, data, call, epoch):
        every, result = self.parameters["evaluate_every"], now.result()
        if not every or epoch % every:
            return {}
        loss = self.loss(result, *data[:]) / data.weight.mean()
        away = np.sqrt(sum(((part - first) ** 2).sum() for part, first in zip(result, call.start, strict=True)))
        return {"train_loss": loss, "objective": loss + self.penalty(result), "distance_from_init": away}

    def step(self, now, batch, eta, noisy):
        l1, l2 = self.strengths()
        slopes, parts = self.gradient(now.parts, *batch), list(now.parts)
        for k in range(self.n_trained(parts)):
            here = (l1, l2) if self.is_penalised(k, parts) else (0.0, 0.0)
            now.optimizers[k].noisy = noisy
            parts[k] = now.optimizers[k].step(parts[k], slopes[k], eta, *here)
        for optimizer in now.optimizers[self.n_trained(parts) :]:  # what is of the model, not of a part
            optimizer.t += now.solver in ("adam", "adamw", "schedule_free_adamw")
            optimizer.squares += np.square(eta)
        now.parts, now.updates = parts, now.updates + 1

    def rate(self, now, batches, size):
        """Of the next update."""
        p, t, eta0 = self.parameters, now.updates, self.parameters[self.rate_name]
        counted = self.count("n_samples_seen") if self.is_network else t
        if p["learning_rate_scaling"] == "sqrt":
            eta0 *= np.sqrt(size / p["reference_batch_size"])
        eta = {
            "constant": eta0,
            "adaptive": eta0 * now.factor,
            "invscaling": eta0 / (counted + 1) ** p["power_t"],
            "inverse_time": eta0 / (1 + p["alpha"] * eta0 * t),
            "step": eta0 * p["cycle_decay"] ** np.floor(float(now.epochs) / (p["cycle_length"] or 8)),
        }[p["learning_rate"]]
        return eta * min(1.0, float(now.epochs + Fraction(1, batches)) / p["warmup"]) if p["warmup"] else eta

    def penalty(self, parts):
        l1, l2 = self.strengths()
        weights = [part for k, part in enumerate(parts) if self.is_penalised(k, parts)]
        return sum(l1 * np.abs(w).sum() + l2 / 2 * (w**2).sum() for w in weights)

    def follows_penalty(self, call):
        """Single rows, where the penalty is known before every update."""
        l1, l2 = self.strengths()
        lazy = self.sparse and self.parameters.get("average")
        return self.parameters["tol"] is not None and call.ends.single_rows and l1 == 0 and l2 > 0 and not lazy

    def why_to_stop(self, now, data, call, most):
        """The status of a call that ends here, or None."""
        p = self.parameters
        if call.max_updates is not None and call.n_updates >= call.max_updates:
            return "max_updates"
        if call.ends and p["tol"] is not None and call.ends.is_met(call.objectives, call.waits_from):
            if p["learning_rate"] == "adaptive" and self.rows[-1]["learning_rate"] > 1e-6:
                now.factor /= 5
                call.waits_from = len(call.objectives)
            elif status := call.ends.at_rest(self.objective(now, data), call.objectives, call.waits_from):
                return status
        return "max_iter" if call.n_epochs == most else None
