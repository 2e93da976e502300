"""The range of the noise rate, estimated from a sample of the rows."""

import torch
from torch import Tensor

from softtargets import noise
from softtargets.noise import NoiseRange
from softtargets.noise.streaming.blocks import LabelledBlock

# The sample has at most this many rows, and about this many probabilities, but at least LEAST_ROWS rows.
SAMPLE_ROWS, SAMPLE_NUMBERS, LEAST_ROWS = 20_000, 2**18, 2_000


class LabelSample:
    """A random sample of the rows, which does not depend on how these are divided into blocks.

    Args:
        num_rows: number of rows.
        num_classes: number of classes.
        seed: seed of the sample.
    """

    def __init__(self, num_rows: int, num_classes: int, seed: int) -> None:
        most = max(LEAST_ROWS, min(SAMPLE_ROWS, SAMPLE_NUMBERS // num_classes))
        self._rows: Tensor | None = None
        if num_rows > most:
            generator = torch.Generator().manual_seed(seed)
            self._rows = torch.randint(num_rows, (most,), generator=generator).unique()
        self._probs: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, block: LabelledBlock) -> None:
        """Add a block."""
        if self._rows is None:
            self._probs.append(block.probs.clone())
            self._labels.append(block.labels.clone())
            return
        ends = torch.searchsorted(self._rows, torch.tensor([block.first_row, block.first_row + len(block)]))
        chosen = self._rows[int(ends[0]) : int(ends[1])] - block.first_row
        self._probs.append(block.probs[chosen])
        self._labels.append(block.labels[chosen])

    def estimate(self) -> NoiseRange:
        """Return the range of the noise rate."""
        return noise.estimate_noise_range(torch.cat(self._probs), torch.cat(self._labels))
