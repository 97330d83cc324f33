"""The linear models and networks of ``references.going_on``: their losses, gradients and first parameters."""

from itertools import pairwise

import numpy as np

from references.ends import SINGLE_ROW_SCHEDULES, constant_scores
from references.going_on import Reference
from references.gradient_descent import slope, softmax_slopes
from references.network import Net, gradient, mean_loss

LOSSES = {
    "squared_error": lambda z, y, _: (z - y) ** 2 / 2,
    "huber": lambda z, y, e: np.where(np.abs(z - y) > e, e * np.abs(z - y) - e**2 / 2, (z - y) ** 2 / 2),
    "squared_epsilon_insensitive": lambda z, y, e: np.maximum(np.abs(z - y) - e, 0) ** 2,
    "log_loss": lambda z, y, _: np.log(1 + np.exp(-y * z)),
    "squared_hinge": lambda z, y, _: np.maximum(1 - y * z, 0) ** 2,
    "modified_huber": lambda z, y, _: np.where(y * z < -1, -4 * y * z, np.maximum(1 - y * z, 0) ** 2),
}


class Linear(Reference):
    """Parts are weights (n_features, n_outputs) and intercepts. Classes are columns of -1 and +1."""

    auto = 8

    def first_parts(self, data, before, init):
        """Zeros, what is given, or where the last call stopped: the iterate, or the average if no longer averaged."""
        shape = data.X.shape[1], data.target.shape[1]
        parts = [np.zeros(shape), np.zeros(shape[1])]
        if before is not None:
            parts = before.parts if self.parameters["average"] and before.total is not None else before.result()
        return [part if given is None else given for part, given in zip(parts, init or (None, None), strict=True)]

    def solver(self):
        return self.parameters["solver"]

    def strengths(self):
        p = self.parameters
        share = {"l1": 1.0, "elasticnet": p["l1_ratio"]}.get(p["penalty"], 0.0)
        alpha = p["alpha"] if p["penalty"] else 0.0
        return alpha * share, alpha * (1 - share)

    def is_penalised(self, k, parts):
        return k == 0

    def n_trained(self, parts):
        return 2 if self.parameters["fit_intercept"] else 1

    def is_softmax(self, target):
        return self.parameters.get("multi_class") == "multinomial" and target.shape[1] > 1

    def loss(self, parts, X, target, weight):
        z, p = X @ parts[0] + parts[1], self.parameters
        if self.is_softmax(target):
            losses = np.log(np.exp(z).sum(axis=1)) - z[target > 0]
        else:
            losses = LOSSES[p["loss"]](z, target, p["epsilon"]).sum(axis=1)
        return np.mean(weight * losses)

    def gradient(self, parts, X, target, weight):
        z, p = X @ parts[0] + parts[1], self.parameters
        if self.is_softmax(target):
            slopes = softmax_slopes(z, target.argmax(axis=1))
        else:
            slopes = slope(p["loss"], z, target, p["epsilon"])
        slopes = weight[:, None] * slopes / len(X)
        return [X.T @ slopes, slopes.sum(axis=0)]

    def loss_name(self, target):
        return "softmax" if self.is_softmax(target) else self.parameters["loss"]

    def constant_loss(self, data):
        target = (data.target > 0).astype(float) if self.is_softmax(data.target) else data.target
        scores = constant_scores(self.loss_name(data.target), target, data.weight)
        return self.loss([np.zeros((data.X.shape[1], len(scores))), scores], *data[:])

    def has_constant(self):
        return self.parameters["fit_intercept"]

    def ends_as_in_scikit_learn(self, n, n_outputs):
        p = self.parameters
        theirs = p["solver"] == "sgd" and p["learning_rate"] in SINGLE_ROW_SCHEDULES
        return theirs and n_outputs == 1 and self.batch_size(n) == 1 and p["batch_growth"] is None


class Network(Reference):
    """Parts are the weights (inputs, units) of the layers, then their intercepts. Hidden units have tanh."""

    rate_name, is_network, auto = "learning_rate_init", True, 200
    loss_name = "squared_error"

    def first_parts(self, data, before, init):
        """The draws of scikit-learn, layer by layer."""
        if before is not None:
            return before.result()
        p = self.parameters
        random = p["random_state"] if self.draws_on() else np.random.RandomState(p["random_state"])
        units = [data.X.shape[1], *p["hidden_layer_sizes"], data.target.shape[1]]
        coefs, intercepts = [], []
        for n_in, n_out in pairwise(units):
            bound = np.sqrt(6 / (n_in + n_out))
            coefs.append(random.uniform(-bound, bound, (n_in, n_out)))
            intercepts.append(random.uniform(-bound, bound, n_out))
        return [*coefs, *intercepts]

    def solver(self):
        p = self.parameters
        if p["solver"] == "sgd" and p["momentum"] > 0:
            return "nesterov" if p["nesterovs_momentum"] else "momentum"
        return p["solver"]

    def strengths(self):
        return 0.0, self.parameters["alpha"]

    def is_penalised(self, k, parts):
        return k < len(parts) // 2

    def n_trained(self, parts):
        return len(parts)

    def arguments(self, parts, X, target, weight):
        net = Net(parts[: len(parts) // 2], parts[len(parts) // 2 :])
        return net, X, target, self.loss_name, "tanh", weight

    def loss(self, *arguments):
        return mean_loss(*self.arguments(*arguments))

    def gradient(self, *arguments):
        return gradient(*self.arguments(*arguments))

    def constant_loss(self, data):
        mean = np.average(data.target, axis=0, weights=data.weight)
        return np.mean(data.weight * ((data.target - mean) ** 2 / 2).sum(axis=1))

    def has_constant(self):
        return True

    def ends_as_in_scikit_learn(self, n, n_outputs):
        return False
