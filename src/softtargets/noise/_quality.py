"""How well a label goes with what a model says of its example: low is suspect."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_int, check_prior
from softtargets._errors import fail
from softtargets.matrices import Transition
from softtargets.noise._inputs import check_probs, check_shapes, row_chunks

__all__ = ["label_posterior", "normalized_margin", "self_confidence", "suspect_order"]


def self_confidence(probs: Tensor, labels: Tensor) -> Tensor:
    """Take the probability of the observed label.

    probs[i, labels[i]]        # Northcutt et al. 2021

    Args:
        probs: (N, K) float, probabilities of the observed label, held out; may be memory-mapped.
        labels: (N,) int64 observed labels in [0, K).

    Returns:
        (N,) in the dtype of probs, in [0, 1]; low is suspect.

    Raises:
        ValueError: where a row is no probability (the first is named), shapes differ or a label is out of range.

    Special cases:
        a label of probability 1 has 1, one of probability 0 has 0.

    Notes:
        cleanlab's "self_confidence".

    Complexity:
        a pass to check, and one number a row.

    When to use:
        as a first ranking: it needs no transition, and finds inputs that look like no class too.

    Limitations:
        hard examples are low with right labels: of classes that are alike it ranks the unsure beside the wrong.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
        >>> self_confidence(probs, torch.tensor([1, 0])).tolist()
        [0.25, 0.5]
    """
    check_shapes(probs, labels)
    check_probs(probs)
    return _of_labels(probs, labels)


def normalized_margin(probs: Tensor, labels: Tensor) -> Tensor:
    """Take how far the observed label is ahead of the best other class.

    (probs[i, y] - max_{k != y} probs[i, k] + 1) / 2,  y = labels[i]        # Northcutt et al. 2021

    Args:
        probs: (N, K) float, probabilities of the observed label, held out; may be memory-mapped.
        labels: (N,) int64 observed labels in [0, K).

    Returns:
        (N,) in the dtype of probs or float32, in [0, 1]; low is suspect, below 1/2 another class is ahead.

    Raises:
        ValueError: as :func:`self_confidence`.

    Special cases:
        K=2 gives self_confidence; a tie of the label with the best other class gives 1/2.

    Notes:
        cleanlab's "normalized_margin".

    Complexity:
        one pass, in chunks.

    When to use:
        labels were mistaken for one other class: it looks for a class that is clearly better.

    Limitations:
        it sees two classes alone: inputs that look like no class are not low.

    Example:
        >>> probs = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
        >>> normalized_margin(probs, torch.tensor([0, 2])).tolist()
        [0.625, 0.1875]
    """
    check_shapes(probs, labels)
    found = []
    for rows, chunk in row_chunks(probs):
        given = labels[rows].long()[:, None]
        others = chunk.scatter(1, given, -1.0)
        found.append((chunk.gather(1, given)[:, 0] - others.amax(1) + 1) / 2)
    return torch.cat(found)


def label_posterior(
    probs: Tensor,
    labels: Tensor,
    transition: Transition | Tensor,
    *,
    class_prior: Tensor | None = None,
    rounds: int = 20,
) -> Tensor:
    """Take the probability that the observed label is the clean one, from how labels come to be wrong.

    P(clean = y | x, observed = y) = q_y T[y, y] / (q T)_y,  with clean probabilities q such that q T is near to probs

    q T = probs need not have a solution that is a probability, nor one that rounding leaves alone. So q goes from the
    class prior towards the probability with the least KL(probs || q T), by the expectation-maximisation step
    q_k <- q_k sum_o T[k, o] probs_o / (q T)_o, `rounds` times, and never leaves the simplex.

    Args:
        probs: (N, K) float, probabilities of the *observed* label, held out; may be memory-mapped.
        labels: (N,) int64 observed labels in [0, K).
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_prior: (K,) shares of the clean classes. None: uniform.
        rounds: at least 1. Few keep q off the corners, where probabilities too sharp for T would have it; hundreds are
            for probabilities that are calibrated.

    Returns:
        (N,) float32, or float64 where probs are, in [0, 1]; low is suspect.

    Raises:
        ValueError: as :func:`self_confidence`, and where transition or class_prior have another K or no
            probabilities, or rounds is below 1.
        TypeError: where rounds is no whole number.

    Special cases:
        the identity gives 1; labels that say nothing (all rows of T alike) give class_prior[y].

    Notes:
        T as everywhere here: row = clean, column = observed. An observed label that T and q hold impossible has 0.

    Complexity:
        `rounds` times two products of N x K by K x K, in chunks.

    When to use:
        T is known or estimated: classes whose labels are often wrong are then trusted less than others, and 1 minus it
        is a probability that can be added up (:func:`expected_wrong`).

    Limitations:
        it takes probs for calibrated and noise for independent of the example given its class; where T is near to
        singular q says little more than the prior.

    Example:
        >>> transition = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
        >>> probs = torch.tensor([[0.375, 0.625]])        # of q = (1/2, 1/2): label 1 is wrong once in 1/8 of 5/8
        >>> round(float(label_posterior(probs, torch.tensor([1]), transition)), 3)
        0.8
    """
    check_shapes(probs, labels)
    size = probs.shape[1]
    transition = Transition.wrap(transition)
    check_int("rounds", rounds, least=1, remedy="take 1 step or more")
    if transition.num_classes != size:
        raise fail("transition", f"{size} classes, as in probs", transition.num_classes, "estimate it for these")
    if class_prior is not None:
        check_prior("class_prior", class_prior, size)
    found = []
    for rows, chunk in row_chunks(probs):
        matrix = transition.to_dense(chunk.dtype)
        start = torch.full((size,), 1 / size, dtype=chunk.dtype) if class_prior is None else class_prior.to(chunk)
        clean = unmixed(chunk, matrix, start, rounds=rounds)
        given = labels[rows].long()
        right = _of_labels(clean, given) * matrix.diagonal()[given]
        whole = (clean * matrix.T[given]).sum(1)
        found.append(torch.where(whole > 0, right / whole, 0.0))
    return torch.cat(found)


def suspect_order(quality: Tensor, *, suspects: Tensor | None = None) -> Tensor:
    """Rank examples from the most suspect on.

    argsort(quality), of the rows marked where `suspects` are given; ties by row

    Args:
        quality: (N,) float, low is suspect; without NaN.
        suspects: (N,) bool, the rows to rank. None: all.

    Returns:
        (M,) int64 rows, M being N or the number of marks.

    Raises:
        ValueError: where shapes differ or a quality is NaN (the first is named).
        TypeError: where quality is not floating-point.

    Special cases:
        equal qualities give the rows as they stand; no mark gives no row.

    Notes:
        cleanlab's order_label_issues, which leaves ties to its sort.

    Complexity:
        one stable sort of the rows ranked.

    When to use:
        a list to look through from its top is wanted.

    Limitations:
        a rank is no probability: see :func:`expected_wrong` for how far down to go.

    Example:
        >>> quality, marked = torch.tensor([0.5, 0.25, 0.5, 0.125]), torch.tensor([True, True, True, False])
        >>> suspect_order(quality, suspects=marked).tolist()
        [1, 0, 2]
    """
    check_floating("quality", quality)
    if quality.ndim != 1:
        raise fail("quality", "shape (N,)", tuple(quality.shape), "give one number per example")
    if bool(quality.isnan().any()):
        row = int(quality.isnan().byte().argmax())
        raise fail("quality", "numbers", f"nan at row {row}", "fix or drop that example")
    if suspects is None:
        return _ranks(quality.detach())
    if suspects.shape != quality.shape or suspects.dtype != torch.bool:
        got = f"{suspects.dtype} {tuple(suspects.shape)}"
        raise fail("suspects", f"bool of shape {tuple(quality.shape)}", got, "mark each example or none")
    rows = suspects.nonzero().flatten()
    return rows[_ranks(quality.detach()[rows])]


def _ranks(quality: Tensor) -> Tensor:
    """Return argsort(quality), stable: the bits of numbers sort as integers do, by radix, several times as fast."""
    whole = {4: torch.int32, 8: torch.int64}
    # adding 0 makes a negative zero a zero
    quality = (quality if quality.itemsize in whole else quality.float()) + 0.0
    bits = quality.view(whole[quality.itemsize])
    # of a negative number all bits but the sign run the other way
    return torch.where(bits < 0, bits ^ torch.iinfo(bits.dtype).max, bits).argsort(stable=True)


def _of_labels(probs: Tensor, labels: Tensor) -> Tensor:
    return probs.detach().gather(1, labels.long()[:, None])[:, 0]


def unmixed(observed: Tensor, transition: Tensor, start: Tensor, *, rounds: int) -> Tensor:
    """Return clean probabilities (n, K) for observed ones: maximum likelihood of the mixture of T's rows."""
    clean = start.expand_as(observed)
    tiny = torch.finfo(observed.dtype).tiny
    for _ in range(rounds):
        clean = clean * ((observed / (clean @ transition).clamp(min=tiny)) @ transition.T)
    return clean / clean.sum(1, keepdim=True)
