"""Target rules that take what is given: one-hot labels, rows of a table or of an inverse transition, dense weights."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import (
    check_classes_last,
    check_entries,
    check_floating,
    check_labels,
    values_visible,
)
from softtargets._errors import fail
from softtargets.matrices import LabelMatrix, Transition
from softtargets.targets._shared import apart_from_ignored
from softtargets.targets._targets import Targets

__all__ = ["backward_corrected", "dense", "from_table", "hard"]


def hard(labels: Tensor, *, ignore_index: int | None = None) -> Targets:
    """Make one-hot targets.

    t = onehot(labels)

    Args:
        labels: (...) int64 in [0, K).
        ignore_index: label that marks an example without a target.

    Returns:
        Targets of mass 1.

    Raises:
        ValueError: at the first negative label that is not `ignore_index`.

    Special cases:
        every label ignored gives targets of 0.

    Notes:
        y, one-hot labels, the 0/1 targets of every paper; ignore_index as in torch.

    Complexity:
        O(N), no N x K target.

    When to use:
        the labels are right and confidence is not the question.

    Limitations:
        cross entropy on them never stops growing the logits (Szegedy et al. 2016, Sec. 7) and fits wrong labels too.

    Example:
        >>> hard(torch.tensor([2, 0])).to_dense(3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    labels, ignored = apart_from_ignored(labels, ignore_index)
    check_labels("labels", labels)
    labels = labels.long()
    # float64 keeps 1 - r exact for float64 logits; expanded, it costs no memory. Apple's GPUs have no float64.
    dtype = torch.float32 if labels.device.type == "mps" else torch.float64
    one = torch.ones((), dtype=dtype, device=labels.device)
    return Targets(index=labels[..., None], value=one.expand(*labels.shape, 1), labels=labels, ignored=ignored)


def from_table(
    table: Tensor | LabelMatrix, labels: Tensor, *, strict: bool = False, ignore_index: int | None = None
) -> Targets:
    """Take row ``labels`` of a class table as the target.

    t = table[labels]

    Args:
        table: (R, K) float, or a Smearing, whose structure is kept.
        labels: (...) int64 in [0, R).
        strict: require every row of the table to be a distribution.
        ignore_index: label that marks an example without a target.

    Returns:
        Targets; mass as the rows have it.

    Raises:
        ValueError: where the table is not a finite (R, K) tensor or a label is out of range; under `strict` at the
            first negative entry and the first row that does not sum to 1.

    Special cases:
        table = identity gives hard(labels).

    Notes:
        M of Lukasik et al. 2020, Table 1; rows are labels, columns classes, as in a transition.

    Complexity:
        O(N) and the table; the kernel gathers its rows chunk by chunk.

    When to use:
        classes are alike in known ways: see :func:`hierarchical_table`, :func:`localized_table`,
        :func:`confusion_table` and :func:`tfidf_table`.

    Limitations:
        the table is a guess that every example of a class shares, and K^2 numbers.

    Example:
        >>> from_table(torch.tensor([[0.75, 0.25], [0.0, 1.0]]), torch.tensor([0, 1, 0])).to_dense().tolist()
        [[0.75, 0.25], [0.0, 1.0], [0.75, 0.25]]
    """
    if isinstance(table, LabelMatrix):
        if table.table is not None:
            return from_table(table.table, labels, strict=strict, ignore_index=ignore_index)
        labels, ignored = apart_from_ignored(labels, ignore_index)
        check_labels("labels", labels, table.num_classes)
        if strict:
            _check_distributions("table", table.to_dense())
        base = hard(labels)
        ones = base.mass()
        return replace(
            base,
            value=(table.keep * ones)[..., None],
            rest=table.rest * ones,
            prior=table.prior,
            ignored=ignored,
            size=table.num_classes,
        )
    check_floating("table", table)
    if table.ndim != 2 or table.shape[1] < 2:
        raise fail("table", "shape (R, K) with K >= 2", tuple(table.shape), "give one row of K weights per label")
    check_entries("table", table, torch.isfinite, "finite entries", "fix that entry")
    if strict:
        _check_distributions("table", table)
    labels, ignored = apart_from_ignored(labels, ignore_index)
    check_labels("labels", labels, table.shape[0])
    return Targets(row=labels.long(), table=table, labels=labels.long(), ignored=ignored)


def backward_corrected(labels: Tensor, transition: Transition | Tensor, *, ignore_index: int | None = None) -> Targets:
    """Backward correction as a target: the label's row of the inverse transition matrix.

    t = T^-1[labels], so that the expectation over observed labels of the loss is the loss on the clean ones

    Args:
        labels: (...) int64 *observed* labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        ignore_index: label that marks an example without a target.

    Returns:
        Targets of mass 1 with negative entries; the loss is unbounded below.

    Raises:
        ValueError: where T is singular or ill-conditioned.

    Special cases:
        no noise gives hard(labels); symmetric noise gives smoothing of -redraw / (1 - redraw).

    Notes:
        T of Patrini et al. and Lukasik et al., rows clean, columns observed; cleanlab's noise matrix is its transpose.

    Complexity:
        a K x K system is solved, O(K^3), unless the noise is symmetric: then O(N) and no table.

    When to use:
        T is known or well estimated, and an unbiased risk is wanted more than a low variance.

    Limitations:
        unbounded below, and a poor T is amplified; forward correction needs no inverse, and smoothing is often
        competitive (Lukasik et al. 2020, Sec. 4.1).

    Example:
        >>> corrected = backward_corrected(torch.tensor([0]), torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
        >>> corrected.to_dense().round(decimals=4).tolist()
        [[1.3333, -0.3333]]
    """
    return from_table(Transition.wrap(transition).inverse(), labels, ignore_index=ignore_index)


def dense(values: Tensor, *, strict: bool = False) -> Targets:
    """Take weights over the classes as they are; negative ones and any mass are allowed unless `strict`.

    t = values

    Args:
        values: (..., K) float.
        strict: require every row to be a distribution.

    Returns:
        Targets, dense.

    Raises:
        ValueError: where the shape is not (..., K) with K >= 2, at the first NaN or infinity, and under `strict` at the
            first negative entry and the first row that does not sum to 1.
        TypeError: where they are not floating-point.

    Special cases:
        one-hot rows give hard(labels).

    Notes:
        the probabilities that torch's cross entropy takes as target.

    Complexity:
        the N x K tensor that was handed over, and no copy of it.

    When to use:
        a distribution per example is at hand: a teacher's probabilities, annotators' (see :func:`votes`).

    Limitations:
        N x K numbers: for a large vocabulary see :func:`top_k` and :func:`sample`.

    Example:
        >>> dense(torch.tensor([[0.5, 0.25, 0.0]])).mass().tolist()
        [0.75]
    """
    check_classes_last("values", values)
    check_entries("values", values, torch.isfinite, "finite weights", "fix that entry")
    if strict:
        _check_distributions("values", values)
    return Targets(values=values)


def _check_distributions(argument: str, values: Tensor) -> None:
    """Require rows of probabilities: what strict targets are."""
    if not values_visible(values):
        return
    required, remedy = "entries of at least 0 under strict=True", "fix it, or allow it without strict"
    check_entries(argument, values, lambda entries: entries >= 0, required, remedy)
    tolerance = 1e-5 if values.dtype in (torch.float32, torch.float64) else 1e-2
    sums = values.sum(-1, dtype=torch.promote_types(values.dtype, torch.float32))
    required, remedy = "rows that sum to 1 under strict=True", "divide it by its sum, or go without strict"
    check_entries(argument, sums, lambda total: (total - 1).abs() <= tolerance, required, remedy)
