"""Export a run: its program, its packed files and its model card, in one folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from softtargets._errors import fail, unknown
from softtargets._storage import user_path, write_atomically
from softtargets.ensembles import LoadedEnsemble, find_ensemble, load_ensemble
from softtargets.export.card import model_card
from softtargets.export.facts import calibrated_on, calibration_warnings, gather_facts
from softtargets.export.packing import save_packed
from softtargets.export.programs import difference, save_onnx, save_program
from softtargets.export.use import how_to_use
from softtargets.runs.finding import find_run
from softtargets.train import Classifier, LoadedRun, load_run

FORMATS = ("onnx", "torch", "packed")
CARD, DEFAULT = "card.md", "default"
PROGRAMS: dict[str, tuple[str, Callable[[Classifier, Path], Callable[..., Tensor]]]] = {
    "onnx": ("model.onnx", save_onnx),
    "torch": ("model.pt2", save_program),
}


@dataclass(frozen=True)
class ExportOptions:
    """What is exported.

    Args:
        calibrator: name, or .safetensors file, of what calibrates the probabilities; see :meth:`LoadedRun.calibrate`.
            None: they are the softmax of the logits. "default": temperature scaling for a run; an ensemble keeps the
            calibrator that it was trained with, and takes no other.
        selected: use the weights of the epoch that did best on the validation split.
        card: whether to write the model card, `card.md`.
        audit: folder or `audit.json` of an audit of the training labels, whose noise estimate the card shows.
    """

    calibrator: Path | str | None = DEFAULT
    selected: bool = False
    card: bool = True
    audit: Path | str | None = None


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: that has everything.
        files: names of the program, of the description of the packed form, and of the card.
        calibrator: what calibrates the probabilities, in words; None: nothing.
        differences: for each program, the largest difference of a probability from that of the module, on drawn inputs.
        warnings: sentences on a calibrator that did not converge or makes predictions worse.
    """

    folder: Path
    files: tuple[str, ...]
    calibrator: str | None
    differences: dict[str, float]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "folder": str(self.folder), "files": list(self.files), "warnings": list(self.warnings)}


def export_run(
    run: Path | str,
    output: Path | str,
    to: str | Sequence[str] = ("packed",),
    *,
    runs: Path | str = "runs",
    options: ExportOptions = ExportOptions(),
) -> Exported:
    """Export a finished run or ensemble that predicts labels: networks, preprocessing and calibrator, and a model card.

    Args:
        run: folder of the run or the ensemble, or the first digits of its name in `runs`.
        output: folder to write into; files of the same names are replaced.
        to: "onnx" (`model.onnx`), "torch" (`model.pt2`, of torch.export), "packed" (see :func:`save_packed`), or
            several of them; an empty list writes the card alone.
        runs: folder of the run store.
        options: calibrator, weights and card.

    Returns:
        The names of the files, and how far the programs differ from the module.

    Raises:
        InputError: no such run, format, calibrator or audit; a network that cannot be exported; a run that writes
            texts; an ensemble with another calibrator or with selected weights.
        ModuleNotFoundError: if ONNX is asked for and not installed.
        OSError: if a file cannot be written.
    """
    formats = tuple(dict.fromkeys([to] if isinstance(to, str) else to))
    for name in formats:
        if name not in FORMATS:
            raise unknown("to", name, FORMATS)
    if not formats and not options.card:
        raise fail("to", f"one of {', '.join(FORMATS)}", "none, and no card", "name one")
    trained = _trained(run, runs, options)
    classifier = trained.classifier
    facts = gather_facts(trained, options.audit) if options.card else None
    folder = user_path("output", output)
    folder.mkdir(parents=True, exist_ok=True)
    files, differences = [], {}
    for name in formats:
        if name == "packed":
            save_packed(trained, folder)
            files.append("classifier.toml")
            continue
        file, save = PROGRAMS[name]
        differences[name] = difference(save(classifier, folder / file), classifier)
        files.append(file)
    if facts is not None:
        card = model_card(facts, how_to_use(classifier, formats, differences))
        write_atomically(folder / CARD, card.encode())
        files.append(CARD)
    by = None if classifier.calibrator is None else repr(classifier.calibrator)
    found = None if facts is None else facts.evaluation
    warnings = calibration_warnings(classifier.calibrator, calibrated_on(trained), found)
    return Exported(folder, tuple(files), by, differences, warnings)


def _trained(run: Path | str, runs: Path | str, options: ExportOptions) -> LoadedRun | LoadedEnsemble:
    """Return the run with its calibrator, or the ensemble."""
    place = find_ensemble(run, runs)
    if place is None:
        trained = load_run(find_run(run, runs), selected=options.selected)
        named = "temperature-scaling" if options.calibrator == DEFAULT else options.calibrator
        return trained if named is None else trained.calibrate(named)
    if options.calibrator != DEFAULT:
        remedy = "set ensemble.calibrator and run softtargets train again, which trains no network again"
        raise fail("calibrator", "left out for an ensemble, which has its own", repr(options.calibrator), remedy)
    if options.selected:
        raise fail(
            "selected", "false for an ensemble", True, "leave it out: members have the weights after the last step"
        )
    return load_ensemble(place)
