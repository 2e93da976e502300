"""How much the members of an ensemble differ, and what that is worth."""

import math
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike
from softtargets.ensembles.inputs import read_members


@dataclass(frozen=True)
class Diversity:
    """The diversity of members on some rows.

    Pairwise numbers are means over all pairs of members.

    Args:
        disagreement: share of the rows on which two members predict different classes.
        kappa: Cohen's kappa of the predicted classes; 1: always equal, 0: as often as by chance. None if undefined.
        q_statistic: Yule's Q of being right, in [-1, 1] (Kuncheva & Whitaker 2003). 0: independent. None if it is
            undefined for every pair.
        brier_ambiguity: mean Brier score of the members minus that of their mean probabilities, which is the mean
            squared distance of the members from these, mean_i mean_m |p_mi - p_i|^2 (Krogh & Vedelsby 1995).
        nll_ambiguity: mean NLL of the members minus that of their mean probabilities, in nats, at least 0: mean_i
            (log p_i - mean_m log p_mi) at the label. None if it is not finite.
    """

    disagreement: float
    kappa: float | None
    q_statistic: float | None
    brier_ambiguity: float
    nll_ambiguity: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


def measure_diversity(logits: ArrayLike, labels: ArrayLike) -> Diversity:
    """Return the diversity of members on labelled rows.

    Args:
        logits: (M, N, K) of at least two members; a tensor or an array.
        labels: (N,) integers.

    Raises:
        InputError: for fewer than two members, no rows, or a label that is not one of the K classes.
        InputTypeError: if they are not a tensor or an array.

    Example:
        >>> logits = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]]).log()
        >>> found = measure_diversity(logits, torch.tensor([0, 0]))
        >>> found.disagreement, round(found.brier_ambiguity, 4)     # (2 * .1^2 + 2 * .2^2) / 2
        (0.5, 0.05)
    """
    logits, labels = read_members(logits, labels, least=2)
    log_probs = logits.double().log_softmax(-1)
    probs, predicted = log_probs.exp(), logits.argmax(-1)
    right = predicted == labels
    pairs = list(combinations(range(len(logits)), 2))
    mean = probs.mean(0)
    of_label = log_probs.gather(2, labels.expand(len(logits), -1)[..., None])[..., 0]
    combined = of_label.logsumexp(0) - math.log(len(logits))
    ambiguity = float((combined - of_label.mean(0)).mean())
    return Diversity(
        disagreement=_mean([float((predicted[a] != predicted[b]).double().mean()) for a, b in pairs]) or 0.0,
        kappa=_mean([cohens_kappa(predicted[a], predicted[b], logits.shape[-1]) for a, b in pairs]),
        q_statistic=_mean([yules_q(right[a], right[b]) for a, b in pairs]),
        brier_ambiguity=float((probs - mean).square().sum(-1).mean()),
        nll_ambiguity=ambiguity if math.isfinite(ambiguity) else None,
    )


def cohens_kappa(one: Tensor, other: Tensor, num_classes: int) -> float | None:
    """Return Cohen's kappa of two (N,) int64 predictions: (observed - expected agreement) / (1 - expected)."""
    observed = float((one == other).double().mean())
    shares = [part.bincount(minlength=num_classes).double() / len(part) for part in (one, other)]
    expected = float(shares[0] @ shares[1])
    return None if expected == 1 else (observed - expected) / (1 - expected)


def yules_q(one: Tensor, other: Tensor) -> float | None:
    """Return Yule's Q of two (N,) bool: (N11 N00 - N01 N10) / (N11 N00 + N01 N10); None if this is 0 / 0."""
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    first, second = int((one & ~other).sum()), int((~one & other).sum())
    total = both * neither + first * second
    return (both * neither - first * second) / total if total else None


def _mean(values: list[float | None] | list[float]) -> float | None:
    known = torch.tensor([value for value in values if value is not None], dtype=torch.float64)
    return float(known.mean()) if len(known) else None
