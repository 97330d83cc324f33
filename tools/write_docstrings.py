"""Write into the docstrings of the estimators what they say alike, from the entries in tools/docstrings/.

    python tools/write_docstrings.py            # write
    python tools/write_docstrings.py --check    # only say which files differ from what would be written

Editors and type checkers read source, so every docstring stands in full in the source, and whatever several docstrings
say is copied there by this script. A section "Parameters" gets the entries in the order of the signature, with its
defaults: an entry of ``tools/docstrings`` where there is one, else the one that stands there. In other sections the
entries of the class itself come first, then the shared ones; "References" are those cited. Prose, and sections without
shared entries, stay as they are. A second run changes nothing.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ENTRIES = ROOT / "tools" / "docstrings"
ROOMS = ("linear_model", "neural_network")

Entries = dict[str, list[str]]  # by name, the lines of each; the name is what stands before " : "
Shared = dict[tuple[str, str], Entries]  # by whose docstring ("class", a class or a method's name) and its section
Defaults = dict[str, str | None]  # parameters in their order; None: there is no default


class Place(NamedTuple):
    """A docstring in a file."""

    owner: str  # "class" or a method's name
    of_class: str  # the name of its class
    node: ast.Constant
    defaults: Defaults


def shared_entries(room: str) -> Shared:
    """What is said alike in the docstrings of a room."""
    shared: Shared = {}
    for name in (room, "every_estimator"):
        text = (ENTRIES / f"{name}.txt").read_text(encoding="utf-8")
        for heading, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.M):
            owners, _, section = heading.partition(": ")
            for owner in owners.split(", "):
                known = shared.setdefault((owner, section), {})
                known |= {name: entry for name, entry in entries_of(body.splitlines()).items() if name not in known}
    passages = shared.pop(("passages", ""))
    return {where: {n: with_passages(e, passages) for n, e in entries.items()} for where, entries in shared.items()}


def with_passages(entry: list[str], passages: Entries) -> list[str]:
    """An entry with the lines of a passage in place of its name in angle brackets."""
    lines = []
    for line in entry:
        name = re.fullmatch(r" +<(\w+)>", line)
        lines += passages[name[1]][1:] if name else [line]
    return lines


def entries_of(lines: list[str]) -> Entries:
    """The entries of a section: each begins with a line that is not indented."""
    entries: Entries = {}
    name = None
    for line in lines:
        if line and not line.startswith(" "):
            citation = re.match(r"\.\. \[(\w+)\]", line)
            name = citation[1] if citation else line.partition(" : ")[0]
            entries[name] = []
        if name is not None:
            entries[name].append(line)
    return {name: "\n".join(entry).rstrip().split("\n") for name, entry in entries.items()}


def sections_of(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Titles and lines of a docstring's sections; the prose before them has the title "".

    >>> sections_of(["What it does.", "", "Returns", "-------", "int"])
    [('', ['What it does.', '']), ('Returns', ['int'])]
    """
    starts = [i for i, line in enumerate(lines[1:]) if line and set(line) == {"-"} and len(line) == len(lines[i])]
    sections = [("", lines[: starts[0] if starts else len(lines)])]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        sections.append((lines[start], lines[start + 2 : end]))
    return sections


def in_order_of_signature(own: Entries, shared: Entries, defaults: Defaults) -> Entries:
    """The entries of all parameters. One entry may be about several: ``X_val, y_val : array-like``."""
    entries: Entries = {}
    known = {**own, **shared}
    for parameter, default in defaults.items():
        names = [name for name in known if parameter in name.split(", ")]
        if not names:
            raise LookupError(f"Nothing says what the parameter {parameter!r} is.")
        name = names[-1]
        head, *body = known[name]
        head = re.sub(r", default=.*", "", head)
        entries[name] = [head if default is None else f"{head}, default={default}", *body]
    return entries


def rewritten_docstring(
    lines: list[str], owner: str, shared: Shared, defaults: Defaults, of_class: str = ""
) -> list[str]:
    sections = []
    for title, body in sections_of(lines):
        entries, alike = entries_of(body), shared.get((owner, title), {})
        if owner == "class":
            alike = alike | shared.get((of_class, title), {})
        if title == "Parameters":
            entries = in_order_of_signature(entries, alike, defaults)
        elif title == "References" and alike:
            cited = re.findall(r"\[([A-Z]\w+)\]_", "\n".join(line for _, done in sections for line in done))
            entries = {name: alike[name] for name in dict.fromkeys(cited)}
        elif alike:
            entries = {name: entry for name, entry in entries.items() if name not in alike} | alike
        else:
            sections.append((title, body))
            continue
        sections.append((title, [line for entry in entries.values() for line in entry] + [""]))
    written = [line for title, body in sections for line in ([title, "-" * len(title)] if title else []) + body]
    return "\n".join(written).rstrip().split("\n")


def defaults_of(function: ast.FunctionDef, source: str) -> Defaults:
    """The parameters of a method and their defaults as its source says them, strings in single quotes."""

    def text(default: ast.expr | None) -> str | None:
        if default is None:
            return None
        is_string = isinstance(default, ast.Constant) and isinstance(default.value, str)
        return repr(default.value) if is_string else ast.get_source_segment(source, default)

    given = function.args
    without = [None] * (len(given.args) - len(given.defaults))
    pairs = [*zip(given.args, [*without, *given.defaults], strict=True)]
    pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return {argument.arg: text(default) for argument, default in pairs if argument.arg != "self"}


def places_of(source: str) -> Iterator[Place]:
    """The docstrings of a file's public methods, and of its classes that have an ``__init__``, from the last to the
    first: what is written then moves none that is still to come."""
    found = []
    for kind in ast.parse(source).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        methods = {member.name: member for member in kind.body if isinstance(member, ast.FunctionDef)}
        owners = {"class": (kind, methods["__init__"])} if "__init__" in methods else {}
        owners |= {name: (method, method) for name, method in methods.items() if not name.startswith("_")}
        for owner, (documented, signature) in owners.items():
            if ast.get_docstring(documented):
                found.append(Place(owner, kind.name, documented.body[0].value, defaults_of(signature, source)))
    return reversed(found)


def rewritten(source: str, shared: Shared) -> str:
    """A file's source with the shared entries in its docstrings."""
    lines = source.split("\n")
    for owner, of_class, node, defaults in places_of(source):
        first, last = node.lineno - 1, node.end_lineno - 1
        indent = " " * node.col_offset
        old = [line.removeprefix(indent) for line in lines[first:last]]  # without the line of the closing quotes
        if not old:
            continue  # all in one line
        new = rewritten_docstring(old, owner, shared, defaults, of_class)
        lines[first:last] = [f"{indent}{line}" if line else "" for line in new]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file would change")
    check = parser.parse_args(arguments).check
    changed = []
    for room in ROOMS:
        shared = shared_entries(room)
        for path in sorted((ROOT / "minibatch" / room).glob("*.py")):
            source = path.read_text(encoding="utf-8")
            try:
                new = rewritten(source, shared)
            except LookupError as error:
                raise SystemExit(f"{path.relative_to(ROOT)}: {error}") from error
            if new != source:
                changed.append(path.relative_to(ROOT))
                if not check:
                    path.write_text(new, encoding="utf-8")
    for path in changed:
        print(f"{path} {'differs; run python tools/write_docstrings.py' if check else 'written'}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
