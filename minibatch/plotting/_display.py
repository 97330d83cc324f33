"""What all displays share: how one is made, checked and drawn. A display says what it draws."""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import validate_parameter_constraints

from minibatch.model_selection import ConvergenceCurve, convergence_curve

__all__ = ["CurveDisplay", "Display", "EstimatorResultDisplay", "ResultDisplay", "check_type"]

_Result = TypeVar("_Result")


class Display:
    """Makes what is drawn, checks all options before that, and gives `_draw` its axes.

    A display has ``_make``, the function whose result it draws, and ``_draw``. Where `plot` has options of its own, the
    display has it with their names, and ``_options`` with what each of them may be.
    """

    _make: ClassVar[Callable[..., Any]]
    _options: ClassVar[dict[str, list[Any]]] = {}
    _size: ClassVar[tuple[float, float]] = (8.5, 4.6)  # of a new figure, in inches
    _n_axes: ClassVar[int] = 1
    plot: Callable[..., Self]
    _draw: Callable[..., None]

    @classmethod
    def _of(cls, made: Any) -> Self:
        """The display of what was made."""
        raise NotImplementedError

    @classmethod
    def _from_estimator(
        cls, estimator: Any, X: Any, y: Any, params: dict[str, Any], *, ax: Any, **options: Any
    ) -> Self:
        """Check the options of `plot`, compute with ``params``, draw.

        The option ``y`` of `plot` is ``quantity`` here, where ``y`` are the targets.
        """
        caller = f"{cls.__name__}.from_estimator"
        check_matplotlib_support(caller)
        names = {"quantity" if name == "y" else name: name for name in cls._options}
        validate_parameter_constraints({word: cls._options[name] for word, name in names.items()}, options, caller)
        made = cls._make(estimator, X, y, **params)
        return cls._of(made).plot(ax, **{names[word]: value for word, value in options.items()})

    def _plot(self, ax: Any, **options: Any) -> Self:
        caller = f"{type(self).__name__}.plot"
        check_matplotlib_support(caller)
        validate_parameter_constraints(self._options, options, caller)
        self._check(**options)
        ax = self._new_axes() if ax is None else ax
        self._draw(ax, **options)
        self.ax_, self.figure_ = ax, np.ravel(ax)[0].figure
        return self

    def _check(self, **options: Any) -> None:
        """Refuse what cannot be drawn, before there is a figure."""

    def _new_axes(self) -> Any:
        """Those of a new figure, whose layout makes room for what stands beside them."""
        import matplotlib.pyplot as plt

        return plt.subplots(1, self._n_axes, figsize=self._size, layout="constrained")[1]


class ResultDisplay(Display, Generic[_Result]):
    """Draws a result of ``minibatch.diagnostics``, of the type ``_drawn``."""

    _drawn: ClassVar[type]

    def __init__(self, result: _Result) -> None:
        self.result = result

    @classmethod
    def from_result(cls, result: _Result, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw what has been computed.

        Parameters
        ----------
        result
            What to draw, as the class has it.

        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display
            The display, drawn.
        """
        return cls(result).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. The legend stands beside the axes if the figure has a layout engine
            (``layout="constrained"``), else inside.

        **kwargs
            For the lines of what was found (``ax.plot``): ``color``, ``lw`` and so on.

        Returns
        -------
        display
            The display itself.
        """
        return self._plot(ax, **kwargs)

    @classmethod
    def _of(cls, made: Any) -> Self:
        return cls(made)

    def _check(self, **options: Any) -> None:
        check_type("result", self.result, self._drawn, self._make.__name__)


class EstimatorResultDisplay(ResultDisplay[_Result]):
    """Draws a result that one estimator and its data are enough for."""

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **params: Any) -> Self:
        """Compute what is drawn, and draw it.

        Parameters
        ----------
        estimator : estimator of this package, or Pipeline that ends in one
            It stays as it is.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their labels or targets.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        **params
            Of the function that computes what is drawn; the class names it under See Also.

        Returns
        -------
        display
            The display, drawn.
        """
        return cls._from_estimator(estimator, X, y, params, ax=ax)


class CurveDisplay(Display):
    """Draws a `ConvergenceCurve`."""

    _make = staticmethod(convergence_curve)

    curve: Any  # each display says of which type

    def __init__(self, curve: ConvergenceCurve) -> None:
        self.curve = curve

    @classmethod
    def from_curve(cls, curve: ConvergenceCurve, *, ax: Any = None, **plot_params: Any) -> Self:
        """Draw a curve that has been made.

        Parameters
        ----------
        curve : ConvergenceCurve
            What to draw.

        ax, **plot_params
            As in `plot`.

        Returns
        -------
        display
            The display, drawn.
        """
        return cls(curve).plot(ax, **plot_params)

    @classmethod
    def _of(cls, made: Any) -> Self:
        return cls(made)

    def _check(self, **options: Any) -> None:
        check_type("curve", self.curve, ConvergenceCurve, "convergence_curve")


def check_type(name: str, value: Any, expected: type, maker: str) -> None:
    """What is drawn may be handed over from outside: name what makes the right thing."""
    if not isinstance(value, expected):
        raise TypeError(f"{name} must be a {expected.__name__}, as {maker} returns; got {value!r}.")
