"""The parts of RESULTS.md, and an audit's judgement as one of them."""

import pytest

from benchmarks import pages
from benchmarks.noise import audit_page

AUDIT = {
    "name": "cifar10",
    "labels": "worse",
    "command": "softtargets audit",
    "versions": {"torch": "2"},
    "rows": 100,
    "predictions": "cross-validated",
    "held_out_agreement": 0.5,
    "reference": {"noise_rate": 0.4},
    "class_names": ["cat", "dog"],
    "chosen_estimator": "joint",
    "noise_rate": {"estimate": 0.4, "low": 0.3, "high": 0.5},
    "estimates": [
        {"name": "joint", "distance_to_reference": [0.05, 0.11], "noise_rate": 0.4},
        {"name": "anchors", "distance_to_reference": [0.4, 0.2], "noise_rate": 0.1},
    ],
    "scores": [
        {"name": "self_confidence", "auroc": 0.9, "precision": 1.0},
        {"name": "label_posterior", "auroc": 0.89, "precision": 0.985},
    ],
}


def test_parts_stand_in_their_order_whatever_was_measured_first(tmp_path) -> None:
    pages.put(tmp_path, "audit", "# An audit")
    page = pages.put(tmp_path, "losses", "# Losses\n\nold")
    pages.put(tmp_path, "losses", "# Losses\n\nnew")
    text = page.read_text()
    assert text.startswith("# Benchmarks\n")
    assert text.index("# Losses\n\nnew\n") < text.index("# An audit\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="name: must be one of losses"):
        pages.put(tmp_path, "loses", "")


def test_an_audit_is_held_against_its_goals() -> None:
    text = audit_page(AUDIT)
    assert "| joint | 0.080 | 0.110 | 0.400 |" in text
    assert "Interval of its noise rate: 0.300 to 0.500" in text
    assert "By row, joint: cat 0.050, dog 0.110." in text
    assert "| label_posterior | 0.8900 | 98.5% |" in text
    assert "mean distance of the best estimator, joint, at most 0.1: met" in text
    assert "AUROC of the best score, self_confidence, above that of self-confidence: **missed**" in text
