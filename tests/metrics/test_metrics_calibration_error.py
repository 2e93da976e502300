"""Calibration error: hand numbers at the edges, the slow loop over bins, and scikit-learn."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import metrics as reference
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from softtargets import metrics

NORMS: list[Any] = ["l1", "l2", "max"]


def binary(confidences: list[float]) -> torch.Tensor:
    """Rows that predict class 0 with the given confidence."""
    column = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([column, 1 - column], -1)


def predictions(number: int, num_classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(number, num_classes, dtype=torch.float64, generator=generator).mul(2).softmax(-1)
    return probs, torch.randint(0, num_classes, (number,), generator=generator)


def test_by_hand() -> None:
    # two bins: (0, .5] holds .5 (right); (.5, 1] holds .7 (wrong), .8 (right), .9 (right)
    probs, labels = binary([0.5, 0.7, 0.8, 0.9]), torch.tensor([0, 1, 0, 0])
    table = metrics.reliability_bins(probs, labels, n_bins=2)
    assert isinstance(table, metrics.Bins)
    assert table.edges.tolist() == [0, 0.5, 1]
    assert table.count.tolist() == [1, 3]
    assert table.correct.tolist() == [1, 2]
    assert table.confidence.tolist() == pytest.approx([0.5, 2.4])
    low, high = 0.5, 0.8 - 2 / 3
    assert float(metrics.ece(probs, labels, n_bins=2)) == pytest.approx(low / 4 + high * 3 / 4)
    root = (low**2 / 4 + high**2 * 3 / 4) ** 0.5
    assert float(metrics.ece(probs, labels, n_bins=2, norm="l2")) == pytest.approx(root)
    assert float(metrics.ece(probs, labels, n_bins=2, norm="max")) == pytest.approx(low)
    assert float(metrics.ece(probs, labels, n_bins=1)) == pytest.approx(abs(2.9 - 3) / 4)


def test_a_softmax_that_rounds_above_1_is_in_the_last_bin() -> None:
    probs = torch.tensor([[1.0 + 1e-7, 0.0]])
    assert metrics.reliability_bins(probs, torch.tensor([0]), n_bins=3).count.tolist() == [0, 0, 1]
    assert float(metrics.ece(probs, torch.tensor([0]))) == 0


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 40), st.integers(2, 5), st.sampled_from([1, 2, 3, 15, 100]), st.integers(0, 2**31))
def test_equal_widths_agree_with_the_slow_loop(number: int, num_classes: int, bins: int, seed: int) -> None:
    probs, labels = predictions(number, num_classes, seed)
    slow = reference.width_bins(probs.tolist(), labels.tolist(), bins)
    table = metrics.reliability_bins(probs, labels, n_bins=bins)
    assert table.count.tolist() == [len(members) for members in slow]
    assert table.correct.tolist() == [sum(right for _, right in members) for members in slow]
    assert table.confidence.tolist() == pytest.approx([sum(c for c, _ in members) for members in slow], abs=4e-11)
    for norm in NORMS:
        made: Any = metrics.ece(probs, labels, n_bins=bins, norm=norm)
        assert float(made) == pytest.approx(reference.calibration_error(slow, norm), abs=1e-12)


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 60), st.sampled_from([1, 2, 7, 15, 100]), st.integers(0, 2**31))
def test_equal_masses_agree_with_the_slow_loop(number: int, bins: int, seed: int) -> None:
    probs, labels = predictions(number, 3, seed)
    slow = reference.mass_bins(probs.tolist(), labels.tolist(), bins)
    for norm in NORMS:
        made: Any = metrics.ece(probs, labels, n_bins=bins, norm=norm, binning="mass")
        assert float(made) == pytest.approx(reference.calibration_error(slow, norm), abs=1e-12)


@pytest.mark.parametrize("number", [50, 100, 99, 101])
def test_equal_masses_differ_by_one_at_most(number: int) -> None:
    probs = binary(torch.linspace(0.51, 0.99, number, dtype=torch.float64).tolist())
    for bins in (7, 15, 50):
        count = metrics.reliability_bins(probs, torch.zeros(number).long(), n_bins=bins, binning="mass").count
        assert int(count.max() - count.min()) <= 1


def test_equal_masses_keep_ties_together() -> None:
    probs = binary([0.6] * 5 + [0.9])
    table = metrics.reliability_bins(probs, torch.zeros(6, dtype=torch.int64), n_bins=3, binning="mass")
    assert sorted(table.count.tolist()) == [0, 1, 5]
    made = metrics.ece(probs, torch.tensor([0, 0, 0, 1, 1, 0]), n_bins=3, binning="mass")
    assert float(made) == pytest.approx(0.1 / 6)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_sums_are_sums_over_the_data(binning: Any) -> None:
    probs, labels = predictions(200, 4, 0)
    table = metrics.reliability_bins(probs, labels, n_bins=15, binning=binning)
    confidence, predicted = probs.max(1)
    assert int(table.count.sum()) == 200
    assert int(table.correct.sum()) == int((predicted == labels).sum())
    assert float(table.confidence.sum()) == pytest.approx(float(confidence.sum()), abs=1e-10)
    assert bool((table.edges.diff() >= 0).all())
    inside = table.count > 0
    means = table.confidence[inside] / table.count[inside]
    assert bool(((means > table.edges[:-1][inside]) & (means <= table.edges[1:][inside] + 1e-12)).all())


def test_scikit_learn_is_a_second_witness() -> None:
    probs, labels = predictions(500, 3, 1)
    confidence, predicted = (values.numpy() for values in probs.max(1))
    right = (predicted == labels.numpy()).astype(int)
    true, mean = calibration_curve(right, confidence, n_bins=15)
    count = np.histogram(confidence, bins=15, range=(0, 1))[0]
    expected = (count[count > 0] / 500 * np.abs(true - mean)).sum()
    assert float(metrics.ece(probs, labels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("binning", ["width", "mass"])
@pytest.mark.parametrize("norm", NORMS)
def test_certain_and_always_right_gives_0_and_always_wrong_gives_1(norm: Any, binning: Any) -> None:
    certain = torch.eye(3)[[0, 1, 2, 0]]
    assert float(metrics.ece(certain, torch.tensor([0, 1, 2, 0]), norm=norm, binning=binning)) == 0
    assert float(metrics.ece(certain, torch.tensor([1, 2, 0, 1]), norm=norm, binning=binning)) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_half_precision_probabilities_are_probabilities(dtype: torch.dtype, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, num_classes, generator=generator) * 3
    labels = torch.randint(0, num_classes, (200,), generator=generator)
    half = metrics.ece(logits.to(dtype).softmax(-1), labels, n_bins=1)
    assert float(half) == pytest.approx(float(metrics.ece(logits.softmax(-1), labels, n_bins=1)), abs=5e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bins": 0}, "n_bins: at least 1; got 0; 15 and 100 are usual"),
        ({"n_bins": 2.5}, "n_bins: an int of at least 1; got 2.5"),
        ({"binning": "widths"}, r"binning: one of width, mass; got 'widths'; did you mean 'width'\?"),
        ({"norm": 3}, "norm: one of l1, l2, max; got '3'"),
        ({"norm": "L1"}, "norm: one of l1, l2, max; got 'L1'; use norm='l1'"),
        ({"norm": "1"}, "norm: one of l1, l2, max; got '1'; use norm='l1'"),
        ({"norm": 1}, "norm: one of l1, l2, max; got 1; use norm='l1'"),
        ({"norm": 2.0}, "norm: one of l1, l2, max; got 2.0; use norm='l2'"),
        ({"norm": float("inf")}, "norm: one of l1, l2, max; got inf; use norm='max'"),
        ({"norm": None}, "norm: one of l1, l2, max; got 'None'"),
        ({"binning": None}, "binning: one of width, mass; got 'None'"),
        ({"n_bins": None}, "n_bins: an int of at least 1; got None"),
        ({"n_bins": True}, "n_bins: an int of at least 1; got True"),
        ({"debiased": True}, "debiased: norm='l2', .*; got norm='l1'; pass norm='l2'"),
    ],
)
def test_errors(options: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        metrics.ece(torch.full((2, 2), 0.5), torch.tensor([0, 1]), **options)


def test_torchmetrics_and_netcal_are_right_within_the_bins() -> None:
    probs, labels = predictions(2000, 4, 7)
    for norm in NORMS:
        theirs = multiclass_calibration_error(probs, labels, num_classes=4, n_bins=15, norm=norm)
        made: Any = metrics.ece(probs, labels, norm=norm)
        assert float(made) == pytest.approx(float(theirs), abs=1e-6)
    netcal = 0.4702687779116876  # netcal 1.4.0: netcal.metrics.ECE(15).measure(probs.numpy(), labels.numpy())
    assert float(metrics.ece(probs, labels)) == pytest.approx(netcal, abs=1e-10)


@settings(deadline=None, database=None, max_examples=40)
@given(st.integers(1, 40), st.integers(2, 4), st.sampled_from([1, 3, 15]), st.integers(0, 2**31))
def test_classwise_is_the_mean_over_classes(number: int, num_classes: int, bins: int, seed: int) -> None:
    probs, labels = predictions(number, num_classes, seed)
    slow = [reference.class_bins(probs.tolist(), labels.tolist(), bins, k) for k in range(num_classes)]
    for norm in NORMS:
        made: Any = metrics.ece(probs, labels, n_bins=bins, norm=norm, classwise=True)
        errors = [reference.calibration_error(table, norm) for table in slow]
        of_all = {
            "l1": sum(errors) / num_classes,
            "l2": (sum(e * e for e in errors) / num_classes) ** 0.5,
            "max": max(errors),
        }
        assert float(made) == pytest.approx(of_all[norm], abs=1e-11)


def test_classwise_masses_are_those_of_each_class() -> None:
    probs, labels = predictions(50, 3, 0)
    table = metrics.reliability_bins(probs, labels, n_bins=7, binning="mass", classwise=True)
    assert table.edges.shape == (3, 8)
    for k in range(3):
        pair, hits = torch.stack([probs[:, k], 1 - probs[:, k]], 1), (labels != k).long()
        alone = metrics.reliability_bins(pair, hits, n_bins=7, binning="mass", classwise=True)
        for name in ("edges", "count", "confidence", "correct"):
            torch.testing.assert_close(getattr(table, name)[k], getattr(alone, name)[0])


@settings(deadline=None, database=None, max_examples=40)
@given(st.integers(1, 40), st.sampled_from([1, 3, 15]), st.integers(0, 2**31))
def test_debiased_agrees_with_the_slow_loop(number: int, bins: int, seed: int) -> None:
    probs, labels = predictions(number, 3, seed)
    slow: Any
    binning: Any
    for binning, slow in (("width", reference.width_bins), ("mass", reference.mass_bins)):
        expected = reference.debiased(slow(probs.tolist(), labels.tolist(), bins))
        made: Any = metrics.ece(probs, labels, n_bins=bins, norm="l2", binning=binning, debiased=True)
        # a root near 0 magnifies the rounding of confidences
        assert float(made) ** 2 == pytest.approx(expected**2, abs=1e-11)


@settings(deadline=None, database=None, max_examples=40)
@given(st.integers(1, 40), st.sampled_from([1, 3, 15]), st.integers(0, 2**31))
def test_classwise_debiased_is_the_root_mean_square_of_debiased_errors_of_at_least_0(
    number: int, bins: int, seed: int
) -> None:
    probs, labels = predictions(number, 3, seed)
    slow = [reference.debiased(reference.class_bins(probs.tolist(), labels.tolist(), bins, k)) for k in range(3)]
    made: Any = metrics.ece(probs, labels, n_bins=bins, norm="l2", classwise=True, debiased=True)
    assert float(made) ** 2 == pytest.approx(sum(error**2 for error in slow) / 3, abs=1e-11)


def test_debiased_is_near_0_for_a_calibrated_model() -> None:
    probs, _ = predictions(4000, 3, 11)
    squares, biased = [], []
    for seed in range(20):
        labels = torch.multinomial(probs, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
        table = metrics.reliability_bins(probs, labels)
        filled = table.count > 1
        n, right = table.count[filled].double(), table.correct[filled] / table.count[filled]
        gaps = (right - table.confidence[filled] / n).square()
        squares.append(float((n * (gaps - right * (1 - right) / (n - 1))).sum() / 4000))
        biased.append(float(metrics.ece(probs, labels, norm="l2")) ** 2)
        made = float(metrics.ece(probs, labels, norm="l2", debiased=True))
        assert made == pytest.approx(max(squares[-1], 0.0) ** 0.5, abs=1e-6)
    # the biased one is always above the truth, 0 but for the width of a bin; the other lies on both sides of it
    assert min(biased) > 5e-5
    assert abs(sum(squares)) / 20 < sum(biased) / 20 / 2
    assert min(squares) < 0


@settings(deadline=None, database=None, max_examples=80)
@given(st.integers(1, 300), st.sampled_from([1, 2, 7, 15, 100]), st.floats(0, 12), st.integers(0, 2**31))
def test_the_sketch_of_equal_masses_is_within_its_bound(number: int, bins: int, spread: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(number, 3, dtype=torch.float64, generator=generator).mul(spread).softmax(-1)
    if seed % 3 == 0:  # crowded into few cells
        probs = 0.7 + 1e-4 * probs[:, :1]
        probs = torch.cat([probs, 1 - probs], 1)
    labels = torch.randint(0, 2, (number,), generator=generator)
    for norm, debiased in (("l1", False), ("l2", False), ("max", False), ("l2", True)):
        options: dict[str, Any] = {"n_bins": bins, "norm": norm, "binning": "mass", "debiased": debiased}
        sketch = metrics.ECE(**options).update(probs, labels)
        exact = metrics.ece(probs, labels, **options)
        assert float((sketch.compute() - exact).abs()) <= float(sketch.bound())


def test_the_bound_is_small_for_many_examples_and_0_for_equal_widths() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100_000, 10, generator=generator) * 2
    labels = torch.multinomial((logits * 0.6).softmax(1), 1, generator=generator)[:, 0]
    sketch = metrics.ECE(binning="mass").update(logits=logits, labels=labels)
    assert 0 < float(sketch.bound()) < 0.02
    exact = metrics.ece(logits=logits, labels=labels, binning="mass")
    assert float((sketch.compute() - exact).abs()) < 1e-3
    assert float(metrics.ECE().update(logits=logits, labels=labels).bound()) < 1e-11
    # one example to a cell: nothing is unknown but rounding
    few = metrics.ECE(binning="mass", n_bins=4).update(binary([0.6, 0.7, 0.8, 0.9]), torch.tensor([0, 1, 0, 0]))
    assert float(few.bound()) < 1e-11


def test_the_scalar_and_the_bins_of_an_accumulator_agree() -> None:
    probs, labels = predictions(500, 3, 4)
    for binning in ("width", "mass"):
        metric = metrics.ECE(n_bins=10, binning=binning).update(probs, labels)
        table = metric.reliability()
        by_hand = (table.correct - table.confidence).abs().sum() / table.count.sum()
        assert float(metric.compute()) == pytest.approx(float(by_hand), abs=1e-15)
        assert bool((table.edges.diff() >= 0).all())
        inside = table.count > 0
        means = table.confidence[inside] / table.count[inside]
        assert bool(((means > table.edges[:-1][inside]) & (means <= table.edges[1:][inside])).all())


# Tokens of two sequences. By hand: confidence 0.75 is right in 2 of 3 tokens, 0.5 in 1 of 1, 0.9375 in 1 of 1.
TOKENS = torch.tensor([[[0.75, 0.25], [0.75, 0.25], [0.5, 0.5]], [[0.5, 0.5], [0.25, 0.75], [0.0625, 0.9375]]])
TOKEN_LABELS = torch.tensor([[0, 1, -100], [0, 1, 1]])
TOKEN_ECE = 3 / 5 * abs(2 / 3 - 0.75) + 1 / 5 * 0.5 + 1 / 5 * 0.0625


def test_the_error_of_tokens_is_the_one_counted_by_hand() -> None:
    mask = TOKEN_LABELS >= 0
    for value in (
        metrics.ece(TOKENS, TOKEN_LABELS),
        metrics.ece(TOKENS.movedim(-1, 1), TOKEN_LABELS, class_dim=1),
        metrics.ece(TOKENS, TOKEN_LABELS.clamp(min=0), mask=mask),
        metrics.ece(logits=TOKENS.double().log(), labels=TOKEN_LABELS),
        metrics.ece(TOKENS[mask], TOKEN_LABELS[mask]),
    ):
        assert float(value) == pytest.approx(TOKEN_ECE, abs=1e-9)


def test_tokens_count_alike_and_padding_does_not_count() -> None:
    of_sequences = [float(metrics.ece(rows, labels)) for rows, labels in zip(TOKENS, TOKEN_LABELS, strict=True)]
    assert sum(of_sequences) / 2 == pytest.approx((0.25 + (0.5 + 0.25 + 0.0625) / 3) / 2, abs=1e-9)
    assert float(metrics.ece(TOKENS, TOKEN_LABELS)) != pytest.approx(sum(of_sequences) / 2, abs=0.05)
    # padding that counted as a right prediction of token 0
    assert float(metrics.ece(TOKENS, TOKEN_LABELS.clamp(min=0))) != pytest.approx(TOKEN_ECE, abs=0.05)
    accumulated = metrics.ECE()
    for rows, labels in zip(TOKENS, TOKEN_LABELS, strict=True):
        accumulated.update(rows[None], labels[None])
    assert float(accumulated.compute()) == pytest.approx(TOKEN_ECE, abs=1e-9)


def test_an_interval_of_tokens_resamples_sequences_by_their_ids() -> None:
    """Copies of an example under its id are no new information."""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 4, generator=generator), torch.randint(0, 4, (200,), generator=generator)
    rows = metrics.ECE(groups=1000).update(logits=logits, labels=labels, ids=torch.arange(200))
    copies, of_copies = logits[:, None].expand(-1, 7, -1), labels[:, None].expand(-1, 7)
    sequences = torch.arange(200)[:, None].expand(-1, 7)
    tokens = metrics.ECE(groups=1000).update(logits=copies, labels=of_copies, ids=sequences)
    found, of_tokens = (
        metrics.interval(one, n_draws=100, generator=torch.Generator().manual_seed(1)) for one in (rows, tokens)
    )
    for name in ("estimate", "low", "high"):
        assert float(getattr(of_tokens, name)) == pytest.approx(float(getattr(found, name)), abs=1e-9)
