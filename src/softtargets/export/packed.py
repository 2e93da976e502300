"""The classifier of one run as a folder of safetensors and TOML."""

from collections.abc import Set
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file
from safetensors.torch import save as encode
from torch import nn

from softtargets import calibration
from softtargets._errors import InputError, fail
from softtargets._spec import Spec, read_toml, write_toml
from softtargets._storage import checksum_file, open_regular, read_regular, write_atomically
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.tokens import read_shape
from softtargets.models import AnyModel
from softtargets.runs.network import WEIGHTS_ERRORS, laid_out, load_weights
from softtargets.runs.store import MODEL
from softtargets.train import LoadedRun, NetworkClassifier

DESCRIPTION, STATISTICS, CALIBRATOR, TOKENIZER = (
    "classifier.toml",
    "preprocessing.safetensors",
    "calibrator.safetensors",
    "tokenizer.json",
)
_NUMBERS = ("mean", "std", "idf")


class PackedHeader(Spec):
    """The table `classifier` of a packed classifier."""

    format: Literal["softtargets.classifier"] = "softtargets.classifier"
    version: Literal[1] = 1
    run: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    precision: Literal["float32", "bfloat16"]
    model_source: str | None = None


class PackedClassifier(Spec):
    """The content of `classifier.toml`; `files` has the SHA-256 of each of the other files."""

    classifier: PackedHeader
    model: AnyModel
    preprocessing: dict[str, Any]
    files: dict[str, str]


def save_packed_run(run: LoadedRun, place: Path) -> None:
    """Save the classifier of a run, with its calibrator; see :func:`softtargets.export.save_packed`."""
    classifier = run.classifier
    place.mkdir(parents=True, exist_ok=True)
    preprocessing, resolved = classifier.preprocessing, run.resolved
    weights = {name: tensor.cpu().contiguous() for name, tensor in run.network.state_dict().items()}
    write_atomically(place / MODEL, encode(weights))
    statistics = {name: getattr(preprocessing, name).contiguous() for name in _NUMBERS}
    write_atomically(place / STATISTICS, encode(statistics))
    names = [MODEL, STATISTICS]
    if classifier.calibrator is not None:
        calibration.save(classifier.calibrator, place / CALIBRATOR)
        names.append(CALIBRATOR)
    for tokenizer in preprocessing.tokenizers:
        write_atomically(place / TOKENIZER, tokenizer.content.encode())
        names.append(TOKENIZER)
    model = run.specification.model
    header = PackedHeader(
        run=resolved.identity,
        class_names=classifier.class_names,
        input_shape=tuple(classifier.input_shape),
        precision=resolved.precision,
        model_source=resolved.model_source,
    )
    # the weights are part of the folder, wherever training started from
    starts = {*model.places, "init_head"}
    tables = {
        "classifier": header.model_dump(exclude_none=True),
        "model": {key: value for key, value in _without_none(model.model_dump()).items() if key not in starts},
        "preprocessing": _without_none({k: v for k, v in preprocessing.to_dict().items() if k not in _NUMBERS}),
        "files": {name: checksum_file(place / name) for name in names},
    }
    write_atomically(place / DESCRIPTION, write_toml(tables).encode())


def load_packed_run(place: Path) -> NetworkClassifier:
    """Load what :func:`save_packed_run` saved; see :func:`softtargets.export.load_packed`."""
    packed = PackedClassifier.parse(read_toml(place / DESCRIPTION), source=str(place / DESCRIPTION))
    known = {MODEL, STATISTICS, CALIBRATOR, TOKENIZER}
    check_files(place, packed.files, {MODEL, STATISTICS}, known)
    header = packed.classifier
    if packed.model.source() != header.model_source:
        required = f"the code of '{packed.model.name}' that the classifier was trained with"
        raise fail("model", required, "other code in that module", "restore it, or train again")
    try:
        statistics = {name: value.tolist() for name, value in load_file(place / STATISTICS).items()}
        tokenizers = [read_regular(place / TOKENIZER).decode()] if TOKENIZER in packed.files else []
        content = {"view": None, **packed.preprocessing, **statistics}
        preprocessing = Preprocessing.from_dict(content, tokenizers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(place, "the preprocessing", error) from error
    shape = read_shape(header.input_shape)
    network = laid_out(packed.model.build(shape, len(header.class_names)), shape).eval()
    network.requires_grad_(requires_grad=False)
    _load_into(network, place)
    calibrator = calibration.load(place / CALIBRATOR) if CALIBRATOR in packed.files else None
    limited = preprocessing.limited(packed.model.most_tokens(shape, len(header.class_names)))
    settings = {"precision": header.precision, "calibrator": calibrator}
    return NetworkClassifier(network, limited, shape, header.class_names, **settings)


def check_files(place: Path, files: dict[str, str], required: Set[str], known: Set[str]) -> None:
    """Require the files of a packed classifier, by their SHA-256."""
    for name in required | set(files):
        if name not in known or name not in files:
            got = f"{'no' if name not in files else 'an unknown'} '{name}'"
            raise fail(f"{place / DESCRIPTION}: files", f"some of {', '.join(sorted(known))}", got, "export it again")
        try:
            open_regular(place / name).close()
            found = checksum_file(place / name)
        except OSError as error:
            raise _damaged(place, f"'{name}'", error) from error
        if found != files[name]:
            raise fail("folder", f"an intact '{name}' in '{place}'", "another checksum", "export it again")


def _load_into(network: nn.Module, place: Path) -> None:
    try:
        load_weights(network, place / MODEL)
    except WEIGHTS_ERRORS as error:
        raise _damaged(place, f"weights of the network in '{MODEL}'", error) from error


def _damaged(place: Path, what: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return fail("folder", f"{what} of a packed classifier in '{place}'", reason, "export it again")


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    """Return a table without the values that are None, which TOML has not."""
    return {
        key: _without_none(value) if isinstance(value, dict) else _list_without_none(value)
        for key, value in content.items()
        if value is not None
    }


def _list_without_none(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_none(one) if isinstance(one, dict) else one for one in value]
    return value
