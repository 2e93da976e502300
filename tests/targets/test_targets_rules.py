"""One-hot, table, backward-corrected and dense targets, against hand-computed numbers and slow loops."""

from typing import Any

import pytest
import torch
from reference import losses as reference

from softtargets import noise, targets
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


def test_hard_is_one_hot_in_any_shape() -> None:
    labels = torch.tensor([[0, 2], [1, 1]], dtype=torch.uint8)
    made = targets.hard(labels)
    assert made.shape == (2, 2)
    assert made.to_dense(3).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]]
    assert targets.hard(torch.tensor(1)).to_dense(2).tolist() == [0, 1]


def test_from_table_takes_rows() -> None:
    close(targets.from_table(LABELS, ASYMMETRIC), ASYMMETRIC[LABELS].tolist())
    close(targets.from_table(LABELS, torch.eye(4)), targets.hard(LABELS).to_dense(4).tolist())
    wide = torch.rand(7, 3, dtype=torch.float64)  # rows need not be classes
    close(targets.from_table(torch.tensor([6, 0]), wide), wide[[6, 0]].tolist())


@pytest.mark.parametrize(
    "smearing",
    [
        LabelMatrix.identity(4),
        LabelMatrix.uniform(0.3, 4),
        LabelMatrix(4, keep=0.5, rest=0.5, prior=PRIOR),
        LabelMatrix(4, keep=1.25, rest=-0.25),
        LabelMatrix(4, table=ASYMMETRIC),
    ],
)
def test_from_table_keeps_the_structure_of_a_smearing(smearing: LabelMatrix) -> None:
    made = targets.from_table(LABELS, smearing)
    close(made, smearing.to_dense()[LABELS].tolist())
    assert (made.value is None) == (smearing.table is not None)


def test_backward_is_a_row_of_the_inverse() -> None:
    inverse = reference.inverse(ASYMMETRIC.tolist())
    close(targets.backward_corrected(LABELS, ASYMMETRIC), [inverse[int(y)] for y in LABELS])
    assert float((targets.backward_corrected(LABELS, ASYMMETRIC).mass() - 1).abs().max()) < 1e-12


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_symmetric_backward_is_negative_smoothing(rate: float) -> None:
    transition, alpha = noise.symmetric(rate, 4), rate * 4 / 3
    with pytest.warns(UserWarning, match="unbounded below"):
        same = targets.smooth(LABELS, -alpha / (1 - alpha), allow_negative=True).to_dense(4)
    close(targets.backward_corrected(LABELS, transition), same.tolist())
    close(targets.backward_corrected(LABELS, transition.to_dense()), same.tolist())


def test_symmetric_backward_beyond_redrawing_everything() -> None:
    inverse = reference.inverse(reference.symmetric_transition(0.9, 4))
    close(targets.backward_corrected(LABELS, noise.symmetric(0.9, 4)), [inverse[int(y)] for y in LABELS])


def test_dense_takes_any_mass_and_sign() -> None:
    values = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]], dtype=torch.float64)
    made = targets.dense(values)
    assert torch.equal(made.to_dense(), values)
    assert made.mass().tolist() == [1.5, 0.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_trap_7_strict_targets_are_distributions(dtype: torch.dtype) -> None:
    probs = torch.randn(50, 300, generator=torch.Generator().manual_seed(0)).softmax(-1).to(dtype)
    assert targets.dense(probs, strict=True).values is probs
    assert targets.from_table(torch.tensor([3, 49]), probs, strict=True).table is probs
    for smearing in (
        LabelMatrix.uniform(0.3, 4),
        LabelMatrix(4, keep=0.5, rest=0.5, prior=PRIOR),
        LabelMatrix(4, table=ASYMMETRIC),
    ):
        close(targets.from_table(LABELS, smearing, strict=True), smearing.to_dense()[LABELS].tolist())


def test_all_labels_ignored_are_targets_of_0() -> None:
    made = targets.hard(torch.tensor([-100, -100]), ignore_index=-100)
    assert made.to_dense(3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert made.mass().tolist() == [0, 0]


@pytest.mark.parametrize(
    "rule",
    [
        targets.hard,
        lambda y, **key: targets.from_table(y, ASYMMETRIC, **key),
        lambda y, **key: targets.from_table(y, LabelMatrix.uniform(0.3, 4), **key),
        lambda y, **key: targets.backward_corrected(y, noise.symmetric(0.2, 4), **key),
        lambda y, **key: targets.smooth_by_scores(y, ASYMMETRIC, smoothing=0.3, **key),
        lambda y, **key: targets.disturb_labels(y, 0.0, num_classes=4, **key),
        lambda y, **key: targets.OnlineSmoothing(4).targets(y, **key),
    ],
    ids=["hard", "table", "smearing", "backward", "scores", "disturb", "online"],
)
def test_ignored_labels_have_no_target_and_leave_the_others_theirs(rule: Any) -> None:
    ignored = torch.tensor([False, True, False, False])
    made = rule(LABELS.masked_fill(ignored, -100), ignore_index=-100)
    assert torch.equal(made.ignored, ignored)
    assert torch.equal(made.to_dense(4), rule(LABELS).to_dense(4).masked_fill(ignored[:, None], 0.0))
    assert rule(LABELS, ignore_index=-100).ignored is None


@pytest.mark.parametrize("rule", [LabelMatrix.uniform(0.2, 4), noise.symmetric(0.2, 4).inverse()])
def test_a_smearing_tells_its_number_of_classes(rule: LabelMatrix) -> None:
    made = targets.from_table(LABELS, rule)
    for same in (made, made[1:], targets.smooth(made, 0.1), targets.mix(made, targets.hard(LABELS), 0.5)):
        assert same.num_classes == 4
        assert same.values is None
        assert same.prior is None


WRONG: list[tuple[str, Any, str]] = [
    ("negative label", lambda: targets.hard(torch.tensor([0, 1, -7])), "labels: labels of at least 0; got -7 at row 2"),
    (
        "place in a grid",
        lambda: targets.hard(torch.tensor([[0, 1], [-1, 0]])),
        r"labels: .*; got -1 at index \(1, 0\); fix or drop",
    ),
    ("single label", lambda: targets.hard(torch.tensor(-1)), "got -1 at the only entry"),
    (
        "float labels",
        lambda: targets.hard(torch.tensor([1.0])),
        r"labels: integer labels.*float32; .*use labels.long",
    ),
    ("a list", lambda: targets.hard([0, 1], ignore_index=1), "labels: .*; got list"),  # pyright: ignore
    ("table label", lambda: targets.from_table(LABELS, ASYMMETRIC[:2]), "labels: .* below 2.*; got 2 at row 0"),
    (
        "table nan",
        lambda: targets.from_table(LABELS, ASYMMETRIC / torch.eye(4)),
        r"table: finite entries; got inf at index \(0, 1\)",
    ),
    ("table shape", lambda: targets.from_table(LABELS, PRIOR), r"table: shape \(R, K\) with K >= 2; got \(4,\)"),
    ("smearing label", lambda: targets.from_table(LABELS, LabelMatrix(2)), "labels: .*below 2.*; got 2 at row 0"),
    (
        "dense nan",
        lambda: targets.dense(torch.tensor([0.5, float("nan")])),
        r"values: finite weights; got nan at row 1",
    ),
    ("dense shape", lambda: targets.dense(torch.ones(3, 1)), r"values: shape \(..., K\) with K >= 2; got \(3, 1\)"),
    (
        "strict sign",
        lambda: targets.dense(torch.tensor([[0.5, 0.5], [1.5, -0.5]]), strict=True),
        r"values: entries of at least 0 under strict=True; got -0.5 at index \(1, 1\); fix it, or pass strict=False",
    ),
    (
        "strict sum",
        lambda: targets.dense(torch.tensor([[0.5, 0.5], [0.5, 0.4]]), strict=True),
        "values: rows that sum to 1 under strict=True; got 0.9 at row 1; divide it by its sum, or pass strict=False",
    ),
    (
        "strict table",
        lambda: targets.from_table(LABELS, ASYMMETRIC * 2, strict=True),
        "table: rows that sum to 1 under strict=True; got 2 at row 0",
    ),
    (
        "strict smearing",
        lambda: targets.from_table(LABELS, LabelMatrix(4, keep=1.25, rest=-0.25), strict=True),
        r"table: entries of at least 0 under strict=True; got -0.0625 at index \(0, 1\)",
    ),
    (
        "strict smearing's table",
        lambda: targets.from_table(LABELS, LabelMatrix(4, table=ASYMMETRIC / 2), strict=True),
        "table: rows that sum to 1 under strict=True; got 0.5 at row 0",
    ),
    ("dense int", lambda: targets.dense(LABELS), "values: a floating-point tensor; got dtype torch.int64"),
    (
        "backward singular",
        lambda: targets.backward_corrected(LABELS, torch.full((4, 4), 0.25)),
        r"transition: a condition number below 1e\+10; got .*; use forward correction",
    ),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors_name_the_argument_the_place_and_the_remedy(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
