"""The implementations that are compared; those of other libraries as their users write them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from softtargets import losses, nn, targets
from softtargets.matrices import Transition

SMOOTHING = 0.1

Loss = Callable[..., Tensor]


class Skipped(Exception):
    """A contender cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One implementation of the loss of a problem.

    Args:
        name: as printed in the table.
        make: prepares what is not timed and returns the function of the inputs that is measured.
        overwrites: whether it overwrites its inputs; it then gets a copy of them, which is not timed.
        learns: whether it has a backward pass; only the lower bound has none.
        truth: its loss in float64, if that differs from the reference's.
        goals: keys of :data:`benchmarks.goals.GOALS` that it is held against.
        once: whether it is so slow that its only timed call is the one that measures memory.
    """

    name: str
    make: Callable[[], Loss]
    overwrites: bool = False
    learns: bool = True
    truth: Loss | None = None
    goals: tuple[str, ...] = ()
    once: bool = False


def floor(logits: Tensor) -> Loss:
    """No loss: copies the logits once, which is the lower bound of computing a gradient."""
    buffer = torch.empty_like(logits)
    return lambda z: buffer.copy_(z.detach())


def floor_anew() -> Loss:
    """No loss: copies the logits once to newly allocated memory, as every gradient is."""
    return lambda z: z.detach().clone()


class _Empty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.gradient = torch.empty_like(z)
        return z.new_empty(())

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradient, ctx.gradient = ctx.gradient, None  # a second reference would make autograd copy it
        return gradient


def floor_autograd(labels: Tensor) -> Loss:
    """No loss: an autograd function in Python that computes nothing, which is the lower bound of a small batch."""
    return _Empty.apply


# -- cross entropy with label smoothing


def smoothed(labels: Tensor, smoothing: float = SMOOTHING) -> Loss:
    return lambda z: F.cross_entropy(z, labels, label_smoothing=smoothing)


def smoothed_module(labels: Tensor, smoothing: float = SMOOTHING) -> Loss:
    module = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    return lambda z: module(z, labels)


def smoothed_compiled(labels: Tensor) -> Loss:
    if labels.device.type == "cpu" and shutil.which("g++") is None:
        raise Skipped("torch.compile needs g++, which is not installed")
    torch.compiler.reset()  # otherwise the recompilation limit would be reached
    return torch.compile(smoothed(labels), dynamic=False)


def smoothed_timm(labels: Tensor) -> Loss:
    """The formula of timm.loss.LabelSmoothingCrossEntropy (Ross Wightman, Apache 2.0)."""

    def loss(z: Tensor) -> Tensor:
        log_probs = F.log_softmax(z, dim=-1)
        nll = -log_probs.gather(dim=-1, index=labels.unsqueeze(1)).squeeze(1)
        return ((1 - SMOOTHING) * nll + SMOOTHING * -log_probs.mean(dim=-1)).mean()

    return loss


def smoothed_dense(labels: Tensor) -> Loss:
    def loss(z: Tensor) -> Tensor:
        size = z.shape[-1]
        return F.cross_entropy(z, F.one_hot(labels, size).to(z.dtype) * (1 - SMOOTHING) + SMOOTHING / size)

    return loss


def smoothed_liger(labels: Tensor) -> Loss:
    _need_liger(labels)
    from liger_kernel.ops.cross_entropy import LigerCrossEntropyFunction  # pyright: ignore[reportMissingImports]

    return lambda z: LigerCrossEntropyFunction.apply(z, labels, None, -100, 0.0, SMOOTHING)[0]


def smoothed_ours(labels: Tensor, *, inplace: bool = False) -> Loss:
    return lambda z: losses.cross_entropy(z, targets.smooth(labels, SMOOTHING), reduction="mean", inplace=inplace)


def smoothed_ours_module(labels: Tensor, smoothing: float = SMOOTHING) -> Loss:
    module = nn.CrossEntropyLoss(label_smoothing=smoothing)
    return lambda z: module(z, labels)


def hard_ours(labels: Tensor) -> Loss:
    return lambda z: losses.cross_entropy(z, labels, reduction="mean")


# -- loss correction with a known transition matrix


def forward_usual(labels: Tensor, matrix: Tensor) -> Loss:
    """Forward correction as commonly implemented (Patrini et al. 2017, Eq. 8)."""

    def loss(z: Tensor) -> Tensor:
        noisy = z.softmax(-1) @ matrix.to(z.dtype)
        return -noisy.gather(1, labels[:, None]).log().mean()

    return loss


def backward_usual(labels: Tensor, matrix: Tensor) -> Loss:
    """Backward correction as commonly implemented (Patrini et al. 2017, Thm. 1); the inverse is computed once."""
    inverse = matrix.double().inverse()

    def loss(z: Tensor) -> Tensor:
        per_class = -F.log_softmax(z, -1)
        return (per_class @ inverse.to(z.dtype).T).gather(1, labels[:, None]).mean()

    return loss


def forward_ours(labels: Tensor, matrix: Tensor) -> Loss:
    transition = Transition(len(matrix), matrix=matrix)
    return lambda z: losses.forward_corrected_cross_entropy(z, labels, transition, reduction="mean")


def backward_ours(labels: Tensor, matrix: Tensor) -> Loss:
    transition = Transition(len(matrix), matrix=matrix)
    return lambda z: losses.backward_corrected_cross_entropy(z, labels, transition, reduction="mean")


# -- mixup


def mixed_dense(a: Tensor, b: Tensor, weight: float) -> Loss:
    def loss(z: Tensor) -> Tensor:
        first, second = (F.one_hot(labels, z.shape[-1]).to(z.dtype) for labels in (a, b))
        return F.cross_entropy(z, weight * first + (1 - weight) * second)

    return loss


def mixed_twice(a: Tensor, b: Tensor, weight: float) -> Loss:
    """The weighted sum of the losses of both labels, as in the code of Zhang et al. 2018."""
    return lambda z: weight * F.cross_entropy(z, a) + (1 - weight) * F.cross_entropy(z, b)


def mixed_ours(a: Tensor, b: Tensor, weight: float) -> Loss:
    def loss(z: Tensor) -> Tensor:
        mixed = targets.mix(targets.hard(a), targets.hard(b), weight)
        return losses.cross_entropy(z, mixed, reduction="mean")

    return loss


# -- linear layer and cross entropy


def linear_usual(labels: Tensor, *, smoothing: float = SMOOTHING) -> Loss:
    return lambda hidden, weight: F.cross_entropy(F.linear(hidden, weight), labels, label_smoothing=smoothing)


def linear_torch(labels: Tensor) -> Loss:
    """torch's chunked implementation, which supports hard labels only."""
    options = getattr(torch.nn, "LinearCrossEntropyOptions", None)
    if options is None:
        raise Skipped("this version of torch has no torch.nn.functional.linear_cross_entropy")
    return lambda hidden, weight: F.linear_cross_entropy(hidden, weight, labels, options=options())


def linear_liger(labels: Tensor) -> Loss:
    _need_liger(labels)
    from liger_kernel.ops.fused_linear_cross_entropy import (  # pyright: ignore[reportMissingImports]
        LigerFusedLinearCrossEntropyFunction,
    )

    fused = LigerFusedLinearCrossEntropyFunction.apply
    return lambda hidden, weight: fused(hidden, weight, labels, None, None, -100, 0.0, SMOOTHING)[0]


def linear_ours(labels: Tensor) -> Loss:
    return lambda hidden, weight: losses.linear_cross_entropy(
        hidden, weight, targets.smooth(labels, SMOOTHING), reduction="mean"
    )


def _need_liger(labels: Tensor) -> None:
    if labels.device.type != "cuda":
        raise Skipped("Liger's kernels need a GPU")
    try:
        import liger_kernel  # pyright: ignore[reportMissingImports] # noqa: F401
    except ImportError as error:
        raise Skipped("liger_kernel is not installed") from error
