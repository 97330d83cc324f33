"""Looking into a fit while it runs: what there is to ask, and who asks."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from minibatch._base.rows import Rows
from minibatch._problems.state import Vector
from minibatch._training.epochs import Observer

__all__ = ["Evaluation", "Measures", "Watch"]


class Evaluation(NamedTuple):
    """Loss and score of parameters on some rows, without penalty and class weights."""

    problem: Any
    rows: Rows
    score_of: Callable[..., float]

    def loss(self, theta: Vector) -> float:
        return self.problem.mean_loss(self.problem.scores(theta))

    def score(self, theta: Vector) -> float:
        return self.score_of(self.problem.scores(theta), self.rows.target, self.rows.weight)

    def scores(self, thetas: Vector) -> list[float]:
        """Of vectors in rows."""
        found = self.problem.scores_of_models(thetas)
        return [self.score_of(scores, self.rows.target, self.rows.weight) for scores in found]

    def both(self, theta: Vector) -> tuple[float, float]:
        scores = self.problem.scores(theta)
        return self.problem.mean_loss(scores), self.score_of(scores, self.rows.target, self.rows.weight)


class Measures(NamedTuple):
    """What there is to ask about parameters during a fit."""

    training: Callable[[Vector], dict[str, float]]  # train_loss and gradient_norm, in one pass
    train: Evaluation
    test: Evaluation
    fitted: Callable[[Vector], Any]  # an estimator with these parameters
    problem: Any  # that is trained: class weights and penalty count


class Watch(Observer, Protocol):
    """An observer of a whole fit, with a test part that takes no part in it. ``begin`` sees the first parameters."""

    test: tuple[Any, Any, Any]  # X, y, sample_weight
    limits: dict[str, Any]  # fields of the plan, in place of the estimator's; a schedule is asked for one rate more

    def begin(self, measures: Measures, theta: Vector) -> None: ...
    def end(self, theta: Vector) -> None: ...
