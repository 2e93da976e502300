"""Held-out examples on which a calibrator is fitted: checked, and processed in chunks of rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_mask, entry, first_bad, read_labels, where
from softtargets._errors import fail
from softtargets.metrics.arguments import check_ignore_index, check_scores, check_shape, classes_last

# entries of one chunk: small enough for the cache, large enough for several threads to pay off
CHUNK = 2**18
# stands for -inf in float64; no logit is as small
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
        """Return the logits of some rows minus their maximum, float64, with MASKED in place of -inf.

        Exponentials of MASKED are 0 like those of -inf, but 0 * MASKED is 0, not NaN.
        """
        return (self.logits[rows].double() - self.top[rows, None]).clamp_(min=MASKED)

    def kept(self, log_columns: Tensor | None = None) -> "Examples":
        """Return the rows whose label is possible: it, or a class that it can come from, has a finite logit.

        Args:
            log_columns: (K, K) float64, row y is log P(observed as y | clean class). Default: labels are clean.
        """
        possible = torch.empty(len(self), dtype=torch.bool, device=self.top.device)
        for chunk in self.chunks():
            logits, labels = self.logits[chunk], self.labels[chunk]
            if log_columns is None:
                possible[chunk] = logits.gather(1, labels[:, None])[:, 0] > -torch.inf
            else:
                possible[chunk] = ((logits > -torch.inf) & (log_columns[labels] > -torch.inf)).any(1)
        if not bool(possible.any()):
            raise fail(
                "labels", "at least one row whose label has a finite logit", "-inf in every row", "fix labels or logits"
            )
        return self if bool(possible.all()) else self[possible]


def examples(
    logits: Tensor, labels: Tensor, mask: Tensor | None = None, ignore_index: int = -100, class_dim: int = -1
) -> Examples:
    """Check (..., K) logits and (...) labels, and return the rows that are not left out."""
    logits, labels, left_out = read_examples(logits, labels, mask, ignore_index, class_dim)
    top = largest(logits, left_out)
    if left_out is None:
        rows = Examples(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), top.reshape(-1))
    else:
        rows = Examples(logits[~left_out], labels[~left_out], top[~left_out])
    if len(rows) == 0:
        raise fail("logits", "at least one row that is not left out", 0, "check the inputs, the labels and the mask")
    return rows


def read_examples(
    logits: Tensor, labels: Tensor, mask: Tensor | None, ignore_index: int, class_dim: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return (..., K) detached logits, (...) int64 labels and which rows are left out, (...) bool or None."""
    logits = check_logits(logits, class_dim, labels)
    check_ignore_index(ignore_index)
    if isinstance(labels, Tensor) and not labels.is_floating_point():
        check_shape("labels", labels, logits)
    shape = tuple(logits.shape[:-1])
    check_mask(mask, shape)
    options = {"num_classes": logits.shape[-1], "shape": shape, "ignore_index": ignore_index, "mask": mask}
    labels, left_out = read_labels("labels", labels, **options)
    return logits, labels.to(logits.device), None if left_out is None else left_out.to(logits.device)


def check_logits(logits: Tensor, class_dim: int = -1, labels: object = None) -> Tensor:
    """Require floating-point logits of at least two classes, and return them detached with the classes last."""
    return classes_last("logits", check_scores("logits", logits, labels).detach(), class_dim)


def largest(logits: Tensor, left_out: Tensor | None = None) -> Tensor:
    """Return the largest logit of each row, (...) float64, and require that it is finite unless the row is left out."""
    top = logits.amax(-1).double()
    index = first_bad(~top.isfinite() if left_out is None else ~top.isfinite() & ~left_out)
    if index is not None:
        required = "no NaN or +inf, and a finite logit in every row"
        raise fail(
            "logits", required, f"a largest logit of {entry(top, index)} at {where(index)}", "fix or drop that row"
        )
    return top
