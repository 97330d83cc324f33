"""BatchSizeLearningRateDisplay: cells, colours and hatches, made from scores, an estimator or a search."""

import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import ConvergenceScorer
from minibatch.plotting import BatchSizeLearningRateDisplay
from references.plots import SGD, X, Y, legend_words, rate_map

pytestmark = pytest.mark.usefixtures("close_figures")


class TestRateMap:
    def test_one_cell_a_candidate_with_its_score(self):
        display = rate_map().plot()
        shown = display.image_.get_array()
        assert shown.mask.nonzero()[0].tolist() == [2]
        np.testing.assert_allclose(shown.compressed(), np.delete(display.scores, 2))
        for path, size, rate in zip(
            display.image_.get_paths(), display.batch_sizes, display.learning_rates, strict=True
        ):
            (left, bottom), (right, top) = path.get_extents().get_points()
            assert round((left + right) / 2) == [1, 8, 64].index(size)
            assert np.sqrt(bottom * top) == pytest.approx(rate)
        assert display.ax_.get_yscale() == "log"
        assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["1", "8", "64"]
        assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["0.01", "0.1", "1"]
        assert display.colorbar_.ax.get_ylabel() == "Mean test accuracy"

    def test_diverged_cells_are_hatched_and_never_the_best(self):
        display = rate_map().plot()
        (cell,) = display.diverged_.get_paths()
        np.testing.assert_allclose(cell.vertices, display.image_.get_paths()[2].vertices)
        assert display.diverged_.get_hatch()
        np.testing.assert_allclose(display.best_.get_xy()[:4], display.image_.get_paths()[1].vertices[:4])
        assert legend_words(display) == ["best", "diverged"]
        assert display.text_[2] is None
        assert rate_map(diverged=None).plot().diverged_ is None

    def test_base_rates_are_divided_by_the_batch_size(self):
        display = rate_map().plot(rate="base")
        for path, size, rate in zip(
            display.image_.get_paths(), display.batch_sizes, display.learning_rates, strict=True
        ):
            (_, bottom), (_, top) = path.get_extents().get_points()
            assert np.sqrt(bottom * top) == pytest.approx(rate / size)
        assert display.ax_.get_ylabel() == "Base learning rate η / B"

    def test_cells_of_a_column_touch(self):
        paths = rate_map(learning_rates=np.array([0.1, 0.01, 3, 1, 0.2, 7, 0.5, 0.001, 2])).plot().image_.get_paths()
        for column in range(3):
            extents = sorted(
                path.get_extents().get_points()[:, 1].tolist() for path in paths[3 * column : 3 * column + 3]
            )
            assert [low for low, _ in extents[1:]] == pytest.approx([high for _, high in extents[:-1]])

    def test_a_rate_that_is_alone_gets_a_decade(self):
        display = BatchSizeLearningRateDisplay(batch_sizes=[1, 8], learning_rates=[0.1, 0.2], scores=[0.5, 0.6]).plot()
        for path, rate in zip(display.image_.get_paths(), [0.1, 0.2], strict=True):
            (_, bottom), (_, top) = path.get_extents().get_points()
            assert [bottom, top] == pytest.approx([rate / np.sqrt(10), rate * np.sqrt(10)])

    def test_numbers_stand_out_from_their_cells(self):
        display = rate_map().plot()
        for text, rgba in zip(display.text_, display.image_.to_rgba(display.image_.get_array()), strict=True):
            if text is not None:
                dark = rgba[:3] @ [0.2126, 0.7152, 0.0722] < 0.3
                assert text.get_color() == ("white" if dark else "black")
        assert display.text_[0].get_text() == "0.889"

    def test_numbers_are_left_out_where_they_do_not_fit(self):
        _, axes = plt.subplots(1, 8)
        assert rate_map().plot(axes[0]).text_ == [None] * 9
        assert len(axes[0].texts) == 0

    def test_bad_candidates_do_not_hide_the_differences_of_good_ones(self):
        scores = np.array([0.8, 0.85, 0.9, 0.82, 0.84, 0.86, 0.83, 0.81, -1e9])
        display = rate_map(scores=scores, diverged=None).plot()
        assert display.image_.norm.vmax == 0.9
        assert display.image_.norm.vmin == pytest.approx(0.9 - 3 * (0.9 - np.median(scores)))
        assert display.colorbar_.extend == "min"
        norm = rate_map(scores=np.linspace(0, 1, 9), diverged=None).plot().image_.norm
        assert (norm.vmin, norm.vmax) == (0, 1)

    def test_all_diverged(self):
        display = rate_map(diverged=np.ones(9)).plot()
        assert display.best_ is None
        assert display.colorbar_ is None
        assert len(display.diverged_.get_paths()) == 9

    def test_keywords_reach_the_artists(self):
        _, (_, ax) = plt.subplots(1, 2)
        display = rate_map().plot(ax, cmap="cividis", image_kw={"ec": "red", "norm": mpl.colors.Normalize(0, 1)})
        assert display.ax_ is ax
        assert display.image_.get_cmap().name == "cividis"
        assert display.image_.get_edgecolor().tolist() == [[1, 0, 0, 1]]
        assert (display.image_.norm.vmin, display.image_.norm.vmax) == (0, 1)
        assert rate_map().plot(text_kw={"size": 5}).text_[0].get_fontsize() == 5

    def test_from_estimator_scores_as_cross_validation_does(self):
        model = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", learning_rate="constant", tol=None))
        given = {"batch_sizes": [4, "full"], "learning_rates": [0.01, 0.1]}
        display = BatchSizeLearningRateDisplay.from_estimator(
            model, X, Y, **given, cv=3, budget={"updates": 7}, random_state=3
        )
        grid = {"minibatchsgdclassifier__batch_size": [4, "full"], "minibatchsgdclassifier__eta0": [0.01, 0.1]}
        seed = np.random.RandomState(3)
        assert "7 updates a fit" in display.ax_.get_title(loc="left")
        assert display.batch_sizes == [4, 4, "full", "full"]
        assert display.learning_rates.tolist() == [0.01, 0.1] * 2
        assert display.resolved_batch_sizes.tolist() == [4, 4, 80, 80]
        again = BatchSizeLearningRateDisplay.from_estimator(
            model, X, Y, **given, cv=3, budget={"updates": 7}, random_state=seed
        )
        np.testing.assert_array_equal(display.scores, again.scores)
        model.set_params(
            minibatchsgdclassifier__random_state=np.random.RandomState(3).randint(np.iinfo(np.int32).max),
            minibatchsgdclassifier__max_updates=7,
        )
        search = GridSearchCV(model, grid, cv=3, refit=False).fit(X, Y)
        np.testing.assert_allclose(display.scores, search.cv_results_["mean_test_score"])
        assert display.diverged.tolist() == [0, 0, 0, 0]

    def test_a_network_is_searched_over_its_own_learning_rate(self):
        mlp = MiniBatchMLPClassifier((3,), learning_rate="constant", max_iter=2, tol=None, random_state=0)
        display = BatchSizeLearningRateDisplay.from_estimator(
            mlp, X, Y, batch_sizes=[8], learning_rates=[1e-3, 1e-2], cv=2
        )
        assert display.learning_rates.tolist() == [1e-3, 1e-2]

    def test_divergence_is_seen_and_does_not_warn(self):
        Xr, yr = make_regression(60, 3, random_state=0)
        regressor = MiniBatchSGDRegressor(learning_rate="constant", tol=None, random_state=0, max_iter=8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            display = BatchSizeLearningRateDisplay.from_estimator(
                regressor, Xr, yr, batch_sizes=[1, "full"], learning_rates=[0.01, 1e8], cv=2
            )
        assert display.diverged.tolist() == [0, 1, 0, 1]

    @pytest.mark.parametrize("scoring", [None, ConvergenceScorer("accuracy")])
    @pytest.mark.compiled
    def test_from_search(self, scoring):
        grid = {"batch_size": [1, "full"], "eta0": [0.01, 0.1]}
        search = GridSearchCV(SGD, grid, cv=2, scoring=scoring, refit=False).fit(X, Y)
        display = BatchSizeLearningRateDisplay.from_search(search)
        np.testing.assert_array_equal(display.scores, search.cv_results_["mean_test_score"])
        assert (display.diverged is None) == (scoring is None)
        assert "1000 epochs a fit" in display.ax_.get_title(loc="left")
        if scoring is None:
            plt.close("all")
            with pytest.raises(ValueError, match=r"batch_size='full'; search with scoring=ConvergenceScorer"):
                display.plot(rate="base")
            assert plt.get_fignums() == []
        else:
            heights = [path.get_extents().get_points()[:, 1] for path in display.plot(rate="base").image_.get_paths()]
            np.testing.assert_allclose(np.sqrt(np.prod(heights, axis=1)), [0.01, 0.1, 0.01 / 60, 0.1 / 60])

    @pytest.mark.compiled
    def test_from_random_search(self):
        space = {"batch_size": [1, 16], "eta0": np.geomspace(1e-3, 1, 20)}
        search = RandomizedSearchCV(SGD, space, n_iter=6, cv=2, random_state=0, refit=False).fit(X, Y)
        display = BatchSizeLearningRateDisplay.from_search(search)
        assert len(display.image_.get_paths()) == 6

    @pytest.mark.parametrize(
        ("grid", "message"),
        [
            ({"batch_size": [1, 2]}, "must vary batch_size and eta0, and nothing else; it varied batch_size"),
            ({"batch_size": [1], "eta0": [0.1], "alpha": [0.1, 1.0]}, "it varied alpha, batch_size, eta0"),
            ({"batch_size": [1, 1], "eta0": [0.1]}, "tried some pairs of batch_size and eta0 more than once"),
        ],
    )
    def test_other_searches(self, grid, message):
        search = GridSearchCV(clone(SGD).set_params(max_iter=1), grid, cv=2, refit=False).fit(X, Y)
        with pytest.raises(ValueError, match=message):
            BatchSizeLearningRateDisplay.from_search(search)

    @pytest.mark.compiled
    def test_search_with_several_scores(self):
        grid = {"batch_size": [1], "eta0": [0.01, 0.1]}
        search = GridSearchCV(SGD, grid, cv=2, scoring=["accuracy", "neg_log_loss"], refit="neg_log_loss").fit(X, Y)
        display = BatchSizeLearningRateDisplay.from_search(search)
        np.testing.assert_array_equal(display.scores, search.cv_results_["mean_test_neg_log_loss"])
        assert display.colorbar_.ax.get_ylabel() == "Mean test negative log loss"
        with pytest.raises(ValueError, match="several scores; name the one to show with refit="):
            BatchSizeLearningRateDisplay.from_search(search.set_params(refit=False))

    @pytest.mark.parametrize(
        ("estimator", "options", "message"),
        [
            (SGD, {"rate": "log"}, "'rate' .* must be a str among {'.*', '.*'}. Got 'log'"),
            (SGD, {"budget": {"seconds": 1}}, "budget must be in epochs or updates here; got"),
            (SGD, {"learning_rates": [0.1, -1.0]}, "eta0"),
            (SGD, {"batch_sizes": [0]}, "batch_size"),
            (
                MiniBatchSGDClassifier(learning_rate="optimal"),
                {},
                "does not use eta0 as a rate, .* use learning_rate='constant'",
            ),
            (MiniBatchMLPRegressor(solver="lbfgs"), {}, "solver='lbfgs' has neither learning_rate_init"),
        ],
    )
    def test_wrong_arguments(self, estimator, options, message):
        given = {"batch_sizes": [1], "learning_rates": [0.1], "cv": 2, **options}
        with pytest.raises(ValueError, match=message):
            BatchSizeLearningRateDisplay.from_estimator(estimator, X, Y, **given)

    @pytest.mark.parametrize("argument", ["batch_sizes", "learning_rates"])
    def test_values_must_be_a_sequence(self, argument):
        given = {"batch_sizes": [1], "learning_rates": [0.1], "cv": 2}
        for wrong in (8, "full", {8: 1}):
            with pytest.raises(TypeError, match=f"{argument} must be a sequence of values; got {wrong!r}"):
                BatchSizeLearningRateDisplay.from_estimator(SGD, X, Y, **{**given, argument: wrong})
        with pytest.raises(ValueError, match=f"{argument} is empty"):
            BatchSizeLearningRateDisplay.from_estimator(SGD, X, Y, **{**given, argument: []})

    def test_values_may_be_arrays(self):
        display = BatchSizeLearningRateDisplay.from_estimator(
            clone(SGD).set_params(max_iter=2), X, Y, batch_sizes=np.array([1, 8]), learning_rates=np.array([0.1]), cv=2
        )
        assert display.batch_sizes == [1, 8]
        assert all(type(size) is int for size in display.batch_sizes)

    @pytest.mark.parametrize("budget", ["30 epochs a fit", "30 epochs or 5,000 updates a fit"])
    def test_title_has_the_whole_budget(self, budget):
        title = rate_map(budget=budget).plot().ax_.get_title(loc="left")
        assert title.replace("\n", " ") == f"1 fold; budget: {budget}"
