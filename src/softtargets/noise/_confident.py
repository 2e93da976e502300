"""Confident learning: joint counts of clean and observed labels (Northcutt et al. 2021)."""

from softtargets._arrays import ArrayLike, array_function
from softtargets._rows import read_rows
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.estimators.registry import estimator
from softtargets.noise.streaming.confident import ConfidentCounts, ConfidentJointStream, ConfidentSums

__all__ = ["ConfidentCounts", "ConfidentSums", "confident_joint"]


@estimator("confident_joint", label="the confident joint", stream=ConfidentJointStream)
@array_function
def confident_joint(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> ConfidentJoint:
    """Count examples by observed label and by the class that out-of-sample probabilities are confident of.

    counts[j, o] = #{i: labels[i] = o, clean_i = j}        # Northcutt et al. 2021, Sec. 3.1, transposed
    clean_i = j where probs[i, j] >= threshold_j, threshold_j = mean of probs[i, j] over the examples labelled j

    If an example reaches the thresholds of several classes, the largest probability of the row decides. An example that
    reaches none is not counted.

    Args:
        probs: (..., K) float, out-of-sample (cross-validated) probabilities of the observed label; may be
            memory-mapped.
        labels: (...) integer observed labels in [0, K).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        ConfidentJoint.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, or
            no example is left.
        TypeError: if probs are not floating-point, labels not integers or mask not bool.

    Special cases:
        one-hot probs of the labels give a diagonal joint, and no noise.

    Notes:
        Row = clean, column = observed: the transpose of cleanlab's array, and equal to it count for count (2.9). As
        in cleanlab, thresholds are met to within 1e-6 and are at least 2e-6, no diagonal count is below 1, and if
        several thresholds are met the largest of all probabilities decides; the paper takes the largest of those met.
        The joint is not rounded; `calibrated_counts` are rounded, as in cleanlab except for ties, which cleanlab breaks
        arbitrarily. There is no multi-label joint.

    Complexity:
        O(N K): one number per row for the thresholds, then one pass in chunks. No N x K tensor besides probs is
        created, except a copy of the examples that are not left out if some are left out.

    When to use:
        Probabilities are out of sample. They may be miscalibrated by a factor per class, which the thresholds absorb.

    Limitations:
        Confusion of the model between similar classes counts as noise, so T is too far from the identity and the noise
        rate too high. The error grows as the model gets weaker: compare with method="anchor_counts" of
        :func:`estimate_transition`. Uncertain examples are not counted, which assumes that they are mislabelled as
        often as the others. On CIFAR-10N's worse_label, with the probabilities of a small network, rows were off by .05
        on average, and the noise rate was .45 instead of .40.

    Aliases:
        compute_confident_joint; estimate_joint

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9]])
        >>> found = confident_joint(probs, torch.tensor([0, 1, 1, 1]))        # thresholds .9 and (.3 + .8 + .9) / 3
        >>> found.counts.tolist(), round(found.noise_rate, 4)
        ([[1, 0], [0, 2]], 0.0)
    """
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = read.counted_probs
    sums = ConfidentSums(rows.shape[1])
    sums.add(rows.detach().gather(1, given[:, None])[:, 0], given)
    counts = ConfidentCounts(sums)
    counts.add(rows, given, check=True)
    found = counts.compute()
    return ConfidentJoint(*(part.to(rows.device) for part in (found.counts, found.class_counts, found.thresholds)))
