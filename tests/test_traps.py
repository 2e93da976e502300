"""What the field gets wrong in its losses, one test a trap: each would fail if we did the same.

Where torch makes the mistake, and it is cheap to show, the test shows it.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from processes import run_on_processes
from torch import Tensor
from torch.nn import functional as F

from softtargets import losses, nn, noise, targets

N, K = 6, 4
generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator, dtype=torch.float64) * 2
LABELS = torch.tensor([3, 0, 1, 2, 3, 0])
PROBS = torch.randn(N, K, generator=generator, dtype=torch.float64).softmax(-1)
WEIGHT = torch.tensor([1.0, 5.0, 0.5, 20.0], dtype=torch.float64)
IGNORED = torch.tensor([False, True, False, False, True, False])


def gradient_of(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    return gradient


def close(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=0, atol=tolerance, check_dtype=False)


def test_trap_01_class_weights_with_smoothing_teach_the_right_class() -> None:
    weight, label = torch.tensor([1.0, 1.0, 20.0], dtype=torch.float64), torch.tensor([0])
    ours = nn.CrossEntropyLoss(weight=weight, label_smoothing=0.3)
    theirs = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=0.3)
    # convex in the logits: the minimiser is where the gradient is 0
    right = torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64)
    wrong = torch.tensor([[0.8, 0.1, 2.0]], dtype=torch.float64) / 2.9
    assert wrong[0].tolist() == pytest.approx([0.276, 0.034, 0.690], abs=1e-3)
    close(gradient_of(lambda z: ours(z, label), right.log()), torch.zeros(1, 3))
    close(gradient_of(lambda z: theirs(z, label), wrong.log()), torch.zeros(1, 3))


def test_trap_02_labels_and_one_hot_vectors_have_the_same_weighted_mean() -> None:
    one_hot = F.one_hot(LABELS, K).double()
    ours, theirs = nn.CrossEntropyLoss(weight=WEIGHT), torch.nn.CrossEntropyLoss(weight=WEIGHT)
    close(ours(LOGITS, one_hot), ours(LOGITS, LABELS))
    close(ours(LOGITS, LABELS), theirs(LOGITS, LABELS))
    assert abs(float(theirs(LOGITS, one_hot) - theirs(LOGITS, LABELS))) > 1


def test_trap_03_negative_smoothing_is_refused_or_meant() -> None:
    for call in (
        lambda: nn.CrossEntropyLoss(label_smoothing=-0.1),
        lambda: targets.smooth(LABELS, -0.1),
        lambda: losses.max_suppression_loss(LOGITS, LABELS, smoothing=-0.1),
    ):
        with pytest.raises(ValueError, match=r"smoothing: in \[0, 1\]; got -0.1"):
            call()
    with pytest.warns(UserWarning, match="unbounded below"):
        made = targets.smooth(LABELS, -0.1, allow_negative=True)
    hard, uniform = (losses.cross_entropy(LOGITS, targets.smooth(LABELS, rate)) for rate in (0.0, 1.0))
    close(losses.cross_entropy(LOGITS, made), 1.1 * hard - 0.1 * uniform)


def test_trap_04_a_masked_logit_gets_no_smoothing_and_no_gradient() -> None:
    logits, label = torch.tensor([[1.0, 2.0, -math.inf, 0.0]]).double(), torch.tensor([0])
    valid = logits[:, [0, 1, 3]]
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.3)
    close(smoothed(logits, label), smoothed(valid, label))
    soft = torch.tensor([[0.7, 0.2, 0.0, 0.1]]).double()
    close(nn.CrossEntropyLoss()(logits, soft), F.cross_entropy(valid, soft[:, [0, 1, 3]]))
    for target, loss in ((label, smoothed), (soft, nn.CrossEntropyLoss())):
        gradient = gradient_of(lambda z, loss=loss, target=target: loss(z, target), logits)
        assert gradient.isfinite().all()
        assert gradient[0, 2] == 0
    assert F.cross_entropy(logits, label, label_smoothing=0.3).isinf()
    assert F.cross_entropy(logits, soft).isnan()


def test_trap_05_a_batch_that_is_ignored_is_0_with_gradient_0() -> None:
    ignored = torch.full((N,), -100)
    for loss in (
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
        nn.Loss(losses.focal_loss),
    ):
        assert loss(LOGITS, ignored) == 0
        assert gradient_of(lambda z, loss=loss: loss(z, ignored), LOGITS).eq(0).all()
    assert F.cross_entropy(LOGITS, ignored).isnan()


def test_trap_06_soft_targets_can_be_ignored_and_ignore_index_is_never_without_effect() -> None:
    made = replace(targets.dense(PROBS), ignored=IGNORED)
    close(nn.CrossEntropyLoss()(LOGITS, made), nn.CrossEntropyLoss()(LOGITS[~IGNORED], PROBS[~IGNORED]))
    gradient = gradient_of(lambda z: nn.CrossEntropyLoss()(z, made), LOGITS)
    assert gradient[IGNORED].eq(0).all()
    assert gradient[~IGNORED].ne(0).all()
    smoothed = targets.smooth(targets.hard(LABELS.masked_fill(IGNORED, 255), ignore_index=255), 0.2)
    close(
        nn.CrossEntropyLoss()(LOGITS, smoothed),
        F.cross_entropy(LOGITS[~IGNORED], LABELS[~IGNORED], label_smoothing=0.2),
    )
    with pytest.raises(ValueError, match="ignore_index: negative if targets are probabilities; got 2"):
        nn.CrossEntropyLoss(ignore_index=2)(LOGITS, PROBS)


@pytest.mark.parametrize("row", [[0.5, 0.6, 0.1, 0.0], [0.5, 0.7, -0.2, 0.0]], ids=["mass", "negative"])
def test_trap_07_mass_other_than_1_and_negative_entries_are_computed_or_refused(row: list[float]) -> None:
    values = torch.tensor([row]).double()
    log_p = LOGITS[:1].log_softmax(-1)
    close(losses.cross_entropy(LOGITS[:1], targets.dense(values)), -(values * log_p).sum(-1))
    with pytest.raises(ValueError, match="values: "):
        targets.dense(values, strict=True)
    targets.dense(PROBS, strict=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_trap_08_a_large_vocabulary_in_half_precision_is_summed_in_float32(smoothing: float) -> None:
    classes = 131_072
    logits = (torch.randn(8, classes, generator=torch.Generator().manual_seed(1)) * 3).bfloat16()
    labels = torch.arange(8) * 1000
    truth = F.cross_entropy(logits.double(), labels, label_smoothing=smoothing, reduction="none")

    def error(value: Tensor) -> float:
        return float((value.double() - truth).abs().max())

    ours = error(losses.cross_entropy(logits, targets.smooth(labels, smoothing)))
    plain = error(F.cross_entropy(logits.float(), labels, label_smoothing=smoothing, reduction="none"))
    assert ours <= max(1e-5, 1.01 * plain)
    assert error(F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")) > 1e-3


def test_trap_09_logits_overwritten_in_place_raise_where_they_are_used_again() -> None:
    def step(leaf: Tensor, use: Callable[[Tensor, Callable[[], Tensor]], Tensor]) -> Tensor:
        logits = leaf * 2
        return use(logits, lambda: losses.reduce(losses.cross_entropy(logits, LABELS, inplace=True)))

    leaf = LOGITS.clone().requires_grad_()
    (ours,) = torch.autograd.grad(step(leaf, lambda logits, loss: loss()), leaf)
    close(ours, gradient_of(lambda z: F.cross_entropy(2 * z, LABELS), LOGITS))

    def before(logits: Tensor, loss: Callable[[], Tensor]) -> Tensor:
        penalty = logits.square().mean()
        return penalty + loss()

    def after(logits: Tensor, loss: Callable[[], Tensor]) -> Tensor:
        value = loss()
        return value + logits.mean()

    for use, message in ((before, "modified by an inplace operation"), (after, "logits: must not be used again")):
        value = step(leaf, use)
        with pytest.raises(RuntimeError, match=message):
            value.backward()
    # a use that was before it and kept nothing of the logits is no fault, and learns
    (ours,) = torch.autograd.grad(step(leaf, lambda logits, loss: logits.mean() + loss()), leaf)
    close(ours, gradient_of(lambda z: 2 * z.mean() + F.cross_entropy(2 * z, LABELS), LOGITS))
    # what made the logits may need them for its own gradient
    logits = leaf.tanh()
    value = losses.cross_entropy(logits, LABELS, inplace=True).mean()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    assert leaf.grad is None
    with pytest.raises(ValueError, match="logits: the result of an operation, with inplace=True; got a leaf"):
        losses.cross_entropy(leaf, LABELS, inplace=True)


@pytest.mark.parametrize("inplace", [False, True])
def test_trap_10_without_a_reduction_every_row_has_its_own_gradient(inplace: bool) -> None:
    made = targets.smooth(LABELS, 0.2)
    incoming = torch.tensor([1.0, -2.0, 0.0, 0.5, 100.0, 1e-3]).double()
    leaf = LOGITS.clone().requires_grad_()
    losses.cross_entropy(leaf * 1, made, inplace=inplace).backward(incoming)
    close(leaf.grad, incoming[:, None] * (LOGITS.softmax(-1) - made.to_dense(K)))


def test_trap_11_max_suppression_is_one_value_per_example() -> None:
    whole = losses.max_suppression_loss(LOGITS, LABELS, smoothing=0.2)
    alone = [losses.max_suppression_loss(LOGITS[i : i + 1], LABELS[i : i + 1], smoothing=0.2) for i in range(N)]
    close(whole, torch.cat(alone))
    expected = F.cross_entropy(LOGITS, LABELS, reduction="none") + 0.2 * (LOGITS.amax(-1) - LOGITS.mean(-1))
    close(whole, expected)
    assert len(set(whole.tolist())) == N


def test_trap_12_focal_at_gamma_0_with_class_weights_is_weighted_cross_entropy() -> None:
    loss = nn.Loss(losses.focal_loss, gamma=0.0, class_weight=WEIGHT)
    close(loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS, weight=WEIGHT))
    expected = gradient_of(lambda z: F.cross_entropy(z, LABELS, weight=WEIGHT), LOGITS)
    close(gradient_of(lambda z: loss(z, LABELS), LOGITS), expected)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_trap_13_with_a_normalizer_micro_batches_are_the_batch(weight: Tensor | None) -> None:
    labels = LABELS.masked_fill(IGNORED, -100)
    loss = nn.CrossEntropyLoss(weight=weight)
    normalizer = (~IGNORED).sum() if weight is None else WEIGHT[LABELS[~IGNORED]].sum()
    whole = gradient_of(lambda z: loss(z, labels), LOGITS)
    leaf = LOGITS.clone().requires_grad_()
    for rows in (slice(0, 1), slice(1, 2), slice(2, 6)):
        loss(leaf[rows], labels[rows], normalizer=normalizer).backward()
    close(leaf.grad, whole)


def test_trap_14_a_mean_is_over_examples_never_over_classes() -> None:
    divergence = losses.cross_entropy(LOGITS, targets.dense(PROBS)) + (PROBS * PROBS.log()).sum(-1)
    log_p = LOGITS.log_softmax(-1)
    close(losses.reduce(divergence), torch.nn.KLDivLoss(reduction="batchmean")(log_p, PROBS))
    assert divergence.shape == (N,)
    with pytest.warns(UserWarning, match="batchmean"):
        close(torch.nn.KLDivLoss()(log_p, PROBS), losses.reduce(divergence) / K)


def takes_labels(name: str) -> bool:
    if name in ("binary_cross_entropy", "vocab_parallel_cross_entropy"):  # 0 or 1 for every class; needs processes
        return False
    _, *others = inspect.signature(getattr(losses, name)).parameters.values()
    needed = [p.name for p in others if p.default is p.empty]
    return needed in (["labels"], ["targets"])


@pytest.mark.parametrize("name", [name for name in losses.__all__ if takes_labels(name)])
@pytest.mark.parametrize("label", [K, -1, -101])  # -100 marks an example to leave out
def test_trap_15_a_label_out_of_range_is_named_with_its_place(name: str, label: int) -> None:
    labels = LABELS.clone()
    labels[2] = labels[4] = label
    with pytest.raises(ValueError, match=f"(labels|targets): .*; got {label} at row 2; "):
        getattr(losses, name)(LOGITS, labels)


def on_each_process(rank: int, logits: Tensor, made: targets.Targets, expected: Tensor) -> None:
    here = slice(0, 3) if rank == 0 else slice(3, 4)
    leaf = logits[:, here].clone().requires_grad_()
    value = losses.vocab_parallel_cross_entropy(leaf, made)
    value.mean().backward()
    close(value, losses.cross_entropy(logits, made))
    close(leaf.grad, expected[:, here])


@pytest.mark.parametrize("made", [targets.smooth(LABELS, 0.3), targets.dense(PROBS)], ids=["smoothed", "soft"])
def test_trap_16_a_split_vocabulary_has_the_gradient_of_the_whole(made: targets.Targets) -> None:
    expected = gradient_of(lambda z: losses.cross_entropy(z, made).mean(), LOGITS)
    close(expected, (LOGITS.softmax(-1) - made.to_dense(K)) / N)
    run_on_processes(2, on_each_process, LOGITS, made, expected)


def test_trap_21_noise_drawn_class_after_class_cascades_and_ours_is_drawn_once() -> None:
    cat, dog, rate = 3, 5, 0.4
    clean = torch.arange(10).repeat(1000)
    shuffle = torch.Generator().manual_seed(0)
    cascaded = clean.clone()
    for label, becomes in ((cat, dog), (dog, cat)):
        here = (cascaded == label).nonzero().flatten()  # those that were flipped to it before are among them
        here = here[torch.randperm(len(here), generator=shuffle)]
        cascaded[here[: int(rate * len(here))]] = becomes
    assert float((cascaded[clean == cat] == dog).double().mean()) == pytest.approx(0.24, abs=0.03)
    ours = noise.corrupt(clean, noise.asymmetric_cifar10(rate), generator=shuffle)
    for label, becomes in ((cat, dog), (dog, cat)):
        assert float((ours.noisy_labels[clean == label] == becomes).double().mean()) == rate
    close(ours.transition.to_dense(), noise.asymmetric_cifar10(rate).to_dense())


def test_trap_22_half_of_the_labels_wrong_is_half_and_what_was_drawn_is_said() -> None:
    clean = torch.arange(10).repeat(1000)
    draws = torch.Generator().manual_seed(0)
    redrawn = torch.where(
        torch.rand(10_000, generator=draws) < 0.5, torch.randint(10, (10_000,), generator=draws), clean
    )
    assert float((redrawn != clean).double().mean()) == pytest.approx(0.45, abs=0.02)
    for exclusive, inclusive in ((0.5, False), (0.45, True)):
        ours = noise.corrupt(clean, noise.symmetric(0.5, 10, inclusive=inclusive), generator=draws)
        assert ours.noise_rate == float((ours.noisy_labels != clean).double().mean()) == pytest.approx(exclusive)
        assert float(ours.transition.noise_rate()) == pytest.approx(exclusive)


def test_trap_23_a_transposed_transition_is_refused_wherever_one_is_taken_and_turned_where_said() -> None:
    rows = torch.tensor(
        [[0.7, 0.3, 0.0, 0.0], [0.0, 0.6, 0.4, 0.0], [0.0, 0.0, 0.8, 0.2], [0.0, 0.0, 0.0, 1.0]]
    ).double()
    for call in (
        lambda: losses.forward_corrected_cross_entropy(LOGITS, LABELS, rows.T),
        lambda: losses.backward_corrected_cross_entropy(LOGITS, LABELS, rows.T),
        lambda: targets.backward_corrected(LABELS, rows.T),
        lambda: losses.entropy_bound(rows.T),
        lambda: losses.volume_penalty(rows.T),
        lambda: noise.corrupt(LABELS, rows.T),
        lambda: noise.label_posterior(PROBS, LABELS, rows.T),
        lambda: noise.Transition.wrap(rows.T),
    ):
        with pytest.raises(ValueError, match=r"got 0.7 in row 0; its columns sum to 1: transpose it"):
            call()
    turned = noise.Transition.columns_sum_to_one(rows.T)
    ours = losses.forward_corrected_cross_entropy(LOGITS, LABELS, turned)
    close(ours, -(LOGITS.softmax(-1) @ rows).log()[torch.arange(N), LABELS])


def test_trap_24_an_ill_conditioned_transition_is_not_inverted() -> None:
    # two classes whose labels are all but alike
    alike = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]).double()
    alike[0] += torch.tensor([1.0, -1.0, 0.0]) * 1e-11
    assert float(torch.linalg.inv(alike).abs().max()) > 1e10
    assert noise.Transition.wrap(alike).condition() > 1e10
    for call in (
        lambda: noise.Transition.wrap(alike).inverse(),
        lambda: targets.backward_corrected(torch.tensor([0]), alike),
        lambda: losses.backward_corrected_cross_entropy(LOGITS[:, :3], LABELS % 3, noise.symmetric(2 / 3 - 1e-12, 3)),
        lambda: noise.pair_flip(0.5, 4).inverse(),
    ):
        with pytest.raises(
            ValueError, match=r"transition: a condition number below 1e\+10; got .*; use forward correction"
        ):
            call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_trap_25_a_label_of_vanishing_probability_keeps_its_loss_and_its_gradient(dtype: torch.dtype) -> None:
    # label 0 comes from class 0 (.75) or class 2 (.25); class 1 has all but exp(-800) of the probability
    logits = torch.tensor([[-800.0, 0.0, -800.0]], dtype=dtype)
    transition = noise.pair_flip(0.25, 3)
    label = torch.tensor([0])

    def clamped(z: Tensor) -> Tensor:
        return -(z.softmax(-1) @ transition.to_dense(dtype)).clamp(min=1e-12).log()[:, 0]

    def ours(z: Tensor) -> Tensor:
        return losses.forward_corrected_cross_entropy(z, label, transition)

    close(clamped(logits), torch.tensor([-math.log(1e-12)]), 1e-4)
    close(gradient_of(clamped, logits), torch.zeros(1, 3))
    close(ours(logits), torch.tensor([800.0]), 1e-4)
    # p minus the posterior of the clean label
    close(gradient_of(ours, logits), torch.tensor([[-0.75, 1.0, -0.25]]), 1e-4)
