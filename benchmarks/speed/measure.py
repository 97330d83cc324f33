"""How everything here is timed: side by side in one process, in turns, as medians with their range."""

import time

import numpy as np
from rivals import able

ROUNDS = 5
# Threads of who was measured last stay awake for a while, on the cores of the next.
PAUSE = 0.1
SECONDS_OF_A_FIT, MORE_EPOCHS = 0.1, (3, 100)  # those who are fast train for more epochs


def seconds_of(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def epoch_timer(rival, task, longest, whole=False):
    """A function that takes the seconds of an epoch, a row.

    An epoch is the difference between fits of more and fewer of them, so that set-up is in neither. Where one takes
    longer than ``longest`` seconds, the fits are on leading rows only, which is in favour of that rival: they may fit
    into the cache. With ``whole``, there are all rows or None.
    """
    total = len(task.y)
    n = total if task.batch_size == "full" else min(total, max(1_000, 4 * task.batch_size))
    part = task.first(n)
    rival.fit(part)  # compiles, imports
    seconds = seconds_of(rival.fit, part)
    while n < total and 8 * seconds < longest:
        n = min(8 * n, total)
        part = task.first(n)
        rival.fit(part)  # compiles for another number of rows, where that is one
        seconds = seconds_of(rival.fit, part)
    if whole and n < total:
        return None
    more = int(np.clip(SECONDS_OF_A_FIT / seconds, *MORE_EPOCHS))
    longer = part._replace(length=1 + more)
    return lambda: (seconds_of(rival.fit, longer) - seconds_of(rival.fit, part)) / (more * n)


def in_turns(measures, seconds, least=2):
    """What each of the functions returns, round by round: two or ``least``, and more while there are seconds left."""

    def rested(measure):
        time.sleep(PAUSE)
        return measure()

    start, rounds = time.perf_counter(), []
    while len(rounds) < least or (len(rounds) < ROUNDS and time.perf_counter() - start < seconds):
        rounds.append({name: rested(measure) for name, measure in measures.items()})
    return {name: [each[name] for each in rounds] for name in measures}


def compared(measured, scale=1):
    """Values of all, and those of the others in units of ours: median, lowest and highest over the rounds."""
    ours = measured.get("ours")
    others = measured.keys() - {"ours"} if ours else ()
    return {
        "values": {name: summary(scale * np.array(values)) for name, values in measured.items()},
        "ratios": {name: summary(np.divide(measured[name], ours)) for name in measured if name in others},
    }


def compared_epochs(task, scale, pace, whole=False):
    """Seconds of an epoch, a row, of all rivals that can do it, times ``scale``."""
    rivals, absent = able(task, pace)
    timers = {name: epoch_timer(rival, task, pace.epoch, whole) for name, rival in rivals.items()}
    measured = in_turns({name: timer for name, timer in timers.items() if timer}, pace.rounds)
    return compared(measured, scale) | {"not installed": absent}


def summary(values):
    """Median, lowest and highest, four digits each."""
    return [float(f"{value:.4g}") for value in (np.median(values), np.min(values), np.max(values))]
