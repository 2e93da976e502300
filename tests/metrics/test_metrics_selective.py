"""Risk and coverage against numbers by hand, a slow loop and scikit-learn; the sketch against the function."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import selective as reference
from sklearn.metrics import roc_auc_score
from torch import Tensor

from softtargets.metrics import (
    RiskCoverage,
    SelectiveRisk,
    aurc,
    coverage_at_risk,
    excess_aurc,
    interval,
    misclassification_auroc,
    risk_coverage,
)
from softtargets.metrics._cells import NUM_CELLS, cell_of

ITEMS = st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=7)


def predictions(scores: list[float], wrong: list[bool]) -> tuple[Tensor, Tensor]:
    """Two classes: the score is the confidence, the prediction class 0."""
    confidence = torch.tensor(scores, dtype=torch.float64)
    return torch.stack([confidence, 1 - confidence], 1), torch.tensor(wrong).long()


def simulated(size: int, *, classes: int = 5, seed: int = 0, sharp: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(size, classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return (sharp * logits).softmax(1), labels


def test_hand_computed() -> None:
    # by falling score right, right | wrong, right (tied) | wrong
    probs, labels = predictions([0.95, 0.9, 0.8, 0.8, 0.6], [False, False, True, False, True])
    curve = risk_coverage(probs, labels)
    assert isinstance(curve, RiskCoverage)
    assert curve.coverage.tolist() == [0.2, 0.4, 0.8, 1.0]
    assert curve.risk.tolist() == [0, 0, 0.25, 0.4]
    # the third sees half a wrong one in the mean, the fourth the whole
    assert float(aurc(probs, labels)) == pytest.approx((0 + 0 + 0.5 / 3 + 1 / 4 + 2 / 5) / 5, abs=1e-15)
    assert float(excess_aurc(probs, labels)) == pytest.approx((0.5 / 3 - 0 + 1 / 4 - 1 / 4) / 5, abs=1e-15)
    assert float(coverage_at_risk(probs, labels, risk=0.25)) == 0.8
    assert float(coverage_at_risk(probs, labels, risk=0.24)) == 0.4
    assert float(misclassification_auroc(probs, labels)) == (2 + 2 + 0.5 + 1) / 6


@settings(deadline=None, database=None, max_examples=100)
@given(ITEMS)
def test_item_by_item(items: list[tuple[int, bool]]) -> None:
    scores, wrong = [0.5 + tenth / 10 for tenth, _ in items], [bad for _, bad in items]
    probs, labels = predictions(scores, wrong)
    curve = risk_coverage(probs, labels)
    expected = reference.curve(scores, wrong)
    assert curve.coverage.tolist() == pytest.approx([float(coverage) for coverage, _ in expected], abs=1e-15)
    assert curve.risk.tolist() == pytest.approx([float(risk) for _, risk in expected], abs=1e-15)
    assert float(aurc(probs, labels)) == pytest.approx(float(reference.aurc(scores, wrong)), abs=1e-13)
    assert float(excess_aurc(probs, labels)) == pytest.approx(float(reference.excess_aurc(scores, wrong)), abs=1e-13)
    for risk in (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(1)):
        value = float(coverage_at_risk(probs, labels, risk=float(risk)))
        assert value == pytest.approx(float(reference.coverage_at_risk(scores, wrong, risk)), abs=1e-15)


def test_auroc_is_scikit_learns() -> None:
    probs, labels = simulated(2000)
    probs = (probs * 20).round() / 20
    probs = probs / probs.sum(1, keepdim=True)
    confidence, predicted = probs.max(1)
    expected = roc_auc_score((predicted == labels).numpy(), confidence.numpy())
    assert float(misclassification_auroc(probs, labels)) == pytest.approx(expected, abs=1e-12)


def test_scores_take_the_place_of_the_confidence() -> None:
    probs, labels = simulated(500)
    margins = probs.topk(2).values
    scores = margins[:, 0] - margins[:, 1]
    predicted = probs.argmax(1)
    expected = roc_auc_score((predicted == labels).numpy(), scores.numpy())
    assert float(misclassification_auroc(probs, labels, scores=scores)) == pytest.approx(expected, abs=1e-12)
    # only the order counts
    for measure in (aurc, excess_aurc, misclassification_auroc):
        assert torch.equal(measure(probs, labels, scores=scores), measure(probs, labels, scores=3 * scores - 7))
    assert torch.equal(aurc(probs, labels, scores=probs.amax(1)), aurc(probs, labels))
    # infinite scores rank too
    scores[:3] = torch.tensor([torch.inf, -torch.inf, torch.inf])
    assert float(aurc(probs, labels, scores=scores)) < 1


def test_masked_rows_do_not_count() -> None:
    probs, labels = simulated(60)
    mask = torch.arange(60).view(3, 20) % 3 > 0
    scores = torch.rand(3, 20, generator=torch.Generator().manual_seed(1))
    kept = mask.flatten()
    values, of_labels = probs.view(3, 20, -1).clone(), labels.view(3, 20).clone()
    values[~mask], of_labels[~mask], scores[~mask] = torch.nan, -100, torch.nan
    for given_scores, flat in ((None, None), (scores, scores.flatten()[kept])):
        ours = risk_coverage(values, of_labels, mask=mask, scores=given_scores)
        expected = risk_coverage(probs[kept], labels[kept], scores=flat)
        assert torch.equal(ours.risk, expected.risk)
        assert torch.equal(ours.coverage, expected.coverage)


def test_limits() -> None:
    flat, labels = predictions([0.7] * 4, [True, False, False, False])
    assert float(aurc(flat, labels)) == pytest.approx(0.25, abs=1e-15)
    assert float(misclassification_auroc(flat, labels)) == 0.5
    sorted_probs, labels = predictions([0.9, 0.8, 0.7, 0.6], [False, False, True, True])
    assert float(excess_aurc(sorted_probs, labels)) == pytest.approx(0, abs=1e-15)
    assert float(coverage_at_risk(sorted_probs, labels, risk=0.5)) == 1
    assert float(coverage_at_risk(sorted_probs, 1 - labels, risk=0.4)) == 0
    none_wrong, labels = predictions([0.9, 0.8], [False, False])
    assert float(aurc(none_wrong, labels)) == float(excess_aurc(none_wrong, labels)) == 0
    assert bool(misclassification_auroc(none_wrong, labels).isnan())


def test_a_risk_that_is_met_exactly_counts_despite_rounding() -> None:
    assert 0.29 * 100 < 29
    for wrong in range(1, 100):
        probs, labels = predictions([0.9] * 100, [row < wrong for row in range(100)])
        risk = wrong / 100
        assert float(coverage_at_risk(probs, labels, risk=risk)) == 1
        gathered = SelectiveRisk(risks=(risk,)).update(probs, labels)
        assert float(gathered.compute()[3]) == 1
        # in one cell the right ones first: all of the first 100 have just that risk, and the bound knows it
        scores = torch.linspace(0.7504, 0.7501, 101, dtype=torch.float64)
        probs, labels = predictions(scores.tolist(), [row >= 100 - wrong for row in range(101)])
        gathered = SelectiveRisk(risks=(risk,)).update(probs, labels)
        off = (gathered.compute()[3] - coverage_at_risk(probs, labels, risk=risk)).abs()
        assert float(coverage_at_risk(probs, labels, risk=risk)) == 100 / 101
        assert float(off) <= float(gathered.bound()[3]) + 1e-12


def exactly(probs: Tensor, labels: Tensor, risks: tuple[float, ...]) -> Tensor:
    coverages = [coverage_at_risk(probs, labels, risk=risk) for risk in risks]
    measures = (measure(probs, labels) for measure in (aurc, excess_aurc, misclassification_auroc))
    return torch.stack([*measures, *coverages])


@pytest.mark.parametrize("size", [3, 40, 1000, 20_000])
@pytest.mark.parametrize("sharp", [0.3, 1.0, 5.0])
def test_the_sketch_is_within_its_bound(size: int, sharp: float) -> None:
    risks = (0.0, 0.05, 0.2, 0.5, 1.0)
    probs, labels = simulated(size, seed=size, sharp=sharp)
    gathered = SelectiveRisk(risks=risks).update(probs, labels)
    off = (gathered.compute() - exactly(probs, labels, risks)).abs()
    assert bool((off <= gathered.bound() + 1e-12).all())
    if size >= 1000:
        assert float(off[:3].max()) < 1e-3
        assert float(gathered.bound()[:3].max()) < 3e-2


def test_the_bound_holds_for_the_worst_orders_inside_a_cell() -> None:
    # four confidences in one cell, right ones first and then wrong ones first
    confidence = [0.7501, 0.7502, 0.7503, 0.7504]
    assert len(cell_of(torch.tensor(confidence, dtype=torch.float64)).unique()) == 1
    for wrong in ([True, True, False, False], [False, False, True, True]):
        probs, labels = predictions(confidence, wrong)
        gathered = SelectiveRisk(risks=(0.0, 0.25)).update(probs, labels)
        off = (gathered.compute() - exactly(probs, labels, (0.0, 0.25))).abs()
        assert bool((off <= gathered.bound() + 1e-12).all())
        if wrong[0]:  # the highest confidence is right: nothing is farther
            assert off.tolist() == pytest.approx(gathered.bound().tolist(), abs=1e-12)


def test_the_sketchs_curve_lies_on_the_examples() -> None:
    probs, labels = simulated(3000)
    ours, exact = SelectiveRisk().update(probs, labels).curve(), risk_coverage(probs, labels)
    points = {(round(c, 12), round(r, 12)) for c, r in zip(exact.coverage.tolist(), exact.risk.tolist(), strict=True)}
    assert len(ours.coverage) > 100
    assert all(
        (round(c, 12), round(r, 12)) in points for c, r in zip(ours.coverage.tolist(), ours.risk.tolist(), strict=True)
    )
    assert float(ours.coverage[-1]) == 1


@pytest.mark.parametrize("shards", [1, 7, 1000])
def test_any_split_and_order_gives_the_same_bits(shards: int) -> None:
    probs, labels = simulated(1500)
    ids = torch.arange(1500)
    whole = SelectiveRisk(groups=10).update(probs, labels, ids=ids)
    merged = SelectiveRisk(groups=10)
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(shards))
    for part in order.tensor_split(shards):
        merged.merge(SelectiveRisk(groups=10).update(probs[part], labels[part], ids=part))
    assert all(torch.equal(array, merged.state_dict()[name]) for name, array in whole.state_dict().items())
    assert torch.equal(whole.compute(), merged.compute())


def test_names_say_what_the_entries_are() -> None:
    gathered = SelectiveRisk(risks=(0.01, 0.2), groups=50).update(*simulated(300))
    assert gathered.names == (
        "aurc",
        "excess_aurc",
        "misclassification_auroc",
        "coverage_at_risk_0.01",
        "coverage_at_risk_0.2",
    )
    assert gathered.compute().shape == gathered.bound().shape == (5,)
    found = interval(gathered, n_draws=50, generator=torch.Generator().manual_seed(0))
    assert found.low.shape == (5,)
    assert bool((found.low <= found.estimate).all() and (found.estimate <= found.high).all())


def test_cells_are_in_order_and_the_ends_have_cells_of_their_own() -> None:
    tails = torch.logspace(-17, 0, 20_001, dtype=torch.float64) / 2
    ends = torch.tensor([0, 5e-324, 0.5, 1 - 2.0**-53, 1], dtype=torch.float64)
    confidence = torch.cat([ends, tails, 1 - tails, torch.linspace(0, 1, 20_001, dtype=torch.float64)]).sort().values
    cells = cell_of(confidence)
    assert bool((cells.diff() >= 0).all())
    assert torch.equal(cells == 0, confidence == 0)
    assert torch.equal(cells == NUM_CELLS - 1, confidence == 1)
    assert torch.equal(cells.unique(), torch.arange(NUM_CELLS))  # none that nothing falls in
    # narrow: 2^-10, and of 1/32 of the distance to the nearer end below 1/32
    inside = (confidence > 2.0**-40) & (confidence < 1 - 2.0**-40)
    for cell in (3, 700, 1300, 1600, 1602, 2000, 3000):
        held = confidence[inside & (cells == cell)]
        assert float(held.max() - held.min()) <= 2.0**-10
        nearest = torch.minimum(held, 1 - held)
        if float(nearest.max()) < 2.0**-5:
            assert float(nearest.max() / nearest.min()) < 1 + 2.0**-5 + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": torch.ones(3)}, r"scores: shape \(2,\); got \(3,\)"),
        ({"scores": torch.tensor([1.0, torch.nan])}, "scores: numbers without NaN; got nan at row 1"),
        ({"mask": torch.tensor([False, False])}, "labels: at least one example that is not left out; got none"),
        ({"logits": torch.ones(2, 2)}, "probs: either probs or logits; got both"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    probs, labels = predictions([0.9, 0.8], [False, True])
    for measure in (risk_coverage, aurc, excess_aurc, misclassification_auroc):
        with pytest.raises(ValueError, match=message):
            measure(probs, labels, **arguments)


def test_errors_of_types_and_risks() -> None:
    probs, labels = predictions([0.9, 0.8], [False, True])
    with pytest.raises(TypeError, match="scores: a floating-point tensor"):
        aurc(probs, labels, scores=torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"risk: in \[0, 1\]; got 1.5"):
        coverage_at_risk(probs, labels, risk=1.5)
    with pytest.raises(ValueError, match=r"risks: in \[0, 1\]; got -1"):
        SelectiveRisk(risks=(0.1, -1))
    for ask in (SelectiveRisk().curve, SelectiveRisk().bound, SelectiveRisk().compute):
        with pytest.raises(ValueError, match="SelectiveRisk: at least one example that is not left out; got none"):
            ask()
