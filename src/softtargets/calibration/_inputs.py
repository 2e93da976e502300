"""Held-out examples that a calibrator is fitted on, checked, and visited in chunks of rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_labels, check_mask, entry, first_bad, known_labels, where
from softtargets._errors import fail

# entries of one chunk: few enough for a cache, and enough for the threads of a pass to be worth their meeting
CHUNK = 2**18
# what -inf becomes, and no logit is
MASKED = -1e300


@dataclass(frozen=True)
class Examples:
    """Rows to fit on.

    Args:
        logits: (N, K) float, as given.
        labels: (N,) int64.
        top: (N,) float64, the largest logit of each row, finite.
    """

    logits: Tensor
    labels: Tensor
    top: Tensor

    @property
    def num_classes(self) -> int:
        return self.logits.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | Tensor) -> "Examples":
        return Examples(self.logits[rows], self.labels[rows], self.top[rows])

    def chunks(self) -> Iterator[slice]:
        step = max(1, CHUNK // self.num_classes)
        yield from (slice(start, start + step) for start in range(0, len(self), step))

    def shifted(self, rows: slice = slice(None)) -> Tensor:
        """Return the logits of some rows less their largest, float64; a masked class has MASKED in the place of -inf.

        That is -inf as far as any exponential of it goes, and keeps 0 * inf out of the sums.
        """
        return (self.logits[rows].double() - self.top[rows, None]).clamp_(min=MASKED)

    def kept(self, log_columns: Tensor | None = None) -> "Examples":
        """Return the rows whose label has a finite logit, or comes from a class that has one; others fit nothing.

        Args:
            log_columns: (K, K) float64, row y is log P(observed as y | clean class); None: labels are clean.
        """
        possible = torch.empty(len(self), dtype=torch.bool, device=self.top.device)
        for chunk in self.chunks():
            logits, labels = self.logits[chunk], self.labels[chunk]
            if log_columns is None:
                possible[chunk] = logits.gather(1, labels[:, None])[:, 0] > -torch.inf
            else:
                possible[chunk] = ((logits > -torch.inf) & (log_columns[labels] > -torch.inf)).any(1)
        if not bool(possible.any()):
            raise fail("labels", "possible in some row", "a logit of -inf for all", "fix labels or logits")
        return self if bool(possible.all()) else self[possible]


def examples(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Examples:
    """Check (..., K) logits with (...) labels, and return those that count as rows."""
    check_logits(logits)
    shape = tuple(logits.shape[:-1])
    check_mask(mask, shape)
    # what is not counted may be anything, so it is made harmless where it stands: an error names the caller's row
    check_labels("labels", known_labels(labels, mask), logits.shape[-1], shape)
    logits = logits.detach()
    top = largest(logits, mask)
    if mask is None:
        rows = Examples(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1).long(), top.reshape(-1))
    else:
        rows = Examples(logits[mask], labels[mask].long(), top[mask])
    if len(rows) == 0:
        raise fail("logits", "at least one row that counts", 0, "nothing can be fitted on no example")
    return rows


def check_logits(logits: Tensor) -> None:
    """Require (..., K) floating-point logits of at least two classes."""
    check_floating("logits", logits)
    if logits.ndim < 2 or logits.shape[-1] < 2:
        raise fail("logits", "shape (N, K) with K >= 2", tuple(logits.shape), "give one row of K per example")


def largest(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return each row's largest logit, (...) float64, once it is finite in every row that counts."""
    top = logits.amax(-1).double()
    index = first_bad(~top.isfinite() if mask is None else ~top.isfinite() & mask)
    if index is not None:
        got = f"a largest of {entry(top, index)} at {where(index)}"
        raise fail("logits", "without NaN or +inf, some finite in every row", got, "fix or drop that row")
    return top
