"""Who is compared: a file each in this folder, which is all that adding one takes. A file has

- ``name``, its column; ``requires``, the distribution without which it is "not installed"; where it also needs a
  program, ``needs_program``, names of which one is enough; ``takes_rates`` where an objective takes a tuned one;
- ``can(task)``: whether it does that at all, which needs nothing installed;
- ``fit(task, model=None)``: a model trained from the beginning for ``task.length`` epochs or iterations, or ``model``,
  a former result, for as many more epochs. Of the kind "objective", it has ``coef_`` and ``intercept_`` as
  scikit-learn's models do, and does not go on;
- ``predict(model, X)``: the classes.

Libraries are imported within functions, so that the first fit of one does not wait for the others.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which


def every():
    """All rivals by name, ours first."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    modules = [
        import_module(f"{__name__}.{stem}") for stem in sorted(files, key=lambda stem: not stem.startswith("ours"))
    ]
    return {module.name: module for module in modules}


def version_of(distribution):
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def is_installed(rival):
    """Its distribution, and a program of those that it needs, if any."""
    programs = getattr(rival, "needs_program", ())
    return version_of(rival.requires) != "not installed" and (not programs or any(map(which, programs)))


def able(task, pace):
    """Those that can do a task and are installed, by name; the names of those that can and are not."""
    chosen = {
        name: rival
        for name, rival in every().items()
        if (pace.rivals is None or name in ("ours", *pace.rivals)) and rival.can(task)
    }
    absent = [name for name, rival in chosen.items() if not is_installed(rival)]
    return {name: rival for name, rival in chosen.items() if name not in absent}, absent
