"""Many trainings side by side: what they ask for at a time is run together."""

from collections.abc import Sequence
from typing import TypeVar

from minibatch._problems.requests import Ran, Request
from minibatch._problems.together import run_together
from minibatch._training.epochs import Steps, alone

__all__ = ["side_by_side"]

_T = TypeVar("_T")


def side_by_side(trainings: Sequence[Steps[_T]]) -> list[_T]:
    """What each returns in the end. What one of them raises ends all."""
    if len(trainings) == 1:
        return [alone(trainings[0])]
    results: dict[int, _T] = {}
    waiting: dict[int, Request] = {}

    def go_on(i: int, ran: Ran | None) -> None:
        waiting.pop(i, None)
        try:
            waiting[i] = next(trainings[i]) if ran is None else trainings[i].send(ran)
        except StopIteration as end:
            results[i] = end.value

    for i in range(len(trainings)):
        go_on(i, None)
    while waiting:
        numbers, found = list(waiting), run_together(list(waiting.values()))
        for i, ran in zip(numbers, found, strict=True):
            go_on(i, ran)
    return [results[i] for i in range(len(trainings))]
