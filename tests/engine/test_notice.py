"""engine.notice: a compilation that takes long is said, once."""

import logging
import time

import pytest

from minibatch import MiniBatchSGDRegressor
from minibatch._base.callbacks import says_when_it_compiles
from minibatch.engine import notice
from minibatch.engine.notice import MESSAGE, announced, told


@pytest.fixture
def heard(monkeypatch, caplog):
    """What the logger is told; nothing was said before, and a hundredth of a second is long."""
    monkeypatch.setattr(notice, "PATIENCE", 0.01)
    notice._log.cache_clear()
    caplog.set_level(logging.INFO, logger="minibatch")
    return lambda: [(record.name, record.levelname, record.getMessage()) for record in caplog.records]


def compile_slowly(signature):
    time.sleep(0.2)
    return signature


SAID = ("minibatch", "INFO", MESSAGE)


def test_a_long_compilation_is_logged_once_a_process(heard):
    assert announced(compile_slowly)("int64") == "int64"
    assert heard() == [SAID]
    announced(compile_slowly)("int64")
    assert heard() == [SAID]
    assert "`python -m minibatch warmup`" in MESSAGE
    assert "\n" not in MESSAGE


def test_a_short_one_is_not(heard, monkeypatch):
    monkeypatch.setattr(notice, "PATIENCE", 0.1)
    said = []
    with told(said.append):
        assert announced(str.upper)("int64") == "INT64"
    time.sleep(0.2)
    assert heard() == said == []


def test_a_listener_is_told_once_and_only_while_it_listens(heard):
    said = []
    for _ in range(2):
        with told(said.append):
            announced(compile_slowly)("int64")
            announced(compile_slowly)("float64")
    announced(compile_slowly)("int64")
    assert said == 2 * [MESSAGE]
    assert heard() == [SAID]


def test_what_a_compilation_raises_comes_through(heard):
    with pytest.raises(ZeroDivisionError):
        announced(lambda signature: 1 / 0)("int64")
    assert heard() == []


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_fit_that_prints_lines_prints_this_one(heard, capsys, verbose):
    with says_when_it_compiles(MiniBatchSGDRegressor(verbose=verbose)):
        announced(compile_slowly)("int64")
    assert capsys.readouterr().out == verbose * f"{MESSAGE}\n"


def test_so_does_one_with_a_progress_bar(heard, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    with says_when_it_compiles(MiniBatchSGDRegressor().set_callbacks(ProgressBar())):
        announced(compile_slowly)("int64")
    assert capsys.readouterr().out == f"{MESSAGE}\n"
