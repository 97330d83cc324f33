"""Callbacks for fits of scikit-learn estimators that tell callbacks of their epochs, as all of this package do."""

import os
import pickle
from numbers import Integral
from pathlib import Path
from typing import Any

__all__ = ["ModelCheckpoint", "latest_checkpoint"]


class ModelCheckpoint:
    """Writes the model to a file while it is fitted, so that a fit that was cut off can go on.

    A checkpoint is the model that a fit stopped there would have left, with its history and the memory of its
    optimizer, without its callbacks. It is a pickle: read it with ``pickle.load``, from places that you trust. It is
    written beside its place and moved there, and older ones go only then, so there is a whole one at any moment.

    Each fit has files of its own, ``<directory>/<run>/<fit>epoch-<number>.pkl``: the run is the time and a random
    number of the outermost fit, ``<fit>`` the numbers of the tasks that lead from it to this one, as ``0-3-1-`` of the
    fourth fit of a search. So searches, pipelines, threads and processes do not disturb each other. A callback is set
    on the estimator itself, not on the pipeline or search around it, and writes the estimator alone.

    Parameters
    ----------
    directory : str or path
        Where the checkpoints go. It is made where there is none.
    every_n_epochs : int, default=1
        Epochs from one checkpoint to the next.
    keep_last : int, default=1
        How many checkpoints of a fit are kept.

    See Also
    --------
    latest_checkpoint : The file to go on from.

    Notes
    -----
    ``warm_start`` goes on exactly where the rate does not fall: weights, optimizer, average and the order of the rows
    (with an int as ``random_state``) are those of a fit that was never cut off. A schedule begins anew, as after every
    ``fit``; ``partial_fit`` on all rows goes on with the schedule too, an epoch a call. The stopping rule looks at the
    new epochs only, and a growing batch is small again.

    Examples
    --------
    >>> import pickle
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_digits
    >>> from minibatch import MiniBatchMLPClassifier
    >>> from minibatch.callbacks import ModelCheckpoint, latest_checkpoint
    >>> X, y = load_digits(return_X_y=True)
    >>> net = MiniBatchMLPClassifier(max_iter=7, tol=None, random_state=0)
    >>> with TemporaryDirectory() as directory:
    ...     net = net.set_callbacks(ModelCheckpoint(directory, every_n_epochs=5)).fit(X, y)
    ...     model = pickle.loads(latest_checkpoint(directory).read_bytes())
    >>> model.n_iter_, model.status_
    (5, 'stopped_by_callback')
    >>> model = model.set_params(warm_start=True, max_iter=7 - model.n_iter_).fit(X, y)
    >>> bool((model.coefs_[0] == net.coefs_[0]).all())
    True
    """

    def __init__(self, directory: str | os.PathLike[str], *, every_n_epochs: int = 1, keep_last: int = 1) -> None:
        numbers: dict[str, Any] = {"every_n_epochs": every_n_epochs, "keep_last": keep_last}
        for name, value in numbers.items():
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be an int, 1 or larger; got {value!r}.")
        self.directory = Path(directory)
        self.every_n_epochs, self.keep_last = every_n_epochs, keep_last

    def setup(self, estimator: Any, context: Any) -> None:
        """Make the directory, or fail before any work."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing: the checkpoints stay."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing: there is something to keep at the end of an epoch only."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> None:
        """Write a checkpoint if it is time for one, and remove those that are too old.

        Parameters
        ----------
        estimator : estimator
            The one that is fitted.
        context : sklearn.callback.CallbackContext
            The task that ends.
        fitted_estimator : estimator, default=None
            What the fit has come to.
        """
        epoch = context.task_id + 1
        if context.task_name != "epoch" or fitted_estimator is None or epoch % self.every_n_epochs:
            return
        run, fit = _names_of(context.parent)
        folder = self.directory / run
        folder.mkdir(exist_ok=True)
        _write(fitted_estimator, folder / f"{fit}epoch-{epoch:08}.pkl")
        for path in sorted(folder.glob(f"{fit}epoch-*.pkl"))[: -self.keep_last]:
            path.unlink()


def _names_of(context: Any) -> tuple[str, str]:
    """Of the outermost fit, and of the way from there."""
    way = []
    while context.parent is not None:
        way.append(f"{context.task_id}-")
        context = context.parent
    return f"{context.init_time:%Y%m%dT%H%M%S}-{context.root_uuid.hex[:8]}", "".join(reversed(way))


def _write(model: Any, path: Path) -> None:
    """All of a file or nothing, whatever happens on the way."""
    unfinished = path.with_suffix(".unfinished")
    try:
        with unfinished.open("wb") as file:
            pickle.dump(model, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def latest_checkpoint(directory: str | os.PathLike[str]) -> Path | None:
    """The checkpoint that was written last, by any fit.

    Parameters
    ----------
    directory : str or path
        That of ``ModelCheckpoint``, or one of a run in it.

    Returns
    -------
    pathlib.Path or None
        None where there is no checkpoint.

    Examples
    --------
    >>> latest_checkpoint("nowhere") is None
    True
    """
    paths = Path(directory).rglob("*epoch-*.pkl")
    return max(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
