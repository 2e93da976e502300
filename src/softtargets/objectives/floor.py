"""A floor for probabilities in terms that are subtracted from the loss."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from softtargets import losses
from softtargets._numerics import at_least_float32

# Added to probabilities in a term that is subtracted, which then cannot fall below its logarithm; 0 is none.
Floor = Annotated[float, Field(ge=0, le=0.01)]


def floored_log_probs(logits: Tensor, floor: float) -> Tensor:
    """Return log(p + floor), which the authors of CORES, peer loss and NLS use in the term that they subtract.

    Without it a network drives that term, and its own weights, to infinity: a class whose probability is below the
    floor gets no gradient any more.
    """
    log_probs = at_least_float32(logits).log_softmax(-1)
    return torch.logaddexp(log_probs, log_probs.new_tensor(floor).log())


def mean_over_labels(logits: Tensor, floor: float) -> Tensor:
    """Return the mean of cross entropy over all labels, (N,), with a floor for the probabilities."""
    return losses.smoothing_regularizer(floored_log_probs(logits, floor)) / logits.shape[-1]
