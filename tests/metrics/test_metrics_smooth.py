"""Smooth calibration error: from the definition, its authors' code, its bound and its curve."""

import pytest
import torch
from reference import smooth as reference
from relplot.metrics import smECE
from torch import Tensor

from softtargets.metrics import SmoothECE, SmoothReliability, smooth_ece, smooth_reliability


def two_classes(confidence: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
    return torch.stack([confidence, 1 - confidence], 1), (~correct).long()


def simulated(size: int, *, sharp: float, seed: int = 0, low: float = 0.5) -> tuple[Tensor, Tensor]:
    """Confidences evenly from `low` to 1, of which `sharp` times the distance from `low` is right."""
    generator = torch.Generator().manual_seed(seed)
    confidence = low + (1 - low) * torch.rand(size, generator=generator, dtype=torch.float64)
    rate = low + sharp * (confidence - low)
    return confidence, torch.rand(size, generator=generator, dtype=torch.float64) < rate


@pytest.mark.parametrize(("size", "sharp"), [(3, 0.5), (15, 0.0), (15, 0.5), (15, 1.0)])
def test_the_definition(size: int, sharp: float) -> None:
    confidence, correct = simulated(size, sharp=sharp, seed=size)
    residual = (correct.double() - confidence).tolist()
    gathered = SmoothECE().update(*two_classes(confidence, correct))
    # the reference halves down to 2^-14
    assert float(gathered.compute()) == pytest.approx(reference.smooth_ece(confidence.tolist(), residual), abs=1e-4)


def test_one_confidence_for_all() -> None:
    for confidence, right, error in ((0.75, 2, 0.25), (0.75, 3, 0.0), (0.9, 3, 0.15), (1.0, 3, 0.25), (0.5, 4, 0.5)):
        probs, labels = two_classes(torch.full((4,), confidence, dtype=torch.float64), torch.arange(4) < right)
        assert float(smooth_ece(probs, labels)) == pytest.approx(error, abs=1e-9)


def test_certain_and_right_or_wrong() -> None:
    probs = torch.tensor([[1.0, 0.0]] * 3)
    assert float(smooth_ece(probs, torch.zeros(3, dtype=torch.int64))) == 0
    assert float(smooth_ece(probs, torch.ones(3, dtype=torch.int64))) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("sharp", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("size", [300, 30_000])
def test_the_authors_code(sharp: float, size: int) -> None:
    confidence, correct = simulated(size, sharp=sharp)
    # below .98: the authors' kernel counts half of what lies at an end, see the next test
    confidence = confidence.clamp(max=0.98)
    theirs = smECE(confidence.numpy(), correct.double().numpy())
    assert float(smooth_ece(*two_classes(confidence, correct))) == pytest.approx(theirs, abs=1e-3)


def test_what_lies_at_an_end_counts_whole() -> None:
    # Half is certain, of which a quarter is wrong; half has .6 and is right so often: 1/2 * 1/4.
    # relplot mirrors its grid without the end, and so weighs that half as much as the other.
    confidence = torch.tensor([1.0, 0.6], dtype=torch.float64).repeat_interleave(200)
    correct = torch.cat([torch.arange(200) < 150, torch.arange(200) < 120])
    assert float(smooth_ece(*two_classes(confidence, correct))) == pytest.approx(0.125, abs=1e-9)
    assert smECE(confidence.numpy(), correct.double().numpy()) == pytest.approx(0.25 / 3, abs=5e-3)


@pytest.mark.parametrize(("size", "sharp"), [(5, 0.0), (50, 0.6), (120, 1.0), (120, 0.8)])
def test_the_bound_holds(size: int, sharp: float) -> None:
    confidence, correct = simulated(size, sharp=sharp, seed=3)
    gathered = SmoothECE().update(*two_classes(confidence, correct))
    value, bound = float(gathered.compute()), float(gathered.bound())
    # at the ends of what the bound allows, the exact error is on either side of the diagonal
    residual = (correct.double() - confidence).tolist()
    assert bound < 1e-3
    for width, side in ((value - bound, -1), (value + bound, 1)):
        error = reference.error_at(confidence.tolist(), residual, width, points=500)
        assert side * (width - error) > -1e-6


def test_the_bound_where_no_width_can_be_excluded() -> None:
    # just right: the truth is 0, and the grid says 0; the bound does not pretend to know
    probs, labels = two_classes(torch.full((4,), 0.75, dtype=torch.float64), torch.arange(4) < 3)
    gathered = SmoothECE().update(probs, labels)
    assert float(gathered.compute()) == pytest.approx(0, abs=1e-12)
    assert 1e-3 < float(gathered.bound()) < 5e-3


def test_the_curve_encloses_the_error() -> None:
    for sharp in (0.4, 1.0):
        probs, labels = two_classes(*simulated(2000, sharp=sharp))
        curve = smooth_reliability(probs, labels)
        assert isinstance(curve, SmoothReliability)
        gap = ((curve.accuracy - curve.confidence).abs() * curve.density).nan_to_num()
        assert float(torch.trapezoid(gap, curve.confidence)) == pytest.approx(
            float(smooth_ece(probs, labels)), abs=1e-6
        )
        assert float(torch.trapezoid(curve.density, curve.confidence)) == pytest.approx(1, abs=1e-9)
        assert float(curve.width) == pytest.approx(float(smooth_ece(probs, labels)), abs=2e-3)
        assert bool(curve.accuracy[curve.density < 1e-7].isnan().all())
    # of the narrower kernel nothing reaches far below the least confidence
    assert bool(curve.accuracy[:100].isnan().all())


def test_the_curve_follows_the_rate() -> None:
    curve = smooth_reliability(*two_classes(*simulated(200_000, sharp=0.5)))
    inside = (curve.confidence > 0.7) & (curve.confidence < 0.85)
    expected = 0.5 + 0.5 * (curve.confidence - 0.5)
    assert float((curve.accuracy - expected)[inside].abs().max()) < 0.02


def test_a_small_change_of_confidences_changes_little() -> None:
    confidence, correct = simulated(3000, sharp=0.8)
    moved = (confidence + 1e-3).clamp(max=1)
    ours, other = (smooth_ece(*two_classes(values, correct)) for values in (confidence, moved))
    assert float((ours - other).abs()) < 2e-3


@pytest.mark.parametrize("shards", [1, 7, 1000])
def test_any_split_and_order_gives_the_same_bits(shards: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1500, 5, generator=generator)
    labels, ids = torch.randint(5, (1500,), generator=generator), torch.arange(1500)
    whole = SmoothECE(groups=3).update(logits=logits, labels=labels, ids=ids)
    merged = SmoothECE(groups=3)
    for part in torch.randperm(1500, generator=generator).tensor_split(shards):
        merged.merge(SmoothECE(groups=3).update(logits=logits[part], labels=labels[part], ids=part))
    assert all(torch.equal(array, merged.state_dict()[name]) for name, array in whole.state_dict().items())
    assert torch.equal(whole.compute(), merged.compute())
    assert torch.equal(whole.curve().accuracy.nan_to_num(), merged.curve().accuracy.nan_to_num())


def test_masked_rows_do_not_count() -> None:
    confidence, correct = simulated(40, sharp=0.5)
    probs, labels = two_classes(confidence, correct)
    mask = torch.arange(40) % 4 > 0
    expected = smooth_ece(probs[mask], labels[mask])
    probs[~mask], labels[~mask] = torch.nan, -100
    assert torch.equal(smooth_ece(probs, labels, mask=mask), expected)


def test_replicates_weight_groups() -> None:
    confidence, correct = simulated(90, sharp=0.5)
    probs, labels = two_classes(confidence, correct)
    gathered = SmoothECE(groups=4).update(probs, labels, ids=torch.arange(90))
    each, twice = torch.ones(1, 4, dtype=torch.float64), torch.full((1, 4), 2.0, dtype=torch.float64)
    ours = gathered.replicates(torch.cat([each, twice]))
    assert ours.tolist() == pytest.approx([float(gathered.compute())] * 2, abs=1e-12)


def test_errors() -> None:
    for ask in (SmoothECE().curve, SmoothECE().bound, SmoothECE().compute):
        with pytest.raises(ValueError, match="SmoothECE: at least one example that is not left out; got none"):
            ask()
    with pytest.raises(TypeError, match="probs: required; got nothing; pass probabilities as the first argument, or"):
        smooth_ece(labels=torch.tensor([0]))  # pyright: ignore[reportCallIssue]
