"""Soft targets in every loss that is defined for them: slow loops, special cases, gradients, masked classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from reference import losses as of_labels
from reference import robust, soft
from small_batch import CLOSE, LABELS, RATES, K, N, gradient, logits_of
from torch import Tensor

from softtargets import losses, targets
from softtargets.matrices import Transition

generator = torch.Generator().manual_seed(7)
SOFT = torch.randn(N, K, dtype=torch.float64, generator=generator).softmax(-1)
ONE_HOT = torch.eye(K, dtype=torch.float64)[LABELS]
PRIOR = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
NOISY = 0.6 * torch.eye(K, dtype=torch.float64) + 0.4 * torch.randn(
    K, K, dtype=torch.float64, generator=generator
).softmax(-1)
SYMMETRIC = Transition(K, 0.3)
SCORES = torch.randn(K, K, dtype=torch.float64, generator=generator)


@dataclass(frozen=True)
class Case:
    """A loss, its value for one row by a slow loop, and whether it is linear in the target."""

    loss: Callable[..., Tensor]
    slow: Callable[[list[float], list[float]], float]
    linear: bool = True
    smooth: bool = True


def expected(loss: Any, *settings: Any) -> Callable[[list[float], list[float]], float]:
    return lambda z, t: soft.expected(loss, z, t, *settings)


def of(loss: Any, **settings: Any) -> Callable[..., Tensor]:
    return lambda z, t, **more: loss(z, t, **settings, **more)


CASES = {
    "focal": Case(of(losses.focal_loss, gamma=2.0), expected(robust.focal, 2.0)),
    "focal 0.5": Case(of(losses.focal_loss, gamma=0.5), expected(robust.focal, 0.5)),
    "flsd": Case(losses.sample_dependent_focal_loss, expected(robust.sample_dependent_focal, 5.0, 3.0, 0.2)),
    "dual": Case(of(losses.dual_focal_loss, gamma=2.0), expected(robust.dual_focal, 2.0)),
    "poly1": Case(losses.poly1_loss, expected(soft.poly1, 2.0)),
    "gce": Case(losses.generalized_cross_entropy, expected(robust.generalized, 0.7)),
    "mae": Case(losses.mean_absolute_error, expected(robust.mean_absolute_error)),
    "nce": Case(losses.normalized_cross_entropy, expected(robust.normalized)),
    "rce": Case(losses.reverse_cross_entropy, lambda z, t: soft.reverse(z, t, 1e-4), linear=False),
    "sce": Case(losses.symmetric_cross_entropy, lambda z, t: soft.symmetric(z, t, 0.1, 1.0, 1e-4), linear=False),
    "apl": Case(
        losses.active_passive_loss,
        lambda z, t: soft.expected(robust.normalized, z, t) + soft.reverse(z, t, 1e-4),
        linear=False,
    ),
    "nce+mae": Case(
        of(losses.active_passive_loss, passive=losses.mean_absolute_error),
        lambda z, t: soft.expected(robust.normalized, z, t) + soft.expected(robust.mean_absolute_error, z, t),
    ),
    "forward": Case(
        of(losses.forward_corrected_cross_entropy, transition=NOISY),
        lambda z, t: soft.forward_corrected(z, t, NOISY.tolist()),
    ),
    "forward symmetric": Case(
        of(losses.forward_corrected_cross_entropy, transition=SYMMETRIC),
        lambda z, t: soft.forward_corrected(z, t, SYMMETRIC.to_dense().tolist()),
    ),
    "backward": Case(
        of(losses.backward_corrected_cross_entropy, transition=NOISY),
        lambda z, t: soft.backward_corrected(z, t, NOISY.tolist()),
    ),
    "backward symmetric": Case(
        of(losses.backward_corrected_cross_entropy, transition=SYMMETRIC),
        lambda z, t: soft.backward_corrected(z, t, SYMMETRIC.to_dense().tolist()),
    ),
    "bootstrap soft": Case(
        of(losses.bootstrapped_cross_entropy, weight=0.7), lambda z, t: soft.bootstrapped(z, t, 0.7, "soft")
    ),
    "bootstrap hard": Case(
        of(losses.bootstrapped_cross_entropy, weight=0.7, kind="hard"),
        lambda z, t: soft.bootstrapped(z, t, 0.7, "hard"),
    ),
    "maxsup": Case(losses.max_suppression_loss, lambda z, t: soft.max_suppression(z, t, 0.1)),
    "cores": Case(of(losses.cores_loss, weight=1.5, prior=PRIOR), lambda z, t: soft.cores(z, t, 1.5, PRIOR.tolist())),
    "cores uniform": Case(of(losses.cores_loss, weight=0.5), lambda z, t: soft.cores(z, t, 0.5, [1 / K] * K)),
    "learned": Case(
        of(losses.learned_smoothing_cross_entropy, table=SCORES),
        lambda z, t: soft.learned_smoothing(z, t, SCORES.tolist(), 0.1),
        linear=False,
        smooth=False,  # the table's term has no gradient for the logits
    ),
}
every = pytest.mark.parametrize("name", CASES)
PEER = of(losses.peer_loss, weight=0.5)


@every
def test_soft_targets_agree_with_the_slow_loop(name: str) -> None:
    case = CASES[name]
    slow = [case.slow(z, t) for z, t in zip(logits_of().tolist(), SOFT.tolist(), strict=True)]
    for given in (SOFT, targets.dense(SOFT)):
        assert case.loss(logits_of(), given).tolist() == pytest.approx(slow, abs=1e-11)


@every
def test_factored_targets_agree_with_dense_ones(name: str) -> None:
    case = CASES[name]
    smoothed = targets.smooth(LABELS, RATES / 2)
    torch.testing.assert_close(
        case.loss(logits_of(), smoothed), case.loss(logits_of(), smoothed.to_dense(K)), rtol=0, atol=1e-11
    )


@every
def test_one_hot_targets_give_the_loss_of_the_label(name: str) -> None:
    loss = CASES[name].loss
    for given in (ONE_HOT, targets.hard(LABELS)):
        torch.testing.assert_close(loss(logits_of(), given), loss(logits_of(), LABELS), rtol=0, atol=1e-12)
        found = gradient(lambda z, given=given: loss(z, given), logits_of())
        torch.testing.assert_close(found, gradient(lambda z: loss(z, LABELS), logits_of()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.linear])
def test_a_mixture_of_two_labels_has_the_mixture_of_their_losses(name: str) -> None:
    loss, others = CASES[name].loss, LABELS.flip(0)
    mixed = targets.mix(targets.hard(LABELS), targets.hard(others), RATES)
    apart = RATES * loss(logits_of(), LABELS) + (1 - RATES) * loss(logits_of(), others)
    torch.testing.assert_close(loss(logits_of(), mixed), apart, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.smooth])
def test_gradients_for_logits_and_for_targets(name: str) -> None:
    loss = CASES[name].loss
    leaves = (logits_of().requires_grad_(), SOFT.clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, leaves)
    some = (logits_of()[:2].requires_grad_(), SOFT[:2].clone().requires_grad_())
    assert torch.autograd.gradgradcheck(loss, some)


# a transition or a prior has K classes of its own; a table gives every class a share
OTHER_CLASSES = ("forward", "backward", "cores", "learned")


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(OTHER_CLASSES)])
@pytest.mark.parametrize("form", ["dense", "smooth"])
def test_a_masked_class_takes_no_part(name: str, form: str) -> None:
    loss, there = CASES[name].loss, [0, 2, 3]
    logits = logits_of()
    logits[:, 1] = -torch.inf
    weights = SOFT.clone()
    weights[:, 1] = 0
    few = targets.smooth(torch.tensor([0, 1, 2, 0, 1, 2]), 0.3)
    given, kept = (
        (weights, weights[:, there])
        if form == "dense"
        else (targets.smooth(torch.tensor([0, 2, 3, 0, 2, 3]), 0.3), few)
    )
    if name in ("rce", "sce", "apl"):
        kept = kept if form == "dense" else few.to_dense(3)
    torch.testing.assert_close(loss(logits, given), loss(logits[:, there], kept), rtol=0, atol=1e-12)
    found = gradient(lambda z: loss(z, given), logits)
    assert bool(found.isfinite().all())
    assert bool((found[:, 1] == 0).all())
    valid = torch.tensor([True, False, True, True])
    labels = torch.tensor([0, 2, 3, 0, 2, 3])
    torch.testing.assert_close(
        loss(logits_of(), targets.smooth(targets.hard(labels), 0.3, valid=valid)),
        loss(logits, targets.smooth(labels, 0.3)),
        **CLOSE,
    )


@every
def test_the_layout_of_targets_is_that_of_the_logits(name: str) -> None:
    loss = CASES[name].loss
    cube, weights = logits_of().reshape(2, 3, K), SOFT.reshape(2, 3, K)
    found = loss(cube.movedim(-1, 1), weights.movedim(-1, 1), class_dim=1)
    torch.testing.assert_close(found, loss(logits_of(), SOFT).reshape(2, 3), **CLOSE)
    torch.testing.assert_close(loss(logits_of()[0], SOFT[0]), loss(logits_of(), SOFT)[0], **CLOSE)


@pytest.mark.parametrize("name", [name for name in CASES if name != "learned"])  # its table is float64 here
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(name: str, dtype: torch.dtype) -> None:
    logits, weights = logits_of().to(dtype), SOFT.to(dtype)
    found = CASES[name].loss(logits, weights)
    assert found.dtype == torch.float32
    exact = CASES[name].loss(logits.double(), weights.double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-4)


@every
def test_gradients_per_example_by_vmap(name: str) -> None:
    loss = CASES[name].loss
    found = torch.func.vmap(torch.func.grad(lambda z, t: loss(z, t).sum()))(logits_of(), SOFT)
    torch.testing.assert_close(found, gradient(lambda z: loss(z, SOFT), logits_of()), rtol=0, atol=1e-11)


@every
def test_extreme_logits_give_finite_losses_and_gradients(name: str) -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4, 5.0], [-1e4, -1e4, 1e4, 0.0]])
    leaf = logits.clone().requires_grad_()
    value = CASES[name].loss(leaf, SOFT[:2].float())
    assert bool(value.isfinite().all())
    assert bool(torch.autograd.grad(value.sum(), leaf)[0].isfinite().all())


def test_peer_loss_of_soft_targets_draws_from_them() -> None:
    logits = logits_of()
    found = PEER(logits, SOFT, generator=torch.Generator().manual_seed(3))
    drawing = torch.Generator().manual_seed(3)
    inputs = torch.randint(N, (N,), generator=drawing)
    answers = torch.randint(N, (N,), generator=drawing)
    rows = zip(logits.tolist(), SOFT.tolist(), logits[inputs].tolist(), SOFT[answers].tolist(), strict=True)
    slow = [of_labels.cross_entropy(z, t) - 0.5 * of_labels.cross_entropy(other, s) for z, t, other, s in rows]
    assert found.tolist() == pytest.approx(slow, abs=1e-12)
    of_pool = PEER(logits, SOFT, pool=(logits, SOFT), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(of_pool, found, **CLOSE)
    hard = [PEER(logits, t, generator=torch.Generator().manual_seed(3)) for t in (LABELS, ONE_HOT)]
    torch.testing.assert_close(hard[0], hard[1], **CLOSE)


def test_the_table_of_learned_smoothing_gets_the_gradient_of_the_mixture() -> None:
    table = SCORES.clone().requires_grad_()
    probs = logits_of().softmax(-1)
    second = losses.learned_smoothing_cross_entropy(logits_of(), SOFT, table).sum()
    (found,) = torch.autograd.grad(second, table)
    leaf = SCORES.clone().requires_grad_()
    rows = 0.9 * torch.eye(K, dtype=torch.float64) + 0.1 * leaf.masked_fill(torch.eye(K) == 1, -torch.inf).softmax(-1)
    (by_hand,) = torch.autograd.grad(-(probs * (SOFT @ rows).log()).sum() / 2, leaf)
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["rce", "sce", "apl", "learned"])
def test_logarithms_of_targets_need_targets_of_at_least_0(name: str) -> None:
    with pytest.raises(ValueError, match=r"targets: weights of at least 0; got -0\.1 at index"):
        CASES[name].loss(logits_of(), torch.tensor([[1.1, -0.1, 0.0, 0.0]]).double().expand(N, K))
