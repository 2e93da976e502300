"""Label scores: how likely each label is to be right."""

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.request import OnStage
from softtargets.audit.results import LabelScore
from softtargets.audit.transitions import TransitionFit
from softtargets.metrics import auroc

PRECISION_AT = 200
# Steps of the label posterior. More steps would fit the errors of the model and make the posterior over-confident.
ROUNDS = 5
RANKED_BY = "label_posterior"
# name -> label, description
SCORES: dict[str, tuple[str, str]] = {
    "label_posterior": (
        "label posterior under T",
        "Probability that the label is right, given the prediction and T.",
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


def score_labels(evidence: LabelEvidence, fit: TransitionFit, on_stage: OnStage) -> dict[str, Tensor]:
    """Return each score, (N,) float32, by name; low values indicate wrong labels."""
    probs, labels = evidence.probs, evidence.labels
    posterior, done = [], 0
    for some, their_labels in evidence.chunks():
        on_stage("scoring", done / len(evidence))
        found = noise.label_posterior(some, their_labels, fit.transition, class_prior=fit.class_prior, rounds=ROUNDS)
        posterior.append(found.float())
        done += len(some)
    confidence = noise.self_confidence(probs, labels).float()
    scores = {
        "label_posterior": torch.cat(posterior),
        "self_confidence": confidence,
        "normalized_margin": noise.normalized_margin(probs, labels).float(),
        "confident_joint": confidence - noise.confident_suspects(probs, labels, fit.joint).float(),
    }
    for name, values in evidence.dynamics.items():
        scores[name] = (-values if name == "forgetting" else values).float()
    on_stage("scoring", 1.0)
    return scores


def judge_scores(scores: dict[str, Tensor], evidence: LabelEvidence) -> tuple[LabelScore, ...]:
    """Describe each score and, with reference labels, measure how well it ranks."""
    return tuple(_judged(name, values, evidence.wrong) for name, values in scores.items())


def _judged(name: str, values: Tensor, wrong: Tensor | None) -> LabelScore:
    label, describes = SCORES[name]
    if wrong is None:
        return LabelScore(name, label, describes)
    precision = float(wrong[noise.suspect_order(values)[:PRECISION_AT]].double().mean())
    # undefined if no label, or every label, is wrong
    ranked = float(auroc(-values, wrong)) if 0 < int(wrong.sum()) < len(wrong) else None
    return LabelScore(name, label, describes, ranked, precision)
