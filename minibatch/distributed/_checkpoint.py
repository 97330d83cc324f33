"""A fit that goes on where it was ended: a file that is written whole or not at all."""

import os
import pickle
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib

from minibatch._base.seeds import seed_of
from minibatch.distributed._communicator import Traffic
from minibatch.distributed._driver import Record
from minibatch.distributed._given import learn, learnt_by

__all__ = ["SECONDS_BETWEEN", "Checkpoint", "Keeping", "Kept"]

SECONDS_BETWEEN = 30.0  # of two files, at least
# Parameters that may be others where a fit goes on; and what is said of one that does not.
_MAY_CHANGE = {"max_iter", "max_updates", "tol", "verbose", "n_jobs"}
_OVER = {"converged", "early_stopped", "diverged"}
_UNFINISHED = ".unfinished"


class Kept(NamedTuple):
    """What a fit has come to."""

    model: Any
    n_epochs: int
    seed: int
    rows: list[Traffic]  # after every epoch
    about: dict[str, Any]  # what must be the same for the fit to go on


class Keeping:
    """Brings back what an earlier call has left, and keeps what this one comes to."""

    def __init__(self, estimator: Any, folder: Any, **how: Any) -> None:
        if folder is not None:
            _refuse_what_is_not_saved(estimator)
        self._estimator, self._n_before = estimator, 0
        self._rows: list[Traffic] = []  # of earlier calls
        self._checkpoint, self._seed = None if folder is None else Checkpoint(folder), seed_of(estimator.random_state)
        same = {name: value for name, value in estimator.get_params(deep=False).items() if name not in _MAY_CHANGE}
        self._about = {name: _said_of(value) for name, value in {**same, **how}.items()}
        kept = None if self._checkpoint is None else self._checkpoint.load(self._about)
        self.goes_on, self.is_complete = kept is not None, False
        if kept is not None:
            learn(estimator, learnt_by(kept.model))
            self._n_before, self._seed, self._rows = kept.n_epochs, kept.seed, kept.rows
            self.is_complete = kept.n_epochs >= estimator.max_iter or kept.model.status_ in _OVER

    def limits(self) -> dict[str, Any]:
        """Of the plan, in place of the estimator's."""
        return {"seed": self._seed, "max_iter": int(self._estimator.max_iter) - self._n_before}

    def keep(self, model: Callable[[], Any], record: Record) -> None:
        """At the end of an epoch."""
        if self._checkpoint is not None and self._checkpoint.is_due():
            self._save(model(), self._all(record))

    def finish(self, record: Record) -> None:
        """The estimator is fitted."""
        estimator, rows = self._estimator, self._all(record)
        estimator.n_iter_ += self._n_before
        columns = zip(Traffic._fields, zip(*rows, strict=True), strict=True)
        estimator.history_.put({name: [*values] for name, values in columns})
        if self._checkpoint is not None:
            self._save(estimator, rows)

    def _all(self, record: Record) -> list[Traffic]:
        """After every epoch, of earlier calls too."""
        before = self._rows[-1] if self._rows else Traffic()
        return [*self._rows, *(before + here for here in record.rows)]

    def _save(self, model: Any, rows: list[Traffic]) -> None:
        assert self._checkpoint is not None
        self._checkpoint.save(Kept(model, len(rows), self._seed, rows, self._about))


class Checkpoint:
    """A file in a folder."""

    def __init__(self, folder: Any) -> None:
        self._path, self._last = Path(folder) / "minibatch-checkpoint.joblib", time.monotonic()

    def load(self, about: dict[str, Any]) -> Kept | None:
        """What an earlier call has left; None where there is nothing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for left in self._path.parent.glob(f"{self._path.stem}.*{_UNFINISHED}"):
            left.unlink(missing_ok=True)  # by a process that was killed
        if not self._path.exists():
            return None
        try:
            found: Kept = joblib.load(self._path)
        except Exception as error:  # whatever pickle finds in damaged bytes
            raise ValueError(
                f"checkpoint={str(self._path.parent)!r}: {self._path.name} there cannot be read, it may be damaged or "
                f"of another version; delete it to begin anew. ({type(error).__name__}: {error})"
            ) from error
        other = [name for name, value in about.items() if found.about.get(name) != value]
        if other:
            raise ValueError(
                f"checkpoint={str(self._path.parent)!r} is of a fit with other {', '.join(other)}; give another folder."
            )
        return found

    def is_due(self) -> bool:
        return time.monotonic() - self._last > SECONDS_BETWEEN

    def save(self, kept: Kept) -> None:
        """A full disk leaves the file as it was, and training goes on."""
        temporary = self._path.with_suffix(f".{os.getpid()}{_UNFINISHED}")
        try:
            with temporary.open("wb") as file:
                joblib.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            warnings.warn(
                f"checkpoint={str(self._path.parent)!r} cannot be written ({error.strerror or error}); training goes "
                "on, and what was kept before is there. Free some room, or give another folder. [MB503]",
                RuntimeWarning,
                stacklevel=2,
            )
        finally:
            temporary.unlink(missing_ok=True)
            self._last = time.monotonic()


def _refuse_what_is_not_saved(estimator: Any) -> None:
    """Before any work: a checkpoint is first written after half a minute of it."""
    for name, value in estimator.get_params(deep=False).items():
        try:
            if callable(value):
                pickle.dumps(value)
        except Exception as error:
            raise ValueError(
                f"{name}={value!r} cannot be pickled, as a checkpoint has to be; use a function that a module defines, "
                f"or an object of a class. ({error})"
            ) from error


def _said_of(value: Any) -> str:
    """The same in another process: without the places of objects in memory."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
