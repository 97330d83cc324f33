"""What mypy and pyright say of calls: something of each that is wrong, nothing of the others."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import pytest
from sklearn.utils._param_validation import StrOptions

import minibatch

ESTIMATORS = [getattr(minibatch, name) for name in minibatch.__all__ if name.startswith("MiniBatch")]
ROOT = Path(__file__).parents[2]
GOOD, BAD = (Path(__file__).with_name(f"{kind}_calls.py") for kind in ("good", "bad"))
WRONG = {n for n, line in enumerate(BAD.read_text().splitlines(), 1) if line.endswith("# error")}


def said(checker, *options):
    """What a type checker prints about the calls."""
    pytest.importorskip(checker)
    command = [sys.executable, "-m", checker, *options, *(str(path.relative_to(ROOT)) for path in (GOOD, BAD))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr  # 0: it found nothing; others: it did not run
    return ran.stdout


def check_findings(findings):
    """``findings`` are pairs of a place (file and line) and what is wrong there."""
    unfounded = [finding for finding in findings if finding[0] not in {(BAD.name, line) for line in WRONG}]
    assert not unfounded
    missed = WRONG - {line for (_, line), _ in findings}
    assert not missed, f"nothing was said of these lines of {BAD.name}"


@pytest.mark.slow
def test_mypy_finds_what_is_wrong_and_nothing_else():
    errors = re.findall(r"(\w+\.py):(\d+): error: (.*)", said("mypy"))
    check_findings([((name, int(line)), message) for name, line, message in errors])


@pytest.mark.slow
def test_pyright_finds_what_is_wrong_and_nothing_else():
    errors = json.loads(said("pyright", "--outputjson", "--pythonpath", sys.executable))["generalDiagnostics"]
    check_findings([((Path(e["file"]).name, e["range"]["start"]["line"] + 1), e["message"]) for e in errors])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("calls", ["batch_sizes", "parameters", "data", "chunks", "results"])
def test_the_good_calls_run(calls):
    runpy.run_path(str(GOOD))[calls]()


def alternatives(annotation):
    """The types and the names that an annotation allows."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(alternatives, get_args(annotation)))
    return {annotation}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_annotations_allow_the_names_that_fit_does(estimator):
    annotations = get_type_hints(estimator.__init__)
    for parameter, allowed in estimator._parameter_constraints.items():
        names = set().union(*(part.options for part in allowed if isinstance(part, StrOptions)))
        annotated = alternatives(annotations[parameter])
        assert {part for part in annotated if isinstance(part, str)} == names, parameter
        assert (NoneType in annotated) == (None in allowed or parameter == "random_state"), parameter


def test_the_package_says_that_it_is_typed():
    assert (Path(minibatch.__file__).parent / "py.typed").is_file()
