"""The linear probe: by hand, by scikit-learn, its limits and what it does not depend on."""

import math
import warnings

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from softtargets.analysis import LinearProbe, linear_probe

N, K, D = 300, 4, 6
generator = torch.Generator().manual_seed(0)
LABELS = torch.randint(K, (2 * N,), generator=generator)
CENTERS = torch.randn(K, D, generator=generator)
SCALES = torch.tensor([1.0, 10.0, 0.01, 1.0, 5.0, 1.0])
FEATURES = (torch.randn(2 * N, D, generator=generator) + CENTERS[LABELS]) * SCALES + 3
TRAIN, TEST = (FEATURES[:N], LABELS[:N]), (FEATURES[N:], LABELS[N:])


def _probs(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (features.double() @ weight.T + bias).softmax(1)


def test_by_hand() -> None:
    # two examples at -1 and 1 on the standardised axis: sigmoid(-margin) = l2 * margin / 2
    train, labels = torch.tensor([[3.0], [7.0]]), torch.tensor([0, 1])
    found = linear_probe(train, labels, torch.tensor([[4.9], [5.1], [4.0], [9.0]]), torch.tensor([0, 1, 1, 1]), l2=0.5)
    assert isinstance(found, LinearProbe)
    margin = 2 * float(found.weight[1, 0] - found.weight[0, 0])  # a deviation is 2
    assert 1 / (1 + math.exp(margin)) == pytest.approx(0.25 * margin, abs=1e-8)
    assert float(found.bias[1] - found.bias[0]) == pytest.approx(-5 * margin / 2, abs=1e-7)
    assert float(found.accuracy) == 0.75
    assert found.converged


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0, 1e4])
def test_agrees_with_scikit_learn(l2: float) -> None:
    found = linear_probe(*TRAIN, *TEST, l2=l2)
    scaler = StandardScaler().fit(TRAIN[0].double().numpy())
    other = LogisticRegression(C=1 / (l2 * N), tol=1e-12, max_iter=10_000)
    train, test = (scaler.transform(features.double().numpy()) for features in (TRAIN[0], TEST[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may ask for more steps than rounding allows
        other.fit(train, TRAIN[1].numpy())
    assert found.converged
    expected = torch.tensor(other.predict_proba(test))
    torch.testing.assert_close(_probs(TEST[0], found.weight, found.bias), expected, rtol=0, atol=2e-5)
    assert float(found.accuracy) == pytest.approx(other.score(test, TEST[1].numpy()))


def test_the_gradient_is_0_at_the_end() -> None:
    found = linear_probe(*TRAIN, *TEST, l2=0.01)
    features, labels = TRAIN[0].double(), TRAIN[1]
    mean, scale = features.mean(0), features.std(0, correction=0)
    weight = (found.weight * scale).requires_grad_()
    bias = (found.bias + found.weight @ mean).requires_grad_()
    logits = (features - mean) / scale @ weight.T + bias
    loss = torch.nn.functional.cross_entropy(logits, labels) + 0.005 * weight.square().sum()
    for gradient in torch.autograd.grad(loss, [weight, bias]):
        assert gradient.abs().max() < 2e-8


def test_the_columns_scale_and_origin_do_not_matter() -> None:
    plain = linear_probe(*TRAIN, *TEST)
    moved = [
        (features * torch.tensor([3.0, 1e-3, 50.0, 1.0, 2.0, 9.0]) - 7, labels) for features, labels in (TRAIN, TEST)
    ]
    found = linear_probe(*moved[0], *moved[1])
    left, right = _probs(TEST[0], plain.weight, plain.bias), _probs(moved[1][0], found.weight, found.bias)
    torch.testing.assert_close(left, right, rtol=0, atol=1e-4)
    assert found.accuracy == plain.accuracy


def test_a_strong_penalty_leaves_the_shares_of_the_classes() -> None:
    found = linear_probe(*TRAIN, *TEST, l2=1e9)
    shares = TRAIN[1].bincount() / N
    assert (found.weight * SCALES).abs().max() < 1e-8
    torch.testing.assert_close(found.bias.softmax(0), shares.double(), rtol=0, atol=1e-6)
    assert float(found.accuracy) == pytest.approx(float((TEST[1] == shares.argmax()).double().mean()))


def test_the_same_twice_without_random_numbers() -> None:
    state = torch.random.get_rng_state()
    first, second = (linear_probe(*TRAIN, *TEST) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_trains_within_no_grad_and_from_tensors_with_gradients() -> None:
    features = TRAIN[0].clone().requires_grad_()
    with torch.no_grad():
        found = linear_probe(features, TRAIN[1], *TEST)
    assert found.converged
    assert not found.weight.requires_grad
    assert features.grad is None


def test_it_trains_in_inference_mode_and_from_its_tensors() -> None:
    plain = linear_probe(*TRAIN, *TEST)
    with torch.inference_mode():
        train, test = (TRAIN[0].double(), TRAIN[1] + 0), (TEST[0].double(), TEST[1] + 0)
        inside = linear_probe(*train, *test)
    for found in (inside, linear_probe(*train, *test)):
        assert torch.equal(found.weight, plain.weight)


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_squares_that_vanish_or_overflow_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"train_features: numbers of which the largest is between 1e-120 and 1e\+120"):
        linear_probe(TRAIN[0].double() * scale, TRAIN[1], *TEST)


def test_columns_that_do_not_vary_are_left_alone() -> None:
    dead = torch.cat([TRAIN[0], torch.full((N, 1), 0.1), torch.zeros(N, 1)], 1)
    alive = torch.cat([TEST[0], torch.full((N, 1), 1e3), torch.full((N, 1), -5.0)], 1)
    found = linear_probe(dead, TRAIN[1], alive, TEST[1])
    plain = linear_probe(*TRAIN, *TEST)
    assert found.weight[:, D:].abs().max() < 1e-12
    assert found.accuracy == plain.accuracy


def test_a_class_without_training_examples_is_never_predicted() -> None:
    kept = TRAIN[1] != 2
    found = linear_probe(TRAIN[0][kept], TRAIN[1][kept], *TEST, num_classes=K + 2)
    assert found.weight.shape == (K + 2, D)
    assert found.bias.isneginf().tolist() == [False, False, True, False, True, True]
    assert not bool((_probs(TEST[0], found.weight, found.bias).argmax(1) == 2).any())
    assert float(found.accuracy) < 1 - float((TEST[1] == 2).double().mean()) + 1e-12


def test_too_few_steps_are_said() -> None:
    assert not linear_probe(*TRAIN, *TEST, steps=2).converged


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"test_features: 6 columns, as the training features; got 5"):
        linear_probe(*TRAIN, TEST[0][:, :5], TEST[1])
    with pytest.raises(ValueError, match=r"test_labels: .*below 4.*; got 9 at row 0"):
        linear_probe(*TRAIN, TEST[0], torch.full((N,), 9))
    with pytest.raises(ValueError, match=r"train_labels: .*below 3"):
        linear_probe(*TRAIN, *TEST, num_classes=3)
    with pytest.raises(ValueError, match=r"train_features: finite values; got inf at index \(0, 0\)"):
        linear_probe(torch.full((N, D), torch.inf), TRAIN[1], *TEST)
    with pytest.raises(ValueError, match=r"train_labels: examples of at least 2 classes; got only class 3"):
        linear_probe(TRAIN[0], torch.full((N,), 3), *TEST)
    for l2 in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"l2: a finite number above 0"):
            linear_probe(*TRAIN, *TEST, l2=l2)
    with pytest.raises(ValueError, match=r"steps: at least 1; got 0"):
        linear_probe(*TRAIN, *TEST, steps=0)
    with pytest.raises(ValueError, match=r"test_labels: shape \(300,\); got \(299,\)"):
        linear_probe(*TRAIN, TEST[0], TEST[1][1:])
