"""What all losses share: examples that are left out, reductions, hyper-parameters, and plausible misuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from small_batch import LABELS, K, N, gradient, logits_of
from torch import Tensor

from softtargets import losses, targets

SOFT = torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(7)).softmax(-1)
MATRIX = 0.7 * torch.eye(K, dtype=torch.float64) + 0.3 / K
SCORES = torch.zeros(K, K, dtype=torch.float64)
COUNTED = torch.tensor([True, False, True, True, False, True])
Call = Callable[..., Tensor]


def fixed(loss: Any, **settings: Any) -> Call:
    return lambda z, t, **more: loss(z, t, **{**settings, **more})


OF_SOFT_TARGETS: dict[str, Call] = {
    "focal": losses.focal_loss,
    "flsd": losses.sample_dependent_focal_loss,
    "dual": losses.dual_focal_loss,
    "poly1": losses.poly1_loss,
    "gce": losses.generalized_cross_entropy,
    "mae": losses.mean_absolute_error,
    "nce": losses.normalized_cross_entropy,
    "rce": losses.reverse_cross_entropy,
    "sce": losses.symmetric_cross_entropy,
    "apl": losses.active_passive_loss,
    "forward": fixed(losses.forward_corrected_cross_entropy, transition=MATRIX),
    "backward": fixed(losses.backward_corrected_cross_entropy, transition=MATRIX),
    "bootstrap": losses.bootstrapped_cross_entropy,
    "bootstrap hard": fixed(losses.bootstrapped_cross_entropy, kind="hard"),
    "maxsup": losses.max_suppression_loss,
    "cores": fixed(losses.cores_loss, weight=0.5),
    "learned": fixed(losses.learned_smoothing_cross_entropy, table=SCORES),
}
OF_LABELS: dict[str, Call] = {"relaxation": losses.label_relaxation_loss, "zipf": losses.zipf_penalty}
LOSSES = {**OF_SOFT_TARGETS, **OF_LABELS}
PENALTIES: dict[str, Call] = {
    "logit": losses.logit_penalty,
    "mbls": fixed(lambda z, _=None, **k: losses.mbls_penalty(z, **{"margin": 0.5, **k})),
    "acls": fixed(lambda z, _=None, **k: losses.acls_penalty(z, **{"margin": 0.5, **k})),
    "confidence": losses.confidence_penalty,
    "smoothing": losses.smoothing_regularizer,
}
SETTINGS: dict[str, tuple[Call, tuple[str, ...]]] = {
    "focal": (losses.focal_loss, ("gamma",)),
    "flsd": (losses.sample_dependent_focal_loss, ("gamma_low", "gamma_high", "threshold")),
    "dual": (losses.dual_focal_loss, ("gamma",)),
    "poly1": (losses.poly1_loss, ("epsilon",)),
    "gce": (losses.generalized_cross_entropy, ("q",)),
    "rce": (losses.reverse_cross_entropy, ("log_floor",)),
    "sce": (losses.symmetric_cross_entropy, ("cross_entropy_weight", "reverse_weight", "log_floor")),
    "apl": (losses.active_passive_loss, ("active_weight", "passive_weight")),
    "bootstrap": (losses.bootstrapped_cross_entropy, ("weight",)),
    "maxsup": (losses.max_suppression_loss, ("smoothing",)),
    "cores": (fixed(losses.cores_loss, weight=0.5), ("weight",)),
    "peer": (losses.peer_loss, ("weight",)),
    "relaxation": (losses.label_relaxation_loss, ("smoothing",)),
    "mbls": (lambda z, _, **k: losses.mbls_penalty(z, **k), ("margin",)),
    "acls": (lambda z, _, **k: losses.acls_penalty(z, **k), ("margin", "largest_weight", "others_weight")),
    "elr": (lambda z, _, **k: losses.elr_penalty(z, SOFT, **k), ("eps",)),
}
ALL_SETTINGS = [(name, setting) for name, (_, settings) in SETTINGS.items() for setting in settings]
every = pytest.mark.parametrize("name", LOSSES)


def left_out(labels: Tensor) -> Tensor:
    """Return an example that is left out by its label, and a label that is no class where the mask says so."""
    return torch.where(COUNTED, labels, torch.tensor([0, -100, 0, 0, 77, 0]))


@every
def test_examples_are_left_out_by_label_by_mask_and_by_their_targets(name: str) -> None:
    loss, mask = LOSSES[name], torch.tensor([True, True, True, True, False, True])
    logits = logits_of()
    logits[1], logits[4] = torch.nan, torch.inf
    whole = loss(logits[COUNTED], LABELS[COUNTED])
    found = loss(logits, left_out(LABELS), mask=mask)
    torch.testing.assert_close(found[COUNTED], whole, rtol=0, atol=1e-14)
    assert found[~COUNTED].tolist() == [0, 0]
    for reduction, expected in (("mean", whole.mean()), ("sum", whole.sum())):
        value = loss(logits, left_out(LABELS), mask=mask, reduction=reduction)
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-13)
    slope = gradient(lambda z: loss(z, left_out(LABELS), mask=mask, reduction="mean"), logits)
    torch.testing.assert_close(
        slope[COUNTED], gradient(lambda z: loss(z, LABELS[COUNTED]).mean(), logits[COUNTED]), rtol=0, atol=1e-13
    )
    assert bool((slope[~COUNTED] == 0).all())
    assert float(loss(logits, torch.full((N,), -100), reduction="mean")) == 0


@pytest.mark.parametrize("name", OF_SOFT_TARGETS)
def test_soft_targets_are_left_out_by_mask_and_by_ignored(name: str) -> None:
    loss = OF_SOFT_TARGETS[name]
    logits = logits_of()
    logits[~COUNTED] = torch.nan
    whole = loss(logits[COUNTED], SOFT[COUNTED])
    given = targets.Targets(values=SOFT, ignored=~COUNTED)
    for found in (
        loss(logits, SOFT, mask=COUNTED, reduction="mean"),
        loss(logits, given, reduction="mean"),
    ):
        torch.testing.assert_close(found, whole.mean(), rtol=0, atol=1e-13)
    slope = gradient(lambda z: loss(z, given), logits)
    assert bool(slope.isfinite().all())
    assert bool((slope[~COUNTED] == 0).all())


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_leave_examples_out_by_mask(name: str) -> None:
    penalty = PENALTIES[name] if name not in ("mbls", "acls") else None
    call = (lambda z, **k: penalty(z, **k)) if penalty else (lambda z, **k: PENALTIES[name](z, None, **k))
    logits = logits_of()
    logits[~COUNTED] = torch.nan
    whole = call(logits[COUNTED])
    found = call(logits, mask=COUNTED)
    torch.testing.assert_close(found[COUNTED], whole, rtol=0, atol=1e-14)
    assert found[~COUNTED].tolist() == [0, 0]
    torch.testing.assert_close(call(logits, mask=COUNTED, reduction="mean"), whole.mean(), rtol=0, atol=1e-14)
    assert bool(gradient(lambda z: call(z, mask=COUNTED), logits)[~COUNTED].eq(0).all())


def test_early_learning_leaves_examples_out_and_takes_the_layout_of_the_logits() -> None:
    logits, running = logits_of(), SOFT.clone()
    whole = losses.elr_penalty(logits[COUNTED], running[COUNTED])
    logits[~COUNTED] = torch.nan
    torch.testing.assert_close(losses.elr_penalty(logits, running, mask=COUNTED, reduction="mean"), whole.mean())
    moved = losses.elr_penalty(logits_of().T, running.T, class_dim=0)
    torch.testing.assert_close(moved, losses.elr_penalty(logits_of(), running))


def test_peer_loss_draws_only_examples_that_count() -> None:
    logits = logits_of()
    logits[~COUNTED] = torch.nan
    for given, kept in ((LABELS, LABELS[COUNTED]), (SOFT, SOFT[COUNTED])):
        found = losses.peer_loss(logits, given, mask=COUNTED, pool=None, generator=torch.Generator().manual_seed(0))
        assert bool(found.isfinite().all())
        alone = losses.peer_loss(
            logits,
            given,
            mask=COUNTED,
            pool=(logits[COUNTED], kept),
            generator=torch.Generator().manual_seed(0),
        )
        torch.testing.assert_close(found, alone)
    nobody = torch.zeros(N, dtype=torch.bool)
    assert losses.peer_loss(logits, LABELS, mask=nobody).tolist() == [0] * N


def test_the_sieve_drops_what_is_left_out_and_loss_bound_does_not_count_it() -> None:
    kept = losses.cores_sieve(logits_of(), logits_of().argmax(-1), mask=COUNTED)
    assert torch.equal(kept, COUNTED)
    values = torch.tensor([1.0, 100.0, 2.0])
    mask = torch.tensor([True, False, True])
    assert float(losses.loss_bound(values, 0.5, mask=mask)) == 1.5


@every
def test_narrow_labels_are_read_as_int64(name: str) -> None:
    loss = LOSSES[name]
    whole = loss(logits_of(), LABELS)
    for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32):
        assert torch.equal(loss(logits_of(), LABELS.to(dtype)), whole)
    two = loss(logits_of()[:, :2], LABELS > 1) if name not in ("forward", "backward", "learned") else None
    if two is not None:
        assert torch.equal(two, loss(logits_of()[:, :2], (LABELS > 1).long()))


@pytest.mark.parametrize(("name", "setting"), ALL_SETTINGS)
def test_settings_are_python_numpy_and_tensor_numbers(name: str, setting: str) -> None:
    loss = SETTINGS[name][0]
    generator = lambda: {"generator": torch.Generator().manual_seed(0)} if name == "peer" else {}  # noqa: E731
    plain = loss(logits_of(), LABELS, **{setting: 0.5}, **generator())
    for value in (
        np.float64(0.5),
        np.float32(0.5),
        np.float16(0.5),
        torch.tensor(0.5),
        torch.full((N,), 0.5),
        torch.full((N,), 0.5, dtype=torch.float64),
    ):
        found = loss(logits_of(), LABELS, **{setting: value}, **generator())
        torch.testing.assert_close(found, plain, rtol=0, atol=1e-14)
    if setting != "eps":
        loss(logits_of(), LABELS, **{setting: np.int64(1)})


@pytest.mark.parametrize(("name", "setting"), ALL_SETTINGS)
def test_settings_of_another_shape_or_kind_are_refused(name: str, setting: str) -> None:
    loss = SETTINGS[name][0]
    required = rf"{setting}: a number or shape \(6,\), one per example; got shape \(6, 1\); use {setting}.squeeze\(-1\)"
    with pytest.raises(ValueError, match=required):
        loss(logits_of(), LABELS, **{setting: torch.full((N, 1), 0.5)})
    for bad in (None, "0.5", [0.5], True, np.full(N, 0.5), 1j, torch.ones(N, dtype=torch.bool)):
        with pytest.raises(TypeError, match=f"{setting}: a number or a tensor"):
            loss(logits_of(), LABELS, **{setting: bad})
    for bad in (float("nan"), -1e9, torch.full((N,), torch.nan)):
        with pytest.raises(ValueError, match=rf"{setting}: (in|at least) "):
            loss(logits_of(), LABELS, **{setting: bad})


def misuses() -> dict[str, tuple[Any, Any, str]]:
    z, y = logits_of(), LABELS
    return {
        "swapped": (y, z, "logits: a floating-point tensor"),
        "list of logits": (z.tolist(), y, "logits: a floating-point tensor; got list"),
        "numpy logits": (z.numpy(), y, "logits: a floating-point tensor; got ndarray"),
        "no logits": (None, y, "logits: a floating-point tensor; got NoneType"),
        "list of labels": (z, y.tolist(), "(labels|targets): .*; got list"),
        "numpy labels": (z, y.numpy(), "(labels|targets): .*; got ndarray"),
        "no labels": (z, None, "(labels|targets): .*; got NoneType"),
        "integer logits": (z.long(), y, "logits: a floating-point tensor; got dtype torch.int64"),
        "complex logits": (z.to(torch.complex64), y, "logits: a floating-point tensor; got dtype torch.complex64"),
        "float labels": (z, y.float(), "(labels|targets): .*integer"),
        "labels with a gradient": (z, y.float().requires_grad_(), "(labels|targets): .*integer"),
        "a column of labels": (z, y[:, None], r"(labels|targets): .*squeeze\(-1\)"),
        "too few labels": (z, y[:3], r"(labels|targets): shape \(6,\).*; got \(3,\)"),
        "0-d logits": (torch.tensor(1.0), torch.tensor(0), "class_dim: "),
        "one class": (z[:, :1], y * 0, "logits: at least 2 classes"),
        "a label that is no class": (z, y + 2, r"(labels|targets): labels of at least 0 and below 4.*; got 4 at row 0"),
        "a negative label": (z, y - 1, r"(labels|targets): labels of at least 0 and below 4.*; got -1 at row 1"),
    }


@pytest.mark.parametrize("name", [*LOSSES, "peer", "sieve"])
@pytest.mark.parametrize("case", misuses())
def test_misuse_is_refused(name: str, case: str) -> None:
    loss = {**LOSSES, "peer": losses.peer_loss, "sieve": losses.cores_sieve}[name]
    logits, labels, message = misuses()[case]
    with pytest.raises((ValueError, TypeError), match=message):
        loss(logits, labels)


@pytest.mark.parametrize("name", [*OF_LABELS, "sieve"])
def test_a_loss_of_labels_refuses_soft_targets_without_wrong_advice(name: str) -> None:
    loss = {**OF_LABELS, "sieve": losses.cores_sieve}[name]
    for given in (SOFT, targets.hard(LABELS)):
        with pytest.raises(TypeError, match=r"labels: integer labels; .*not defined for soft targets: pass one class"):
            loss(logits_of(), given)


@pytest.mark.parametrize("name", [*LOSSES, "peer", "sieve"])
def test_an_empty_batch(name: str) -> None:
    loss = {**LOSSES, "peer": losses.peer_loss, "sieve": losses.cores_sieve}[name]
    assert loss(logits_of()[:0], LABELS[:0]).shape == (0,)
    if name in OF_SOFT_TARGETS:
        assert loss(logits_of()[:0], SOFT[:0]).shape == (0,)
        assert float(loss(logits_of()[:0], SOFT[:0], reduction="mean")) == 0


@every
def test_other_shared_arguments_are_checked(name: str) -> None:
    loss = LOSSES[name]
    with pytest.raises(ValueError, match="reduction: one of mean, sum, none; got 'avg'"):
        loss(logits_of(), LABELS, reduction="avg")
    with pytest.raises(TypeError, match="mask: a bool tensor"):
        loss(logits_of(), LABELS, mask=[True] * N)
    with pytest.raises(ValueError, match=r"mask: shape \(6,\)"):
        loss(logits_of(), LABELS, mask=COUNTED[:, None])
    with pytest.raises(ValueError, match="class_dim: a dimension of the logits"):
        loss(logits_of(), LABELS, class_dim=2)
