"""The docstrings of the estimators: in full in the source, and true."""

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import make_classification

import minibatch

ROOT = Path(__file__).parents[2]
ESTIMATORS = [getattr(minibatch, name) for name in minibatch.__all__ if name.startswith("MiniBatch")]
METHODS = ["fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "decision_function"]
DOCUMENTED = [(kind, None) for kind in ESTIMATORS] + [
    (kind, name) for kind in ESTIMATORS for name in METHODS if hasattr(kind, name)
]
SOURCES = sorted(
    path for room in ("linear_model", "neural_network") for path in (ROOT / "minibatch" / room).glob("*.py")
)

every_estimator = pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
every_docstring = pytest.mark.parametrize(
    ("kind", "method"), DOCUMENTED, ids=lambda part: getattr(part, "__name__", part) or "class"
)

specification = importlib.util.spec_from_file_location("write_docstrings", ROOT / "tools" / "write_docstrings.py")
script = importlib.util.module_from_spec(specification)
specification.loader.exec_module(script)


def docstring(kind, method=None):
    return inspect.cleandoc((getattr(kind, method) if method else kind).__doc__)


def section(text, title):
    return dict(script.sections_of(text.split("\n"))).get(title, [])


def heads(text, title):
    """Name and type of what a section lists; one line may name several."""
    lines = [line for line in section(text, title) if line and not line.startswith(" ")]
    return [(name, line.partition(" : ")[2]) for line in lines for name in line.partition(" : ")[0].split(", ")]


# The script and the source


def test_the_source_is_what_the_script_writes():
    command = [sys.executable, "tools/write_docstrings.py", "--check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_writes_docstrings_but_the_source(path):
    """What an editor shows is what Python has."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = importlib.import_module(name.removesuffix(".__init__"))
    for kind in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(kind, ast.ClassDef):
            members = [(kind, getattr(module, kind.name))]
            members += [
                (member, inspect.getattr_static(members[0][1], member.name))
                for member in kind.body
                if isinstance(member, ast.FunctionDef)
            ]
            for node, member in members:
                assert ast.get_docstring(node) == (member.__doc__ and inspect.cleandoc(member.__doc__))


CLASS = '''class Model:
    """A model.

    Parameters
    ----------
    own : int, default=1
        Of this class.
    alike : str, default='old'
        An older text
        of two lines.

        And a paragraph.

    Attributes
    ----------
    coef_ : ndarray
        Own [Second]_.
    """

    def __init__(self, alike="new", *, own=1e-3, last=None):
        pass

    def fit(self, X, y=None):
        """Fit.

        Parameters
        ----------
        y : ndarray
            Of this method.
        """
'''
SHARED = {
    ("class", "Parameters"): {"alike": ["alike : str", "    A newer text."], "last": ["last : int", "    The last."]},
    ("class", "Attributes"): {"n_iter_": ["n_iter_ : int", "    Epochs."]},
    ("class", "References"): {"First": [".. [First] A."], "Second": [".. [Second] B."]},
    ("fit", "Parameters"): {"X": ["X : ndarray", "    Rows."]},
}
WRITTEN = '''class Model:
    """A model.

    Parameters
    ----------
    alike : str, default='new'
        A newer text.
    own : int, default=1e-3
        Of this class.
    last : int, default=None
        The last.

    Attributes
    ----------
    coef_ : ndarray
        Own [Second]_.
    n_iter_ : int
        Epochs.
    """

    def __init__(self, alike="new", *, own=1e-3, last=None):
        pass

    def fit(self, X, y=None):
        """Fit.

        Parameters
        ----------
        X : ndarray
            Rows.
        y : ndarray, default=None
            Of this method.
        """
'''


def test_the_script_puts_shared_entries_in_the_order_of_the_signature_with_its_defaults():
    assert script.rewritten(CLASS, SHARED) == WRITTEN


def test_the_script_writes_the_references_that_are_cited():
    with_references = WRITTEN.replace('Epochs.\n    """', 'Epochs.\n\n    References\n    ----------\n    """')
    listed = '    ----------\n    .. [Second] B.\n    """'
    assert script.rewritten(with_references, SHARED) == with_references.replace('    ----------\n    """', listed)


def test_a_second_run_of_the_script_changes_nothing():
    assert script.rewritten(WRITTEN, SHARED) == WRITTEN


def test_the_script_asks_for_a_description_of_a_new_parameter():
    with pytest.raises(LookupError, match="'new'"):
        script.rewritten(CLASS.replace("last=None", "last=None, new=0"), SHARED)


# What docstrings say


@every_docstring
def test_parameters_stand_in_the_order_of_the_signature(kind, method):
    signature = inspect.signature(getattr(kind, method or "__init__"))
    documented = [name for name, _ in heads(docstring(kind, method), "Parameters")]
    assert documented == [name for name in signature.parameters if name != "self"]


@every_docstring
def test_defaults_are_those_of_the_signature(kind, method):
    signature = inspect.signature(getattr(kind, method or "__init__"))
    for name, described in heads(docstring(kind, method), "Parameters"):
        _, stated, text = described.partition(", default=")
        default = ast.literal_eval(text) if stated else inspect.Parameter.empty
        actual = signature.parameters[name].default
        assert (default, type(default)) == (actual, type(actual)), name


@every_docstring
def test_no_placeholder_is_left(kind, method):
    assert not re.search(r"\$|^\s*<\w+>$", docstring(kind, method), re.MULTILINE)


@every_estimator
def test_the_batch_size_stands_in_the_first_screen(kind):
    lines = docstring(kind).split("\n")[:25]
    text = "\n".join(lines[: lines.index("Parameters")] if "Parameters" in lines else lines)
    for said in ("``batch_size``", "an int", "a float in (0, 1]", "``'full'``", "``'auto'``"):
        assert said in text


@every_estimator
def test_the_references_are_those_cited(kind):
    text = docstring(kind)
    listed = re.findall(r"^\.\. \[(\w+)\]", text, re.MULTILINE)
    assert listed == list(dict.fromkeys(re.findall(r"\[(\w+)\]_", text)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@every_estimator
def test_documented_attributes_are_those_that_fit_sets(kind):
    X, y = make_classification(40, 4, random_state=0)
    model = kind(max_iter=2, tol=None, random_state=0).fit(pd.DataFrame(X, columns=list("abcd")), y)
    documented = {name for name, _ in heads(docstring(kind), "Attributes")}
    assert all(hasattr(model, name) for name in documented)
    fitted = {name for name in dir(model) if re.fullmatch(r"[a-z]\w*(?<!_)_", name) and hasattr(model, name)}
    assert documented == fitted
