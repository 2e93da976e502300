"""The type of all targets: factored, a class table, or dense; never an N x K tensor unless handed over."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from softtargets._checks import check_labels
from softtargets._errors import fail, fail_type
from softtargets._numerics import rows_of

__all__ = ["Targets"]


@dataclass(frozen=True)
class Targets:
    """One real vector over the classes per example; entries may be negative and the mass need not be 1.

    One of three forms::

        t_i = sum_s value[i, s] * onehot(index[i, s]) + rest[i] * prior
        t_i = table[row[i], :]
        t_i = values[i, :]

    Build it with the functions of this room rather than by hand. It is a pytree of its tensors.

    Args:
        index: (..., S) int64 classes.
        value: (..., S) float weights of those classes.
        rest: (...) float weight of the prior, or None for 0.
        prior: (K,) probabilities; None: uniform over the valid classes.
        row: (...) int64 rows of `table`.
        table: (R, K) float.
        values: (..., K) float, dense.
        labels: (...) int64, the label that a target was made from, where there is one.
        valid: (K,) or (..., K) bool: classes that exist; the others get no smoothing and no gradient.
        ignored: (...) bool: examples without a target: loss 0, gradient 0.
        size: K, where no tensor of them says it, or None.

    Raises:
        ValueError: where the tensors are of no one form, differ in the number of classes, or `valid` or `ignored` does
            not fit the examples.
        TypeError: where `valid` or `ignored` is not boolean.
    """

    index: Tensor | None = None
    value: Tensor | None = None
    rest: Tensor | None = None
    prior: Tensor | None = None
    row: Tensor | None = None
    table: Tensor | None = None
    values: Tensor | None = None
    labels: Tensor | None = None
    valid: Tensor | None = None
    ignored: Tensor | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        forms = [self.index is not None, self.table is not None, self.values is not None]
        if sum(forms) != 1:
            raise fail("Targets", "exactly one of index, table and values", f"{sum(forms)}", "use targets.hard(...)")
        if (self.index is None) != (self.value is None) or (self.table is None) != (self.row is None):
            raise fail("Targets", "index with value, table with row", "one of a pair", "use targets.hard(...)")
        known = self.num_classes
        for name in ("prior", "table", "values", "valid"):
            holder = getattr(self, name)
            if holder is not None and known is not None and holder.ndim > 0 and holder.shape[-1] != known:
                raise fail(name, f"{known} classes, as the targets", holder.shape[-1], "align them")
        if self.valid is not None:
            check_mask(self.valid, self.shape)
        if self.ignored is not None:
            _check_bool("ignored", self.ignored)
            if self.ignored.shape != self.shape:
                required = f"shape {tuple(self.shape)}, one per example"
                raise fail("ignored", required, tuple(self.ignored.shape), "mark every example")

    @property
    def shape(self) -> torch.Size:
        """The shape of the examples, without classes."""
        if self.index is not None:
            return self.index.shape[:-1]
        if self.row is not None:
            return self.row.shape
        return self.values.shape[:-1]  # pyright: ignore[reportOptionalMemberAccess]

    @property
    def num_classes(self) -> int | None:
        """K where the targets know it: told, or from a prior, a table, dense values or a valid-class mask."""
        if self.size is not None:
            return self.size
        for holder in (self.prior, self.table, self.values, self.valid):
            if holder is not None:
                return holder.shape[-1]
        return None

    def __getitem__(self, at: Any) -> "Targets":
        """Return the targets of some examples: `at` indexes the dimensions before the classes, as it would a tensor's.

        Views where a tensor's would be; `prior`, `table` and a mask for all examples are shared. Nothing is checked.
        """
        examples = at if isinstance(at, tuple) else (at,)
        # a slice of its own for the classes keeps them from being indexed, behind an ellipsis too
        with_classes = (*examples, slice(None))
        taken: dict[str, Tensor] = {}
        for name, tensor in self.tensors().items():
            if name in ("prior", "table") or (name == "valid" and tensor.ndim == 1):
                taken[name] = tensor
            elif name == "valid":
                taken[name] = tensor.expand(*self.shape, -1)[with_classes]
            else:
                taken[name] = tensor[with_classes if name in ("index", "value", "values") else examples]
        return _unchecked(taken, self.size)

    def mass(self) -> Tensor:
        """Return the sum over classes of each target, (...) float; ignored ones 0."""
        total = self._total()
        return total if self.ignored is None else total.masked_fill(self.ignored, 0.0)

    def _total(self) -> Tensor:
        if self.value is not None:
            # one class per example, whose weight is often one number expanded, is left as it is
            total = self.value[..., 0] if self.value.shape[-1] == 1 else self.value.sum(-1)
            return total if self.rest is None else total + self.rest
        if self.table is not None:
            return rows_of(self.table.sum(-1), self.row)  # pyright: ignore[reportArgumentType]
        return self.values.sum(-1)  # pyright: ignore[reportOptionalMemberAccess]

    def prior_over(self, num_classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return the prior that `rest` is spread by, (K,) or (..., K): over the valid classes, with a sum of 1."""
        if self.prior is None and self.valid is None:
            return torch.full((num_classes,), 1 / num_classes, dtype=dtype, device=device)
        weights = torch.ones((), dtype=dtype, device=device)
        if self.prior is not None:
            weights = self.prior.to(dtype=dtype, device=device)
        if self.valid is not None:
            weights = weights * self.valid.to(dtype=dtype, device=device)
        return weights / weights.sum(-1, keepdim=True)

    def to_dense(self, num_classes: int | None = None) -> Tensor:
        """Return the targets as (..., K) float; ignored rows are 0.

        Args:
            num_classes: K; needed where the targets do not know it.

        Raises:
            ValueError: where K is needed and missing, is not what the targets know, or a label is beyond it.
        """
        known = self.num_classes
        size = num_classes if num_classes is not None else known
        if size is None:
            raise fail("num_classes", "a number, since these targets do not know it", None, "pass num_classes=")
        if known is not None and size != known:
            raise fail("num_classes", f"{known}, as the targets know it", size, "leave it out")
        if self.index is None:
            result = self.gathered()
        else:
            index, value = self.factors()
            check_labels("labels", index[..., 0] if index.shape[-1] == 1 else index, size)
            result = value.new_zeros((*self.shape, size)).scatter_add(-1, index, value)
            if self.rest is not None:
                result = result + self.rest[..., None] * self.prior_over(size, value.dtype, value.device)
        if self.ignored is not None:
            result = result.masked_fill(self.ignored[..., None], 0.0)
        return result

    def gathered(self) -> Tensor:
        """Return the (..., K) weights of targets that are a table or dense, ignored rows like the others."""
        if self.table is not None and self.row is not None:
            return rows_of(self.table, self.row)
        if self.values is None:
            raise fail("targets", "a table or dense values", "factored ones", "use to_dense")
        return self.values

    def to(self, device: torch.device | str) -> "Targets":
        """Return the targets with every tensor on `device`."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return replace(self, **moved)

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return `index` and `value` of factored targets; the prior's part is `rest`."""
        if self.index is None or self.value is None:
            raise fail("targets", "factored", "a table or dense values", "use targets.hard or targets.smooth")
        return self.index, self.value

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that the targets are made of, by the name of their field."""
        pairs = ((name, getattr(self, name)) for name in NAMES)
        return {name: tensor for name, tensor in pairs if tensor is not None}


def check_mask(valid: Tensor, shape: torch.Size) -> None:
    """Require a mask of classes for examples of this shape, or one that broadcasts to it."""
    _check_bool("valid", valid)
    pairs = zip(valid.shape[-2::-1], shape[::-1], strict=False)
    if not 1 <= valid.ndim <= len(shape) + 1 or valid.shape[-1] < 2 or any(own not in (1, n) for own, n in pairs):
        required = f"shape (K,) or {(*shape, 'K')} with K >= 2".replace("'", "")
        raise fail("valid", required, tuple(valid.shape), "give one mask for all examples, or one for each")


def _check_bool(argument: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = f"dtype {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        raise fail_type(argument, "a bool tensor", got, f"use {argument}.bool()")


def _flatten(targets: Targets) -> tuple[list[Any], tuple[tuple[str, ...], int | None]]:
    # A tree of the same structure may hold None in a tensor's place, as in_dims does for what vmap shares.
    names = vars(targets).get("_leaves") or tuple(targets.tensors())
    return [getattr(targets, name) for name in names], (names, targets.size)


def _unflatten(leaves: Any, context: Any) -> Targets:
    names, size = context
    # Transforms pass placeholders through here, so nothing is checked.
    targets = _unchecked(dict(zip(names, leaves, strict=True)), size)
    object.__setattr__(targets, "_leaves", tuple(names))
    return targets


def _unchecked(tensors: dict[str, Any], size: int | None) -> Targets:
    targets = object.__new__(Targets)
    for name in NAMES:
        object.__setattr__(targets, name, tensors.get(name))
    object.__setattr__(targets, "size", size)
    return targets


NAMES = tuple(item.name for item in fields(Targets) if item.name != "size")

_pytree.register_pytree_node(Targets, _flatten, _unflatten, serialized_type_name="softtargets.targets.Targets")
