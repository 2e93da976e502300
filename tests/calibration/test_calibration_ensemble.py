"""Ensemble temperature scaling: the weights against known mixtures, EM and the corners of the simplex."""

import math

import pytest
import torch
from torch.nn import functional

from softtargets.calibration import EnsembleTemperatureScaling, TemperatureScaling
from softtargets.calibration._ensemble import mixture_weights


def drawn(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels that are uniform in two of ten rows, and else drawn from a softer softmax."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, 5, dtype=torch.float64, generator=generator) * 4
    labels = torch.multinomial((logits / 2).softmax(-1), 1, generator=generator)[:, 0]
    labels[: number // 5] = torch.randint(5, (number // 5,), generator=generator)
    return logits, labels


def test_a_mixture_by_hand() -> None:
    # likelihoods (1, 0) three times and (0, 1) once: weights 3/4 and 1/4
    weights, converged = mixture_weights(torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]).double())
    assert weights.tolist() == pytest.approx([0.75, 0.25], abs=1e-9)
    assert converged
    # one that is best on every row takes all
    weights, converged = mixture_weights(torch.tensor([[0.9, 0.5], [0.3, 0.4], [0.2, 0.2]]).double())
    assert weights.tolist() == pytest.approx([1, 0, 0], abs=1e-8)
    assert converged


@pytest.mark.parametrize("seed", range(4))
def test_expectation_maximisation_finds_the_same_weights(seed: int) -> None:
    likelihoods = torch.rand(3, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) ** 3
    weights, converged = mixture_weights(likelihoods)
    assert converged
    slow = torch.full((3,), 1 / 3, dtype=torch.float64)
    for _ in range(5000):
        slow = slow * (likelihoods / (slow @ likelihoods)).mean(1)
    torch.testing.assert_close(weights, slow, rtol=0, atol=1e-6)


def test_two_parts_alike_still_converge() -> None:
    row = torch.rand(100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights, converged = mixture_weights(torch.stack([row, row, row.flip(0)]))
    assert converged
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)


def test_it_is_the_mixture_and_finds_the_uniform_part() -> None:
    logits, labels = drawn(20_000, 0)
    fitted = EnsembleTemperatureScaling().fit(logits, labels)
    assert bool(fitted.converged)
    assert float(fitted.temperature) == float(TemperatureScaling().fit(logits, labels).temperature)
    a, b = (logits / fitted.temperature).softmax(-1), logits.softmax(-1)
    w = fitted.weights
    torch.testing.assert_close(fitted(logits).exp(), w[0] * a + w[1] * b + w[2] / 5, rtol=0, atol=1e-14)
    assert float(w.sum()) == pytest.approx(1, abs=1e-12)
    assert bool((w >= 0).all())
    assert torch.equal(fitted(logits).argmax(-1), logits.argmax(-1))
    better = float(functional.nll_loss(fitted(logits), labels))
    assert better < float(functional.nll_loss(TemperatureScaling().fit(logits, labels)(logits), labels)) - 1e-4
    # nothing within the simplex is better: every derivative towards a corner is uphill
    at_label = torch.stack([part.gather(1, labels[:, None])[:, 0] for part in (a, b, torch.full_like(a, 0.2))])
    assert float((at_label / (w @ at_label)).mean(1).max()) <= 1 + 1e-9


def test_the_original_predictions_alone_are_log_softmax_and_infinite_logits_get_the_uniform_part() -> None:
    logits, labels = drawn(200, 1)
    original = EnsembleTemperatureScaling()
    original.fill(temperature=1.0, weights=torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(original(logits), logits.log_softmax(-1), rtol=0, atol=1e-14)
    assert original(logits.bfloat16()).dtype == torch.float32
    fitted = EnsembleTemperatureScaling().fit(logits, labels)
    masked = logits.index_fill(1, torch.tensor([3]), -math.inf)
    share = float(fitted.weights[2]) / 5
    assert fitted(masked)[:, 3].exp().tolist() == pytest.approx([share] * 200, rel=1e-12)
    assert bool((original(masked)[:, 3] == -math.inf).all())
    # nor does a mask spoil the gradient
    inputs = masked.requires_grad_()
    fitted(inputs).gather(1, labels[:, None]).sum().backward()
    assert inputs.grad is not None
    assert bool(inputs.grad.isfinite().all())
    assert bool((inputs.grad[:, 3] == 0).all())
    assert int(EnsembleTemperatureScaling().fit(masked, labels).left_out) == int((labels == 3).sum())
    assert repr(original) == "EnsembleTemperatureScaling(temperature=1, weights=(0, 1, 0), converged=False)"
    assert repr(EnsembleTemperatureScaling()) == "EnsembleTemperatureScaling(unfitted)"
    with pytest.raises(ValueError, match="EnsembleTemperatureScaling: a fitted calibrator; got an unfitted one"):
        EnsembleTemperatureScaling()(logits)


def test_errors() -> None:
    logits, labels = drawn(10, 2)
    with pytest.raises(ValueError, match=r"labels: shape \(10,\); got \(9,\)"):
        EnsembleTemperatureScaling().fit(logits, labels[:9])
