"""Many trainings side by side: what they ask for at a time is run together."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from minibatch._problems.requests import Request
from minibatch._problems.together import run_together
from minibatch._training.epochs import Steps, alone

__all__ = ["side_by_side"]

_T = TypeVar("_T")


def side_by_side(trainings: Sequence[Steps[_T]]) -> list[_T]:
    """What each returns in the end. What one of them raises ends all; what running them raises, each gets."""
    if len(trainings) == 1:
        return [alone(trainings[0])]
    results: dict[int, _T] = {}
    waiting: dict[int, Request] = {}

    def go_on(i: int, step: Callable[[], Request | None]) -> None:
        waiting.pop(i, None)
        try:
            if (request := step()) is not None:
                waiting[i] = request
        except StopIteration as end:
            results[i] = end.value

    for i, steps in enumerate(trainings):
        go_on(i, partial(next, steps))
    while waiting:
        numbers = list(waiting)
        try:
            found = run_together(list(waiting.values()))
        except Exception as error:
            for i in numbers:
                go_on(i, partial(trainings[i].throw, error))
        else:
            for i, ran in zip(numbers, found, strict=True):
                go_on(i, partial(trainings[i].send, ran))
    return [results[i] for i in range(len(trainings))]
