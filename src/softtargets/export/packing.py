"""Packed classifiers, which are loaded without the run store and the data set: of one run, or of an ensemble."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from softtargets import calibration
from softtargets._errors import fail
from softtargets._spec import Spec, read_toml, write_toml
from softtargets._storage import checksum_file, user_path, write_atomically
from softtargets.ensembles import Ensemble, LoadedEnsemble
from softtargets.ensembles.files import CALIBRATOR, COMBINATION, read_combination, write_parts
from softtargets.export.packed import DESCRIPTION, check_files, load_packed_run, save_packed_run
from softtargets.train import Classifier, LoadedRun

_ENSEMBLE = "softtargets.ensemble"


class EnsembleHeader(Spec):
    """The table `classifier` of a packed ensemble; `members` are folders, each with a packed classifier."""

    format: Literal["softtargets.ensemble"]
    version: Literal[1] = 1
    combination: str
    members: Annotated[tuple[str, ...], Field(min_length=1)]


class PackedEnsemble(Spec):
    """The content of `classifier.toml` of an ensemble; `files` has the SHA-256 of each of the other files."""

    classifier: EnsembleHeader
    files: dict[str, str]


def save_packed(trained: LoadedRun | LoadedEnsemble, folder: Path | str) -> Path:
    """Save the classifier of a run or an ensemble as a folder, which :func:`load_packed` reads without the run store.

    `classifier.toml` describes the network, the classes and the preprocessing. `model.safetensors` has the weights,
    `preprocessing.safetensors` the statistics of the training data, `calibrator.safetensors` the calibrator if there is
    one, and `tokenizer.json` the tokenizer of texts that are tokens.

    Of an ensemble, `member-1`, `member-2`, ... are such folders, without calibrators. `classifier.toml` names them and
    how they are combined, `combination.safetensors` has the numbers of that, if it needs any, and
    `calibrator.safetensors` the calibrator of the combined outputs.

    Args:
        trained: a run with its calibrator, or an ensemble.
        folder: is created if it does not exist. Files of these names are replaced.

    Returns:
        The folder.

    Raises:
        InputError: for a run that writes texts.
        OSError: if a file cannot be written.
    """
    place = user_path("folder", folder)
    if isinstance(trained, LoadedRun):
        save_packed_run(trained, place)
        return place
    place.mkdir(parents=True, exist_ok=True)
    members = [f"member-{number}" for number in range(1, len(trained.members) + 1)]
    for name, member in zip(members, trained.members, strict=True):
        save_packed_run(member.trained, place / name)
    names = [*write_parts(place, trained.classifier), *_descriptions(members)]
    header = EnsembleHeader(format=_ENSEMBLE, combination=trained.classifier.combination.name, members=tuple(members))
    tables = {
        "classifier": header.model_dump(),
        "files": {name: checksum_file(place / name) for name in names},
    }
    write_atomically(place / DESCRIPTION, write_toml(tables).encode())
    return place


def load_packed(folder: Path | str) -> Classifier:
    """Load a classifier that :func:`save_packed` saved, onto the CPU. Nothing in its files is executed.

    Args:
        folder: with `classifier.toml`.

    Returns:
        The classifier, with its preprocessing and calibrator: a :class:`~softtargets.train.NetworkClassifier`, or an
        :class:`~softtargets.ensembles.Ensemble`.

    Raises:
        InputError: if a file is missing or damaged, or the code of a network that others define has changed.
    """
    place = user_path("folder", folder)
    if not (place / DESCRIPTION).exists():
        remedy = "give a folder of: softtargets export RUN FOLDER --to packed"
        raise fail("folder", f"a folder with a {DESCRIPTION}", f"none in '{place}'", remedy)
    header = read_toml(place / DESCRIPTION).get("classifier")
    if isinstance(header, dict) and header.get("format") == _ENSEMBLE:
        return _load_ensemble(place)
    return load_packed_run(place)


def _load_ensemble(place: Path) -> Ensemble:
    packed = PackedEnsemble.parse(read_toml(place / DESCRIPTION), source=str(place / DESCRIPTION))
    # names of folders beside the file, and nothing else
    named = {f"member-{number}" for number in range(1, len(packed.classifier.members) + 1)}
    if set(packed.classifier.members) != named:
        required, got = f"{', '.join(sorted(named))}", list(packed.classifier.members)
        raise fail(f"{place / DESCRIPTION}: classifier.members", required, got, "export it again")
    described = set(_descriptions(packed.classifier.members))
    check_files(place, packed.files, described, {*described, COMBINATION, CALIBRATOR})
    members = [load_packed_run(place / name) for name in packed.classifier.members]
    calibrator = calibration.load(place / CALIBRATOR) if CALIBRATOR in packed.files else None
    combination = read_combination(packed.classifier.combination, place, has_tensors=COMBINATION in packed.files)
    return Ensemble(members, combination, calibrator)


def _descriptions(members: list[str] | tuple[str, ...]) -> list[str]:
    return [f"{name}/{DESCRIPTION}" for name in members]
