"""Label smoothing, against hand-computed numbers and slow loops."""

from typing import Any

import pytest
import torch
from reference import losses as reference

from softtargets import losses, targets
from softtargets.matrices import LabelMatrix
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


@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
def test_smooth_by_a_prior(smoothing: float) -> None:
    one_hot = torch.eye(4, dtype=torch.float64)[LABELS].tolist()
    expected = [reference.smoothed_by_prior(row, smoothing, PRIOR.tolist()) for row in one_hot]
    close(targets.smooth(LABELS, smoothing, prior=PRIOR), expected)


def test_no_smoothing_is_hard() -> None:
    assert torch.equal(targets.smooth(LABELS, 0).to_dense(4), targets.hard(LABELS).to_dense(4))


def test_a_smoothing_for_every_example() -> None:
    rates = [0.0, 0.1, 0.5, 1.0]
    made = targets.smooth(LABELS, torch.tensor(rates, dtype=torch.float64))
    close(made, [reference.smoothed(y, r, 4) for y, r in zip(LABELS.tolist(), rates, strict=True)])
    in_a_grid = targets.smooth(LABELS.view(2, 2), torch.tensor(rates, dtype=torch.float64).view(2, 2))
    assert torch.equal(in_a_grid.to_dense(4), made.to_dense(4).view(2, 2, 4))


@pytest.mark.parametrize("rows", [False, True])
def test_smoothing_over_the_valid_classes(rows: bool) -> None:
    valid = torch.tensor([True, True, True, False])
    masks = valid.expand(3, 4).clone()
    if rows:
        masks[1] = torch.tensor([True, False, False, False])
    labels = torch.tensor([2, 0, 1])
    made = targets.smooth(labels, 0.3, valid=masks if rows else valid)
    close(made, [reference.smoothed_over_valid(int(y), 0.3, m.tolist()) for y, m in zip(labels, masks, strict=True)])


@pytest.mark.parametrize("form", ["hard", "smooth", "prior", "factored", "table", "dense", "mixed"])
@pytest.mark.parametrize("prior", [None, PRIOR])
def test_smoothing_targets_that_are_soft_already(form: str, prior: torch.Tensor | None) -> None:
    soft = {
        "hard": targets.hard(LABELS),
        "smooth": targets.smooth(LABELS, 0.4),
        "prior": targets.smooth(LABELS, 0.4, prior=PRIOR),
        "table": targets.from_table(LABELS, ASYMMETRIC),
        "factored": targets.from_table(LABELS, LabelMatrix(4, keep=1.0, rest=-0.3)),  # a mass of .7
        "dense": targets.dense(2 * ASYMMETRIC[LABELS] - 0.1),  # another mass, negative weights
        "mixed": targets.mix(targets.hard(LABELS), targets.smooth(LABELS.flip(0), 0.2), 0.3),
    }[form]
    spread = [0.25] * 4 if prior is None else prior.tolist()
    before = soft.to_dense(4)
    expected = [reference.smoothed_by_prior(row, 0.3, spread) for row in before.tolist()]
    made = targets.smooth(soft, 0.3, prior=prior, num_classes=4)
    close(made, expected)
    torch.testing.assert_close(made.mass(), before.sum(-1), rtol=0, atol=1e-12)
    assert made.labels is soft.labels


def test_another_prior_tells_the_number_of_classes() -> None:
    once = targets.smooth(LABELS, 0.4)
    close(
        targets.smooth(once, 0.3, prior=PRIOR),
        [reference.smoothed_by_prior(reference.smoothed(int(y), 0.4, 4), 0.3, PRIOR.tolist()) for y in LABELS],
    )


def test_all_smoothing_is_the_prior_and_one_hot_rows_are_hard() -> None:
    close(targets.smooth(LABELS, 1.0, prior=PRIOR), [PRIOR.tolist()] * 4)
    close(targets.dense(torch.eye(4)[LABELS]), targets.hard(LABELS).to_dense(4).tolist())


def test_negative_smoothing_is_allowed_and_warned_about() -> None:
    with pytest.warns(UserWarning, match="smoothing: -0.5 is negative, so the loss is unbounded below") as record:
        made = targets.smooth(torch.tensor([0]), -0.5, allow_negative=True)
    assert record[0].filename == __file__
    close(made, [[1.5 - 0.125, -0.125, -0.125, -0.125]])


@pytest.mark.parametrize("learned", ["smoothing", "prior", "table", "weight"])
def test_nothing_is_said_or_refused_where_an_ingredient_is_learned(learned: str) -> None:
    leaf = {
        "smoothing": torch.tensor(0.2, dtype=torch.float64),
        "prior": PRIOR.clone(),
        "table": ASYMMETRIC.clone(),
        "weight": torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64),
    }[learned].requires_grad_()
    made = {
        "smoothing": lambda: targets.smooth(LABELS, leaf),
        "prior": lambda: targets.smooth(LABELS, 0.1, prior=leaf),
        "table": lambda: targets.backward_corrected(LABELS, leaf),
        "weight": lambda: targets.mix(targets.hard(LABELS), targets.hard(LABELS.flip(0)), leaf),
    }[learned]()
    (gradient,) = torch.autograd.grad(made.to_dense(4).square().sum(), leaf)
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("form", ["labels", "smooth", "dense"])
def test_a_smoothing_in_half_precision_keeps_the_mass(form: str, dtype: torch.dtype) -> None:
    soft = {"labels": LABELS, "smooth": targets.smooth(LABELS, 0.1), "dense": targets.dense(ASYMMETRIC)}[form]
    made = targets.smooth(soft, torch.full((4,), 0.3, dtype=dtype))
    torch.testing.assert_close(made.mass(), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-14)


def test_smoothing_under_another_mask_leaves_the_first_where_it_was() -> None:
    a = torch.tensor([True, True, False, False])
    b = torch.tensor([True, True, True, False])
    labels = torch.tensor([0, 1])
    first = targets.smooth(labels, 0.4, valid=a)
    close(targets.smooth(first, 0.0, valid=b), first.to_dense().tolist())
    close(targets.smooth(first, 0.3, valid=b), (0.7 * first.to_dense() + 0.1 * b.double()).tolist())
    assert targets.smooth(first, 0.3, valid=a.clone()).values is None, "the same mask again"


def test_trap_42_the_number_of_classes_is_recorded_and_other_logits_are_refused() -> None:
    labels = torch.tensor([2, 0])
    made = targets.smooth(labels, 0.1, convention="others", num_classes=3)
    assert made.num_classes == 3
    assert targets.smooth(made, 0.1).num_classes == 3
    with pytest.raises(ValueError, match="targets: 10 classes, as the logits; got 3"):
        losses.cross_entropy(torch.zeros(2, 10), made)
    with pytest.raises(ValueError, match="num_classes: 3, the number of classes of the targets; got 4; leave it out"):
        targets.smooth(made, 0.1, num_classes=4)
    with pytest.raises(ValueError, match=r"labels_or_targets: labels of at least 0 and below 3.*; got 3 at row 1"):
        targets.smooth(torch.tensor([0, 3]), 0.1, num_classes=3)
    with pytest.raises(ValueError, match=r"labels_or_targets: .* below 2.*; got 2 at index \(0, 0\)"):
        targets.smooth(targets.hard(labels), 0.1, num_classes=2)
    with pytest.raises(ValueError, match="prior: 3 classes, as the targets; got 4"):
        targets.smooth(labels, 0.1, num_classes=3, prior=PRIOR)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (torch.tensor([0.0, 1.0]), r"use labels_or_targets.long\(\) if these are class numbers"),
        (torch.tensor([[0.0, 2.0], [1.0, 3.0]]), r"use labels_or_targets.long\(\) if these are class numbers"),
        (torch.tensor([[0.25, 0.75]]), r"use targets.dense\(labels_or_targets\) if these are probabilities"),
    ],
)
def test_float_labels_get_the_advice_that_fits(given: torch.Tensor, advice: str) -> None:
    with pytest.raises(TypeError, match=rf"labels_or_targets: integer labels or Targets; got a tensor of .*; {advice}"):
        targets.smooth(given, 0.1)


WRONG: list[tuple[str, Any, str]] = [
    (
        "endless smoothing",
        lambda: targets.smooth(LABELS, -float("inf"), allow_negative=True),
        "smoothing: finite; got -inf; choose a finite value",
    ),
    (
        "a mask of another shape",
        lambda: targets.smooth(LABELS, 0.1, valid=torch.ones(3, 4).bool()),
        r"valid: shape \(K,\) or \(4, K\) with K >= 2; got \(3, 4\); give one mask",
    ),
    (
        "a mask of numbers",
        lambda: targets.smooth(LABELS, 0.1, valid=torch.ones(4)),
        r"valid: a bool tensor; got dtype torch.float32; use valid.bool\(\)",
    ),
    (
        "a mask of other classes than the prior",
        lambda: targets.smooth(LABELS, 0.1, prior=PRIOR, valid=torch.ones(5).bool()),
        "valid: 4 classes, as the targets; got 5; use the same classes in all fields",
    ),
    (
        "a prior without mass",
        lambda: targets.smooth(
            torch.tensor([0]), 0.1, prior=torch.tensor([0.0, 1.0]), valid=torch.tensor([[True, False]])
        ),
        "prior: mass on the valid classes; got none at row 0; fix the mask, or leave that example unsmoothed",
    ),
    (
        "a prior without mass for what is dense",
        lambda: targets.smooth(
            targets.dense(torch.tensor([[1.0, 0.0]])),
            0.1,
            prior=torch.tensor([0.0, 1.0]),
            valid=torch.tensor([True, False]),
        ),
        "prior: mass on the valid classes; got none at row 0",
    ),
    (
        "smoothing above 1",
        lambda: targets.smooth(LABELS, 1.5),
        r"smoothing: in \[0, 1\]; got 1.5; choose a value between 0 and 1",
    ),
    ("negative smoothing", lambda: targets.smooth(LABELS, -0.1), "got -0.1; .*; below 0 needs allow_negative=True"),
    ("smoothing nan", lambda: targets.smooth(LABELS, float("nan")), "smoothing: .*; got nan"),
    ("allowed above 1", lambda: targets.smooth(LABELS, 2.0, allow_negative=True), "got 2; choose at most 1"),
    (
        "smoothing per example",
        lambda: targets.smooth(LABELS, torch.tensor([0.1, 0.2, 1.5, 0.1])),
        r"smoothing: in \[0, 1\]; got 1.5 at row 2",
    ),
    (
        "one smoothing for two",
        lambda: targets.smooth(LABELS, torch.tensor([0.1, 0.2])),
        r"smoothing: a number or shape \(4,\), one per example; got shape \(2,\)",
    ),
    ("a column", lambda: targets.smooth(LABELS, torch.full((4, 1), 0.1)), r"smoothing: .*; got shape \(4, 1\)"),
    ("smoothing a str", lambda: targets.smooth(LABELS, "0.1"), "smoothing: a number, or a tensor .*; got str"),  # pyright: ignore
    ("prior sum", lambda: targets.smooth(LABELS, 0.1, prior=PRIOR * 2), "prior: a sum of 1; got 2; divide it by its"),
    (
        "prior sign",
        lambda: targets.smooth(LABELS, 0.1, prior=PRIOR - 0.15),
        "prior: probabilities; got -0.05 at class 0",
    ),
    ("prior shape", lambda: targets.smooth(LABELS, 0.1, prior=PRIOR[None]), r"prior: shape \(K,\).*got \(1, 4\)"),
    ("prior int", lambda: targets.smooth(LABELS, 0.1, prior=LABELS), "prior: a floating-point tensor; got dtype"),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors_name_the_argument_the_place_and_the_remedy(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
