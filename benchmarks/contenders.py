"""The ways to compute one loss that are measured against each other, the peers' as their users write them."""

import shutil
import warnings
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
    """A contender that cannot run here, and why."""


@dataclass(frozen=True)
class Contender:
    """One way to compute the loss of a problem.

    Args:
        name: as the table prints it.
        make: what is prepared once, outside the clock; returns the function of the inputs that is measured.
        overwrites: it writes over its inputs, and gets a copy of its own before the clock starts.
        learns: it has a backward pass; only the floor has none.
        truth: its loss in float64, where that is not the reference's.
        time: goal, share of the reference's time.
        memory: goal, buffers of the size of the logits.
        most: goal that three of five shapes have to reach, share of the reference's time.
    """

    name: str
    make: Callable[[], Loss]
    overwrites: bool = False
    learns: bool = True
    truth: Loss | None = None
    time: float | None = None
    memory: float | None = None
    most: float | None = None


def floor(logits: Tensor) -> Loss:
    """No loss: the logits written once to another place, which is the least that a gradient costs."""
    buffer = torch.empty_like(logits)
    return lambda z: buffer.copy_(z.detach())


def floor_anew() -> Loss:
    """No loss: the logits written once to memory that is new, as every gradient is."""
    return lambda z: z.detach().clone()


# -- cross entropy, smoothed


def smoothed(labels: Tensor) -> Loss:
    return lambda z: F.cross_entropy(z, labels, label_smoothing=SMOOTHING)


def smoothed_compiled(labels: Tensor) -> Loss:
    if labels.device.type == "cpu" and shutil.which("g++") is None:
        raise Skipped("torch.compile needs g++, which is not there")
    torch.compiler.reset()  # every problem is its first, or the limit of recompilations is met
    return torch.compile(smoothed(labels), dynamic=False)


def smoothed_timm(labels: Tensor) -> Loss:
    """timm.loss.LabelSmoothingCrossEntropy (Ross Wightman, Apache 2.0), written out."""

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
    return lambda z: losses.reduce(losses.cross_entropy(z, targets.smooth(labels, SMOOTHING), inplace=inplace))


def smoothed_ours_module(labels: Tensor) -> Loss:
    module = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    return lambda z: module(z, labels)


# -- known noise


def forward_usual(labels: Tensor, matrix: Tensor) -> Loss:
    """Patrini et al. 2017, Eq. 8, as it is usually written."""

    def loss(z: Tensor) -> Tensor:
        noisy = z.softmax(-1) @ matrix.to(z.dtype)
        return -noisy.gather(1, labels[:, None]).log().mean()

    return loss


def backward_usual(labels: Tensor, matrix: Tensor) -> Loss:
    """Patrini et al. 2017, Thm. 1, as it is usually written; the inverse is made once."""
    inverse = matrix.double().inverse()

    def loss(z: Tensor) -> Tensor:
        per_class = -F.log_softmax(z, -1)
        return (per_class @ inverse.to(z.dtype).T).gather(1, labels[:, None]).mean()

    return loss


def forward_ours(labels: Tensor, matrix: Tensor) -> Loss:
    transition = Transition(len(matrix), matrix=matrix)
    return lambda z: losses.reduce(losses.forward_corrected_cross_entropy(z, labels, transition))


def backward_ours(labels: Tensor, matrix: Tensor) -> Loss:
    transition = Transition(len(matrix), matrix=matrix)
    return lambda z: losses.reduce(losses.backward_corrected_cross_entropy(z, labels, transition))


# -- mixup


def mixed_dense(a: Tensor, b: Tensor, weight: float) -> Loss:
    def loss(z: Tensor) -> Tensor:
        first, second = (F.one_hot(labels, z.shape[-1]).to(z.dtype) for labels in (a, b))
        return F.cross_entropy(z, weight * first + (1 - weight) * second)

    return loss


def mixed_twice(a: Tensor, b: Tensor, weight: float) -> Loss:
    """As the code of Zhang et al. 2018 has it: the loss of both labels, weighted."""
    return lambda z: weight * F.cross_entropy(z, a) + (1 - weight) * F.cross_entropy(z, b)


def mixed_ours(a: Tensor, b: Tensor, weight: float) -> Loss:
    def loss(z: Tensor) -> Tensor:
        mixed = targets.mix(targets.hard(a), targets.hard(b), weight)
        return losses.reduce(losses.cross_entropy(z, mixed))

    return loss


# -- a linear layer and its cross entropy


def linear_usual(labels: Tensor, *, smoothing: float = SMOOTHING) -> Loss:
    return lambda hidden, weight: F.cross_entropy(F.linear(hidden, weight), labels, label_smoothing=smoothing)


def linear_torch(labels: Tensor) -> Loss:
    """torch's own in chunks, which it has for hard labels alone."""
    options = getattr(torch.nn, "LinearCrossEntropyOptions", None)
    if options is None:
        raise Skipped("torch.nn.functional.linear_cross_entropy is not in this torch")
    return lambda hidden, weight: F.linear_cross_entropy(hidden, weight, labels, options=options())


def linear_torch_smoothed(labels: Tensor) -> Loss:
    """torch's own with smoothing, for which it makes all logits, and warns of it."""
    linear_torch(labels)
    options = torch.nn.LinearCrossEntropyOptions()

    def loss(hidden: Tensor, weight: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return F.linear_cross_entropy(hidden, weight, labels, options=options, label_smoothing=SMOOTHING)

    return loss


def linear_liger(labels: Tensor) -> Loss:
    _need_liger(labels)
    from liger_kernel.ops.fused_linear_cross_entropy import (  # pyright: ignore[reportMissingImports]
        LigerFusedLinearCrossEntropyFunction,
    )

    fused = LigerFusedLinearCrossEntropyFunction.apply
    return lambda hidden, weight: fused(hidden, weight, labels, None, None, -100, 0.0, SMOOTHING)[0]


def linear_ours(labels: Tensor) -> Loss:
    return lambda hidden, weight: losses.reduce(
        losses.linear_cross_entropy(hidden, weight, targets.smooth(labels, SMOOTHING))
    )


def _need_liger(labels: Tensor) -> None:
    if labels.device.type != "cuda":
        raise Skipped("Liger's kernels need a GPU")
    try:
        import liger_kernel  # pyright: ignore[reportMissingImports] # noqa: F401
    except ImportError as error:
        raise Skipped("liger_kernel is not installed") from error
