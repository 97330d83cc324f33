"""BatchSizeScalingDisplay: the costs of the target, and the sizes that did not reach it."""

import dataclasses
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minibatch.plotting import BatchSizeScalingDisplay
from references.plots import SGD, SIZES, X, Y, assert_legible, changed, legend_words

pytestmark = pytest.mark.usefixtures("close_figures")


def to_target(curve, updates):
    """The curve with these numbers of updates to the target."""
    costs = np.array(updates, dtype=float)
    return changed(curve, updates_to_target=costs, epochs_to_target=costs / 10)


class TestScaling:
    costs = ((np.nan,) * 3, (64, 80, 100), (20, 30, np.nan), (9, 10, 11))

    def test_points_are_medians_and_bars_go_from_first_to_last(self, curve):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs))
        np.testing.assert_allclose(display.lines_[0].get_xydata(), [[8, 80], [40, 25], [80, 10]])
        bars = [segment[:, 1] for segment in display.errorbar_.lines[2][0].get_segments()]
        np.testing.assert_allclose(bars, [[64, 100], [20, 30], [9, 11]])
        assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("log", "log")
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Batch size", "Updates to test loss ≤ 0.5")

    @pytest.mark.parametrize(("y", "slope"), [("updates_to_target", -1), ("epochs_to_target", 0)])
    def test_perfect_scaling_starts_at_the_smallest_size_that_reached_the_target(self, curve, y, slope):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs), y=y)
        x, height = np.log(display.perfect_scaling_line_.get_xydata()).T
        assert np.diff(height) / np.diff(x) == pytest.approx(slope)
        np.testing.assert_allclose(display.perfect_scaling_line_.get_xydata()[0], display.lines_[0].get_xydata()[0])
        assert np.exp(x) == pytest.approx([8, 80])

    def test_seconds_have_no_perfect_scaling(self, curve):
        display = BatchSizeScalingDisplay.from_curve(curve, y="seconds_to_target")
        assert display.perfect_scaling_line_ is None
        assert display.ax_.get_ylabel() == "Seconds of training to test loss ≤ 0.5"

    def test_sizes_that_did_not_reach_the_target_stand_at_the_upper_edge(self, curve):
        costs = (self.costs[0], (64, 80, np.nan), self.costs[2], (2, 2, 2))
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, costs))
        assert display.not_reached_.get_xdata().tolist() == [1.0]
        assert "not reached" in legend_words(display)
        display.figure_.canvas.draw()
        edge, axes = display.not_reached_.get_window_extent(), display.ax_.get_window_extent()
        boxes = [text.get_window_extent() for text in display.ax_.texts]
        assert edge.y0 > max(box.y1 for box in boxes)
        for box in boxes:
            assert axes.y0 < box.y0
            assert box.y1 < axes.y1
        for one, other in combinations(boxes, 2):
            assert not one.overlaps(other)

    def test_names_of_near_values_stand_side_by_side(self, curve):
        near = to_target(curve, [(3, 4, 5)] * 4)
        near.folds_["resolved_batch_size"] = np.repeat([[1.0], [8.0], [1078.0], [1198.0]], 3, axis=1)
        near = dataclasses.replace(near, param_range=[1, 8, 0.9, "full"])
        texts = self.assert_nothing_lies_on_a_text(BatchSizeScalingDisplay.from_curve(near))
        assert texts == ["0.9", "full"]

    def test_names_for_which_there_is_no_room_are_left_out_before_shares(self, curve):
        near = to_target(curve, [(3, 4, 5)] + [(3, 3, np.nan)] * 3)
        near.folds_["resolved_batch_size"] = np.repeat([[1.0], [1150.0], [1160.0], [1170.0]], 3, axis=1)
        near = dataclasses.replace(near, param_range=[1, 0.97, 0.98, "full"])
        texts = self.assert_nothing_lies_on_a_text(BatchSizeScalingDisplay.from_curve(near))
        assert texts.count("2/3") >= 2
        assert len(texts) < 6

    @staticmethod
    def assert_nothing_lies_on_a_text(display):
        display.figure_.canvas.draw()
        axes, boxes = display.ax_.get_window_extent(), [text.get_window_extent() for text in display.ax_.texts]
        for one, other in combinations(boxes, 2):
            assert not one.overlaps(other)
        for box in boxes:
            assert axes.x0 <= box.x0
            assert box.x1 <= axes.x1
            assert not any(
                box.contains(*point) for point in display.ax_.transData.transform(display.lines_[0].get_xydata())
            )
        return sorted(text.get_text() for text in display.ax_.texts)

    @pytest.mark.parametrize(
        ("costs", "powers"),
        [((1.6, 3, 8), False), ((20, 300, 4000), False), ((1e4, 1e5, 1e6), True), ((1e-5, 2e-5, 3e-5), True)],
    )
    def test_costs_are_plain_numbers_where_these_are_short(self, curve, costs, powers):
        display = BatchSizeScalingDisplay.from_curve(
            changed(curve, updates_to_target=np.array([costs] * 4, dtype=float))
        )
        display.figure_.canvas.draw()
        low, high = display.ax_.get_ylim()
        axis = display.ax_.yaxis
        ticks = [tick for tick in axis.get_major_ticks() + axis.get_minor_ticks() if low <= tick.get_loc() <= high]
        words = {tick.get_loc(): tick.label1.get_text() for tick in ticks if tick.label1.get_text()}
        assert words
        for place, word in words.items():
            assert ("mathdefault" in word) == powers
            assert powers or float(word) == pytest.approx(place)

    def test_shares_below_one_are_written(self, curve):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs))
        assert sorted(text.get_text() for text in display.ax_.texts) == ["0.5", "2/3", "full"]
        assert "folds that reached it" in legend_words(display)
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, [[3, 4, 5]] * 4))
        assert sorted(text.get_text() for text in display.ax_.texts) == ["0.5", "full"]
        assert display.not_reached_ is None

    def test_never_reached(self, curve):
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, np.full((4, 3), np.nan)))
        assert display.errorbar_ is None
        assert display.lines_ == []
        assert len(display.not_reached_.get_xdata()) == 4
        assert_legible(display.figure_)

    def test_sizes_are_joined_in_their_order(self, curve):
        order = [3, 1, 0, 2]
        given = to_target(curve, self.costs)
        turned = dataclasses.replace(
            given,
            param_range=[SIZES[i] for i in order],
            folds_={name: values[order] for name, values in given.folds_.items()},
        )
        lines = [BatchSizeScalingDisplay.from_curve(one).lines_[0].get_xydata() for one in (given, turned)]
        np.testing.assert_array_equal(*lines)

    def test_keywords_reach_the_artists(self, curve):
        _, (_, ax) = plt.subplots(1, 2)
        styles = {"errorbar_kw": {"lw": 5}, "line_kw": {"ls": ":"}}
        display = BatchSizeScalingDisplay.from_curve(to_target(curve, self.costs), ax=ax, **styles)
        assert display.ax_ is ax
        assert display.lines_[0].get_linewidth() == 5
        assert display.perfect_scaling_line_.get_linestyle() == ":"

    @pytest.mark.compiled
    def test_from_estimator(self):
        display = BatchSizeScalingDisplay.from_estimator(
            SGD, X, Y, target=0.6, param_range=[4, "full"], cv=2, quantity="epochs_to_target"
        )
        assert display.ax_.get_ylabel() == "Epochs to test accuracy ≥ 0.6"
        assert "100" in display.ax_.get_title(loc="left") or "1000" in display.ax_.get_title(loc="left")

    def test_errors(self, curve, diverging):
        with pytest.raises(ValueError, match=r"this curve has none; make it with target="):
            BatchSizeScalingDisplay.from_curve(dataclasses.replace(curve, target=None))
        with pytest.raises(ValueError, match=r"needs a curve over batch_size; .*param_name='eta0'"):
            BatchSizeScalingDisplay.from_curve(diverging)
        with pytest.raises(ValueError, match=r"'y' .* must be a str among {.*'updates_to_target'.*}. Got 'updates'"):
            BatchSizeScalingDisplay.from_curve(curve, y="updates")
        with pytest.raises(ValueError, match="target="):
            BatchSizeScalingDisplay.from_estimator(SGD, X, Y, target=None)
