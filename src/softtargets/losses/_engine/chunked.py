"""The fast path: rows in chunks that fit the cache, the gradient computed in the forward pass.

A loss that a :class:`ChunkKernel` describes is taken chunk by chunk, and while a chunk lies in the cache its gradient
is written too. Nothing of the size of the logits is made but that gradient; in place, not even it. What autograd will
multiply the gradient with is not known yet: the forward pass takes it for what a mean brings (or what its caller
expects), and the backward pass, where something else arrives, computes the gradient again from the logits, so that it
is rounded once either way. Elsewhere than on the CPU, and in place, it is multiplied instead.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from softtargets._errors import fail
from softtargets._numerics import accumulating
from softtargets.losses._engine.kernel import ChunkKernel, Index

# Bytes of a chunk as it is summed: two megabytes stay in the second cache; an accelerator wants few, large launches.
CHUNK_ON_CPU = 2**21
CHUNK_ELSEWHERE = 2**25


def run(
    kernel: ChunkKernel,
    logits: Tensor,
    *,
    class_dim: int = -1,
    expected: Tensor | None = None,
    ahead: bool = True,
    inplace: bool = False,
) -> Tensor:
    """Return the losses of `kernel` by the fast path.

    Args:
        kernel: the loss.
        logits: (..., K) float, or with the classes at `class_dim`; one for which :func:`possible` holds.
        class_dim: where the classes are.
        expected: (...) the gradient that each loss is expected to get; None: the mean's.
        ahead: compute the gradient in the forward pass; else it waits for what autograd brings.
        inplace: write the gradient over the logits.
    """
    learning = torch.is_grad_enabled() and logits.requires_grad
    if expected is None and learning:
        shape, wide = logits.movedim(class_dim, -1).shape[:-1], accumulating(logits.dtype)
        expected = (torch.ones((), dtype=wide, device=logits.device) / max(1, shape.numel())).expand(shape)
    if inplace and learning:
        return _over(logits, kernel, class_dim, expected)
    # In float16 the gradient of a mean is below the smallest number: it waits for what autograd brings. And where saved
    # tensors are packed away (checkpoints, offloading), what is kept beside them would defeat that.
    autograd = torch._C._autograd  # pyright: ignore[reportAttributeAccessIssue]
    packed = autograd._top_saved_tensors_default_hooks(True) is not None
    ahead = ahead and learning and logits.dtype != torch.float16 and not packed
    return _Chunked.apply(logits, kernel, class_dim, expected, ahead, False)  # pyright: ignore[reportReturnType]


def _over(logits: Tensor, kernel: ChunkKernel, class_dim: int, expected: Tensor | None) -> Tensor:
    """Return the losses, and write the gradient over the logits."""
    kinds = {
        "a leaf": logits.is_leaf,
        "a view": logits._is_view(),
        "one that retains its gradient": logits.retains_grad,
    }
    for got in (name for name, found in kinds.items() if found):
        remedy = "pass what the model returned, before any view or slice, or leave inplace=False"
        raise fail("logits", "the result of an operation, with inplace=True", got, remedy)
    if logits.dtype == torch.float16 and expected is not None:
        expected = (expected != 0).to(expected.dtype)  # a mean's share comes with the backward pass
    losses, written = _Chunked.apply(logits, kernel, class_dim, expected, True, True)  # pyright: ignore[reportGeneralTypeIssues]
    losses.grad_fn.version = written._version
    return losses


def possible(logits: Tensor, *others: Tensor | None) -> bool:
    """Say whether the fast path can be taken: on plain tensors, run eagerly, where the logits alone learn."""
    return plain_tensors(logits, *others) and not any(t.requires_grad for t in others if t is not None)


def plain_tensors(*tensors: Tensor | None) -> bool:
    """Say whether code that writes into memory may run: no compiler, transform or dispatcher is looking on."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() or _get_current_dispatch_mode() is not None:
        return False
    functorch = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]
    given = [tensor for tensor in tensors if tensor is not None]
    if any(type(t) not in (Tensor, torch.nn.Parameter) or t.is_meta for t in given):
        return False
    if any(functorch.is_functorch_wrapped_tensor(t) or functorch.is_legacy_batchedtensor(t) for t in given):
        return False
    return forward_ad._current_level < 0 or all(forward_ad.unpack_dual(t).tangent is None for t in given)


def chunks(logits: Tensor) -> Iterator[Index]:
    """Yield indices over the leading dimensions of (..., K) logits that cut them into chunks."""
    wide = accumulating(logits.dtype)
    if logits.device.type != "cpu":
        return cut(tuple(logits.shape), CHUNK_ELSEWHERE // wide.itemsize)
    # half precision is summed in scratch, which is memory of its own
    elements = CHUNK_ON_CPU // wide.itemsize // (1 if wide == logits.dtype else 2)
    return cut(tuple(logits.shape), elements)


def cut(shape: tuple[int, ...], budget: int) -> Iterator[Index]:
    """Yield indices that cut tensors (..., K) of this shape into chunks of at most `budget` elements, or of one row."""
    if len(shape) < 2:
        yield (...,)
        return
    inner = torch.Size(shape[1:]).numel()
    if inner > budget and len(shape) > 2:
        for i in range(shape[0]):
            yield from ((i, *rest) for rest in cut(shape[1:], budget))
        return
    rows = max(1, budget // max(1, inner))
    for start in range(0, shape[0], rows):
        yield (slice(start, start + rows),)


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, kernel: ChunkKernel, dim: int, expected: Tensor | None, ahead: bool, inplace: bool
    ) -> Any:
        z = logits.movedim(dim, -1)
        ctx.kernel, ctx.dim, ctx.expected, ctx.gradient = kernel, dim, expected, None
        if ahead:
            ctx.gradient = z if inplace else torch.empty_like(z)
        losses = _through(kernel, z, expected if ahead else None, ctx.gradient)
        if not inplace:
            ctx.save_for_backward(logits)
            ctx.ingredients = Unchanged(kernel.tensors())
            return losses
        # As an output of this function the overwritten logits hand any gradient of a later use to `backward`.
        ctx.mark_dirty(logits)
        ctx.set_materialize_grads(False)
        return losses, logits

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> Any:
        found = _overwritten(ctx, *given) if len(given) == 2 else _gradient(ctx, given[0])
        return found, None, None, None, None, None


def _gradient(ctx: Any, grad: Tensor | None) -> Tensor:
    assert grad is not None
    gradient, ctx.gradient = ctx.gradient, None  # held here alone, so that autograd may take it without a copy
    if gradient is not None and plain_tensors(grad) and not torch.is_grad_enabled() and _scaled(ctx, gradient, grad):
        return gradient.movedim(-1, ctx.dim)
    (logits,) = ctx.saved_tensors
    ctx.ingredients.check()
    z = logits.movedim(ctx.dim, -1)
    if torch.is_grad_enabled():  # create_graph: the gradient is to be differentiated again
        return torch.autograd.grad(ctx.kernel.plain(z), logits, grad, create_graph=True)[0]
    gradient = torch.empty_like(z) if gradient is None else gradient
    if not plain_tensors(grad):  # many gradients at once, by vmap: each is one number per row, times the row's own
        _through(ctx.kernel, z, torch.ones_like(ctx.expected), gradient)
        return (gradient * grad[..., None]).to(z.dtype).movedim(-1, ctx.dim)
    _through(ctx.kernel, z, grad, gradient)
    return gradient.movedim(-1, ctx.dim)


def _scaled(ctx: Any, gradient: Tensor, grad: Tensor) -> bool:
    """Make a gradient for `expected` one for `grad`, where that rounds nothing; say whether it was done."""
    if gradient.device.type != "cpu":
        gradient.mul_(_ratio(grad, ctx.expected)[..., None])  # not looked at, which would make the host wait
        return True
    if torch.equal(grad, ctx.expected):
        return True
    largest = int(ctx.expected.argmax()) if ctx.expected.numel() else 0
    factor = float(grad.flatten()[largest] / ctx.expected.flatten()[largest]) if ctx.expected.numel() else 1.0
    # a power of two, as accumulation and the scaling of losses bring
    if math.frexp(factor)[0] != 0.5 or not torch.equal(grad, ctx.expected * factor):
        return False
    gradient.mul_(factor)
    return True


def _overwritten(ctx: Any, grad: Tensor | None, grad_logits: Tensor | None) -> Tensor | None:
    gradient, ctx.gradient = ctx.gradient, None
    wrong = None
    if grad_logits is not None:
        wrong = "used again"
    elif torch.is_grad_enabled() or gradient is None or (grad is not None and not plain_tensors(grad)):
        wrong = "asked for a second gradient"
    elif gradient._version != ctx.version:
        wrong = "written to again"
    if wrong is not None:
        raise RuntimeError(
            f"logits: used by nothing else after a loss with inplace=True, which wrote its gradient over them; "
            f"got logits that are {wrong}; leave inplace=False"
        )
    assert gradient is not None
    if grad is None:
        return None
    if gradient.device.type != "cpu" or not torch.equal(grad, ctx.expected):
        gradient.mul_(_ratio(grad, ctx.expected)[..., None])
    return gradient.movedim(-1, ctx.dim)


def _ratio(grad: Tensor, expected: Tensor) -> Tensor:
    """What a gradient computed for `expected` is multiplied with: exactly 1 where that is what arrived."""
    return torch.where(expected == 0, 0.0, grad / expected)


class Unchanged:
    """Tensors that a backward pass reads again, and that nobody may have written to since, as autograd's own."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._seen = [(tensor, tensor._version) for tensor in tensors if not tensor.is_inference()]

    def check(self) -> None:
        if any(tensor._version != version for tensor, version in self._seen):
            raise RuntimeError(
                "targets: the same in the forward and the backward pass; got one that was modified by an inplace "
                "operation in between; clone the labels or targets before the loss"
            )


def _through(kernel: ChunkKernel, z: Tensor, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
    losses = z.new_empty(z.shape[:-1], dtype=accumulating(z.dtype))
    with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
        for i in chunks(z):
            losses[i] = kernel.chunk(
                z[i], i, None if scale is None else scale[i], None if gradient is None else gradient[i]
            )
    return losses
