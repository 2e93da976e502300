"""Metrics as `torchmetrics.Metric`, for Lightning, `MetricCollection` and training on several processes.

The state of a metric is one tensor of integers, which are added exactly. Any split of the examples over batches and
processes therefore gives the same bits, and for metrics that are sums, those of the function in `softtargets.metrics`.

`update` and `forward` take ``(probs, labels)``, or ``logits=`` and ``labels=`` by name. `compute` returns float64, and
NaN if there are no examples.

Example:
    >>> from torchmetrics import MetricCollection
    >>> from softtargets.integrations.torchmetrics import AccuracyMetric, BrierMetric
    >>> collection = MetricCollection([AccuracyMetric(num_classes=2), BrierMetric(num_classes=2)])
    >>> collection.update(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), torch.tensor([0, 1]))
    >>> {name: float(value) for name, value in collection.compute().items()}
    {'AccuracyMetric': 0.5, 'BrierMetric': 0.3125}
"""

import copy
import re
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from softtargets import metrics
from softtargets._checks import check_num_classes
from softtargets.integrations._late import late_classes
from softtargets.metrics import Bins
from softtargets.metrics.accumulators import Accumulator, gather
from softtargets.metrics.arguments import REQUIRED, RowOptions
from softtargets.metrics.rows import chunks

if TYPE_CHECKING:
    from torchmetrics import Metric as _Metric
else:
    _Metric = object  # see the end of the file

__all__ = ["AccuracyMetric", "BrierMetric", "ECEMetric", "NLLMetric", "SelectiveRiskMetric", "SmoothECEMetric"]


class _Accumulated(_Metric):
    """A metric whose state is the concatenated state of an accumulator.

    Args:
        accumulator: the accumulator; it stays empty and is copied.
        num_classes: K, so that a process without examples has a state of the same shape.
        kwargs: arguments of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0

    def __init__(self, accumulator: Accumulator, num_classes: int, **kwargs: Any) -> None:
        check_num_classes(num_classes)
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self._accumulator = accumulator
        empty = copy.copy(accumulator)
        empty.prepare(num_classes)
        self._shapes = {name: array.shape for name, array in empty.state_dict().items()}
        # MetricCollection lets metrics share a state of equal name and equal values on the first batch. The name
        # therefore contains the settings, which also prevents loading a checkpoint of other settings.
        self._state_name = re.sub(r"\W+", "_", f"{accumulator!r} {num_classes}")
        self.add_state(self._state_name, _packed(empty), dist_reduce_fx=self._merged)

    def update(
        self,
        probs: Tensor = REQUIRED,
        labels: Tensor = REQUIRED,
        *,
        logits: Tensor = REQUIRED,
        mask: Tensor | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> None:
        """Add examples.

        Args:
            probs: (..., K) float, probabilities; each row sums to 1.
            labels: (...) integers in [0, K).
            logits: (..., K) float, in place of `probs`.
            mask: (...) bool, True for rows to include. Default: all rows.
            ignore_index: rows with this label are left out.
            class_dim: axis of the classes in `probs` or `logits`.

        Raises:
            ValueError: if rows are not probabilities, labels are out of range, shapes differ, or the number of classes
                differs. The state then stays unchanged.
            TypeError: if an argument is missing, predictions are not floating-point, or labels not integers.
        """
        gathered = self._unpacked(getattr(self, self._state_name))
        options: RowOptions = {"mask": mask, "ignore_index": ignore_index, "class_dim": class_dim}
        gather(gathered, chunks(probs, labels, logits=logits, **options))
        setattr(self, self._state_name, _packed(gathered))

    def compute(self) -> Tensor:
        """Return the metric, () float64, of all examples so far on all processes; NaN if there are none."""
        gathered = self._unpacked(getattr(self, self._state_name))
        if gathered.count == 0:  # a batch can consist of padding
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return self._value(gathered)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Plot one value or several, such as one per epoch.

        Args:
            val: results of `compute` or `forward`: one, or a sequence. Default: that of `compute`.
            ax: matplotlib axes. Default: those of a new figure.

        Returns:
            The figure and the axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        return self._plot(val, ax)

    def set_dtype(self, dst_type: str | torch.dtype) -> Self:
        """Return self, unchanged: the state stays int64."""
        return self

    def extra_repr(self) -> str:
        settings = {"num_classes": self.num_classes, **self._accumulator.settings}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items() if name not in ("groups", "seed"))

    def _value(self, gathered: Accumulator) -> Tensor:
        return gathered.compute()

    def _unpacked(self, packed: Tensor) -> Accumulator:
        parts = packed.split([shape.numel() for shape in self._shapes.values()])
        state = {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
        accumulator = copy.copy(self._accumulator)
        accumulator.load_state_dict(state)
        return accumulator

    def _merged(self, states: Tensor) -> Tensor:
        """Add the states of several processes or batches, (n, size)."""
        first, *others = (self._unpacked(state) for state in states)
        for other in others:
            first.merge(other)
        return _packed(first)


def _packed(accumulator: Accumulator) -> Tensor:
    arrays = list(accumulator.state_dict().values())
    # the header is on the CPU
    return torch.cat([array.flatten().to(arrays[0].device) for array in arrays])


class AccuracyMetric(_Accumulated):
    """:func:`softtargets.metrics.accuracy`, a fraction.

    Args:
        num_classes: K.
        top_k: number of most likely classes among which the label counts as correct.
        kwargs: arguments of `torchmetrics.Metric`.
    """

    higher_is_better = True
    plot_upper_bound = 1.0

    def __init__(self, num_classes: int, *, top_k: int = 1, **kwargs: Any) -> None:
        super().__init__(metrics.Accuracy(top_k=top_k), num_classes, **kwargs)


class NLLMetric(_Accumulated):
    """:func:`softtargets.metrics.nll`, nats.

    Args:
        num_classes: K.
        kwargs: arguments of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.NLL(), num_classes, **kwargs)


class BrierMetric(_Accumulated):
    """:func:`softtargets.metrics.brier`, in [0, 2].

    Args:
        num_classes: K.
        kwargs: arguments of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.Brier(), num_classes, **kwargs)


class ECEMetric(_Accumulated):
    """:func:`softtargets.metrics.ece`, a fraction; with binning="mass" approximate, see `softtargets.metrics.ECE`.

    Args:
        num_classes: K.
        n_bins: number of bins.
        norm: "l1", "l2" or "max".
        binning: "width" for bins of equal width; "mass" for bins of equal counts.
        classwise: whether to evaluate every class rather than the predicted class.
        debiased: whether to subtract the expected noise of the bins; only with norm="l2".
        kwargs: arguments of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        n_bins: int = 15,
        norm: Literal["l1", "l2", "max"] = "l1",
        binning: Literal["width", "mass"] = "width",
        classwise: bool = False,
        debiased: bool = False,
        **kwargs: Any,
    ) -> None:
        gathered = metrics.ECE(n_bins=n_bins, norm=norm, binning=binning, classwise=classwise, debiased=debiased)
        super().__init__(gathered, num_classes, **kwargs)

    def reliability(self) -> Bins:
        """Return the bins of all examples so far on all processes; their `plot` is the reliability diagram.

        Raises:
            ValueError: if there are no examples.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            gathered: Any = self._unpacked(getattr(self, self._state_name))
        return gathered.reliability()


class SmoothECEMetric(_Accumulated):
    """:func:`softtargets.metrics.smooth_ece`, a fraction, approximated on a grid.

    Args:
        num_classes: K.
        kwargs: arguments of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.SmoothECE(), num_classes, **kwargs)


class SelectiveRiskMetric(_Accumulated):
    """:func:`softtargets.metrics.aurc`, the area under the risk-coverage curve, a fraction, approximated from counts.

    Args:
        num_classes: K.
        kwargs: arguments of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.SelectiveRisk(risks=()), num_classes, **kwargs)

    def _value(self, gathered: Accumulator) -> Tensor:
        return gathered.compute()[0]  # the first entry is the AURC


if not TYPE_CHECKING:  # a type checker sees the classes above

    def _bases() -> tuple[type, ...]:
        from torchmetrics import Metric

        return (Metric,)

    __getattr__ = late_classes(globals(), __all__, _bases)
