"""Vector scaling: hand numbers, scipy, data drawn from known scales, its limits, and data without a minimum."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional

from softtargets.calibration import TemperatureScaling, VectorScaling

K = 4
SCALE = torch.linspace(0.4, 1.2, K, dtype=torch.float64)
BIAS = torch.linspace(-1.0, 1.0, K, dtype=torch.float64)


def drawn(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, K, dtype=torch.float64, generator=generator) * 3 + 1
    labels = torch.multinomial((logits * SCALE + BIAS).softmax(-1), 1, generator=generator)[:, 0]
    return logits, labels


def objective(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits * weights[0] + weights[1], labels)


def test_by_hand() -> None:
    # class 0 in 1 of 4 whatever the logits say: log odds of -log 3, biases summing to 0
    fitted = VectorScaling().fit(torch.zeros(4, 2), torch.tensor([0, 1, 1, 1]))
    assert fitted.bias.tolist() == pytest.approx([-math.log(3) / 2, math.log(3) / 2], abs=1e-6)
    assert fitted(torch.zeros(1, 2)).exp().tolist()[0] == pytest.approx([0.25, 0.75], abs=1e-6)
    assert bool(fitted.converged)


def test_scipy_finds_the_same() -> None:
    logits, labels = drawn(1500, 0)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.tensor(flat).view(2, K).requires_grad_()
        loss = objective(logits, labels, weights)
        (gradient,) = torch.autograd.grad(loss, weights)
        return float(loss.detach()), gradient.flatten().numpy()

    theirs = minimize(value, np.r_[np.ones(K), np.zeros(K)], jac=True, method="BFGS", options={"gtol": 1e-9}).x
    fitted = VectorScaling().fit(logits, labels)
    assert bool(fitted.converged)
    assert fitted.scale.tolist() == pytest.approx(theirs[:K], abs=1e-5)
    assert fitted.bias.tolist() == pytest.approx(theirs[K:] - theirs[K:].mean(), abs=1e-5)
    assert float(fitted.bias.sum()) == pytest.approx(0, abs=1e-12)
    weights = torch.stack([fitted.scale, fitted.bias]).requires_grad_()
    (gradient,) = torch.autograd.grad(objective(logits, labels, weights), weights)
    assert float(gradient.abs().max()) < 1e-6


def test_it_finds_the_scales_that_the_labels_were_drawn_with() -> None:
    logits, labels = drawn(40_000, 1)
    fitted = VectorScaling().fit(logits.float(), labels)
    torch.testing.assert_close(fitted.scale, SCALE, rtol=0, atol=0.05)
    torch.testing.assert_close(fitted.bias, BIAS, rtol=0, atol=0.1)


def test_it_is_never_worse_than_temperature_and_without_bias_has_none() -> None:
    logits, labels = drawn(500, 2)
    losses = [
        float(functional.nll_loss(fitted(logits), labels))
        for fitted in (
            VectorScaling().fit(logits, labels),
            VectorScaling(fit_bias=False).fit(logits, labels),
            TemperatureScaling().fit(logits, labels),
        )
    ]
    assert losses == sorted(losses)
    assert VectorScaling(fit_bias=False).fit(logits, labels).bias.tolist() == [0.0] * K


def test_class_names_do_not_matter() -> None:
    logits, labels = drawn(500, 3)
    names = torch.tensor([2, 0, 3, 1])
    fitted, renamed = (
        VectorScaling().fit(logits, labels),
        VectorScaling().fit(logits[:, names], names.argsort()[labels]),
    )
    torch.testing.assert_close(renamed.scale, fitted.scale[names], rtol=0, atol=1e-5)


def test_without_a_minimum_it_is_finite_and_not_converged() -> None:
    logits, labels = drawn(400, 4)
    seen = labels != 2
    # no example of class 2: its bias falls as long as the search goes on
    missing = VectorScaling().fit(logits[seen], labels[seen])
    # each class told apart without error, by one temperature or only by several scales
    apart = VectorScaling().fit(logits, logits.argmax(1))
    rescaled = VectorScaling().fit(logits, (logits * SCALE + BIAS).argmax(1))
    for fitted in (missing, apart, rescaled):
        assert not bool(fitted.converged)
        assert bool(torch.cat([fitted.scale, fitted.bias]).isfinite().all())
    assert not bool(VectorScaling(max_iter=1).fit(logits, labels).converged)
    assert bool(VectorScaling().fit(logits, labels).converged)


def test_masked_classes_stay_masked() -> None:
    logits, labels = drawn(400, 5)
    masked = logits.masked_fill(functional.one_hot((labels + 1) % K, K).bool(), -math.inf)
    fitted = VectorScaling().fit(masked, labels)
    made = fitted(masked)
    assert torch.equal(made == -math.inf, masked == -math.inf)
    torch.testing.assert_close(made.exp().sum(-1), torch.ones(400, dtype=torch.float64))
    weights = torch.stack([fitted.scale, fitted.bias]).requires_grad_()
    moved = masked.masked_fill(masked.isinf(), 0) * weights[0] + weights[1]
    loss = functional.cross_entropy(moved.masked_fill(masked.isinf(), -math.inf), labels)
    assert float(torch.autograd.grad(loss, weights)[0].abs().max()) < 1e-6
    impossible = masked.clone()
    impossible[0, labels[0]] = -math.inf
    assert int(VectorScaling().fit(impossible, labels).left_out) == 1


def test_new_objects_and_errors() -> None:
    logits, labels = drawn(50, 6)
    with pytest.raises(ValueError, match="VectorScaling: a fitted calibrator; got an unfitted one; call fit"):
        VectorScaling()(logits)
    fitted = VectorScaling().fit(logits, labels)
    assert repr(fitted) == "VectorScaling(num_classes=4, converged=True)"
    with pytest.raises(ValueError, match=r"logits: 4 classes on axis -1, as fitted; got \(50, 3\); use the calib"):
        fitted(logits[:, :3])
    with pytest.raises(ValueError, match="max_iter: at least 1; got 0"):
        VectorScaling(max_iter=0)
    with pytest.raises(ValueError, match=r"tolerance: in \[1e-12, 1\]; got 2"):
        VectorScaling(tolerance=2)
