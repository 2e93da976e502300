"""Suspects by the confident joint, and how many of a ranking are wrong."""

import math

import pytest
import torch
from reference import noise as reference

from benchmarks.simulated import asymmetric, known, seeded
from softtargets import noise


def test_suspects_are_off_the_diagonal_and_not_predicted() -> None:
    data = known(300, asymmetric(), distance=2)
    joint = noise.confident_joint(data.probs, data.labels)
    found = noise.confident_suspects(data.probs, data.labels, joint)
    bounds = reference.thresholds(data.probs.tolist(), data.labels.tolist())
    expected = []
    for row, label in zip(data.probs.tolist(), data.labels.tolist(), strict=True):
        clean = reference.confident_class(row, bounds)
        expected.append(clean is not None and clean != label and row[label] < max(row))
    assert found.tolist() == expected
    assert 0 < sum(expected) < 300


def test_a_predicted_label_is_no_suspect_though_another_class_alone_is_confident() -> None:
    probs = torch.tensor([[0.6, 0.4], [1.0, 0.0], [0.7, 0.3]])
    labels = torch.tensor([0, 0, 1])  # thresholds .8 and .3: row 0 is confident of class 1 alone
    joint = noise.confident_joint(probs, labels)
    assert joint.counts.tolist() == [[1, 0], [1, 1]]
    assert noise.confident_suspects(probs, labels, joint).tolist() == [False, False, False]


def test_limits_one_hot_probabilities_of_the_labels_have_no_suspect() -> None:
    labels = torch.tensor([0, 1, 2, 1])
    assert not bool(
        noise.confident_suspects(
            torch.eye(3)[labels], labels, noise.confident_joint(torch.eye(3)[labels], labels)
        ).any()
    )


def test_the_joint_is_of_the_same_classes() -> None:
    joint = noise.confident_joint(torch.full((2, 2), 0.5), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"joint: 3 classes, as in probs; got 2; pass confident_joint"):
        noise.confident_suspects(torch.full((2, 3), 1 / 3), torch.tensor([0, 1]), joint)


def test_expected_counts_by_hand() -> None:
    found = noise.expected_wrong(torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64), torch.tensor([2, 0]))
    torch.testing.assert_close(found.expected, torch.tensor([0.9, 1.4], dtype=torch.float64))
    width = [1.959963984540054 * math.sqrt(variance) for variance in (0.09, 0.09 + 0.25)]
    low = [0.9 - width[0], 1.4 - width[1]]
    torch.testing.assert_close(found.low, torch.tensor(low, dtype=torch.float64))
    assert found.high.tolist() == [1.0, 2.0], "no more than there are"
    assert found.confidence == 0.95


def test_the_rate_moves_all_odds_alike() -> None:
    wrong = torch.rand(1000, generator=seeded(0), dtype=torch.float64)
    wrong[:2] = torch.tensor([0.0, 1.0])
    found = noise.expected_wrong(wrong, torch.arange(1000), noise_rate=0.1)
    assert float(found.expected[-1]) == pytest.approx(100, abs=1e-9)
    each = found.expected.diff(prepend=torch.zeros(1, dtype=torch.float64))
    assert each[:2].tolist() == [0, 1], "what is certain stays so"
    shift = torch.logit(each[2:]) - torch.logit(wrong[2:])
    assert float(shift.max() - shift.min()) < 1e-6


def test_an_uncertain_rate_widens_the_interval_as_squares_add() -> None:
    wrong = torch.full((400,), 0.3, dtype=torch.float64)
    alone = noise.expected_wrong(wrong, torch.arange(400), noise_rate=0.2)
    both = noise.expected_wrong(wrong, torch.arange(400), noise_rate=0.2, noise_rate_interval=(0.15, 0.22))
    chance = 1.959963984540054 * math.sqrt(400 * 0.2 * 0.8)
    assert float(both.expected[-1]) == pytest.approx(80)
    assert float(alone.low[-1]) == pytest.approx(80 - chance)
    assert float(both.low[-1]) == pytest.approx(80 - math.hypot(chance, 20))
    assert float(both.high[-1]) == pytest.approx(80 + math.hypot(chance, 8))


def test_limits_certain_probabilities_have_no_width() -> None:
    found = noise.expected_wrong(torch.tensor([1.0, 0.0, 1.0]), torch.arange(3))
    assert found.expected.tolist() == found.low.tolist() == found.high.tolist() == [1, 1, 2]


def test_the_interval_covers_what_is_wrong_where_probabilities_are_true() -> None:
    wrong = torch.rand(300, generator=seeded(1), dtype=torch.float64) ** 2
    order = noise.suspect_order(1 - wrong)
    found = noise.expected_wrong(wrong, order, confidence=0.9)
    draws = torch.rand(500, 300, generator=seeded(2), dtype=torch.float64) < wrong[order]
    counts = draws.double().cumsum(1)
    covered = ((counts >= found.low) & (counts <= found.high)).double().mean(0)
    torch.testing.assert_close(counts.mean(0), found.expected, rtol=0, atol=1.5)
    # for few examples whole counts cannot meet 90 % exactly
    assert 0.85 < float(covered[50:].min()) <= float(covered[50:].max()) < 0.96


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wrong": torch.tensor([0.5, 1.5])}, r"wrong: in \[0, 1\]; got 1.5 at row 1"),
        ({"wrong": torch.ones(2, 2)}, r"wrong: shape \(N,\); got \(2, 2\)"),
        ({"order": torch.tensor([0, 2])}, "order: ids of .*below 2.*; got 2 at row 1"),
        ({"noise_rate": 1.2}, r"noise_rate: in \[0, 1\]; got 1.2"),
        ({"confidence": -1.0}, r"confidence: in \[0, 1\]; got -1"),
        (
            {"noise_rate": 0.5, "noise_rate_interval": (0.1, 0.2)},
            "noise_rate: between 0.1 and 0.2, its interval; got 0.5",
        ),
        ({"noise_rate_interval": (0.1, 0.2)}, "noise_rate: between 0.1 and 0.2, its interval; got None"),
    ],
)
def test_errors_of_expected_wrong(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise.expected_wrong(**{"wrong": torch.tensor([0.5, 0.5]), "order": torch.arange(2), **arguments})


def test_the_parts_of_the_result() -> None:
    assert isinstance(noise.expected_wrong(torch.tensor([0.5]), torch.arange(1)), noise.ExpectedWrong)


def test_certain_probabilities_at_full_confidence() -> None:
    found = noise.expected_wrong(torch.tensor([1.0, 0.0]), torch.arange(2), confidence=1.0)
    assert found.low.tolist() == found.high.tolist() == [1, 1]


def test_a_row_stands_once_in_the_order() -> None:
    with pytest.raises(ValueError, match=r"^order: each row once; got a row twice"):
        noise.expected_wrong(torch.tensor([0.5, 0.5]), torch.tensor([1, 1]))


def test_left_out_examples_are_not_marked() -> None:
    probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    labels = torch.tensor([0, 0, 1, 1, -100])
    joint = noise.confident_joint(probs, labels)
    assert noise.confident_suspects(probs, labels, joint).tolist() == [False, False, True, False, False]


def test_results_are_readable() -> None:
    found = noise.expected_wrong(torch.tensor([0.5, 0.5]), torch.arange(2))
    assert repr(found) == "ExpectedWrong(1 [0, 2] of 2 suspects, confidence=0.95)"
    assert found.to_dict()["expected"] == [0.5, 1.0]
    assert (
        repr(noise.confident_joint(torch.eye(2), torch.arange(2)))
        == "ConfidentJoint(2 classes, 2 labels, noise_rate=0)"
    )
