"""Bounds on the risk, the mean loss over examples."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_mask, check_prior
from softtargets._errors import fail
from softtargets._numerics import as_like
from softtargets.losses.reduction import reduce
from softtargets.losses.settings import read_setting
from softtargets.matrices import Transition

__all__ = ["entropy_bound", "loss_bound"]


def loss_bound(losses: Tensor, bound: float | Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Loss bound: reverses the gradient if the training loss falls below a bound.

    |mean(losses) - bound| + bound        # Ishida et al. 2020 (flooding); Toner & Storkey 2024, in our form

    Args:
        losses: (...) float, one per example, or () if they are already reduced.
        bound: nats, at least 0, a number or a () tensor; :func:`entropy_bound` is the loss that label noise alone
            causes.
        mask: (...) bool, False for an example to leave out of the mean.

    Returns:
        () in the dtype of the losses, at least `bound`.

    Raises:
        ValueError: if the bound is negative or not one number, or the mask has another shape.
        TypeError: if the losses are not floating-point.

    Special cases:
        bound=0 gives the mean of losses that are at least 0; a mean above the bound is unchanged.

    Notes:
        `bound` is b in flooding and B in Toner & Storkey. As in flooding, the absolute value is taken of the mean of a
        batch, not of each loss.

    Complexity:
        O(N).

    When to use:
        Noise of a known rate: a training loss below the entropy of the noise is only possible by memorisation.

    Limitations:
        It acts on the mean only: some examples may be memorised while the loss of others grows. The mean of a small
        batch can fall below the bound by chance.

    Example:
        >>> loss_bound(torch.tensor([0.25, 0.75]), 0.75).item()
        1.0
    """
    check_floating("losses", losses)
    check_mask(mask, tuple(losses.shape))
    if isinstance(bound, Tensor) and bound.ndim > 0:
        remedy = "call it once per group of examples" if bound.numel() != 1 else "use bound.squeeze()"
        raise fail("bound", "one number", f"shape {tuple(bound.shape)}", remedy)
    level = read_setting("bound", bound, ())
    risk = reduce(losses, weight=mask)
    level = as_like(level, risk)
    return (risk - level).abs() + level


def entropy_bound(transition: Transition | Tensor, *, class_prior: Tensor | None = None) -> Tensor:
    """Entropy bound: the expected loss on noisy labels of a model that knows the clean labels and the noise.

    sum_c class_prior_c H(T_c)        # Toner & Storkey 2024, in our form

    Args:
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_prior: (K,) probabilities of the clean classes; None: uniform.

    Returns:
        () float64, nats, from 0 to log K.

    Raises:
        ValueError: if the rows of T do not sum to 1, or the prior is not a distribution over its K classes.
        TypeError: if T is neither a Transition nor a floating-point tensor.

    Special cases:
        no noise gives 0; labels that carry no information give log K.

    Notes:
        This is B in the paper. For exclusive symmetric noise of .2, .4, .6, .8 over ten classes: .940, 1.552, 1.991,
        2.258.

    Complexity:
        O(K^2), once.

    When to use:
        As the bound of :func:`loss_bound`, or to interpret a training loss on noisy labels.

    Limitations:
        It holds for the expected loss: the loss of a batch varies around it. If classes overlap, the lowest
        achievable loss is higher.

    Example:
        >>> round(float(entropy_bound(Transition.symmetric(0.2, 10))), 3)
        0.94
    """
    entropies = torch.special.entr(Transition.wrap(transition).to_dense()).sum(-1)
    if class_prior is None:
        return entropies.mean()
    check_prior("class_prior", class_prior, len(entropies))
    return (class_prior.to(entropies) * entropies).sum()
