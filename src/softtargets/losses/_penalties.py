"""Terms that are added to a loss."""

import torch
from torch import Tensor

from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets._numerics import at_least_float32


def early_learning_penalty(logits: Tensor, running_targets: Tensor, *, eps: float = 1e-4) -> Tensor:
    """Hold predictions to what the model believed early on (ELR; Liu et al. 2020, Eq. 6).

    log(1 - <p, running_targets>)

    Args:
        logits: (..., K) float.
        running_targets: (..., K) float, running means of the model's probabilities; no gradient passes through them.
        eps: floor of the difference, where p and the running target agree on one class.

    Returns:
        (...) float32 or wider, nats, at most 0; add it times a weight (3 for CIFAR-10, 7 for CIFAR-100).

    Raises:
        ValueError: where shapes differ.

    Limits:
        running targets of 0 give 0.
    """
    check_floating("logits", logits)
    if running_targets.shape != logits.shape:
        raise fail("running_targets", f"shape {tuple(logits.shape)}", tuple(running_targets.shape), "align them")
    probs = at_least_float32(logits).softmax(-1)
    agreement = (probs * running_targets.detach().to(probs.dtype)).sum(-1)
    return torch.log((1 - agreement).clamp(min=eps))
