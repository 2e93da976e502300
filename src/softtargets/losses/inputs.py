"""The arguments that all losses share: logits, targets, and which examples count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from softtargets import _checks
from softtargets._checks import (
    check_floating,
    check_int,
    check_mask,
    entry,
    first_bad,
    read_labels,
    values_visible,
    where,
)
from softtargets._errors import InputError, fail, fail_type
from softtargets._native.on_cuda import reports_labels
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets, dense, hard
from softtargets.targets.checks import check_spread


@dataclass(frozen=True, eq=False)
class LossInputs:
    """Checked logits and targets of a batch.

    Args:
        logits: (..., K) float, the classes last; 0 for an example that is left out, so that its gradient is 0.
        labels: (...) int64, 0 for an example that is left out; None if the targets are soft.
        soft: the soft targets, or None if there are labels.
        left_out: (...) bool, True for an example that is ignored or masked; None: no example is left out.
    """

    logits: Tensor
    labels: Tensor | None
    soft: Targets | None
    left_out: Tensor | None

    @property
    def targets(self) -> Targets:
        """The targets, labels as one-hot ones."""
        if self.soft is not None:
            return self.soft
        assert self.labels is not None
        made = hard(self.labels, ignore_index=None)
        return made if self.left_out is None else replace(made, ignored=self.left_out)

    @property
    def counted(self) -> int | Tensor:
        """The number of examples that are not left out, but at least 1."""
        if self.left_out is None:
            return max(1, self.logits.shape[:-1].numel())
        return (~self.left_out).sum().clamp(min=1)

    def finish(self, losses: Tensor, reduction: Reduction = "none") -> Tensor:
        """Set the losses of examples that are left out to 0, and reduce over the others.

        If every example is left out, the mean is 0.
        """
        check_reduction(reduction)
        if self.left_out is not None:
            losses = losses.masked_fill(self.left_out, 0.0)
        return self.reduce(losses, reduction)

    def reduce(self, losses: Tensor, reduction: Reduction) -> Tensor:
        """Reduce losses that are 0 already for examples that are left out."""
        if reduction == "none":
            return losses
        total = losses.sum()
        return total if reduction == "sum" else total / self.counted


def read_examples(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    zero_left_out: bool = True,
    deferred: bool = False,
) -> LossInputs:
    """Check the arguments of a loss that is defined for soft targets.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets of (...).
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out; soft targets have ``Targets.ignored`` for that.
        mask: (...) bool, False for an example to leave out.
        zero_left_out: set the logits of examples that are left out to 0, which copies all logits if there are any.
        deferred: the targets are used by the kernel of cross entropy only, which checks the labels on CUDA, so that
            the host does not wait for them.
    """
    check_order(logits, targets)
    moved = classes_last(logits, class_dim)
    shape, num_classes = tuple(moved.shape[:-1]), moved.shape[-1]
    if isinstance(targets, Tensor):
        check_layout(logits, targets, shape, class_dim)
        if targets.is_floating_point():
            targets = targets.movedim(class_dim, -1)
    settings = {"ignore_index": ignore_index, "mask": mask, "deferred": deferred and reports_labels(logits)}
    labels, soft, left_out = read_targets(targets, shape, num_classes, **settings)
    if left_out is not None and zero_left_out:
        moved = moved.masked_fill(left_out[..., None], 0.0)
    return LossInputs(moved, labels, soft, left_out)


def read_labelled(
    logits: Tensor, labels: Tensor, *, class_dim: int = -1, ignore_index: int = -100, mask: Tensor | None = None
) -> LossInputs:
    """Check the arguments of a loss that is defined for labels alone, as :func:`read_examples`."""
    check_order(logits, labels, argument="labels")
    moved = classes_last(logits, class_dim)
    if isinstance(labels, Targets) or (isinstance(labels, Tensor) and labels.is_floating_point()):
        got = "Targets" if isinstance(labels, Targets) else f"dtype {labels.dtype}"
        remedy = "this loss is not defined for soft targets: pass one class number per example"
        raise fail_type("labels", "integer labels", got, remedy)
    shape = tuple(moved.shape[:-1])
    check_layout(logits, labels, shape, class_dim, argument="labels")
    read, left_out = read_labels(
        "labels", labels, num_classes=moved.shape[-1], shape=shape, ignore_index=ignore_index, mask=mask
    )
    if left_out is not None:
        moved = moved.masked_fill(left_out[..., None], 0.0)
    return LossInputs(moved, read, None, left_out)


def read_targets(
    targets: Targets | Tensor,
    shape: tuple[int, ...],
    num_classes: int | None,
    *,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    deferred: bool = False,
) -> tuple[Tensor | None, Targets | None, Tensor | None]:
    """Check targets for examples of the given shape; return labels or soft targets, and which examples to leave out.

    Args:
        targets: (...) integer labels, (..., K) float probabilities, or Targets of (...).
        shape: the shape (...) of the examples.
        num_classes: K; None: not checked.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        deferred: a kernel checks the targets, so that on an accelerator their values are not read here.

    Returns:
        (...) int64 labels or None, soft targets or None, and (...) bool, True for an example that is left out, or None
        if no example is left out. The soft targets are marked as ignored there.
    """
    check_ignore_index(ignore_index)
    if isinstance(targets, Tensor) and not targets.is_floating_point():
        settings = {"num_classes": num_classes, "shape": shape, "ignore_index": ignore_index, "mask": mask}
        labels, left_out = read_labels("targets", targets, **settings, deferred=deferred)
        return labels, None, left_out
    if isinstance(targets, Tensor):
        if num_classes is not None and tuple(targets.shape) != (*shape, num_classes):
            raise _wrong_probs(targets, shape, (*shape, num_classes))
        # a target that is not finite gives a loss that is not finite
        targets = Targets(values=targets) if deferred and not _checks.on_host(targets) else dense(targets)
    elif not isinstance(targets, Targets):
        required = "a tensor of labels or of probabilities, or Targets"
        raise fail_type("targets", required, type(targets).__name__, _as_tensor("targets", targets))
    check_mask(mask, shape)
    check_shape(targets, shape)
    if mask is not None:
        targets = replace(targets, ignored=~mask if targets.ignored is None else targets.ignored | ~mask)
    if num_classes is not None:
        check_fit(targets, shape, num_classes, deferred=deferred)
    return None, targets, targets.ignored


def check_ignore_index(ignore_index: int) -> None:
    """Require an int."""
    if type(ignore_index) is not int:
        check_int("ignore_index", ignore_index, least=-(2**63), remedy="give the label that marks ignored examples")


def check_order(logits: object, targets: object, argument: str = "targets", *, first: str = "logits") -> None:
    """Require tensors, and say so if labels were passed as the logits and logits as the targets."""
    swap = f"pass the {first} first, then the {argument}"
    if not isinstance(logits, Tensor):
        swapped = isinstance(logits, Targets) and isinstance(targets, Tensor)
        remedy = swap if swapped else _as_tensor(first, logits)
        raise fail_type(first, "a floating-point tensor", type(logits).__name__, remedy)
    if not isinstance(targets, Tensor | Targets):
        required = "a tensor of integer labels" if argument == "labels" else "labels or probabilities in a tensor"
        raise fail_type(argument, required, type(targets).__name__, _as_tensor(argument, targets))
    if not logits.is_floating_point() and isinstance(targets, Tensor) and targets.is_floating_point():
        raise fail_type(first, "a floating-point tensor", f"dtype {logits.dtype}", swap)


def _as_tensor(argument: str, got: object) -> str:
    """Return advice on how to make a tensor of what was passed."""
    if got is None:
        return f"pass {argument}"
    if hasattr(got, "__array__"):
        return f"use torch.from_numpy({argument})"
    return (
        f"use torch.tensor({argument})" if isinstance(got, Sequence | int | float) else f"pass {argument} as a tensor"
    )


def check_layout(
    logits: Tensor, targets: Tensor, shape: tuple[int, ...], class_dim: int, argument: str = "targets"
) -> None:
    """Require one label per example, or probabilities of the shape of the logits; name the fix if there is one."""
    got = tuple(targets.shape)
    if targets.is_floating_point():
        if got == tuple(logits.shape):
            return
        raise _wrong_probs(targets, shape, tuple(logits.shape))
    if got == shape:
        return
    others = (d for d in range(logits.ndim) if got == tuple(n for i, n in enumerate(logits.shape) if i != d))
    dim = next(others, None)
    if dim is not None and logits.ndim > 2:
        remedy = f"use class_dim={dim - logits.ndim if dim == logits.ndim - 1 else dim}"
    elif got == tuple(logits.shape):
        remedy = f"use {argument}.argmax({class_dim}) for one-hot labels" + (
            f", or {argument}.float() for probabilities" if argument == "targets" else ""
        )
    else:  # refused by the reader of labels
        return
    raise fail(argument, f"shape {shape}, the shape of the logits without the class dimension", got, remedy)


def _wrong_probs(targets: Tensor, shape: tuple[int, ...], required: tuple[int, ...]) -> InputError:
    got = tuple(targets.shape)
    remedy = "use targets.long() if these are labels" if got == shape else "give one probability per class"
    return fail(
        "targets", f"integer labels, or probabilities of shape {required}", f"{targets.dtype} of shape {got}", remedy
    )


def classes_last(logits: Tensor, class_dim: int) -> Tensor:
    """Return logits as (..., K), checked, with K >= 2."""
    logits = moved_last(logits, class_dim)
    if logits.shape[-1] < 2:
        required, got = "at least 2 classes", f"{logits.shape[-1]} in dimension {class_dim}"
        raise fail("logits", required, got, "set class_dim, or use binary_cross_entropy for a single output")
    return logits


def moved_last(logits: Tensor, class_dim: int) -> Tensor:
    """Return logits as (..., K), checked, with any number of classes."""
    if not isinstance(logits, Tensor):
        raise fail_type("logits", "a floating-point tensor", type(logits).__name__, _as_tensor("logits", logits))
    check_floating("logits", logits)
    if type(class_dim) is not int:
        check_int("class_dim", class_dim, least=-logits.ndim, remedy="give the dimension of the classes")
    if not -logits.ndim <= class_dim < logits.ndim:
        required = f"a dimension of the logits, of shape {tuple(logits.shape)}"
        remedy = "give the dimension of the classes" if logits.ndim else "give logits with a dimension of classes"
        raise fail("class_dim", required, class_dim, remedy)
    return logits if class_dim == -1 else logits.movedim(class_dim, -1)


def check_fit(targets: Targets, shape: tuple[int, ...], num_classes: int, *, deferred: bool = False) -> None:
    """Require targets for examples of this shape and for this number of classes; `deferred` as in `read_targets`."""
    check_shape(targets, shape)
    known = targets.num_classes
    if known is not None and known != num_classes:
        raise fail("targets", f"{num_classes} classes, as the logits", known, "use the same classes for both")
    labels, index = targets.labels, targets.index
    if index is not None and labels is not None:
        read_labels("targets", labels, num_classes=num_classes, deferred=deferred)
    if index is not None and (labels is None or index.shape[-1] > 1):
        read_labels("targets", index, num_classes=num_classes, deferred=deferred)
    if targets.valid is not None and values_visible(*targets.tensors().values()):
        _check_valid(targets, targets.valid, (*shape, num_classes))
        check_spread(targets)


def _check_valid(targets: Targets, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Require labels, and weights other than smoothing, only on classes that exist."""
    labels, index, valid = targets.labels, targets.index, mask.expand(shape)
    if index is not None and labels is not None:
        at = _first(~valid.gather(-1, labels[..., None])[..., 0], targets.ignored)
        if at is not None:
            got = f"{int(labels[at])} at {where(at)}"
            remedy = "fix the mask, or mark the example in Targets.ignored"
            raise fail("targets", "labels of valid classes, as marked by `valid`", got, remedy)
    if index is not None and targets.value is not None:
        weights, there = targets.value, valid.gather(-1, index)
    else:
        if targets.table is not None and mask.ndim == 1 and not bool(((targets.table != 0) & ~mask).any()):
            return  # no row of the table is bad, so none has to be gathered
        weights, there = targets.gathered(), valid
    at = _first((weights != 0) & ~there, None if targets.ignored is None else targets.ignored[..., None])
    if at is not None:
        label = at[-1] if index is None else int(index[at])
        got = f"{entry(weights, at)} on class {label} at {where(at[:-1])}"
        raise fail("targets", "weight only on valid classes, as marked by `valid`", got, "fix the mask, or set it to 0")


def _first(bad: Tensor, ignored: Tensor | None) -> tuple[int, ...] | None:
    return first_bad(bad if ignored is None else bad & ~ignored)


def check_shape(targets: Targets | Tensor, shape: tuple[int, ...]) -> None:
    """Require one target per example."""
    if tuple(targets.shape) != tuple(shape):
        raise fail(
            "targets",
            f"shape {tuple(shape)}, the shape of the logits without the class dimension",
            tuple(targets.shape),
            "pass one target per example",
        )
