"""What is done to the risk, the mean over examples, rather than to each loss."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_not_negative, check_prior
from softtargets._errors import fail
from softtargets._numerics import as_like
from softtargets.losses.reduction import reduce
from softtargets.matrices import Transition

__all__ = ["entropy_bound", "loss_bound"]


def loss_bound(losses: Tensor, bound: float | Tensor) -> Tensor:
    """Loss bound: reverses the gradient where the training loss falls below a bound.

    |mean(losses) - bound| + bound        # Ishida et al. 2020 (flooding); Toner & Storkey 2024, in our form

    Args:
        losses: (...) float, one per example, or () where they are already reduced.
        bound: nats, at least 0, a number or a () tensor; :func:`entropy_bound` is what noise alone costs.

    Returns:
        () in the dtype of the losses, at least `bound`.

    Raises:
        ValueError: where the bound is negative or not one number.
        TypeError: where the losses are not floating-point.

    Special cases:
        bound=0 gives the mean of losses that are at least 0; a mean above the bound is left as it is.

    Notes:
        their b, or B. The absolute value is of the mean of a batch, as in flooding, not of each loss.

    Complexity:
        nothing beside the losses.

    When to use:
        noise of a known rate: a training loss below the entropy of the noise can only be memory.

    Limitations:
        acts on the mean alone: some examples may be learned by heart while others pay for it. A mean over a small
        batch crosses the bound by chance.

    Example:
        >>> loss_bound(torch.tensor([0.25, 0.75]), 0.75).item()
        1.0
    """
    check_floating("losses", losses)
    check_not_negative(bound=bound)
    if isinstance(bound, Tensor) and bound.ndim > 0:
        raise fail("bound", "one number", f"shape {tuple(bound.shape)}", "bound the mean, or bound each group apart")
    risk = reduce(losses)
    bound = as_like(bound, risk)
    return (risk - bound).abs() + bound


def entropy_bound(transition: Transition | Tensor, *, class_prior: Tensor | None = None) -> Tensor:
    """Entropy bound: the loss that label noise alone costs a model that knows the clean labels and the noise.

    sum_c class_prior_c H(T_c)        # Toner & Storkey 2024, in our form

    Args:
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_prior: (K,) probabilities of the clean classes; None: uniform.

    Returns:
        () float64, nats, from 0 to log K.

    Raises:
        ValueError: where T's rows do not sum to 1, or the prior has another number of classes or sum.

    Special cases:
        no noise gives 0; labels that say nothing give log K.

    Notes:
        their B. For exclusive symmetric noise of .2, .4, .6, .8 over ten classes: .940, 1.552, 1.991, 2.258.

    Complexity:
        O(K^2), once.

    When to use:
        as the bound of :func:`loss_bound`, or to read a training loss on noisy labels.

    Limitations:
        holds for the risk: the loss of a batch varies around it. Classes that overlap cost more than the noise.

    Example:
        >>> round(float(entropy_bound(Transition.symmetric(0.2, 10))), 3)
        0.94
    """
    entropies = torch.special.entr(Transition.wrap(transition).to_dense()).sum(-1)
    if class_prior is None:
        return entropies.mean()
    check_prior("class_prior", class_prior, len(entropies))
    return (class_prior.to(entropies) * entropies).sum()
