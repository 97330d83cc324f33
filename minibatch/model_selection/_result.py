"""ConvergenceCurve: what `convergence_curve` returns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._tables import frame_of, html_table, text_table
from minibatch.model_selection._power_law import PowerLaw, fit_power_law
from minibatch.model_selection._summary import METRICS, Target

__all__ = ["ConvergenceCurve"]


@dataclass(frozen=True, repr=False, eq=False)
class ConvergenceCurve:
    """Convergence and generalization of every value of a parameter; made by `convergence_curve`.

    Attributes
    ----------
    param_name : str
        Name of the parameter that was varied, without the steps of a pipeline.

    param_range : list
        Its values.

    budget : str
        What every fit was allowed.

    target : Target or None
        What was to be reached: its ``name`` and ``value``.

    scoring : str
        Name of the score.

    paired_params : dict of list
        Values of other parameters that went with each of ``param_range``.

    curves_ : dict of ndarray of shape (n_values, n_folds, n_evaluations)
        What was recorded after every evaluation: ``epoch`` (in fractions: batches done of those in an epoch),
        ``n_updates``, ``n_samples_seen``, ``seconds`` (of training, evaluations left out), ``learning_rate``,
        ``train_loss`` and ``test_loss`` (mean losses without penalty and class weights), ``train_score``,
        ``test_score``, ``gradient_norm`` (of the training objective). NaN after the end of a fit, and where a
        number is not finite. With early stopping ``train_loss`` leaves out the rows held out of the training part;
        ``train_score`` does not.

    folds_ : dict of ndarray of shape (n_values, n_folds)
        One number a fit, which `summary_` is made of: ``status``, ``resolved_batch_size``, ``n_samples`` (training
        rows), losses and scores of the model kept (the last one, or with early stopping the best, or the last finite
        one), what it spent, ``epochs_to_target`` and so on, and numbers of its path.

    summary_ : dict of list or ndarray of shape (n_values,)
        One entry a value, in the manner of ``cv_results_``.

        - the parameter and those paired with it, under their names.
        - ``status``: how training ended, as ``status_`` of the estimators, or ``max_samples`` or ``max_seconds`` for
          those budgets (MB113); counted where folds differ.
        - with a target: ``reached``, the share of folds that reached it, and ``epochs_to_target``,
          ``updates_to_target``, ``samples_to_target``, ``seconds_to_target``: what was spent at the first evaluation
          that reached it, as medians over the folds that did; NaN where none did. Where ``reached`` is below 1 they
          favour the value: its other folds would have taken longer, nobody knows how much.
        - ``mean_`` and ``std_`` over folds of ``train_score``, ``test_score``, ``train_loss``, ``test_loss``,
          ``generalization_gap`` (train minus test score) and ``loss_gap`` (test minus train loss), all of the model
          kept, and ``rank_test_score``, in which values of which a fit diverged come after all others.
        - ``test_score_vs_best``, ``generalization_gap_vs_best``: mean over folds of the difference to the value with
          the best mean test score, on the same fold; ``..._interval`` is half the width of its 95 % interval, with
          Nadeau and Bengio's correction for training parts that overlap [1]_. NaN for a single fold. The best value
          was chosen on the same folds, which favours it.
        - ``n_epochs``, ``n_updates``, ``n_samples_seen``, ``seconds``: means of what was spent.
        - ``convergence_rate``: slope of ``-log(train_loss)`` by epoch, by least squares over the descent.
        - ``share_of_rises``: share of the evaluations at which the training loss was higher than at the one before;
          ``roughness``: relative noise of one evaluation, from second differences of the log loss.
        - ``best_epoch``: median epoch of the lowest test loss. ``overfitted``: share of folds whose test loss rose
          from its lowest point to the end by more than noise explains and more than 1 %, while the training loss fell;
          ``overfitting_onset``: the epoch of that lowest point, both by running medians, as the median over these
          folds.

    References
    ----------
    .. [1] Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    """

    param_name: str
    param_range: list[Any]
    budget: str
    target: Target | None
    scoring: str
    curves_: dict[str, NDArray[Any]]
    folds_: dict[str, NDArray[Any]]
    summary_: dict[str, Any]
    paired_params: dict[str, list[Any]] = field(default_factory=dict)

    def to_frame(self, what: str = "summary") -> Any:
        """A data frame, of pandas or of polars where only that is installed.

        Parameters
        ----------
        what : {"summary", "folds", "curves"}, default="summary"
            One row a value, one row a fit, or one row an evaluation.

        Returns
        -------
        DataFrame
        """
        if what == "summary":
            return frame_of(self.summary_)
        if what == "folds":
            return self._long_frame(self.folds_, np.ones(self.folds_["status"].shape, bool))
        if what == "curves":
            return self._long_frame(self.curves_, np.isfinite(self.curves_["n_updates"]))
        raise ValueError(f"what must be 'summary', 'folds' or 'curves'; got {what!r}.")

    def _long_frame(self, arrays: dict[str, NDArray[Any]], here: NDArray[np.bool_]) -> Any:
        """The entries of arrays that are true in ``here``, each with its value and fold. A quantity of the parameter's
        own name, as the learning rate has, is called ``recorded_...``."""
        where = np.nonzero(here)
        labels = {self.param_name: [self.param_range[value] for value in where[0]], "fold": where[1]}
        columns = {f"recorded_{name}" if name in labels else name: values[here] for name, values in arrays.items()}
        return frame_of(labels | columns)

    def power_law(self, quantity: str = "test_loss") -> PowerLaw:
        """``a n^-b + c`` fitted to a final loss or score as a function of the number of training rows.

        All sizes share the test parts, so whatever these have in common shifts the whole curve and does not show in the
        residuals: the interval of ``c`` is about these test parts, not about new data.

        Parameters
        ----------
        quantity : {"test_loss", "train_loss", "test_score", "train_score"}, default="test_loss"
            Of the model kept. Folds weigh by their spread at each size.

        Returns
        -------
        PowerLaw
            See `fit_power_law`.
        """
        if self.param_name != "train_size":
            raise ValueError(f"A power law needs param_name='train_size'; this curve is over {self.param_name!r}.")
        if quantity not in METRICS:
            raise ValueError(f"quantity must be one of {', '.join(METRICS)}; got {quantity!r}.")
        values = self.folds_[quantity]
        errors = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]) if values.shape[1] > 1 else None
        return fit_power_law(self.folds_["n_samples"].mean(axis=1), values.mean(axis=1), errors)

    def __repr__(self) -> str:
        return f"{self._headline()}\n{text_table(list(self._shown()), self._shown_rows())}"

    def _repr_html_(self) -> str:
        return html_table(self._headline(), list(self._shown()), self._shown_rows())

    def _headline(self) -> str:
        n_values, n_folds = self.folds_["status"].shape
        target = "" if self.target is None else f"; target: {self.target}"
        fits = f"{n_values} value{'s' * (n_values != 1)} of {self.param_name}, {n_folds} fold{'s' * (n_folds != 1)}"
        return f"ConvergenceCurve of {fits}; score: {self.scoring}; budget: {self.budget}{target}"

    def _shown(self) -> dict[str, Sequence[Any]]:
        """Columns of the table, under shorter names."""
        summary = self.summary_
        columns = {self.param_name: self.param_range, **self.paired_params, "status": summary["status"]}
        columns |= {"epochs": summary["n_epochs"], "updates": summary["n_updates"], "seconds": summary["seconds"]}
        if self.target is not None:
            columns |= {"reached": summary["reached"]}
            columns |= {f"in {unit}": summary[f"{unit}_to_target"] for unit in ("epochs", "updates", "seconds")}
        shown = {"test_score": "test_score", "gap": "generalization_gap", "test_loss": "test_loss"}
        for column, name in shown.items():
            pairs = zip(summary[f"mean_{name}"], summary[f"std_{name}"], strict=True)
            columns[column] = [f"{mean:.3g} ± {std:.1g}" if np.isfinite(mean) else "-" for mean, std in pairs]
        return columns

    def _shown_rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*self._shown().values(), strict=True))
