"""Losses of this package as the `compute_loss_func` of transformers' `Trainer`."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from softtargets._errors import fail, fail_type
from softtargets.integrations._modules import IGNORED, loss_module
from softtargets.nn import CrossEntropyLoss, Loss

__all__ = ["loss"]


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
    module = loss_module(function, class_weight, ignore_index, hyper_parameters)
    return _TrainerLoss(module, shift)


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
