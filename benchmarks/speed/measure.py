"""How everything here is timed: side by side in one process, in turns, as medians with their range."""

import time

import numpy as np

ROUNDS = 5
SECONDS_OF_A_FIT, MORE_EPOCHS = 0.1, (3, 100)  # those who are fast train for more epochs


def seconds_of(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def epoch_timer(make, X, y, batch_size, longest):
    """A function that takes the seconds of an epoch, a row; None where the peer cannot do it.

    An epoch is the difference between fits of more and fewer of them, so that set-up is in neither. Where one takes
    longer than ``longest`` seconds, the fits are on leading rows only, which is in favour of that peer: they may fit
    into the cache.
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


def in_turns(measures, seconds):
    """What each of the functions returns, round by round: two, and more while there are seconds left."""
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


def compared_epochs(peers, X, y, batch_size, rate, scale, pace):
    """Seconds of an epoch, a row, of all peers that can do it, times ``scale``."""
    timers = {
        name: epoch_timer(lambda *task, make=make: make(*task, rate), X, y, batch_size, pace.epoch)
        for name, make in peers.items()
    }
    return compared(in_turns({name: timer for name, timer in timers.items() if timer}, pace.rounds), scale)


def _summary(values):
    return [float(f"{value:.4g}") for value in (np.median(values), np.min(values), np.max(values))]
