"""Calibrators on disk, in safetensors files without pickled objects."""

import json
from os import PathLike
from pathlib import Path

from softtargets._errors import fail, fail_type, unknown
from softtargets._storage import UnfitFileError, open_regular, write_atomically
from softtargets.calibration.calibrator import CALIBRATORS, Calibrator

__all__ = ["load", "save"]

FORMAT, VERSION = "softtargets.calibration", "1"


def save(calibrator: Calibrator, path: str | PathLike[str]) -> None:
    """Save a fitted calibrator to a safetensors file.

    The file is written under another name first and then renamed, so that it is never incomplete.

    Args:
        calibrator: a calibrator of ``softtargets.calibration``.
        path: path of the file; an existing file is replaced.

    Returns:
        None.

    Raises:
        TypeError: if it is not a calibrator of ``softtargets.calibration``.
        ValueError: if it is not fitted.
        OSError: if the file cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from softtargets.calibration import TemperatureScaling
        >>> with TemporaryDirectory() as folder:
        ...     save(TemperatureScaling(2.0), Path(folder) / "temperature.safetensors")
        ...     load(Path(folder) / "temperature.safetensors")
        TemperatureScaling(temperature=2, converged=False)
    """
    from safetensors.torch import save as encode

    name = type(calibrator).__name__
    if CALIBRATORS.get(name) is not type(calibrator):
        raise fail_type("calibrator", f"one of {', '.join(sorted(CALIBRATORS))}", name, "save its state_dict instead")
    if not calibrator._fitted:
        raise fail("calibrator", "a fitted one", f"an unfitted {name}", "call fit(logits, labels) first")
    tensors = {key: value.detach().cpu().contiguous() for key, value in calibrator.state_dict().items()}
    settings = json.dumps({key: getattr(calibrator, key) for key in calibrator.hyperparameters})
    metadata = {"format": FORMAT, "version": VERSION, "class": name, "settings": settings}
    content = encode(tensors, metadata=metadata)
    write_atomically(Path(path), content)


def load(path: str | PathLike[str]) -> Calibrator:
    """Load a calibrator that :func:`save` wrote, onto the CPU.

    Args:
        path: path of the file.

    Returns:
        The calibrator, of the class that was saved and with its hyper-parameters.

    Raises:
        ValueError: if the file is damaged or of another kind, class or version; the message names the file.
        OSError: if the file cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from softtargets.calibration import VectorScaling
        >>> fitted = VectorScaling().fit(torch.zeros(4, 2), torch.tensor([0, 1, 1, 1]))
        >>> with TemporaryDirectory() as folder:
        ...     save(fitted, Path(folder) / "vector.safetensors")
        ...     load(Path(folder) / "vector.safetensors")
        VectorScaling(num_classes=2, converged=True)
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
        raise fail(str(place), f"metadata format '{FORMAT}'", f"'{kind}'", "pass a file that calibration.save wrote")
    if version != VERSION:
        raise fail(str(place), f"format version {VERSION}", version, "use the softtargets that wrote it, or save again")
    if name not in CALIBRATORS:
        raise unknown(f"{place}: class", str(name), CALIBRATORS)
    try:
        calibrator = CALIBRATORS[name](**json.loads(metadata.get("settings", "")))
    except (ValueError, TypeError) as error:
        raise fail(str(place), f"the settings of {name}", f"different ones ({error})", remedy) from None
    try:
        calibrator.load_state_dict(state)
    except RuntimeError as error:
        raise fail(str(place), f"the buffers of {name}", f"different ones ({error})", remedy) from None
    return calibrator
