"""Losses in the real criteria, tasks and evaluators of timm, with its Mixup, on its tiny networks.

What needs timm is skipped where it is not installed; `make test-integrations` installs it.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision_operators import define_operators

from softtargets import distill, losses
from softtargets._errors import InputError, InputTypeError
from softtargets.integrations.timm import distillation_task, loss
from softtargets.nn import CrossEntropyLoss, Loss

K = 5
GENERATOR = torch.Generator().manual_seed(0)
LOGITS, LABELS = torch.randn(8, K, generator=GENERATOR).mul(2), torch.tensor([0, 1, 2, 3, 4, 0, 1, 4])
IMAGES = torch.randn(8, 3, 32, 32, generator=GENERATOR)
WEIGHT = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
MIXED = 0.7 * nn.functional.one_hot(LABELS, K) + 0.3 * nn.functional.one_hot(LABELS.flip(0), K)


@pytest.fixture(scope="module")
def timm() -> Any:
    """Import timm; define the operators that torchvision for CUDA expects, if they are missing."""
    define_operators()
    timm = pytest.importorskip("timm", reason="timm is not installed: make test-integrations")
    for name in ("data", "loss", "task"):
        pytest.importorskip(f"timm.{name}")
    return timm


def both(criterion: Callable[..., Tensor], target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient."""
    leaf = LOGITS.clone().requires_grad_()
    value = criterion(leaf, target)
    assert value.shape == ()
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def same(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], target: Tensor) -> None:
    for one, other in zip(both(ours, target), both(theirs, target), strict=True):
        torch.testing.assert_close(one, other)


def mixup(timm: Any, **settings: Any) -> tuple[Tensor, Tensor]:
    """Return images and soft targets of the real Mixup."""
    torch.manual_seed(0)
    made = timm.data.Mixup(
        mixup_alpha=1.0, cutmix_alpha=1.0, mode="elem", num_classes=K, label_smoothing=0.1, **settings
    )
    images, target = made(IMAGES.clone(), LABELS)
    assert target.shape == (8, K)
    assert ((target > 0.1).sum(-1) == 2).any()
    return images, target


def network(timm: Any, seed: int, name: str = "test_resnet", **settings: Any) -> Any:
    torch.manual_seed(seed)
    made = timm.create_model(name, num_classes=K, **settings)
    with torch.no_grad():
        for parameter in made.get_classifier().parameters():  # logits that differ between the examples
            parameter.add_(torch.randn(parameter.shape))
    return made


def tokens(timm: Any, seed: int) -> Any:
    """Return a tiny DeiT with a distillation token, whose two heads differ."""
    torch.manual_seed(seed)
    settings = {"img_size": 32, "depth": 1, "embed_dim": 12, "num_heads": 2, "num_classes": K}
    made = timm.create_model("deit_tiny_distilled_patch16_224", **settings)
    for head in made.get_classifier():
        nn.init.normal_(head.weight)
    return made


def gradients(module: nn.Module, value: Tensor) -> dict[str, Tensor]:
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    return {name: torch.zeros(()) if one is None else one for name, one in zip(named, found, strict=True)}


# criteria


def test_smoothing_is_timms_for_labels_and_for_what_mixup_has_smoothed(timm: Any) -> None:
    criterion = loss("cross_entropy", label_smoothing=0.1)
    same(criterion, timm.loss.LabelSmoothingCrossEntropy(0.1), LABELS)
    _, target = mixup(timm)
    same(criterion, timm.loss.SoftTargetCrossEntropy(), target)
    same(loss("cross_entropy"), timm.loss.SoftTargetCrossEntropy(), target)


def test_other_losses_that_timm_has(timm: Any) -> None:
    _, target = mixup(timm)
    same(loss("poly1_loss", epsilon=2.0), timm.loss.PolyCrossEntropy(2.0), LABELS)
    same(loss("poly1_loss", epsilon=2.0), timm.loss.PolyCrossEntropy(2.0), target)
    same(loss("binary_cross_entropy"), timm.loss.BinaryCrossEntropy(0.1, sum_classes=True), target)


@pytest.mark.parametrize("target", [LABELS, MIXED], ids=["labels", "mixed"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [("focal_loss", {"gamma": 2.0}), ("generalized_cross_entropy", {"q": 0.7}), ("mean_absolute_error", {})],
)
def test_any_loss(name: str, settings: dict[str, Any], weight: Tensor | None, target: Tensor) -> None:
    function = getattr(losses, name)

    def by_hand(logits: Tensor, target: Tensor) -> Tensor:
        each = function(logits, target, **settings)
        weights = torch.ones(8) if weight is None else (MIXED @ weight if target is MIXED else weight[LABELS])
        return (weights * each).sum() / weights.sum()

    same(loss(name, class_weight=weight, **settings), by_hand, target)
    same(loss(function, class_weight=weight, **settings), by_hand, target)
    same(loss(Loss(function, class_weight=weight, **settings)), by_hand, target)


def test_modules_and_own_functions() -> None:
    same(loss(CrossEntropyLoss(WEIGHT, label_smoothing=0.1)), CrossEntropyLoss(WEIGHT, label_smoothing=0.1), LABELS)
    same(loss(CrossEntropyLoss(WEIGHT, label_smoothing=0.1)), CrossEntropyLoss(WEIGHT), MIXED)

    def squared(logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.softmax(-1) - targets).square().sum(-1)

    same(loss(squared), lambda logits, target: (logits.softmax(-1) - target).square().sum(-1).mean(), MIXED)


def test_the_class_weights_move_with_the_criterion() -> None:
    criterion = loss("cross_entropy", class_weight=WEIGHT, label_smoothing=0.1).to(torch.float64)
    assert [buffer.dtype for buffer in criterion.buffers()] == [torch.float64] * 2


def test_a_loss_of_labels_alone_refuses_mixup() -> None:
    def counts(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.gather(-1, labels[:, None])[:, 0]

    for criterion in (loss("label_relaxation_loss", smoothing=0.1), loss(counts)):
        assert criterion(LOGITS, LABELS).isfinite()
        text = "target: (B,) integer labels, as the loss is not defined for soft targets; got the soft targets of Mixup"
        with pytest.raises(InputTypeError, match=re.escape(text)):
            criterion(LOGITS, MIXED)


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"^function: one of .* did you mean 'focal_loss'"):
        loss("focal")
    with pytest.raises(InputError, match=r"^hyper_parameters: .* did you mean 'label_smoothing'"):
        loss("cross_entropy", smoothing=0.1)


def test_a_task_trains_on_mixed_images(timm: Any) -> None:
    model = network(timm, 1)
    task = timm.task.ClassificationTask(model, loss("focal_loss", gamma=2.0), verbose=False)
    images, target = mixup(timm)
    model.eval()  # batch normalization does not change between the calls
    result = task(images, target)
    expected = losses.focal_loss(model(images), target, gamma=2.0).mean()
    torch.testing.assert_close(result["loss"], expected)
    ours, by_hand = gradients(model, result["loss"]), gradients(model, expected)
    torch.testing.assert_close(ours, by_hand)
    task.train()
    optimizer = torch.optim.SGD(task.get_trainable_module().parameters(), lr=0.1)
    values = []
    for _ in range(8):
        optimizer.zero_grad()
        values.append(task(images, target)["loss"])
        values[-1].backward()
        optimizer.step()
    assert values[-1] < 0.8 * values[0]


def test_several_labels(timm: Any) -> None:
    model, target = network(timm, 1).eval(), (MIXED > 0).float()
    task = timm.task.MultiLabelClassificationTask(model, loss("binary_cross_entropy"), verbose=False)
    expected = nn.functional.binary_cross_entropy_with_logits(model(IMAGES), target, reduction="none").sum(-1).mean()
    torch.testing.assert_close(task(IMAGES, target)["loss"], expected)


def test_an_evaluator_reports_the_loss_of_all_batches(timm: Any) -> None:
    task = timm.task.ClassificationTask(network(timm, 1), verbose=False)
    evaluator = task.create_evaluator(criterion=loss("focal_loss", gamma=2.0))
    for part in (slice(0, 6), slice(6, 8)):
        evaluator.update(LOGITS[part], LABELS[part])
    assert evaluator.compute()["loss"] == pytest.approx(float(losses.focal_loss(LOGITS, LABELS, gamma=2.0).mean()))


# distillation


def frozen(task: Any) -> Any:
    """Return a copy of a task in evaluation mode, so that batch normalization does not change between the calls."""
    return copy.deepcopy(task).eval()


def compare(ours: Any, theirs: Any, target: Tensor, key: str = "kd_loss") -> None:
    """Require timm's losses and gradients."""
    for one, other in ((ours, theirs), (frozen(ours), frozen(theirs))):
        if key == "distill_loss" and not one.training:
            continue  # timm's does not evaluate
        mine, its = one(IMAGES, target), other(IMAGES, target)
        for name, theirs_name in (("loss", "loss"), ("output", "output"), ("task_loss", "task_loss"), ("kd_loss", key)):
            torch.testing.assert_close(mine[name], its[theirs_name])
        found = gradients(one.trainable_module, mine["loss"])
        torch.testing.assert_close(found, gradients(other.trainable_module, its["loss"]), rtol=1e-4, atol=1e-6)
        assert sum(float(gradient.abs().sum()) for gradient in found.values()) > 0.1


@pytest.mark.parametrize("weights", [{}, {"task_loss_weight": 0.3}, {"distill_loss_weight": 2.0}], ids=str)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_loss_is_timms_task(timm: Any, temperature: float, weights: dict[str, float]) -> None:
    student, teacher = network(timm, 1), network(timm, 2, "test_vit", img_size=32)
    shared = {"criterion": loss("cross_entropy", label_smoothing=0.1), "verbose": False, **weights}
    ours = distillation_task("kd_loss", temperature=temperature)(copy.deepcopy(student), teacher, **shared)
    theirs = timm.task.LogitDistillationTask(student, teacher, temperature=temperature, **shared)
    assert isinstance(ours, timm.task.LogitDistillationTask)
    for target in (LABELS, mixup(timm)[1]):
        compare(ours, theirs, target)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_loss_of_the_distillation_token_is_timms_task(timm: Any, temperature: float) -> None:
    student, teacher = tokens(timm, 1), network(timm, 2)
    shared = {"task_loss_weight": 0.5, "verbose": False}
    ours = distillation_task("kd_loss", token=True, temperature=temperature)(copy.deepcopy(student), teacher, **shared)
    theirs = timm.task.TokenDistillationTask(student, teacher, temperature=temperature, **shared)
    compare(ours, theirs, LABELS, key="distill_loss")
    result = frozen(ours)(IMAGES, LABELS)
    torch.testing.assert_close(result["output"], frozen(theirs).trainable_module(IMAGES))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_hidden_state_loss_is_timms_task(timm: Any, name: str) -> None:
    student, teacher = network(timm, 1), network(timm, 2, name)
    made = []
    for kind in (distillation_task("hidden_state_loss"), timm.task.FeatureDistillationTask):
        torch.manual_seed(3)  # of the projection
        made.append(kind(copy.deepcopy(student), teacher, distill_loss_weight=2.0, verbose=False))
    assert (made[0].trainable_module.projection is None) == (name == "test_resnet")
    images = nn.functional.interpolate(IMAGES, 160)
    mine, its = (task(images, LABELS) for task in made)
    for key in ("loss", "output", "task_loss", "kd_loss"):
        torch.testing.assert_close(mine[key], its[key])
    pairs = [gradients(task.trainable_module, result["loss"]) for task, result in zip(made, (mine, its), strict=True)]
    torch.testing.assert_close(*pairs, rtol=1e-4, atol=1e-6)


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("kd_loss", {"temperature": 2.0, "student_temperature": 1.0}, {"label_weight": 0.0}),
    ("logit_mse_loss", {"centered": True}, {"label_weight": 0.0}),
    ("dkd_loss", {"temperature": 4.0, "other_weight": 2.0}, {"labels": LABELS}),
    ("dist_loss", {"temperature": 2.0}, {}),
    ("standardized_kd_loss", {"temperature": 3.0}, {"kd_weight": 1.0, "label_weight": 0.0}),
    ("divergence_loss", {"divergence": "jensen_shannon", "temperature": 2.0}, {"label_weight": 0.0}),
    ("consistency_loss", {}, {}),
]


@pytest.mark.parametrize(("name", "settings", "set_by_the_task"), CASES, ids=[name for name, *_ in CASES])
def test_every_loss_between_logits(
    timm: Any, name: str, settings: dict[str, Any], set_by_the_task: dict[str, Any]
) -> None:
    student, teacher = network(timm, 1).eval(), network(timm, 2).eval()
    teacher.pretrained_cfg = {**teacher.pretrained_cfg, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.5, 0.25)}
    mean, std = (torch.tensor(student.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    as_teacher = [torch.tensor(teacher.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std")]
    given = distill.__dict__[name](
        student(IMAGES), teacher((IMAGES * std + mean - as_teacher[0]) / as_teacher[1]), **settings, **set_by_the_task
    ).mean()
    expected = 0.5 * nn.functional.cross_entropy(student(IMAGES), LABELS) + 3 * given
    task = distillation_task(name, **settings)(student, teacher, task_loss_weight=0.5, distill_loss_weight=3.0).eval()
    result = task(IMAGES, LABELS)
    torch.testing.assert_close(result["kd_loss"], given)
    torch.testing.assert_close(result["loss"], expected)
    assert given > 0.001
    torch.testing.assert_close(gradients(student, result["loss"]), gradients(student, expected), rtol=1e-3, atol=1e-5)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_every_loss_of_the_room_is_tried() -> None:
    with pytest.raises(InputError, match=r"^function: one of ") as caught:
        distillation_task("cross_entropy")
    named = re.findall(r"\w+_loss", str(caught.value).partition(";")[0])
    assert set(named) == {name for name, *_ in CASES} | {"hidden_state_loss"}


def test_an_own_loss(timm: Any) -> None:
    def gap(student_logits: Tensor, teacher_logits: Tensor, *, power: float) -> Tensor:
        return (student_logits - teacher_logits).abs().pow(power).sum(-1)

    student, teacher = network(timm, 1).eval(), network(timm, 2).eval()
    result = distillation_task(gap, power=1.5)(student, teacher).eval()(IMAGES, LABELS)
    expected = (student(IMAGES) - teacher(IMAGES)).abs().pow(1.5).sum(-1).mean()
    torch.testing.assert_close(result["kd_loss"], expected)


def test_a_task_trains_saves_and_averages_the_student(timm: Any) -> None:
    student, teacher = network(timm, 1), network(timm, 2)
    before = copy.deepcopy(teacher.state_dict())
    task = distillation_task("dkd_loss", temperature=2.0)(student, teacher, criterion=loss("poly1_loss", epsilon=1.0))
    task.setup_ema(decay=0.5)
    task.train()
    optimizer = torch.optim.SGD(task.get_trainable_module().parameters(), lr=0.02)
    values = []
    for step in range(8):
        optimizer.zero_grad()
        values.append(task(IMAGES, LABELS)["loss"])
        values[-1].backward()
        optimizer.step()
        task.update_ema(step)
    assert values[-1] < 0.8 * values[0]
    torch.testing.assert_close(teacher.state_dict(), before, rtol=0, atol=0)
    assert task.get_checkpoint_state()["state_dict"].keys() == student.state_dict().keys()
    assert task.get_eval_model() is student


def test_a_class_that_neither_has_gives_no_loss_here_and_nan_in_timm(timm: Any) -> None:
    student, teacher = network(timm, 1).eval(), network(timm, 2).eval()
    for model in (student, teacher):
        nn.init.constant_(model.get_classifier().bias[4:], -torch.inf)
    labels = LABELS.clamp(max=3)
    assert timm.task.LogitDistillationTask(student, teacher, verbose=False)(IMAGES, labels)["loss"].isnan()
    result = distillation_task("kd_loss")(student, teacher).eval()(IMAGES, labels)
    expected = distill.kd_loss(student(IMAGES)[:, :4], teacher(IMAGES)[:, :4], label_weight=0.0).mean()
    torch.testing.assert_close(result["kd_loss"], expected)


def test_decoupled_distillation_refuses_mixup(timm: Any) -> None:
    task = distillation_task("dkd_loss")(network(timm, 1), network(timm, 2))
    with pytest.raises(InputTypeError, match=r"^target: \(B,\) integer labels"):
        task(*mixup(timm))


def test_a_teacher_of_other_classes_is_refused(timm: Any) -> None:
    teacher = timm.create_model("test_resnet", num_classes=K + 1)
    with pytest.raises(InputError, match=r"^teacher_logits: "):
        distillation_task("kd_loss")(network(timm, 1), teacher)(IMAGES, LABELS)


@pytest.mark.parametrize("name", ["temperature", "loss_type", "distill_type"])
def test_arguments_of_timms_divergence_are_refused(timm: Any, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: left out, .* pass hyper-parameters to distillation_task"):
        distillation_task("kd_loss")(network(timm, 1), network(timm, 2), **{name: 2.0})


@pytest.mark.parametrize(
    ("function", "settings", "kind", "text"),
    [
        ("dkd", {}, InputError, "function: one of .*did you mean 'dkd_loss'"),
        (
            nn.CrossEntropyLoss(),
            {},
            InputTypeError,
            "function: a function of .student_logits, teacher_logits.*got .args, kwargs",
        ),
        (3, {}, InputTypeError, "function: a function of .*; got 3;"),
        (losses.cross_entropy, {}, InputTypeError, "function: a function of .*; got .logits, targets.;"),
        ("kd_loss", {"temprature": 2.0}, InputError, "hyper_parameters: one of .*did you mean 'temperature'"),
        ("kd_loss", {"reduction": "sum"}, InputError, "hyper_parameters: one of "),
        ("kd_loss", {"kd_weight": 0.5}, InputError, "kd_weight: left out, .* distill_loss_weight to the task"),
        ("dkd_loss", {"label_weight": 0.5}, InputError, "label_weight: left out"),
        ("hidden_state_loss", {"token": True}, InputError, "token: False for a loss of hidden states"),
        (lambda student_logits, teacher_logits, power: power, {}, InputError, "hyper_parameters: a value for power"),
    ],
)
def test_what_is_refused(function: Any, settings: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{text}"):
        distillation_task(function, **settings)
