"""The Targets class: its three forms, mass, pytree behaviour, indexing and validation."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch
from torch.utils import _pytree

from softtargets import losses, targets
from softtargets.matrices import LabelMatrix
from softtargets.targets import Targets

LABELS = torch.tensor([2, 0, 1, 2, 3])
TABLE = torch.arange(16, dtype=torch.float64).reshape(4, 4) / 10
VALID = torch.tensor([True, True, True, True, False])


def every_form() -> dict[str, Targets]:
    hard = targets.hard(LABELS, ignore_index=1)
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    return {
        "hard": hard,
        "smooth": targets.smooth(LABELS, 0.2, valid=torch.tensor([True, True, True, True])),
        "prior": targets.smooth(LABELS, torch.linspace(0, 1, 5), prior=prior),
        "table": targets.from_table(LABELS, TABLE),
        "dense": targets.dense(TABLE[LABELS]),
        "mixed": targets.mix(hard, targets.smooth(LABELS.flip(0), 0.3), 0.25),
        "sized": targets.from_table(LABELS, LabelMatrix.uniform(0.3, 4)),
    }


FORMS = sorted(every_form())


@pytest.mark.parametrize("form", FORMS)
def test_a_pytree_round_trip_changes_nothing(form: str) -> None:
    original = every_form()[form]
    leaves, structure = _pytree.tree_flatten(original)
    back = _pytree.tree_unflatten(leaves, structure)
    assert isinstance(back, Targets)
    assert all(getattr(back, name) is tensor for name, tensor in original.tensors().items())
    assert len(leaves) == len(original.tensors()) > 0


@pytest.mark.parametrize("form", FORMS)
def test_tree_map_reaches_every_tensor(form: str) -> None:
    original = every_form()[form]
    doubled = _pytree.tree_map(lambda leaf: leaf.double() * 2 if leaf.is_floating_point() else leaf, original)
    # every form but the prior's own numbers is linear in its floating-point tensors
    if form != "prior":
        assert torch.equal(doubled.to_dense(4), original.to_dense(4).double() * 2)
    assert torch.equal(original.to_dense(4), every_form()[form].to_dense(4)), "the original is left alone"


@pytest.mark.parametrize("form", ["hard", "smooth", "prior", "table", "dense", "mixed"])
def test_vmap_over_targets_equals_the_batch(form: str) -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    batch = every_form()[form]
    shared = {"table", "valid", "prior"}
    axes = _pytree.tree_unflatten(
        [None if name in shared else 0 for name in batch.tensors()], _pytree.tree_structure(batch)
    )
    one_by_one = torch.func.vmap(losses.cross_entropy, in_dims=(0, axes))(logits, batch)
    torch.testing.assert_close(one_by_one, losses.cross_entropy(logits, batch), rtol=0, atol=1e-14)


def test_vmap_may_make_targets_from_labels_and_smoothings() -> None:
    rates = torch.tensor([0.0, 0.1, 0.5], dtype=torch.float64)
    made = torch.func.vmap(lambda rate: targets.smooth(LABELS, rate).to_dense(4))(rates)
    for row, rate in zip(made, rates, strict=True):
        torch.testing.assert_close(row, targets.smooth(LABELS, float(rate)).to_dense(4), rtol=0, atol=1e-15)
    one = torch.func.vmap(lambda label: targets.from_table(label, TABLE).to_dense())(LABELS)
    assert torch.equal(one, TABLE[LABELS])


@pytest.mark.parametrize("form", FORMS)
def test_mass_is_the_sum_of_the_dense_form(form: str) -> None:
    made = every_form()[form]
    torch.testing.assert_close(made.mass().double(), made.to_dense(4).double().sum(-1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("form", FORMS)
def test_to_moves_every_tensor(form: str) -> None:
    moved = every_form()[form].to("meta")
    assert all(tensor.is_meta for tensor in moved.tensors().values())
    assert moved.shape == every_form()[form].shape


def in_a_grid(made: Targets) -> Targets:
    """Give every form three rows of five examples."""
    per_example = {"index", "value", "values", "row", "rest", "labels", "ignored"}
    stacked = {
        name: torch.stack([tensor.roll(i, 0) for i in range(3)])
        for name, tensor in made.tensors().items()
        if name in per_example
    }
    return replace(made, **stacked)


EVERYWHERE = [
    (),
    0,
    slice(1, 3),
    (slice(0, 2),),
    (slice(2, 9),),
    (2, slice(1, 4)),
    (1, 2),
    (slice(None), 3),
    (..., 3),
    (0, ...),
    torch.tensor([2, 0]),
    (slice(None), torch.tensor([4, 1])),
    torch.arange(15).view(3, 5) % 2 == 0,
]


@pytest.mark.parametrize("at", EVERYWHERE, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_an_index_takes_examples_as_it_would_from_the_dense_form(form: str, at: Any) -> None:
    whole = in_a_grid(every_form()[form])
    part = whole[at]
    everything = (*at, slice(None)) if isinstance(at, tuple) else (at, slice(None))
    expected = whole.to_dense(4)[everything]
    assert part.shape == expected.shape[:-1]
    assert torch.equal(part.to_dense(4), expected)
    assert torch.equal(part.mass(), whole.mass()[at])
    assert (part.prior, part.table) == (whole.prior, whole.table), "shared"
    for name in ("labels", "ignored"):
        there = getattr(whole, name)
        assert getattr(part, name) is None if there is None else torch.equal(getattr(part, name), there[at])
    names, size, temperature = _pytree.tree_structure(part).context
    assert set(names) == set(whole.tensors())
    assert (size, temperature) == (whole.size, whole.temperature)


@pytest.mark.parametrize("mask", [VALID[:4], torch.ones(1, 4).bool(), torch.tensor([[True] * 4, [True] * 3 + [False]])])
def test_a_mask_is_taken_with_its_examples(mask: torch.Tensor) -> None:
    whole = targets.smooth(torch.tensor([[0, 1], [2, 0], [1, 1]]), 0.3, valid=mask)
    for at in ((1,), (slice(0, 2),), (2, slice(1, 2)), (..., 0)):
        assert torch.equal(whole[at].to_dense(4), whole.to_dense(4)[(*at, slice(None))])
    assert mask.ndim > 1 or whole[1].valid is mask


def test_a_slice_is_a_view_and_too_many_indices_are_refused() -> None:
    whole = targets.dense(TABLE)
    part = whole[1:3]
    assert part.values is not None
    assert part.values.data_ptr() == TABLE[1:3].data_ptr()
    with pytest.raises(IndexError):
        whole[0, 0]


def test_targets_compare_by_identity_and_can_be_keys() -> None:
    one, other = targets.hard(LABELS), targets.hard(LABELS)
    assert one == one
    assert one != other
    assert {one: 1, other: 2}[one] == 1


def test_a_repr_is_one_short_line() -> None:
    assert repr(targets.hard(LABELS, ignore_index=1)) == (
        "Targets(factored, shape=(5,), num_classes=None, with ignored examples)"
    )
    assert repr(targets.from_table(LABELS, TABLE)) == "Targets(table, shape=(5,), num_classes=4)"


def test_targets_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        targets.hard(LABELS).labels = LABELS  # pyright: ignore[reportAttributeAccessIssue]


def test_ignored_rows_are_zero_in_mass_and_dense_form() -> None:
    made = targets.smooth(targets.hard(torch.tensor([0, -100, 2]), ignore_index=-100), 0.3)
    assert made.mass().tolist() == pytest.approx([1, 0, 1])
    assert made.to_dense(3)[1].tolist() == [0, 0, 0]


def test_the_prior_is_spread_over_valid_classes_only() -> None:
    prior = torch.tensor([0.1, 0.2, 0.2, 0.1, 0.4], dtype=torch.float64)
    made = targets.smooth(torch.tensor([1]), 0.6, prior=prior, valid=VALID)
    assert made.to_dense()[0].tolist() == pytest.approx([0.1, 0.4 + 0.2, 0.2, 0.1, 0.0])


@pytest.mark.parametrize(
    ("form", "expected"),
    [("hard", None), ("smooth", 4), ("prior", 4), ("table", 4), ("dense", 4), ("mixed", None), ("sized", 4)],
)
def test_num_classes_is_known_where_it_can_be(form: str, expected: int | None) -> None:
    assert every_form()[form].num_classes == expected


def test_to_dense_says_when_it_needs_the_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"^num_classes: a number, because .*; got None; pass num_classes=$"):
        targets.hard(LABELS).to_dense()


@pytest.mark.parametrize(
    ("made", "size", "message"),
    [
        (targets.hard(torch.tensor([0, 7])), 3, "labels: .*below 3, .*; got 7 at row 1"),
        (targets.dense(TABLE), 7, "num_classes: 4, the number of classes of the targets; got 7; leave it out"),
        (
            targets.from_table(LABELS, LabelMatrix.uniform(0.3, 4)),
            5,
            "num_classes: 4, the number of classes of the targets; got 5",
        ),
    ],
)
def test_to_dense_is_over_the_classes_there_are(made: Targets, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made.to_dense(size)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Targets: exactly one of index, table and values; got 0"),
        ({"values": TABLE, "index": LABELS[:, None], "value": TABLE[:, :1]}, "exactly one .*; got 2"),
        (
            {"index": LABELS[:, None]},
            "Targets: index together with value, or table together with row; got only one of the two",
        ),
        (
            {"index": LABELS[:, None], "value": TABLE},
            r"value: shape \(5, 1\), as index; got \(4, 4\); make both shapes equal",
        ),
        ({"values": [[0.5, 0.5]]}, "values: a tensor; got list; create targets with targets.hard"),
        ({"values": torch.tensor(0.5)}, "values: at least one dimension; got a 0-d tensor"),
        ({"values": TABLE, "row": LABELS}, "index together with value, or table together with row"),
        (
            {"values": TABLE, "prior": torch.ones(5) / 5},
            "values: 5 classes, as the targets; got 4; use the same classes in all fields",
        ),
        ({"values": TABLE, "size": 3}, "values: 3 classes, as the targets; got 4; use the same classes in all fields"),
        (
            {"values": TABLE, "valid": VALID},
            "valid: 4 classes, as the targets; got 5; use the same classes in all fields",
        ),
        (
            {"values": TABLE, "valid": VALID[:4].expand(3, 4)},
            r"valid: shape \(K,\) or \(4, K\) with K >= 2; got \(3, 4\); give one mask for all",
        ),
        (
            {"values": TABLE, "valid": VALID[:4].float()},
            r"valid: a bool tensor; got dtype torch.float32; use valid.bool",
        ),
        (
            {"values": TABLE, "ignored": torch.tensor([True])},
            r"ignored: shape \(4,\), one per example; got \(1,\); mark every example",
        ),
        ({"values": TABLE, "ignored": torch.zeros(4).long()}, r"ignored: a bool tensor; got dtype torch.int64"),
    ],
)
def test_malformed_targets_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Targets(**fields)


def test_replace_keeps_the_type_for_what_a_rule_does_not_offer() -> None:
    ignored = torch.tensor([False, True, False, False, False])
    soft = replace(targets.dense(TABLE[LABELS]), ignored=ignored)
    assert soft.mass()[1] == 0
    assert float(losses.cross_entropy(torch.zeros(5, 4), soft)[1]) == 0
