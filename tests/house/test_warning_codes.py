"""Codes of warnings: those of the package are the sections of docs/warnings.md, and every warning ends with one."""

import ast
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import minibatch
from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDOneClassSVM, MiniBatchSGDRegressor
from minibatch.model_selection._scorer import _STATUSES

PACKAGE = Path(minibatch.__file__).parent
TREES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
PAGE = (Path(__file__).parents[2] / "docs" / "warnings.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^\(mb(\d{3})\)=\n(.*?)(?=^\(mb\d{3}\)=|^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

ENDS = re.compile(r"(?<=\S) \[MB\d{3}\]\Z")
# `complaint` writes what these warn of; it is called below
WARN_OF_A_COMPLAINT = {"_base/estimator.py", "distributed/_fit.py"}


def docstrings_of(tree):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)]
    return {id(node.body[0].value) for node in nodes}


def messages():
    """Strings of the source with a code, without docstrings: the last part of those that have values in between."""
    for name, tree in TREES.items():
        left_out = docstrings_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
                if "[MB" in node.value:
                    yield name, node.value


def last_words(text):
    """Of a string in the source; None where it is no string."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    return constants[-1] if constants else None


def warned():
    """Files and last words of all that is given to ``warnings.warn``, or put together before in the same function."""
    for name, tree in TREES.items():
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            for call in [node for node in ast.walk(function) if isinstance(node, ast.Call)]:
                if ast.unparse(call.func) == "warnings.warn":
                    text = call.args[0]
                    if isinstance(text, ast.Name):
                        given = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.AugAssign)]
                        given = [node for node in given if text.id in ast.unparse(node).partition("=")[0]]
                        text = max(given, key=lambda node: node.lineno).value
                    yield name, last_words(text)


# ---------------------------------------------------------------------------------------------- the page


def test_the_package_and_the_page_have_the_same_codes():
    used = {code for path in PACKAGE.rglob("*.py") for code in re.findall(r"\bMB(\d{3})\b", path.read_text())}
    assert used == set(SECTIONS)


def test_every_code_has_one_section_in_the_order_of_the_numbers_and_a_line_in_the_table():
    targets = re.findall(r"^\(mb(\d{3})\)=$", PAGE, re.MULTILINE)
    assert targets == sorted(set(targets))
    assert re.findall(r"^### MB(\d{3}): \w", PAGE, re.MULTILINE) == targets
    assert re.findall(r"^\| \[MB(\d{3})\]\(#mb\1\) \| .+ \|$", PAGE, re.MULTILINE) == targets


@pytest.mark.parametrize("code", SECTIONS)
def test_every_section_says_what_was_seen_why_and_what_to_do_with_an_example(code):
    section = SECTIONS[code]
    assert section.startswith(f"### MB{code}: ")
    places = [section.index(f"**{words}:**") for words in ("Seen", "Why", "What to do")]
    assert places == sorted(places)
    assert ">>> " in section or code == "501"  # which is about another process


@pytest.mark.parametrize("code", sorted({code for _, text in messages() for code in re.findall(r"MB(\d{3})", text)}))
def test_the_examples_show_the_messages(code):
    """They are run as doctests: a code there was seen. Left out are those that need a machine that is busy or fails."""
    example = SECTIONS[code].partition("```")[2]
    assert re.search(rf"\[MB{code}\]$|\[MB{code}\]['.,]", example, re.MULTILINE)
    if code not in ("201", "207", "501", "502", "503"):
        assert "+SKIP" not in example


@pytest.mark.parametrize("kind", [MiniBatchSGDClassifier, MiniBatchSGDOneClassSVM, MiniBatchMLPRegressor])
def test_every_status_has_a_code(kind):
    said = dict(re.findall(r"``'(\w+)'`` \(MB(\d{3})\)", kind.__doc__))
    has_no_targets = kind is MiniBatchSGDOneClassSVM  # which early stopping would look at
    assert set(said) == set(_STATUSES) - ({"early_stopped"} if has_no_targets else set())
    for status, code in said.items():
        assert SECTIONS[code].startswith(f"### MB{code}: {status}")
        assert f"| [MB{code}](#mb{code}) | `'{status}'`: " in PAGE


# ---------------------------------------------------------------------------------------------- the messages


def test_a_message_that_has_a_code_has_it_at_its_end():
    """Or before the errors that it is about."""
    found = list(messages())
    assert len(found) > 50
    for name, text in found:
        assert ENDS.search(text.removesuffix("\n\n")) or re.fullmatch(r" ?\[MB\d{3}\]", text), f"{name}: {text!r}"


def test_every_warning_of_the_package_ends_with_a_code():
    found = list(warned())
    assert len(found) > 10
    for name, text in found:
        if text is None:
            assert name in WARN_OF_A_COMPLAINT
        else:
            assert re.search(r" \[MB\d{3}\]\Z", text.removesuffix("\n\n")), f"{name}: {text!r}"


random = np.random.default_rng(0)
X = random.standard_normal((60, 3))
Y = X @ np.ones(3) + random.standard_normal(60)
CONSTANT = {"learning_rate": "constant", "batch_size": "full", "random_state": 0}


@pytest.mark.parametrize(
    ("parameters", "shift", "code"),
    [
        ({"eta0": 1e-3, "max_iter": 12}, 0.0, "105"),
        ({"eta0": 1e-3, "max_iter": 1}, 0.0, "105"),
        ({"eta0": 0.1, "max_iter": 3, "early_stopping": True}, 0.0, "105"),
        ({"solver": "lbfgs", "max_iter": 1}, 0.0, "105"),
        ({"eta0": 0.1, "max_iter": 9, "batch_size": 4, "tol": 0.05}, 0.0, "106"),
        ({"eta0": 1e-3, "max_iter": 4}, 1e3, "108"),
        ({"eta0": 3.0, "max_iter": 4}, 0.0, "109"),
        ({"eta0": 1e3, "max_iter": 400}, 0.0, "109"),
    ],
)
def test_a_fit_that_ends_badly_is_warned_of_with_the_code_of_its_remedy(parameters, shift, code):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        MiniBatchSGDRegressor(**CONSTANT | parameters).fit(X, Y + shift)
    (message,) = [str(warning.message) for warning in caught]
    assert ENDS.search(message)
    assert message.endswith(f" [MB{code}]")
