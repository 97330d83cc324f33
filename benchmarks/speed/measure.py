"""How everything here is timed: side by side in one process, in turns, as medians with their range."""

import time

import numpy as np

ROUNDS = 5
SECONDS_OF_ROUNDS = 8  # slow peers take fewer of them, two at least
SECONDS_OF_AN_EPOCH = 0.5  # a slower peer trains on fewer rows
SECONDS_OF_A_FIT = 0.1  # a faster one for more epochs
MORE_EPOCHS = (2, 100)


def seconds_of(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def epoch_timer(make, X, y, batch_size, longest=SECONDS_OF_AN_EPOCH):
    """A function that takes the seconds of an epoch, a row; None where the peer cannot do it.

    An epoch is the difference between fits of more and fewer of them, so that set-up is in neither. Where one takes
    longer than ``longest``, the fits are on leading rows only, as a row takes the same time among few and many.
    """
    n = len(y) if batch_size == "full" else min(len(y), max(1_000, 4 * batch_size))
    training = make(X[:n], y[:n], batch_size)
    if training is None:
        return None
    training.fit(1)  # compiles, imports
    seconds = seconds_of(training.fit, 1)
    while n < len(y) and 8 * seconds < longest:
        n = min(8 * n, len(y))
        training = make(X[:n], y[:n], batch_size)
        seconds = seconds_of(training.fit, 1)
    more = int(np.clip(SECONDS_OF_A_FIT / seconds, *MORE_EPOCHS))
    return lambda: (seconds_of(training.fit, 1 + more) - seconds_of(training.fit, 1)) / (more * n)


def in_turns(measures, seconds=SECONDS_OF_ROUNDS):
    """What each of the functions returns, round by round: as many rounds as fit into the seconds."""
    start, rounds = time.perf_counter(), []
    while len(rounds) < 2 or (len(rounds) < ROUNDS and time.perf_counter() - start < seconds):
        rounds.append({name: measure() for name, measure in measures.items()})
    return {name: [each[name] for each in rounds] for name in measures}


def compared(measured, scale=1):
    """Values of all, and those of the others in units of ours: median, lowest and highest over the rounds."""
    ours = measured.get("ours")
    others = measured.keys() - {"ours"} if ours else ()
    return {
        "values": {name: _summary(scale * np.array(values)) for name, values in measured.items()},
        "ratios": {name: _summary(np.divide(measured[name], ours)) for name in measured if name in others},
    }


def compared_epochs(peers, X, y, batch_size, rate, scale, **options):
    """Seconds of an epoch, a row, of all peers that can do it, times ``scale``."""
    timers = {
        name: epoch_timer(lambda *task, make=make: make(*task, rate), X, y, batch_size, **options)
        for name, make in peers.items()
    }
    return compared(in_turns({name: timer for name, timer in timers.items() if timer}), scale)


def _summary(values):
    return [float(f"{value:.4g}") for value in (np.median(values), np.min(values), np.max(values))]
