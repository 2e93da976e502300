"""Class weights as example weights, and as torch applies them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from reference import rules as reference

from softtargets import losses, targets
from softtargets.targets import Targets

LABELS = torch.tensor([2, 0, 1, 3, 3])
WEIGHT = torch.tensor([0.5, 1.0, 0.0, 20.0], dtype=torch.float64)
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
TABLE = torch.rand(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).softmax(-1)
MASK = torch.tensor([True, True, False, True])
MASKS = torch.tensor([[True] * 4, [True, False, True, False], [False, True, True, True], MASK.tolist(), [True] * 4])
LOGITS = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).mul(2)


def forms() -> dict[str, Targets]:
    hard = targets.hard(LABELS, ignore_index=1)
    return {
        "hard": hard,
        "smooth": targets.smooth(hard, 0.2),
        "rates": targets.smooth(LABELS, torch.linspace(0, 1, 5, dtype=torch.float64)),
        "prior": targets.smooth(LABELS, 0.3, prior=PRIOR),
        "mask": targets.smooth(torch.tensor([1, 0, 1, 3, 3]), 0.3, valid=MASK),
        "masks": targets.smooth(LABELS, 0.3, valid=MASKS, prior=PRIOR),
        "table": targets.from_table(LABELS, TABLE),
        "dense": targets.dense(TABLE[LABELS]),
        "mixed": targets.mix(hard, targets.smooth(LABELS.flip(0), 0.3), 0.25),
        "factored, negative": Targets(
            index=torch.tensor([[0, 0]]).expand(5, 2), value=torch.tensor([[0.7, -0.2]]).double().expand(5, 2)
        ),
    }


@pytest.mark.parametrize("form", sorted(forms()))
def test_reweighting_is_class_by_class_and_keeps_the_form(form: str) -> None:
    before = forms()[form]
    after = targets.reweight(before, WEIGHT)
    expected = [reference.reweighted(row, WEIGHT.tolist()) for row in before.to_dense(4).tolist()]
    torch.testing.assert_close(after.to_dense(4).tolist(), expected, rtol=0, atol=1e-12)
    for name in ("index", "table", "values", "rest"):
        assert (getattr(after, name) is None) == (getattr(before, name) is None)
    assert after.labels is before.labels
    loss = losses.cross_entropy(LOGITS, after)
    direct = -(torch.tensor(expected, dtype=torch.float64) * log_probs(before)).nan_to_num().sum(-1)
    torch.testing.assert_close(loss, direct, rtol=0, atol=1e-12)


def log_probs(made: Targets) -> torch.Tensor:
    z = LOGITS if made.valid is None else LOGITS.masked_fill(~made.valid, -torch.inf)
    return z.log_softmax(-1)


@pytest.mark.parametrize("form", sorted(forms()))
def test_reweighting_by_ones_changes_nothing(form: str) -> None:
    before = forms()[form]
    after = targets.reweight(before, torch.ones(4))
    torch.testing.assert_close(after.to_dense(4), before.to_dense(4), rtol=0, atol=1e-15, check_dtype=False)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reweighting_gives_the_numbers_of_torch(smoothing: float, reduction: Any) -> None:
    theirs = torch.nn.functional.cross_entropy(
        LOGITS, LABELS, weight=WEIGHT, label_smoothing=smoothing, reduction=reduction
    )
    ours = losses.cross_entropy(LOGITS, targets.reweight(targets.smooth(LABELS, smoothing), WEIGHT))
    normalizer = WEIGHT[LABELS].sum() if reduction == "mean" else None
    torch.testing.assert_close(losses.reduce(ours, reduction, normalizer=normalizer), theirs, rtol=0, atol=1e-12)


def test_reweighting_gives_the_numbers_of_torch_for_soft_targets() -> None:
    theirs = torch.nn.functional.cross_entropy(LOGITS, TABLE[LABELS], weight=WEIGHT, reduction="mean")
    ours = losses.cross_entropy(LOGITS, targets.reweight(targets.dense(TABLE[LABELS]), WEIGHT))
    torch.testing.assert_close(losses.reduce(ours), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("made", [targets.hard(LABELS), targets.dense(TABLE[LABELS])], ids=["labels", "probabilities"])
def test_negative_class_weights_mean_what_torch_makes_of_them(made: Targets) -> None:
    weight = WEIGHT - 1
    ours = losses.cross_entropy(LOGITS, targets.reweight(made, weight))
    theirs = torch.nn.functional.cross_entropy(LOGITS, made.to_dense(4), weight=weight, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", sorted(forms()))
def test_the_weight_of_an_example_is_its_labels_or_the_mean_of_its_classes(form: str) -> None:
    made = forms()[form]
    rows = made.to_dense(4).tolist()
    kept = torch.ones(5) if made.ignored is None else (~made.ignored).double()
    labels = [None] * 5 if made.labels is None else made.labels.tolist()
    expected = [
        float(k) * reference.example_weight(row, WEIGHT.tolist(), y)
        for k, row, y in zip(kept, rows, labels, strict=True)
    ]
    assert targets.example_weights(made, WEIGHT).tolist() == pytest.approx(expected, abs=1e-12)
    nameless = replace(made, labels=None)
    expected = [reference.example_weight(row, WEIGHT.tolist()) for row in rows]
    assert targets.example_weights(nameless, WEIGHT).tolist() == pytest.approx(expected, abs=1e-12)


def test_weights_of_1_give_the_mass_of_soft_targets() -> None:
    made = targets.dense(TABLE[LABELS] * torch.linspace(0, 2, 5)[:, None])
    torch.testing.assert_close(targets.example_weights(made, torch.ones(4)), made.mass(), rtol=0, atol=1e-15)


def test_a_label_and_its_one_hot_vector_weigh_the_same() -> None:
    one_hot = targets.dense(torch.eye(4)[LABELS])
    expected = WEIGHT[LABELS].tolist()
    assert targets.example_weights(one_hot, WEIGHT).tolist() == expected
    assert targets.example_weights(targets.hard(LABELS), WEIGHT).tolist() == expected


def test_a_hard_target_reweighted_is_an_example_weighted() -> None:
    hard = targets.hard(LABELS)
    weighed = losses.reduce(losses.cross_entropy(LOGITS, hard), "none", weight=targets.example_weights(hard, WEIGHT))
    torch.testing.assert_close(losses.cross_entropy(LOGITS, targets.reweight(hard, WEIGHT)), weighed)


def test_the_weight_under_correction_is_that_of_the_label() -> None:
    made = targets.backward_corrected(LABELS, 0.6 * torch.eye(4) + 0.1)
    assert targets.example_weights(made, WEIGHT).tolist() == WEIGHT[LABELS].tolist()


def test_trap_1_torch_teaches_the_wrong_class_and_example_weights_do_not() -> None:
    made, weight = targets.smooth(torch.tensor([0]), 0.3), torch.tensor([1.0, 1.0, 20.0])
    theirs = targets.reweight(made, weight)
    minimiser = (theirs.to_dense(3) / theirs.mass()[:, None])[0]
    assert minimiser.tolist() == pytest.approx([0.276, 0.034, 0.690], abs=5e-4)
    assert int(minimiser.argmax()) == 2
    assert targets.example_weights(made, weight).tolist() == [1]


def test_gradients_reach_the_class_weights() -> None:
    weight = (WEIGHT + 0.5).requires_grad_()
    for form in ("masks", "prior", "table", "dense", "mixed"):
        made = forms()[form]
        assert torch.autograd.gradcheck(lambda w, made=made: targets.reweight(made, w).to_dense(4), weight)
        assert torch.autograd.gradcheck(lambda w, made=made: targets.example_weights(made, w), weight)


def test_labels_are_weighed_as_hard_targets() -> None:
    assert targets.example_weights(LABELS, WEIGHT).tolist() == WEIGHT[LABELS].tolist()
    made, expected = targets.reweight(LABELS, WEIGHT), targets.reweight(targets.hard(LABELS), WEIGHT)
    assert torch.equal(made.to_dense(4), expected.to_dense(4))
    assert targets.example_weights(LABELS.masked_fill(LABELS == 3, -100), WEIGHT).tolist()[3:] == [0, 0]
    with pytest.raises(ValueError, match="targets: labels of at least 0; got -1 at row 0"):
        targets.example_weights(LABELS - 3, WEIGHT)


NAMELESS = targets.dense(torch.tensor([[0.5, 0.5], [1.2, -0.2]]))

WRONG: list[tuple[str, Any, str]] = [
    (
        "negative without a label",
        lambda: targets.example_weights(NAMELESS, torch.ones(2)),
        r"targets: labels, or entries of at least 0; got -0.2 at index \(1, 1\); create them from integer labels",
    ),
    (
        "as many weights as classes",
        lambda: targets.example_weights(NAMELESS, WEIGHT),
        r"class_weight: shape \(2,\), one weight per class; got \(4,\)",
    ),
    (
        "one weight",
        lambda: targets.reweight(targets.hard(LABELS), torch.ones(1)),
        r"class_weight: shape \(K,\) with K >= 2; got \(1,\)",
    ),
    (
        "a label beyond",
        lambda: targets.reweight(targets.hard(LABELS), WEIGHT[:3]),
        "labels: .* below 3, the number of classes; got 3 at row 3",
    ),
    (
        "negative weight",
        lambda: targets.reweight(targets.smooth(LABELS, 0.3), torch.tensor([1.0, -1.0, 1.0, 1.0])),
        "class_weight: finite weights of at least 0; got -1 at class 1",
    ),
    (
        "negative weight of an example",
        lambda: targets.example_weights(NAMELESS, torch.tensor([1.0, -1.0])),
        "class_weight: finite weights of at least 0; got -1 at class 1",
    ),
    (
        "infinite weight",
        lambda: targets.example_weights(targets.hard(LABELS), WEIGHT / 0),
        "class_weight: finite weights of at least 0; got inf at class 0",
    ),
    (
        "nothing left to smooth over",
        lambda: targets.reweight(
            targets.smooth(torch.tensor([0, 2]), 0.3, valid=torch.tensor([[True] * 4, [False, False, True, False]])),
            WEIGHT,
        ),
        "class_weight: a weight above 0 among the classes that smoothing is spread over; got none for row 1",
    ),
    ("int", lambda: targets.reweight(NAMELESS, LABELS), "class_weight: a floating-point tensor; got dtype torch.int64"),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
