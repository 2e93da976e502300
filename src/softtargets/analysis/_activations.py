"""What the layers of a model hand on, gathered by hooks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from softtargets._errors import fail, fail_type, nearest, unknown

__all__ = ["activations"]

SIDES = ("output", "input")


def activations(
    model: nn.Module,
    batches: Iterable[Any],
    layers: Sequence[str],
    *,
    side: str = "output",
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Gather what layers return, or are given, in one pass over the data.

    The model runs in evaluation mode and without gradients, once per batch; afterwards every module is in the mode that
    it was in, and no hook is left, also where the model fails. Values are copied when the layer runs, so that what is
    changed in place afterwards (ReLU(inplace=True)) does not reach them.

    Where what is wanted is the outcome of a function rather than of a module, such as pooling written in `forward`,
    ask for the input of the layer that it feeds: the features of a classifier are the input of its last layer.

    Args:
        model: any module.
        batches: what the model is called with, once each: a tensor; a tuple or list, whose first item is the input; or
            a mapping of arguments by name, alone or as that first item. On the model's device.
        layers: names as in ``model.named_modules()``; "" is the model itself.
        side: "output", or "input" for the first positional argument of the layer.
        dtype: of the result; None: that of the layer.

    Returns:
        For each name the activations (N, ...) of all batches in their order, on the CPU, without gradients.

    Raises:
        ValueError: where a name is unknown (the nearest is named), a layer does not run exactly once per batch,
            activations of two batches differ in shape beyond the first axis, or there is no batch or no layer.
        TypeError: where layers are one name or batches one batch rather than several, or a layer's side is no tensor.

    Special cases:
        the sizes of the batches do not matter to a model that treats examples alone, which in evaluation mode most do.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
        >>> activations(model, [torch.tensor([[-1.0, 2.0]]), torch.tensor([[3.0, -4.0]])], ["1"])["1"].tolist()
        [[0.0, 2.0], [3.0, 0.0]]
    """
    if side not in SIDES:
        raise unknown("side", side, SIDES)
    if isinstance(batches, Tensor | Mapping):
        # gone through, one batch would be taken for many: its rows, or its names
        raise fail_type("batches", "an iterable of batches", f"one {type(batches).__name__}", "use [batch]")
    modules = _named(model, layers)
    gathered: dict[str, list[Tensor]] = {name: [] for name in modules}
    with _evaluating(model), _hooked(modules, gathered, side, dtype), torch.no_grad():
        for count, batch in enumerate(batches, start=1):
            inputs = batch[0] if isinstance(batch, tuple | list) else batch
            _ = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
            _check_runs(gathered, count)
    return {name: _joined(name, found) for name, found in gathered.items()}


def _named(model: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    """Return the modules of these names."""
    if isinstance(layers, str):
        raise fail_type("layers", "a sequence of names", f"the name '{layers}'", f"use ['{layers}']")
    if not layers:
        raise fail("layers", "at least one name", "none", "give names as in model.named_modules()")
    known, found = dict(model.named_modules()), dict[str, nn.Module]()
    for name in layers:
        if name not in known:
            # of a deep network all names would fill a screen
            close = nearest(name, known)
            remedy = "see model.named_modules()" if close is None else f"did you mean '{close}'?"
            raise fail("layers", "names of modules of the model", f"'{name}'", remedy)
        found[name] = known[name]
    return found


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, and each module of it back afterwards: some may have been frozen alone."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _hooked(
    modules: dict[str, nn.Module], gathered: dict[str, list[Tensor]], side: str, dtype: torch.dtype | None
) -> Iterator[None]:
    """Append what passes each module, until the block ends."""
    handles: list[RemovableHandle] = []
    try:
        for name, module in modules.items():
            # an input is copied before the layer runs, which may change it
            register = module.register_forward_pre_hook if side == "input" else module.register_forward_hook
            handles.append(register(_hook(name, gathered[name], side, dtype)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, found: list[Tensor], side: str, dtype: torch.dtype | None) -> Callable[..., None]:
    """Return what copies the first positional argument of a layer, or its output where the hook is given one."""

    def keep(_: nn.Module, given: tuple[Any, ...], *output: Any) -> None:
        value = next(iter(output or given), None)
        if not isinstance(value, Tensor):
            remedy = "name a layer beside or inside it"
            raise fail_type(f"layer '{name}'", f"a tensor as its {side}", type(value).__name__, remedy)
        found.append(value.detach().to(device="cpu", dtype=dtype or value.dtype, copy=True))

    return keep


def _check_runs(gathered: dict[str, list[Tensor]], count: int) -> None:
    """Require that after so many batches each layer ran as often."""
    for name, found in gathered.items():
        if len(found) != count:
            got = f"{len(found) - count + 1} runs"
            raise fail(f"layer '{name}'", "one run per forward pass", got, "name a layer that is used once")


def _joined(name: str, found: list[Tensor]) -> Tensor:
    """Return the batches as one tensor."""
    if not found:
        raise fail("batches", "at least one", "none", "an iterator that was used before is empty: make a new one")
    shapes = list(dict.fromkeys(tuple(tensor.shape[1:]) for tensor in found))
    if len(shapes) > 1:
        remedy = "pad the inputs alike, or name a layer after pooling"
        raise fail(f"layer '{name}'", "one shape beyond the first axis", f"{shapes[0]} and {shapes[1]}", remedy)
    return torch.cat(found)
