"""From labels to targets: hard, smoothed in every convention, from a table, dense, mixed."""

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import (
    check_floating,
    check_fraction,
    check_labels,
    check_num_classes,
    check_per_example,
    check_prior,
    entry,
    first_bad,
    values_visible,
    where,
)
from softtargets._errors import fail, unknown
from softtargets.matrices import Smearing, Transition
from softtargets.targets._targets import Targets

CONVENTIONS = ("all", "others", "others-but-padding", "classy", "binary")


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

    Example:
        >>> hard(torch.tensor([2, 0])).to_dense(3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    ignored = None
    if ignore_index is not None and isinstance(labels, Tensor):
        ignored = labels == ignore_index
        labels = labels.masked_fill(ignored, 0)
    check_labels("labels", labels)
    labels = labels.long()
    # float64 keeps 1 - r exact for float64 logits; expanded, it costs no memory. Apple's GPUs have no float64.
    dtype = torch.float32 if labels.device.type == "mps" else torch.float64
    one = torch.ones((), dtype=dtype, device=labels.device)
    return Targets(index=labels[..., None], value=one.expand(*labels.shape, 1), labels=labels, ignored=ignored)


def smooth(
    labels_or_targets: Tensor | Targets,
    smoothing: float | Tensor,
    *,
    num_classes: int | None = None,
    convention: str = "all",
    prior: Tensor | None = None,
    valid: Tensor | None = None,
    allow_negative: bool = False,
) -> Targets:
    """Smooth labels, or targets that are already soft.

    t = (1 - r) * target + r * prior        # Szegedy et al. 2016, Sec. 7; r is `smoothing` in the "all" convention

    Args:
        labels_or_targets: (...) int64 labels, or Targets.
        smoothing: a number or a (...) float tensor, one per example; 0 leaves the target, 1 gives the prior. In [0, 1]
            in the stated convention.
        num_classes: K; needed for every convention but "all". The others of "others" are those that are valid.
        convention: what `smoothing` means; see :func:`convert_smoothing`.
        prior: (K,) probabilities (Pereyra et al. 2017); None: uniform over the valid classes.
        valid: (K,) or (..., K) bool, the classes that exist.
        allow_negative: permit smoothing < 0 (Wei et al. 2022), whose loss is unbounded below.

    Returns:
        Targets of the same mass.

    Raises:
        ValueError: where smoothing is outside its range or not one per example, or num_classes is needed and missing.

    Limits:
        smoothing=0 gives hard(labels).

    Example:
        >>> smooth(torch.tensor([0]), 0.3).to_dense(3).round(decimals=3).tolist()
        [[0.8, 0.1, 0.1]]
    """
    check_smoothing(smoothing, allow_negative=allow_negative)
    if prior is not None:
        check_prior("prior", prior)
    targets = labels_or_targets if isinstance(labels_or_targets, Targets) else hard(labels_or_targets)
    check_per_example("smoothing", smoothing, targets.shape)
    valid = targets.valid if valid is None else valid
    if convention != "all":
        if num_classes is None:
            raise fail("num_classes", f"a number for convention '{convention}'", None, "pass num_classes=")
        if convention == "others" and valid is not None:
            size = valid.sum(-1, dtype=targets.mass().dtype)
            smoothing = smoothing * size / (size - 1).clamp(min=1)
        else:
            smoothing = convert_smoothing(smoothing, num_classes=num_classes, source=convention, target="all")
    keep = 1 - smoothing
    if targets.value is None or _priors_differ(targets, prior):
        values = targets.to_dense(num_classes if prior is None else len(prior))
        spread = replace(targets, prior=prior, valid=valid).prior_over(values.shape[-1], values.dtype, values.device)
        values = _column(keep) * values + _column(smoothing) * targets.mass()[..., None] * spread
        return Targets(values=values, labels=targets.labels, valid=valid, ignored=targets.ignored)
    rest = smoothing * targets.mass() + (0.0 if targets.rest is None else keep * targets.rest)
    return replace(targets, value=_column(keep) * targets.value, rest=rest, prior=prior, valid=valid)


def check_smoothing(smoothing: float | Tensor, *, allow_negative: bool) -> None:
    """Require smoothing in [0, 1], or at most 1 with permission; a negative one is warned about."""
    advice = "choose at most 1" if allow_negative else "choose within it; a negative one needs allow_negative=True"
    check_fraction("smoothing", smoothing, low=-float("inf") if allow_negative else 0.0, remedy=advice)
    if allow_negative and (not isinstance(smoothing, Tensor) or values_visible(smoothing)):
        lowest = float(smoothing.detach().min()) if isinstance(smoothing, Tensor) else smoothing
        if lowest < 0:
            warnings.warn(
                f"smoothing: {lowest:g} is negative, so the loss is unbounded below; warm up with cross entropy",
                stacklevel=3,
            )


def convert_smoothing(
    smoothing: float | Tensor, *, num_classes: int, source: str = "all", target: str = "all"
) -> float | Tensor:
    """Convert a smoothing from one convention to another: the same target, another number.

    Weight of the label, and of each other class, at smoothing r::

        all                 1 - r + r/K     r/K         torch, Keras, optax, timm, transformers
        others              1 - r           r/(K-1)     fairseq, Megatron
        others-but-padding  1 - r           r/(K-2)     OpenNMT: K counts a padding class that gets nothing, so this
                                                        is "others" over the K-1 classes that are valid
        classy              (1+r/K)/(1+r)   (r/K)/(1+r) ClassyVision
        binary              1 - r/2         r/2         Keras' binary smoothing; K = 2

    For "others-but-padding" the "all" side smooths over the K-1 valid classes: mask the padding class out with `valid`.

    Args:
        smoothing: a number or a tensor, in the `source` convention.
        num_classes: K, at least 2 (3 with padding; exactly 2 for "binary").
        source: convention of `smoothing`.
        target: convention of the result.

    Returns:
        The smoothing in the `target` convention, of the type that was given.

    Raises:
        ValueError: where a convention or the number of classes does not fit.

    Example:
        >>> convert_smoothing(0.2, num_classes=5, source="others", target="all")
        0.25
    """
    check_num_classes(num_classes)
    return _from_all(_to_all(smoothing, num_classes, source), num_classes, target)


def _to_all(smoothing: float | Tensor, num_classes: int, convention: str) -> float | Tensor:
    match convention:
        case "all":
            return smoothing
        case "others" | "others-but-padding":
            size = _valid_classes(num_classes, convention)
            return smoothing * size / (size - 1)
        case "classy":
            return smoothing / (1 + smoothing)
        case "binary":
            _valid_classes(num_classes, convention)
            return smoothing
    raise unknown("convention", convention, CONVENTIONS)


def _from_all(smoothing: float | Tensor, num_classes: int, convention: str) -> float | Tensor:
    match convention:
        case "all":
            return smoothing
        case "others" | "others-but-padding":
            size = _valid_classes(num_classes, convention)
            return smoothing * (size - 1) / size
        case "classy":
            _check_below_one(smoothing)
            return smoothing / (1 - smoothing)
        case "binary":
            _valid_classes(num_classes, convention)
            return smoothing
    raise unknown("convention", convention, CONVENTIONS)


def _check_below_one(smoothing: float | Tensor) -> None:
    values = smoothing if isinstance(smoothing, Tensor) else torch.tensor(smoothing, dtype=torch.float64)
    index = first_bad(~(values < 1)) if values_visible(values) else None
    if index is not None:
        got = entry(values, index) + (f" at {where(index)}" if index else "")
        raise fail("smoothing", "below 1 in the 'all' convention, for 'classy'", got, "choose less")


def _valid_classes(num_classes: int, convention: str) -> int:
    if convention == "binary" and num_classes != 2:
        raise fail("num_classes", "2 for the convention 'binary'", num_classes, "use 'all' or 'others'")
    if convention != "others-but-padding":
        return num_classes
    if num_classes < 3:
        raise fail("num_classes", "at least 3 with a padding class", num_classes, "use 'others'")
    return num_classes - 1


def from_table(table: Tensor | Smearing, labels: Tensor) -> Targets:
    """Take row ``labels`` of a class table as the target.

    t = table[labels]

    Args:
        table: (R, K) float, or a Smearing, whose structure is kept.
        labels: (...) int64 in [0, R).

    Returns:
        Targets; mass as the rows have it.

    Raises:
        ValueError: where the table is not a finite (R, K) tensor or a label is out of range.

    Limits:
        table = identity gives hard(labels).
    """
    if isinstance(table, Smearing):
        check_labels("labels", labels, table.num_classes)
        if table.table is not None:
            return from_table(table.table, labels)
        base = hard(labels)
        ones = base.mass()
        return replace(base, value=(table.keep * ones)[..., None], rest=table.rest * ones, prior=table.prior)
    check_floating("table", table)
    if table.ndim != 2 or table.shape[1] < 2:
        raise fail("table", "shape (R, K) with K >= 2", tuple(table.shape), "give one row of K weights per label")
    if values_visible(table):
        index = first_bad(~torch.isfinite(table))
        if index is not None:
            raise fail("table", "finite entries", f"{entry(table, index)} at index {index}", "mend that entry")
    check_labels("labels", labels, table.shape[0])
    return Targets(row=labels.long(), table=table, labels=labels.long())


def dense(values: Tensor) -> Targets:
    """Take weights over the classes as they are; negative ones and any mass are allowed.

    t = values

    Args:
        values: (..., K) float.

    Returns:
        Targets, dense.

    Raises:
        ValueError: where the shape is not (..., K) with K >= 2, or at the first NaN or infinity.
        TypeError: where they are not floating-point.
    """
    check_floating("values", values)
    if values.ndim < 1 or values.shape[-1] < 2:
        raise fail("values", "shape (..., K) with K >= 2", tuple(values.shape), "put the classes last")
    if values_visible(values):
        index = first_bad(~torch.isfinite(values))
        if index is not None:
            raise fail("values", "finite weights", f"{entry(values, index)} at index {index}", "mend that entry")
    return Targets(values=values)


def backward(labels: Tensor, transition: Transition | Tensor) -> Targets:
    """Undo label noise in expectation: the row of the inverse transition (Patrini et al. 2017, Thm. 1).

    t = T^-1[labels], so that the expectation over observed labels of the loss is the loss on the clean ones

    Args:
        labels: (...) int64 *observed* labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.

    Returns:
        Targets of mass 1 with negative entries; the loss is unbounded below.

    Raises:
        ValueError: where T is singular or ill-conditioned.

    Limits:
        no noise gives hard(labels); symmetric noise gives smoothing of -redraw / (1 - redraw).
    """
    return from_table(Transition.wrap(transition).inverse(), labels)


def mix(a: Targets, b: Targets, weight: float | Tensor) -> Targets:
    """Mix two sets of targets: mixup, CutMix, distillation at temperature 1.

    t = weight * a + (1 - weight) * b

    Args:
        a, b: Targets of the same shape.
        weight: a number or a (...) tensor in [0, 1].

    Returns:
        Targets; factored if both are and their priors agree, else dense. An example ignored in either is ignored.

    Raises:
        ValueError: where shapes or valid classes differ, or a weight is outside [0, 1] or not one per example.

    Limits:
        weight=1 gives a; weight=0 gives b.
    """
    check_fraction("weight", weight)
    if a.shape != b.shape:
        raise fail("b", f"the shape of a, {tuple(a.shape)}", tuple(b.shape), "pair the examples")
    check_per_example("weight", weight, a.shape)
    other = 1 - weight
    ignored = a.ignored if b.ignored is None else b.ignored if a.ignored is None else a.ignored | b.ignored
    if not _same_mask(a.valid, b.valid):
        raise fail("b", "the valid classes of a", "another mask", "give both the same tensor as valid=")
    if a.value is None or b.value is None or _priors_differ(a, b.prior if b.rest is not None else a.prior):
        size = a.num_classes or b.num_classes
        values = _column(weight) * a.to_dense(size) + _column(other) * b.to_dense(size)
        return Targets(values=values, valid=a.valid, ignored=ignored)
    index_a, value_a = a._factors()
    index_b, value_b = b._factors()
    rest = None
    if a.rest is not None or b.rest is not None:
        rest = weight * (0.0 if a.rest is None else a.rest) + other * (0.0 if b.rest is None else b.rest)
        if not isinstance(rest, Tensor) or rest.shape != a.shape:
            rest = torch.as_tensor(rest, dtype=value_a.dtype, device=value_a.device).expand(a.shape)
    return Targets(
        index=torch.cat([index_a, index_b], -1),
        value=torch.cat([_column(weight) * value_a, _column(other) * value_b], -1),
        rest=rest,
        prior=a.prior if a.rest is not None else b.prior,
        valid=a.valid,
        ignored=ignored,
    )


def _priors_differ(targets: Targets, prior: Tensor | None) -> bool:
    return targets.rest is not None and targets.prior is not prior


def _same_mask(a: Tensor | None, b: Tensor | None) -> bool:
    if a is b or a is None or b is None or not values_visible(a, b):
        return a is b
    return a.device == b.device and torch.equal(a, b)


def _column(weight: float | Tensor) -> float | Tensor:
    """Give a weight per example a place to broadcast over the classes."""
    return weight[..., None] if isinstance(weight, Tensor) and weight.ndim > 0 else weight
