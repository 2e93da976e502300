"""Arguments that all metrics and calibrators share: what is required, how classes are moved last, and their checks."""

from numbers import Integral
from typing import Any, Literal, TypedDict

from torch import Tensor

from softtargets._arrays import ArrayLike
from softtargets._checks import read_ids, read_labels
from softtargets._errors import InputError, InputTypeError, fail, fail_type, sentence
from softtargets._rows import is_one_column, two_columns

Kind = Literal["logits", "probs"]


class _Required:
    """The default of an argument that must be given. The overloads of a function define when."""

    def __repr__(self) -> str:
        return "<required>"

    def __reduce__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


class RowOptions(TypedDict, total=False):
    """Keywords of every metric."""

    mask: ArrayLike | None
    ignore_index: int
    class_dim: int


class UpdateOptions(RowOptions, total=False):
    """Keywords of every accumulator's `update`."""

    ids: ArrayLike | None


def read_scores(probs: object, labels: object, logits: object) -> tuple[Kind, Tensor]:
    """Return the predictions and their kind, after checking that predictions and labels were both given.

    Raises:
        TypeError: if one is missing or not a tensor of the right kind, or if the two seem to be swapped.
        ValueError: if both `probs` and `logits` are given.
    """
    if probs is not REQUIRED and logits is not REQUIRED:
        raise fail("probs", "either probs or logits", "both", "pass one of them")
    if probs is REQUIRED and logits is REQUIRED:
        raise _missing("probs", "pass probabilities as the first argument, or logits=")
    if labels is REQUIRED:
        raise _missing("labels", "pass labels= or give labels as the second argument")
    kind: Kind = "probs" if logits is REQUIRED else "logits"
    return kind, check_scores(kind, probs if logits is REQUIRED else logits, labels)


def check_scores(argument: str, scores: object, labels: object = None) -> Tensor:
    """Require floating-point scores of classes; `labels` tells whether the two arguments were swapped."""
    required = "a floating-point tensor or array of shape (..., K)"
    if not isinstance(scores, Tensor):
        remedy = f"use torch.as_tensor({argument})" if isinstance(scores, list | tuple) else f"pass {argument}"
        raise fail_type(argument, required, type(scores).__name__, remedy)
    if not scores.is_floating_point():
        if isinstance(labels, Tensor) and labels.is_floating_point():
            raise fail_type(argument, required, f"dtype {scores.dtype}", f"swap {argument} and labels")
        predicted = "pass the scores of all classes, not the predicted classes"
        remedy = f"use {argument}.float()" if scores.ndim > 1 else predicted
        raise fail_type(argument, required, f"dtype {scores.dtype}", remedy)
    return scores


def classes_last(argument: str, scores: Tensor, class_dim: int) -> Tensor:
    """Return (..., K) scores whose classes are at `class_dim`, or (N, 2) scores from one column of a binary problem."""
    required, remedy = "shape (..., K) with K >= 2", "give one row of K per example"
    if scores.ndim == 0:
        raise fail(argument, required, tuple(scores.shape), remedy)
    check_class_dim(argument, scores, class_dim)
    if is_one_column(scores) and class_dim in (-1, scores.ndim - 1):
        return two_columns(argument, scores)
    moved = scores.movedim(class_dim, -1)
    if moved.shape[-1] < 2:
        raise fail(argument, required, tuple(scores.shape), remedy)
    return moved


def check_class_dim(argument: str, scores: Tensor, class_dim: object) -> None:
    """Require an axis of the scores."""
    remedy = "pass the axis of the classes"
    required = f"an axis of {argument}, from {-scores.ndim} to {scores.ndim - 1}"
    if isinstance(class_dim, bool) or not isinstance(class_dim, Integral):
        raise fail_type("class_dim", required, repr(class_dim), remedy)
    if not -scores.ndim <= int(class_dim) < scores.ndim:
        raise fail("class_dim", required, class_dim, remedy)


def check_shape(argument: str, tensor: Tensor, scores: Tensor) -> None:
    """Require one entry per row of (..., K) scores; the advice names the axis of the classes where one would fit."""
    shape, got = tuple(scores.shape[:-1]), tuple(tensor.shape)
    if got == shape:
        return
    axes = [
        axis for axis in range(scores.ndim - 1) if got == shape[:axis] + shape[axis + 1 :] + tuple(scores.shape[-1:])
    ]
    if got == (*shape, 1):
        remedy = f"use {argument}.squeeze(-1)"
    elif argument == "labels" and len(got) == scores.ndim and got[:-1] == shape:
        required = f"shape {shape}, or {tuple(scores.shape)} for soft labels"
        raise fail(
            argument, required, got, f"give one class per row, or one number for each of {scores.shape[-1]} classes"
        )
    else:
        remedy = f"use class_dim={axes[0]}" if axes else "give one per row"
    raise fail(argument, f"shape {shape}", got, remedy)


def check_label_type(argument: str, labels: object) -> Tensor:
    """Require a tensor of integers; their range is checked row by row."""
    read_labels(argument, labels.new_empty(0) if isinstance(labels, Tensor) else labels)
    assert isinstance(labels, Tensor)
    return labels


def check_id_type(ids: object) -> Tensor:
    """Require a tensor of integer ids."""
    read_ids("ids", ids.new_empty(0) if isinstance(ids, Tensor) else ids, 0)
    assert isinstance(ids, Tensor)
    return ids


def check_ignore_index(ignore_index: object) -> None:
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, Integral):
        raise fail_type("ignore_index", "an int", repr(ignore_index), "-100 is usual")


def label_advice(ignore_index: int) -> str:
    """Return how to leave an example out."""
    return f"fix it, or leave that example out by a label of {ignore_index} or mask="


def _missing(argument: str, remedy: str) -> InputTypeError:
    return InputTypeError(sentence(argument, "required", "nothing", remedy))


def nothing_left(name: str) -> InputError:
    """Build the error of a metric without examples."""
    return fail(
        name, "at least one example that is not left out", "none", "add examples, or check the labels and the mask"
    )
