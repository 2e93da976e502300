"""The files that an evaluation reads, from the command line or from Python."""

import glob
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from softtargets._errors import fail, fail_type
from softtargets.report.encoding import printable
from softtargets.report.folders import read_folder, read_path, read_paths

LABELS, COUNTS = "labels", "counts"
# The file of the folder of an ensemble that is evaluated.
TEST_PREDICTIONS = "test.safetensors"
# Digits of the name of a run's or an ensemble's folder that name it.
_DIGITS = 8


@dataclass(frozen=True)
class NamedFiles:
    """The files of one model in the order of their rows, and the name of the model."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model as the user gave them.

    Args:
        files: paths or patterns, in the order of the rows. A path that does not exist and contains `*`, `?` or `[` is
            a pattern; the matching files, sorted by name, are shards.
        name: name of the model; None: the stem of the files.
    """

    files: tuple[str, ...]
    name: str | None = None

    @classmethod
    def of(cls, argument: str, files: Any, name: str | None = None) -> Self:
        """Return the files given in Python: a path, a pattern or a sequence of these.

        Raises:
            InputTypeError: something else.
        """
        return cls(tuple(map(str, read_paths(argument, files))), name)

    @classmethod
    def parse(cls, argument: str, text: str) -> Self:
        """Return the files written as [NAME=]FILE on the command line."""
        name, equals, file = text.partition("=")
        # The name of an existing file may contain "=" and is then not split.
        if not equals or Path(text).expanduser().exists() or "/" in name:
            return cls((text,))
        if not (name and file):
            raise fail(argument, "FILE or NAME=FILE", f"'{text}'", "write both sides of '=', or only the file")
        return cls((file,), name)

    @property
    def texts(self) -> tuple[str, ...]:
        """The arguments of the command line."""
        first, *others = self.files
        return (first if self.name is None else f"{self.name}={first}", *others)

    def paths(self, argument: str) -> tuple[Path, ...]:
        """Return the paths, with patterns expanded.

        Raises:
            InputError: no file matches a pattern.
        """
        return tuple(path for file in self.files for path in _expanded(argument, file))


@dataclass(frozen=True)
class EvaluateRequest:
    """Files of predictions of one or several models, or folders of ensembles or of runs that write tokens.

    Args:
        main: the model to evaluate.
        against: the models to compare it with, on the same rows in the same order.
        logits: name of the array or columns of logits in all files; None: "logits".
        probs: name of the array or columns of probabilities in all files; None: "probs".
        labels: name of the labels in the files; None: "labels".
        labels_from: FILE[:NAME] with the labels of all models, instead of those in the files.
        mask: name of the mask of tokens, in the files of the labels; None: "mask" if there is one.
        token_counts: FILE[:NAME] with the number of times that each token occurs in the training data; None: tokens
            are counted in the labels.
        conformal_from: file of other rows of the main model, with labels, that determine the thresholds of prediction
            sets; None: a random half of the rows does.
        split: of the data of runs: "train", "validation" or "test"; None: "test".
        output: folder for the page; None: no page, unless the options name a folder of reports.
    """

    main: ModelFiles
    against: tuple[ModelFiles, ...] = ()
    logits: str | None = None
    probs: str | None = None
    labels: str | None = None
    labels_from: str | None = None
    mask: str | None = None
    token_counts: str | None = None
    conformal_from: str | None = None
    split: Literal["train", "validation", "test"] | None = None
    output: Path | None = None

    def __post_init__(self) -> None:
        for name, given in (("main", (self.main,)), ("against", self.against)):
            wrong = next((one for one in given if not isinstance(one, ModelFiles)), None)
            if wrong is not None:
                remedy = "use EvaluateRequest.parse(['p.npz']), or evaluate_predictions(predictions='p.npz')"
                raise fail_type(name, "ModelFiles", type(wrong).__name__, remedy)
        if self.output is not None:
            object.__setattr__(self, "output", read_folder("output", self.output))

    @classmethod
    def parse(cls, predictions: Sequence[str], against: Sequence[str] = (), **settings: Any) -> Self:
        """Return the request for arguments of the command line, each written as [NAME=]FILE.

        Raises:
            InputError: a bad name, or several names for the main model.
        """
        parts = [ModelFiles.parse("predictions", text) for text in predictions]
        names = list(dict.fromkeys(part.name for part in parts if part.name))
        if len(names) > 1:
            remedy = "give another model's files by --against NAME=FILE"
            raise fail("predictions", "files of one model", f"the names {', '.join(names)}", remedy)
        main = ModelFiles(tuple(part.files[0] for part in parts), names[0] if names else None)
        return cls(main, tuple(ModelFiles.parse("--against", text) for text in against), **settings)

    def command(self, seed: int, conformal: float | None = None) -> str:
        """Return the command that repeats this evaluation; empty text if no command can express it.

        Args:
            seed: seed of the evaluation.
            conformal: share of prediction sets that may miss the label; None: no sets.
        """
        names = (
            "logits",
            "probs",
            "labels",
            "labels_from",
            "mask",
            "token_counts",
            "conformal_from",
            "split",
            "output",
        )
        settings = {name: value for name in names if (value := getattr(self, name)) is not None}
        words = list(self.main.texts)
        for other in self.against:
            words += ["--against", *other.texts]
        if EvaluateRequest.parse(self.main.texts, [other.texts[0] for other in self.against], **settings) != self:
            return ""
        for name, value in settings.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        words += [] if conformal is None else ["--conformal", str(conformal)]
        return printable(shlex.join(["softtargets", "evaluate", *words, "--seed", str(seed)]))

    def models(self) -> tuple[NamedFiles, ...]:
        """Return the files of the main model and of the others, each model under a unique name.

        Raises:
            InputError: a pattern that no file matches, a file that is given twice, or one name for several models.
        """
        models = [(self.main.name, self.main.paths("predictions"))]
        path, times = Counter(models[0][1]).most_common(1)[0]
        if times > 1:
            raise fail("predictions", "every file once", f"'{path}' {times} times", "give each file once")
        models += [(other.name, other.paths("against")) for other in self.against]
        stems = Counter(_stem(paths) for name, paths in models if not name)
        named = tuple(NamedFiles(printable(name or _unique_stem(paths, stems)), paths) for name, paths in models)
        name, times = Counter(model.name for model in named).most_common(1)[0]
        if times > 1:
            remedy = "name them by --against NAME=FILE; for shards of one model give one pattern, 'NAME=shard-*.npz'"
            raise fail("against", "a unique name for each model", f"'{name}' {times} times", remedy)
        return named

    def labels_file(self) -> tuple[Path, str] | None:
        """Return the separate file of labels and the name in it; None if the predictions' files contain the labels."""
        if self.labels_from is None:
            return None
        if self.labels is not None:
            remedy = "pass --labels NAME for labels in the files, or --labels-from FILE:NAME for a separate file"
            raise fail("--labels-from", "not combined with --labels", f"'{self.labels}'", remedy)
        return _file_and_name("--labels-from", self.labels_from, LABELS)

    def counts_file(self) -> tuple[Path, str] | None:
        """Return the file of token counts and the name in it; None if tokens are counted in the labels."""
        return None if self.token_counts is None else _file_and_name("--token-counts", self.token_counts, COUNTS)


def is_run(paths: tuple[Path, ...]) -> bool:
    """Return whether a model is given as the folder of a run."""
    if len(paths) != 1 or not paths[0].is_dir():
        return False
    # imported here, since files of predictions do not need the specifications of runs
    from softtargets.runs.store import SPEC

    return (paths[0] / SPEC).exists()


def is_ensemble(paths: tuple[Path, ...]) -> bool:
    """Return whether a model is given as the folder of an ensemble, which has a file of its predictions."""
    return len(paths) == 1 and (paths[0] / TEST_PREDICTIONS).is_file()


def _file_and_name(option: str, text: str, default: str) -> tuple[Path, str]:
    """Return the file and the name of FILE[:NAME]."""
    whole = Path(text).expanduser()
    file, colon, name = text.rpartition(":")
    if whole.exists() or not (file and colon):
        return whole, default
    if not name:
        raise fail(option, "FILE or FILE:NAME", f"'{text}'", "write a name after the colon")
    return Path(file).expanduser(), name


def _expanded(argument: str, file: str) -> tuple[Path, ...]:
    path = read_path(argument, file)
    if path.exists() or not glob.has_magic(file):
        return (path,)
    paths = tuple(Path(found) for found in sorted(glob.glob(str(path))))
    if not paths:
        raise fail(argument, "a pattern that matches files", f"'{file}'", "check the folder and the file extension")
    return paths


def _stem(paths: tuple[Path, ...]) -> str:
    """Return the name of a model: the stem of a single file, or that of shards without their numbers."""
    if is_run(paths) or is_ensemble(paths):
        return paths[0].resolve().name[:_DIGITS]
    stem = paths[0].stem
    return stem if len(paths) == 1 else re.sub(r"[-_.]?\d+([-_.]?of[-_.]?\d+)?$", "", stem) or stem


def _unique_stem(paths: tuple[Path, ...], stems: Counter[str]) -> str:
    """Return the stem, or the path without its extension where several models share the stem."""
    stem = _stem(paths)
    return stem if stems[stem] == 1 else str(paths[0].with_suffix(""))
