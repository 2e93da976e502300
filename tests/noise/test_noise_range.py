"""The range of the noise rate, where the truth is simulated."""

import pytest
import torch

from benchmarks.simulated import known, seeded, tempered
from softtargets import noise


def test_one_hot_probabilities_of_the_labels_have_no_noise():
    labels = torch.arange(300) % 3
    found = noise.estimate_noise_range(torch.eye(3)[labels], labels)
    assert found.estimate == found.low == 0
    assert found.told
    assert found.accuracy == 1
    assert isinstance(found, noise.NoiseRange)
    assert repr(found).startswith("NoiseRange(0 [0, ")
    assert set(found.to_dict()["principles"]) == set(found.principles)


def test_the_range_covers_the_truth_of_simulated_noise_and_models():
    covered, errors, runs, generator = 0, 0.0, 30, seeded(0)
    for run in range(runs):
        rate, size = [0.0, 0.05, 0.15, 0.3, 0.4][run % 5], [2, 4, 10][run % 3]
        transition = (
            noise.random_transition(rate, size, generator=generator) if run % 2 else noise.symmetric(rate, size)
        )
        data = known(1500, transition.to_dense(), distance=[2.5, 3.5, 5.0][run // 10], seed=run)
        found = noise.estimate_noise_range(tempered(data.probs, [0.6, 1.5][run % 2]), data.labels)
        truth = float((data.labels != data.clean).double().mean())
        covered += found.low <= truth <= found.high
        errors += abs(found.estimate - truth) / runs
    assert covered >= 0.9 * runs
    assert errors < 0.05


def test_a_weak_model_cannot_tell_the_rate():
    clean = torch.eye(6, dtype=torch.float64)
    weak = noise.estimate_noise_range(*_predicted(known(2000, clean, distance=1.5)))
    strong = noise.estimate_noise_range(*_predicted(known(2000, clean, distance=5.0)))
    assert not weak.told
    assert weak.low == 0
    assert strong.told
    assert strong.high < 0.03
    assert weak.accuracy < 0.7 < strong.accuracy


def test_predictions_that_contradict_most_labels_give_no_lower_end():
    found = noise.estimate_noise_range(*_predicted(known(2000, torch.eye(10, dtype=torch.float64), distance=1.0)))
    assert found.disagreement > 0.5
    assert found.low == 0
    assert not found.told
    much = noise.estimate_noise_range(*_predicted(known(2000, noise.symmetric(0.6, 10).to_dense(), distance=5.0)))
    assert much.low == 0
    assert much.estimate == pytest.approx(0.6, abs=0.05)
    assert much.high > 0.6


def _predicted(data) -> tuple[torch.Tensor, torch.Tensor]:
    return data.probs, data.labels


def test_anchors_are_the_most_confident_predictions_of_each_class():
    # of ten predictions of class 0, the two most confident ones have labels 0 and 1; of class 1 all labels are 1
    confidence = torch.tensor([0.99, 0.98, 0.97, 0.96, 0.95] + [0.8] * 5 + [0.9] * 10, dtype=torch.float64)
    predicted = torch.tensor([0] * 10 + [1] * 10)
    probs = torch.where(torch.arange(2) == predicted[:, None], confidence[:, None], 1 - confidence[:, None])
    labels = predicted.clone()
    labels[1] = 1
    labels[5:10] = 1
    found = noise.estimate_noise_range(probs, labels)
    # the first 20 %: 1 of 2; the first half: 1 of 5; all of class 1 are equally confident, and 0 of 10 differ
    assert found.principles["anchors"] == pytest.approx(0.1)
    assert found.principles["disagreement"] == pytest.approx(0.3)


@pytest.mark.parametrize("confidence", [-0.1, 1.0, "high"])
def test_the_confidence_is_a_fraction(confidence):
    with pytest.raises((ValueError, TypeError), match="confidence: "):
        noise.estimate_noise_range(torch.eye(2), torch.tensor([0, 1]), confidence=confidence)
