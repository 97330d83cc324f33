"""The number of the format in which models and histories are saved, and what is said of one that cannot be read."""

from typing import Any

# Raise it where earlier versions could not make sense of what is saved from now on, and go on reading what they saved
# (tests/saved). What only comes in addition needs no new number: they leave it out, parts of the model with a warning.
FORMAT = 1
FORMAT_KEY = "_minibatch_format"


def check_format(state: dict[str, Any], name: str) -> None:
    """Refuse a state that this version cannot read."""
    found = state.get(FORMAT_KEY)
    if found is None:
        raise ValueError(
            f"This {name} was saved without the number of a format, by a development version before formats had one: "
            "load it with that version, or fit again."
        )
    if found > FORMAT:
        raise ValueError(
            f"This {name} was saved by a newer version of minibatch, in format {found}; this version reads formats up "
            f"to {FORMAT}. Update it (pip install -U scikit-minibatch), or fit again with this version."
        )
