"""The kernels as operators of torch, for code that is compiled, exported or traced with fake tensors.

Eager code calls the kernels directly, which takes less time per call and computes the gradient in the forward pass. An
operator computes it in the backward pass, so that what is traced is a pure function.
"""

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from softtargets._native.cross_entropy import cross_entropy_rows
from softtargets._native.library import library
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating


def operators_in_use() -> bool:
    """Return whether the operators run compiled kernels; torch operations are left to the compiler to fuse."""
    return library() is not None


# A compiler takes the result as a constant instead of tracing how the library is found: what
# torch.compiler.assume_constant_result sets, which imports torch._dynamo for it.
operators_in_use._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def cross_entropy_operator(z: Tensor, rows: RowTargets) -> Tensor:
    """Return the cross entropy of every row of (..., K) logits, (...), as one operator of the traced graph."""
    return _losses(z, *rows.every())


_ROWS = ", ".join(f"Tensor? {field.name}" for field in fields(RowTargets))


@torch.library.custom_op("softtargets::cross_entropy", mutates_args=(), schema=f"(Tensor z, {_ROWS}) -> Tensor")
def _losses(z: Tensor, *rows: Tensor | None) -> Tensor:
    return cross_entropy_rows(z, RowTargets(*rows), None, None)


@_losses.register_fake
def _(z: Tensor, *rows: Tensor | None) -> Tensor:
    return z.new_empty(z.shape[:-1], dtype=accumulating(z.dtype))


@torch.library.custom_op(
    "softtargets::cross_entropy_gradient", mutates_args=(), schema=f"(Tensor grad, Tensor z, {_ROWS}) -> Tensor"
)
def _gradient(grad: Tensor, z: Tensor, *rows: Tensor | None) -> Tensor:
    gradient = torch.empty_like(z)
    cross_entropy_rows(z, RowTargets(*rows), grad, gradient)
    return gradient


@_gradient.register_fake
def _(grad: Tensor, z: Tensor, *rows: Tensor | None) -> Tensor:
    return torch.empty_like(z)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    z, *rows = ctx.saved_tensors
    return (_gradient(grad, z, *rows), *(None for _ in rows))


torch.library.register_autograd("softtargets::cross_entropy", _backward, setup_context=_keep)
