"""Divergences of the logits of a linear layer, which are never stored as a whole."""

from typing import Any

from torch import Tensor

from softtargets._checks import check_int, check_mask
from softtargets._errors import fail, fail_type, unknown
from softtargets.distill._divergences import divergence_loss
from softtargets.distill._inputs import check_rows_fit
from softtargets.distill._teacher_rows import TeacherRows
from softtargets.losses import reduce
from softtargets.losses.building_blocks import as_autocast, check_layer, linear_rows
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets
from softtargets.targets.checks import check_scores, describe

__all__ = ["linear_divergence_loss"]

PER_EXAMPLE = ("kd_weight", "label_weight")
SETTINGS = ("divergence", "skew", "tail", *PER_EXAMPLE, "temperature", "scale")


def linear_divergence_loss(
    hidden: Tensor,
    weight: Tensor,
    teacher_logits: Tensor | TeacherRows,
    labels: Tensor | Targets | None = None,
    *,
    bias: Tensor | None = None,
    chunk: int | None = None,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
    **settings: Any,
) -> Tensor:
    """Divergences of ``hidden @ weight.T + bias`` from a teacher, computed chunk by chunk without storing all logits.

    divergence_loss(hidden @ weight^T + bias, teacher_logits, labels, **settings)

    Args:
        hidden: (..., H) float, the student's.
        weight: (K, H) float, the student's output layer, as in torch.nn.Linear.
        teacher_logits: :class:`TeacherRows` of (...), as read from a cache, or (..., K) float logits.
        labels: (...) integers in [0, K), (..., K) float probabilities, or Targets of (...); None is allowed if
            `label_weight` is 0.
        bias: (K,) float or None.
        chunk: rows per chunk, at least 1; None: about 2^21 logits on a CPU, 2^23 elsewhere, and at least 64 rows.
        ignore_index: integer label of an example to leave out.
        mask: (...) bool, False for examples to leave out; their hidden states and labels may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".
        settings: `divergence`, `skew`, `tail`, `kd_weight`, `label_weight`, `temperature` and `scale` of
            :func:`divergence_loss`.

    Returns:
        (...) float32 or wider, nats, one value per example, 0 for examples that are left out; or () if reduced.

    Raises:
        ValueError: if shapes differ, chunk < 1, the teacher has another number of classes than the layer, a setting is
            unknown, and as for :func:`divergence_loss`.
        TypeError: if hidden, weight or bias is not a floating-point tensor, and as for :func:`divergence_loss`.

    Special cases:
        the identity as weight gives divergence_loss(hidden, teacher_logits, labels).

    Notes:
        Under autocast the matrix products are computed in its precision, and the divergence in float32. In errors,
        rows are counted within the chunk.

    Complexity:
        Four matrix products of the layer: the logits are computed again in the backward pass. Memory: about ten
        tensors of the size of a chunk of logits, and the gradients of hidden and weight.

    When to use:
        A language model is trained on a cache of a teacher.

    Limitations:
        No second derivative. A model that changes its logits after the last layer (a soft cap or a scale) needs
        :func:`divergence_loss`.

    Example:
        >>> import torch
        >>> half = torch.tensor([0.5]).log()
        >>> rows = TeacherRows(half[:, None], torch.tensor([[2]]), half, num_classes=5)
        >>> loss = linear_divergence_loss(torch.ones(1, 3), torch.zeros(5, 3), rows)  # 1/2 log 5/2 + 1/2 log 5/8
        >>> round(float(loss), 4)
        0.2231
    """
    check_reduction(reduction)
    hidden, weight, bias = as_autocast(*check_layer(hidden, weight, bias))
    shape, num_classes = tuple(hidden.shape[:-1]), weight.shape[0]
    if chunk is not None:
        check_int("chunk", chunk, least=1, remedy="give the number of rows, or None")
    for name in settings.keys() - set(SETTINGS):
        raise unknown("settings", name, SETTINGS)
    _check_teacher(teacher_logits, shape, num_classes)
    _check_labels(labels, shape, num_classes)
    check_mask(mask, shape)
    for name in PER_EXAMPLE:
        given = settings.get(name)
        if isinstance(given, Tensor) and given.ndim and tuple(given.shape) != shape:
            raise fail(name, f"a number or shape {shape}, one per example", tuple(given.shape), f"reshape {name}")

    def evaluate(logits: Tensor, rows: Any) -> Tensor:
        own = {name: _rows(settings[name], rows) if name in PER_EXAMPLE else settings[name] for name in settings}
        return divergence_loss(
            logits,
            teacher_logits[rows],
            None if labels is None else labels[rows],
            ignore_index=ignore_index,
            mask=None if mask is None else mask[rows],
            **own,
        )

    losses = linear_rows(evaluate, hidden, weight, bias, chunk=chunk)
    return reduce(losses, reduction, mask=_counted(labels, ignore_index, mask))


def _rows(value: Any, rows: Any) -> Any:
    return value[rows] if isinstance(value, Tensor) and value.ndim else value


def _counted(labels: Tensor | Targets | None, ignore_index: int, mask: Tensor | None) -> Tensor | None:
    """Return which examples are not left out, (...) bool; None if all are counted."""
    counted = mask
    if isinstance(labels, Targets):
        given = None if labels.ignored is None else ~labels.ignored
    elif isinstance(labels, Tensor) and not labels.is_floating_point():
        given = labels.long() != ignore_index
    else:
        given = None
    return given if counted is None else counted if given is None else counted & given


def _check_teacher(teacher: object, shape: tuple[int, ...], num_classes: int) -> None:
    if not isinstance(teacher, TeacherRows):
        check_scores("teacher_logits", teacher)
        assert isinstance(teacher, Tensor)
        if tuple(teacher.shape) != (*shape, num_classes):
            remedy = "pass the teacher's logits for the same examples and classes"
            raise fail("teacher_logits", f"shape {(*shape, num_classes)}", tuple(teacher.shape), remedy)
        return
    check_rows_fit("teacher_logits", teacher, shape, num_classes)


def _check_labels(labels: object, shape: tuple[int, ...], num_classes: int) -> None:
    if labels is None:
        return
    if not isinstance(labels, Tensor | Targets):
        raise fail_type("labels", "a tensor or Targets", describe(labels), "use torch.as_tensor(labels)")
    soft = isinstance(labels, Tensor) and labels.is_floating_point() and labels.ndim == len(shape) + 1
    required = (*shape, num_classes) if soft else shape
    if tuple(labels.shape) != required:
        raise fail("labels", f"shape {required}", tuple(labels.shape), "pass one label per example")
