"""The folder of a trained ensemble in the run store: written after training, found and loaded."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as encode
from torch import Tensor

from softtargets import calibration
from softtargets._errors import fail
from softtargets._storage import open_regular, parse_json, read_regular, user_path, write_atomically
from softtargets.ensembles.combining import COMBINATIONS, Combination
from softtargets.ensembles.ensemble import Ensemble
from softtargets.ensembles.outputs import Member, split_logits
from softtargets.ensembles.results import EnsembleResults
from softtargets.evaluate.request import TEST_PREDICTIONS
from softtargets.report.encoding import as_json
from softtargets.runs.listing import entry_names
from softtargets.runs.snapshots import read_snapshots
from softtargets.runs.store import DAMAGE, RunStore
from softtargets.train import load_run

ENSEMBLES = "ensembles"
RESULT, PREDICTIONS = "ensemble.json", TEST_PREDICTIONS
COMBINATION, CALIBRATOR = "combination.safetensors", "calibrator.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class LoadedEnsemble:
    """A trained ensemble. Made by :func:`load_ensemble`.

    Attributes:
        folder: of the ensemble.
        result: the content of its ensemble.json.
        members: its members; the networks are loaded.
        classifier: the members, their combination and the calibrator as one classifier.
    """

    folder: Path
    result: dict[str, Any]
    members: tuple[Member, ...]
    classifier: Ensemble

    def __repr__(self) -> str:
        return f"LoadedEnsemble({self.result['kind']} of {len(self.members)} members; {self.folder})"

    @cached_property
    def test_logits(self) -> Tensor:
        """The (N, K) float64 combined logits of the test split, without calibrator."""
        return self.classifier.combination(split_logits(self.members, "test").double())


def write_ensemble(results: EnsembleResults) -> None:
    """Write the result of training an ensemble, its combination and its calibrator into its folder."""
    assert results.ensemble is not None
    write_parts(results.folder, results.ensemble)
    write_atomically(results.folder / RESULT, as_json(results.to_dict()))


def write_parts(folder: Path, ensemble: Ensemble) -> list[str]:
    """Write the tensors of the combination, if it has any, and the calibrator, if there is one.

    Returns:
        The names of the files.
    """
    names, tensors = [], ensemble.combination.state_dict()
    if tensors:
        content = encode({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
        write_atomically(folder / COMBINATION, content)
        names.append(COMBINATION)
    if ensemble.calibrator is not None:
        calibration.save(ensemble.calibrator, folder / CALIBRATOR)
        names.append(CALIBRATOR)
    return names


def read_combination(name: str, folder: Path, *, has_tensors: bool) -> Combination:
    """Return the combination of this name, with the tensors that :func:`write_parts` wrote into a folder.

    Raises:
        InputError: if there is no such combination, or its file is missing or damaged.
    """
    place = folder / COMBINATION
    try:
        if has_tensors:
            open_regular(place).close()
        return COMBINATIONS[name](**(load_file(place) if has_tensors else {}))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        got = f"'{name}' with {' '.join(str(error).split())}"
        required = f"one of {', '.join(COMBINATIONS)}, with an intact '{COMBINATION}' if it has one in '{folder}'"
        raise fail("folder", required, got, "train or export the ensemble again") from error


def find_ensemble(name: Path | str, runs: Path | str = "runs") -> Path | None:
    """Return the folder of a trained ensemble; None if there is none.

    Args:
        name: the path of the folder, or the first digits of its name.
        runs: folder of the run store, for the digits.

    Raises:
        InputError: if several ensembles, or also a run, start with these digits.
    """
    path, text, store = user_path("run", name), str(name), RunStore(runs)
    if (path / RESULT).exists():
        return path
    if not re.fullmatch(r"[0-9a-f]+", text):
        return None
    place = store.folder / ENSEMBLES
    found = [one for one in entry_names(place) if one.startswith(text) and (place / one / RESULT).exists()]
    others = [one for one in entry_names(store.folder) if one.startswith(text)]
    if len(found) > 1 or (found and others):
        got = f"'{text}', the start of {', '.join(one[: len(text) + 8] for one in [*found, *others][:5])}"
        raise fail("run", "digits that only one run or ensemble starts with", got, "give more digits")
    return place / found[0] if found else None


@dataclass(frozen=True)
class EnsembleEntry:
    """An ensemble of a run store.

    Attributes:
        name: of its folder, 64 hexadecimal digits.
        path: the folder.
        kind: name of the kind of ensemble. This and the following are "", 0 or None if they cannot be read.
        size: number of members.
        data: name of the data set.
        test_accuracy: fraction in [0, 1] of the test split; None without test rows.
    """

    name: str
    path: Path
    kind: str = ""
    size: int = 0
    data: str = ""
    test_accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "path": str(self.path)}


def list_ensembles(runs: Path | str = "runs", *, prefix: str = "") -> tuple[EnsembleEntry, ...]:
    """List the trained ensembles of a run store, by name.

    Args:
        runs: folder of the run store.
        prefix: list only ensembles whose name starts with it.
    """
    place = RunStore(runs).folder / ENSEMBLES
    names = [name for name in entry_names(place) if name.startswith(prefix) and (place / name / RESULT).exists()]
    return tuple(_entry(place / name) for name in names)


def _entry(folder: Path) -> EnsembleEntry:
    try:
        result = parse_json(read_regular(folder / RESULT))
        first = result["evaluation"] and result["evaluation"]["models"][0]["metrics"]["accuracy"]["value"]
        kind, size, data = str(result["kind"]), len(result["members"]), str(result["data"])
    except (OSError, *DAMAGE):
        return EnsembleEntry(folder.name, folder)
    return EnsembleEntry(folder.name, folder, kind, size, data, first)


def load_ensemble(folder: Path | str) -> LoadedEnsemble:
    """Load a trained ensemble: its members, their combination and its calibrator. The data set is not needed.

    Args:
        folder: of the ensemble; `EnsembleResults.folder` of :func:`train_ensemble`. The runs of its members are in the
            store that it is part of.

    Raises:
        InputError: if the folder has no intact ensemble, or the store lacks a member.

    Example:
        >>> import tempfile
        >>> from softtargets.ensembles import train_ensemble
        >>> from softtargets.evaluate import EvaluationOptions
        >>> two = {"name": "seeds", "size": 2}
        >>> run = {"model": {"name": "mlp", "hidden": [16]}, "training": {"epochs": 2}, "ensemble": two}
        >>> with tempfile.TemporaryDirectory() as store:
        ...     results = train_ensemble(run, runs=store, evaluation=EvaluationOptions(n_draws=20))
        ...     loaded = load_ensemble(results.folder)
        >>> len(loaded.members), loaded.classifier.combination.name
        (2, 'probs')
    """
    place = user_path("folder", folder).absolute()
    remedy = "give the folder that softtargets train wrote for a table [ensemble]"
    try:
        result = parse_json(read_regular(place / RESULT))
        calibrated, name = result["calibrator"] is not None, result["combination"]
        wanted: list[tuple[str, int | None]] = [(one["identity"], one["epoch"]) for one in result["members"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise fail("folder", f"a folder with the {RESULT} of an ensemble", f"'{place}' ({reason})", remedy) from error
    if calibrated and not (place / CALIBRATOR).exists():
        raise fail("folder", f"a {CALIBRATOR}, since the ensemble is calibrated", f"none in '{place}'", remedy)
    calibrator = calibration.load(place / CALIBRATOR) if calibrated else None
    members = _members(wanted, RunStore(place.parent.parent))
    classifiers = [member.classifier for member in members]
    combination = read_combination(name, place, has_tensors=(place / COMBINATION).exists())
    return LoadedEnsemble(place, result, members, Ensemble(classifiers, combination, calibrator))


def _members(wanted: Sequence[tuple[str, int | None]], store: RunStore) -> tuple[Member, ...]:
    loaded = {identity: load_run(store.path(identity)) for identity, _ in wanted}
    snapshots: dict[tuple[str, int | None], dict[str, Tensor]] = {
        (identity, epoch): weights
        for identity in {identity for identity, epoch in wanted if epoch is not None}
        for epoch, weights in read_snapshots(loaded[identity].folder)
    }
    return tuple(Member(loaded[identity], epoch, snapshots.get((identity, epoch))) for identity, epoch in wanted)
