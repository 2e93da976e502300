"""Bootstrap of the confident joint of rows that are read block by block."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from softtargets._native.label_rows import confident_pairs
from softtargets.noise._bootstrap import TransitionInterval, draw_rows, percentile_ends
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.streaming.blocks import PART, LabelledBlock
from softtargets.noise.streaming.confident import bounds_of, thresholds_of
from softtargets.noise.streaming.fixed import FixedSums

# If every class is missing from a draw with a probability below exp(-SURE), draws are made without looking at labels.
SURE = 40.0


class ConfidentBootstrap:
    """The draws of :func:`~softtargets.noise.bootstrap_transition` of the confident joint, for rows in blocks.

    The blocks are read twice: for the thresholds of each draw, and for its counts. The state is the rows of each draw,
    and one count for each draw and pair of classes.

    Args:
        class_counts: (K,) int64, numbers of labels.
        labels: returns all (N,) labels; called only if a class is so rare that a draw may miss it.
        n_draws, max_rows, generator: as in `bootstrap_transition`.
    """

    def __init__(
        self,
        class_counts: Tensor,
        labels: Callable[[], Tensor],
        *,
        n_draws: int,
        max_rows: int,
        generator: torch.Generator,
    ) -> None:
        self.num_classes, self.num_rows = len(class_counts), int(class_counts.sum())
        self.drawn = min(self.num_rows, max_rows)
        present = class_counts[class_counts > 0].double()
        missed = self.drawn * torch.log1p(-present / self.num_rows)
        known = None if float(missed.max()) < -SURE else labels()
        draws, self.stratified = [], 0
        for _ in range(n_draws):
            if known is None:
                chosen = torch.randint(self.num_rows, (self.drawn,), generator=generator)
            else:
                chosen, within = draw_rows(known, self.drawn, self.num_classes, generator)
                self.stratified += within
            draws.append(chosen.int().sort().values)
        # draws within classes may be longer by rounding
        self._length = max(map(len, draws))
        self._rows = torch.full((n_draws, self._length), torch.iinfo(torch.int32).max, dtype=torch.int32)
        for own, chosen in zip(self._rows, draws, strict=True):
            own[: len(chosen)] = chosen
        cells = n_draws * self.num_classes
        self._class_counts = torch.zeros(cells, dtype=torch.int64)
        self._confidence = FixedSums(cells)

    def sum(self, block: LabelledBlock) -> None:
        """Add a block of the first pass."""
        rows, draws = self._pairs(block)
        cells = draws * self.num_classes + block.labels[rows]
        self._class_counts += cells.bincount(minlength=len(self._class_counts))
        self._confidence.add(cells, block.own[rows])

    def begin_counts(self) -> None:
        """Fix the thresholds of the draws after the first pass."""
        shape = (len(self._rows), self.num_classes)
        means = self._confidence.totals() / self._class_counts
        self._thresholds = thresholds_of(means).view(shape)
        self._counts = torch.zeros(shape[0] * self.num_classes**2, dtype=torch.int32)

    def count(self, block: LabelledBlock) -> None:
        """Add a block of the second pass."""
        bounds = bounds_of(self._thresholds, block.probs.dtype)
        rows, draws = self._pairs(block)
        clean = confident_pairs(block.probs, block.labels, rows, draws, bounds)
        met = clean >= 0
        cells = (draws[met] * self.num_classes + clean[met]) * self.num_classes + block.labels[rows[met]]
        self._counts.index_add_(0, cells, torch.ones_like(cells, dtype=torch.int32))

    def interval(self, joint: ConfidentJoint, confidence: float) -> TransitionInterval:
        """Return the intervals around the confident joint of all rows after the second pass."""
        size, draws = self.num_classes, len(self._rows)
        counts = self._counts.view(draws, size, size)
        counts.diagonal(dim1=1, dim2=2).clamp_(min=1)
        scale = math.sqrt(self.drawn / self.num_rows)
        class_counts = self._class_counts.view(draws, size)
        totals = counts.sum(1)
        estimate = joint.transition.to_dense()
        low, high = torch.empty_like(estimate), torch.empty_like(estimate)
        rates = torch.ones(draws, dtype=torch.float64)
        step = max(1, PART // (draws * size))
        for start in range(0, size, step):
            own = slice(start, start + step)
            joints = counts[:, own].double() / totals[:, None] * class_counts[:, None]
            joints /= class_counts.sum(1)[:, None, None]
            sums = joints.sum(2, keepdim=True)
            rows = torch.where(sums > 0, joints / sums, torch.eye(size, dtype=torch.float64)[own])
            low[own], high[own] = percentile_ends(estimate[own], rows, confidence, scale)
            rates -= joints.diagonal(offset=start, dim1=1, dim2=2).sum(1)
        rate = torch.tensor(joint.noise_rate, dtype=torch.float64)
        least, most = map(float, percentile_ends(rate, rates, confidence, scale))
        return TransitionInterval(
            joint.transition, low, high, float(rate), least, most, float(confidence), self.stratified
        )

    def _pairs(self, block: LabelledBlock) -> tuple[Tensor, Tensor]:
        """Return the rows of the block that were drawn, counted from its first one, and by which draw."""
        span = torch.tensor([block.first_row, block.first_row + len(block)], dtype=torch.int32)
        ends = torch.searchsorted(self._rows, span.expand(len(self._rows), 2).contiguous())
        lengths = ends[:, 1] - ends[:, 0]
        draws = torch.repeat_interleave(lengths)
        # the place of each pair in its own draw
        offset = ends[:, 0] - (lengths.cumsum(0) - lengths)
        places = torch.arange(len(draws)) + (offset + torch.arange(len(lengths)) * self._length)[draws]
        return self._rows.view(-1)[places].long() - block.first_row, draws
