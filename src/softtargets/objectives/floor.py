"""A floor for the probabilities in terms that are subtracted from the loss."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from softtargets import losses
from softtargets._numerics import at_least_float32

# Added to the probabilities of a term that is subtracted, which bounds the term by its logarithm; 0: no floor.
Floor = Annotated[float, Field(ge=0, le=0.01)]


def floored_log_probs(logits: Tensor, floor: float) -> Tensor:
    """Return log(p + floor), which the authors of CORES, peer loss and NLS use in the term that they subtract.

    A class whose probability is below the floor gets almost no gradient. Without the floor the term, and with it the
    weights of the network, would grow without bound.
    """
    log_probs = at_least_float32(logits).log_softmax(-1)
    return torch.logaddexp(log_probs, log_probs.new_tensor(floor).log())


def mean_over_labels(logits: Tensor, floor: float) -> Tensor:
    """Return the mean of the cross entropies of all labels, (N,), with a floor for the probabilities."""
    return losses.smoothing_regularizer(floored_log_probs(logits, floor)) / logits.shape[-1]
