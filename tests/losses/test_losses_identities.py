"""What the methods are to each other, by exact enumeration; and where each of them has its minimum."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from softtargets import losses, noise, targets

N, K = 5, 4
LABELS = torch.tensor([2, 0, 3, 1, 2])
ASYMMETRIC = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)
CLEAN = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)  # p(clean class | x)


def logits_of(seed: int = 0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def per_label(loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Return (N, K): the losses of all examples, were their labels all k."""
    return torch.stack([loss(torch.full((N,), k)) for k in range(K)], -1)


@pytest.mark.parametrize("smoothing", [0.1, 0.9, -0.5])
def test_smoothing_is_cross_entropy_and_a_push_on_the_logit_gap(smoothing: float) -> None:
    logits = logits_of()
    made = targets.dense(targets.hard(LABELS).to_dense(K) * (1 - smoothing) + smoothing / K)
    if smoothing > 0:
        made = targets.smooth(LABELS, smoothing)
    gap = logits[torch.arange(N), LABELS] - logits.mean(-1)
    close(losses.cross_entropy(logits, made), losses.cross_entropy(logits, LABELS) + smoothing * gap)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.75, 1.0])
def test_smoothing_is_the_expected_loss_under_symmetric_noise(rate: float) -> None:
    logits, transition = logits_of(), noise.symmetric(rate, K)
    all_labels = per_label(lambda labels: losses.cross_entropy(logits, labels))
    expected = (transition.to_dense()[LABELS] * all_labels).sum(-1)
    smooth = targets.smooth(LABELS, rate, num_classes=K, convention="others")
    close(losses.cross_entropy(logits, smooth), expected)


@pytest.mark.parametrize("transition", [noise.symmetric(0.3, K), noise.symmetric(0.9, K), ASYMMETRIC])
def test_backward_correction_is_unbiased(transition) -> None:
    logits = logits_of()
    dense = transition if isinstance(transition, Tensor) else transition.to_dense()
    corrected = per_label(lambda labels: losses.backward_corrected_cross_entropy(logits, labels, transition))
    close((dense[LABELS] * corrected).sum(-1), losses.cross_entropy(logits, LABELS))


@pytest.mark.parametrize("transition", [noise.symmetric(0.3, K), noise.symmetric(0.9, K), ASYMMETRIC])
def test_the_gradient_of_forward_correction_is_p_less_the_posterior(transition) -> None:
    logits = logits_of().requires_grad_()
    dense = transition if isinstance(transition, Tensor) else transition.to_dense()
    loss = losses.forward_corrected_cross_entropy(logits, LABELS, transition)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    probs = logits.detach().softmax(-1)
    joint = probs * dense.T[LABELS]  # P(clean, observed = label)
    close(gradient, probs - joint / joint.sum(-1, keepdim=True))


def test_figure_1_of_lukasik_the_binary_losses() -> None:
    score = torch.linspace(-4, 4, 9, dtype=torch.float64)
    logits, labels = torch.stack([score, torch.zeros_like(score)], -1), torch.zeros(9, dtype=torch.int64)
    alpha = 0.4
    positive, negative = torch.log1p(torch.exp(-score)), torch.log1p(torch.exp(score))
    close(
        losses.cross_entropy(logits, targets.smooth(labels, alpha)),
        (1 - alpha / 2) * positive + alpha / 2 * negative,
    )
    transition = noise.symmetric(alpha, 2, inclusive=True)
    backward = losses.backward_corrected_cross_entropy(logits, labels, transition)
    close(backward, ((1 - alpha / 2) * positive - alpha / 2 * negative) / (1 - alpha))
    forward = losses.forward_corrected_cross_entropy(logits, labels, transition)
    close(forward, -torch.log((1 - alpha) * torch.sigmoid(score) + alpha / 2))
    assert float(forward.max()) < -math.log(alpha / 2)


def descend(risk: Callable[[Tensor], Tensor]) -> Tensor:
    """Return softmax of the free logits at the end of a descent."""
    logits = torch.zeros(K, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = risk(logits)
        value.backward()
        return value

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return logits.detach().softmax(-1)


def expectation(distribution: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the expected loss of one logit vector when labels follow `distribution`."""
    labels = torch.arange(K)
    return lambda logits: (distribution * loss(logits.expand(K, K), labels)).sum()


PRIOR = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
NOISY = CLEAN @ ASYMMETRIC
SYMMETRIC = noise.symmetric(0.3, K)
MINIMISERS = {
    "hard": (CLEAN, lambda z, y: losses.cross_entropy(z, y), CLEAN),
    "smooth": (CLEAN, lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.2)), 0.8 * CLEAN + 0.05),
    "prior": (
        CLEAN,
        lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.2, prior=PRIOR)),
        0.8 * CLEAN + 0.2 * PRIOR,
    ),
    "table": (CLEAN, lambda z, y: losses.cross_entropy(z, targets.from_table(y, ASYMMETRIC)), NOISY),
    "mix": (
        CLEAN,
        lambda z, y: losses.cross_entropy(z, targets.mix(targets.hard(y), targets.dense(PRIOR.expand(K, K)), 0.7)),
        0.7 * CLEAN + 0.3 * PRIOR,
    ),
    "forward": (NOISY, lambda z, y: losses.forward_corrected_cross_entropy(z, y, ASYMMETRIC), CLEAN),
    "backward": (NOISY, lambda z, y: losses.backward_corrected_cross_entropy(z, y, ASYMMETRIC), CLEAN),
    "forward symmetric": (
        CLEAN @ SYMMETRIC.to_dense(),
        lambda z, y: losses.forward_corrected_cross_entropy(z, y, SYMMETRIC),
        CLEAN,
    ),
    "backward symmetric": (
        CLEAN @ SYMMETRIC.to_dense(),
        lambda z, y: losses.backward_corrected_cross_entropy(z, y, SYMMETRIC),
        CLEAN,
    ),
}


@pytest.mark.parametrize("rule", MINIMISERS)
def test_descent_ends_at_the_intended_distribution(rule: str) -> None:
    observed, loss, intended = MINIMISERS[rule]
    torch.testing.assert_close(descend(expectation(observed, loss)), intended, rtol=0, atol=1e-6)


def test_trap_01_a_class_weight_weighs_the_example_and_leaves_its_target() -> None:
    weight = torch.tensor([1.0, 1.0, 20.0, 1.0], dtype=torch.float64)
    label = torch.tensor([0])

    def risk(logits: Tensor) -> Tensor:
        loss = losses.cross_entropy(logits[None], targets.smooth(label, 0.3))
        return losses.reduce(loss, weight=weight[label])

    torch.testing.assert_close(descend(risk), targets.smooth(label, 0.3).to_dense(K)[0], rtol=0, atol=1e-6)
    # torch's own weights teach class 2 instead
    torch_risk = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=0.3)
    assert int(descend(lambda logits: torch_risk(logits[None], label)).argmax()) == 2


def test_trap_03_negative_smoothing_is_not_silently_ignored() -> None:
    with pytest.raises(ValueError, match="allow_negative=True"):
        targets.smooth(LABELS, -0.4)
    with pytest.warns(UserWarning, match="negative"):
        made = targets.smooth(LABELS, -0.4, allow_negative=True)
    gap = logits_of()[torch.arange(N), LABELS] - logits_of().mean(-1)
    close(losses.cross_entropy(logits_of(), made), losses.cross_entropy(logits_of(), LABELS) - 0.4 * gap)
