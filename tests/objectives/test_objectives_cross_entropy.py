"""Every objective is cross entropy at the settings that are documented for it, or is listed as one that never is."""

import pytest
import torch
from objective_specs import CLASSES, K, N, batch_of, context, parse, specification

from softtargets import losses
from softtargets.matrices import Transition
from softtargets.objectives import OBJECTIVES

IDENTITY = [[float(i == j) for j in range(K)] for i in range(K)]
# settings at which an objective is cross entropy with the labels
SETTINGS = {
    "acls_penalty": {"weight": 0.0},
    "backward": {"noise_rate": 0.0},
    "bootstrapping": {"weight": 1.0},
    "class_table": {"table": IDENTITY},
    "class_weights": {"weights": [2.0] * K},
    "confidence_penalty": {"weight": 0.0},
    "confidence_smoothing": {"maximum": 0.0},
    "confusion_smoothing": {"smoothing": 0.0},
    "cores": {"weight": 0.0},
    "cross_entropy": {},
    "cutmix": {"probability": 0.0},
    "distillation": {"weight": 0.0},
    "disturb_label": {"rate": 0.0},
    "dual_focal": {"gamma": 0.0},
    "early_learning": {"weight": 0.0},
    "focal": {"gamma": 0.0},
    "forward": {"noise_rate": 0.0},
    "generalized_cross_entropy": {"q": 0.0},
    "hierarchical_smoothing": {"sharpness": 1000.0},
    "keyword_smoothing": {"smoothing": 0.0},
    "label_relaxation": {"smoothing": 0.0},
    "localized_smoothing": {"smoothing": 0.0},
    "logit_penalty": {"weight": 0.0},
    "loss_bound": {"transition": None, "bound": 0.0},
    "margin_smoothing": {"maximum": 0.0},
    "max_suppression": {"smoothing": 0.0, "final_smoothing": 0.0},
    "mbls_penalty": {"weight": 0.0},
    "mean_teacher": {"weight": 0.0},
    "negative_smoothing": {},  # until the end of the warm-up
    "online_smoothing": {"weight": 0.0},
    "peer": {"weight": 0.0},
    "poly1": {"epsilon": 0.0},
    "prior_smoothing": {"smoothing": 0.0},
    "pseudo_labels": {},  # without unlabelled rows
    "sample_dependent_focal": {"gamma_low": 0.0, "gamma_high": 0.0},
    "scheduled_smoothing": {"final_smoothing": 0.0},
    "smoothing_regularizer": {"weight": 0.0},
    "symmetric_cross_entropy": {"cross_entropy_weight": 1.0, "reverse_weight": 0.0},
    "tfidf_smoothing": {"smoothing": 0.0},
    "votes": {},
    "zipf_penalty": {"weight": 0.0},
}
NEVER = {
    "active_passive": "a sum of bounded losses",
    "learned_smoothing": "half the loss, and smoothing above 0",
    "learned_transition": "the transition is never the identity",
    "mean_absolute_error": "bounded",
    "mixup": "a concentration of 0 cannot be given",
    "normalized_cross_entropy": "bounded",
    "reverse_cross_entropy": "bounded",
}


def test_every_objective_is_listed() -> None:
    assert set(SETTINGS) | set(NEVER) == set(OBJECTIVES)
    assert not set(SETTINGS) & set(NEVER)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_cross_entropy(name) -> None:
    content = {**specification(name, CLASSES), **SETTINGS[name]}
    content = {key: value for key, value in content.items() if value is not None}
    draw = torch.Generator().manual_seed(0)
    trained, batch = parse(content).started(context(transition=Transition.symmetric(0.0, K))), batch_of(draw)
    logits = 2 * torch.randn(N, K, generator=draw)
    prepared = trained.prepare(batch, draw)
    trained.observe(prepared, logits)
    expected = losses.cross_entropy(logits, batch.labels)
    torch.testing.assert_close(trained.losses(logits, prepared).float(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(trained.batch_loss(logits, prepared).float(), expected.mean(), rtol=1e-5, atol=1e-5)
