"""Label quality scores: how well a label agrees with the predicted probabilities. Low values are suspect."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating, check_int, check_mask, check_prior, first_bad, where
from softtargets._errors import fail
from softtargets._numerics import accumulating
from softtargets._rows import LabelledRows, read_rows, row_chunks
from softtargets.matrices import Transition
from softtargets.noise._posterior import unmixed
from softtargets.noise.streaming.rows import label_chunks

__all__ = ["label_posterior", "normalized_margin", "self_confidence", "suspect_order"]


@array_function
def self_confidence(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Return the predicted probability of the observed label.

    probs[i, labels[i]]        # Northcutt et al. 2021

    Args:
        probs: (..., K) float, held-out predicted probabilities of all classes; may be memory-mapped.
        labels: (...) integer observed labels in [0, K).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out; their score is NaN.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (...) in the dtype of probs, in [0, 1]; low is suspect.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, or
            no example is left.
        TypeError: if probs are not floating-point, labels not integers or mask not bool.

    Special cases:
        a label of probability 1 has score 1, a label of probability 0 has score 0.

    Notes:
        The same as cleanlab's "self_confidence".

    Complexity:
        O(N K): one pass to check, and one number per row.

    When to use:
        As a first ranking: it needs no transition, and it also finds inputs that resemble no class.

    Limitations:
        Hard examples with right labels score low too: among similar classes, uncertain examples rank next to wrong
        ones.

    Aliases:
        get_label_quality_scores; get_self_confidence_for_each_label

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
        >>> self_confidence(probs, torch.tensor([1, 0])).tolist()
        [0.25, 0.5]
    """
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = read.counted_probs
    confidence = torch.empty_like(given, dtype=rows.dtype)
    for part, found in label_chunks(rows, given):
        confidence[part] = found.own
    return read.spread(confidence, math.nan)


@array_function
def normalized_margin(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Return the margin between the probabilities of the observed label and of the best other class, scaled to [0, 1].

    (probs[i, y] - max_{k != y} probs[i, k] + 1) / 2,  y = labels[i]        # Northcutt et al. 2021

    Args:
        probs: (..., K) float, held-out predicted probabilities of all classes; may be memory-mapped.
        labels: (...) integer observed labels in [0, K).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out; their score is NaN.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (...) in the dtype of probs, at least float32, in [0, 1]; low is suspect, below 1/2 another class is more
        probable.

    Raises:
        ValueError: as :func:`self_confidence`.
        TypeError: as :func:`self_confidence`.

    Special cases:
        K=2 gives self_confidence; a tie of the label with the best other class gives 1/2.

    Notes:
        The same as cleanlab's "normalized_margin".

    Complexity:
        O(N K): one pass, in chunks.

    When to use:
        Labels were confused with one other class: a low score means that one class fits clearly better.

    Limitations:
        Only two classes are compared: inputs that resemble no class do not score low.

    Aliases:
        get_normalized_margin_for_each_label

    Example:
        >>> probs = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
        >>> normalized_margin(probs, torch.tensor([0, 2])).tolist()
        [0.625, 0.1875]
    """

    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = read.counted_probs
    margin = torch.empty_like(given, dtype=accumulating(rows.dtype))
    for part, found in label_chunks(rows, given, best=True):
        assert found.best is not None
        margin[part] = (found.own - found.best + 1) / 2
    return read.spread(margin, math.nan)


@array_function
def label_posterior(
    probs: ArrayLike,
    labels: ArrayLike,
    transition: Transition | ArrayLike,
    *,
    class_prior: ArrayLike | None = None,
    rounds: int = 20,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Return the probability that the observed label is the clean one, given the transition.

    P(clean = y | x, observed = y) = q_y T[y, y] / (q T)_y,  with clean probabilities q such that q T is close to probs

    q T = probs need not have a solution that is a probability, or one that is stable under rounding. So q starts at the
    class prior and takes `rounds` expectation-maximisation steps towards the minimum of KL(probs || q T),
    q_k <- q_k sum_o T[k, o] probs_o / (q T)_o, which never leave the simplex.

    Args:
        probs: (..., K) float, out-of-sample probabilities of the *observed* label; may be memory-mapped.
        labels: (...) integer observed labels in [0, K).
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_prior: (K,) fractions of the clean classes. None: uniform.
        rounds: at least 1. Few steps keep q away from the corners, where probabilities that are too sharp for T would
            take it; use hundreds for calibrated probabilities.
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out; their value is NaN.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (...) float32, or float64 if probs are, in [0, 1]; low is suspect.

    Raises:
        ValueError: as :func:`self_confidence`, and if transition or class_prior have another K or do not hold
            probabilities, or rounds is below 1.
        TypeError: as :func:`self_confidence`, and if rounds is not an int.

    Special cases:
        the identity gives 1; labels without information (all rows of T equal) give class_prior[y].

    Notes:
        In T, row = clean and column = observed. An observed label that is impossible under T and q has
        value 0.

    Complexity:
        `rounds` times two products of N x K by K x K, in chunks.

    When to use:
        T is known or estimated. Classes that are often mislabelled are then trusted less than others, and 1 minus the
        result is a probability, so it can be summed (:func:`expected_wrong`).

    Limitations:
        It assumes calibrated probs, and noise that depends on the class only. If T is close to singular, q is hardly
        more informative than the prior.

    Example:
        >>> transition = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
        >>> probs = torch.tensor([[0.375, 0.625]])        # of q = (1/2, 1/2): 1/8 of the 5/8 with label 1 are wrong
        >>> round(float(label_posterior(probs, torch.tensor([1]), transition)), 3)
        0.8
    """
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    size = read.num_classes
    transition = Transition.wrap(transition)
    check_int("rounds", rounds, least=1, remedy="use at least 1 step")
    if transition.num_classes != size:
        raise fail(
            "transition", f"{size} classes, as in probs", transition.num_classes, "estimate it for these classes"
        )
    if class_prior is not None:
        check_prior("class_prior", class_prior, size)

    def posterior(chunk: Tensor, given: Tensor) -> Tensor:
        matrix = transition.to_dense(chunk.dtype).detach().to(chunk.device)
        start = chunk.new_full((size,), 1 / size) if class_prior is None else class_prior.to(chunk)
        clean = unmixed(chunk, matrix, start, rounds=rounds)
        right = _of_labels(clean, given) * matrix.diagonal()[given]
        whole = (clean * matrix.T[given]).sum(1)
        return torch.where(whole > 0, right / whole, 0.0)

    return _by_chunk(read, posterior)


@array_function
def suspect_order(quality: ArrayLike, *, mask: ArrayLike | None = None) -> Tensor:
    """Return the rows of the examples sorted by label quality, most suspect first.

    argsort(quality), of the examples that are not left out; ties by row

    Args:
        quality: (N,) float, low is suspect; NaN only in rows that are left out.
        mask: (N,) bool, False for examples to leave out. None: include all.

    Returns:
        (M,) int64 rows, where M is the number of examples that are not left out.

    Raises:
        ValueError: if shapes differ or a quality that is not left out is NaN (first one named).
        TypeError: if quality is not floating-point or mask not bool.

    Special cases:
        equal qualities give the rows in their order; a mask without any True gives no rows.

    Notes:
        The same as cleanlab's order_label_issues, except that there the order of ties is not specified.

    Complexity:
        One stable sort of the examples that are not left out.

    When to use:
        To inspect labels in order, starting with the most suspect.

    Limitations:
        A rank is not a probability: :func:`expected_wrong` estimates how many of the first are wrong.

    Aliases:
        order_label_issues

    Example:
        >>> quality, counts = torch.tensor([0.5, 0.25, 0.5, 0.125]), torch.tensor([True, True, True, False])
        >>> suspect_order(quality, mask=counts).tolist()
        [1, 0, 2]
    """
    check_floating("quality", quality)
    if quality.ndim != 1:
        raise fail("quality", "shape (N,)", tuple(quality.shape), "pass one number per example")
    check_mask(mask, tuple(quality.shape))
    nan = quality.isnan() if mask is None else quality.isnan() & mask
    if (index := first_bad(nan)) is not None:
        remedy = "leave such examples out by mask=~quality.isnan()"
        raise fail("quality", "numbers without NaN", f"nan at {where(index)}", remedy)
    if mask is None:
        return _ranks(quality.detach())
    rows = mask.nonzero().flatten()
    return rows[_ranks(quality.detach()[rows])]


def _by_chunk(read: LabelledRows, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    rows, given = read.counted_probs
    return read.spread(torch.cat([score(chunk, given[part]) for part, chunk in row_chunks(rows)]), math.nan)


def _ranks(quality: Tensor) -> Tensor:
    """Return argsort(quality), stable; the bits are sorted as integers, by radix sort, several times as fast."""
    whole = {4: torch.int32, 8: torch.int64}
    # adding 0 turns -0 into 0
    quality = (quality if quality.itemsize in whole else quality.float()) + 0.0
    bits = quality.view(whole[quality.itemsize])
    # for negative numbers the order of all bits but the sign is reversed
    return torch.where(bits < 0, bits ^ torch.iinfo(bits.dtype).max, bits).argsort(stable=True)


def _of_labels(probs: Tensor, labels: Tensor) -> Tensor:
    return probs.detach().gather(1, labels[:, None])[:, 0]
