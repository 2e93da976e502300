"""Calibrators on disk: safetensors, nothing pickled."""

from os import PathLike
from pathlib import Path

from softtargets._errors import fail, fail_type, unknown
from softtargets._storage import UnfitFileError, open_regular, write_atomically
from softtargets.calibration._calibrator import CALIBRATORS, Calibrator

__all__ = ["load", "save"]

FORMAT, VERSION = "softtargets.calibration", "1"


def save(calibrator: Calibrator, path: str | PathLike[str]) -> None:
    """Write a calibrator to one safetensors file, beside its place first, so that no half of one is ever there.

    Args:
        calibrator: one of this room.
        path: of the file; what is there is replaced.

    Returns:
        None.

    Raises:
        TypeError: where it is no calibrator of this room.
        OSError: where the file cannot be written.
    """
    from safetensors.torch import save as encode

    name = type(calibrator).__name__
    if CALIBRATORS.get(name) is not type(calibrator):
        raise fail_type("calibrator", f"one of {', '.join(sorted(CALIBRATORS))}", name, "save its state_dict instead")
    tensors = {key: value.detach().cpu().contiguous() for key, value in calibrator.state_dict().items()}
    content = encode(tensors, metadata={"format": FORMAT, "version": VERSION, "class": name})
    write_atomically(Path(path), content)


def load(path: str | PathLike[str]) -> Calibrator:
    """Read a calibrator that :func:`save` wrote, onto the CPU.

    Args:
        path: of the file.

    Returns:
        The calibrator, of the class that was saved.

    Raises:
        ValueError: where the file is damaged or of another kind, class or version; it is named.
        OSError: where there is no file to read.
    """
    from safetensors import SafetensorError, safe_open

    place = Path(path)
    remedy = "save the calibrator again"
    try:
        open_regular(place).close()
        with safe_open(place, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except UnfitFileError as error:
        raise fail(
            str(place), "a calibrator in safetensors", str(error), "name a file that calibration.save wrote"
        ) from None
    except SafetensorError as error:
        raise fail(str(place), "a calibrator in safetensors", f"a damaged file ({error})", remedy) from None
    kind, version, name = (metadata.get(key) for key in ("format", "version", "class"))
    if kind != FORMAT:
        raise fail(str(place), f"metadata format '{FORMAT}'", f"'{kind}'", "name a file that calibration.save wrote")
    if version != VERSION:
        raise fail(str(place), f"format version {VERSION}", version, "use the softtargets that wrote it, or save again")
    if name not in CALIBRATORS:
        raise unknown(f"{place}: class", str(name), CALIBRATORS)
    calibrator = CALIBRATORS[name]()
    try:
        calibrator.load_state_dict(state)
    except RuntimeError as error:
        raise fail(str(place), f"the buffers of {name}", f"others ({error})", remedy) from None
    return calibrator
