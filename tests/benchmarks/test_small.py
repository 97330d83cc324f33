"""The table of small data: what is called does the same here and there."""

import pytest

small, tables = (pytest.importorskip(name, reason="without benchmarks/speed") for name in ("small", "tables"))


def test_all_data_and_calls_have_a_row(monkeypatch):
    monkeypatch.setattr(small, "EPOCHS", 2)
    monkeypatch.setattr(small, "ROUNDS", 1)
    monkeypatch.setattr(small, "SECONDS_OF_A_TURN", 0.0)
    rows = list(small.small(tables.FULL))
    assert {row["data"].split(",")[0] for row in rows} == {*small.DATA, "linear", "network"}
    assert {row["at"] for row in rows} == {1, 32, "predict, 1 row", "partial_fit, 32 rows"}
    assert all(row["values"].keys() == {"ours", "scikit-learn"} for row in rows)


def test_a_call_is_timed_as_a_mean(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(small.time, "perf_counter", lambda: float(next(now)))
    monkeypatch.setattr(small, "SECONDS_OF_A_TURN", 2.5)
    calls = []
    assert small.mean_seconds(lambda: calls.append(None)) == pytest.approx(5 / len(calls), rel=0.5)
    assert len(calls) > 1
