"""Collecting the activations of layers with hooks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from softtargets._arrays import as_tensor
from softtargets._errors import fail, fail_type, nearest, unknown

__all__ = ["activations"]

SIDES = ("output", "input")


def activations(
    model: nn.Module,
    batches: Iterable[Any],
    layers: Iterable[str],
    *,
    side: str = "output",
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Collect the outputs, or inputs, of layers in one pass over the data.

    The model runs in evaluation mode and without gradients, once per batch. Afterwards every module is back in its
    previous mode and all hooks are removed, even if the model raises. Values are copied when the layer runs, so later
    in-place changes (ReLU(inplace=True)) do not affect them.

    To get the result of a function rather than of a module, such as pooling in `forward`, ask for the input of the
    layer that follows it: the features of a classifier are the input of its last layer.

    Args:
        model: any module.
        batches: the model is called with each of them: a tensor or array; a tuple or list, whose first item is the
            input; a mapping of arguments by name, alone or as that first item; or a named tuple. On the device of the
            model.
        layers: names as in ``model.named_modules()``; "" is the model itself.
        side: "output", or "input" for the first positional argument of the layer.
        dtype: of the result; None: that of the layer.

    Returns:
        For each name the activations (N, ...) of all batches in their order, on the CPU, without gradients.

    Raises:
        ValueError: if a name is unknown (the nearest is named), a layer does not run exactly once per batch,
            activations of two batches differ in shape beyond the first axis, or there is no batch or no layer.
        TypeError: if model is not a module, layers is one name, batches is one batch instead of several, or the input
            or output of a layer is not a tensor.

    Special cases:
        the batch size changes nothing if the model treats examples independently, as most do in evaluation mode.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
        >>> activations(model, [torch.tensor([[-1.0, 2.0]]), torch.tensor([[3.0, -4.0]])], ["1"])["1"].tolist()
        [[0.0, 2.0], [3.0, 0.0]]
    """
    if not isinstance(model, nn.Module):
        raise fail_type("model", "a torch.nn.Module", type(model).__name__, "pass the model first, then the batches")
    if side not in SIDES:
        raise unknown("side", str(side), SIDES)
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise fail_type("dtype", "a torch.dtype", repr(dtype), "use torch.float32")
    if isinstance(batches, Tensor | Mapping) or hasattr(batches, "__array__"):
        # iterating over one batch would yield its rows, or its names
        raise fail_type("batches", "an iterable of batches", f"one {type(batches).__name__}", "use [batch]")
    if not isinstance(batches, Iterable):
        raise fail_type("batches", "an iterable of batches", type(batches).__name__, "use [batch]")
    modules = _named(model, layers)
    gathered: dict[str, list[Tensor]] = {name: [] for name in modules}
    with _evaluating(model), _hooked(modules, gathered, side, dtype), torch.no_grad():
        for count, batch in enumerate(batches, start=1):
            inputs = batch if hasattr(batch, "_fields") else as_tensor("batches", _first(batch))
            _ = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
            _check_runs(gathered, count)
    return {name: _joined(name, found) for name, found in gathered.items()}


def _first(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) else batch


def _named(model: nn.Module, layers: Iterable[str]) -> dict[str, nn.Module]:
    """Return the modules of these names."""
    if isinstance(layers, str):
        raise fail_type("layers", "a sequence of names", f"the name '{layers}'", f"use ['{layers}']")
    if not isinstance(layers, Iterable):
        raise fail_type("layers", "a sequence of names", type(layers).__name__, "use names of model.named_modules()")
    names = list(layers)
    if not names:
        raise fail("layers", "at least one name", "none", "use names of model.named_modules()")
    known, found = dict(model.named_modules()), dict[str, nn.Module]()
    for name in names:
        if name not in known:
            # the names of a deep network would fill a screen
            close = nearest(str(name), known)
            remedy = "see model.named_modules()" if close is None else f"did you mean '{close}'?"
            raise fail("layers", "names of modules of the model", f"'{name}'", remedy)
        found[name] = known[name]
    return found


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, and afterwards each module back in its own: some may have been frozen."""
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
    """Append the activations of each module until the block ends."""
    handles: list[RemovableHandle] = []
    try:
        for name, module in modules.items():
            # an input is copied before the layer runs, because the layer may change it
            register = module.register_forward_pre_hook if side == "input" else module.register_forward_hook
            handles.append(register(_hook(name, gathered[name], side, dtype)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, found: list[Tensor], side: str, dtype: torch.dtype | None) -> Callable[..., None]:
    """Return a hook that copies the output of a layer, or the first positional argument of a pre-hook."""

    def keep(_: nn.Module, given: tuple[Any, ...], *output: Any) -> None:
        value = next(iter(output or given), None)
        if not isinstance(value, Tensor):
            remedy = "name a layer before, after or inside it"
            raise fail_type(f"layer '{name}'", f"a tensor as its {side}", type(value).__name__, remedy)
        found.append(value.detach().to(device="cpu", dtype=dtype or value.dtype, copy=True))

    return keep


def _check_runs(gathered: dict[str, list[Tensor]], count: int) -> None:
    """Require that each layer ran once per batch."""
    for name, found in gathered.items():
        if len(found) != count:
            got = f"{len(found) - count + 1} runs"
            raise fail(f"layer '{name}'", "one run per forward pass", got, "name a layer that is used once")


def _joined(name: str, found: list[Tensor]) -> Tensor:
    """Return the batches as one tensor."""
    if not found:
        raise fail("batches", "at least one", "none", "pass a new iterator: one that was used before is empty")
    shapes = list(dict.fromkeys(tuple(tensor.shape[1:]) for tensor in found))
    if len(shapes) > 1:
        remedy = "pad the inputs to one size, or name a layer after pooling"
        raise fail(
            f"layer '{name}'",
            "the same shape in every batch, except for the first axis",
            f"{shapes[0]} and {shapes[1]}",
            remedy,
        )
    return torch.cat(found)
