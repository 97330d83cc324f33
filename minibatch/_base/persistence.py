"""What a saved estimator consists of: numbers, strings, arrays, lists and dicts, with the number of their format.

A live estimator has objects of ours, of scikit-learn and of SciPy. A file that named their classes could be read only
while these have the same names, fields and insides, and skops would ask users to trust each of them. So in a file they
are dicts by field name, under one key, and the estimator's class is all that a file names (but for what the user put
in, as callbacks). Every way to save comes through ``__getstate__`` and ``__setstate__``: pickle, joblib, skops.
"""

import inspect
import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer

from minibatch._base.parameters import CHECKED
from minibatch._base.sparse import refuse_damaged
from minibatch._problems.column_scales import ColumnMoments
from minibatch.engine.optimizers import KINDS
from minibatch.history import FORMAT, FORMAT_KEY, History, check_format

__all__ = ["OptimizerMemory", "Rate", "live_state", "plain_state"]

_PARTS_KEY = "_minibatch_parts"
_MOMENTS = ("moments", "at_last_look")  # fields of ``OptimizerMemory``


class Rate(NamedTuple):
    """The first learning rate of a schedule, and the batch size that it is for."""

    eta0: float
    batch_size: int
    calibrated: bool
    probed: bool = False  # by the rule of a network's "auto", which goes on from it


class OptimizerMemory(NamedTuple):
    """What an estimator keeps of its optimizer, for ``partial_fit`` and ``warm_start``.

    A field that is added later needs a default: what it is in files from before.
    """

    kind: int  # of the solver
    slots: NDArray[np.floating[Any]]
    n_updates: int
    schedule_updates: int
    schedule_epochs: float
    total: NDArray[np.float64]
    rate: Rate  # with which the last schedule began
    rate_factor: float = 1.0  # what "adaptive" has made of the learning rate
    learning_rate: float = np.nan  # of the epoch that would come next; scikit-learn's tests look for it here
    scalars: NDArray[np.float64] = np.zeros((1, 0))  # the solver's, a row for every objective
    moments: ColumnMoments | None = None  # of the rows seen, where the solver needs the scales of columns
    iterate: NDArray[np.floating[Any]] = np.empty(0)  # the last, where the model is the average of a network's
    n_averaged: int = 0  # of these
    at_last_look: ColumnMoments | None = None  # of the rows that scales are of, where they are not ``moments``

    @property
    def scaled_by(self) -> ColumnMoments | None:
        """Of the rows that scales are of."""
        return self.at_last_look or self.moments


def plain_state(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an estimator as they are saved: what is not plain is among the parts, as plain dicts."""
    parts = {name: pack(attributes[name]) for name, (pack, _) in _PACKING.items() if name in attributes}
    parts = {name: part for name, part in parts.items() if part is not None}
    rest = {name: value for name, value in attributes.items() if name not in parts and name != CHECKED}
    return {**rest, FORMAT_KEY: FORMAT, _PARTS_KEY: parts}


def live_state(estimator: type, state: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an estimator from what was saved; parameters that the file lacks have their defaults."""
    check_format(state, estimator.__name__)
    parameters = inspect.signature(estimator).parameters.values()
    attributes = {p.name: p.default for p in parameters if p.default is not p.empty}
    attributes |= {name: _plain_arrays(state[name]) for name in state if name not in (FORMAT_KEY, _PARTS_KEY)}
    try:
        return attributes | _live_parts(_plain_arrays(state[_PARTS_KEY]))
    except KeyError as error:
        raise ValueError(f"The saved {estimator.__name__} lacks {error}: the file is damaged. Fit again.") from error


def _live_parts(parts: dict[str, Any]) -> dict[str, Any]:
    _warn_of_unknown(parts.keys() - _PACKING.keys())
    return {name: unpack(parts[name]) for name, (_, unpack) in _PACKING.items() if name in parts}


def _plain_arrays(value: Any) -> Any:
    """With views of the class of all other arrays on those that joblib maps: what is computed from a ``np.memmap`` is
    one too, in memory or not, and skops cannot read those back."""
    if isinstance(value, np.memmap):
        return np.asarray(value)
    if type(value) is list:
        return [_plain_arrays(part) for part in value]
    return {name: _plain_arrays(part) for name, part in value.items()} if type(value) is dict else value


def _from_fields(kind: Any, fields: dict[str, Any]) -> Any:
    """A named tuple of the fields that it knows; those that the file lacks have their defaults."""
    missing = set(kind._fields) - fields.keys() - kind._field_defaults.keys()
    if missing:
        raise ValueError(
            f"The saved {kind.__name__} lacks {', '.join(sorted(missing))}: the file is damaged. Fit again."
        )
    _warn_of_unknown(fields.keys() - set(kind._fields))
    return kind(**{name: value for name, value in fields.items() if name in kind._fields})


def _warn_of_unknown(names: set[str]) -> None:
    if names:
        warnings.warn(
            f"A saved model has {', '.join(sorted(names))}, of a newer version of minibatch, which this version leaves "
            "out: the model predicts the same, but may not train on in the same way. To go on with it, update "
            "(pip install -U scikit-minibatch). [MB504]",
            stacklevel=5,
        )


def _pack_optimizer(memory: OptimizerMemory) -> dict[str, Any]:
    fields = {**memory._asdict(), "rate": memory.rate._asdict()}
    for name in _MOMENTS:
        fields[name] = None if fields[name] is None else fields[name]._asdict()
    # by name: the codes of solvers are between Python and the kernels of one version
    names = {code: name for name, code in KINDS.items()}
    return {"solver": names[fields.pop("kind")], **fields}


def _unpack_optimizer(saved: dict[str, Any]) -> OptimizerMemory:
    fields = {**saved, "rate": _from_fields(Rate, saved["rate"])}
    for name in _MOMENTS:
        if fields.get(name) is not None:
            fields[name] = _from_fields(ColumnMoments, fields[name])
    if saved["solver"] == "dual_averaging":
        fields["scalars"] = _with_rates(saved["scalars"])
    # memory of a solver that is not known here is of no use to any other: the next one begins anew
    return _from_fields(OptimizerMemory, {"kind": KINDS.get(fields.pop("solver"), -1), **fields})


def _with_rates(paces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Files of 0.1.0 have no rates: they followed from the first two columns, ``r^2`` and ``v``, after every update."""
    if paces.shape[1] > 6:
        return paces
    squared_distances, v = paces[:, 0], paces[:, 1]
    return np.column_stack([paces, squared_distances / np.sqrt(np.where(v > 0.0, v, np.inf))])


def _pack_binarizer(binarizer: LabelBinarizer) -> dict[str, Any]:
    several = binarizer.y_type_.startswith("multilabel")
    return {"classes": binarizer.classes_, "several": several, "sparse": binarizer.sparse_input_}


def _unpack_binarizer(saved: dict[str, Any]) -> LabelBinarizer:
    """Fitted anew to the labels, by the scikit-learn that is there."""
    labels = np.eye(len(saved["classes"]), dtype=int) if saved["several"] else saved["classes"]
    return LabelBinarizer().fit(sp.csr_array(labels) if saved["sparse"] else labels)


def _pack_coef(coef: Any) -> dict[str, Any] | None:
    if not sp.issparse(coef):
        return None
    csr = coef.tocsr()
    return {
        "data": csr.data,
        "indices": csr.indices,
        "indptr": csr.indptr,
        "shape": csr.shape,
        "matrix": isinstance(csr, sp.spmatrix),
    }


def _unpack_coef(saved: dict[str, Any]) -> Any:
    csr = sp.csr_array((saved["data"], saved["indices"], saved["indptr"]), saved["shape"])
    refuse_damaged(csr, "coef_")
    return sp.csr_matrix(csr) if saved["matrix"] else csr  # only this way is there a matrix of one dimension


def _pack_weights(weights: Any) -> list[Any] | None:
    """Pairs: skops writes the keys of a dict as strings, and reads ``bool("false")``, which is true."""
    return [list(pair) for pair in weights.items()] if type(weights) is dict else None


def _unpack_history(saved: dict[str, Any]) -> History:
    history = History()
    history.__setstate__(saved)
    return history


# How an attribute becomes plain (None: it is), and comes back.
_PACKING: dict[str, Any] = {
    "history_": (History.__getstate__, _unpack_history),
    "_optimizer": (_pack_optimizer, _unpack_optimizer),
    "_label_binarizer": (_pack_binarizer, _unpack_binarizer),
    "coef_": (_pack_coef, _unpack_coef),
    "class_weight": (_pack_weights, dict),
}
