"""Held-out examples on which a calibrator is fitted: checked, and processed in chunks of rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_mask, entry, first_bad, read_labels, where
from softtargets._errors import fail
from softtargets._numerics import times
from softtargets.metrics.arguments import check_ignore_index, check_scores, check_shape, classes_last
from softtargets.metrics.soft_labels import are_soft, read_soft_labels

# entries of one chunk: small enough for the cache, large enough for several threads to pay off
CHUNK = 2**18
# stands for -inf in float64; no logit is as small
MASKED = -1e300


@dataclass(frozen=True)
class Examples:
    """Rows to fit on.

    Args:
        logits: (N, K) float, as given.
        labels: (N,) int64; of soft labels, the most likely class.
        top: (N,) float64, the largest logit of each row, finite.
        soft: (N, K) float64, the distribution of the label of each row; None for hard labels.
    """

    logits: Tensor
    labels: Tensor
    top: Tensor
    soft: Tensor | None = None

    @property
    def num_classes(self) -> int:
        return self.logits.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | Tensor) -> "Examples":
        return Examples(
            self.logits[rows], self.labels[rows], self.top[rows], None if self.soft is None else self.soft[rows]
        )

    @property
    def given(self) -> Tensor:
        """The labels as `fit` takes them, (N,) or (N, K)."""
        return self.labels if self.soft is None else self.soft

    def expected(self, rows: slice, of_classes: Tensor) -> Tensor:
        """Return the entry of the label in (n, K) numbers of some rows, its mean under soft labels, (n,)."""
        if self.soft is None:
            return of_classes.gather(1, self.labels[rows, None])[:, 0]
        return times(self.soft[rows], of_classes).sum(1)

    def occurrence(self, k: int) -> Tensor:
        """Return whether the label is class k, its probability under soft labels, (N,) float64."""
        return (self.labels == k).double() if self.soft is None else self.soft[:, k]

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

        Of a soft label, every class with a probability above 0 must have one.

        Args:
            log_columns: (K, K) float64, row y is log P(observed as y | clean class). Default: labels are clean.
        """
        possible = torch.empty(len(self), dtype=torch.bool, device=self.top.device)
        for chunk in self.chunks():
            logits, labels = self.logits[chunk], self.labels[chunk]
            if self.soft is not None:
                possible[chunk] = ((logits > -torch.inf) | (self.soft[chunk] == 0)).all(1)
            elif log_columns is None:
                possible[chunk] = logits.gather(1, labels[:, None])[:, 0] > -torch.inf
            else:
                possible[chunk] = ((logits > -torch.inf) & (log_columns[labels] > -torch.inf)).any(1)
        if not bool(possible.any()):
            raise fail(
                "labels", "at least one row whose label has a finite logit", "-inf in every row", "fix labels or logits"
            )
        return self if bool(possible.all()) else self[possible]


def examples(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    *,
    soft: bool = True,
) -> Examples:
    """Check (..., K) logits and (...) labels, or (..., K) soft labels, and return the rows that are not left out."""
    read = read_examples(logits, labels, mask, ignore_index, class_dim)
    if not soft:
        refuse_soft(read[3])
    return kept_examples(*read)


def refuse_soft(shares: Tensor | None) -> None:
    """Raise the error of a fit that takes one class per row, if there are distributions of the labels."""
    if shares is not None:
        remedy = "this argument takes no probabilities or votes, use labels.argmax(-1)"
        raise fail("labels", "integer labels (one class per row)", "soft labels", remedy)


def kept_examples(logits: Tensor, labels: Tensor, left_out: Tensor | None, shares: Tensor | None) -> Examples:
    """Return the rows that are not left out, from what :func:`read_examples` returned."""
    top = largest(logits, left_out)
    if left_out is None:
        flat = None if shares is None else shares.reshape(-1, shares.shape[-1])
        rows = Examples(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), top.reshape(-1), flat)
    else:
        kept = None if shares is None else shares[~left_out]
        rows = Examples(logits[~left_out], labels[~left_out], top[~left_out], kept)
    if len(rows) == 0:
        raise fail("logits", "at least one row that is not left out", 0, "check the inputs, the labels and the mask")
    return rows


def read_examples(
    logits: Tensor, labels: Tensor, mask: Tensor | None, ignore_index: int, class_dim: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return (..., K) detached logits, (...) int64 labels, which rows are left out, (...) bool, and soft labels.

    The third is None if no row is left out. The last is None for hard labels, and otherwise the distribution of the
    label of each row, (..., K) float64, uniform where a row is left out; the labels are then the most likely classes.
    """
    given, logits = logits, check_logits(logits, class_dim, labels)
    check_ignore_index(ignore_index)
    one_column = logits.ndim != given.ndim or logits.shape[-1] != given.shape[class_dim]
    if are_soft(labels, logits if one_column else given):
        return _read_soft(logits, labels.detach().movedim(-1 if one_column else class_dim, -1), mask)
    if isinstance(labels, Tensor) and not labels.is_floating_point():
        check_shape("labels", labels, logits)
    shape = tuple(logits.shape[:-1])
    check_mask(mask, shape)
    options = {"num_classes": logits.shape[-1], "shape": shape, "ignore_index": ignore_index, "mask": mask}
    labels, left_out = read_labels("labels", labels, **options)
    return logits, labels.to(logits.device), None if left_out is None else left_out.to(logits.device), None


def _read_soft(
    logits: Tensor, labels: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    shape, num_classes = tuple(logits.shape[:-1]), logits.shape[-1]
    check_mask(mask, shape)
    labels = labels.to(logits.device).reshape(-1, num_classes)
    kept = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    if mask is not None:
        kept = mask.reshape(-1).to(logits.device)
    numbers = kept.nonzero()[:, 0]

    def place(row: int) -> str:
        return where(tuple(int(i) for i in torch.unravel_index(numbers[row], shape)))

    shares = torch.full(labels.shape, 1 / num_classes, dtype=torch.float64, device=labels.device)
    shares[kept] = read_soft_labels(labels[kept], place)
    shares = shares.reshape(logits.shape)
    left_out = None if bool(kept.all()) else ~kept.reshape(shape)
    # on ties the lowest class
    return logits, shares.max(-1).indices, left_out, shares


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
