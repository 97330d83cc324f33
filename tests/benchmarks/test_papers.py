"""What scripts about papers share: verdicts, tables, and pages that have the figures saved."""

import json

import numpy as np
import pytest

reproduction = pytest.importorskip("reproduction", reason="without benchmarks/papers")
Claim, FOLDER, PAPERS = reproduction.Claim, reproduction.FOLDER, reproduction.PAPERS

SAVED = {
    "claims": [
        Claim("gap", "0.2", [0.1, 0.4, 0.3], (0.2, 0.5), 0.0, "points").saved(),
        Claim("ratio", "100", [2.0], (10.0, 2000.0), 1.0).saved(),
    ],
    "seconds": 7,
    "tables": {"sizes": {"columns": ["B", "error"], "rows": [["8", "0.1"]]}},
}


@pytest.mark.parametrize(
    ("value", "band", "nothing", "verdict"),
    [
        (0.2, (0.2, 0.5), 0.0, "yes"), (0.5, (0.2, 0.5), 0.0, "yes"), (0.1, (0.2, 0.5), 0.0, "in sign"),
        (0.6, (0.2, 0.5), 0.0, "in sign"), (0.0, (0.2, 0.5), 0.0, "no"), (-0.3, (0.2, 0.5), 0.0, "no"),
        (0.7, (0.0, 0.5), 1.0, "in sign"), (1.0, (0.0, 0.5), 1.0, "no"), (-0.1, (-1.2, -0.8), 0.0, "in sign"),
        (0.1, (-1.2, -0.8), 0.0, "no"), (2.0, (0.9, 1.1), 1.0, "no"), (2.0, (0.9, 1.1), np.nan, "no"),
        (np.nan, (0.2, 0.5), 0.0, "no"),
    ],
)  # fmt: skip
def test_verdicts(value, band, nothing, verdict):
    assert Claim("", "", [value], band, nothing).verdict == verdict


def test_the_median_of_the_seeds_counts():
    assert Claim("", "", [0.3, 9.0, 0.4], (0.2, 0.5), 0.0).verdict == "yes"
    assert Claim("", "", [0.3, 9.0, 8.0], (0.2, 0.5), 0.0).verdict == "in sign"


def test_numbers_in_words():
    assert SAVED["claims"][0]["ours"] == "0.3 (0.1 to 0.4) points"
    assert SAVED["claims"][1]["ours"] == "2"
    assert SAVED["claims"][1]["band"] == "10 to 2,000"
    assert reproduction.mean_and_spread([1.0, 3.0]) == "2.00 ± 1.41"
    assert reproduction.mean_and_spread([1.0]) == "1.00 ± 0.00"


def test_a_page_is_filled_and_filled_again():
    text = "A\n<!-- table: smith_2017 sizes -->\nold\n<!-- end -->\nB\n<!-- table: all claims -->\n<!-- end -->\n"
    page = reproduction.filled(text, {"smith_2017": SAVED})
    assert "A\n<!-- table: smith_2017 sizes -->\n| B | error |\n|---|-------|\n| 8 | 0.1   |\n<!-- end -->\nB\n" in page
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "smith_2017.md" in line]
    link = "[Smith 2017](smith_2017.md)"
    assert lines == [
        [link, "gap", "0.2", "0.3 (0.1 to 0.4) points", "0.2 to 0.5 points", "yes", "7"],
        [link, "ratio", "100", "2", "10 to 2,000", "in sign", ""],
    ]
    assert reproduction.filled(page, {"smith_2017": SAVED}) == page


def test_a_table_without_figures_stays():
    text = "<!-- table: hoffer_2017 claims -->\nas it was\n<!-- end -->"
    assert reproduction.filled(text, {"smith_2017": SAVED}) == text


@pytest.mark.parametrize("name", [*PAPERS, "index"])
def test_the_pages_are_what_the_script_writes(name):
    saved = {each: json.loads((FOLDER / f"{each}.json").read_text()) for each in PAPERS}
    text = (FOLDER / f"{name}.md").read_text()
    assert reproduction.BLOCK.search(text)
    assert reproduction.filled(text, saved) == text


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_has_a_script_a_picture_and_its_title(name):
    assert (FOLDER.parents[1] / "benchmarks" / "papers" / f"{name}.py").exists()
    assert 0 < (FOLDER / f"{name}.png").stat().st_size < 150_000
    text = (FOLDER / f"{name}.md").read_text()
    assert text.startswith(f"# {PAPERS[name]}: ")
    assert f"]({name}.png)" in text


def test_images_that_are_missing_are_asked_for(monkeypatch, tmp_path):
    for folder in (None, str(tmp_path)):
        monkeypatch.setenv("MINIBATCH_DATA", folder) if folder else monkeypatch.delenv("MINIBATCH_DATA", raising=False)
        with pytest.raises(SystemExit, match=r"mnist\.npz.*MINIBATCH_DATA"):
            reproduction.mnist(10, 10)


def test_images_are_of_either_part(monkeypatch, tmp_path):
    X = np.arange(8, dtype=np.uint8)[:, None] * np.ones(3, dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", X=X, y=np.arange(8), n_train=6)
    monkeypatch.setenv("MINIBATCH_DATA", str(tmp_path))
    X_train, y, X_test, y_test = reproduction.mnist(3, 2)
    np.testing.assert_array_equal(y, [0, 1, 2])
    np.testing.assert_array_equal(y_test, [6, 7])
    np.testing.assert_allclose(np.concatenate([X_train, X_test])[:, 0], np.array([0, 1, 2, 6, 7]) / 255, rtol=1e-6)
