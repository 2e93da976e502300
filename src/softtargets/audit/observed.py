"""The labels of a data set that are audited: its own or those of another file, with those that people decided on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import write_atomically
from softtargets.audit.checked import CheckedLabels, read_checked
from softtargets.audit.request import AuditRequest
from softtargets.data import read_observed
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.spec import DataSpec

REVIEWED = (
    "{:,} labels were reviewed by people, and models are trained on what they decided. The noise rate and the "
    "transition are those of the labels as they were given. The suspects, and the expected numbers of wrong labels, "
    "are of the labels that were not reviewed."
)


@dataclass(frozen=True, eq=False)
class DatasetLabels:
    """The labels of the training split.

    Args:
        given: (N,) int64, as they were given.
        reference: (N,) int64, labels that only evaluate the audit, or None.
        place: file and column of the labels to train on; None: those of the data set.
        words: which labels these are, in words.
        reviewed: labels that people decided on, or None.
    """

    given: Tensor
    reference: Tensor | None
    place: tuple[str, str] | None
    words: str
    reviewed: CheckedLabels | None

    @property
    def labels(self) -> Tensor:
        """(N,) int64, the labels that are audited: as they were given or, where people decided, reviewed."""
        return self.given if self.reviewed is None else self.reviewed.correct(self.given)


def read_labels(request: AuditRequest, dataset: Dataset, data: DataSpec, cache: Path) -> DatasetLabels:
    """Read the labels of a data set.

    Args:
        request: names the files.
        dataset: the data set.
        data: its specification.
        cache: folder for a file of reviewed labels, which networks are trained on.

    Raises:
        InputError: a file that cannot be read, or a label or row that there is not.
    """
    place = None if request.labels is None else _file_and_column(request.labels)
    words = _in_words(dataset, data, place)
    rows = dataset.splits["train"]
    recorded = None if place is None else read_observed(*place, dataset)
    reference = None if recorded is None else dataset.labels[rows]
    given = (dataset.labels if recorded is None else recorded)[rows]
    reviewed = read_reviewed(request, dataset.class_names)
    if reviewed is not None:
        reviewed.require_below("reviewed", len(rows))
        place = _write(dataset, reviewed.correct(given), cache)
    return DatasetLabels(given, reference, place, words, reviewed)


def read_reviewed(request: AuditRequest, class_names: tuple[str, ...]) -> CheckedLabels | None:
    """Read the labels that people decided on; None without a file of them."""
    path = request.options.reviewed
    return None if path is None else read_checked("reviewed", path, class_names)


def reviewed_note(reviewed: CheckedLabels | None) -> tuple[str, ...]:
    """Return the remark for the reader; none without reviewed labels."""
    return () if reviewed is None else (REVIEWED.format(len(reviewed)),)


def _file_and_column(labels: str) -> tuple[str, str]:
    file, colon, column = labels.rpartition(":")
    if not (file and colon and column):
        raise fail("labels", "FILE:COLUMN", f"'{labels}'", "write the file, a colon and the name of the column")
    return file, column


def _in_words(dataset: Dataset, data: DataSpec, place: tuple[str, str] | None) -> str:
    if place is not None:
        return f"{dataset.name}, labels {place[1]} of {Path(place[0]).name}"
    return f"{dataset.name}, its own labels" if dataset.name == "digits" else f"{dataset.name}, column {data.label}"


def _write(dataset: Dataset, labels: Tensor, cache: Path) -> tuple[str, str]:
    """Write labels of the training split into a file, named after its content, that the noise "recorded" reads."""
    whole = dataset.labels.clone()
    whole[dataset.splits["train"]] = labels
    own = whole[dataset.origin == SPLITS.index("train")]
    content = "\n".join(["label", *map(str, own.tolist()), ""]).encode()
    path = cache / "labels" / f"{hashlib.sha256(content).hexdigest()[:16]}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return str(path), "label"
