"""CORES: cross entropy with a confidence regularizer, and the sieve that selects examples (Cheng et al. 2021)."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_prior
from softtargets._numerics import as_like, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import LossInputs, read_examples, read_labelled
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets, hard

__all__ = ["cores_loss", "cores_sieve"]


def cores_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    weight: float | Tensor,
    prior: Tensor | None = None,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """CORES loss: cross entropy minus a multiple of the expected loss under a prior over the labels.

    -sum_k t_k log p_k - weight * sum_k prior_k (-log p_k)        # Cheng et al. 2021

    For a label it is cross entropy against onehot(label) - weight * prior, of mass 1 - weight. The second term does not
    depend on the target, so that soft targets follow the same formula.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) observed integer labels, float probabilities of the shape of the logits, or Targets.
        weight: beta of the paper, a number or a (...) float tensor, one per example, at least 0; it may exceed 1.
        prior: (K,) probabilities of the observed labels; None: uniform, as in their code.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, unbounded below; () unless reduction is "none". Examples that are left out have
        loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, the weight is negative, or the prior is not a
            distribution over the K classes.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        weight=0 gives cross_entropy; a weight of w with the uniform prior is smoothing by -w/(1 - w), times 1 - w.

    Notes:
        In their code beta is 0 up to epoch 10 of 100, increases linearly to 2 at epoch 39, and :func:`cores_sieve`
        selects examples after epoch 30. Their code computes the second term from log(p + 1e-8), which bounds it. This
        function uses log p.

    Complexity:
        The same as cross_entropy for labels, twice as much for soft targets; no N x K target.

    When to use:
        Label noise of unknown rate, after a warm-up with cross entropy.

    Limitations:
        Bounded in expectation only if weight * prior_k is at most the probability q_k of label k, for every class k.
        Its minimiser, (q_k - weight * prior_k) / (1 - weight), is overconfident.

    Example:
        >>> loss = cores_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), weight=1.0)
        >>> loss.tolist()        # mean(z) - z_label
        [-1.0]
    """
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    weight = read_setting("weight", weight, examples.logits.shape[:-1])
    if prior is not None:
        check_prior("prior", prior, examples.logits.shape[-1])
    return examples.finish(_cores(examples, weight, prior), reduction)


def cores_sieve(
    logits: Tensor,
    labels: Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
) -> Tensor:
    """CORES sieve: selects the examples whose loss is at most the mean of their losses over all labels.

    -log p_label - mean_k(-log p_k) <= 0        # Cheng et al. 2021: the dynamic sieve

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) observed integer labels in [0, K). Not defined for soft targets.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.

    Returns:
        (...) bool, True for an example to keep, False where it is left out; no gradient.

    Raises:
        ValueError: if shapes differ or a label is out of range.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        uniform logits keep every example; a label that is predicted is kept.

    Notes:
        True corresponds to v_i = 1 in the paper. Equivalent to z_label >= mean(z). Their code applies it after epoch 30
        of 100.

    Complexity:
        That of cross_entropy.

    When to use:
        As the weight of ``losses.reduce``, once the model has learned something.

    Limitations:
        It rejects few examples if there are many classes: a label only has to exceed the mean logit.

    Example:
        >>> cores_sieve(torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]), torch.tensor([0, 1])).tolist()
        [True, False]
    """
    examples = read_labelled(logits, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    with torch.no_grad():
        kept = _cores(examples, 1.0, None) <= 0
    return kept if examples.left_out is None else kept & ~examples.left_out


def _cores(examples: LossInputs, weight: float | Tensor, prior: Tensor | None) -> Tensor:
    targets = examples.targets
    if examples.labels is not None:  # one pass over the logits
        ones = torch.ones_like(hard(examples.labels).mass())
        return cross_entropy(examples.logits, replace(targets, rest=-weight * ones, prior=prior))
    none = torch.empty((*targets.shape, 0), dtype=torch.int64, device=examples.logits.device)
    one = torch.ones(targets.shape, dtype=torch.float64, device=examples.logits.device)
    every = Targets(
        index=none, value=none.double(), rest=one, prior=prior, valid=targets.valid, ignored=targets.ignored
    )
    own = deferred_cross_entropy(examples.logits, targets)
    weight = as_like(weight, own)
    return own - times(weight, deferred_cross_entropy(examples.logits, every))
