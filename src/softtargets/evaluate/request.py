"""The files that `softtargets evaluate` was given, as they are written on the command line."""

import glob
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from softtargets._errors import fail
from softtargets.report.encoding import printable

LABELS = "labels"
REPORTS = Path("reports")


@dataclass(frozen=True)
class NamedFiles:
    """The files of one model, in the order of their rows, and its name."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class EvaluateRequest:
    """Files of predictions, as the command line names them.

    A FILE that does not exist and contains `*`, `?` or `[` is a pattern. The files that match it, sorted by name, are
    shards of one model.

    Args:
        predictions: [NAME=]FILE, one or several: the predictions of one model. Several files are shards, in order.
        against: [NAME=]FILE, one per model to compare with: predictions of the same rows in the same order.
        logits: name of the array or columns of logits in all files; None: "logits".
        probs: name of the array or columns of probabilities in all files; None: "probs".
        labels: name of the labels in the files; None: "labels".
        labels_from: FILE[:NAME] with the labels of all models, instead of those in the files.
        output: folder of the page; None: none was named.
    """

    predictions: tuple[str, ...]
    against: tuple[str, ...] = ()
    logits: str | None = None
    probs: str | None = None
    labels: str | None = None
    labels_from: str | None = None
    output: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the page: `output`, else one in ./reports named after the model."""
        return self.output or REPORTS / re.sub(r"[^\w.-]+", "_", f"evaluate-{self.models()[0].name}")

    def command(self, seed: int) -> str:
        """Return the command that repeats this evaluation."""
        words = ["softtargets", "evaluate", *self.predictions]
        for other in self.against:
            words += ["--against", other]
        for name in ("logits", "probs", "labels", "labels_from", "output"):
            value = getattr(self, name)
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        return printable(shlex.join([*words, "--seed", str(seed)]))

    def models(self) -> tuple[NamedFiles, ...]:
        """Return the files of the main model and then those of the others, each model under a unique name.

        Raises:
            InputError: a pattern that no file matches, a file that is named twice, several names for one model, or one
                name for several models.
        """
        parts = [_parsed("predictions", text) for text in self.predictions]
        given = list(dict.fromkeys(name for name, _ in parts if name))
        if len(given) > 1:
            remedy = "name another model's files by --against NAME=FILE"
            raise fail("predictions", "files of one model", f"the names {', '.join(given)}", remedy)
        shards = tuple(path for _, paths in parts for path in paths)
        path, times = Counter(shards).most_common(1)[0]
        if times > 1:
            raise fail("predictions", "every file once", f"'{path}' {times} times", "name each file once")
        models = [(given[0] if given else None, shards), *(_parsed("--against", text) for text in self.against)]
        stems = Counter(_stem(paths) for name, paths in models if not name)
        named = tuple(
            NamedFiles(
                printable(name or (stem if stems[stem := _stem(paths)] == 1 else str(paths[0].with_suffix("")))), paths
            )
            for name, paths in models
        )
        name, times = Counter(model.name for model in named).most_common(1)[0]
        if times > 1:
            remedy = "name them by --against NAME=FILE; for shards of one model give one pattern, 'NAME=shard-*.npz'"
            raise fail("--against", "a unique name for each model", f"'{name}' {times} times", remedy)
        return named

    def labels_file(self) -> tuple[Path, str] | None:
        """Return the separate file of labels and the name in it, or None where the predictions' files hold them."""
        if self.labels_from is None:
            return None
        if self.labels is not None:
            remedy = "pass --labels NAME for labels in the files, or --labels-from FILE:NAME for a separate file"
            raise fail("--labels-from", "not combined with --labels", f"'{self.labels}'", remedy)
        whole = Path(self.labels_from).expanduser()
        file, colon, name = self.labels_from.rpartition(":")
        if whole.exists() or not (file and colon):
            return whole, LABELS
        if not name:
            raise fail("--labels-from", "FILE or FILE:NAME", f"'{self.labels_from}'", "write a name after the colon")
        return Path(file).expanduser(), name


def _parsed(argument: str, text: str) -> tuple[str | None, tuple[Path, ...]]:
    """Return the name, if there is one, and the files of [NAME=]FILE."""
    name, equals, file = text.partition("=")
    # the name of an existing file may contain "=" and is then not split
    if not equals or Path(text).expanduser().exists() or "/" in name:
        name, file = "", text
    elif not (name and file):
        raise fail(argument, "FILE or NAME=FILE", f"'{text}'", "write both sides of '=', or the file alone")
    path = Path(file).expanduser()
    if path.exists() or not glob.has_magic(file):
        return name or None, (path,)
    paths = tuple(Path(found) for found in sorted(glob.glob(str(path))))
    if not paths:
        raise fail(argument, "a pattern that matches files", f"'{file}'", "check the folder and the ending")
    return name or None, paths


def _stem(paths: tuple[Path, ...]) -> str:
    """Return the name of a model: the stem of a single file, that of shards without their number."""
    stem = paths[0].stem
    return stem if len(paths) == 1 else re.sub(r"[-_.]?\d+([-_.]?of[-_.]?\d+)?$", "", stem) or stem
