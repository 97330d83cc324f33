"""ConvergenceDisplay: its lines, bands, crosses, axes and legend show the curve."""

import dataclasses

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier
from minibatch.plotting import ConvergenceDisplay
from references.plots import EPOCHS, FOLDS, SGD, SIZES, X, Y, assert_legible, changed, legend_words

pytestmark = pytest.mark.usefixtures("close_figures")


class TestConvergence:
    @pytest.mark.parametrize("x", ["epoch", "n_updates", "n_samples_seen", "seconds"])
    @pytest.mark.parametrize("y", ["train_loss", "test_score", "gradient_norm"])
    def test_lines_are_means_over_folds(self, curve, x, y):
        display = ConvergenceDisplay.from_curve(curve, x=x, y=y)
        assert len(display.lines_) == len(SIZES)
        for value, line in enumerate(display.lines_):
            np.testing.assert_allclose(line.get_xdata(), curve.curves_[x][value].mean(axis=0))
            np.testing.assert_allclose(line.get_ydata(), curve.curves_[y][value].mean(axis=0))

    def test_bands_are_one_standard_deviation_over_folds(self, curve):
        display = ConvergenceDisplay.from_curve(curve)
        for value, band in enumerate(display.fill_between_):
            losses = curve.curves_["test_loss"][value]
            heights = band.get_paths()[0].vertices[:, 1]
            np.testing.assert_allclose(heights.max(), (losses.mean(axis=0) + losses.std(axis=0)).max())
            np.testing.assert_allclose(heights.min(), (losses.mean(axis=0) - losses.std(axis=0)).min())
        assert ConvergenceDisplay.from_curve(curve, std_display_style=None).fill_between_ == []

    @pytest.mark.parametrize("quantity", ["loss", "score"])
    def test_training_is_dashed_and_test_is_solid(self, curve, quantity):
        display = ConvergenceDisplay.from_curve(curve, y=quantity)
        assert [line.get_linestyle() for line in display.lines_] == ["--", "-"] * len(SIZES)
        train, test = (curve.curves_[f"{part}_{quantity}"][1].mean(axis=0) for part in ("train", "test"))
        np.testing.assert_allclose(display.lines_[2].get_ydata(), train)
        np.testing.assert_allclose(display.lines_[3].get_ydata(), test)
        assert display.lines_[2].get_color() == display.lines_[3].get_color()
        assert legend_words(display)[len(SIZES) : len(SIZES) + 2] == ["training", "test"]

    def test_axes_are_labelled(self, curve):
        label = {
            (x, y): ConvergenceDisplay.from_curve(curve, x=x, y=y).ax_
            for x, y in [("seconds", "test_score"), ("n_updates", "score"), ("epoch", "train_loss")]
        }
        assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in label.values()] == [
            ("Seconds of training", "Test accuracy"),
            ("Updates", "Accuracy"),
            ("Epochs (passes over the training rows)", "Training loss"),
        ]

    def test_title_names_the_budget(self, curve):
        title = ConvergenceDisplay.from_curve(curve).ax_.get_title(loc="left")
        assert "6 epochs a fit" in title
        assert "3 folds" in title

    def test_legend_says_how_many_rows_a_word_or_fraction_is(self, curve):
        display = ConvergenceDisplay.from_curve(curve)
        assert legend_words(display) == ["1", "8", "0.5 (40)", "full (80)", "target 0.5"]
        assert display.ax_.get_legend().get_title().get_text() == "Batch size"

    @pytest.mark.compiled
    def test_values_that_go_together_are_named_together(self):
        paired = {"eta0": [0.01, 0.5]}
        display = ConvergenceDisplay.from_estimator(SGD, X, Y, param_range=[1, "full"], paired_params=paired, cv=2)
        assert legend_words(display) == ["1 eta0=0.01", "full (60) eta0=0.5"]

    def test_target_line_is_at_the_target_of_the_quantity_shown(self, curve):
        display = ConvergenceDisplay.from_curve(curve, y="loss")
        np.testing.assert_array_equal(display.target_line_.get_ydata(), [0.5, 0.5])
        for y in ("train_loss", "test_score"):
            assert ConvergenceDisplay.from_curve(curve, y=y).target_line_ is None

    def test_values_differ_without_colour(self, many):
        lines = ConvergenceDisplay.from_curve(many).lines_
        assert len({line.get_marker() for line in lines}) == 12
        rgb = np.array([mpl.colors.to_rgb(line.get_color()) for line in lines])
        assert (np.diff(rgb @ [0.299, 0.587, 0.114]) > 0).all()

    def test_colours_follow_the_order_of_values(self, curve):
        order = [3, 0, 2, 1]
        turned = dataclasses.replace(
            curve,
            param_range=[SIZES[i] for i in order],
            curves_={name: values[order] for name, values in curve.curves_.items()},
            folds_={name: values[order] for name, values in curve.folds_.items()},
        )
        colors = [line.get_color() for line in ConvergenceDisplay.from_curve(curve).lines_]
        assert [line.get_color() for line in ConvergenceDisplay.from_curve(turned).lines_] == [colors[i] for i in order]

    def test_axis_of_updates_is_logarithmic_where_their_numbers_differ(self, curve):
        assert ConvergenceDisplay.from_curve(curve, x="n_updates").ax_.get_xscale() == "log"
        assert ConvergenceDisplay.from_curve(curve, x="epoch").ax_.get_xscale() == "linear"
        display = ConvergenceDisplay.from_curve(curve, x="n_updates", log_x=False, log_y=True)
        assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == ("linear", "log")

    def test_axis_of_losses_is_logarithmic_where_they_differ_much(self, curve):
        losses = curve.curves_["test_loss"] * 10.0 ** -np.arange(EPOCHS)
        steep = dataclasses.replace(curve, curves_={**curve.curves_, "test_loss": losses})
        assert ConvergenceDisplay.from_curve(steep).ax_.get_yscale() == "log"
        assert ConvergenceDisplay.from_curve(curve).ax_.get_yscale() == "linear"

    def test_on_a_logarithmic_axis_lines_and_bands_are_geometric(self, curve):
        """Folds a / r, a, a r have the geometric mean a and the geometric standard deviation r^sqrt(2 / 3)."""
        middle, factor = np.linspace(2.0, 1.0, EPOCHS), 1000.0
        losses = np.stack([middle / factor, middle, middle * factor])
        spread = dataclasses.replace(curve, curves_={**curve.curves_, "test_loss": np.stack([losses] * len(SIZES))})
        display = ConvergenceDisplay.from_curve(spread, log_y=True)
        assert losses.mean(axis=0)[0] < losses.std(axis=0)[0]  # mean - std has no place on this axis
        ends = factor ** np.sqrt(2 / 3)
        for line, band in zip(display.lines_, display.fill_between_, strict=True):
            np.testing.assert_allclose(line.get_ydata(), middle)
            heights = band.get_paths()[0].vertices[:, 1]
            np.testing.assert_allclose([heights.min(), heights.max()], [1.0 / ends, 2.0 * ends])
        low, high = display.ax_.get_ylim()
        assert low < 1.0 / ends < 2.0 * ends < high
        assert "Geometric mean ×/÷ std over 3 folds" in display.ax_.get_title(loc="left")
        without = ConvergenceDisplay.from_curve(spread, log_y=True, std_display_style=None)
        assert without.ax_.get_title(loc="left").startswith("Geometric mean over")

    def test_statistics_follow_the_axis_that_was_given(self, curve):
        _, ax = plt.subplots()
        ax.set_yscale("log")
        line = ConvergenceDisplay.from_curve(curve, ax=ax).lines_[0]
        losses = curve.curves_["test_loss"][0]
        np.testing.assert_allclose(line.get_ydata(), np.exp(np.log(losses).mean(axis=0)))

    def test_a_fold_at_zero_leaves_a_gap_on_a_logarithmic_axis(self, curve):
        losses = curve.curves_["test_loss"].copy()
        losses[0, 1, 3] = 0.0
        at_zero = dataclasses.replace(curve, curves_={**curve.curves_, "test_loss": losses})
        display = ConvergenceDisplay.from_curve(at_zero, log_y=True)
        assert np.isnan(display.lines_[0].get_ydata()).nonzero()[0].tolist() == [3]
        low, _ = display.ax_.get_ylim()
        assert low > 0.1

    def test_a_diverged_fold_is_left_out_and_marked(self, curve):
        partly = changed(curve, status={(1, 0): "diverged"}, ends={(1, 0): 3})
        display = ConvergenceDisplay.from_curve(partly)
        losses, epochs = curve.curves_["test_loss"], curve.curves_["epoch"]
        np.testing.assert_allclose(display.lines_[1].get_ydata(), losses[1, 1:].mean(axis=0))
        (cross,) = display.diverged_
        assert cross.get_marker() == "x"
        assert cross.get_color() == display.lines_[1].get_color()
        np.testing.assert_allclose(cross.get_xydata(), [[epochs[1, 0, 2], losses[1, 0, 2]]])
        assert legend_words(display) == [
            "1", "8: 1 of 3 diverged", "0.5 (40)", "full (80)", "target 0.5", "diverged here"
        ]  # fmt: skip

    @pytest.mark.parametrize("y", ["test_loss", "train_score", "gradient_norm"])
    def test_the_cross_is_where_the_losses_were_last_finite(self, curve, y):
        dead = changed(curve, status={(1, 0): "diverged"})
        dead.curves_["train_loss"][1, 0, 4:] = np.nan
        dead.curves_["test_loss"][1, 0, 3:] = np.nan
        (cross,) = ConvergenceDisplay.from_curve(dead, y=y).diverged_
        np.testing.assert_allclose(cross.get_xdata(), [3])
        (cross,) = ConvergenceDisplay.from_curve(dead, x="n_updates", y=y).diverged_
        np.testing.assert_allclose(cross.get_xdata(), dead.curves_["n_updates"][1, 0, 2])

    def test_logarithmic_axes_have_plain_numbers(self, curve):
        display = ConvergenceDisplay.from_curve(curve, x="n_updates", log_y=True)
        display.figure_.canvas.draw()
        for axis in (display.ax_.xaxis, display.ax_.yaxis):
            words = [tick.label1.get_text() for tick in axis.get_major_ticks() + axis.get_minor_ticks()]
            assert any(words)
            assert not any("$" in word for word in words)

    @pytest.mark.parametrize("y", ["test_loss", "score", "gradient_norm"])
    def test_divergence_does_not_spoil_the_scale(self, diverging, y):
        display = ConvergenceDisplay.from_curve(diverging, y=y)
        assert len(display.lines_[-1].get_xdata()) == 0
        means = np.concatenate([line.get_ydata() for line in display.lines_])
        low, high = display.ax_.get_ylim()
        assert high - low < 3 * np.ptp(means)
        (crosses,) = display.diverged_
        # on the edge, whole
        edge = 0.025 if y == "score" else 0.975
        np.testing.assert_allclose((crosses.get_ydata() - low) / (high - low), edge)

    def test_all_diverged(self, diverging):
        everything = changed(diverging, status={(0, 0): "diverged", (0, 1): "diverged"})
        display = ConvergenceDisplay.from_curve(everything, x="n_updates")
        assert [len(line.get_xdata()) for line in display.lines_] == [0, 0]
        assert len(display.diverged_) == 2
        assert_legible(display.figure_)

    def test_mean_ends_where_the_first_fold_ended(self, curve):
        short = changed(curve, status={(2, 1): "converged"}, ends={(2, 1): 4})
        line = ConvergenceDisplay.from_curve(short).lines_[2]
        np.testing.assert_allclose(line.get_ydata(), curve.curves_["test_loss"][2, :, :4].mean(axis=0))

    def test_keywords_reach_the_artists(self, curve):
        _, (_, ax) = plt.subplots(1, 2)
        display = ConvergenceDisplay.from_curve(curve, ax=ax, line_kw={"lw": 4.5}, fill_between_kw={"alpha": 0.5})
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        assert {line.get_linewidth() for line in display.lines_} == {4.5}
        assert {band.get_alpha() for band in display.fill_between_} == {0.5}

    def test_from_estimator_is_the_curve_and_its_picture(self, curve):
        display = ConvergenceDisplay.from_estimator(
            SGD, X, Y, param_range=SIZES, cv=FOLDS, budget={"epochs": EPOCHS}, target={"test_loss": 0.5},
            x="n_updates", quantity="train_score",
        )  # fmt: skip
        np.testing.assert_array_equal(display.curve.curves_["train_score"], curve.curves_["train_score"])
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Updates", "Training accuracy")
        # once made, it can be drawn again in another way
        assert display.plot(x="seconds") is display
        assert display.ax_.get_xlabel() == "Seconds of training"

    def test_pipeline_network_and_train_size(self):
        model = make_pipeline(StandardScaler(), MiniBatchMLPClassifier((4,), max_iter=3, tol=None, random_state=0))
        display = ConvergenceDisplay.from_estimator(model, X, Y, param_name="train_size", param_range=[0.5, 1.0], cv=2)
        assert legend_words(display) == ["0.5 (30)", "1 (60)"]
        assert display.ax_.get_legend().get_title().get_text() == "Training rows"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"x": "updates"}, r"'x' .* must be a str among {.*'n_updates'.*}. Got 'updates'"),
            ({"y": "accuracy"}, r"'y' .* must be a str among {.*'train_loss'.*}. Got 'accuracy'"),
            ({"std_display_style": "bars"}, r"'std_display_style' .* among {'fill_between'} or None. Got 'bars'"),
        ],
    )
    def test_wrong_options(self, curve, options, message):
        with pytest.raises(ValueError, match=message):
            ConvergenceDisplay.from_curve(curve, **options)

    def test_wrong_options_are_found_before_training(self):
        with pytest.raises(ValueError, match="quantity"):
            ConvergenceDisplay.from_estimator("not fitted, as it comes later", X, Y, quantity="accuracy")
