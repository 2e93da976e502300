"""Ranks, thresholds and noisy labels: hand numbers, slow loops, and the coverage of clean labels by simulation."""

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets.calibration import APS, LAC, ConformalPredictor
from softtargets.calibration.conformal.quantiles import (
    corrected_quantile,
    least_rows,
    noise_weights,
    order_statistics,
    rank_of,
)
from softtargets.noise import symmetric


def test_the_rank_is_exact_where_floating_point_is_not() -> None:
    for thousandths in (1, 50, 59, 100, 180, 250, 300, 500, 900):
        alpha = thousandths / 1000
        for n in (1, 5, 19, 124, 149, 299, 999):
            exact = math.ceil((n + 1) * (1 - Fraction(thousandths, 1000)))
            assert rank_of(n, alpha) == exact
            assert (exact <= n) == (n >= least_rows(alpha))
    # the trap: one rank too high
    assert math.ceil(150 * (1 - 0.18)) == 124
    assert rank_of(149, 0.18) == 123


def test_thresholds_of_groups() -> None:
    scores = torch.tensor([0.5, 0.1, 0.9, 0.3, 0.3, 0.7], dtype=torch.float64)
    group = torch.tensor([0, 0, 0, 1, 1, 1])
    # ceil(4 * 0.6) = 3 of each; the last group has no rows
    found = order_statistics(scores, group, torch.tensor([3, 3, 0]), 0.4)
    assert found.tolist() == [0.9, 0.7, math.inf]
    # ceil(4 * 0.5) = 2
    assert order_statistics(scores, group, torch.tensor([3, 3, 0]), 0.5).tolist() == [0.5, 0.3, math.inf]


def slow_corrected(scores: list[list[float]], weights: list[list[float]], alpha: float) -> float:
    """The smallest score from which on the estimate stays at the rank or above."""
    rows = sum(map(sum, weights))
    values = sorted({s for row in scores for s in row})

    def total(t: float) -> float:
        pairs = ((s, w) for some, own in zip(scores, weights, strict=True) for s, w in zip(some, own, strict=True))
        return sum(w for s, w in pairs if s <= t)

    enough = [total(t) >= rank_of(rows, alpha) - 1e-9 for t in values]
    if not enough[-1]:
        return math.inf
    return values[max((i + 1 for i, one in enumerate(enough) if not one), default=0)]


def test_the_corrected_threshold_agrees_with_the_slow_loop_also_on_ties() -> None:
    generator = torch.Generator().manual_seed(1)
    for trial in range(30):
        scores = torch.rand(25, 3, generator=generator, dtype=torch.float64)
        scores = scores.round(decimals=1) if trial % 2 else scores
        labels = torch.randint(3, (25,), generator=generator)
        weights = noise_weights(symmetric(0.1 * (trial % 5), 3), labels, 3)
        alpha = (0.1, 0.25, 0.01)[trial % 3]
        found, _ = corrected_quantile(scores, weights, alpha)
        assert found == slow_corrected(scores.tolist(), weights.tolist(), alpha)


def test_weights_by_hand() -> None:
    # the inverse of [[.8, .2], [.4, .6]] is [[1.5, -.5], [-1, 2]]
    found = noise_weights(torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64), torch.tensor([0, 1, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([[1.5, -0.5], [-1, 2], [-1, 2]]).double(), rtol=0, atol=1e-12)


def test_the_weighted_distribution_is_that_of_clean_labels() -> None:
    """The identity that the correction rests on, exactly: expectations over all noisy labels."""
    generator = torch.Generator().manual_seed(2)
    transition = torch.rand(4, 4, generator=generator, dtype=torch.float64) + 3 * torch.eye(4)
    transition /= transition.sum(1, keepdim=True)
    scores, clean = torch.rand(50, 4, generator=generator, dtype=torch.float64), torch.arange(50) % 4
    weights = noise_weights(transition, torch.arange(4), 4)
    for t in (0.2, 0.5, 0.9):
        inside = (scores <= t).double()
        # of row i: sum over observed labels j of T[clean, j] sum_k weights[j, k] 1[score_ik <= t]
        expected = torch.einsum("ij,jk,ik->i", transition[clean], weights, inside)
        torch.testing.assert_close(expected, inside.gather(1, clean[:, None])[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"class_conditional": True}, {"class_conditional": True, "rare": "merge"}])
def test_without_noise_the_correction_changes_nothing(settings: dict) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(200, 5, generator=generator)
    logits[:20] = logits[20:40]
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    uniform = torch.rand(200, generator=generator)
    labels[labels == 0] = 1
    labels[:3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        cases: list[tuple[type, dict[str, Any]]] = [(LAC, {}), (APS, {"uniform": uniform})]
        for predictor, given in cases:
            clean = predictor(**settings).fit(logits, labels, alpha=0.1, **given)
            same = predictor(**settings).fit(logits, labels, alpha=0.1, transition=torch.eye(5), **given)
            assert torch.equal(clean.thresholds, same.thresholds)
            torch.testing.assert_close(clean.effective_rows, same.effective_rows, rtol=1e-9, atol=1e-9)


Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
FLIP = torch.tensor([[0.3, 0.7, 0.0], [0.0, 1.0, 0.0], [0.0, 0.1, 0.9]], dtype=torch.float64)


def overconfident(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    logits = 2 * torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial((logits / 1.3).softmax(-1), 1, generator=generator)[:, 0]


def prefers_one(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Classes 0 and 1 look alike, and the model prefers class 1, to which the noise of FLIP moves class 0."""
    logits = 0.5 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    third = torch.rand(n, generator=generator) < 0.3
    logits += torch.where(third[:, None], torch.tensor([0.0, 0.0, 4.0]), torch.tensor([0.0, 1.5, -2.0]))
    clean = logits + torch.tensor([0.65, 0.0, 0.0])
    return logits, torch.multinomial(clean.softmax(-1), 1, generator=generator)[:, 0]


def simulated(
    draw: Draw, transition: Tensor, make: Callable[[], ConformalPredictor], *, runs: int = 60, rows: int = 400
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Return the coverage of clean labels, all and of each class, on new rows, by what was fitted.

    The first is the mean over runs minus that of fits on clean labels, the second its standard error, the third has the
    coverage of all rows and the effective rows of each run.
    """
    generator = torch.Generator().manual_seed(4)
    new, clean = draw(4000, generator)
    shares: dict[str, list[Tensor]] = {"clean": [], "naive": [], "corrected": []}
    effective: dict[str, list[float]] = {name: [] for name in shares}
    torch.manual_seed(5)
    for _ in range(runs):
        logits, labels = draw(rows, generator)
        observed = torch.multinomial(transition[labels], 1, generator=generator)[:, 0]
        for name, given, noise in (
            ("clean", labels, None),
            ("naive", observed, None),
            ("corrected", observed, transition),
        ):
            fitted = make().fit(logits, given, alpha=0.1, transition=noise)
            covered = fitted.predict_sets(new).gather(1, clean[:, None])[:, 0].double()
            by_class = [covered[clean == k].mean() for k in range(transition.shape[0])]
            shares[name].append(torch.stack([covered.mean(), *by_class]))
            effective[name].append(float(fitted.effective_rows[0]))
    stacked = {name: torch.stack(one) for name, one in shares.items()}
    assert abs(float(stacked["clean"][:, 0].mean()) - 0.9) < 0.015
    return {
        name: (
            (one - stacked["clean"]).mean(0),
            (one - stacked["clean"]).std(0) / math.sqrt(runs),
            torch.stack([one[:, 0], torch.tensor(effective[name], dtype=torch.float64)]),
        )
        for name, one in stacked.items()
    }


@pytest.mark.parametrize("make", [LAC, APS])
def test_symmetric_noise_makes_naive_sets_too_large_and_corrected_sets_right(make: type) -> None:
    found = simulated(overconfident, symmetric(0.3, 4).to_dense(), make)
    assert float(found["naive"][0][0]) > 0.05
    difference, error, runs = found["corrected"]
    assert abs(float(difference[0])) < 3 * float(error[0]) < 0.03
    # the spread over calibration sets is that of fewer rows with clean labels
    effective = float(runs[1].median())
    assert 40 < effective < 120
    assert 0.7 < float(runs[0].std()) / math.sqrt(0.09 / effective) < 1.5
    assert found["naive"][2][1].tolist() == [400] * 60


def test_noise_towards_the_models_errors_makes_naive_sets_miss_clean_labels() -> None:
    found = simulated(prefers_one, FLIP, LAC)
    assert float(found["naive"][0][0]) < -0.05
    difference, error, _ = found["corrected"]
    assert abs(float(difference[0])) < 3 * float(error[0]) < 0.03


def test_the_correction_holds_for_each_class() -> None:
    found = simulated(prefers_one, FLIP, lambda: LAC(class_conditional=True), rows=600)
    difference, error, _ = found["corrected"]
    for k in (1, 2, 3):
        assert abs(float(difference[k])) < 3.5 * float(error[k]) < 0.06
    assert float(found["naive"][0][1:].abs().max()) > 0.05
