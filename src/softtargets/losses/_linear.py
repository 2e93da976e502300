"""Cross entropy of the logits of a linear layer, which are never stored as a whole."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._checks import check_floating, check_int
from softtargets._errors import fail
from softtargets._native.chunks import cut
from softtargets._native.cross_entropy import cross_entropy_rows
from softtargets._native.on_cuda import reports_labels
from softtargets._native.products import add_product, rows_of_a_chunk, write_product
from softtargets._numerics import accumulating
from softtargets.losses._engine.ahead import Unchanged, plain_tensors
from softtargets.losses._engine.cross_entropy import plain_cross_entropy, rows_of_targets
from softtargets.losses._engine.linear_blocks import ROWS, Blocks
from softtargets.losses.inputs import LossInputs, check_order, read_targets
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets

__all__ = ["linear_cross_entropy"]

# Number of parts that the rows are cut into. In half precision each part costs a pass over the float32 sum of the
# weight's gradients. With fewer rows than FEWEST a matrix product is inefficient.
PARTS, PARTS_IN_HALF_PRECISION = 32, 16
FEWEST = 64


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Targets | Tensor,
    *,
    bias: Tensor | None = None,
    chunk: int | None = None,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Linear cross entropy: cross entropy of ``hidden @ weight.T + bias`` without storing the logits.

    cross_entropy(hidden @ weight^T + bias, targets)

    The layer, the loss and the gradients of the layer are computed chunk by chunk, all in the forward pass. In half
    precision on a CPU the logits are computed in blocks of classes, once for the losses and again, in the backward
    pass, for the gradients.

    Args:
        hidden: (..., H) float.
        weight: (K, H) float, as in torch.nn.Linear.
        targets: (...) integer labels, (..., K) float probabilities, or Targets of (...).
        bias: (K,) float or None.
        chunk: rows per chunk, at least 1; None: 1/32 of the rows, in half precision 1/16, and at least 64;
            on CUDA also at least a quarter of H, in half precision H; on a CPU in half precision 512.
        ignore_index: label of an example to leave out. Soft targets mark such examples in ``Targets.ignored``.
        mask: (...) bool, True for an example to include; None: include every example that is not ignored.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, 0 for an example that is left out; () with "mean" or "sum".

    Raises:
        ValueError: if shapes differ, K < 2, chunk < 1, or a label is out of range (first bad index named; on CUDA as
            in :func:`cross_entropy`).
        TypeError: if hidden, weight or bias is not a floating-point tensor, or targets are neither a tensor nor
            Targets.

    Special cases:
        the identity as weight gives cross_entropy(hidden, targets).

    Notes:
        torch.nn.functional.linear_cross_entropy, Liger's fused linear cross entropy. Under autocast the matrix products
        are computed in its precision and the sums over classes in float32.

    Complexity:
        The three matrix products of the layer; memory for the gradients of hidden and weight and one chunk of logits.
        If the losses do not all have the same weight, the products are computed again in the backward pass. Checking
        this makes the host wait on an accelerator, except for a plain mean or sum. In half precision on a CPU there are
        four products for any weights, in float32 if the processor has no matrix units, and no float32 sum of the
        weight's gradients is kept.

    When to use:
        There are very many classes, as in language models and translation.

    Limitations:
        If the logits are needed elsewhere (accuracy, distillation), computing them once is cheaper.

    Aliases:
        cut cross entropy; CCE; fused linear cross entropy; fused_linear_cross_entropy;
        LigerFusedLinearCrossEntropyLoss; cut_cross_entropy

    Topics:
        many classes

    References:
        Wijmans et al. 2025, *Cut Your Losses in Large-Vocabulary Language Models*, ICLR

    Example:
        >>> loss = linear_cross_entropy(torch.ones(1, 3), torch.zeros(5, 3), torch.tensor([2]))
        >>> loss.exp().round(decimals=4).tolist()
        [5.0]
    """
    check_reduction(reduction)
    check_order(hidden, targets, first="hidden")
    hidden, weight, bias = as_autocast(*check_layer(hidden, weight, bias))
    if chunk is not None:
        check_int("chunk", chunk, least=1, remedy="give the number of rows, or None")
    settings = {"ignore_index": ignore_index, "mask": mask, "deferred": reports_labels(hidden)}
    read = read_targets(targets, tuple(hidden.shape[:-1]), weight.shape[0], **settings)
    batch = LossInputs(hidden, *read)
    ingredients = batch.targets.tensors().values()
    if not plain_tensors(hidden, weight, bias, *ingredients) or any(t.requires_grad for t in ingredients):
        return batch.reduce(_plain(hidden, weight, bias, read), reduction)
    count, half = hidden.shape[:-1].numel(), accumulating(hidden.dtype) != hidden.dtype
    if half and hidden.device.type == "cpu":
        losses = _LinearByBlocks.apply(hidden, weight, bias, read, chunk or ROWS)
        return batch.reduce(losses, reduction)  # pyright: ignore[reportArgumentType]
    rows = chunk or max(FEWEST, -(-count // (PARTS_IN_HALF_PRECISION if half else PARTS)))
    if chunk is None and hidden.is_cuda:
        rows = rows_of_a_chunk(count, hidden.shape[-1], half)
    learning = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (hidden, weight, bias))
    losses = _Linear.apply(hidden, weight, bias, read, rows, learning)
    return batch.reduce(losses, reduction)  # pyright: ignore[reportArgumentType]


def check_layer(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the input and the parameters of a linear layer, checked."""
    check_floating("hidden", hidden)
    check_floating("weight", weight)
    if weight.ndim != 2 or weight.shape[0] < 2:
        raise fail("weight", "shape (K, H) with K >= 2", tuple(weight.shape), "pass Linear.weight")
    if hidden.ndim < 1 or hidden.shape[-1] != weight.shape[1]:
        raise fail(
            "hidden", f"shape (..., {weight.shape[1]}), as weight", tuple(hidden.shape), "pass the input of this layer"
        )
    if bias is not None:
        check_floating("bias", bias)
        if bias.shape != weight.shape[:1]:
            raise fail("bias", f"shape ({weight.shape[0]},), one per class", tuple(bias.shape), "pass Linear.bias")
    return hidden, weight, bias


def as_autocast(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the tensors as torch's linear layer would take them under autocast."""
    device = hidden.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):
        return hidden, weight, bias
    dtype = torch.get_autocast_dtype(device)
    return hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


_Read = tuple[Tensor | None, Targets | None, Tensor | None]  # of `read_targets`


def _plain(hidden: Tensor, weight: Tensor, bias: Tensor | None, read: _Read) -> Tensor:
    """Return the losses computed from all logits at once, with differentiable torch operations."""
    return plain_cross_entropy(LossInputs(functional.linear(hidden, weight, bias), *read))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, read: _Read, rows: int, learning: bool
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias)
        ctx.read, ctx.rows, ctx.targets = read, rows, LossInputs(hidden, *read).targets
        ctx.ingredients = Unchanged(ctx.targets.tensors().values())
        # All losses are assumed to have the same weight; that of a mean or a sum scales the gradients at the end.
        losses, *ctx.gradients = _through(ctx, hidden, weight, bias, 1.0 if learning else None)
        return losses

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        (grad,) = given
        hidden, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_differentiable(ctx, grad), None, None, None)
        gradients, ctx.gradients = ctx.gradients, None
        if not plain_tensors(grad):
            return (*_batched(ctx, grad), None, None, None)
        factor = _common(grad, ctx.targets.ignored)
        if factor is None or gradients is None:
            ctx.ingredients.check()
            factor = grad.abs().sum() if grad.numel() == 0 else grad.abs().amax()
            scale = grad / factor.clamp(min=torch.finfo(grad.dtype).tiny)
            _, *gradients = _through(ctx, hidden, weight, bias, scale)
        pairs = zip(gradients, (hidden, weight, bias), strict=True)
        results = [None if gradient is None else _times(gradient, factor, like.dtype) for gradient, like in pairs]
        return (*results, None, None, None)


class _LinearByBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, read: _Read, rows: int) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias)
        ctx.read, ctx.rows, ctx.targets = read, rows, LossInputs(hidden, *read).targets
        ctx.ingredients = Unchanged(ctx.targets.tensors().values())
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            losses, ctx.found = _blocks(ctx, hidden, weight, bias).losses()
        return losses.view(hidden.shape[:-1])

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        (grad,) = given
        hidden, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_differentiable(ctx, grad), None, None)
        if not plain_tensors(grad):
            return (*_batched(ctx, grad), None, None)
        ctx.ingredients.check()
        with torch.autocast("cpu", enabled=False):
            blocks = _blocks(ctx, hidden, weight, bias)
            of_hidden, *others = blocks.gradients(ctx.found, grad.reshape(-1), ctx.needs_input_grad[:3])
        return None if of_hidden is None else of_hidden.view_as(hidden), *others, None, None


def _blocks(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Blocks:
    targets = rows_of_targets(ctx.targets).flattened(weight.shape[0])
    return Blocks(hidden.reshape(-1, hidden.shape[-1]), weight, bias, targets, ctx.rows)


def _differentiable(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients with create_graph=True: they will be differentiated again."""
    ctx.ingredients.check()
    hidden, weight, bias = ctx.saved_tensors
    losses = _plain(hidden, weight, bias, ctx.read)
    learning = [t for t in (hidden, weight, bias) if t is not None and t.requires_grad]
    found = iter(torch.autograd.grad(losses, learning, grad, create_graph=True))
    return tuple(next(found) if need else None for need in ctx.needs_input_grad[:3])


def _batched(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients for many upstream gradients at once, which vmap passes as one; computes all logits."""
    ctx.ingredients.check()
    hidden, weight, bias = ctx.saved_tensors
    logits = functional.linear(hidden, weight, bias).detach().requires_grad_()
    with torch.enable_grad():
        (own,) = torch.autograd.grad(plain_cross_entropy(LossInputs(logits, *ctx.read)).sum(), logits)
    of_logits = (own * grad[..., None]).to(hidden.dtype)
    flat, rows = of_logits.reshape(-1, weight.shape[0]), hidden.reshape(-1, hidden.shape[-1])
    found = (of_logits @ weight, flat.T @ rows, flat.sum(0))
    return tuple(one if need else None for one, need in zip(found, ctx.needs_input_grad, strict=False))


def _common(grad: Tensor, ignored: Tensor | None) -> Tensor | None:
    """Return the number that all losses that are not left out are multiplied by, or None if they differ."""
    if not any(grad.stride()):
        return grad.flatten()[0] if grad.numel() else grad.sum()
    counted = grad.flatten() if ignored is None else grad[~ignored]
    if counted.numel() == 0:
        return grad.new_zeros(())
    return counted[0] if bool((counted == counted[0]).all()) else None


def _times(gradient: Tensor, factor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a product that is rounded once to a dtype, in the memory of the gradient if that has this dtype."""
    out = gradient if gradient.dtype == dtype else torch.empty_like(gradient, dtype=dtype)
    return torch.mul(gradient, factor, out=out)


def _through(
    ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: Tensor | float | None
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return the losses and, given a scale, the gradients of ``sum(scale * losses)`` for the tensors that need them."""
    size, wide = weight.shape[0], accumulating(hidden.dtype)
    losses = hidden.new_empty(hidden.shape[:-1], dtype=wide)
    of_hidden, of_weight, of_bias = (
        tensor.new_zeros(tensor.shape, dtype=wide) if tensor is not None and scale is not None and need else None
        for tensor, need in zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
    )
    buffer, targets = weight.new_empty(min(ctx.rows, losses.numel()), size), rows_of_targets(ctx.targets)
    with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
        for i in cut((*losses.shape, size), ctx.rows * size):
            chunk = hidden[i]
            flat = chunk.reshape(-1, chunk.shape[-1])
            z = buffer[: len(flat)]
            if bias is None:
                torch.mm(flat, weight.T, out=z)
            else:
                torch.addmm(bias, flat, weight.T, out=z)
            logits = z.view(*chunk.shape[:-1], size)
            share = scale[i] if isinstance(scale, Tensor) else scale
            cross_entropy_rows(logits, targets.at(i), share, None if scale is None else logits, losses[i])
            if of_hidden is not None:
                write_product(of_hidden[i].view(flat.shape), z, weight)
            if of_weight is not None:
                add_product(of_weight, z.T, flat)
            if of_bias is not None:
                of_bias.add_(z.sum(0, dtype=wide))
    return losses, of_hidden, of_weight, of_bias
