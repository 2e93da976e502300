"""Simulated examples whose posteriors and transition matrix are known exactly."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets import noise

K = 10


@dataclass(frozen=True)
class Known:
    """`probs` is p(observed | x) and `posterior` p(clean | x), both exact; rows of `transition` are clean classes."""

    probs: Tensor
    labels: Tensor
    clean: Tensor
    posterior: Tensor
    transition: Tensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def known(examples: int, transition: Tensor, *, distance: float, seed: int = 0) -> Known:
    """Draw one Gaussian per class on its own axis. At distance 5 they are separate; at 2 a third is misclassified."""
    generator = seeded(seed)
    size = len(transition)
    clean = torch.randint(size, (examples,), generator=generator)
    place = torch.randn(examples, size, generator=generator, dtype=torch.float64)
    place[torch.arange(examples), clean] += distance
    posterior = (distance * place).softmax(1)
    labels = noise.corrupt(clean, transition, exact=False, generator=generator).noisy_labels
    return Known(posterior @ transition, labels, clean, posterior, transition)


def asymmetric(rate: float = 0.4) -> Tensor:
    """Return CIFAR-10's noise: truck to automobile, bird to airplane, deer to horse, cat and dog to each other."""
    matrix = torch.eye(K, dtype=torch.float64)
    for clean, observed in {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}.items():
        matrix[clean, clean], matrix[clean, observed] = 1 - rate, rate
    return matrix


def tempered(probs: Tensor, temperature: float) -> Tensor:
    """Return the probabilities of an overconfident (temperature below 1) or underconfident (above 1) model."""
    return (probs.log() / temperature).softmax(1)


def distance(found: noise.Transition, truth: Tensor) -> Tensor:
    """Return the total variation distance of each row."""
    return (found.to_dense() - truth).abs().sum(1) / 2
