"""What the user of `softtargets evaluate` asked for."""

import glob
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from softtargets._errors import fail

LABELS = "labels"


@dataclass(frozen=True)
class Named:
    """The files of one model, in the order of their rows, and what it is called."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class EvaluateRequest:
    """What the user asked for.

    A FILE that does not exist and holds `*`, `?` or `[` is a pattern: its files, sorted by name, are shards of one
    model.

    Args:
        predictions: [NAME=]FILE, one or several: the predictions of one model, whose rows follow one another.
        against: [NAME=]FILE, a model each, to compare with: on the same rows in the same order.
        logits, probs: name of the array or the columns in all of these files; None: "logits" or "probs".
        labels: name of the labels in them; None: "labels".
        labels_from: FILE[:NAME] with the labels of all models, in place of those in the files.
        seed: of the groups of rows and the draws of the intervals, and of the folds of the temperature.
        output: folder of the page; None: under ./reports by the name of the model.
    """

    predictions: tuple[str, ...]
    against: tuple[str, ...] = ()
    logits: str | None = None
    probs: str | None = None
    labels: str | None = None
    labels_from: str | None = None
    seed: int = 0
    output: Path | None = None

    @property
    def command(self) -> str:
        """The command that does this again."""
        words = ["softtargets", "evaluate", *self.predictions]
        for other in self.against:
            words += ["--against", other]
        for name in ("logits", "probs", "labels", "labels_from", "output"):
            value = getattr(self, name)
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        return shlex.join([*words, "--seed", str(self.seed)])

    def models(self) -> tuple[Named, ...]:
        """Return the model and then those to compare it with; all have names of their own.

        Raises:
            InputError: for a pattern that no file matches, a file that is named twice, several names for one model, or
                one name for several.
        """
        parts = [_parsed("predictions", text) for text in self.predictions]
        given = list(dict.fromkeys(name for name, _ in parts if name))
        if len(given) > 1:
            remedy = "name another model's files by --against NAME=FILE"
            raise fail("predictions", "files of one model", f"the names {', '.join(given)}", remedy)
        shards = tuple(path for _, paths in parts for path in paths)
        path, times = Counter(shards).most_common(1)[0]
        if times > 1:
            raise fail(
                "predictions", "every file once", f"'{path}' {times} times", "its rows would count more than once"
            )
        models = [(given[0] if given else None, shards), *(_parsed("--against", text) for text in self.against)]
        stems = Counter(_stem(paths) for name, paths in models if not name)
        named = tuple(
            Named(name or (stem if stems[stem := _stem(paths)] == 1 else str(paths[0].with_suffix(""))), paths)
            for name, paths in models
        )
        name, times = Counter(model.name for model in named).most_common(1)[0]
        if times > 1:
            remedy = "name them: --against NAME=FILE; shards of one model go into one pattern, 'NAME=shard-*.npz'"
            raise fail("--against", "models with names of their own", f"'{name}' {times} times", remedy)
        return named

    def labels_file(self) -> tuple[Path, str] | None:
        """Return the file of labels and the name in it, or None where the predictions hold them."""
        if self.labels_from is None:
            return None
        if self.labels is not None:
            remedy = "--labels NAME for labels in the files, or --labels-from FILE:NAME for labels beside them"
            raise fail("--labels-from", "no --labels beside it", f"'{self.labels}'", remedy)
        whole = Path(self.labels_from).expanduser()
        file, colon, name = self.labels_from.rpartition(":")
        if whole.exists() or not (file and colon):
            return whole, LABELS
        if not name:
            raise fail("--labels-from", "FILE or FILE:NAME", f"'{self.labels_from}'", "write a name after the colon")
        return Path(file).expanduser(), name


def _parsed(argument: str, text: str) -> tuple[str | None, tuple[Path, ...]]:
    """Return the name, where there is one, and the files of [NAME=]FILE."""
    name, equals, file = text.partition("=")
    # a file may have this sign in its name, and then is not taken apart
    if not equals or Path(text).expanduser().exists() or "/" in name:
        name, file = "", text
    elif not (name and file):
        raise fail(argument, "FILE or NAME=FILE", f"'{text}'", "write both sides of '=', or the file alone")
    path = Path(file).expanduser()
    if path.exists() or not glob.has_magic(file):
        return name or None, (path,)
    paths = tuple(Path(found) for found in sorted(glob.glob(str(path))))
    if not paths:
        raise fail(argument, "a pattern that files match", f"'{file}'", "check the folder and the ending")
    return name or None, paths


def _stem(paths: tuple[Path, ...]) -> str:
    """Return what files are called: a single one by its name, shards without their number."""
    stem = paths[0].stem
    return stem if len(paths) == 1 else re.sub(r"[-_.]?\d+([-_.]?of[-_.]?\d+)?$", "", stem) or stem


def folder_name(name: str) -> str:
    """Return the name of a folder for the page of a model."""
    return re.sub(r"[^\w.-]+", "_", f"evaluate-{name}")
