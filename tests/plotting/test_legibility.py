"""Displays of curves and searches: that they can be read, and what they say without matplotlib."""

import dataclasses
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minibatch.plotting import (
    BatchSizeLearningRateDisplay,
    BatchSizeScalingDisplay,
    ConvergenceDisplay,
    GeneralizationGapDisplay,
    LearningRateRangeDisplay,
    LossInterpolationDisplay,
)
from references.plots import SIZES, X, Y, assert_legible, rate_map

pytestmark = pytest.mark.usefixtures("close_figures")


class TestLegibility:
    @pytest.mark.parametrize(
        "draw",
        [
            lambda curve: ConvergenceDisplay.from_curve(curve, x="n_updates", y="score"),
            lambda curve: ConvergenceDisplay.from_curve(curve, x="seconds", y="gradient_norm"),
            GeneralizationGapDisplay.from_curve,
            lambda curve: GeneralizationGapDisplay.from_curve(curve, x="epoch"),
            BatchSizeScalingDisplay.from_curve,
        ],
        ids=["convergence", "gradient", "gap", "gap along training", "scaling"],
    )
    def test_two_to_twelve_values(self, draw, curve, many):
        assert_legible(draw(curve).figure_)
        assert_legible(draw(many).figure_)

    @pytest.mark.parametrize("rate", ["eta", "base"])
    @pytest.mark.parametrize("n_sizes", [2, 12])
    def test_rate_map(self, rate, n_sizes):
        sizes = [2**k for k in range(n_sizes)] * 9
        rates = np.repeat(np.geomspace(1e-4, 10, 9), n_sizes)
        display = BatchSizeLearningRateDisplay(
            batch_sizes=sizes, learning_rates=rates, scores=np.linspace(0, 1, len(sizes)), diverged=rates > 5
        ).plot(rate=rate)
        assert_legible(display.figure_)
        for text, path in zip(display.text_, display.image_.get_paths(), strict=True):
            if text is not None:
                words = text.get_window_extent()
                (left, bottom), (right, top) = display.ax_.transData.transform(path.get_extents().get_points())
                assert words.x0 >= left
                assert words.x1 <= right
                assert words.y0 >= bottom
                assert words.y1 <= top

    def test_legend_is_inside_where_no_layout_makes_room(self, many):
        _, (ax, _) = plt.subplots(1, 2, figsize=(11, 4.5))
        display = ConvergenceDisplay.from_curve(many, ax=ax, x="n_updates")
        display.figure_.canvas.draw()
        legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert inside.x0 <= legend.x0
        assert legend.x1 <= inside.x1
        assert inside.y0 <= legend.y0

    def test_long_labels_are_turned(self, curve):
        layers = [(100, 50, 25 * i) for i in range(len(SIZES))]
        named = dataclasses.replace(curve, param_name="hidden_layer_sizes", param_range=layers)
        _, (ax, _) = plt.subplots(1, 2)
        GeneralizationGapDisplay.from_curve(named, ax=ax)
        assert {label.get_rotation() for label in ax.get_xticklabels()} == {40}


class TestWrongInput:
    @pytest.mark.parametrize(
        "draw",
        [ConvergenceDisplay.from_curve, GeneralizationGapDisplay.from_curve, BatchSizeScalingDisplay.from_curve],
    )
    def test_what_is_drawn_must_be_a_curve(self, draw):
        with pytest.raises(TypeError, match="curve must be a ConvergenceCurve, as convergence_curve returns; got 'x'"):
            draw("x")
        assert plt.get_fignums() == []

    @pytest.mark.parametrize("draw", [LearningRateRangeDisplay.from_result, LossInterpolationDisplay.from_result])
    def test_what_is_drawn_must_be_a_result(self, draw):
        with pytest.raises(TypeError, match=r"result must be a L\w+Result, as l\w+ returns; got 'x'"):
            draw("x")
        assert plt.get_fignums() == []


class TestWithoutMatplotlib:
    def test_import_works(self):
        code = "import sys; sys.modules['matplotlib'] = None; import minibatch.plotting"
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_drawing_names_the_remedy(self, curve, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        calls = [
            lambda: ConvergenceDisplay.from_curve(curve),
            lambda: GeneralizationGapDisplay.from_curve(curve),
            lambda: BatchSizeScalingDisplay.from_curve(curve),
            lambda: rate_map().plot(),
            lambda: ConvergenceDisplay.from_estimator(None, X, Y),
            lambda: GeneralizationGapDisplay.from_estimator(None, X, Y),
            lambda: BatchSizeScalingDisplay.from_estimator(None, X, Y, target=0.5),
            lambda: BatchSizeLearningRateDisplay.from_estimator(None, X, Y, batch_sizes=[1], learning_rates=[1.0]),
        ]
        for call in calls:
            with pytest.raises(ImportError, match=r"Display\.\w+ requires matplotlib.*pip install matplotlib"):
                call()
