"""Predictions for sequences of tokens, for the tests of `evaluate`."""

import math

import numpy as np
import torch
from torch import Tensor

# Two sequences of three positions over two tokens; the last position of the first sequence is padding.
HAND_PROBS = np.array(
    [
        [[0.75, 0.25], [0.75, 0.25], [np.nan, np.nan]],
        [[0.5, 0.5], [0.25, 0.75], [0.0625, 0.9375]],
    ]
)
HAND_LABELS = np.array([[0, 1, -100], [0, 1, 1]])
# By hand: confidence 0.75 is right in 2 of 3 tokens, 0.5 in 1 of 1, 0.9375 in 1 of 1, each in a bin of its own.
HAND_ECE = 3 / 5 * abs(2 / 3 - 0.75) + 1 / 5 * 0.5 + 1 / 5 * 0.0625
HAND_NLL = -math.log(0.75 * 0.25 * 0.5 * 0.75 * 0.9375) / 5


def simulate(
    sequences: int = 120, positions: int = 6, num_classes: int = 5, *, sharpness: float = 2.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return (N, L, K) logits that are `sharpness` times the true ones, and labels, -100 beyond a random length."""
    generator = torch.Generator().manual_seed(seed)
    # tokens of a sequence depend on each other
    own = torch.randn(sequences, 1, num_classes, generator=generator)
    logits = own + torch.randn(sequences, positions, num_classes, generator=generator)
    drawn = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1, generator=generator)
    length = torch.randint(1, positions + 1, (sequences, 1), generator=generator)
    labels = drawn.reshape(sequences, positions).masked_fill(torch.arange(positions) >= length, -100)
    return sharpness * logits, labels
