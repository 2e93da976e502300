"""nn.Loss: any loss of the package as a module."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import losses, nn, noise

N, K = 5, 4
generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator, dtype=torch.float64) * 2
LABELS = torch.tensor([2, 0, 3, 3, 1])
WEIGHT = torch.tensor([1.0, 0.5, 20.0, 3.0], dtype=torch.float64)
REDUCTIONS = ("mean", "sum", "none")


def distance(logits: Tensor, labels: Tensor, power: float, *, scale: float = 1.0) -> Tensor:
    assert int(labels.min()) >= 0, "an ignored label was handed on"
    return scale * (1 - logits.softmax(-1).gather(-1, labels[..., None])[..., 0]) ** power


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_it_is_the_function_and_the_reduction(reduction: Any) -> None:
    value = nn.Loss(losses.max_suppression_loss, smoothing=0.3, reduction=reduction)(LOGITS, LABELS)
    per_example = losses.max_suppression_loss(LOGITS, LABELS, smoothing=0.3)
    torch.testing.assert_close(value, losses.reduce(per_example, reduction), rtol=0, atol=0)


def test_ones_own_function_will_do() -> None:
    value = nn.Loss(distance, power=2.0, scale=3.0)(LOGITS, LABELS)
    p = LOGITS.softmax(-1).tolist()
    expected = sum(3 * (1 - p[i][y]) ** 2 for i, y in enumerate(LABELS.tolist())) / N
    assert float(value) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("class_weight", [None, WEIGHT])
def test_of_cross_entropy_it_is_cross_entropy(class_weight: Tensor | None, reduction: Any) -> None:
    labels = LABELS.masked_fill(LABELS == 0, -100)
    value = nn.Loss(losses.cross_entropy, class_weight=class_weight, reduction=reduction)(LOGITS, labels)
    expected = nn.CrossEntropyLoss(weight=class_weight, reduction=reduction)(LOGITS, labels)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-14)


def test_class_weights_of_1_change_nothing() -> None:
    loss = nn.Loss(distance, power=1.0, class_weight=torch.ones(K))
    torch.testing.assert_close(loss(LOGITS, LABELS), nn.Loss(distance, power=1.0)(LOGITS, LABELS), rtol=0, atol=1e-15)


def test_class_weights_and_ignored_labels_by_hand() -> None:
    labels = LABELS.masked_fill(LABELS == 3, 255)
    loss = nn.Loss(distance, power=1.0, class_weight=WEIGHT, ignore_index=255)
    p = LOGITS.softmax(-1).tolist()
    kept = [(i, y) for i, y in enumerate(LABELS.tolist()) if y != 3]
    total = sum(float(WEIGHT[y]) * (1 - p[i][y]) for i, y in kept)
    assert float(loss(LOGITS, labels)) == pytest.approx(total / sum(float(WEIGHT[y]) for _, y in kept), rel=1e-12)
    assert float(loss(LOGITS, labels, normalizer=7)) == pytest.approx(total / 7, rel=1e-12)


def test_nothing_to_count_is_0_with_gradient_0() -> None:
    logits = LOGITS.clone().requires_grad_()
    value = nn.Loss(distance, power=1.0)(logits, torch.full((N,), -100))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.eq(0).all()


@pytest.mark.parametrize("class_dim", [1, -1])
def test_where_the_classes_are(class_dim: int) -> None:
    logits = torch.randn(2, 3, 5, K, generator=generator, dtype=torch.float64)
    labels = torch.randint(K, (2, 3, 5), generator=generator)
    loss = nn.Loss(distance, power=1.0, class_dim=class_dim)
    expected = distance(logits, labels, 1.0).mean()
    torch.testing.assert_close(loss(logits.movedim(-1, class_dim), labels), expected)
    torch.testing.assert_close(loss(logits[0, 0, 0], labels[0, 0, 0]), distance(logits[0, 0, 0], labels[0, 0, 0], 1.0))


def test_the_function_may_overwrite_the_logits_in_place() -> None:
    leaf = LOGITS.clone().requires_grad_()
    nn.Loss(losses.cross_entropy, inplace=True)(leaf * 1, LABELS).backward()
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(leaf, LABELS), leaf)
    torch.testing.assert_close(leaf.grad, expected)


def test_a_hyper_parameter_that_is_a_tensor_goes_where_the_module_goes() -> None:
    transition = noise.symmetric(0.3, K).to_dense().float()
    loss = nn.Loss(losses.forward_corrected_cross_entropy, transition=transition)
    assert loss.state_dict().keys() == {"transition"}
    expected = losses.forward_corrected_cross_entropy(LOGITS, LABELS, transition.double()).mean()
    torch.testing.assert_close(loss.double()(LOGITS, LABELS), expected)
    assert loss.to("meta").get_buffer("transition").device.type == "meta"


def test_a_hyper_parameter_that_is_a_parameter_learns() -> None:
    table = torch.nn.Parameter(torch.zeros(K, K))
    loss = nn.Loss(losses.learned_smoothing_cross_entropy, table=table, smoothing=0.2)
    assert list(loss.parameters()) == [table]
    loss(LOGITS, LABELS).backward()
    assert table.grad is not None
    assert table.grad.ne(0).any()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_give_the_same(copied: Any) -> None:
    loss = nn.Loss(losses.cores_loss, weight=0.5, prior=WEIGHT / WEIGHT.sum(), class_weight=WEIGHT, reduction="sum")
    assert torch.equal(copied(loss)(LOGITS, LABELS), loss(LOGITS, LABELS))
    assert repr(copied(loss)) == repr(loss)


def test_it_prints_what_it_is() -> None:
    loss = nn.Loss(losses.cores_loss, weight=0.5, prior=WEIGHT / WEIGHT.sum(), class_weight=WEIGHT, reduction="sum")
    assert repr(loss) == (
        "Loss(cores_loss, weight=0.5, prior=(4,), reduction='sum', class_weight=(4,), ignore_index=-100, class_dim=1)"
    )


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (
        losses.max_suppression_loss,
        {"smoothin": 0.1},
        r"Loss\(max_suppression_loss\): one of .*'smoothin'; did you mean 'smoothing'",
    ),
    (losses.cross_entropy, {"reducton": "sum"}, r"Loss\(cross_entropy\): .*'reducton'; did you mean 'reduction'\?"),
    (losses.cores_loss, {}, r"Loss\(cores_loss\): a value for weight; got none; pass weight="),
    (losses.logit_penalty, {}, r"function: a function of \(logits, targets\); got logit_penalty"),
    ("focal", {}, r"function: a function of \(logits, targets\); got 'focal'"),
    (losses.cross_entropy, {"reduction": "avg"}, "reduction: one of mean, sum, none; got 'avg'"),
    (losses.cross_entropy, {"class_weight": -WEIGHT}, "class_weight: finite weights of at least 0; got -1 at class 0"),
]


@pytest.mark.parametrize(("function", "keywords", "message"), WRONG)
def test_what_the_constructor_refuses(function: Any, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        nn.Loss(function, **keywords)


@pytest.mark.parametrize(
    ("keywords", "labels", "message"),
    [
        ({"class_weight": WEIGHT[:3]}, LABELS, r"class_weight: shape \(4,\), one number per class of the logits"),
        ({"ignore_index": -1}, LABELS - 3, "targets: labels of at least 0 .*; got -3 at row 1"),
        ({}, LABELS.double(), "targets: integer labels, or probabilities .*; got torch.float64 .*; use targets.long"),
    ],
)
def test_what_a_call_refuses(keywords: dict[str, Any], labels: Tensor, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        nn.Loss(losses.cross_entropy, **keywords)(LOGITS, labels)


def test_a_loss_that_is_not_finite_may_be_ignored() -> None:
    logits = LOGITS.clone()
    logits[1] = math.inf
    labels = LABELS.masked_fill(LABELS == 0, -100)
    assert nn.Loss(distance, power=1.0)(logits, labels).isfinite()


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy,
        losses.focal_loss,
        losses.dual_focal_loss,
        losses.sample_dependent_focal_loss,
        losses.normalized_cross_entropy,
        losses.active_passive_loss,
        losses.generalized_cross_entropy,
    ],
)
def test_an_ignored_example_gets_no_gradient_whatever_its_logits(loss: Any) -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0], [-math.inf, 1.0, 2.0], [math.nan] * 3, [math.inf, 1.0, 2.0]])
    z.requires_grad_()
    value = nn.Loss(loss)(z, torch.tensor([1, -100, -100, -100]))
    value.backward()
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())
    assert z.grad[1:].eq(0).all()
    assert z.grad[0].ne(0).any()
    torch.testing.assert_close(value, nn.Loss(loss)(z[:1], torch.tensor([1])))


def test_ignored_examples_where_the_logits_are_overwritten_in_place() -> None:
    leaf = LOGITS.clone().requires_grad_()
    labels = LABELS.masked_fill(LABELS == 0, -100)
    nn.Loss(losses.cross_entropy, inplace=True)(leaf * 1, labels).backward()
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(leaf, labels), leaf)
    torch.testing.assert_close(leaf.grad, expected)


def through(logits: Tensor, labels: Tensor, layer: torch.nn.Module) -> Tensor:
    return losses.cross_entropy(layer(logits), labels)


def test_a_hyper_parameter_that_is_a_module_goes_where_the_module_goes() -> None:
    layer = torch.nn.Linear(K, K)
    loss = nn.Loss(through, layer=layer)
    assert list(loss.parameters()) == list(layer.parameters())
    assert loss.state_dict().keys() == {"layer.weight", "layer.bias"}
    loss.double()(LOGITS, LABELS).backward()
    assert layer.weight.grad is not None
    assert repr(loss).count("Linear(") == 1


def fitted(logits: Tensor, labels: Tensor, training: Any) -> Tensor:
    return training * losses.cross_entropy(logits, labels)


def test_a_name_that_modules_have_is_refused_for_what_would_be_registered() -> None:
    for value in (torch.ones(()), torch.nn.Parameter(torch.ones(())), torch.nn.Identity()):
        message = r"^Loss\(fitted\): a name that torch.nn.Module does not use, .*; got 'training'; rename it"
        with pytest.raises(ValueError, match=message):
            nn.Loss(fitted, training=value)
    assert float(nn.Loss(fitted, training=2.0)(LOGITS, LABELS)) > 0
