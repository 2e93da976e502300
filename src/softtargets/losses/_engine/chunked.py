"""The accelerator: losses computed chunk by chunk, with the gradient computed in the forward pass.

A loss that is described by a :class:`ChunkKernel` is computed on chunks of rows that fit the processor's cache, and the
gradient of a chunk is written while it is there. The only extra memory is the gradient; with ``inplace=True`` not even
that. The gradient depends on what autograd passes to each loss, which is not known in the forward pass: it is assumed
to be that of a mean, or what the caller expects. If the backward pass receives something else, the gradient is computed
again from the logits, so that it is rounded once either way. On accelerators, and in place, it is multiplied instead.

The numbers are those of the kernel's ``plain`` method, which is used whenever :func:`possible` is False.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from softtargets._errors import fail
from softtargets._numerics import accumulating
from softtargets.losses._engine.kernel import EVERYTHING, ChunkKernel, Index

# Bytes of a chunk in the accumulating dtype: 2 MB stay in the second-level cache; accelerators prefer few large chunks.
CHUNK_ON_CPU = 2**21
CHUNK_ELSEWHERE = 2**25

_autograd, _functorch = torch._C._autograd, torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def run(
    kernel: ChunkKernel,
    logits: Tensor,
    *,
    class_dim: int = -1,
    expected: Tensor | None = None,
    ahead: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Return the losses of `kernel`, chunk by chunk.

    Args:
        kernel: the loss.
        logits: (..., K) float, or with the classes at `class_dim`, for which :func:`possible` is True.
        class_dim: the dimension of the classes.
        expected: (...) the gradient that autograd is expected to pass to each loss; None: that of a mean.
        ahead: compute the gradient in the forward pass; False: only in the backward pass.
        inplace: write the gradient over the logits.
    """
    learning = logits.requires_grad and torch.is_grad_enabled()
    if not learning:
        return _through(kernel, logits.movedim(class_dim, -1), None, None)
    if expected is None:
        expected = mean_gradient(logits, class_dim)
    if inplace:
        return _over(logits, kernel, class_dim, expected)
    # In float16 the gradient of a mean may underflow, so it is computed once autograd passes the loss scale. If saved
    # tensors are packed (checkpointing, offloading), keeping an unpacked gradient would defeat the purpose.
    packed = _autograd._top_saved_tensors_default_hooks(True) is not None
    ahead = ahead and logits.dtype != torch.float16 and not packed
    return _Chunked.apply(logits, _Call(kernel, class_dim, expected, ahead, False))  # pyright: ignore[reportReturnType]


def mean_gradient(logits: Tensor, class_dim: int, counted: int | Tensor | None = None) -> Tensor:
    """Return the gradient that a mean passes to every loss, (...): 1 / counted, or 1 / the number of examples."""
    shape = list(logits.shape)
    del shape[class_dim]
    number = max(1, math.prod(shape)) if counted is None else counted
    one = torch.ones((), dtype=accumulating(logits.dtype), device=logits.device)
    return (one / number).expand(shape)


def _over(logits: Tensor, kernel: ChunkKernel, class_dim: int, expected: Tensor) -> Tensor:
    """Return the losses, and write the gradient over the logits."""
    kinds = {
        "a leaf": logits.is_leaf,
        "a view": logits._is_view(),
        "one that retains its gradient": logits.retains_grad,
    }
    for got in (name for name, found in kinds.items() if found):
        remedy = "pass what the model returned, before any view or slice, or use inplace=False"
        raise fail("logits", "the result of an operation, with inplace=True", got, remedy)
    if logits.dtype == torch.float16:
        expected = (expected != 0).to(expected.dtype)  # the backward pass multiplies by the mean's share
    call = _Call(kernel, class_dim, expected, True, True)
    losses, written = _Chunked.apply(logits, call)  # pyright: ignore[reportGeneralTypeIssues]
    losses.grad_fn.version = written._version
    return losses


def possible(logits: Tensor, *others: Tensor | None) -> bool:
    """Return whether the accelerator can be used: eager code on plain tensors, and only the logits need a gradient."""
    learning = [other for other in others if other is not None and other.requires_grad]
    return not learning and plain_tensors(logits, *others)


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


def chunks(logits: Tensor) -> Iterator[Index]:
    """Yield indices over the leading dimensions of (..., K) logits that cut them into chunks."""
    return cut(tuple(logits.shape), _elements_of_a_chunk(logits))


def _elements_of_a_chunk(logits: Tensor) -> int:
    wide = accumulating(logits.dtype)
    if logits.device.type != "cpu":
        return CHUNK_ELSEWHERE // wide.itemsize
    # half precision is summed in separate memory, which shares the cache
    return CHUNK_ON_CPU // wide.itemsize // (1 if wide == logits.dtype else 2)


def cut(shape: tuple[int, ...], budget: int) -> Iterator[Index]:
    """Yield indices that cut tensors (..., K) of this shape into chunks of at most `budget` elements, or of one row."""
    if len(shape) < 2:
        yield EVERYTHING
        return
    inner = torch.Size(shape[1:]).numel()
    if inner > budget and len(shape) > 2:
        for i in range(shape[0]):
            yield from ((i, *rest) for rest in cut(shape[1:], budget))
        return
    rows = max(1, budget // max(1, inner))
    for start in range(0, shape[0], rows):
        yield (slice(start, start + rows),)


class _Call(NamedTuple):
    """The arguments of one run besides the logits; see :func:`run`."""

    kernel: ChunkKernel
    dim: int
    expected: Tensor
    ahead: bool
    inplace: bool


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: _Call) -> Any:
        ctx.kernel, ctx.dim, ctx.expected, ahead, inplace = call
        z = logits if ctx.dim == -1 else logits.movedim(ctx.dim, -1)
        ctx.gradient = None
        if ahead:
            ctx.gradient = z if inplace else torch.empty_like(z)
        losses = _through(ctx.kernel, z, ctx.expected if ahead else None, ctx.gradient)
        if not inplace:
            ctx.save_for_backward(logits)
            ctx.ingredients = Unchanged(ctx.kernel.tensors())
            return losses
        # Because the overwritten logits are an output of this function, the gradient of any later use of them arrives
        # in `backward`, which raises.
        ctx.mark_dirty(logits)
        ctx.set_materialize_grads(False)
        return losses, logits

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> Any:
        return _overwritten(ctx, *given) if len(given) == 2 else _gradient(ctx, given[0]), None


def _gradient(ctx: Any, grad: Tensor | None) -> Tensor:
    assert grad is not None
    gradient, ctx.gradient = ctx.gradient, None  # drop the reference in ctx, so that autograd need not copy it
    if gradient is not None and plain_tensors(grad) and not torch.is_grad_enabled() and _scaled(ctx, gradient, grad):
        return gradient.movedim(-1, ctx.dim)
    (logits,) = ctx.saved_tensors
    ctx.ingredients.check()
    z = logits.movedim(ctx.dim, -1)
    if torch.is_grad_enabled():  # create_graph=True: the gradient will be differentiated again
        return torch.autograd.grad(ctx.kernel.plain(z), logits, grad, create_graph=True)[0]
    gradient = torch.empty_like(z) if gradient is None else gradient
    if not plain_tensors(grad):  # vmap passes many gradients at once: scale the gradient of each row by all of them
        _through(ctx.kernel, z, torch.ones_like(ctx.expected), gradient)
        return (gradient * grad[..., None]).to(z.dtype).movedim(-1, ctx.dim)
    _through(ctx.kernel, z, grad, gradient)
    return gradient.movedim(-1, ctx.dim)


def _scaled(ctx: Any, gradient: Tensor, grad: Tensor) -> bool:
    """Turn a gradient for `expected` into one for `grad` if no rounding is needed; return whether it was done."""
    if gradient.device.type != "cpu":
        gradient.mul_(_ratio(grad, ctx.expected)[..., None])  # comparing the values would make the host wait
        return True
    if torch.equal(grad, ctx.expected):
        return True
    largest = int(ctx.expected.argmax()) if ctx.expected.numel() else 0
    factor = float(grad.flatten()[largest] / ctx.expected.flatten()[largest]) if ctx.expected.numel() else 1.0
    # a power of two, as in gradient accumulation and loss scaling, scales without rounding
    if math.frexp(factor)[0] != 0.5 or not torch.equal(grad, ctx.expected * factor):
        return False
    gradient.mul_(factor)
    return True


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
    if gradient.device.type != "cpu" or not torch.equal(grad, ctx.expected):
        gradient.mul_(_ratio(grad, ctx.expected)[..., None])
    return gradient.movedim(-1, ctx.dim)


def _ratio(grad: Tensor, expected: Tensor) -> Tensor:
    """Return the factor from a gradient computed for `expected` to one for `grad`; exactly 1 where they are equal."""
    return torch.where(expected == 0, 0.0, grad / expected)


class Unchanged:
    """Check that tensors which the backward pass reads again were not modified in place, as autograd does."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._seen = [(tensor, tensor._version) for tensor in tensors if not tensor.is_inference()]

    def check(self) -> None:
        if any(tensor._version != version for tensor, version in self._seen):
            raise RuntimeError(
                "targets: must not change between the forward and the backward pass; got targets that were modified by "
                "an inplace operation; clone the labels or targets before the loss"
            )


def _through(kernel: ChunkKernel, z: Tensor, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
    """Return the losses of all rows and, given a scale, write the gradient; autograd must not be recording."""
    device = z.device.type
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return _through(kernel, z, scale, gradient)
    if z.numel() <= _elements_of_a_chunk(z):
        losses = kernel.chunk(z, EVERYTHING, scale, gradient)
        return losses.clone() if losses._is_view() else losses
    losses = z.new_empty(z.shape[:-1], dtype=accumulating(z.dtype))
    for i in chunks(z):
        losses[i] = kernel.chunk(
            z[i], i, None if scale is None else scale[i], None if gradient is None else gradient[i]
        )
    return losses
