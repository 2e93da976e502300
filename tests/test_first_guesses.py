"""What someone coming from another library tries first: it works, or the error names the right call.

The list was written from the documentation of torch, timm, scikit-learn, torchmetrics, cleanlab and optax before the
names of this package were changed.
"""

from typing import Any

import numpy as np
import pytest
import torch

import softtargets
from softtargets import calibration, distill, losses, metrics, nn, noise, targets

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(12, 3, generator=generator)
PROBS = LOGITS.softmax(-1)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
TEACHER = torch.randn(12, 3, generator=generator)
P, Y = PROBS.double().numpy(), LABELS.numpy()

NAMES: dict[str, Any] = {
    "softtargets": softtargets,
    "calibration": calibration,
    "distill": distill,
    "losses": losses,
    "metrics": metrics,
    "nn": nn,
    "noise": noise,
    "targets": targets,
    "np": np,
    "torch": torch,
    "logits": LOGITS,
    "probs": PROBS,
    "labels": LABELS,
    "teacher": TEACHER,
    "P": P,
    "Y": Y,
}

WORKS = {
    "torch": [
        "nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels)",
        "nn.CrossEntropyLoss(torch.ones(3))(logits, labels)",
        "nn.CrossEntropyLoss(ignore_index=0, reduction='sum')(logits, labels)",
        "nn.CrossEntropyLoss()(logits, probs)",
        "losses.cross_entropy(logits, labels, reduction='mean', ignore_index=2)",
        "losses.cross_entropy(logits, probs)",
    ],
    "timm": [
        "nn.Loss(losses.focal_loss, gamma=2.0)(logits, probs)",
        "losses.binary_cross_entropy(logits, torch.nn.functional.one_hot(labels, 3), smoothing=0.1)",
    ],
    "scikit-learn": [
        "metrics.ece(P, Y, n_bins=10)",
        "calibration.TemperatureScaling().fit(logits, labels).temperature",
        "calibration.IsotonicCalibration().fit(logits, labels)(logits)",
    ],
    "torchmetrics": [
        "metrics.ECE(n_bins=15, norm='l1').update(probs, labels)",
        "metrics.Accuracy(top_k=2).reset()",
        "metrics.Collection({'ece': metrics.ECE(), 'accuracy': metrics.Accuracy()}).update(probs, labels)",
    ],
    "cleanlab": [
        "noise.find_label_issues(Y, P)",
        "noise.find_label_issues(labels=labels, probs=probs)",
    ],
    "distillation libraries": [
        "distill.kd_loss(logits, teacher, labels, temperature=4.0)",
        "distill.dkd_loss(logits, teacher, labels)",
        "distill.dist_loss(logits, teacher)",
    ],
}

ADVISED = {
    "torch": [
        ("losses.CrossEntropyLoss", "nn.CrossEntropyLoss"),
        ("losses.binary_cross_entropy_with_logits", "losses.binary_cross_entropy"),
        ("losses.kl_div", "distill.kd_loss"),
    ],
    "timm": [
        ("nn.LabelSmoothingCrossEntropy", "nn.CrossEntropyLoss"),
        ("nn.SoftTargetCrossEntropy", "nn.CrossEntropyLoss"),
        ("nn.FocalLoss", "losses.focal_loss"),
    ],
    "scikit-learn": [
        ("metrics.accuracy_score", "metrics.accuracy"),
        ("metrics.brier_score_loss", "metrics.brier"),
        ("metrics.log_loss", "metrics.nll"),
        ("metrics.roc_auc_score", "metrics.auroc"),
        ("metrics.calibration_curve", "metrics.reliability_bins"),
    ],
    "torchmetrics": [
        ("metrics.MulticlassCalibrationError", "metrics.ECE"),
        ("metrics.MetricCollection", "metrics.Collection"),
        ("metrics.calibration_error", "metrics.ece"),
    ],
    "cleanlab": [
        ("noise.get_label_quality_scores", "noise.self_confidence"),
        ("noise.compute_confident_joint", "noise.confident_joint"),
        ("noise.estimate_noise_matrices", "noise.estimate_transition"),
    ],
    "optax": [
        ("losses.softmax_cross_entropy_with_integer_labels", "losses.cross_entropy"),
        ("losses.sigmoid_focal_loss", "losses.focal_loss"),
        ("losses.poly_loss_cross_entropy", "losses.poly1_loss"),
        ("targets.smooth_labels", "targets.smooth"),
    ],
}


def test_there_are_forty_guesses() -> None:
    assert sum(len(guesses) for table in (WORKS, ADVISED) for guesses in table.values()) == 40


@pytest.mark.parametrize("call", [call for calls in WORKS.values() for call in calls])
def test_a_guess_that_works(call: str) -> None:
    assert eval(call, dict(NAMES)) is not NotImplemented


@pytest.mark.parametrize(("guess", "found"), [pair for pairs in ADVISED.values() for pair in pairs])
def test_a_guess_that_is_advised(guess: str, found: str) -> None:
    with pytest.raises(AttributeError, match=rf"; (use|did you mean) .*\b{found}\b"):
        eval(guess, dict(NAMES))
    room, name = guess.split(".")
    with pytest.raises(ImportError, match=rf"; (use|did you mean) .*\b{found}\b"):
        exec(f"from softtargets.{room} import {name}")


def test_advice_names_nothing_for_what_is_like_no_name() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'zzz'$"):
        _ = losses.zzz  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(losses, "__wrapped__")
