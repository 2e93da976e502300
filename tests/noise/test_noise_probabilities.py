"""Every function of probabilities refuses what is none, and names the first row; chunks change nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.simulated import asymmetric, known
from softtargets import _rows, noise
from softtargets.noise.estimators import anchor_counts, anchor_points, dual_t, trusted_set

T = noise.symmetric(0.2, 3)
JOINT = noise.confident_joint(torch.eye(3) * 0.7 + 0.1, torch.arange(3))
FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "anchor_counts": anchor_counts,
    "anchor_points": lambda probs, _: anchor_points(probs),
    "bootstrap_transition": lambda p, y: noise.bootstrap_transition(p, y, n_draws=2),
    "confident_joint": noise.confident_joint,
    "confident_suspects": lambda p, y: noise.confident_suspects(p, y, JOINT),
    "dual_t": dual_t,
    "label_posterior": lambda probs, labels: noise.label_posterior(probs, labels, T),
    "normalized_margin": noise.normalized_margin,
    "self_confidence": noise.self_confidence,
    "trusted_set": trusted_set,
}
# those that also take a transition or a joint of three classes
OF_THREE = {"confident_suspects", "label_posterior"}
LABELS = torch.tensor([0, 1, 2, 0])
every = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def spoiled(row: int, values: list[float]) -> Tensor:
    probs = torch.full((4, 3), 1 / 3)
    probs[row] = torch.tensor(values)
    return probs


@every
@pytest.mark.parametrize(
    ("row", "values", "message"),
    [
        (2, [0.5, 0.5, 0.5], "summing to 1; got a sum of 1.5 at row 2; .*pass logits.softmax"),
        (1, [2.0, 1.0, -2.0], "at least 0; got -2 at row 1, class 2; .*pass logits.softmax"),
        (3, [0.5, float("nan"), 0.5], "at least 0; got nan at row 3, class 1; .*fix that row"),
        (0, [float("inf"), 0.0, 0.0], "summing to 1; got a sum of inf at row 0"),
    ],
)
def test_rows_that_are_no_probability(function: Any, row: int, values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^probs: probabilities, .*{message}"):
        function(spoiled(row, values), LABELS)


@every
def test_shapes_and_types(function: Any) -> None:
    with pytest.raises(ValueError, match=r"probs: shape \(N, K\) with K >= 2; got \(4, 1, 1\)"):
        function(torch.full((4, 1, 1), 0.25), LABELS)
    with pytest.raises(ValueError, match="probs: at least one example that is not left out; got none"):
        function(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"probs: a floating-point tensor; got dtype torch.int64"):
        function(torch.eye(3).long(), LABELS[:3])


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"bootstrap_transition"} - OF_THREE))
def test_one_column_is_the_probability_of_class_1_of_two(name: str) -> None:
    function = FUNCTIONS[name]
    positive, labels = torch.linspace(0.1, 0.9, 40), torch.arange(40) // 20
    two = torch.stack([1 - positive, positive], 1)
    expected = numbers(function(two, labels))
    assert torch.equal(numbers(function(positive, labels)), expected)
    assert torch.equal(numbers(function(positive[:, None], labels)), expected)
    with pytest.raises(ValueError, match=r"probs: probabilities, at least 0; got -0.0.* at row 35, class 0"):
        function(positive + 0.2, labels)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"anchor_points"}))
def test_labels(name: str) -> None:
    function, probs = FUNCTIONS[name], torch.full((4, 3), 1 / 3)
    with pytest.raises(ValueError, match=r"labels: shape \(4,\); got \(3,\); give one per example"):
        function(probs, LABELS[:3])
    with pytest.raises(ValueError, match=r"labels: .*below 3, the number of classes; got 3 at row 1"):
        function(probs, torch.tensor([0, 3, 2, 1]))
    with pytest.raises(TypeError, match=r"labels: integer labels .*; got dtype torch.float32"):
        function(probs, LABELS.float())


def numbers(found: Any) -> Tensor:
    if isinstance(found, noise.ConfidentJoint):
        return found.joint
    if isinstance(found, noise.TransitionInterval):
        return found.estimate.to_dense()
    return found.to_dense() if isinstance(found, noise.Transition) else found


@every
def test_neither_chunks_nor_a_file_in_place_of_memory_change_anything(
    function: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = known(500, asymmetric()[:3, :3].softmax(1), distance=2)
    probs = data.probs.float()
    whole = numbers(function(probs, data.labels))
    probs.numpy().tofile(tmp_path / "probs")
    mapped = torch.from_file(str(tmp_path / "probs"), size=probs.numel()).view(500, 3)
    monkeypatch.setattr(_rows, "CHUNK", 21)
    for given in (probs, mapped, probs.T.contiguous().T):
        torch.testing.assert_close(numbers(function(given, data.labels)), whole, rtol=0, atol=1e-6)


@every
def test_half_precision_is_worked_in_float32(function: Any) -> None:
    probs = known(50, asymmetric()[:3, :3].softmax(1), distance=2).probs
    found = numbers(function(probs.half(), torch.arange(50) % 3))
    assert bool(found.isfinite().all())


def test_the_first_bad_row_is_named_in_any_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows, "CHUNK", 3)
    with pytest.raises(ValueError, match="at row 3"):
        noise.self_confidence(spoiled(3, [0.5, 0.5, 0.5]), LABELS)
