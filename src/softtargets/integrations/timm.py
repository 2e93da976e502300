"""Losses of this package in timm: criteria for labels and for Mixup's targets, and tasks that distil a teacher.

:func:`loss` makes the criterion of timm's train script, or of one of its tasks, from any loss of this package.
:func:`distillation_task` makes one of timm's distillation tasks with a loss of :mod:`softtargets.distill`.

Example:
    >>> criterion = loss("cross_entropy", label_smoothing=0.2)
    >>> logits, mixed = torch.zeros(1, 4), torch.tensor([[0.7, 0.3, 0.0, 0.0]])
    >>> round(float(criterion(logits, mixed)), 4)        # log 4
    1.3863
"""

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softtargets import distill
from softtargets._errors import InputTypeError, fail, fail_type, unknown
from softtargets.integrations._modules import loss_module
from softtargets.nn import CrossEntropyLoss, Loss

if TYPE_CHECKING:
    from timm.task import LogitDistillationTask as _Task  # pyright: ignore[reportMissingImports]
else:
    _Task = object  # a task of timm is added when a class is made, so that timm is not imported here

__all__ = ["distillation_task", "loss"]

LOGITS, HIDDEN = ["student_logits", "teacher_logits"], ["student_hidden", "teacher_hidden"]
# Settings of a distillation loss that the task has set.
LABEL_TERM = {"kd_weight": 1.0, "label_weight": 0.0}
RESERVED = ("labels", "projection", "class_dim", "ignore_index", "mask", "reduction")
# Arguments of timm's tasks that are about timm's own divergence.
OF_TIMM = ("loss_type", "temperature", "distill_type")


def loss(
    function: str | Callable[..., Tensor], *, class_weight: Tensor | None = None, **hyper_parameters: Any
) -> nn.Module:
    """Make a criterion for timm's train script and tasks from a loss.

    sum_i w_i * function(logits_i, target_i) / sum_i w_i

    The targets are labels, or the soft targets that timm's Mixup makes of them. Mixup applies its own label smoothing,
    so `label_smoothing` smooths labels only, as in timm's losses.

    Args:
        function: name of a loss of :mod:`softtargets.losses`, such as "poly1_loss"; the function itself; your own
            function of (logits, labels) or (logits, targets) that returns one loss per row; or a
            :class:`softtargets.nn.CrossEntropyLoss` or :class:`softtargets.nn.Loss`.
        class_weight: (K,) float, >= 0, one weight per class. The weight w of a soft target is its mean over the target.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss, such as
            `label_smoothing`.

    Returns:
        A module of (logits, target) that returns the loss, (): the `train_loss_fn` of the script, or the `criterion` of
        a task or an evaluator. The target is (B,) integer labels or (B, K) probabilities.

    Raises:
        ValueError: if the name or a hyper-parameter is unknown; when called, if labels are out of range or of another
            shape than the logits.
        TypeError: if `function` is neither a name, nor a function, nor one of those modules; when called with soft
            targets, if the loss is defined only for labels: its second argument is named `labels`.

    Special cases:
        "cross_entropy" gives SoftTargetCrossEntropy for soft targets and, with label_smoothing=r,
        LabelSmoothingCrossEntropy(r) for labels. "poly1_loss" with epsilon=e gives PolyCrossEntropy(e).
        "binary_cross_entropy" gives BinaryCrossEntropy(sum_classes=True) for soft targets.

    Notes:
        Mixup makes soft targets also when it no longer mixes (`--mixup-off-epoch`): smoothed one-hot targets.

    Limitations:
        A smoothing parameter of any other loss is applied to Mixup's targets too: pass `label_smoothing=0` to Mixup.
        "binary_cross_entropy" takes targets for all classes, not labels.

    Complexity:
        That of the function.

    Example:
        >>> criterion = loss("cross_entropy", label_smoothing=0.1)
        >>> logits = torch.tensor([[0.0, 3.0]]).log1p()        # probabilities 1/5 and 4/5
        >>> round(float(criterion(logits, torch.tensor([1]))), 4)        # .95 log(5/4) + .05 log 5
        0.2925
        >>> round(float(criterion(logits, torch.tensor([[0.25, 0.75]]))), 4)        # .75 log(5/4) + .25 log 5
        0.5697
    """
    return _Criterion(loss_module(function, class_weight, hyper_parameters=hyper_parameters))


class _Criterion(nn.Module):
    """A loss of labels or of Mixup's targets; see :func:`loss`."""

    def __init__(self, module: CrossEntropyLoss | Loss) -> None:
        super().__init__()
        self.of_labels = self.of_soft = module
        self._labels_only = (
            isinstance(module, Loss) and list(inspect.signature(module.function).parameters)[1] == "labels"
        )
        if isinstance(module, CrossEntropyLoss) and module.label_smoothing:
            self.of_soft = copy.deepcopy(module)
            self.of_soft.label_smoothing = 0.0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, ()."""
        if not target.is_floating_point():
            return self.of_labels(logits, target)
        if self._labels_only:
            raise _soft_targets()
        return self.of_soft(logits, target)


def _soft_targets() -> InputTypeError:
    required = "(B,) integer labels, as the loss is not defined for soft targets"
    return fail_type(
        "target", required, "the soft targets of Mixup or CutMix", "train without them, or use another loss"
    )


def distillation_task(
    function: str | Callable[..., Tensor], *, token: bool = False, **hyper_parameters: Any
) -> Callable[..., Any]:
    """Make a distillation task for timm's train script from a loss between student and teacher.

    task_loss_weight * criterion(z, target) + distill_loss_weight * mean_i function(z_i, v_i)

    z are the student's logits, v the teacher's, for the same images, normalised for each of them. Everything but the
    function is timm's: the teacher, the criterion and both weights are arguments of the class that is returned, with
    timm's names and defaults.

    Args:
        function: name of a loss of :mod:`softtargets.distill`, such as "dkd_loss"; the function itself; or your own
            function of (student_logits, teacher_logits) or (student_hidden, teacher_hidden) that returns one loss per
            row. With hidden states the pooled features are compared, after timm's projection if their widths differ.
        token: True if the teacher is compared with the logits of the student's distillation token, as in DeiT.
        hyper_parameters: of the function, by name, such as `temperature`.

    Returns:
        A class with the arguments of timm's LogitDistillationTask, TokenDistillationTask if `token`, or
        FeatureDistillationTask for hidden states, without `loss_type`, `distill_type` and `temperature`. Its `forward`
        returns a dict with "loss", "output" (the student's logits), "task_loss" and "kd_loss".

    Raises:
        ValueError: if the name or a hyper-parameter is unknown or missing, `token` is set for hidden states, or
            `kd_weight` or `label_weight` is given, in whose place the task has weights; when a task is made, if one of
            timm's three arguments above is given; when called, if student and teacher differ in their classes.
        TypeError: if `function` is neither a name nor such a function; when called with soft targets, if the function
            needs labels, as "dkd_loss" does.

    Special cases:
        "kd_loss" with temperature=T gives LogitDistillationTask(temperature=T), and with token=True
        TokenDistillationTask(temperature=T). "hidden_state_loss" gives FeatureDistillationTask.

    Notes:
        In timm 1.0.31 these three are right: the divergence is summed over the classes, averaged over the batch and
        multiplied by T^2, with the temperature on both sides, and features are averaged over batch and width. DeiT's
        own code divides by the number of classes too, so that its weights do not carry over. With timm's defaults both
        weights are 1; with `task_loss_weight=w` alone the other one is 1 - w. A class of -inf in both logits gives NaN
        in timm, here it has no loss.

    Limitations:
        The teacher must have the student's classes in the same order. Tensors among the hyper-parameters stay on their
        device.

    Complexity:
        A forward pass of the teacher without gradient, and that of the function.

    Example:
        >>> def make(student, teacher):
        ...     task = distillation_task("dkd_loss", temperature=4.0, other_weight=2.0)
        ...     return task(student, teacher, criterion=loss("cross_entropy"), distill_loss_weight=0.5)
    """
    compared = _Compared(_named(function) if isinstance(function, str) else function, hyper_parameters)
    if token and compared.hidden:
        raise fail("token", "False for a loss of hidden states", True, "use a loss of logits, or leave out token")
    import timm.task  # pyright: ignore[reportMissingImports]

    base = getattr(timm.task, f"{'Feature' if compared.hidden else 'Token' if token else 'Logit'}DistillationTask")
    return type("DistillationTask", (_Distillation, base), {"compared": compared})


class _Compared:
    """A distillation loss with its hyper-parameters, of the outputs of student and teacher and the target."""

    def __init__(self, function: Callable[..., Tensor], given: dict[str, Any]) -> None:
        parameters = inspect.signature(function).parameters if callable(function) else {}
        if (first := list(parameters)[:2]) not in (LOGITS, HIDDEN):
            required = f"a function of ({', '.join(LOGITS)}) or ({', '.join(HIDDEN)})"
            remedy = "pass the name of a loss of softtargets.distill, or name the arguments so"
            raise fail_type("function", required, f"({', '.join(first)})" if first else repr(function), remedy)
        rest = {name: p for name, p in parameters.items() if name not in (*first, *RESERVED)}
        for name in given:
            if name in LABEL_TERM:
                remedy = "pass task_loss_weight and distill_loss_weight to the task"
                raise fail(name, "left out, as the task has weights", given[name], remedy)
            if name not in rest:
                raise unknown("hyper_parameters", name, rest.keys() - LABEL_TERM.keys())
        for name, parameter in rest.items():
            if parameter.default is parameter.empty and name not in given:
                raise fail("hyper_parameters", f"a value for {name}", "none", f"pass {name}=")
        self.function, self.hidden = function, first == HIDDEN
        self.settings = {name: value for name, value in LABEL_TERM.items() if name in rest} | given
        self.needs_labels = "labels" in parameters and parameters["labels"].default is inspect.Parameter.empty

    def __call__(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the batch, ()."""
        if self.needs_labels and target.is_floating_point():
            raise _soft_targets()
        labels = (target,) if self.needs_labels else ()
        return self.function(student, teacher, *labels, **self.settings).mean()


def _named(name: str) -> Callable[..., Tensor]:
    """Return a loss between student and teacher by its name."""
    functions = {public: getattr(distill, public) for public in distill.__all__}
    known = {
        public: function
        for public, function in functions.items()
        if inspect.isfunction(function) and list(inspect.signature(function).parameters)[:2] in (LOGITS, HIDDEN)
    }
    if name not in known:
        raise unknown("function", name, known)
    return known[name]


class _Distillation(_Task):
    """A distillation task of timm with another term between student and teacher; see :func:`distillation_task`."""

    compared: _Compared

    def __init__(self, student_model: nn.Module, teacher_model: Any, **arguments: Any) -> None:
        for name in OF_TIMM:
            if name in arguments:
                remedy = "pass hyper-parameters to distillation_task"
                raise fail(name, "left out, as the task has a loss of its own", repr(arguments[name]), remedy)
        super().__init__(student_model, teacher_model, **arguments)

    def forward(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the loss, the student's logits and both terms, as timm's tasks do."""
        outputs = self.trainable_module(input)
        # pairs are logits with features, or logits of both tokens
        logits, student = outputs if isinstance(outputs, tuple) else (outputs, outputs)
        with torch.no_grad():
            normalized = self.teacher.normalize_input(input, self.student_mean, self.student_std)
            teacher = self.teacher(normalized, return_features=self.compared.hidden)
        task_loss, kd_loss = self.criterion(logits, target), self.compared(student, teacher, target)
        total = self.task_loss_weight * task_loss + self.distill_loss_weight * kd_loss
        return {"loss": total, "output": logits, "task_loss": task_loss, "kd_loss": kd_loss}
