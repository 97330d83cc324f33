"""_tables: what is shown of numbers, frames with one or the other library. _base.pipelines: what is before the end."""

import builtins
import re
import sys
from html import unescape
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._base.pipelines import fit_transform, parameter_path, split_pipeline, transform
from minibatch._tables import frame_of, html_table, short, text_table
from minibatch.model_selection import convergence_curve

X = np.random.default_rng(0).standard_normal((30, 3))


def without(monkeypatch, *names):
    real_import = builtins.__import__

    def some_missing(name, *args, **kwargs):
        if name.split(".")[0] in names:
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", some_missing)


@pytest.fixture
def polars(monkeypatch):
    """In place of polars: refuses columns of several types, as polars does."""

    class DataFrame(dict):
        def __init__(self, columns):
            for name, values in columns.items():
                assert len({type(value) for value in values}) <= 1, f"{name} has several types"
            super().__init__(columns)

    module = ModuleType("polars")
    module.DataFrame = DataFrame
    monkeypatch.setitem(sys.modules, "polars", module)
    without(monkeypatch, "pandas")
    return module


# ---------------------------------------------------------------------- numbers and tables


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (-0.5, "-0.5"), (999.0, "999"), (1000.0, "1000"), (-123456.7, "-123457"), (np.inf, "inf"),
        (-np.inf, "-inf"), (np.nan, "-"), (np.float32(0.1), "0.1"), (np.int64(123456), "123456"), (10**9, "1000000000"),
        (True, "True"), (np.True_, "True"), (None, "None"), ("", ""), ((5, 5), "(5, 5)"), (np.str_("full"), "full"),
    ],
)  # fmt: skip
def test_short(value, shown):
    assert short(value) == shown


@given(st.floats(-1e300, 1e300))
def test_a_short_number_is_right_to_three_digits(value):
    assert abs(float(short(value)) - value) <= max(0.005 * abs(value) * 1.01, 1e-320)


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(
            st.lists(st.text("abc ", min_size=1, max_size=12), min_size=n, max_size=n),
            st.lists(st.lists(st.floats() | st.integers() | st.text("xyz"), min_size=n, max_size=n), max_size=5),
        )
    )
)
def test_columns_of_a_text_table_are_aligned_to_the_right(table):
    header, rows = table
    lines = text_table(header, rows).split("\n")
    assert len(lines) == 1 + len(rows)
    assert len({len(line) for line in lines}) == 1
    for line, cells in zip(lines, [header, *rows], strict=True):
        shown = [cells[0] if line is lines[0] else short(cells[0]), cells[-1] if line is lines[0] else short(cells[-1])]
        assert line.lstrip(" ").startswith(shown[0].lstrip(" "))
        assert line.endswith(shown[1])


def test_a_text_table_without_rows_is_its_header():
    assert text_table(["a", "bc"], []).split() == ["a", "bc"]


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="argument"):
        text_table(["a", "b"], [[1]])


def test_html_escapes_captions_headers_and_cells():
    page = html_table("1 < 2 & 3", ["<i>"], [["<b>"], None, ['"']])
    for text in ("1 &lt; 2 &amp; 3", "&lt;i&gt;", "&lt;b&gt;", "&quot;", "&hellip;"):
        assert text in page
    assert page.count("<tr") == 4
    for tag in ("table", "caption", "thead", "tbody", "tr"):
        assert len(re.findall(rf"<{tag}\b", page)) == page.count(f"</{tag}>") > 0


def widest(page):
    """About the least width of a table in pixels, at the 16 of a browser: for every column the longest piece of text
    that may not break, in letters of 53 % of the font's size, and the cell's padding."""
    font = 16 * float(re.search(r"font-size: ([.0-9]+)em", page)[1])
    widths = []
    for row in re.findall(r"<tr>(.*?)</tr>", page):
        pieces = []
        for style, cell in re.findall(r'<t[hd][^>]*style="([^"]*)"[^>]*>(.*?)</t[hd]>', row):
            parts = [cell] if "nowrap" in style else re.split(r"<wbr>|\s", cell)
            narrowest = float(found[1]) if (found := re.search(r"min-width: (\d+)em", style)) else 0.0
            pieces.append(max(narrowest * font, 0.53 * font * max(len(unescape(part)) for part in parts)) + font)
        widths.append(pieces)
    assert len({len(pieces) for pieces in widths}) == 1
    return sum(map(max, zip(*widths, strict=True)))


def test_tables_of_results_fit_into_a_thousand_pixels():
    model = MiniBatchSGDClassifier("log_loss", max_iter=8, tol=None, early_stopping=True, random_state=0)
    y = np.arange(30) % 2
    curve = convergence_curve(
        model, X, y, param_range=[4, 0.5, "full"], cv=2, target={"test_loss": 0.6}, scoring="balanced_accuracy",
        paired_params={"eta0": [0.01, 0.123456, 0.1], "alpha": [1e-4, 1.23e-4, 0.001]},
    )  # fmt: skip
    history = model.fit(X, y).history_
    assert len(history) == 10
    for shown in (curve, history):
        assert 300 < widest(shown._repr_html_()) < 1000


def test_what_is_wider_can_be_scrolled():
    page = html_table("wide", ["a_column"] * 100, [[1e-9] * 100])
    assert widest(page) > 1000
    style = re.match('<table style="([^"]*)"', page)[1]
    for rule in ("display: block", "overflow-x: auto", "max-width: min(100%, 1000px)"):
        assert rule in style


def test_names_break_at_underscores_and_long_texts_at_spaces():
    page = html_table("", ["n_samples_seen"], [["0.976 ± 0.01"], ["the loss did not rise far enough"]])
    assert ">n_<wbr>samples_<wbr>seen</th>" in page
    short_cell, long_cell = re.findall(r"<td [^>]*>", page)
    assert "nowrap" in short_cell
    assert "nowrap" not in long_cell


# ---------------------------------------------------------------------- frames


def test_a_frame_of_pandas():
    columns = {"size": [1, "full"], "loss": np.array([0.5, 0.25])}
    frame = frame_of(columns)
    assert isinstance(frame, pd.DataFrame)
    assert frame["size"].tolist() == [1, "full"]
    frame.loc[0, "loss"] = 9.0
    assert columns["loss"][0] == 0.5  # a copy


def test_a_frame_of_polars_where_pandas_is_missing(polars):
    columns = {
        "size": [1, "full"],
        "plain": [1, 2],
        "loss": np.array([0.5, 0.25]),
        "o": np.array([1, "a"], dtype=object),
    }
    frame = frame_of(columns)
    assert isinstance(frame, polars.DataFrame)
    assert frame["size"] == ["1", "full"]
    assert frame["plain"] == [1, 2]
    assert list(frame["o"]) == ["1", "a"]
    assert_array_equal(frame["loss"], [0.5, 0.25])


def test_curves_and_histories_as_frames_of_polars(request):
    model = MiniBatchSGDRegressor(max_iter=2, tol=None, random_state=0)
    curve = convergence_curve(model, X, X[:, 0], param_range=[4, "full"], cv=2, target=0.1)
    history = model.fit(X, X[:, 0]).history_
    request.getfixturevalue("polars")
    for what in ("summary", "folds", "curves"):
        frame = curve.to_frame(what)
        assert set(frame["batch_size"]) == {"4", "full"}
        assert len({len(column) for column in frame.values()}) == 1
    assert list(history.to_frame()["epoch"]) == [1, 2]


def test_a_frame_of_the_real_polars(monkeypatch):
    polars = pytest.importorskip("polars")
    without(monkeypatch, "pandas")
    frame = frame_of({"size": [1, "full"], "loss": np.array([0.5, 0.25])})
    assert isinstance(frame, polars.DataFrame)
    assert frame["size"].to_list() == ["1", "full"]
    assert frame["loss"].to_list() == [0.5, 0.25]


def test_without_both_the_error_says_what_to_do(monkeypatch):
    without(monkeypatch, "pandas", "polars")
    with pytest.raises(ImportError, match="to_frame needs pandas or polars: pip install pandas"):
        frame_of({"a": [1]})


# ---------------------------------------------------------------------- pipelines


def test_an_estimator_alone_has_no_transformers():
    model = MiniBatchSGDRegressor()
    assert split_pipeline(model) == ([], model)
    assert parameter_path(model, "alpha") == "alpha"
    assert fit_transform([], X, None) is X
    assert transform([], X) is X


@pytest.mark.parametrize(
    ("pipeline", "path"),
    [
        (make_pipeline(MiniBatchSGDRegressor()), "minibatchsgdregressor__alpha"),
        (make_pipeline(StandardScaler(), MiniBatchSGDRegressor()), "minibatchsgdregressor__alpha"),
        (
            Pipeline(
                [("s", StandardScaler()), ("p", Pipeline([("m", MinMaxScaler()), ("e", MiniBatchSGDRegressor())]))]
            ),
            "p__e__alpha",
        ),
        (Pipeline([("p", make_pipeline(StandardScaler())), ("n", None), ("e", MiniBatchSGDRegressor())]), "e__alpha"),
    ],
)
def test_a_pipeline_is_its_transformers_and_its_end(pipeline, path):
    assert parameter_path(pipeline, "alpha") == path
    assert path in pipeline.get_params()
    transformers, final = split_pipeline(pipeline)
    assert type(final) is MiniBatchSGDRegressor
    fitted = fit_transform(transformers, X, X[:, 0])
    assert_array_equal(transform(transformers, X), fitted)
    other = 2.0 * X + 1.0
    seen = transform(transformers, other)
    pipeline.set_params(**{path.replace("alpha", "max_iter"): 1, path.replace("alpha", "tol"): None}).fit(X, X[:, 0])
    assert_array_equal(pipeline.predict(other), final.predict(seen))


def test_steps_are_not_copied():
    scaler = StandardScaler()
    transformers, _ = split_pipeline(make_pipeline(scaler, MiniBatchSGDRegressor()))
    fit_transform(transformers, X, None)
    assert_array_equal(scaler.mean_, X.mean(axis=0))
