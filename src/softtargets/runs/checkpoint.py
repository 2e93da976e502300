"""Nested state in one safetensors file: tensors as tensors, everything else as JSON. Nothing is pickled."""

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from softtargets._errors import fail_type
from softtargets._storage import memory_bytes, parse_json, read_regular, write_atomically

FORMAT = "softtargets-state-2"


def save_state(path: Path, state: Any) -> None:
    """Write nested dicts and lists of tensors, numbers, strings, booleans and None, atomically.

    Raises:
        TypeError: for any other type.
        OSError: if it cannot be written. An existing file is left unchanged.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_take_apart(state, tensors))
    payload = save(tensors, metadata={"format": FORMAT, "skeleton": skeleton})
    write_atomically(path, hashlib.sha256(payload).digest() + payload)


def load_state(path: Path) -> Any | None:
    """Read what :func:`save_state` wrote; None if the file is absent or damaged."""
    from safetensors.torch import load

    try:
        content = read_regular(path, max_bytes=memory_bytes() // 2)
        payload = content[32:]
        if hashlib.sha256(payload).digest() != content[:32]:
            return None
        size = int.from_bytes(payload[:8], "little")
        metadata = parse_json(payload[8 : 8 + size])["__metadata__"]
        if metadata["format"] != FORMAT:
            return None
        return _put_together(parse_json(metadata["skeleton"]), load(payload))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _take_apart(state: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(state, Tensor):
        name = str(len(tensors))
        # a clone, since safetensors refuses tensors that share memory
        tensors[name] = state.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(state, dict):
        # pairs, since JSON would turn keys that are numbers (torch's optimizers have them) into text
        return {"items": [[key, _take_apart(value, tensors)] for key, value in state.items()]}
    if isinstance(state, list | tuple):
        return {"list": [_take_apart(value, tensors) for value in state]}
    if state is None or isinstance(state, str | int | float | bool):
        return {"plain": state}
    raise fail_type("state", "tensors, numbers, text, lists and dicts", type(state).__name__, "leave it out")


def _put_together(skeleton: Any, tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = skeleton.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "items":
            return {key: _put_together(value, tensors) for key, value in content}
        case "list":
            return [_put_together(value, tensors) for value in content]
        case "plain":
            return content
    raise ValueError(f"unknown kind of state: {kind}")
