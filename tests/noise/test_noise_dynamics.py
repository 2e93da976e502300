"""Training dynamics: against the slow loop, in any order of batches, and through a checkpoint."""

import math

import numpy as np
import pytest
import torch
from reference import noise as reference
from torch import Tensor

from benchmarks.simulated import seeded
from softtargets import noise

N, K, EPOCHS, EARLY = 12, 4, 7, 3
LABELS = torch.arange(N) % K
LOGITS = torch.randn(EPOCHS, N, K, generator=seeded(0))
LOGITS[:, 0, LABELS[0]] = 9.0  # always right
LOGITS[:, 1, LABELS[1]] = -9.0  # never
LOGITS[2, 2] = 0.0  # a tie in one epoch


def observed(epochs: range, dynamics: noise.TrainingDynamics | None = None) -> noise.TrainingDynamics:
    dynamics = dynamics or noise.TrainingDynamics(N, K, early_epochs=EARLY)
    for epoch in epochs:
        for ids in torch.randperm(N, generator=seeded(epoch)).split(5):
            dynamics.observe(ids, LOGITS[epoch][ids], LABELS[ids])
        dynamics.end_epoch()
    return dynamics


def margins() -> list[list[float]]:
    histories = []
    for i in range(N):
        rows = LOGITS[:, i].tolist()
        histories.append([row[i % K] - max(z for k, z in enumerate(row) if k != i % K) for row in rows])
    return histories


def test_what_is_kept_is_the_slow_loops() -> None:
    dynamics = observed(range(EPOCHS))
    expected = reference.dynamics(margins(), EARLY)
    for row, (mean, forgotten, agreed) in enumerate(expected):
        assert float(dynamics.area_under_margin[row]) == pytest.approx(mean, abs=1e-6)
        assert int(dynamics.forgetting[row]) == forgotten
        assert float(dynamics.early_agreement[row]) == pytest.approx(agreed)
    assert len({forgotten for _, forgotten, _ in expected}) > 3, "of several kinds"


def test_limits() -> None:
    dynamics = observed(range(EPOCHS))
    assert int(dynamics.forgetting[0]) == 0
    assert float(dynamics.early_agreement[0]) == 1
    assert int(dynamics.forgetting[1]) == EPOCHS == int(dynamics.forgetting.max()), "never learned: the largest"
    assert float(dynamics.early_agreement[1]) == 0


def test_an_example_that_is_never_observed_says_so() -> None:
    dynamics = noise.TrainingDynamics(2, K)
    dynamics.observe(torch.tensor([1]), LOGITS[0][:1], LABELS[:1])
    assert math.isnan(float(dynamics.area_under_margin[0]))
    assert math.isnan(float(dynamics.early_agreement[0]))
    assert int(dynamics.forgetting[0]) == 0


@pytest.mark.parametrize("cut", [1, EARLY, EPOCHS - 1])
def test_a_state_taken_up_again_goes_on_bit_for_bit(cut: int) -> None:
    saved = observed(range(cut)).state_dict()
    kept = {name: value.clone() for name, value in saved.items()}
    fresh = noise.TrainingDynamics(N, K, early_epochs=EARLY)
    fresh.load_state_dict(saved)
    whole, parts = observed(range(EPOCHS)).state_dict(), observed(range(cut, EPOCHS), fresh).state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert all(torch.equal(saved[name], kept[name]) for name in kept), "the state is a copy"


def test_a_state_within_an_epoch_remembers_who_was_seen() -> None:
    dynamics = noise.TrainingDynamics(N, K)
    dynamics.observe(torch.tensor([3]), LOGITS[0][3:4], LABELS[3:4])
    again = noise.TrainingDynamics(N, K)
    again.load_state_dict(dynamics.state_dict())
    with pytest.raises(ValueError, match="each example once per epoch; got example 3 again at row 1; call end_epoch"):
        again.observe(torch.tensor([2, 3]), LOGITS[1][2:4], LABELS[2:4])


def test_an_example_counts_once_an_epoch() -> None:
    dynamics = noise.TrainingDynamics(N, K)
    with pytest.raises(ValueError, match="ids: each example once per epoch; got example 3 again at row 0"):
        dynamics.observe(torch.tensor([3, 3]), LOGITS[0][3:5], LABELS[3:5])
    dynamics.observe(torch.tensor([3]), LOGITS[0][3:4], LABELS[3:4])
    dynamics.end_epoch()
    dynamics.observe(torch.tensor([3]), LOGITS[1][3:4], LABELS[3:4])


def test_gradients_and_half_precision_are_left_behind() -> None:
    dynamics = noise.TrainingDynamics(N, K)
    dynamics.observe(torch.arange(N), LOGITS[0].bfloat16().requires_grad_(), LABELS)
    assert not dynamics.area_under_margin.requires_grad


@pytest.mark.parametrize(
    ("ids", "logits", "labels", "message"),
    [
        ([N], LOGITS[0][:1], LABELS[:1], f"ids: .*below {N}"),
        ([0], LOGITS[0][:1], torch.tensor([K]), f"labels: .*below {K}"),
        (
            [0, 1],
            LOGITS[0][:1],
            LABELS[:2],
            r"ids: shape \(1,\); got \(2,\); give one per example",
        ),
        ([0], LOGITS[0][:1, :3], LABELS[:1], r"logits: shape \(N, 4\); got \(1, 3\)"),
    ],
)
def test_errors(ids: list[int], logits: Tensor, labels: Tensor, message: str) -> None:
    dynamics = noise.TrainingDynamics(N, K)
    with pytest.raises(ValueError, match=message):
        dynamics.observe(torch.tensor(ids), logits, labels)


def test_sizes() -> None:
    with pytest.raises(ValueError, match=r"num_examples: .*got 0"):
        noise.TrainingDynamics(0, K)
    with pytest.raises(ValueError, match=r"early_epochs: .*got 0"):
        noise.TrainingDynamics(N, K, early_epochs=0)


def test_left_out_examples_are_not_observed() -> None:
    dynamics, expected = noise.TrainingDynamics(N, K), noise.TrainingDynamics(N, K)
    mask = torch.arange(N) != 1
    labels = LABELS.clone()
    labels[0] = -100
    dynamics.observe(torch.arange(N), LOGITS[0], labels, mask=mask)
    expected.observe(torch.arange(2, N), LOGITS[0][2:], LABELS[2:])
    torch.testing.assert_close(dynamics.area_under_margin, expected.area_under_margin, equal_nan=True)
    assert dynamics.area_under_margin[:2].isnan().all()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16])
def test_narrow_ids_and_labels(dtype: torch.dtype) -> None:
    dynamics = noise.TrainingDynamics(300, 300)
    dynamics.observe(torch.arange(100, dtype=dtype), torch.zeros(100, 300), torch.arange(100, dtype=dtype))
    assert int(dynamics.area_under_margin.isnan().sum()) == 200
    with pytest.raises(
        ValueError, match="ids: ids of at least 0 and below 50, the number of examples; got 50 at row 50"
    ):
        noise.TrainingDynamics(50, 300).observe(
            torch.arange(100, dtype=dtype), torch.zeros(100, 300), torch.arange(100, dtype=dtype)
        )


def test_numpy_and_a_short_text() -> None:
    dynamics = noise.TrainingDynamics(N, K)
    dynamics.observe(np.arange(N), LOGITS[0].numpy().T, LABELS.numpy(), class_dim=0)
    assert not bool(dynamics.area_under_margin.isnan().any())
    assert repr(dynamics) == f"TrainingDynamics({N} examples, {K} classes, epoch 0)"


def test_a_state_of_another_size_is_refused() -> None:
    state = noise.TrainingDynamics(N, K).state_dict()
    with pytest.raises(ValueError, match=rf"^state: {N + 1} examples; got {N} examples"):
        noise.TrainingDynamics(N + 1, K).load_state_dict(state)
    del state["early"]
    with pytest.raises(ValueError, match=r"^state: .*without 'early'"):
        noise.TrainingDynamics(N, K).load_state_dict(state)
