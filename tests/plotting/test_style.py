"""One base and one style: what holds for every display."""

import dataclasses
import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minibatch.plotting
from minibatch import MiniBatchSGDClassifier
from minibatch.diagnostics import (
    batch_sharpness_curve,
    gradient_noise_curve,
    hessian_spectrum,
    learning_rate_range_test,
    loss_interpolation,
)
from minibatch.distributed import simulate_workers
from minibatch.model_selection import convergence_curve
from minibatch.plotting import (
    BatchSharpnessDisplay,
    BatchSizeLearningRateDisplay,
    BatchSizeScalingDisplay,
    ConvergenceDisplay,
    GeneralizationGapDisplay,
    HessianSpectrumDisplay,
    LearningCurveDisplay,
    LearningRateRangeDisplay,
    LossInterpolationDisplay,
    NoiseScaleDisplay,
    WorkersSimulationDisplay,
)
from minibatch.plotting._display import Display, ResultDisplay
from minibatch.plotting._style import score_words
from references.plots import SGD, X, Y, rate_map

pytestmark = pytest.mark.usefixtures("close_figures")

DISPLAYS = [getattr(minibatch.plotting, name) for name in minibatch.plotting.__all__]


@pytest.fixture(scope="module")
def results():
    models = [MiniBatchSGDClassifier("log_loss", batch_size=size, max_iter=2, tol=None).fit(X, Y) for size in (8, 64)]
    return {
        LearningRateRangeDisplay: learning_rate_range_test(models[0], X, Y, random_state=0),
        LossInterpolationDisplay: loss_interpolation(*models, X, Y),
        NoiseScaleDisplay: gradient_noise_curve(models[0], X, Y, n_looks=3),
        BatchSharpnessDisplay: batch_sharpness_curve(models[0], X, Y, n_looks=3),
        HessianSpectrumDisplay: hessian_spectrum(models[1], X, Y, k=3),
        WorkersSimulationDisplay: simulate_workers((5e-5, 1e-6), 5000, 10_000, (2e-5, 1.25e9)),
    }


@pytest.fixture(
    scope="class",
    params=[
        *((cls, {}) for cls in DISPLAYS),
        (ConvergenceDisplay, {"x": "n_updates", "y": "loss", "log_y": True}),
        (ConvergenceDisplay, {"x": "seconds", "y": "gradient_norm"}),
        (GeneralizationGapDisplay, {"x": "epoch"}),
        (BatchSizeScalingDisplay, {"y": "samples_to_target"}),
        (BatchSizeLearningRateDisplay, {"rate": "base"}),
    ],
    ids=lambda drawn: "-".join([drawn[0].__name__, *map(str, drawn[1].values())]),
)
def draw(request, curve, many, results):
    """Every display, and pictures of other quantities of some: a function of the axes."""
    cls, options = request.param
    if cls in results:
        return lambda ax: cls.from_result(results[cls], ax=ax)
    if cls is BatchSizeLearningRateDisplay:
        return lambda ax: rate_map(budget="5 epochs a fit").plot(ax, **options)
    if cls is LearningCurveDisplay:
        many = convergence_curve(SGD, X, Y, param_name="train_size", param_range=[20, 35, 50, 80], cv=3)
    return lambda ax: cls.from_curve(uneven(curve) if "log_y" in options else many, ax=ax, **options)


def uneven(curve):
    """The curve with losses of which mean minus standard deviation over the three folds is below 0."""
    shares = np.array([1e-3, 1e-3, 1.0])[:, None]
    losses = {name: shares * curve.curves_[name] for name in ("train_loss", "test_loss")}
    return dataclasses.replace(curve, curves_=curve.curves_ | losses)


@pytest.fixture(scope="class", params=["own figure", "given axes", "a third of a figure"])
def axes(request, draw):
    """The axes that a display has drawn on."""
    ax = None
    if request.param != "own figure":
        layout = "constrained" if request.param == "a third of a figure" else None
        ax = plt.subplots(1, 3 if layout else 2, figsize=(12, 4), layout=layout)[1][0]
    display = draw(ax)
    display.figure_.canvas.draw()
    return list(np.ravel(display.ax_))


def is_sentence_case(words):
    return not words[:1].islower() and words.split()[0][1:] == words.split()[0][1:].lower()


class TestStyle:
    def test_axis_labels_are_in_sentence_case(self, axes):
        for ax in axes[0].figure.axes:
            if ax in axes or ax.get_label() == "<colorbar>":
                for words in {ax.get_xlabel(), ax.get_ylabel()} - ({""} if ax not in axes else set()):
                    assert is_sentence_case(words), words

    def test_a_title_stands_on_the_left_in_one_size(self, axes):
        assert is_sentence_case(axes[0].get_title(loc="left"))
        for ax in axes:
            assert ax.get_title() == ax.get_title(loc="right") == ""
            assert ax._left_title.get_fontsize() == plt.rcParams["font.size"]

    def test_legends_are_not_smaller_than_tick_labels(self, axes):
        legend = axes[-1].get_legend()
        ticks = {label.get_fontsize() for ax in axes for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]}
        assert min(text.get_fontsize() for text in [*legend.get_texts(), legend.get_title()]) >= max(ticks)

    def test_the_title_is_no_wider_than_what_it_stands_above(self, axes):
        title, box = axes[0]._left_title.get_window_extent(), axes[0].get_window_extent()
        beside = axes[0].figure.get_layout_engine() is not None and axes[0].get_legend() is not None
        right = max(box.x1, axes[0].get_legend().get_window_extent().x1) if beside else box.x1
        assert title.x1 <= right + 1

    def test_no_band_falls_to_the_edge_of_a_logarithmic_axis(self, axes):
        for ax in axes:
            for band in ax.collections if ax.get_yscale() == "log" else []:
                ends = np.concatenate([path.vertices[:, 1] for path in band.get_paths()])
                assert (ends[np.isfinite(ends)] > 0.0).all()


def test_names_of_own_scores_stay_as_they_are():
    assert [score_words(name) for name in ("RMSLE", "neg_RMSLE")] == ["RMSLE", "negative RMSLE"]


class TestBase:
    @pytest.mark.parametrize("cls", DISPLAYS)
    def test_every_display_is_made_by_the_base(self, cls):
        assert issubclass(cls, Display)
        assert cls._plot is Display._plot
        if cls is not LossInterpolationDisplay:
            assert cls._from_estimator.__func__ is Display._from_estimator.__func__
        assert "from_result" not in vars(cls)

    @pytest.mark.parametrize("cls", [cls for cls in DISPLAYS if not issubclass(cls, ResultDisplay)])
    def test_an_editor_shows_the_options_of_plot_with_their_defaults(self, cls):
        drawn, made = (inspect.signature(function).parameters for function in (cls.plot, cls.from_estimator))
        for name in cls._options:
            assert made["quantity" if name == "y" else name].default == drawn[name].default

    def test_a_scaling_needs_a_target(self):
        with pytest.raises(TypeError, match="'target'"):
            BatchSizeScalingDisplay.from_estimator(SGD, X, Y)

    @pytest.mark.parametrize("cls", DISPLAYS)
    def test_names_of_plot_are_those_that_are_checked(self, cls):
        names = set(inspect.signature(cls.plot).parameters) - {"self", "ax", "kwargs"}
        assert names == set(cls._options)

    @pytest.mark.parametrize("cls", DISPLAYS)
    def test_what_users_call_is_documented(self, cls):
        makers = [name for name in dir(cls) if name.startswith("from_") and getattr(cls, name) is not None]
        for name in ["plot", *makers]:
            words = inspect.getdoc(getattr(cls, name))
            assert "Parameters\n----------" in words
            assert "Returns\n-------" in words
            for parameter in set(inspect.signature(getattr(cls, name)).parameters) - {"self"}:
                assert parameter in words, (name, parameter)

    @pytest.mark.parametrize(
        ("cls", "options", "message"),
        [
            (ConvergenceDisplay, {"quantity": "accuracy"}, "'quantity' parameter of ConvergenceDisplay.from_estimator"),
            (ConvergenceDisplay, {"log_x": "yes"}, "'log_x'"),
            (ConvergenceDisplay, {"line_kw": 3}, "'line_kw'"),
            (GeneralizationGapDisplay, {"x": "updates"}, "'x'"),
            (GeneralizationGapDisplay, {"std_display_style": "bars"}, "'std_display_style'"),
            (BatchSizeScalingDisplay, {"quantity": "updates", "target": 0.5}, "'quantity'"),
            (BatchSizeScalingDisplay, {"target": None}, "make it with target="),
            (BatchSizeLearningRateDisplay, {"rate": 1, "batch_sizes": [1], "learning_rates": [0.1]}, "'rate'"),
        ],
    )
    def test_wrong_options_are_found_before_anything_is_trained(self, cls, options, message):
        with pytest.raises(ValueError, match=message):
            cls.from_estimator("no estimator", X, Y, **options)
        assert plt.get_fignums() == []

    def test_what_is_no_option_goes_to_what_computes(self):
        with pytest.raises(TypeError, match="quantity"):
            GeneralizationGapDisplay.from_estimator(SGD, X, Y, quantity="test_loss")
        with pytest.raises(TypeError, match="colour"):
            NoiseScaleDisplay.from_estimator(SGD, X, Y, colour="red")

    def test_a_path_between_models_has_two_ends(self):
        assert not hasattr(LossInterpolationDisplay, "from_estimator")

    def test_a_scaling_is_over_batch_sizes(self):
        with pytest.raises(TypeError, match="param_name"):
            BatchSizeScalingDisplay.from_estimator(SGD, X, Y, target=0.5, param_name="eta0")
