"""Bootstrapping: targets that are partly the model's own prediction."""

from typing import Literal

from torch import Tensor

from softtargets._checks import check_fraction, check_per_example
from softtargets._errors import unknown
from softtargets._numerics import as_like, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses.building_blocks import deferred_cross_entropy, label_and_largest
from softtargets.losses.penalties._probabilities import confidence_penalty
from softtargets.targets import hard

KINDS = ("soft", "hard")

__all__ = ["bootstrapped_cross_entropy"]


def bootstrapped_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weight: float | Tensor = 0.95,
    kind: Literal["soft", "hard"] = "soft",
    detach: bool = False,
    class_dim: int = -1,
) -> Tensor:
    """Bootstrapping: the target is partly the label and partly the model's own prediction.

    soft:  t = weight * onehot(label) + (1 - weight) * p
    hard:  t = weight * onehot(label) + (1 - weight) * onehot(argmax z)

    The soft loss is weight * cross entropy + (1 - weight) * H(p), and has that gradient. With ``detach=True`` the p of
    the target is a constant and the gradient is p - t = weight * (p - onehot(label)): that of cross entropy, times
    `weight`.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K); where the weight is 0 any class will do.
        weight: their beta, a number or a (...) float tensor, one per example, in [0, 1]; 0 on examples without a
            label, which then learn from the model's own prediction, a pseudo-label.
        kind: "soft" or "hard".
        detach: stop the gradient through the p of the target; matters for "soft" only.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, a weight outside [0, 1] or the kind another.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        weight=1 gives cross_entropy; a detached soft target gives weight times the gradient of cross_entropy.

    Notes:
        their beta: 0.95 soft, 0.8 hard. Soft is cross entropy with minimum entropy, as the paper says (from memory);
        ports disagree on whether the target is detached.

    Complexity:
        soft: cross_entropy and two tensors of the size of the logits; hard: cross_entropy and an argmax.

    When to use:
        mild label noise; with weight 0 on unlabelled examples, semi-supervised learning.

    Limitations:
        the model confirms its own errors; the entropy term draws predictions to certainty. Detached and soft, it is
        cross entropy at another learning rate.

    Aliases:
        soft bootstrap; hard bootstrap

    Topics:
        unknown label noise

    References:
        Reed et al. 2015, *Training Deep Neural Networks on Noisy Labels with Bootstrapping*, ICLR workshop

    Example:
        >>> logits = torch.tensor([[0.0, 2.0]])
        >>> loss = bootstrapped_cross_entropy(logits, torch.tensor([0]), weight=0.0, kind="hard")
        >>> torch.equal(loss, cross_entropy(logits, torch.tensor([1])))        # the pseudo-label
        True
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    check_fraction("weight", weight)
    if kind == "hard":
        made = label_and_largest(logits, labels, weight, 1 - weight, class_dim, name="weight")
        return cross_entropy(logits, made, class_dim=class_dim)
    own = deferred_cross_entropy(logits, hard(labels), class_dim=class_dim)
    check_per_example("weight", weight, own.shape)
    weight = as_like(weight, own)
    entropy = -confidence_penalty(logits, class_dim=class_dim)
    return times(weight, own) + (1 - weight) * (entropy.detach() if detach else entropy)
