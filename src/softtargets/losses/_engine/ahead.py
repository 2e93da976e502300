"""Losses whose gradient is computed ahead, in the forward pass.

A loss that is described by a :class:`RowLoss` is computed in one pass over the rows, and the gradient of a row is
written while the row is in the processor's cache. The only extra memory is the gradient; with ``inplace=True`` not even
that. The gradient depends on what autograd passes to each loss, which is not known in the forward pass: it is assumed
to be that of a mean, or what the caller expects. If the backward pass receives something else, the gradient is computed
again from the logits, so that it is rounded once either way. On accelerators, and in place, it is multiplied instead.

The numbers are those of the `plain` method, which is used whenever :func:`possible` is False.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from softtargets import _checks
from softtargets._errors import fail
from softtargets._native.operators import operators_in_use
from softtargets._native.scale import scale_rows
from softtargets._numerics import accumulating
from softtargets.losses._engine.row_loss import RowLoss, TotalLoss

_autograd, _functorch = torch._C._autograd, torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def run(
    loss: RowLoss,
    logits: Tensor,
    *,
    class_dim: int = -1,
    expected: Tensor | float | None = None,
    ahead: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Return the loss of every row, (...).

    Args:
        loss: the loss.
        logits: (..., K) float, or with the classes at `class_dim`, for which :func:`possible` is True.
        class_dim: the dimension of the classes.
        expected: (...) the gradient that autograd is expected to pass to each loss, or one number for all of them;
            None: that of a mean.
        ahead: compute the gradient in the forward pass; False: only in the backward pass.
        inplace: write the gradient over the logits.
    """
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return _compute(loss, logits.movedim(class_dim, -1), None, None, None)
    if expected is None:
        expected = 1.0 / max(1, logits.numel() // logits.shape[class_dim])
    if inplace:
        return _over(logits, loss, class_dim, expected, None)
    call = _Call(loss, class_dim, expected, ahead and worthwhile(logits), False, None)
    return _Ahead.apply(logits, call)  # pyright: ignore[reportReturnType]


def run_total(loss: TotalLoss, logits: Tensor, reduction: str, *, class_dim: int = -1, inplace: bool = False) -> Tensor:
    """Return the sum of the losses, or with "mean" their mean over the rows that are not left out, ().

    Args:
        loss: the loss.
        logits: as in :func:`run`.
        reduction: "mean" or "sum".
        class_dim: the dimension of the classes.
        inplace: write the gradient over the logits, which must not be float16: the gradient of a mean may underflow.
    """
    if logits.requires_grad and torch.is_grad_enabled():
        if inplace:
            return _over(logits, loss, class_dim, 1.0, reduction)
        call = _Call(loss, class_dim, 1.0, worthwhile(logits), False, reduction)
        return _Ahead.apply(logits, call)  # pyright: ignore[reportReturnType]
    z = logits if class_dim == -1 else logits.movedim(class_dim, -1)
    return _compute(loss, z, reduction, 1.0, None)


def worthwhile(logits: Tensor) -> bool:
    """Return whether a gradient that is computed ahead will probably be used.

    In float16 the gradient of a mean may underflow, so it is computed once autograd passes the loss scale. If saved
    tensors are packed (checkpointing, offloading), keeping an unpacked gradient would defeat the purpose.
    """
    return logits.dtype != torch.float16 and _autograd._top_saved_tensors_default_hooks(True) is None


def _compute(
    loss: Any, z: Tensor, reduction: str | None, scale: Tensor | float | None, gradient: Tensor | None
) -> Tensor:
    """Return the losses or their reduction, and write the gradient; autocast does not apply."""
    device = z.device.type
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return _compute(loss, z, reduction, scale, gradient)
    if reduction is None:
        return loss.run(z, scale, gradient)
    return loss.total(z, reduction, scale, gradient)


def mean_gradient(logits: Tensor, class_dim: int, counted: int | Tensor | None = None) -> Tensor:
    """Return the gradient that a mean passes to every loss, (...): 1 / counted, or 1 / the number of examples."""
    shape = list(logits.shape)
    del shape[class_dim]
    number = max(1, math.prod(shape)) if counted is None else counted
    one = torch.ones((), dtype=accumulating(logits.dtype), device=logits.device)
    return (one / number).expand(shape)


def _over(logits: Tensor, loss: RowLoss, class_dim: int, expected: Tensor | float, reduction: str | None) -> Tensor:
    """Return the losses or their reduction, and write the gradient over the logits."""
    kinds = {
        "a leaf": logits.is_leaf,
        "a view": logits._is_view(),
        "one that retains its gradient": logits.retains_grad,
    }
    for got in (name for name, found in kinds.items() if found):
        remedy = "pass what the model returned, before any view or slice, or use inplace=False"
        raise fail("logits", "the result of an operation, with inplace=True", got, remedy)
    if logits.dtype == torch.float16:  # the backward pass multiplies by the mean's share
        expected = (expected != 0).to(expected.dtype) if isinstance(expected, Tensor) else 1.0
    call = _Call(loss, class_dim, expected, True, True, reduction)
    losses, written = _Ahead.apply(logits, call)  # pyright: ignore[reportGeneralTypeIssues]
    losses.grad_fn.version = written._version
    return losses


def possible(logits: Tensor, *others: Tensor | None) -> bool:
    """Return whether the accelerator can be used: eager code on plain tensors, and only the logits need a gradient."""
    learning = [other for other in others if other is not None and other.requires_grad]
    return not learning and plain_tensors(logits, *others)


def eager() -> bool:
    """Return whether no tracer, function transform, forward-mode differentiation or dispatch mode is active."""
    return (
        _functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and not torch._C._get_tracing_state()
        and _get_current_dispatch_mode() is None
    )


def plain_tensors(*tensors: Tensor | None) -> bool:
    """Return whether code may write into memory: no compiler, function transform or dispatch mode is active."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() or _get_current_dispatch_mode() is not None:
        return False
    for tensor in tensors:
        if tensor is None:
            continue
        if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.is_meta:
            return False
        if _functorch.is_functorch_wrapped_tensor(tensor) or _functorch.is_legacy_batchedtensor(tensor):
            return False
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
            return False
    return True


def traced(logits: Tensor, *others: Tensor) -> bool:
    """Return whether a compiler or a dispatch mode records operators, and an operator with a kernel can be recorded.

    An operator has a first derivative for the logits and no other, and torch.func cannot transform it. On accelerators
    the compiler's own kernels are used.
    """
    if any(other.requires_grad for other in others) or not logits.is_cpu:
        return False
    if _functorch.get_dynamic_layer_stack_depth() > 0:
        return False
    if torch.compiler.is_compiling():
        return operators_in_use()
    if _get_current_dispatch_mode() is None or torch._C._get_tracing_state() or forward_ad._current_level >= 0:
        return False
    return operators_in_use()


class _Call(NamedTuple):
    """The arguments of one run besides the logits; see :func:`run`."""

    loss: RowLoss
    dim: int
    expected: Tensor | float
    ahead: bool
    inplace: bool
    reduction: str | None


class _Ahead(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: _Call) -> Any:
        loss, dim, expected, ahead, inplace, reduction = ctx.call = call
        z = logits if dim == -1 else logits.movedim(dim, -1)
        gradient = ctx.gradient = (z if inplace else torch.empty_like(z)) if ahead else None
        result = _compute(loss, z, reduction, expected if ahead else None, gradient)
        if not inplace:
            ctx.save_for_backward(logits)
            ctx.ingredients = Unchanged(loss.tensors())
            return result
        # Because the overwritten logits are an output of this function, the gradient of any later use of them arrives
        # in `backward`, which raises.
        ctx.mark_dirty(logits)
        ctx.set_materialize_grads(False)
        return result, logits

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> Any:
        return _overwritten(ctx, *given) if len(given) == 2 else _gradient(ctx, given[0]), None


def _gradient(ctx: Any, grad: Tensor | None) -> Tensor:
    assert grad is not None
    loss, dim, expected, _, _, reduction = ctx.call
    gradient, ctx.gradient = ctx.gradient, None  # drop the reference in ctx, so that autograd need not copy it
    once = not torch.is_grad_enabled() and plain_tensors(grad)
    if not once or gradient is None or not scaled(gradient, expected, grad):
        (logits,) = ctx.saved_tensors
        ctx.ingredients.check()
        gradient = gradient_again(loss, logits.movedim(dim, -1), reduction, grad, gradient)
    return gradient if dim == -1 else gradient.movedim(-1, dim)


def gradient_again(loss: Any, z: Tensor, reduction: str | None, grad: Tensor, gradient: Tensor | None) -> Tensor:
    """Return the gradient of a loss or its reduction for what autograd passed to it, computed from the logits.

    Args:
        loss: the loss.
        z: (..., K) logits.
        reduction: "mean" or "sum"; None: one loss per row.
        grad: what autograd passed.
        gradient: memory to write to; None: new memory.
    """
    if torch.is_grad_enabled():  # create_graph=True: the gradient will be differentiated again
        losses = loss.plain(z)
        value = losses if reduction is None else loss.reduce(losses, reduction)
        return torch.autograd.grad(value, z, grad, create_graph=True)[0]
    gradient = torch.empty_like(z) if gradient is None else gradient
    if plain_tensors(grad):
        _compute(loss, z, reduction, grad, gradient)
        return gradient
    # vmap passes many gradients at once: scale the gradient of each row by all of them
    _compute(loss, z, reduction, 1.0, gradient)
    return (gradient * (grad[..., None] if reduction is None else grad)).to(z.dtype)


def scaled(gradient: Tensor, expected: Tensor | float, grad: Tensor) -> bool:
    """Turn a gradient for `expected` into one for `grad` if no rounding is needed; return whether it was done."""
    if not _checks.on_host(gradient):  # comparing the values would make the host wait
        scale_rows(gradient, grad, expected)
        return True
    if grad.numel() == 0:
        return True
    if not isinstance(expected, Tensor):
        first = float(grad[(0,) * grad.ndim])
        if any(grad.stride()) and not bool((grad == first).all()):
            return False
        factor = first / (expected if grad.dtype == torch.float64 else _as_float32(expected))
    else:
        if torch.equal(grad, expected):
            return True
        largest = int(expected.argmax())
        factor = float(grad.flatten()[largest] / expected.flatten()[largest])
        if math.frexp(factor)[0] != 0.5 or not torch.equal(grad, expected * factor):
            return False
    if factor == 1.0:
        return True
    # a power of two, as in gradient accumulation and loss scaling, scales without rounding
    if math.frexp(factor)[0] != 0.5:
        return False
    gradient.mul_(factor)
    return True


def _as_float32(number: float) -> float:
    """Return a number rounded to float32, as in losses of that type."""
    return struct.unpack("f", struct.pack("f", number))[0]


def _overwritten(ctx: Any, grad: Tensor | None, grad_logits: Tensor | None) -> Tensor | None:
    gradient, ctx.gradient = ctx.gradient, None
    wrong = None
    if grad_logits is not None:
        wrong = "logits that are used again"
    elif torch.is_grad_enabled() or gradient is None or (grad is not None and not plain_tensors(grad)):
        wrong = "a second derivative"
    elif gradient._version != ctx.version:
        wrong = "logits that are modified again"
    if wrong is not None:
        raise RuntimeError(
            f"logits: must not be used again after a loss with inplace=True, which overwrites them; "
            f"got {wrong}; use inplace=False"
        )
    assert gradient is not None
    if grad is None:
        return None
    if not _checks.on_host(gradient) or not scaled(gradient, ctx.call.expected, grad):
        scale_rows(gradient, grad, ctx.call.expected)
    return gradient.movedim(-1, ctx.call.dim)


class Unchanged:
    """Check that tensors which the backward pass reads again were not modified in place, as autograd does."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._seen = [(tensor, version_of(tensor)) for tensor in tensors]

    def check(self) -> None:
        for tensor, version in self._seen:
            check_version(tensor, version)


def version_of(tensor: Tensor) -> int:
    """Return a number that changes with every modification in place; inference tensors are not tracked."""
    return -1 if tensor.is_inference() else tensor._version


def check_version(tensor: Tensor, version: int) -> None:
    """Require a tensor that was not modified in place since it had this version."""
    if version_of(tensor) != version:
        raise RuntimeError(
            "targets: must not change between the forward and the backward pass; got targets that were modified by "
            "an inplace operation; clone the labels or targets before the loss"
        )
