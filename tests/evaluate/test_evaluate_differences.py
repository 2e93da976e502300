"""Differences between models: which are real, and that p-values are adjusted over all of them."""

from typing import Any

import numpy as np
import pytest
import torch
from evaluate.evaluation_files import simulate

from softtargets.evaluate import differences as evaluate_differences
from softtargets.evaluate import exact


def differences(said: dict[str, Any], against: str, *, scaled: bool = False) -> dict[str, dict[str, Any]]:
    found = (entry for entry in said["differences"] if entry["against"] == against and entry["scaled"] == scaled)
    return {entry["metric"]: entry for entry in found}


def test_a_better_model_is_really_better(evaluate, monkeypatch):
    # draws of each interval, and as many times more for as many p-values
    monkeypatch.setattr(evaluate_differences, "_PER_DRAWS", 1)
    logits, labels = simulate(2000)
    noisy = logits + 3 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    for name, scores in {"good": logits, "bad": noisy}.items():
        np.savez(f"{name}.npz", logits=scores.numpy(), labels=labels.numpy())
    said = evaluate("good.npz", against=("worse=bad.npz",))
    found = differences(said, "worse")
    by_hand = [float((scores.argmax(1) == labels).double().mean()) for scores in (logits, noisy)]
    accuracy = found["accuracy"]
    assert accuracy["value"] == pytest.approx(by_hand[0] - by_hand[1])
    assert accuracy["significant"]
    assert accuracy["interval"][0] > 0
    # the least that 2 * 9 * 50 draws can show; of nine metrics four classes have eight, and seven after scaling
    assert accuracy["p"] == 2 / 901
    assert accuracy["at_floor"]
    assert accuracy["adjusted"] == pytest.approx(15 * 2 / 901)
    assert list(found) == [
        "accuracy",
        "nll",
        "brier",
        "ece",
        "ece_mass",
        "smooth_ece",
        "aurc",
        "misclassification_auroc",
    ]
    after = differences(said, "worse", scaled=True)
    # a temperature changes the class of no row
    assert list(after) == list(found)[1:]
    main, other = (model["temperature"]["metrics"]["nll"]["value"] for model in said["models"])
    assert after["nll"]["value"] == pytest.approx(main - other)
    assert after["nll"]["value"] > found["nll"]["value"]


def test_a_difference_that_sketches_cannot_tell_from_none_is_not_real(evaluate, monkeypatch):
    monkeypatch.setattr(evaluate_differences, "_PER_DRAWS", 1)
    monkeypatch.setattr(exact, "MOST_ROWS", 1000)
    # confidences so close together that a sketch takes them for one: the order in which errors stand is not known to it
    rows, labels = np.arange(2000), np.zeros(2000, dtype=int)
    rest = 1e-14 * (1 + rows % 100)
    for name, wrong in {"few": rows < 200, "many": rows < 300}.items():
        top = np.stack([np.where(wrong, rest, 1 - rest), np.where(wrong, 1 - rest, rest)], 1)
        np.savez(f"{name}.npz", probs=top, labels=labels)
    said = evaluate("few.npz", against=("many.npz",))
    aurc = differences(said, "many")["aurc"]
    bounds = sum(model["metrics"]["aurc"]["bound"] for model in said["models"])
    assert 0 < abs(aurc["value"]) < bounds
    assert aurc["adjusted"] < 0.05
    assert not aurc["significant"]
    assert "sketches whose error can be this large" in aurc["why"]


def test_an_equal_model_is_not_and_makes_the_others_harder_to_tell_apart(evaluate):
    logits, labels = simulate(300)
    noisy = logits + 3 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    for name, scores in {"good": logits, "bad": noisy, "same": logits}.items():
        np.savez(f"{name}.npz", logits=scores.numpy(), labels=labels.numpy())
    said = evaluate("good.npz", against=("same.npz", "bad.npz"))
    assert [model["name"] for model in said["models"]] == ["good", "same", "bad"]
    for same in differences(said, "same").values():
        assert (same["value"], same["p"], same["adjusted"], same["significant"]) == (0, 1, 1, False)
    bad = differences(said, "bad").values()
    assert min(entry["adjusted"] for entry in bad) == pytest.approx(30 * min(entry["p"] for entry in bad))
