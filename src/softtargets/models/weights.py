"""Weights in files: reading them, their hash, and loading them into a network with a head of its own."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from softtargets._errors import fail, nearest
from softtargets._storage import UnfitFileError, open_regular, user_path

# The file of weights in a folder, in a run store as on the Hugging Face Hub.
WEIGHTS = "model.safetensors"
HEAD = "head."


def read_weights(place: str, argument: str = "model.init_from") -> dict[str, Tensor]:
    """Read a .safetensors file, or `model.safetensors` of a folder such as a finished run.

    Args:
        place: the path.
        argument: names it in errors.

    Raises:
        InputError: if there is no such file, or it is not in the safetensors format.
    """
    path = user_path(argument, place)
    file = path / WEIGHTS if path.is_dir() else path
    required = f"a .safetensors file, or a folder with {WEIGHTS} such as a finished run"
    try:
        open_regular(file).close()
        return load_file(file)
    except FileNotFoundError:
        got = f"'{place}', which {f'has no {WEIGHTS}' if path.is_dir() else 'does not exist'}"
        raise fail(argument, required, got, _similar(path)) from None
    except (OSError, UnfitFileError, SafetensorError) as error:
        got = f"'{place}' ({' '.join(str(error).split())})"
        raise fail(argument, required, got, "give the path of another file") from None


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the names, shapes, dtypes and bytes of some tensors, whatever their order.

    Example:
        >>> a, b = torch.zeros(2), torch.ones(2)
        >>> fingerprint({"a": a, "b": b}) == fingerprint({"b": b, "a": a})
        True
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    keep_head: bool,
    source: str,
    argument: str = "model.init_from",
) -> None:
    """Load weights into a network. Without `keep_head` the network's last linear layer keeps its own.

    Args:
        network: a network with the last linear layer `head`; changed in place.
        weights: tensors by the names of the network's state_dict, all but those of the head required.
        keep_head: whether the head is loaded too.
        source: where the weights are from, for errors.
        argument: names them in errors.

    Raises:
        InputError: naming the first tensor that is missing, unknown or of another shape.
    """
    own = network.state_dict()
    loaded = {name: value for name, value in weights.items() if keep_head or not name.startswith(HEAD)}
    needed = [name for name in own if keep_head or not name.startswith(HEAD)]
    remedy = "give the weights of the same network, with the same settings"
    for name in needed:
        if name not in loaded:
            close = nearest(name, loaded)
            got = f"no '{name}'{f' (but {close!r})' if close else ''} in '{source}'"
            raise fail(argument, f"all {len(needed)} tensors of the network", got, remedy)
        if loaded[name].shape != own[name].shape:
            got = f"{tuple(loaded[name].shape)} in '{source}'"
            if name.startswith(HEAD):
                remedy = 'use init_head = "new"'
            raise fail(argument, f"'{name}' of shape {tuple(own[name].shape)}", got, remedy)
    unknown = next((name for name in loaded if name not in own), None)
    if unknown is not None:
        raise fail(argument, "only tensors of the network", f"'{unknown}' in '{source}'", remedy)
    network.load_state_dict({**own, **loaded})


def _similar(path: Path) -> str:
    close = nearest(path.name, (entry.name for entry in path.parent.glob("*"))) if path.parent.is_dir() else None
    return f"did you mean '{path.parent / close}'?" if close else "give the path of an existing file"
