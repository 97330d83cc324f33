"""The house: imports point one way, files and functions stay short."""

import ast
import re
from pathlib import Path

import pytest

import minibatch

PACKAGE = Path(minibatch.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 40  # a function without its docstring
# What the public classes stand in: a docstring and a signature of some forty parameters, and nothing else.
LISTS_OF_PARAMETERS, LONGEST_LIST = ("_classifier.py", "_regressor.py", "_one_class_svm.py"), 480

# What each room at the root may import of the package besides itself: only rooms that stand below it in this table.
MAY_IMPORT = {
    "__main__": {"linear_model", "neural_network", "_problems", "engine"},
    "plotting": {"model_selection", "distributed", "diagnostics"},
    "testing": {"linear_model", "neural_network", "_base", "_problems", "engine", "schedules"},
    "onnx": {"linear_model", "neural_network", "engine"},
    "callbacks": set(),
    "model_selection": {"distributed", "diagnostics", "_base", "_training", "_problems", "_tables", "history"},
    "distributed": {"_base", "_training", "_problems", "_tables", "engine"},
    "diagnostics": {"_base", "_training", "_problems", "engine", "_tables"},
    "linear_model": {"_base", "_training", "_problems", "engine", "history", "schedules"},
    "neural_network": {"_base", "_training", "_problems", "engine", "history", "schedules"},
    "_base": {"_training", "_problems", "engine", "history", "schedules"},
    "_training": {"_problems", "history", "schedules"},
    "_problems": {"engine", "schedules"},
    "history": {"_tables"},
    "_tables": set(),
    "schedules": set(),
    "engine": set(),
}


def imported_modules(path):
    """Names of the package's modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [
                f"{node.module}.{alias.name}" if node.module == "minibatch" else node.module for alias in node.names
            ]
            assert node.level == 0, f"relative import in {path.name}"
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("minibatch."))


def module_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def functions_of(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def body_length(function):
    """Lines of code after the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_imports_point_one_way(module):
    files = [path for path in FILES if module_of(path) == module]
    assert files, f"{module} has gone; take it out of MAY_IMPORT"
    imported = {name for path in files for name in imported_modules(path)} - {module}
    assert imported == MAY_IMPORT[module]


def test_plots_need_little_of_what_is_private():
    """A search over batch size and learning rate is no drawing; otherwise curves are all that there is to draw."""
    text = "".join(path.read_text() for path in (PACKAGE / "plotting").glob("*.py"))
    assert set(re.findall(r"minibatch\.model_selection\._\w+", text)) == {"minibatch.model_selection._rate_grid"}


def test_what_is_private_to_a_file_stays_in_its_part_of_the_house():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("minibatch."):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private or node.module.split(".")[1] == module_of(path), f"{private} in {path.name}"


def test_the_allowed_imports_point_down_the_table():
    rooms = list(MAY_IMPORT)
    for floor, (room, below) in enumerate(MAY_IMPORT.items()):
        assert below <= set(rooms[floor + 1 :]), room


def test_every_room_is_in_the_table():
    assert {module_of(path) for path in FILES} == {*MAY_IMPORT, "__init__"}


def test_the_engine_knows_no_scikit_learn():
    for path in (PACKAGE / "engine").glob("*.py"):
        assert "sklearn" not in "".join(line for line in path.read_text().splitlines() if "import" in line), path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_and_functions_are_short(path):
    most = LONGEST_LIST if path.name in LISTS_OF_PARAMETERS else LONGEST_FILE
    assert len(path.read_text().splitlines()) <= most
    # an estimator's __init__ is one line a parameter, as scikit-learn asks for; an epoch of the engine is one function
    longest = 60 if path.parent.name == "engine" else LONGEST_FUNCTION
    assert not [f.name for f in functions_of(path) if body_length(f) > longest and f.name != "__init__"]


def test_no_file_imports_the_tests():
    for path in FILES:
        roots = {n.module.split(".")[0] for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)}
        assert not roots & {"tests", "references", "pytest"}, path.name
