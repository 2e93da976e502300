"""Targets that are predictions: pseudo-labels, and what keeps them from favouring a few classes."""

from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_prior, sum_tolerance, values_visible
from softtargets._errors import fail, fail_type, unknown
from softtargets._numerics import at_least_float32
from softtargets.targets._rules import dense, hard
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_tensor, classes_last, describe, fraction, not_negative

__all__ = ["align_distribution", "class_thresholds", "pseudo_labels"]

KINDS = ("hard", "soft")
# The least mean probability of a class by which predictions are divided.
FLOOR = 1e-6


def pseudo_labels(
    probs: Tensor,
    *,
    threshold: float | Tensor = 0.95,
    kind: Literal["hard", "soft"] = "hard",
    class_dim: int = -1,
) -> Targets:
    """Pseudo-labels: targets from a model's predictions, for examples that it is confident in.

    hard:  t = onehot(argmax p)    if max p >= threshold, else left out        # Lee 2013; Sohn et al. 2020
    soft:  t = p                   likewise

    Args:
        probs: (..., K) float, predicted probabilities, or with the classes at `class_dim`. No gradient passes through
            them.
        threshold: the least probability of the predicted class, in [0, 1]; or a (K,) float tensor with that of each
            class. 0 takes every prediction.
        kind: "hard" or "soft".
        class_dim: the dimension of the classes.

    Returns:
        Targets of mass 1, in which the other examples are ignored.

    Raises:
        ValueError: if probabilities do not sum to 1, a threshold is out of range or not one for each class, or the kind
            is unknown.
        TypeError: if probs or thresholds are not floating-point.

    Special cases:
        threshold=0 gives hard(probs.argmax(-1)) or dense(probs).

    Notes:
        The mean of a loss over these targets is over the examples that are not ignored. Sohn et al. 2020 (FixMatch)
        divide by the number of all unlabelled examples: use the sum of the losses, divided by it.

    Complexity:
        One pass over the (N, K) probabilities.

    When to use:
        Many examples have no label, and confident predictions are mostly right.

    Limitations:
        The model reinforces its own errors. A threshold lets easy classes in first: see :func:`align_distribution` and
        :func:`class_thresholds`.

    Aliases:
        self-training; FixMatch; bootstrapping of unlabelled data

    Topics:
        unlabelled examples

    References:
        Lee 2013, *Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks*,
        ICML workshop

    Example:
        >>> probs = torch.tensor([[0.98, 0.02], [0.6, 0.4]])
        >>> made = pseudo_labels(probs)
        >>> made.labels.tolist(), made.ignored.tolist()
        ([0, 0], [False, True])
    """
    if kind not in KINDS:
        raise unknown("kind", str(kind), KINDS)
    probs = _read_probs(probs, class_dim)
    confidence, predicted = probs.max(-1)
    least = _read_threshold(threshold, probs)
    unsure = confidence < (least[predicted] if isinstance(least, Tensor) else least)
    made = hard(predicted, ignore_index=None) if kind == "hard" else dense(probs)
    tensors = made.tensors()
    return Targets(**{**tensors, "ignored": unsure}, size=made.size)  # pyright: ignore[reportArgumentType]


def align_distribution(probs: Tensor, running: Tensor, *, prior: Tensor | None = None, class_dim: int = -1) -> Tensor:
    """Distribution alignment: predictions scaled so that their mean approaches the class frequencies.

    q_k proportional to p_k * prior_k / running_k        # Berthelot et al. 2020, ReMixMatch

    Args:
        probs: (..., K) float, predicted probabilities of unlabelled examples, or with the classes at `class_dim`.
        running: (K,) float, a running mean of such predictions. Entries below 1e-6 count as 1e-6.
        prior: (K,) float, frequencies of the classes among labelled examples; None: uniform.
        class_dim: the dimension of the classes.

    Returns:
        (..., K) float32 or wider, probabilities, the classes at `class_dim`.

    Raises:
        ValueError: if probabilities do not sum to 1, or `running` or `prior` is not one probability for each class.
        TypeError: if a tensor is not floating-point.

    Special cases:
        running equal to the prior changes nothing.

    Notes:
        The authors use the mean over the last 128 batches for `running`.

    Complexity:
        One pass over the (N, K) probabilities.

    When to use:
        Pseudo-labels favour a few classes, and the classes of unlabelled examples are as frequent as those of labelled
        ones.

    Limitations:
        It is wrong where unlabelled examples have other class frequencies.

    Topics:
        unlabelled examples

    References:
        Berthelot et al. 2020, *ReMixMatch: Semi-Supervised Learning with Distribution Matching and Augmentation
        Anchoring*, ICLR

    Example:
        >>> probs = torch.tensor([[0.5, 0.5]])
        >>> [round(x, 4) for x in align_distribution(probs, torch.tensor([0.75, 0.25])).tolist()[0]]
        [0.25, 0.75]
    """
    moved = _read_probs(probs, class_dim)
    size = moved.shape[-1]
    check_prior("running", running, size)
    if prior is not None:
        check_prior("prior", prior, size)
    scale = 1 / running.to(moved).clamp(min=FLOOR)
    aligned = moved * (scale if prior is None else scale * prior.to(moved))
    return (aligned / aligned.sum(-1, keepdim=True)).movedim(-1, class_dim)


def class_thresholds(counts: Tensor, *, maximum: float = 0.95, undecided: float | Tensor = 0.0) -> Tensor:
    """Curriculum pseudo-labelling: thresholds that are lower for classes that are rarely predicted with confidence.

    threshold_k = maximum * b_k / (2 - b_k),  b_k = counts_k / max(max_j counts_j, undecided)

    The thresholds of FlexMatch (Zhang et al. 2021) with their convex mapping and their warm-up.

    Args:
        counts: (K,) integers or floats of at least 0: unlabelled examples whose last prediction was this class, with a
            probability of at least `maximum`.
        maximum: the threshold of the class with the largest count, in [0, 1].
        undecided: the number of unlabelled examples without such a prediction, at least 0; a number or a 0-d tensor. A
            large number keeps all thresholds low at the beginning.

    Returns:
        (K,) float32 or wider, in [0, maximum].

    Raises:
        ValueError: if `counts` is not one number of at least 0 for each class, or a number is out of range.
        TypeError: if counts are not a tensor, or another argument is not a number.

    Special cases:
        equal counts above `undecided` give `maximum` for every class; counts of 0 give 0.

    Notes:
        FlexMatch's warm-up is `undecided`; its values: a maximum of 0.95, counts updated for each batch.

    Complexity:
        O(K).

    When to use:
        With :func:`pseudo_labels`, if some classes are harder than others.

    Limitations:
        A class that is never predicted has threshold 0: all predictions of it are taken.

    Aliases:
        FlexMatch; curriculum pseudo labeling

    Topics:
        unlabelled examples

    References:
        Zhang et al. 2021, *FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling*, NeurIPS

    Example:
        >>> [round(x, 4) for x in class_thresholds(torch.tensor([100, 50]), maximum=0.9).tolist()]
        [0.9, 0.3]
    """
    check_tensor("counts", counts, "a tensor of counts")
    if counts.is_complex() or counts.dtype == torch.bool:
        raise fail_type("counts", "a tensor of counts", f"dtype {counts.dtype}", "use counts.long()")
    if counts.ndim != 1 or len(counts) < 2:
        raise fail("counts", "shape (K,) with K >= 2", tuple(counts.shape), "pass one count for each class")
    maximum = fraction("maximum", maximum)
    check_entries("counts", counts, lambda t: (t >= 0) & torch.isfinite(t), "at least 0", "pass counts of examples")
    if not isinstance(undecided, Tensor):
        undecided = not_negative("undecided", undecided, "pass the number of examples without a confident prediction")
    elif undecided.ndim > 0:
        raise fail("undecided", "a number or a 0-d tensor", f"shape {tuple(undecided.shape)}", "pass their sum")
    counts = at_least_float32(counts if counts.is_floating_point() else counts.float())
    largest = counts.max().maximum(torch.as_tensor(undecided, device=counts.device).to(counts))
    share = counts / largest.clamp(min=1e-12)
    return maximum * share / (2 - share)


def _read_probs(probs: Tensor, class_dim: int) -> Tensor:
    """Return probabilities as (..., K) float32 or wider, without gradient."""
    moved = at_least_float32(classes_last("probs", probs, class_dim).detach())
    remedy = "use logits.softmax(-1)"
    check_entries("probs", moved, lambda t: t >= 0, "probabilities of at least 0", remedy)
    # those of a narrow dtype sum to 1 with its own precision
    tolerance = sum_tolerance(probs)
    check_entries("probs", moved.sum(-1), lambda t: (t - 1).abs() <= tolerance, "a sum of 1 over the classes", remedy)
    return moved


def _read_threshold(threshold: float | Tensor, probs: Tensor) -> float | Tensor:
    if not isinstance(threshold, Tensor):
        return fraction("threshold", threshold)
    if not threshold.is_floating_point():
        raise fail_type("threshold", "a number, or a float tensor", describe(threshold), "use threshold.float()")
    if tuple(threshold.shape) != (probs.shape[-1],):
        required = f"a number, or shape ({probs.shape[-1]},), one for each class"
        raise fail("threshold", required, f"shape {tuple(threshold.shape)}", "pass one number for each class")
    if values_visible(threshold):
        remedy = "choose values between 0 and 1"
        check_entries("threshold", threshold, lambda t: (t >= 0) & (t <= 1), "numbers in [0, 1]", remedy)
    return threshold.to(probs)
