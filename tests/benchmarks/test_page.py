"""docs/performance.md and docs/solvers.md have the figures that are saved in docs/performance."""

import json

import pytest

page = pytest.importorskip("page", reason="without benchmarks/speed")


@pytest.mark.parametrize("name", page.PAGES)
def test_the_page_is_what_the_script_writes(name):
    text = (page.FOLDER / name).read_text()
    assert page.BLOCK.search(text)
    assert page.filled(text) == text


def test_a_table_has_rows_and_columns_that_were_asked_for(tmp_path):
    rows = [
        {"data": f"{name}, 2 classes", "at": at, "yardsticks": {"pass": 0.5}, "values": {"ours": [1234.5, 1.0, 2.0]},
         "ratios": {"river": [2.345, 1.0, 3.0]}, "not installed": ["glum"]}
        for name in ("adult", "letter") for at in (1, "full")
    ]  # fmt: skip
    (tmp_path / "linear.json").write_text(json.dumps({"unit": "ms", "over": "batch size", "rows": rows}))
    asked = '<!-- table: linear data="letter" at="full" columns="ours|floor=pass|river|glum|saga" -->\n'
    assert page.filled(f"{asked}old\n<!-- end -->", tmp_path) == asked + (
        "| data              | batch size | ours, ms | floor | river | glum          | saga |\n"
        "|-------------------|------------|----------|-------|-------|---------------|------|\n"
        "| letter, 2 classes | full       | 1,230    | 0.5   | 2.35  | not installed | -    |\n"
        "<!-- end -->"
    )


def test_a_table_has_names_of_its_own_and_iterations(tmp_path):
    rows = [{"data": "adult, 2 classes, 1 % above", "at": 32, "yardsticks": {}, "values": {"ours": [1.5, 1.0, 2.0],
             "glum": [3.0, 3.0, 3.0]}, "ratios": {}, "iterations": {"ours": 1448}}]  # fmt: skip
    (tmp_path / "solvers.json").write_text(json.dumps({"unit": "ms", "over": "batch size", "rows": rows}))
    asked = '<!-- table: solvers data="Adult, 1 %=2 classes, 1 %" values="iterations" -->\n'
    assert page.filled(f"{asked}<!-- end -->", tmp_path) == asked + (
        "| data       | batch size | ours, ms    | glum |\n"
        "|------------|------------|-------------|------|\n"
        "| Adult, 1 % | 32         | 1.5 (1,448) | 3    |\n"
        "<!-- end -->"
    )
