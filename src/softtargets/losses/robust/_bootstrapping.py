"""Bootstrapping: targets that are partly the model's own prediction."""

from typing import Literal

from torch import Tensor

from softtargets._errors import unknown
from softtargets._numerics import as_like, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._engine.expectation import valid_logits
from softtargets.losses.building_blocks import deferred_cross_entropy, label_and_largest
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.penalties._probabilities import confidence_penalty
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets

KINDS = ("soft", "hard")

__all__ = ["bootstrapped_cross_entropy"]


def bootstrapped_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    weight: float | Tensor = 0.95,
    kind: Literal["soft", "hard"] = "soft",
    detach: bool = False,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Bootstrapping: cross entropy against a mixture of the target and the model's own prediction.

    soft:  weight * t + (1 - weight) * p
    hard:  weight * t + (1 - weight) * onehot(argmax z)        # Reed et al. 2015

    Labels are one-hot t; soft targets are mixed in the same way. The soft loss is weight * cross entropy +
    (1 - weight) * H(p), and its gradient includes both terms. With ``detach=True`` the p of the target is a
    constant, and for a target of mass 1 the gradient is weight * (p - t), which is `weight` times the gradient of cross
    entropy.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets. The label of an
            example with weight 0 may be any class.
        weight: weight of the target, a number or a (...) float tensor, one per example, in [0, 1]. Give 0 to examples
            without a label: they learn from the model's own prediction, a pseudo-label.
        kind: "soft" or "hard".
        detach: stop the gradient through the p of the target; matters for "soft" only.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a weight is outside [0, 1], or the kind is unknown.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        weight=1 gives cross_entropy; a detached soft target gives weight times the gradient of cross_entropy.

    Notes:
        `weight` is the paper's beta: 0.95 for "soft", 0.8 for "hard". The soft form is cross entropy with entropy
        minimisation, as the paper says (not checked against the paper). Ports disagree on whether the prediction in the
        target is detached.

    Complexity:
        Soft: cross_entropy and two tensors of the size of the logits; hard: cross_entropy and an argmax.

    When to use:
        Mild label noise; with weight 0 on unlabelled examples, semi-supervised learning.

    Limitations:
        The model confirms its own errors, and the entropy term makes predictions more certain. With kind="soft" and
        detach=True it is cross entropy with a different learning rate.

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
        raise unknown("kind", str(kind), KINDS)
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    weight = read_setting("weight", weight, examples.logits.shape[:-1], high=1.0)
    if kind == "hard":
        return examples.finish(_hard(examples, weight), reduction)
    own = deferred_cross_entropy(examples.logits, examples.targets)
    weight = as_like(weight, own)
    entropy = -confidence_penalty(valid_logits(examples))
    losses = times(weight, own) + (1 - weight) * (entropy.detach() if detach else entropy)
    return examples.finish(losses, reduction)


def _hard(examples: LossInputs, weight: float | Tensor) -> Tensor:
    if examples.labels is not None:  # one pass over the logits, against targets of two classes
        made = label_and_largest(examples, weight, 1 - weight)
        return cross_entropy(examples.logits, made)
    logits = valid_logits(examples)
    own = deferred_cross_entropy(logits, examples.targets)
    of_predicted = deferred_cross_entropy(logits, logits.detach().argmax(-1))
    weight = as_like(weight, own)
    return times(weight, own) + (1 - weight) * of_predicted
