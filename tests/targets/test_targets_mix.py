"""Convex combinations of targets."""

from typing import Any

import pytest
import torch

from softtargets import targets
from softtargets.targets import Targets

LABELS = torch.tensor([2, 0, 1, 3])
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
ASYMMETRIC = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)


def close(made: Targets, expected: list[list[float]]) -> None:
    size = len(expected[0])
    torch.testing.assert_close(
        made.to_dense(size).double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0, torch.tensor([0.0, 0.2, 0.9, 1.0], dtype=torch.float64)])
@pytest.mark.parametrize("second", ["hard", "smooth", "prior", "table"])
@pytest.mark.parametrize("first", ["hard", "smooth", "prior", "dense"])
def test_mix_is_the_convex_combination(first: str, second: str, weight: float | torch.Tensor) -> None:
    def make(form: str, labels: torch.Tensor) -> Targets:
        rules = {
            "hard": lambda: targets.hard(labels),
            "smooth": lambda: targets.smooth(labels, 0.4),
            "prior": lambda: targets.smooth(labels, 0.4, prior=PRIOR),
            "table": lambda: targets.from_table(labels, ASYMMETRIC),
            "dense": lambda: targets.dense(ASYMMETRIC[labels]),
        }
        return rules[form]()

    a, b = make(first, LABELS), make(second, LABELS.flip(0))
    if "smooth" in (first, second) and {first, second} & {"prior", "table", "dense"}:
        a, b = (targets.dense(t.to_dense(4)) if t.num_classes is None else t for t in (a, b))
    column = weight[:, None] if isinstance(weight, torch.Tensor) else weight
    expected = column * a.to_dense(4).double() + (1 - column) * b.to_dense(4).double()
    made = targets.mix(a, b, weight)
    close(made, expected.tolist())
    torch.testing.assert_close(made.mass().double(), expected.sum(-1), rtol=0, atol=1e-12)


def test_mix_stays_factored_where_it_can() -> None:
    made = targets.mix(targets.smooth(LABELS, 0.1), targets.smooth(LABELS.flip(0), 0.1), 0.3)
    assert made.values is None
    assert made.index is not None
    assert made.index.shape == (4, 2)


def test_mixing_unlike_uniform_targets_finds_the_number_of_classes() -> None:
    made = targets.mix(targets.smooth(LABELS, 0.4), targets.from_table(LABELS, ASYMMETRIC), 0.5)
    close(made, (0.5 * targets.smooth(LABELS, 0.4).to_dense(4) + 0.5 * ASYMMETRIC[LABELS]).tolist())


def test_an_example_ignored_in_either_is_ignored_in_the_mixture() -> None:
    a = targets.hard(torch.tensor([0, -1, 1, 0]), ignore_index=-1)
    b = targets.hard(torch.tensor([0, 1, -1, 1]), ignore_index=-1)
    for made in (targets.mix(a, b, 0.5), targets.mix(a, targets.dense(b.to_dense(3)), 0.5)):
        assert made.ignored is not None
        assert made.ignored[1]
    both = targets.mix(a, b, 0.5)
    assert both.mass().tolist() == [1, 0, 0, 1]


def test_masks_that_are_equal_mix() -> None:
    valid = torch.tensor([True, True, True, True, False])
    a, b = (targets.smooth(LABELS, 0.1, valid=mask) for mask in (valid, valid.clone()))
    torch.testing.assert_close(targets.mix(a, b, 0.5).to_dense(), a.to_dense(), rtol=0, atol=1e-15)


def test_the_ends_are_either_of_the_two() -> None:
    a, b = targets.smooth(LABELS, 0.4), targets.hard(LABELS.flip(0))
    assert torch.equal(targets.mix(a, b, 1.0).to_dense(4), a.to_dense(4))
    assert torch.equal(targets.mix(a, b, 0.0).to_dense(4), b.to_dense(4))


def test_the_one_label_there_is_is_kept_and_two_are_none() -> None:
    hard = targets.hard(LABELS)
    assert targets.mix(hard, targets.smooth(LABELS, 0.3), 0.5).labels is LABELS
    assert targets.mix(hard, targets.from_table(LABELS, ASYMMETRIC), 0.5).labels is LABELS
    assert targets.mix(hard, targets.hard(LABELS.flip(0)), 0.5).labels is None
    assert (
        targets.mix(targets.mix(hard, targets.hard(LABELS.flip(0)), 0.5), targets.dense(ASYMMETRIC), 0.5).labels is None
    )


def test_distillation_weighs_by_the_label() -> None:
    hard, teacher = targets.hard(LABELS), targets.dense(ASYMMETRIC)
    class_weight = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)
    for made in (targets.mix(hard, teacher, 0.3), targets.mix(teacher, hard, 0.3)):
        assert made.labels is LABELS
        assert torch.equal(targets.example_weights(made, class_weight), class_weight[LABELS])


def test_a_weight_in_half_precision_keeps_the_mass() -> None:
    weight = torch.full((4,), 0.3, dtype=torch.bfloat16)
    torch.testing.assert_close(
        targets.mix(targets.hard(LABELS), targets.hard(LABELS.flip(0)), weight).mass(),
        torch.ones(4, dtype=torch.float64),
        rtol=0,
        atol=1e-15,
    )


def test_labels_are_mixed_as_hard_targets() -> None:
    other = LABELS.flip(0)
    made = targets.mix(LABELS, other, 0.3)
    assert torch.equal(made.to_dense(4), targets.mix(targets.hard(LABELS), targets.hard(other), 0.3).to_dense(4))
    ignored = targets.mix(LABELS.masked_fill(LABELS == 0, -100), other, 0.3)
    assert ignored.ignored is not None
    assert ignored.ignored.tolist() == [False, True, False, False]


WRONG: list[tuple[str, Any, str]] = [
    (
        "mix shapes",
        lambda: targets.mix(targets.hard(LABELS), targets.hard(LABELS[:2]), 0.5),
        r"b: the shape of a, \(4,\)",
    ),
    ("mix weight", lambda: targets.mix(targets.hard(LABELS), targets.hard(LABELS), 1.2), "weight: .*; got 1.2"),
    (
        "mix weights",
        lambda: targets.mix(targets.hard(LABELS), targets.hard(LABELS), torch.full((4, 1), 0.5)),
        r"weight: a number or shape \(4,\), one per example; got shape \(4, 1\)",
    ),
    (
        "mix masks",
        lambda: targets.mix(targets.hard(LABELS), targets.smooth(LABELS, 0.1, valid=torch.ones(4).bool()), 0.5),
        "b: the valid classes of a; got another mask",
    ),
    (
        "mix classes",
        lambda: targets.mix(targets.dense(torch.ones(4, 5)), targets.dense(torch.ones(4, 6)), 0.5),
        "b: 5 classes, as a; got 6; use the same classes for both",
    ),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
