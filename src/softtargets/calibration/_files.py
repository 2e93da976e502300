"""Calibrators and conformal predictors on disk, in safetensors files without pickled objects."""

import json
from os import PathLike
from pathlib import Path
from typing import TypeVar, overload

from softtargets._errors import fail, fail_type, unknown
from softtargets._storage import UnfitFileError, open_regular, write_atomically
from softtargets.calibration.calibrator import CALIBRATORS, Calibrator
from softtargets.calibration.conformal._predictor import PREDICTORS
from softtargets.calibration.fitted import FittedModule

__all__ = ["load", "save"]

FORMAT, VERSION = "softtargets.calibration", "1"
Kind = TypeVar("Kind", bound=FittedModule)


def save(calibrator: FittedModule, path: str | PathLike[str]) -> None:
    """Save a fitted calibrator or conformal predictor to a safetensors file.

    The file is written under another name first and then renamed, so that it is never incomplete.

    Args:
        calibrator: a calibrator or conformal predictor of ``softtargets.calibration``.
        path: path of the file; an existing file is replaced.

    Returns:
        None.

    Raises:
        TypeError: if it is not of ``softtargets.calibration``.
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

    name, known = type(calibrator).__name__, _kinds()
    if known.get(name) is not type(calibrator):
        required = f"one of {', '.join([*sorted(CALIBRATORS), *sorted(PREDICTORS)])}"
        raise fail_type("calibrator", required, name, "save its state_dict instead")
    if not calibrator.is_fitted:
        raise fail("calibrator", "a fitted one", f"an unfitted {name}", "call fit(logits, labels) first")
    tensors = {key: value.detach().cpu().contiguous() for key, value in calibrator.state_dict().items()}
    settings = json.dumps({key: getattr(calibrator, key) for key in calibrator.hyperparameters})
    metadata = {"format": FORMAT, "version": VERSION, "class": name, "settings": settings}
    content = encode(tensors, metadata=metadata)
    write_atomically(Path(path), content)


@overload
def load(path: str | PathLike[str]) -> Calibrator: ...


@overload
def load(path: str | PathLike[str], *, kind: type[Kind]) -> Kind: ...


def load(path: str | PathLike[str], *, kind: type[FittedModule] = Calibrator) -> FittedModule:
    """Load a calibrator or conformal predictor that :func:`save` wrote, onto the CPU.

    Args:
        path: path of the file.
        kind: class that the file must hold, or a base of it, such as ``ConformalPredictor``. Default: any calibrator.

    Returns:
        The object, of the class that was saved and with its hyper-parameters.

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
    written, version, name = (metadata.get(key) for key in ("format", "version", "class"))
    if written != FORMAT:
        raise fail(str(place), f"metadata format '{FORMAT}'", f"'{written}'", "pass a file that calibration.save wrote")
    if version != VERSION:
        raise fail(str(place), f"format version {VERSION}", version, "use the softtargets that wrote it, or save again")
    known = {known: cls for known, cls in _kinds().items() if issubclass(cls, kind)}
    if name not in known:
        raise unknown(f"{place}: class", str(name), known)
    try:
        calibrator = known[name](**json.loads(metadata.get("settings", "")))
    except (ValueError, TypeError) as error:
        raise fail(str(place), f"the settings of {name}", f"different ones ({error})", remedy) from None
    try:
        calibrator.load_state_dict(state)
    except RuntimeError as error:
        raise fail(str(place), f"the buffers of {name}", f"different ones ({error})", remedy) from None
    return calibrator


def _kinds() -> dict[str, type[FittedModule]]:
    """Return all classes that files may hold, by name."""
    return {**CALIBRATORS, **PREDICTORS}
