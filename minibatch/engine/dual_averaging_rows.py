"""``engine.dual_averaging`` in batches of one dense row, where outputs share no loss, without L1.

Rows go straight into the dual vectors (``engine.dual_averaging_sums``); weights where a gradient is taken are
``(n + b u) / (q + l2 E_y)``. From update ``FOURS`` on, four updates are made in a pass: of one output after the other
(``engine.dual_averaging_fours``) or of many side by side (``engine.dual_averaging_outputs``).
"""

from minibatch.engine.compile import entry, joining
from minibatch.engine.dual_averaging import FOURS, find_factors, next_bring_up, next_look, note_memory
from minibatch.engine.dual_averaging_fours import run_by_fours, update_with_row
from minibatch.engine.dual_averaging_outputs import run_side_by_side
from minibatch.engine.dual_averaging_sums import bring_up_factors, from_sums, look_around, to_sums
from minibatch.engine.lanes import LANES

__all__ = ["dual_averaging_rows_epoch", "pass_over_rows", "run_of_rows"]


@joining
def run_of_rows(
    data, order, first, last, n_updates, objective, memory, buffer, factors, squares, side_by_side, losses
):  # fmt: skip
    """Update all outputs with the rows at places ``first`` to ``last - 1``, between which no sums are brought up."""
    if len(side_by_side) == 0:
        for k in range(losses.shape[0]):
            losses[k] += run_by_fours(
                data, order, first, last, k, n_updates, objective, memory, buffer, factors, squares
            )
    else:
        for k in range(0, losses.shape[0], LANES):
            run_side_by_side(
                data, order, first, last, k, n_updates, objective, memory, buffer, factors, squares, losses
            )


@joining
def pass_over_rows(
    data, order, objective, scales, memory, n_updates, buffer, factors, squares, side_by_side, losses
):  # fmt: skip
    pace, look, r = memory.pace, next_look(n_updates), 0
    to_sums(memory, buffer)
    find_factors(pace, scales, objective, factors)
    while r < order.shape[0]:
        t = n_updates + r + 1
        bring_up_factors(pace, t, scales, objective, factors)
        if t == look:
            look_around(memory, scales, objective, factors)
            look = next_look(t)
        if t >= FOURS and t % 4 == 0 and r + 4 <= order.shape[0]:
            last = min(r + next_bring_up(t) - t, order.shape[0])
            last -= (last - r) % 4
            run_of_rows(
                data, order, r, last, n_updates, objective, memory, buffer, factors, squares, side_by_side, losses
            )
            r = last
        else:
            for k in range(losses.shape[0]):
                losses[k] += update_with_row(data, order, r, t, k, objective, memory, buffer, factors, squares)
            r += 1
    from_sums(memory, buffer)


@entry
def dual_averaging_rows_epoch(stamp):
    def dual_averaging_rows_epoch(
        data, orders, objective, scales, memory, n_updates, buffer, factors, squares, side_by_side, losses, notes
    ):
        """``dual_averaging_epoch`` for batches of one row and outputs that do not share a loss. ``squares`` are the
        squared norms of what rows add; ``buffer`` is (outputs, ``N_BUFFER``), ``factors`` (outputs, scales). A tuple,
        ``side_by_side`` is empty for one output after the other: either is compiled where it is asked for."""
        _ = stamp
        for e in range(orders.shape[0]):
            before = n_updates + e * orders.shape[1]
            pass_over_rows(
                data, orders[e], objective, scales, memory, before, buffer, factors, squares, side_by_side, losses[e]
            )
            note_memory(memory, objective, notes, e)

    return dual_averaging_rows_epoch
