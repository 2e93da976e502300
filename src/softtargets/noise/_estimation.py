"""Estimating T by the name of a method."""

from typing import Any

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._rows import read_rows
from softtargets.matrices import Transition
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise._posterior import fit_prior
from softtargets.noise.estimators.registry import find_estimator

__all__ = ["estimate_transition"]


@array_function
def estimate_transition(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    method: str = "confident_joint",
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
    **settings: Any,
) -> Transition:
    """Estimate the transition matrix of label noise with a method named by a string.

    | method | needs | setting |
    | "confident_joint" | observed labels, out-of-sample probs | |
    | "anchor_counts" | observed labels, out-of-sample probs | `share` |
    | "dual_t" | observed labels | `percentile` |
    | "anchor", "anchor_97" | no labels | `percentile` of "anchor" |
    | "trusted" | **clean** labels of a trusted set | |

    Args:
        probs: (..., K) float, probabilities of the observed label.
        labels: (...) integer labels in [0, K): the observed labels. For method="trusted" they are the *clean* labels of
            a trusted set, and probs are the predictions for the examples of that set.
        method: name of the estimator: "confident_joint" (Northcutt et al. 2021), "anchor_counts" (our variant of anchor
            points), "dual_t" (Yao et al. 2020), "anchor" (anchor points, Patrini et al. 2017), "anchor_97" (the same at
            the 97th percentile) or "trusted" (gold loss correction, Hendrycks et al. 2018).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.
        settings: of that estimator, such as `percentile` of "anchor" and "dual_t" or `share` of "anchor_counts".

    Returns:
        Transition, row = clean, column = observed.

    Raises:
        ValueError: if the method is unknown (the nearest is named) or has no such setting, if no example is left, and
            as the estimator does.
        TypeError: if probs are not floating-point, labels not integers or mask not bool.

    Aliases:
        trusted_set; dual_t; anchor_points; anchor_counts; gold_loss_correction; estimate_noise_matrices;
        estimate_latent; noise_matrix

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
        >>> estimate_transition(probs, torch.tensor([0, 1, 1]), method="anchor").to_dense().tolist()
        [[0.75, 0.25], [0.125, 0.875]]
    """
    chosen = find_estimator(method)
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    found = chosen(*read.counted_probs, **settings)
    return found.transition if isinstance(found, ConfidentJoint) else found


def estimate_with_prior(found: Transition | ConfidentJoint, labels: Tensor) -> tuple[Transition, Tensor, float]:
    """Return an estimated transition, the prior of the clean classes, (K,) float64, and the noise rate."""
    if isinstance(found, ConfidentJoint):
        return found.transition, found.class_prior, found.noise_rate
    prior = fit_prior(found, labels)
    return found, prior, float(found.noise_rate(prior))
