"""Forward and backward correction: hand-worked numbers, slow loops, closed against dense form, extreme inputs."""

import math
from typing import Any, cast

import pytest
import torch
from reference import losses as reference
from torch import Tensor

from softtargets import losses, noise, targets
from softtargets.matrices import Transition

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
ASYMMETRIC = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)
POSITIVE = 0.8 * ASYMMETRIC + 0.05
FORWARD, BACKWARD = losses.forward_corrected_cross_entropy, losses.backward_corrected_cross_entropy
both = pytest.mark.parametrize("loss", [FORWARD, BACKWARD], ids=["forward", "backward"])

Noise = Transition | Tensor
NOISES: dict[str, Noise] = {
    "none": noise.symmetric(0.0, K),
    "symmetric": noise.symmetric(0.3, K),
    "beyond": noise.symmetric(0.9, K),  # more than redrawing everything
    "largest": noise.symmetric(1.0, K),
    "dense": noise.symmetric(0.3, K).to_dense(),
    "asymmetric": ASYMMETRIC,
    "sparse": noise.pair_flip(0.3, K),
    "tensor": noise.symmetric(torch.tensor(0.3, dtype=torch.float64), K),
    "tensor beyond": noise.symmetric(torch.tensor(0.9, dtype=torch.float64), K),
}
every_noise = pytest.mark.parametrize("name", NOISES)


def dense_of(transition: Noise) -> Tensor:
    return transition if isinstance(transition, Tensor) else transition.to_dense()


def logits_of(seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def worst(values: Tensor, truth: Tensor) -> float:
    return float((values.detach().double() - truth.detach()).abs().max())


def test_forward_by_hand() -> None:
    # p = (1/2, 1/4, 1/4), T[:, 0] = (.8, .2, 0): .4 + .05
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
    transition = torch.tensor([[0.8, 0.2, 0.0], [0.2, 0.6, 0.2], [0.0, 0.5, 0.5]], dtype=torch.float64)
    assert float(FORWARD(logits, torch.tensor([0]), transition)) == pytest.approx(-math.log(0.45), abs=1e-15)
    # symmetric at .2 over three: .8 * 1/2 + .1 * 1/2
    closed = FORWARD(logits, torch.tensor([0]), noise.symmetric(0.2, 3))
    assert float(closed) == pytest.approx(-math.log(0.45), abs=1e-15)


def test_backward_by_hand() -> None:
    # two classes, flips of .25: T^-1 = [[1.5, -.5], [-.5, 1.5]]; p = (2/3, 1/3)
    logits = torch.tensor([[math.log(2.0), 0.0]], dtype=torch.float64)
    expected = 1.5 * math.log(1.5) - 0.5 * math.log(3)
    for transition in (noise.symmetric(0.25, 2), torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64)):
        assert float(BACKWARD(logits, torch.tensor([0]), transition)) == pytest.approx(expected, abs=1e-15)


@both
@every_noise
def test_agrees_with_the_slow_loop(loss: Any, name: str) -> None:
    logits, transition = logits_of(), NOISES[name]
    slow = reference.forward_corrected if loss is FORWARD else reference.backward_corrected
    matrix = dense_of(transition).tolist()
    expected = [slow(z, y, matrix) for z, y in zip(logits.tolist(), LABELS.tolist(), strict=True)]
    assert loss(logits, LABELS, transition).tolist() == pytest.approx(expected, abs=1e-12, rel=1e-12)


@both
@pytest.mark.parametrize("identity", [noise.symmetric(0.0, K), torch.eye(K, dtype=torch.float64)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)])
def test_limits_no_noise_gives_cross_entropy(loss: Any, identity: Noise, reduction: str, weight: Tensor | None) -> None:
    made: list[Tensor] = []
    for of in (lambda z: loss(z, LABELS, identity), lambda z: losses.cross_entropy(z, LABELS)):
        logits = logits_of().requires_grad_()
        value = losses.reduce(of(logits), cast(Any, reduction), weight=weight)
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]).detach())
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_limits_symmetric_backward_is_smoothing_of_minus_a_over_1_minus_a(rate: float) -> None:
    alpha = rate * K / (K - 1)
    with pytest.warns(UserWarning, match="negative"):
        smooth = targets.smooth(LABELS, -alpha / (1 - alpha), allow_negative=True)
    torch.testing.assert_close(
        BACKWARD(logits_of(), LABELS, noise.symmetric(rate, K)),
        losses.cross_entropy(logits_of(), smooth),
        rtol=0,
        atol=1e-13,
    )


def test_symmetric_forward_is_bounded() -> None:
    transition = noise.symmetric(0.3, K)
    logits = torch.tensor([[-1e4, 1e4, 0.0, 0.0]], dtype=torch.float64)
    bound = -math.log(float(transition.redraw) / K)
    assert float(FORWARD(logits, torch.tensor([0]), transition)) == pytest.approx(bound, abs=1e-12)


@both
@every_noise
def test_gradcheck(loss: Any, name: str) -> None:
    logits = logits_of().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, LABELS, NOISES[name]), logits)


@both
def test_gradcheck_of_a_learned_transition(loss: Any) -> None:
    logits = logits_of()
    redraws = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.3, 1.2)]
    for redraw in redraws:
        assert torch.autograd.gradcheck(lambda a: loss(logits, LABELS, Transition(K, a)), redraw)
    matrix = POSITIVE.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: loss(logits, LABELS, t), matrix)


@pytest.mark.parametrize("value", [0.5, 1.0, 1.2])
def test_the_gradient_of_the_redraw_rate_on_either_side_of_1(value: float) -> None:
    redraw = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    logits = logits_of()
    (gradient,) = torch.autograd.grad(FORWARD(logits, LABELS, Transition(K, redraw)).sum(), redraw)
    probs = logits.softmax(-1)[torch.arange(N), LABELS]
    expected = ((probs - 1 / K) / ((1 - value) * probs + value / K)).sum()
    assert float(gradient) == pytest.approx(float(expected), rel=1e-12)


@both
@every_noise
def test_invariance_to_shift_renaming_split_and_layout(loss: Any, name: str) -> None:
    logits, transition = logits_of(), NOISES[name]
    whole = loss(logits, LABELS, transition)
    close = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(loss(logits + 37.5, LABELS, transition), whole, **close)
    order = torch.tensor([3, 1, 0, 2])
    renamed = dense_of(transition)[order][:, order]
    torch.testing.assert_close(loss(logits[:, order], order.argsort()[LABELS], renamed), whole, **close)
    parts = [loss(logits[i : i + 1], LABELS[i : i + 1], transition) for i in range(N)]
    torch.testing.assert_close(torch.cat(parts), whole, **close)
    channels_second = logits.view(2, 3, K).movedim(-1, 1)
    grid = loss(channels_second, LABELS.view(2, 3), transition, class_dim=1)
    torch.testing.assert_close(grid, whole.view(2, 3), **close)
    assert torch.equal(loss(logits, LABELS.to(torch.uint8), transition), whole)


def test_trap_25_forward_correction_works_in_log_space() -> None:
    # p of the only class that gives this label is exp(-1e4), which no float holds
    logits = torch.tensor([[0.0, -1e4, 5.0, 1.0]], dtype=torch.float64, requires_grad=True)
    transition = torch.tensor([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    loss = FORWARD(logits, torch.tensor([1]), transition)
    expected = reference.log_softmax([0.0, -1e4, 5.0, 1.0])[1] + math.log(0.5)
    assert float(loss.detach()) == pytest.approx(-expected, rel=1e-15)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    probs = logits.detach().softmax(-1)
    torch.testing.assert_close(gradient, probs - torch.tensor([[0.0, 1, 0, 0]], dtype=torch.float64))


@both
@every_noise
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(loss: Any, name: str, dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, 1.0]], dtype=dtype).expand(4, K).clone().requires_grad_()
    values = loss(logits, torch.arange(4), NOISES[name])
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert bool(gradient.isfinite().all())
    if not (loss is FORWARD and name == "largest"):  # there the label rules its own class out: infinite when certain
        assert bool(values.isfinite().all())


@both
@pytest.mark.parametrize("name", ["symmetric", "dense", "asymmetric", "beyond"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(loss: Any, name: str, dtype: torch.dtype) -> None:
    transition, matrix = NOISES[name], dense_of(NOISES[name])
    half = logits_of(5).to(dtype).requires_grad_()
    rows = torch.arange(N)

    def plain(z: Tensor) -> Tensor:
        if loss is FORWARD:
            return -(z.softmax(-1) @ matrix.to(z.dtype)).log()[rows, LABELS]
        return -(z.log_softmax(-1) @ torch.linalg.inv(matrix).T.to(z.dtype))[rows, LABELS]

    wide = half.detach().double().requires_grad_()
    ours, theirs, truth = loss(half, LABELS, transition), plain(half), plain(wide)
    assert ours.dtype == torch.float32
    assert worst(ours, truth) <= worst(theirs, truth) + 1e-6
    gradients = [
        torch.autograd.grad(value.sum(), leaf)[0] for value, leaf in ((ours, half), (theirs, half), (truth, wide))
    ]
    assert worst(gradients[0], gradients[2]) <= worst(gradients[1], gradients[2]) + 1e-3


@pytest.mark.parametrize("name", ["symmetric", "asymmetric", "dense"])
def test_trap_04_forward_correction_of_a_masked_logit(name: str) -> None:
    logits = logits_of().masked_fill(torch.tensor([False, True, False, False]), -torch.inf).requires_grad_()
    labels = torch.tensor([2, 0, 3, 1, 2, 0])  # 1 is masked: only the noise can have made that label
    loss = FORWARD(logits, labels, NOISES[name])
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    kept = torch.tensor([0, 2, 3])  # the rows of T that are left; every column is
    rows, matrix = logits.detach()[:, kept].tolist(), dense_of(NOISES[name])[kept].tolist()
    expected = [reference.forward_corrected(z, y, matrix) for z, y in zip(rows, labels.tolist(), strict=True)]
    assert loss.tolist() == pytest.approx(expected, abs=1e-12)
    assert bool((gradient[:, 1] == 0).all())
    assert bool(gradient.isfinite().all())


@both
@pytest.mark.parametrize("name", ["symmetric", "asymmetric"])
def test_function_transforms(loss: Any, name: str) -> None:
    logits = logits_of()
    per_example = torch.func.vmap(torch.func.grad(lambda z, y: loss(z, y, NOISES[name])))(logits, LABELS)
    leaf = logits.clone().requires_grad_()
    (whole,) = torch.autograd.grad(loss(leaf, LABELS, NOISES[name]).sum(), leaf)
    torch.testing.assert_close(per_example, whole, rtol=0, atol=1e-13)


@both
def test_errors(loss: Any) -> None:
    logits = torch.zeros(2, 3)
    good = torch.tensor([0, 1])
    with pytest.raises(
        ValueError, match="transition: 3 classes, as the logits; got 4; pass the transition of these classes"
    ):
        loss(logits, good, noise.symmetric(0.1, 4))
    with pytest.raises(ValueError, match=r"targets: .*below 3.*; got 3 at row 1; fix or drop"):
        loss(logits, torch.tensor([0, 3]), noise.symmetric(0.1, 3))
    with pytest.raises(ValueError, match=r"(targets|labels): shape \(2,\).*; got \(1,\)"):
        loss(logits, torch.tensor([0]), torch.eye(3))
    with pytest.raises(TypeError, match="logits: a floating-point tensor"):
        loss(logits.long(), good, torch.eye(3))


@both
def test_trap_23_a_transposed_transition_is_refused_with_the_remedy(loss: Any) -> None:
    message = "transition: rows .clean class. that sum to 1; got 0.85 in row 0; its columns sum to 1: transpose it"
    with pytest.raises(ValueError, match=message):
        loss(logits_of(), LABELS, ASYMMETRIC.T.contiguous())


def test_trap_24_an_ill_conditioned_transition_is_not_inverted() -> None:
    nearly = torch.full((K, K), 0.25, dtype=torch.float64)
    nearly[0] += torch.tensor([3.0, -1, -1, -1]) * 1e-13
    message = r"transition: a condition number below 1e\+10; got .*; use forward correction, which needs no inverse"
    for transition in (nearly, Transition(K, 1 - 1e-12), Transition(K, torch.tensor(1 - 1e-12, dtype=torch.float64))):
        with pytest.raises(ValueError, match=message):
            BACKWARD(logits_of(), LABELS, transition)
    with pytest.raises(
        ValueError, match="transition: invertible; got redraw = 1, where the label carries no information"
    ):
        BACKWARD(logits_of(), LABELS, noise.symmetric(0.75, K))
    assert bool(FORWARD(logits_of(), LABELS, nearly).isfinite().all())


@pytest.mark.parametrize("learned", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize("dense", [False, True], ids=["closed", "dense"])
def test_trap_04_a_label_that_only_masked_classes_explain(dense: bool, learned: bool) -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0], [0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0])
    expected = losses.cross_entropy(z, labels)
    if dense:
        made: Noise = torch.eye(3, dtype=torch.float64).requires_grad_(learned)
    else:
        made = noise.symmetric(torch.zeros((), dtype=torch.float64).requires_grad_(learned), 3)
    loss = FORWARD(z, labels, made)
    assert loss.tolist() == pytest.approx(expected.tolist(), abs=1e-15)
    (gradient,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), z)[0])
    if dense and learned:
        assert isinstance(made, Tensor)
        (gradient,) = torch.autograd.grad(loss[0], made)
        assert gradient.tolist() == torch.zeros(3, 3).tolist()


@pytest.mark.parametrize("learned", [False, True], ids=["fast", "plain"])
def test_a_label_that_is_never_observed_has_a_finite_gradient(learned: bool) -> None:
    transition = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64, requires_grad=learned)
    z = torch.tensor([[1.0, 2.0], [-math.inf, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = FORWARD(z, torch.tensor([0, 0]), transition)
    assert loss.tolist() == [math.inf, math.inf]
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), z)[0], z.detach().softmax(-1))


MASKED = torch.tensor([[1.0, -torch.inf, 0.5, -1.0], [0.3, 0.2, -torch.inf, -torch.inf]], dtype=torch.float64)
WRITTEN_OUT = noise.symmetric(0.3, K).to_dense()


@pytest.mark.parametrize("targets_of_masked", [torch.tensor([0, 1]), torch.eye(K, dtype=torch.float64)[:2]])
def test_a_masked_class_takes_no_part_in_backward_correction(targets_of_masked: Tensor) -> None:
    """Its weight in the row of the inverse is dropped, whatever the form of the transition."""
    inverse, log_probs = torch.linalg.inv(WRITTEN_OUT), MASKED.log_softmax(-1)
    there = log_probs.isfinite()
    expected = -(inverse[[0, 1]] * log_probs.masked_fill(~there, 0.0)).sum(-1)
    for transition in (noise.symmetric(0.3, K), WRITTEN_OUT):
        logits = MASKED.clone().requires_grad_()
        found = BACKWARD(logits, targets_of_masked, transition)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        (gradient,) = torch.autograd.grad(found.sum(), logits)
        assert bool(gradient.isfinite().all())
        assert bool((gradient[~there] == 0).all())


def test_backward_correction_stays_unbiased_for_the_classes_that_are_not_masked() -> None:
    kept = MASKED[:1].expand(K, K)
    every = BACKWARD(kept, torch.arange(K).clamp(max=K - 1), ASYMMETRIC)
    every = torch.where(every.isfinite(), every, _of_masked_label(kept[0], 1))
    clean = ASYMMETRIC @ every
    expected = -MASKED[0].log_softmax(-1)
    torch.testing.assert_close(clean[[0, 2, 3]], expected[[0, 2, 3]], rtol=0, atol=1e-12)


def _of_masked_label(logits: Tensor, label: int) -> Tensor:
    weights = torch.linalg.inv(ASYMMETRIC)[label]
    return -(weights * logits.log_softmax(-1).masked_fill(logits == -torch.inf, 0.0)).sum()


@pytest.mark.parametrize("transition", [noise.symmetric(0.3, K), WRITTEN_OUT, torch.eye(K)])
def test_a_masked_label_is_impossible_to_backward_correction_as_to_cross_entropy(transition: Any) -> None:
    for given in (torch.tensor([1, 2]), torch.eye(K, dtype=torch.float64)[[1, 2]]):
        assert bool((BACKWARD(MASKED, given, transition) == torch.inf).all())


def test_only_the_label_is_not_masked() -> None:
    alone = torch.full((1, K), -torch.inf).double()
    alone[0, 2] = 3.0
    for transition in (noise.symmetric(0.3, K), WRITTEN_OUT):
        assert float(BACKWARD(alone, torch.tensor([2]), transition)) == 0


@pytest.mark.parametrize("transition", [noise.symmetric(0.3, K), ASYMMETRIC])
def test_masked_classes_in_forward_correction_of_soft_targets(transition: Any) -> None:
    weights = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    logits = MASKED.clone().requires_grad_()
    matrix = transition if isinstance(transition, Tensor) else transition.to_dense()
    expected = -torch.xlogy(weights, MASKED.softmax(-1) @ matrix).sum(-1)
    found = FORWARD(logits, weights, transition)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert bool(torch.autograd.grad(found.sum(), logits)[0].isfinite().all())


def test_forward_correction_of_soft_targets_keeps_its_bits_where_all_but_one_class_vanish() -> None:
    matrix = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.5, 0.5]])
    logits = torch.tensor([[900.0, 0.0, -300.0], [0.0, 1.0, 2.0]], requires_grad=True)
    weights = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    found = FORWARD(logits, weights, matrix)
    apart = torch.stack([FORWARD(logits, torch.full((2,), k), matrix) for k in range(3)], -1)
    torch.testing.assert_close(found, (weights * apart).sum(-1))
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert bool(gradient.isfinite().all())
    close_to = torch.autograd.grad((weights * apart).sum(), logits)[0]
    torch.testing.assert_close(gradient, close_to, rtol=1e-4, atol=1e-5)
