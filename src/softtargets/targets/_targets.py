"""The type of all targets: factored, rows of a class table, or dense. No rule builds an N x K tensor unless it must."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from softtargets._checks import check_num_classes, read_labels
from softtargets._errors import fail, fail_type
from softtargets._numerics import rows_of

__all__ = ["Targets"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Soft targets: one real vector over the classes per example.

    Entries may be negative and need not sum to 1. A target has one of three forms::

        t_i = sum_s value[i, s] * onehot(index[i, s]) + rest[i] * prior        factored
        t_i = table[row[i], :]                                                rows of a class table
        t_i = values[i, :]                                                    dense

    Create targets with the functions of ``softtargets.targets`` rather than by hand. Targets are a pytree of their
    tensors. ``==`` compares identity, as for modules, and targets can be dict keys; to compare the numbers, use
    ``torch.equal(a.to_dense(), b.to_dense())``.

    Args:
        index: (..., S) int64, classes.
        value: (..., S) float, weights of those classes.
        rest: (...) float, weight of the prior; None: 0.
        prior: (K,) float, probabilities; None: uniform over the valid classes.
        row: (...) int64, rows of `table`.
        table: (R, K) float.
        values: (..., K) float.
        labels: (...) int64, the labels that the targets were made from; None: unknown.
        valid: (K,) or (..., K) bool, True for classes that exist; the others get no smoothing and no gradient.
        ignored: (...) bool, True for examples to leave out: their loss and gradient are 0.
        size: K, the number of classes, if it does not follow from a tensor; None: unknown.
        temperature: the temperature at which a teacher's probabilities were softened; None: unknown. Set by
            ``TeacherCache.targets`` and checked by ``distill.kd_loss``.

    Raises:
        ValueError: if the tensors do not define exactly one of the three forms, differ in the number of classes, or
            `valid` or `ignored` does not fit the examples.
        TypeError: if a field is not a tensor, or `valid` or `ignored` is not boolean.

    Example:
        >>> Targets(values=torch.tensor([[0.5, 0.25, 0.25]]))
        Targets(dense, shape=(1,), num_classes=3)
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
    temperature: float | None = None

    def __post_init__(self) -> None:
        for name, tensor in self.tensors().items():
            if not isinstance(tensor, Tensor):
                remedy = "create targets with targets.hard, targets.dense or another target rule"
                raise fail_type(name, "a tensor", type(tensor).__name__, remedy)
        forms = [self.index is not None, self.table is not None, self.values is not None]
        if sum(forms) != 1:
            raise fail("Targets", "exactly one of index, table and values", f"{sum(forms)}", "use targets.hard(...)")
        if (self.index is None) != (self.value is None) or (self.table is None) != (self.row is None):
            raise fail(
                "Targets",
                "index together with value, or table together with row",
                "only one of the two",
                "use targets.hard(...)",
            )
        if self.index is not None and self.value is not None and self.index.shape != self.value.shape:
            raise fail(
                "value", f"shape {tuple(self.index.shape)}, as index", tuple(self.value.shape), "make both shapes equal"
            )
        for name in ("index", "table", "values"):
            holder = getattr(self, name)
            if holder is not None and holder.ndim == 0:
                raise fail(name, "at least one dimension", "a 0-d tensor", "use targets.hard(...)")
        known = self.num_classes
        for name in ("prior", "table", "values", "valid"):
            holder = getattr(self, name)
            if holder is not None and known is not None and holder.ndim > 0 and holder.shape[-1] != known:
                raise fail(
                    name, f"{known} classes, as the targets", holder.shape[-1], "use the same classes in all fields"
                )
        if self.valid is not None:
            check_mask(self.valid, self.shape)
        if self.ignored is not None:
            _check_bool("ignored", self.ignored)
            if self.ignored.shape != self.shape:
                required = f"shape {tuple(self.shape)}, one per example"
                raise fail("ignored", required, tuple(self.ignored.shape), "mark every example")

    def __repr__(self) -> str:
        form = "factored" if self.index is not None else "table" if self.table is not None else "dense"
        parts = [form, f"shape={tuple(self.shape)}", f"num_classes={self.num_classes}"]
        if self.ignored is not None:
            parts.append("with ignored examples")
        return f"Targets({', '.join(parts)})"

    @property
    def shape(self) -> torch.Size:
        """Shape of the examples, without the class dimension."""
        if self.index is not None:
            return self.index.shape[:-1]
        if self.row is not None:
            return self.row.shape
        return self.values.shape[:-1]  # pyright: ignore[reportOptionalMemberAccess]

    @property
    def num_classes(self) -> int | None:
        """K, from `size` or from the shape of a tensor; None if the targets do not record it."""
        if self.size is not None:
            return self.size
        for holder in (self.prior, self.table, self.values, self.valid):
            if holder is not None:
                return holder.shape[-1]
        return None

    def __getitem__(self, at: Any) -> "Targets":
        """Return the targets of some examples; `at` indexes the example dimensions as it would a tensor's.

        The result shares memory wherever indexing a tensor would. `prior`, `table` and a (K,) mask are shared.
        """
        examples = at if isinstance(at, tuple) else (at,)
        # an explicit slice keeps the class dimension from being indexed, also after an ellipsis
        with_classes = (*examples, slice(None))
        taken: dict[str, Tensor] = {}
        for name, tensor in self.tensors().items():
            if name in ("prior", "table") or (name == "valid" and tensor.ndim == 1):
                taken[name] = tensor
            elif name == "valid":
                taken[name] = tensor.expand(*self.shape, -1)[with_classes]
            else:
                taken[name] = tensor[with_classes if name in ("index", "value", "values") else examples]
        return _unchecked(taken, self.size, self.temperature)

    def mass(self) -> Tensor:
        """Return the sum over classes of each target, (...) float; 0 for ignored examples."""
        total = self._total()
        return total if self.ignored is None else total.masked_fill(self.ignored, 0.0)

    def _total(self) -> Tensor:
        if self.value is not None:
            # with one class per example the weight is often one expanded number: summing would materialise it
            total = self.value[..., 0] if self.value.shape[-1] == 1 else self.value.sum(-1)
            return total if self.rest is None else total + self.rest
        if self.table is not None:
            return rows_of(self.table.sum(-1), self.row)  # pyright: ignore[reportArgumentType]
        return self.values.sum(-1)  # pyright: ignore[reportOptionalMemberAccess]

    def prior_over(self, num_classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return the prior by which `rest` is distributed: (K,) or (..., K), 0 for invalid classes, with a sum of 1."""
        if self.prior is None and self.valid is None:
            return torch.full((num_classes,), 1 / num_classes, dtype=dtype, device=device)
        weights = torch.ones((), dtype=dtype, device=device)
        if self.prior is not None:
            weights = self.prior.to(dtype=dtype, device=device)
        if self.valid is not None:
            weights = weights * self.valid.to(dtype=dtype, device=device)
        return weights / weights.sum(-1, keepdim=True)

    def to_dense(self, num_classes: int | None = None) -> Tensor:
        """Return the targets as (..., K) float; rows of ignored examples are 0.

        Args:
            num_classes: K; required if the targets do not record it.

        Raises:
            ValueError: if K is required and missing, differs from the K of the targets, or a label is out of range.
        """
        known = self.num_classes
        size = num_classes if num_classes is not None else known
        if size is None:
            raise fail("num_classes", "a number, because these targets do not record it", None, "pass num_classes=")
        if num_classes is not None:
            check_num_classes(num_classes)
        if known is not None and size != known:
            raise fail("num_classes", f"{known}, the number of classes of the targets", size, "leave it out")
        if self.index is None:
            result = self.gathered()
        else:
            index, value = self.factors()
            read_labels("labels", index[..., 0] if index.shape[-1] == 1 else index, num_classes=size)
            result = value.new_zeros((*self.shape, size)).scatter_add(-1, index, value)
            if self.rest is not None:
                result = result + self.rest[..., None] * self.prior_over(size, value.dtype, value.device)
        if self.ignored is not None:
            result = result.masked_fill(self.ignored[..., None], 0.0)
        return result

    def gathered(self) -> Tensor:
        """Return the (..., K) weights of table or dense targets; rows of ignored examples are not set to 0."""
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
        """Return `index` and `value` of factored targets, whose remaining weight is `rest`."""
        if self.index is None or self.value is None:
            raise fail("targets", "factored", "a table or dense values", "use targets.hard or targets.smooth")
        return self.index, self.value

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the targets, by field name."""
        pairs = ((name, getattr(self, name)) for name in NAMES)
        return {name: tensor for name, tensor in pairs if tensor is not None}


def check_mask(valid: Tensor, shape: torch.Size) -> None:
    """Require a mask of classes that fits, or broadcasts to, examples of this shape."""
    _check_bool("valid", valid)
    pairs = zip(valid.shape[-2::-1], shape[::-1], strict=False)
    if not 1 <= valid.ndim <= len(shape) + 1 or valid.shape[-1] < 2 or any(own not in (1, n) for own, n in pairs):
        required = f"shape (K,) or {(*shape, 'K')} with K >= 2".replace("'", "")
        raise fail("valid", required, tuple(valid.shape), "give one mask for all examples, or one for each")


def _check_bool(argument: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = f"dtype {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        remedy = f"use {argument}.bool()" if isinstance(mask, Tensor) else f"use torch.as_tensor({argument})"
        raise fail_type(argument, "a bool tensor", got, remedy)


def _flatten(targets: Targets) -> tuple[list[Any], tuple[tuple[str, ...], int | None, float | None]]:
    # A tree of the same structure may hold None in a tensor's place, as in_dims does for what vmap shares.
    names = vars(targets).get("_leaves") or tuple(targets.tensors())
    return [getattr(targets, name) for name in names], (names, targets.size, targets.temperature)


def _unflatten(leaves: Any, context: Any) -> Targets:
    names, size, temperature = context
    # Transforms pass placeholders through here, so nothing is checked.
    targets = _unchecked(dict(zip(names, leaves, strict=True)), size, temperature)
    object.__setattr__(targets, "_leaves", tuple(names))
    return targets


def _unchecked(tensors: dict[str, Any], size: int | None, temperature: float | None) -> Targets:
    targets = object.__new__(Targets)
    for name in NAMES:
        object.__setattr__(targets, name, tensors.get(name))
    object.__setattr__(targets, "size", size)
    object.__setattr__(targets, "temperature", temperature)
    return targets


NAMES = tuple(item.name for item in fields(Targets) if item.name not in ("size", "temperature"))

_pytree.register_pytree_node(Targets, _flatten, _unflatten, serialized_type_name="softtargets.targets.Targets")
