"""The fast path for losses of integer labels in eager code.

It is one autograd function that makes one call to a compiled kernel; the kernel checks the labels. If an argument is
invalid, or of a kind that the kernel does not support, the functions here return None. The caller then uses the general
implementation, which gives the same numbers and raises the errors. Cross entropy has such a path on CUDA too.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeGuard

import torch
from torch import Tensor

from softtargets._native.cross_entropy import cross_entropy_rows, cross_entropy_total, label_losses, label_total
from softtargets._native.layout import repeated
from softtargets._native.library import DTYPES, library
from softtargets._native.on_cuda import LabelTargets, reports_labels
from softtargets.losses._engine import ahead
from softtargets.losses._engine.cross_entropy import CrossEntropyRows
from softtargets.losses._engine.row_loss import RowLoss, TotalLoss
from softtargets.losses.inputs import read_examples
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets, smooth


def of_labels(
    logits: object,
    labels: object,
    *,
    class_dim: int,
    ignore_index: int,
    reduction: Reduction,
    smoothing: float = 0.0,
    inplace: bool = False,
) -> Tensor | None:
    """Return the smoothed cross entropy of labels if the kernel can compute it without other steps, else None.

    The kernel checks the labels. If it finds one that is out of range, None is returned as well.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        reduction: "none", "mean" or "sum".
        smoothing: weight that is spread uniformly over the classes.
        inplace: write the gradient over the logits.
    """
    if not inplace and simple(logits, labels, class_dim, ignore_index):
        assert isinstance(labels, Tensor)
        loss = LabelRows(labels, smoothing, ignore_index, reduction == "mean")
        return each_or_total(loss, logits, class_dim, ignore_index, reduction)
    if not _simple_on_cuda(logits, labels, class_dim, ignore_index) or (inplace and logits.dtype == torch.float16):
        return None
    assert isinstance(labels, Tensor)
    loss = LabelsOnCuda(labels, smoothing, ignore_index)
    class_dim = -1 if class_dim == logits.ndim - 1 else class_dim
    if reduction == "none":
        return ahead.run(loss, logits, class_dim=class_dim, inplace=inplace)
    return ahead.run_total(loss, logits, reduction, class_dim=class_dim, inplace=inplace)


def of_smoothed(
    logits: object, targets: Targets, *, class_dim: int, reduction: Reduction, inplace: bool = False
) -> Tensor | None:
    """Return :func:`of_labels` for targets that are labels, all smoothed by the same number, else None.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: Targets of (...).
        class_dim: the dimension of the classes.
        reduction: "none", "mean" or "sum".
        inplace: write the gradient over the logits, which this path does not.
    """
    if torch.compiler.is_compiling() or not isinstance(logits, Tensor) or not logits.is_cpu or logits.ndim == 0:
        return None
    if inplace:
        return None
    index, value = targets.index, targets.value
    if index is None or value is None or index.shape[-1] != 1 or not index.is_cpu or targets.num_classes is not None:
        return None
    if targets.ignored is not None or value.requires_grad or not ahead.eager():
        return None
    kept = repeated(value)
    rest = 0.0 if targets.rest is None else None if targets.rest.requires_grad else repeated(targets.rest)
    if kept is None or rest is None or kept != 1.0 - rest or not 0.0 <= rest <= 1.0:
        return None
    never = -(2**63)  # ignored examples are marked in the targets
    settings = {"class_dim": class_dim, "ignore_index": never, "reduction": reduction}
    return of_labels(logits, index[..., 0], **settings, smoothing=rest)


def each_or_total(
    loss: "CheckingLoss", logits: Tensor, class_dim: int, ignore_index: int, reduction: Reduction
) -> Tensor | None:
    """Return the losses of labels, or their sum or mean; None if a label is out of range.

    Args:
        loss: the loss, of labels for which :func:`simple` is True.
        logits: (..., K) float, or with the classes at `class_dim`.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        reduction: "none", "mean" or "sum".
    """
    z = logits if class_dim == -1 or class_dim == logits.ndim - 1 else logits.movedim(class_dim, -1)
    learning = logits.requires_grad and torch.is_grad_enabled()
    if reduction == "none":
        if ignore_index >= 0:  # the kernel rejects negative labels as out of range
            return None
        try:
            return ahead.run(loss, z)
        except Unsupported:
            return None
    if not learning:
        return loss.total_of(z, 1.0, None)
    if not ahead.worthwhile(logits):
        return None
    try:
        return _Total.apply(z, loss)  # pyright: ignore[reportReturnType]
    except Unsupported:
        return None


def simple(logits: object, labels: object, class_dim: int, ignore_index: int) -> TypeGuard[Tensor]:
    """Return whether the kernel can take these as they are: eager code, plain tensors on the CPU, fitting shapes."""
    if torch.compiler.is_compiling() or type(labels) is not Tensor or not isinstance(logits, Tensor):
        return False
    if not (logits.is_cpu and labels.is_cpu):
        return False
    return _fit(logits, labels, class_dim, ignore_index) and library() is not None and ahead.eager()


def _simple_on_cuda(logits: object, labels: object, class_dim: int, ignore_index: int) -> TypeGuard[Tensor]:
    """Return :func:`simple` for tensors on CUDA, where the labels are checked without waiting for them."""
    if torch.compiler.is_compiling() or type(labels) is not Tensor or not isinstance(logits, Tensor):
        return False
    if labels.device != logits.device or not _fit(logits, labels, class_dim, ignore_index):
        return False
    return reports_labels(logits) and ahead.eager()


def _fit(logits: Tensor, labels: Tensor, class_dim: int, ignore_index: int) -> bool:
    """Return whether these are plain tensors of the dtypes and shapes that the kernels take."""
    if type(logits) is not Tensor and type(logits) is not torch.nn.Parameter:
        return False
    if labels.dtype is not torch.int64 or logits.dtype not in DTYPES:
        return False
    shape, given = logits.shape, labels.shape
    dimensions = len(shape)
    if type(class_dim) is not int or type(ignore_index) is not int or len(given) != dimensions - 1:
        return False
    if not -dimensions <= class_dim < dimensions or logits.numel() == 0:
        return False
    dim = class_dim % dimensions
    if shape[dim] < 2:
        return False
    return given == shape[:dim] if dim == dimensions - 1 else given == shape[:dim] + shape[dim + 1 :]


class Unsupported(Exception):
    """The kernel found a label that is out of range, or does not support the tensors."""


class CheckingLoss(RowLoss, Protocol):
    """A loss of labels that the kernel checks, and that can be reduced in the same pass."""

    @property
    def labels(self) -> Tensor:
        """The labels."""
        ...

    @property
    def mean(self) -> bool:
        """Whether the total is the mean over the examples that are not left out, and not the sum."""
        ...

    def total_of(self, z: Tensor, scale: float, gradient: Tensor | None) -> Tensor | None:
        """Return the sum or the mean, and write the gradient of ``scale * result``; None if a label is out of range."""
        ...

    def general(self, z: Tensor) -> TotalLoss:
        """Return the same loss for labels that are known to be in range."""
        ...


class LabelRows(NamedTuple):
    """Smoothed cross entropy of labels that the kernel checks, for :mod:`softtargets.losses._engine.ahead`."""

    labels: Tensor
    smoothing: float
    ignore_index: int
    mean: bool

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        if isinstance(scale, Tensor):
            return self.general(z).run(z, scale, gradient)
        losses = label_losses(z, self.labels, self.smoothing, scale, gradient)
        if losses is None:
            raise Unsupported
        return losses

    def total_of(self, z: Tensor, scale: float, gradient: Tensor | None) -> Tensor | None:
        return label_total(z, self.labels, self.smoothing, self.ignore_index, scale, self.mean, gradient)

    def plain(self, logits: Tensor) -> Tensor:
        return self.general(logits).plain(logits)

    def tensors(self) -> Iterable[Tensor]:
        return (self.labels,)

    def general(self, z: Tensor) -> CrossEntropyRows:
        """Return the same loss with targets that were read and made from the labels."""
        return _general(z, self.labels, self.smoothing, self.ignore_index)


def _general(z: Tensor, labels: Tensor, smoothing: float, ignore_index: int) -> CrossEntropyRows:
    batch = read_examples(z, labels, ignore_index=ignore_index, zero_left_out=False, deferred=True)
    if smoothing:
        batch = replace(batch, labels=None, soft=smooth(batch.targets, smoothing))
    return CrossEntropyRows(batch)


class LabelsOnCuda(NamedTuple):
    """Smoothed cross entropy of labels on CUDA, for :mod:`softtargets.losses._engine.ahead`."""

    labels: Tensor
    smoothing: float
    ignore_index: int

    def _rows(self) -> LabelTargets:
        kept, rest = (1.0 - self.smoothing, self.smoothing) if self.smoothing else (None, None)
        return LabelTargets(self.labels[..., None], kept, rest, self.ignore_index)

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        return cross_entropy_rows(z, self._rows(), scale, gradient)

    def total(self, z: Tensor, reduction: str, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        return cross_entropy_total(z, self._rows(), reduction == "mean", scale, gradient)

    def plain(self, logits: Tensor) -> Tensor:
        return _general(logits, self.labels, self.smoothing, self.ignore_index).plain(logits)

    def reduce(self, losses: Tensor, reduction: Reduction) -> Tensor:
        if reduction == "sum":
            return losses.sum()
        return losses.sum() / (self.labels != self.ignore_index).sum().clamp(min=1)

    def tensors(self) -> Iterable[Tensor]:
        return (self.labels,)


class _Total(torch.autograd.Function):
    """The sum or the mean, with its gradient computed ahead; see :mod:`softtargets.losses._engine.ahead`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, loss: CheckingLoss) -> Tensor:
        gradient = torch.empty_like(z)
        total = loss.total_of(z, 1.0, gradient)
        if total is None:
            raise Unsupported
        ctx.save_for_backward(z)
        ctx.loss, ctx.gradient, ctx.version = loss, gradient, ahead.version_of(loss.labels)
        return total

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        (grad,) = given
        gradient, ctx.gradient = ctx.gradient, None  # drop the reference in ctx, so that autograd need not copy it
        once = type(grad) is Tensor and ahead.eager() and not torch.is_grad_enabled()
        if once and gradient is not None and (grad.item() == 1.0 or ahead.scaled(gradient, 1.0, grad)):
            return gradient, None
        (z,) = ctx.saved_tensors
        ahead.check_version(ctx.loss.labels, ctx.version)
        mean = "mean" if ctx.loss.mean else "sum"
        return ahead.gradient_again(ctx.loss.general(z), z, mean, grad, gradient), None
