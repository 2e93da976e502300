"""Losses of this package as the `compute_loss_func` of transformers' `Trainer`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from softtargets import losses
from softtargets._errors import fail, fail_type, unknown
from softtargets.nn import CrossEntropyLoss, Loss

__all__ = ["loss"]

IGNORED = -100


def loss(
    function: str | Callable[..., Tensor],
    *,
    shift: bool,
    class_weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    **hyper_parameters: Any,
) -> Callable[..., Tensor]:
    """Make the `compute_loss_func` of a transformers `Trainer` from a loss.

    sum_i w_i * function(logits_i, label_i) / num_items_in_batch        over the labels i that are not ignored

    The Trainer counts the labels of all micro-batches of a step, so that gradient accumulation gives the gradient of
    the whole batch. Where it passes no count, that of the batch is used.

    Args:
        function: name of a loss of :mod:`softtargets.losses`, such as "focal_loss"; the function itself; your own
            function of (logits, labels) that returns one loss per row; or a :class:`softtargets.nn.CrossEntropyLoss` or
            :class:`softtargets.nn.Loss`, whose own class weights and `ignore_index` are used.
        shift: True if the logits at a position predict the next label (causal language models), False if they predict
            the label at it (classification of sequences or tokens, masked language models, decoders).
        class_weight: (K,) float, >= 0, one weight per class: it multiplies the losses of its labels. The sum is divided
            by the number of labels, not by the sum of the weights, which a Trainer does not count.
        ignore_index: label to leave out. The Trainer counts every label but -100: with another `ignore_index` the sum
            is divided by a number that includes the ignored ones.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss, such as
            `label_smoothing`.

    Returns:
        A function of (outputs, labels, num_items_in_batch=None) that returns the loss, ().

    Raises:
        ValueError: if the name or a hyper-parameter is unknown; when called, if labels are missing, out of range or of
            another shape than the logits.
        TypeError: if `function` is neither a name, nor a function, nor one of those modules, or `shift` is not a bool.

    Special cases:
        "cross_entropy" with label_smoothing=r gives the loss of TrainingArguments(label_smoothing_factor=r), but for
        gradient accumulation with models whose forward takes no loss arguments: there the Trainer averages the means of
        the micro-batches, which is another gradient if they have different numbers of labels.

    Notes:
        The Trainer removes the labels from the batch, so that the model does not compute a loss too. For causal models
        whose class is not named ...ForCausalLM, such as GPT2LMHeadModel, transformers 5.23 counts the label of the
        first token of each sequence, which nothing predicts. Set it to -100 in the collator to leave it out.

    Complexity:
        That of the function; the labels are shifted, so that no logits are copied.

    Limitations:
        All logits are in memory. :func:`softtargets.losses.linear_loss` avoids that in a loop of your own.

    Example:
        >>> from types import SimpleNamespace
        >>> compute = loss("mean_absolute_error", shift=False)
        >>> outputs = SimpleNamespace(logits=torch.zeros(2, 4))
        >>> round(float(compute(outputs, torch.tensor([2, 3]), num_items_in_batch=4)), 4)        # 2 * 0.75 / 4
        0.375
    """
    if not isinstance(shift, bool):
        raise fail_type("shift", "a bool", type(shift).__name__, "True for causal language models, otherwise False")
    if isinstance(function, nn.Module):
        if not isinstance(function, CrossEntropyLoss | Loss):
            remedy = "wrap its function in softtargets.nn.Loss"
            raise fail_type("function", "a CrossEntropyLoss or Loss of softtargets.nn", type(function).__name__, remedy)
        if class_weight is not None or hyper_parameters:
            remedy = "set them when the module is made"
            raise fail("function", "a name or a function with these arguments", type(function).__name__, remedy)
        if function.reduction != "mean":
            raise fail("function", "a module with reduction='mean'", f"'{function.reduction}'", "set reduction='mean'")
        return _TrainerLoss(function, shift)
    found = _named(function) if isinstance(function, str) else function
    if found is losses.cross_entropy:
        module = CrossEntropyLoss(class_weight, ignore_index=ignore_index, **_known(hyper_parameters))
    else:
        module = Loss(found, class_weight=class_weight, ignore_index=ignore_index, **hyper_parameters)
    return _TrainerLoss(module, shift)


def _named(name: str) -> Callable[..., Tensor]:
    """Return a loss of (logits, labels) by its name."""
    known = {}
    for public in losses.__all__:
        function = getattr(losses, public)
        parameters = list(inspect.signature(function).parameters) if inspect.isfunction(function) else []
        # what is not reduced is no loss, such as cores_sieve, which selects rows
        if parameters[:2] in (["logits", "targets"], ["logits", "labels"]) and "reduction" in parameters:
            known[public] = function
    if name not in known:
        raise unknown("function", name, known)
    return known[name]


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters of CrossEntropyLoss, checked by name."""
    known = ("label_smoothing", "convention", "prior", "weighting")
    for name in given:
        if name not in known:
            raise unknown("hyper_parameters", name, known)
    return dict(given)


class _TrainerLoss:
    """A loss in the form that `Trainer(compute_loss_func=...)` calls; see :func:`loss`."""

    def __init__(self, module: CrossEntropyLoss | Loss, shift: bool) -> None:
        self.module, self.shift = module, shift

    def __repr__(self) -> str:
        return f"loss({self.module!r}, shift={self.shift})"

    def __call__(self, outputs: Any, labels: Tensor | None, num_items_in_batch: float | Tensor | None = None) -> Tensor:
        logits = logits_of(outputs)
        if labels is None:
            raise fail("labels", "labels in the batch", None, "use a collator that makes 'labels'")
        _check_shapes(logits, labels, self.shift)
        ignored = self.module.ignore_index
        if self.shift:  # not the logits, whose part would be copied
            labels = nn.functional.pad(labels[..., 1:], (0, 1), value=ignored)
        count = (labels != ignored).sum() if num_items_in_batch is None else num_items_in_batch
        flat = logits.reshape(-1, logits.shape[-1])
        return self.module.to(logits.device)(flat, labels.reshape(-1), normalizer=normalizer_of(count, logits))


def logits_of(outputs: Any) -> Tensor:
    """Return the logits of a model's outputs."""
    found = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
    if not isinstance(found, Tensor):
        raise fail_type(
            "outputs", "the outputs of a model with logits", type(outputs).__name__, "use a model with a head"
        )
    return found


def _check_shapes(logits: Tensor, labels: Tensor, shift: bool) -> None:
    if labels.shape != logits.shape[:-1]:
        required = f"shape {tuple(logits.shape[:-1])}, as the logits without the classes"
        raise fail("labels", required, tuple(labels.shape), "pad labels as the inputs are padded")
    if shift and labels.ndim < 2:
        raise fail("shift", "False for one label per example", True, "set shift=False, or pass (n, L) labels")


def normalizer_of(count: float | Tensor, like: Tensor) -> float | Tensor:
    """Return the number that a sum of losses is divided by."""
    # with several GPUs in one process the Trainer repeats the number for each
    return count.flatten()[0].to(like.device) if isinstance(count, Tensor) else count
