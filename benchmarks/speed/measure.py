"""How everything here is timed: side by side in one process, in turns, as medians with their range."""

import time

import numpy as np

FEW, MANY, ROUNDS = 1, 4, 5
SECONDS_OF_A_ROW = 30  # slow peers take fewer turns


def seconds_of(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def epoch_seconds(fit):
    """Seconds of an epoch: the difference between fits of more and fewer epochs, so that set-up is in neither."""
    return (seconds_of(fit, MANY) - seconds_of(fit, FEW)) / (MANY - FEW)


def compared(fits):
    """Our milliseconds an epoch, and how many times as long the others take: median, lowest and highest over rounds in
    which all take turns. ``fits`` take the number of epochs; one is called "ours"."""
    once = 0.0
    for fit in fits.values():
        fit(1)  # compile, import
        once += seconds_of(fit, MANY)
    rounds = max(2, min(ROUNDS, int(SECONDS_OF_A_ROW / once)))
    seconds = [{name: epoch_seconds(fit) for name, fit in fits.items()} for _ in range(rounds)]
    row = {"ours_ms": round(1e3 * float(np.median([turn["ours"] for turn in seconds])), 4)}
    for name in fits.keys() - {"ours"}:
        ratios = [turn[name] / turn["ours"] for turn in seconds]
        row[name] = [round(float(value), 2) for value in (np.median(ratios), min(ratios), max(ratios))]
    return row
