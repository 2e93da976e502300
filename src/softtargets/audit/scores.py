"""Label scores: how likely each label is to be right."""

import torch
from torch import Tensor

from softtargets import noise
from softtargets._native.label_rows import label_rows
from softtargets.audit.results import LabelScore
from softtargets.metrics import auroc
from softtargets.noise import ConfidentJoint, NoiseMixture
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.confident import bounds_of, confidently_other

PRECISION_AT = 200
RANKED_BY = "label_posterior"
# name -> label, description
SCORES: dict[str, tuple[str, str]] = {
    "label_posterior": (
        "label posterior",
        "Probability that the label is right, by a mixture that fits noise and errors of the model jointly.",
    ),
    "self_confidence": ("self-confidence", "Predicted probability of the given label."),
    "normalized_margin": (
        "normalized margin",
        "Probability of the given label minus the largest probability of another class, scaled to [0, 1].",
    ),
    "confident_joint": (
        "confident-joint selection",
        "Self-confidence, minus 1 if another class is predicted with confidence.",
    ),
    "area_under_margin": (
        "area under the margin",
        "Mean logit margin of the given label over the training epochs.",
    ),
    "forgetting": (
        "forgetting",
        "Number of times that the given label was forgotten during training, with a minus sign.",
    ),
    "early_agreement": ("early agreement", "Share of the first epochs in which the given label was predicted."),
}


def posterior_of(block: LabelledBlock, mixture: NoiseMixture) -> Tensor:
    """Return the score by which labels are ranked, (n,) float32."""
    return torch.cat([(1 - mixture.wrong(part.probs, part.labels)).float() for part in block.parts()])


def other_scores(block: LabelledBlock, joint: ConfidentJoint) -> tuple[dict[str, Tensor], Tensor]:
    """Return the other scores of the predictions, (n,) float32 by name, and the best other class, (n,) int64."""
    bounds = bounds_of(joint.thresholds, block.probs.dtype)
    found = label_rows(block.probs, block.labels, bounds=bounds, best=True, other=True)
    assert found is not None
    own, best, suggested, clean = found
    assert best is not None
    assert suggested is not None
    assert clean is not None
    suspected = confidently_other(clean, block.labels, own, best)
    confidence = own.float()
    scores = {
        "self_confidence": confidence,
        "normalized_margin": ((own - best + 1) / 2).float(),
        "confident_joint": confidence - suspected.float(),
    }
    return scores, suggested


def judge_scores(scores: dict[str, Tensor], wrong: Tensor | None) -> tuple[LabelScore, ...]:
    """Describe each score and, if it is known which labels are wrong, measure how well it ranks.

    Args:
        scores: (N,) by name; only the names matter if `wrong` is None.
        wrong: (N,) bool, or None.
    """
    return tuple(_judged(name, values, wrong) for name, values in scores.items())


def _judged(name: str, values: Tensor, wrong: Tensor | None) -> LabelScore:
    label, describes = SCORES[name]
    if wrong is None:
        return LabelScore(name, label, describes)
    precision = float(wrong[noise.suspect_order(values)[:PRECISION_AT]].double().mean())
    # undefined if no label, or every label, is wrong
    ranked = float(auroc(-values, wrong)) if 0 < int(wrong.sum()) < len(wrong) else None
    return LabelScore(name, label, describes, ranked, precision)
