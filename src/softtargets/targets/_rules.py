"""From labels to targets: hard, smoothed in every convention, from a class table, corrected, dense."""

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import (
    check_floating,
    check_fraction,
    check_labels,
    check_per_example,
    check_prior,
    entry,
    first_bad,
    values_visible,
    where,
)
from softtargets._errors import fail
from softtargets._numerics import scaled
from softtargets.matrices import Smearing, Transition
from softtargets.targets._convention import convert_smoothing
from softtargets.targets._shared import apart_from_ignored, as_wide, column, priors_differ, same_mask
from softtargets.targets._targets import Targets, check_mask, check_spread


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

    Limits:
        every label ignored gives targets of 0.

    Conventions:
        y, one-hot labels, the 0/1 targets of every paper; ignore_index as in torch.

    Cost:
        O(N), no N x K target.

    When:
        the labels are right and confidence is not the question.

    Against:
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

    With a prior, such as the class frequencies, this is unigram smoothing (Pereyra et al. 2017); with r < 0 it is
    negative, or generalised, label smoothing (Wei et al. 2022), which is backward correction under symmetric noise of
    redraw rate -r / (1 - r). Targets of a mass other than 1 keep it: r * mass is spread.

    Args:
        labels_or_targets: (...) int64 labels, or Targets.
        smoothing: a number or a (...) float tensor, one per example; 0 leaves the target, 1 gives the prior. In [0, 1]
            in the stated convention.
        num_classes: K; needed for every convention but "all", unless `valid` says it.
        convention: what `smoothing` means; see :func:`convert_smoothing`.
        prior: (K,) probabilities (Pereyra et al. 2017); None: uniform over the valid classes.
        valid: (K,) or (..., K) bool, the classes that exist, which are those that "others" counts;
            "others-but-padding" needs it, False at the padding class. What targets under another mask had smoothed
            stays where it was.
        allow_negative: permit smoothing < 0 (Wei et al. 2022), whose loss is unbounded below.

    Returns:
        Targets of the same mass.

    Raises:
        ValueError: where smoothing is outside its range or not one per example, or num_classes is needed and missing,
            or a padding class is spoken of and no mask leaves it out, or `valid` does not fit the examples, or leaves
            the prior no mass.
        TypeError: where `valid` is not boolean.

    Limits:
        smoothing=0 gives hard(labels); smoothing=1 gives the prior.

    Conventions:
        Szegedy's epsilon, Müller's alpha; torch's label_smoothing is "all", fairseq's is "others" (see
        :func:`convert_smoothing`). smoothing=0.1 is the usual choice.

    Cost:
        O(N) on labels and factored targets, no N x K target.

    When:
        labels are noisy, or calibration matters and no held-out set allows a temperature.

    Against:
        a smoothed teacher distils worse (Müller et al. 2019; Shen et al. 2021 dispute it); many classes or a long tail
        undo the gain (Shen et al. 2021, Sec. 7); a negative one is unbounded below and wants a warm-up.

    Example:
        >>> smooth(torch.tensor([0]), 0.3).to_dense(3).round(decimals=3).tolist()
        [[0.8, 0.1, 0.1]]
    """
    check_smoothing(smoothing, allow_negative=allow_negative)
    if prior is not None:
        check_prior("prior", prior)
    targets = labels_or_targets if isinstance(labels_or_targets, Targets) else hard(labels_or_targets)
    check_per_example("smoothing", smoothing, targets.shape)
    if valid is not None:
        check_mask(valid, targets.shape)
    before, valid = targets.valid, targets.valid if valid is None else valid
    elsewhere = targets.rest is not None and before is not None and not same_mask(before, valid)
    smoothing = as_wide(smoothing, targets)
    if convention != "all":
        smoothing = _over_all(smoothing, convention, num_classes, valid)
    keep = 1 - smoothing
    if targets.value is None or priors_differ(targets, prior) or elsewhere:
        values = targets.to_dense(num_classes if prior is None else len(prior))
        share = scaled(targets.mass(), smoothing)
        over = Targets(values=values, rest=share, prior=prior, valid=valid, ignored=targets.ignored)
        check_spread(over)
        spread = over.prior_over(values.shape[-1], values.dtype, values.device)
        values = column(keep) * values + share[..., None] * spread
        return Targets(values=values, labels=targets.labels, valid=valid, ignored=targets.ignored)
    rest = scaled(targets._total(), smoothing)
    rest = rest if targets.rest is None else rest + keep * targets.rest
    made = replace(targets, value=scaled(targets.value, column(keep)), rest=rest, prior=prior, valid=valid)
    check_spread(made)
    return made


def _over_all(
    smoothing: float | Tensor, convention: str, num_classes: int | None, valid: Tensor | None
) -> float | Tensor:
    """Convert a smoothing to "all", over the classes that are valid."""
    if convention == "others-but-padding" and (valid is None or (values_visible(valid) and bool(valid.all()))):
        required = "a mask that leaves the padding class out, for convention 'others-but-padding'"
        raise fail("valid", required, valid if valid is None else "all True", "pass valid=, False at that class")
    if valid is not None and convention.startswith("others"):
        size = valid.sum(-1, dtype=torch.float32 if valid.device.type == "mps" else torch.float64)
        return smoothing * size / (size - 1).clamp(min=1)
    if num_classes is None and valid is not None:
        num_classes = valid.shape[-1]
    if num_classes is None:
        raise fail("num_classes", f"a number for convention '{convention}'", None, "pass num_classes=")
    return convert_smoothing(smoothing, num_classes=num_classes, source=convention, target="all")


def check_smoothing(smoothing: float | Tensor, *, allow_negative: bool) -> None:
    """Require smoothing in [0, 1], or at most 1 with permission; a negative one is warned about."""
    advice = "choose at most 1" if allow_negative else "choose within it; a negative one needs allow_negative=True"
    check_fraction("smoothing", smoothing, low=-float("inf") if allow_negative else 0.0, remedy=advice)
    if allow_negative and (not isinstance(smoothing, Tensor) or values_visible(smoothing)):
        lowest = float(smoothing.detach().min()) if isinstance(smoothing, Tensor) else smoothing
        if lowest == -float("inf"):
            raise fail("smoothing", "finite", f"{lowest:g}", "choose a finite one")
        if lowest < 0:
            warnings.warn(
                f"smoothing: {lowest:g} is negative, so the loss is unbounded below; warm up with cross entropy",
                stacklevel=3,
            )


def from_table(
    table: Tensor | Smearing, labels: Tensor, *, strict: bool = False, ignore_index: int | None = None
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

    Limits:
        table = identity gives hard(labels).

    Conventions:
        M of Lukasik et al. 2020, Table 1; rows are labels, columns classes, as in a transition.

    Cost:
        O(N) and the table; the kernel gathers its rows chunk by chunk.

    When:
        classes are alike in known ways: see :func:`hierarchical_table`, :func:`localized_table`,
        :func:`confusion_table` and :func:`tfidf_table`.

    Against:
        the table is a guess that every example of a class shares, and K^2 numbers.

    Example:
        >>> from_table(torch.tensor([[0.75, 0.25], [0.0, 1.0]]), torch.tensor([0, 1, 0])).to_dense().tolist()
        [[0.75, 0.25], [0.0, 1.0], [0.75, 0.25]]
    """
    if isinstance(table, Smearing):
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
    if values_visible(table):
        index = first_bad(~torch.isfinite(table))
        if index is not None:
            raise fail("table", "finite entries", f"{entry(table, index)} at index {index}", "mend that entry")
    if strict:
        _check_distributions("table", table)
    labels, ignored = apart_from_ignored(labels, ignore_index)
    check_labels("labels", labels, table.shape[0])
    return Targets(row=labels.long(), table=table, labels=labels.long(), ignored=ignored)


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

    Limits:
        one-hot rows give hard(labels).

    Conventions:
        the probabilities that torch's cross entropy takes as target.

    Cost:
        the N x K tensor that was handed over, and no copy of it.

    When:
        a distribution per example is at hand: a teacher's probabilities, annotators' (see :func:`votes`).

    Against:
        N x K numbers: for a large vocabulary see :func:`top_k` and :func:`sample`.

    Example:
        >>> dense(torch.tensor([[0.5, 0.25, 0.0]])).mass().tolist()
        [0.75]
    """
    check_floating("values", values)
    if values.ndim < 1 or values.shape[-1] < 2:
        raise fail("values", "shape (..., K) with K >= 2", tuple(values.shape), "put the classes last")
    if values_visible(values):
        index = first_bad(~torch.isfinite(values))
        if index is not None:
            raise fail("values", "finite weights", f"{entry(values, index)} at index {index}", "mend that entry")
    if strict:
        _check_distributions("values", values)
    return Targets(values=values)


def _check_distributions(argument: str, values: Tensor) -> None:
    """Require rows of probabilities: what strict targets are."""
    if not values_visible(values):
        return
    index = first_bad(values < 0)
    if index is not None:
        got = f"{entry(values, index)} at {where(index)}"
        raise fail(argument, "entries of at least 0 under strict=True", got, "mend it, or allow it without strict")
    tolerance = 1e-5 if values.dtype in (torch.float32, torch.float64) else 1e-2
    sums = values.sum(-1, dtype=torch.promote_types(values.dtype, torch.float32))
    index = first_bad(~((sums - 1).abs() <= tolerance))
    if index is not None:
        got = f"{entry(sums, index)} at {where(index)}"
        raise fail(argument, "rows that sum to 1 under strict=True", got, "divide it by its sum, or go without strict")


def backward(labels: Tensor, transition: Transition | Tensor, *, ignore_index: int | None = None) -> Targets:
    """Undo label noise in expectation: the row of the inverse transition (Patrini et al. 2017, Thm. 1).

    t = T^-1[labels], so that the expectation over observed labels of the loss is the loss on the clean ones

    Args:
        labels: (...) int64 *observed* labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        ignore_index: label that marks an example without a target.

    Returns:
        Targets of mass 1 with negative entries; the loss is unbounded below.

    Raises:
        ValueError: where T is singular or ill-conditioned.

    Limits:
        no noise gives hard(labels); symmetric noise gives smoothing of -redraw / (1 - redraw).

    Conventions:
        T of Patrini et al. and Lukasik et al., rows clean, columns observed; cleanlab's noise matrix is its transpose.

    Cost:
        a K x K system is solved, O(K^3), unless the noise is symmetric: then O(N) and no table.

    When:
        T is known or well estimated, and an unbiased risk is wanted more than a low variance.

    Against:
        unbounded below, and a poor T is amplified; forward correction needs no inverse, and smoothing is often
        competitive (Lukasik et al. 2020, Sec. 4.1).

    Example:
        >>> backward(torch.tensor([0]), torch.tensor([[0.8, 0.2], [0.2, 0.8]])).to_dense().round(decimals=4).tolist()
        [[1.3333, -0.3333]]
    """
    return from_table(Transition.wrap(transition).inverse(), labels, ignore_index=ignore_index)
