"""A reliability diagram with the interface of scikit-learn's displays."""

from collections.abc import Sequence
from typing import Any, Self

from softtargets import metrics
from softtargets._errors import fail, fail_type
from softtargets.metrics import Bins

__all__ = ["ReliabilityDisplay"]


class ReliabilityDisplay:
    """Reliability diagram of a classifier with any number of classes, with scikit-learn's display interface.

    ECE = sum_b |accuracy_b - confidence_b| * count_b / N        confidence: the largest probability of each row

    It is the diagram of :func:`softtargets.metrics.reliability_bins`. scikit-learn's `CalibrationDisplay` is for the
    probability of class 1 of two classes; this one is for the probability of the predicted class. Use
    :meth:`from_predictions` or :meth:`from_estimator`.

    Args:
        bins: the bins of confidence.
        ece: the expected calibration error with these bins, in [0, 1].
        name: of the classifier, for the title. Default: no name.

    Attributes:
        ax_: matplotlib axes of the last :meth:`plot`.
        figure_: its figure.
    """

    ax_: Any
    figure_: Any

    def __init__(self, bins: Bins, ece: float, *, name: str | None = None) -> None:
        self.bins, self.ece, self.name = bins, ece, name

    def __repr__(self) -> str:
        named = "" if self.name is None else f", name={self.name!r}"
        return f"ReliabilityDisplay({self.bins!r}, ece={self.ece:.4f}{named})"

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        labels: Sequence[Any] | None = None,
        n_bins: int = 15,
        strategy: str = "uniform",
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot a diagram of probabilities.

        Args:
            y_true: (N,) classes, numbers or strings.
            y_prob: (N, K) probabilities, one column per class in sorted order; (N,) the probability of the second of
                two classes.
            labels: (K,) the classes of the columns. Default: the sorted classes of `y_true`.
            n_bins: number of bins, at least 1.
            strategy: "uniform" for bins of equal width, "quantile" for bins of equal counts.
            name: of the classifier, for the title.
            ax: matplotlib axes. Default: those of a new figure.

        Returns:
            The display.

        Raises:
            ValueError: if the numbers of classes and columns differ, a class is unknown, a row is not a probability
                distribution, or an argument is out of range.
            ModuleNotFoundError: if matplotlib is not installed.

        Example:
            >>> import matplotlib
            >>> matplotlib.use("Agg")
            >>> ReliabilityDisplay.from_predictions(["cat", "dog"], [[0.9, 0.1], [0.6, 0.4]], n_bins=2)
            ReliabilityDisplay(Bins(n_bins=2, examples=2), ece=0.2500)
        """
        import numpy as np

        if strategy not in ("uniform", "quantile"):
            raise fail("strategy", "'uniform' or 'quantile'", repr(strategy), "choose one of these")
        probs, given = np.asarray(y_prob, dtype=np.float64), np.asarray(y_true)
        if given.ndim != 1:
            raise fail("y_true", "shape (N,)", given.shape, "give one class per row")
        classes = np.unique(given).tolist() if labels is None else list(labels)
        columns = 2 if probs.ndim == 1 else probs.shape[-1]
        if len(classes) != columns:
            remedy = "pass labels=, the classes of the columns"
            raise fail("y_prob", f"one column for each of {len(classes)} classes", f"{columns} columns", remedy)
        number = {label: k for k, label in enumerate(classes)}
        for row, label in enumerate(given.tolist()):
            if label not in number:
                raise fail("y_true", "classes in labels", f"{label!r} at row {row}", "add it to labels")
        numbered = np.array([number[label] for label in given.tolist()], dtype=np.int64)
        binning = "width" if strategy == "uniform" else "mass"
        bins = metrics.reliability_bins(probs, numbered, n_bins=n_bins, binning=binning)
        error = float(metrics.ece(probs, numbered, n_bins=n_bins, binning=binning))
        return cls(bins, error, name=name).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: int = 15,
        strategy: str = "uniform",
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot a diagram of a fitted classifier on examples that it was not fitted on.

        Args:
            estimator: a fitted classifier with `predict_proba` and `classes_`.
            X: (N, ...) inputs.
            y: (N,) classes.
            n_bins, strategy, ax: as in :meth:`from_predictions`.
            name: of the classifier. Default: that of its class.

        Returns:
            The display.

        Raises:
            TypeError: if the classifier has no `predict_proba`.
            ValueError: as :meth:`from_predictions`.
        """
        kind = type(estimator).__name__
        if not hasattr(estimator, "predict_proba"):
            raise fail_type(
                "estimator", "a classifier with predict_proba", kind, "wrap it in TemperatureScaledClassifier"
            )
        probs, title = estimator.predict_proba(X), kind if name is None else name
        classes = list(estimator.classes_)
        return cls.from_predictions(y, probs, labels=classes, n_bins=n_bins, strategy=strategy, name=title, ax=ax)

    def plot(self, ax: Any = None, *, name: str | None = None) -> Self:
        """Plot the diagram.

        Args:
            ax: matplotlib axes. Default: those of a new figure.
            name: of the classifier. Default: that of the display.

        Returns:
            The display, with `ax_` and `figure_`.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        self.ax_ = self.bins.plot(ax)
        self.figure_ = self.ax_.figure
        title = self.name if name is None else name
        self.ax_.set_title(f"ECE {self.ece:.3f}" if title is None else f"{title} (ECE {self.ece:.3f})")
        return self
