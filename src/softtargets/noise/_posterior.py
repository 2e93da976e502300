"""Clean probabilities that explain observed ones, by expectation-maximisation."""

import torch
from torch import Tensor

from softtargets.matrices import Transition


def unmixed(observed: Tensor, transition: Tensor, start: Tensor, *, rounds: int) -> Tensor:
    """Return clean probabilities (n, K) for observed ones: maximum likelihood of a mixture of T's rows.

    They start at the (K,) distribution `start`.
    """
    clean = start
    tiny = torch.finfo(observed.dtype).tiny
    for _ in range(rounds):
        explained = (clean @ transition).clamp_(min=tiny)
        # the first product is one row for all; the others have the shape that the quotient needs
        ratio = torch.div(observed, explained, out=explained if explained.shape == observed.shape else None)
        clean = (ratio @ transition.T).mul_(clean)
    return clean / clean.sum(1, keepdim=True)


def fit_prior(transition: Transition, labels: Tensor) -> Tensor:
    """Return the prior of the clean classes, (K,) float64, that best explains the frequencies of observed labels."""
    matrix = transition.to_dense().detach().to(labels.device)
    frequencies = torch.bincount(labels, minlength=len(matrix)).double() / len(labels)
    uniform = torch.full_like(frequencies, 1 / len(matrix))
    return unmixed(frequencies[None], matrix, uniform, rounds=1000)[0]
