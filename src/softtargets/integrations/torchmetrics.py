"""Our metrics as `torchmetrics.Metric`: for Lightning, `MetricCollection`, and training on several processes.

Their state is integers that are added exactly: any split of the examples over batches and processes gives the same
bits, and those of the function of `softtargets.metrics` where that is a sum. It is one tensor, sent once per metric.

`update` and `forward` take ``(probs, labels)``, or ``logits=`` and ``labels=`` by name; nothing is guessed from values.
`compute` returns float64; NaN of no examples.

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
from softtargets.metrics.accumulators import Accumulator

if TYPE_CHECKING:
    from torchmetrics import Metric as _Metric
else:
    _Metric = object  # see the end of the file

__all__ = ["AccuracyMetric", "BrierMetric", "ECEMetric", "NLLMetric", "SelectiveRiskMetric", "SmoothECEMetric"]


class _Accumulated(_Metric):
    """An accumulator whose whole state, laid end to end, is one tensor of the metric.

    Args:
        accumulator: what gathers; it stays empty, and is copied.
        num_classes: K, so that a process without examples has a state of the same shape.
        kwargs: of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, accumulator: Accumulator, num_classes: int, **kwargs: Any) -> None:
        check_num_classes(num_classes)
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self._accumulator = accumulator
        empty = copy.copy(accumulator)
        empty.prepare(num_classes)
        self._shapes = {name: array.shape for name, array in empty.state_dict().items()}
        # A collection lets metrics share a state of one name and, on its first batch, equal numbers: settings, too,
        # must be part of the name. And no checkpoint of other settings is loaded.
        self._state_name = re.sub(r"\W+", "_", f"{accumulator!r} {num_classes}")
        self.add_state(self._state_name, _packed(empty), dist_reduce_fx=self._merged)

    def update(
        self,
        probs: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        """Add examples.

        Args:
            probs: (..., K) float, rows sum to 1; or None.
            labels: (...) int64 in [0, K).
            logits: (..., K) float, instead of `probs`.
            mask: (...) bool, the rows that count; None: all.

        Raises:
            ValueError: for rows that are no probabilities, labels out of range, shapes that differ, or another number
                of classes; nothing of the call is then kept.
            TypeError: where values are not floating-point, or labels not integers.
        """
        gathered = self._unpacked(getattr(self, self._state_name))
        setattr(self, self._state_name, _packed(gathered.update(probs, labels, logits=logits, mask=mask)))

    def compute(self) -> Tensor:
        """Return the metric, () float64, of all examples so far on all processes; NaN where there are none."""
        gathered = self._unpacked(getattr(self, self._state_name))
        if gathered.count == 0:  # a batch may be all padding
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return self._value(gathered)

    def set_dtype(self, dst_type: str | torch.dtype) -> Self:
        """Return self: the state is integers, and stays so."""
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
    # what it says of itself, beside its sums, lies on the CPU
    return torch.cat([array.flatten().to(arrays[0].device) for array in arrays])


class AccuracyMetric(_Accumulated):
    """:func:`softtargets.metrics.accuracy`, a fraction.

    Args:
        num_classes: K.
        top_k: a label among the `top_k` largest counts as right.
        kwargs: of `torchmetrics.Metric`.
    """

    higher_is_better = True

    def __init__(self, num_classes: int, *, top_k: int = 1, **kwargs: Any) -> None:
        super().__init__(metrics.Accuracy(top_k=top_k), num_classes, **kwargs)


class NLLMetric(_Accumulated):
    """:func:`softtargets.metrics.nll`, nats.

    Args:
        num_classes: K.
        kwargs: of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.NLL(), num_classes, **kwargs)


class BrierMetric(_Accumulated):
    """:func:`softtargets.metrics.brier`, in [0, 2].

    Args:
        num_classes: K.
        kwargs: of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.Brier(), num_classes, **kwargs)


class ECEMetric(_Accumulated):
    """:func:`softtargets.metrics.ece`, a fraction; equally filled bins are made of a sketch.

    Args:
        num_classes: K.
        bins: number of bins.
        norm: of the gaps: 1, 2 or "max".
        binning: "width": equally wide; "mass": equally filled.
        classwise: of every class's probability, rather than of the largest.
        debiased: subtract what noise adds; norm 2 alone.
        kwargs: of `torchmetrics.Metric`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        bins: int = 15,
        norm: Literal[1, 2, "max"] = 1,
        binning: Literal["width", "mass"] = "width",
        classwise: bool = False,
        debiased: bool = False,
        **kwargs: Any,
    ) -> None:
        gathered = metrics.ECE(bins=bins, norm=norm, binning=binning, classwise=classwise, debiased=debiased)
        super().__init__(gathered, num_classes, **kwargs)


class SmoothECEMetric(_Accumulated):
    """:func:`softtargets.metrics.smooth_ece`, a fraction, of a sketch.

    Args:
        num_classes: K.
        kwargs: of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.SmoothECE(), num_classes, **kwargs)


class SelectiveRiskMetric(_Accumulated):
    """:func:`softtargets.metrics.aurc`, the area under the risk-coverage curve, a fraction, of a sketch.

    Args:
        num_classes: K.
        kwargs: of `torchmetrics.Metric`.
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(metrics.SelectiveRisk(risks=()), num_classes, **kwargs)

    def _value(self, gathered: Accumulator) -> Tensor:
        return gathered.compute()[0]  # the first of its names


if not TYPE_CHECKING:  # a type checker sees the classes above

    def _bases() -> tuple[type, ...]:
        from torchmetrics import Metric

        return (Metric,)

    __getattr__ = late_classes(globals(), __all__, _bases)
