"""Linear models: what training asks of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from sklearn.utils.extmath import row_norms

from minibatch._problems.batching import Order
from minibatch._problems.blas import one_blas_thread
from minibatch._problems.linear_loops import LinearLoops
from minibatch._problems.pieces import at_once, cut
from minibatch._problems.single_rows import finite_squares
from minibatch._problems.state import RowGradients, State, Vector, blocks_of_rows, data_of, matrix_of, score_into
from minibatch.engine.linear import ONE_VS_REST, SEPARATE, SOFTMAX, Data, Objective, Solver, losses_of_scores

__all__ = ["FEW_WEIGHTS", "OUTPUTS", "SCORES_OF_MODELS", "LinearProblem"]

SCORES_OF_MODELS = 2**20  # that one product gives
FEW_WEIGHTS = 8192  # whose squares may be an array: it is made sooner than np.einsum has begun
OUTPUTS = {"separate": SEPARATE, "ovr": ONE_VS_REST, "multinomial": SOFTMAX}


@dataclass(frozen=True)
class LinearProblem(LinearLoops):
    """A linear model with ``n_outputs`` rows of weights on dense (C order) or CSR rows."""

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: NDArray[Any],
        weight: NDArray[Any] | None,
        objective: Objective,
        solver: Solver,
        n_outputs: int,
        class_weight: NDArray[np.float64] | None = None,
        data: Data | None = None,
        **more: Any,
    ) -> "LinearProblem":
        """``y`` as ``data_of`` takes it; ``data`` is what that has returned for these arrays before."""
        data = data_of(X, y, weight, n_outputs, class_weight) if data is None else data
        return cls(data, objective, solver, n_outputs, n_features=X.shape[1], **more)

    @property
    def is_random(self) -> bool:
        return False

    @property
    def n_trained(self) -> int:
        """How many of the parameters, from the first, training changes."""
        return self.n_parameters - (0 if self.objective.fit_intercept else self.n_outputs)

    def new_state(self, theta: Vector, averaged: bool) -> State:
        """The state before the first update; ``theta`` is copied."""
        return self._first_state(theta, self.n_parameters, np.zeros(self.n_parameters if averaged else 0))

    def penalties(self, theta: Vector) -> NDArray[np.float64]:
        """The penalty of every objective, a linear term in the intercept among it; of several vectors, in rows."""
        n_weights, n_objectives = self.n_outputs * self.n_features, self.n_objectives
        w, l1, l2 = theta[..., :n_weights].reshape(-1, n_weights // n_objectives), self.objective.l1, self.objective.l2
        if self.objective.passive:  # as in scikit-learn, which looks at their loss alone
            return np.zeros((*theta.shape[:-1], n_objectives))
        with np.errstate(over="ignore"):  # infinity is the right answer; 0 times infinity would be none
            penalties = 0.5 * l2 * _squared_norms(w) if l2 > 0.0 else np.zeros(len(w))
            if l1 > 0.0:
                penalties += l1 * np.abs(w).sum(axis=1, dtype=np.float64)
        if self.objective.tilt:
            penalties += self.objective.tilt[0] * theta[..., n_weights:].ravel()
        return penalties.reshape(*theta.shape[:-1], n_objectives)

    def following_penalty(self, averaged: bool) -> "LinearProblem":
        """To know the penalty before every update in batches of one row; where no loop does that, as it is."""
        if self.objective.l2 == 0.0 or self._epoch_function(1, averaged) != self._plain_sgd:
            return self
        return replace(self, squares=finite_squares(matrix_of(self.data.X, self.n_features)))

    def evaluate(self, theta: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weighted mean losses over all rows, and the gradient of their sum (without penalty)."""
        rows = self._all_rows
        weights = self.data.weight[rows] if len(self.data.weight) else np.ones(len(rows))
        losses, gradient = self._sum_over(rows, self.parameters(theta), self._of_losses)
        total_weight = weights.sum(dtype=np.float64)
        return losses[: self.n_objectives] / total_weight, gradient / total_weight

    def scores(self, theta: Vector) -> NDArray[Any]:
        """``X @ W.T + b`` for all rows."""
        (weights, intercept), X = self.parameters(theta), matrix_of(self.data.X, self.n_features)
        scores = np.empty((X.shape[0], self.n_outputs), np.result_type(X.dtype, weights))
        n_rows = max(1, at_once(self._row_work / 4))  # a product alone
        for begin, end in cut(0, len(scores), n_rows):
            rows = X if n_rows >= len(scores) else X[begin:end]  # of a sparse matrix, a copy
            # a product this thin gains nothing from more threads, and waits for a core that is busy
            with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
                score_into(scores[begin:end], rows, weights, intercept)
        return scores

    def scores_of_models(self, thetas: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """``scores`` of vectors in rows, in products of some of them."""
        n_weights = self.n_outputs * self.n_features
        at_once = max(1, SCORES_OF_MODELS // (len(self.data.y) * self.n_outputs))
        for here in gen_batches(len(thetas), at_once):
            some = thetas[here]
            as_one = np.concatenate([some[:, :n_weights].ravel(), some[:, n_weights:].ravel()])
            scores = replace(self, n_outputs=len(some) * self.n_outputs).scores(as_one)
            yield from np.split(scores, len(some), axis=1)

    def evaluation_bytes(self) -> dict[str, int]:
        """What ``evaluate`` and ``gradient_norm`` allocate, by what it holds."""
        order = 8 * self.n_samples if self.rows is None else 0
        gradients = max(self._sum_bytes(self.n_samples), 8 * 6 * self.n_parameters)  # or the shortest subgradient
        return {"order of the rows": order, "weights of the rows": 8 * self.n_samples, "gradients": gradients}

    def scores_bytes(self, n_rows: int) -> dict[str, int]:
        """What ``scores`` of so many rows allocates."""
        return {"scores": n_rows * self.n_outputs * self.data.y.itemsize}

    def with_penalty(self, theta: Vector, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient of the objective, from that of the loss; where L1 has a kink, its shortest subgradient."""
        w, l1 = self.parameters(theta).weights.astype(np.float64), self.objective.l1
        of_weights, of_intercept = self.parameters(gradient)
        smooth = of_weights + self.objective.l2 * w
        at_kink = np.sign(smooth) * np.maximum(np.abs(smooth) - l1, 0.0)
        shortest = np.where(w == 0.0, at_kink, smooth + l1 * np.sign(w))
        tilt = self.objective.tilt[0] if self.objective.tilt else 0.0
        intercept = of_intercept + tilt if self.objective.fit_intercept else np.zeros(self.n_outputs)
        return np.concatenate([shortest.ravel(), intercept])

    def mean_gradient(self, theta: Vector) -> NDArray[np.float64]:
        """The gradient of a batch of all rows, without penalty: its rows count alike, whatever their weights."""
        return self._sum_over(self._all_rows, self.parameters(theta), self._of_losses)[1] / self.n_samples

    def row_gradients(self, theta: Vector, directions: NDArray[np.float64]) -> RowGradients:
        """Norms of the gradients of the rows trained on, in their order, and products with (n_trained,) directions.

        Row ``i`` has the gradient ``slope_ik (x_i, 1)`` in the weights and intercept of output ``k``.
        """
        rows, n_outputs = self._all_rows, self.n_outputs
        vectors = np.zeros((1 + len(directions), self.n_parameters))
        vectors[0], vectors[1:, : self.n_trained] = theta, directions
        weights = vectors[:, : n_outputs * self.n_features].reshape(-1, self.n_features)
        intercepts = vectors[:, n_outputs * self.n_features :].ravel()
        found = RowGradients(np.empty(len(rows)), np.empty((len(directions), len(rows))))
        for here, X in blocks_of_rows(self.data.X, rows, self.n_features):
            with one_blas_thread():
                images = (X @ weights.T + intercepts).reshape(-1, 1 + len(directions), n_outputs)
            slopes = self.slopes(rows[here], images[:, 0])
            inputs = row_norms(X, squared=True) + float(self.objective.fit_intercept)
            found.squared_norms[here] = np.einsum("rk,rk->r", slopes, slopes) * inputs
            found.products[:, here] = np.einsum("rk,rqk->qr", slopes, images[:, 1:])
        return found

    def slopes(self, rows: Order, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted slopes (rows, outputs) from the scores of the rows, some of which may be the same."""
        slopes = np.array(scores, order="C")
        losses_of_scores(self.data, rows, self._of_losses, slopes, np.zeros(self.n_outputs))
        return slopes


def _squared_norms(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Of vectors in rows."""
    if rows.shape[1] > FEW_WEIGHTS:
        return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    squared: NDArray[np.float64] = np.add.reduce(np.square(rows, dtype=np.float64), axis=1)
    return squared
