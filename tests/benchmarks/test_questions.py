"""docs/questions: every page has its parts, and its scripts measure what they say."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression

from minibatch import MiniBatchSGDRegressor

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[2]
FOLDER, SCRIPTS = ROOT / "docs" / "questions", ROOT / "benchmarks" / "questions"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "index.md" and ".fragment" not in path.name)
pytestmark = pytest.mark.skipif(not PAGES, reason="without docs/questions")
PARTS = ["Measure it", "What people say", "When it differs", "Sources"]


@pytest.fixture
def script(monkeypatch):
    """A script of the folder, which imports its neighbours by their bare names."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_answers_measures_and_cites(page):
    text = page.read_text()
    assert re.match(r"# .*\?\n\n\*\*[^*]+\*\*", text), "a question, then the answer, in bold first"
    assert re.findall(r"^## (.*)$", text, re.M) == PARTS
    assert ">>> " in text
    assert f"({page.stem}.svg)" in text
    assert f"{{include}} {page.stem}.fragment.md" in text
    assert f"`benchmarks/questions/{page.stem}.py`" in text.split("## Sources")[1]
    assert all((folder / f"{page.stem}{end}").exists() for folder, end in [(SCRIPTS, ".py"), (FOLDER, ".svg")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_pages(page):
    links = re.findall(r"\]\(([^):]+\.md)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if not (FOLDER / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_claims_have_verdicts_and_figures(script, page):
    rows = re.findall(
        r"^\| (.*?) \| \[(.*?)\]\{\.(.*?)\} \| (.*) \|$", (FOLDER / f"{page.stem}.fragment.md").read_text(), re.M
    )
    assert len(rows) >= 3
    assert {(word, style) for _, word, style, _ in rows} <= set(script("answers").VERDICTS.values())
    assert not [said for said, *_, measured in rows if not re.search(r"\d", measured)]


def test_what_holds_in_some_cases_holds_under_conditions(script):
    among = script("answers").among
    assert [among(cases) for cases in ([True, True], [True, False], [False, False])] == [True, None, False]


def test_a_target_lies_between_the_first_loss_and_the_lowest(script):
    random = np.random.default_rng(0)
    X = random.standard_normal((500, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 * random.standard_normal(500)
    first, lowest = 0.5 * np.mean(y**2), 0.5 * np.mean((LinearRegression().fit(X, y).predict(X) - y) ** 2)
    for left in (1.0, 0.3, 0.0):
        found = script("targets").loss_to_reach(MiniBatchSGDRegressor(alpha=0), X, y, left)
        assert_allclose(found, lowest + left * (first - lowest), rtol=1e-3)


def test_rules_take_the_rates_that_they_say(script):
    learning_rate = script("learning_rate")
    sizes, rates = learning_rate.SIZES, learning_rate.RATES
    for power in (0, 0.5, 1):
        best = rates[12] * (sizes / learning_rate.BASE) ** power
        losses = np.abs(np.log2(rates[None] / best[:, None]))  # how many factors of two a rate is off
        off = np.log2(sizes / learning_rate.BASE)
        for other in (0, 0.5, 1):
            left = learning_rate.of_rule(losses, other)
            inside = (12 + other * off >= 0) & (12 + other * off < len(rates))
            assert_array_equal(np.isnan(left), ~inside)
            assert_allclose(left[inside], np.abs((other - power) * off[inside]), atol=1e-12)


def test_the_least_excess_of_the_strongly_convex_objective_is_zero(script, monkeypatch):
    rate = script("convergence_rate")
    random = np.random.default_rng(0)
    X = random.standard_normal((300, 4))
    monkeypatch.setattr(
        rate, "rows", lambda name, most: (X.astype(np.float32), X @ np.ones(4) + random.standard_normal(300))
    )
    monkeypatch.setattr(rate, "EPOCHS", 60)
    ridge = rate.Ridge()
    assert_allclose(ridge.excess("full", solver="lbfgs")[-1], 0, atol=1e-10)
    full = ridge.excess("full", learning_rate="constant", eta0=2 / (ridge.lowest + ridge.highest))
    factor = ((ridge.highest - ridge.lowest) / (ridge.highest + ridge.lowest)) ** 2
    assert (full[1:] <= full[:-1] * factor + 1e-15).all()
