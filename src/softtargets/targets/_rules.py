"""Target rules that look something up: one-hot labels, rows of a class table or an inverse transition, dense values."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_entries, read_labels, values_visible
from softtargets._errors import fail, fail_type
from softtargets.matrices import LabelMatrix, Transition
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_scores, check_tensor, classes_last

__all__ = ["backward_corrected", "dense", "from_table", "hard"]


def hard(labels: Tensor, *, ignore_index: int | None = -100) -> Targets:
    """One-hot targets of integer labels.

    t = onehot(labels)

    Args:
        labels: (...) integers in [0, K).
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        Targets of mass 1.

    Raises:
        ValueError: at the first negative label that is not `ignore_index`.
        TypeError: if labels are not an integer tensor.

    Special cases:
        if every label is ignored, all targets are 0.

    Notes:
        The usual 0/1 targets. `ignore_index` works as in ``torch.nn.CrossEntropyLoss``.

    Complexity:
        O(N); no N x K tensor is built.

    When to use:
        Labels are correct and overconfidence is not a concern.

    Limitations:
        Cross entropy with one-hot targets keeps increasing the logits (Szegedy et al. 2016, Sec. 7) and also fits
        wrong labels.

    Aliases:
        one_hot

    Example:
        >>> hard(torch.tensor([2, 0])).to_dense(3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return one_hot("labels", labels, ignore_index=ignore_index)


def one_hot(argument: str, labels: Tensor, *, ignore_index: int | None, num_classes: int | None = None) -> Targets:
    """Return one-hot targets of labels, which errors call by the name of the argument."""
    # whatever uses the targets checks the labels, with the number of classes
    labels, ignored = read_labels(argument, labels, num_classes=num_classes, ignore_index=ignore_index, deferred=True)
    # float64 keeps 1 - r exact for float64 logits; expanded, it costs no memory. Apple's GPUs have no float64.
    dtype = torch.float32 if labels.device.type == "mps" else torch.float64
    one = torch.ones((), dtype=dtype, device=labels.device)
    value = one.expand(*labels.shape, 1)
    return Targets(index=labels[..., None], value=value, labels=labels, ignored=ignored, size=num_classes)


def from_table(
    labels: Tensor, table: Tensor | LabelMatrix, *, strict: bool = False, ignore_index: int | None = -100
) -> Targets:
    """Targets from a class table: the row of each label.

    t = table[labels]

    Args:
        labels: (...) integers in [0, R).
        table: (R, K) float, or a LabelMatrix, whose structure is kept.
        strict: require every row of the table to be a probability distribution.
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        Targets; the mass is the row sum of the table.

    Raises:
        ValueError: if the table is not a finite (R, K) tensor or a label is out of range; if `strict`, also at the
            first negative entry and the first row that does not sum to 1.
        TypeError: if labels are not integers or the table is not floating-point.

    Special cases:
        an identity table gives hard(labels).

    Notes:
        The matrix M of Lukasik et al. 2020, Table 1. Rows are labels, columns are classes, as in a transition matrix.

    Complexity:
        O(N) plus the table; the loss gathers rows chunk by chunk.

    When to use:
        It is known which classes are similar: see :func:`hierarchical_table`, :func:`localized_table`,
        :func:`confusion_table` and :func:`tfidf_table`.

    Limitations:
        All examples of a class share one target. The table has K^2 entries.

    Example:
        >>> from_table(torch.tensor([0, 1, 0]), torch.tensor([[0.75, 0.25], [0.0, 1.0]])).to_dense().tolist()
        [[0.75, 0.25], [0.0, 1.0], [0.75, 0.25]]
    """
    if isinstance(labels, LabelMatrix) or (isinstance(labels, Tensor) and labels.is_floating_point()):
        got = "a LabelMatrix" if isinstance(labels, LabelMatrix) else f"dtype {labels.dtype}"
        raise fail_type("labels", "integer labels", got, "call from_table(labels, table), with labels.long() if needed")
    if isinstance(table, LabelMatrix):
        if table.table is not None:
            return from_table(labels, table.table, strict=strict, ignore_index=ignore_index)
        base = one_hot("labels", labels, ignore_index=ignore_index, num_classes=table.num_classes)
        if strict:
            _check_distributions("table", table.to_dense())
        ones = base._total()
        return replace(base, value=(table.keep * ones)[..., None], rest=table.rest * ones, prior=table.prior)
    check_scores("table", table)
    if table.ndim != 2 or table.shape[1] < 2:
        raise fail("table", "shape (R, K) with K >= 2", tuple(table.shape), "give one row of K weights per label")
    check_entries("table", table, torch.isfinite, "finite entries", "fix that entry")
    if strict:
        _check_distributions("table", table)
    labels, ignored = read_labels("labels", labels, num_classes=table.shape[0], ignore_index=ignore_index)
    return Targets(row=labels, table=table, labels=labels, ignored=ignored)


def backward_corrected(labels: Tensor, transition: Transition | Tensor, *, ignore_index: int | None = -100) -> Targets:
    """Backward-corrected targets: the label's row of the inverse transition matrix.

    t = T^-1[labels]

    The expected loss over observed labels then equals the loss on the clean labels.

    Args:
        labels: (...) integers, the *observed* labels.
        transition: clean -> observed, a Transition or (K, K) float with rows that sum to 1.
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        Targets of mass 1 with negative entries; the loss is unbounded below.

    Raises:
        ValueError: if T is singular or ill-conditioned, or a label is out of range.
        TypeError: if labels are not integers or T is not floating-point.

    Special cases:
        no noise gives hard(labels); symmetric noise gives smoothing of -redraw / (1 - redraw).

    Notes:
        T as in Patrini et al. 2017 and Lukasik et al. 2020: rows are clean, columns are observed classes. cleanlab's
        noise matrix is the transpose.

    Complexity:
        O(K^3) to solve a K x K system; O(N) and no table if the noise is symmetric.

    When to use:
        T is known or well estimated, and an unbiased estimate of the risk matters more than a low variance.

    Limitations:
        The loss is unbounded below, and errors of T are amplified. Forward correction needs no inverse, and label
        smoothing is often competitive (Lukasik et al. 2020, Sec. 4.1). If logits may be -inf, use
        losses.backward_corrected_cross_entropy, which leaves such classes out. With these targets the loss is -inf if a
        matrix gives a masked class a negative weight.

    Example:
        >>> corrected = backward_corrected(torch.tensor([0]), torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
        >>> corrected.to_dense().round(decimals=4).tolist()
        [[1.3333, -0.3333]]
    """
    if not isinstance(transition, Transition):
        check_tensor("transition", transition, "a Transition or a floating-point (K, K) tensor")
    return from_table(labels, Transition.wrap(transition).inverse(), ignore_index=ignore_index)


def dense(values: Tensor, *, class_dim: int = -1, strict: bool = False) -> Targets:
    """Targets given as one weight per class, such as probabilities.

    t = values

    Negative weights and any sum are allowed unless `strict`.

    Args:
        values: (..., K) float, or with the classes at `class_dim`.
        class_dim: dimension of the classes.
        strict: require every row to be a probability distribution.

    Returns:
        Targets, dense.

    Raises:
        ValueError: if there are fewer than two classes, at the first NaN or infinity, and if `strict` at the first
            negative entry and the first row that does not sum to 1.
        TypeError: if values are not floating-point.

    Special cases:
        one-hot rows give hard(labels).

    Notes:
        The class probabilities that ``torch.nn.CrossEntropyLoss`` accepts as target.

    Complexity:
        No copy of the N x K tensor.

    When to use:
        Each example has a distribution: a teacher's probabilities, or annotators' votes (see :func:`votes`).

    Limitations:
        N x K numbers. For a large vocabulary see :func:`top_k` and :func:`sample`.

    Example:
        >>> dense(torch.tensor([[0.5, 0.25, 0.0]])).mass().tolist()
        [0.75]
    """
    if isinstance(values, Tensor) and not values.is_floating_point() and not values.is_complex():
        remedy = "use targets.hard(values) for class numbers, or values.float() for one-hot rows"
        raise fail_type("values", "a floating-point tensor", f"dtype {values.dtype}", remedy)
    values = classes_last("values", values, class_dim)
    check_entries("values", values, torch.isfinite, "finite weights", "fix that entry")
    if strict:
        _check_distributions("values", values)
    return Targets(values=values)


def _check_distributions(argument: str, values: Tensor) -> None:
    """Require rows that are probability distributions."""
    if not values_visible(values):
        return
    required, remedy = "entries of at least 0 under strict=True", "fix it, or pass strict=False"
    check_entries(argument, values, lambda entries: entries >= 0, required, remedy)
    tolerance = 1e-5 if values.dtype in (torch.float32, torch.float64) else 1e-2
    sums = values.sum(-1, dtype=torch.promote_types(values.dtype, torch.float32))
    required, remedy = "rows that sum to 1 under strict=True", "divide it by its sum, or pass strict=False"
    check_entries(argument, sums, lambda total: (total - 1).abs() <= tolerance, required, remedy)
