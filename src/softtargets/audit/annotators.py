"""The audit of several annotators: their agreement, the error rate of each, and the classes that they imply."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail, unknown
from softtargets._storage import user_path
from softtargets.audit.estimates import IntervalEstimate
from softtargets.data.arrays.file import Wanted
from softtargets.data.arrays.opening import open_arrays
from softtargets.noise import AnnotatorModel, annotator_agreement, dawid_skene

_ROWS = 65_536
# Kinds of mistakes of an annotator that the page names.
_MOST_MISTAKES = 3


@dataclass(frozen=True)
class AnnotatorMistake:
    """A pair of classes, and the estimated number of items of class `clean` that an annotator labelled `observed`."""

    clean: int
    observed: int
    labels: float


@dataclass(frozen=True)
class AuditedAnnotator:
    """One annotator.

    Args:
        name: its column.
        labels: number of its labels.
        error_rate: estimated share of wrong labels, with its interval.
        mistakes: its most frequent mistakes.
        confusion: (K, K) rows of the estimated confusion matrix, row = true class, column = its label.
    """

    name: str
    labels: int
    error_rate: IntervalEstimate
    mistakes: tuple[AnnotatorMistake, ...]
    confusion: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class AnnotatorAudit:
    """The audit of several annotators.

    Args:
        file: the file of their labels.
        alpha: Krippendorff's alpha, with its interval.
        kappa: Fleiss' kappa; NaN unless every item has equally many labels.
        observed: share of pairs of labels of one item that agree.
        items: number of items with at least two labels.
        annotators: in the order of their columns.
        consensus: (N, K) float64, probability of each true class given all labels of an item.
        votes: (N, K) int64, number of annotators who chose each class.
        pairwise: (A, A) rows, the share of the items of two annotators for which their labels agree; NaN for two who
            share no item.
        converged: whether EM converged.
    """

    file: str
    alpha: IntervalEstimate
    kappa: float
    observed: float
    items: int
    annotators: tuple[AuditedAnnotator, ...]
    consensus: Tensor
    votes: Tensor
    pairwise: tuple[tuple[float, ...], ...]
    converged: bool

    def to_dict(self) -> dict[str, Any]:
        """Return all fields except the consensus and the votes, which have their own files."""
        names = ("file", "kappa", "observed", "items", "pairwise", "converged")
        numbers = {name: getattr(self, name) for name in names}
        return {**numbers, "alpha": asdict(self.alpha), "annotators": [asdict(one) for one in self.annotators]}


def annotator_columns(text: str) -> tuple[Path, tuple[str, ...]]:
    """Return the file and the columns of FILE:COLUMN,COLUMN,... and require that they exist.

    Raises:
        InputError: if the text has another form, the file cannot be read, or a column is missing or named twice.
    """
    file, colon, columns = text.rpartition(":")
    names = tuple(columns.split(","))
    if not (file and colon) or len(names) < 2 or not all(names):
        remedy = "name the columns of at least two annotators, such as labels.csv:first,second"
        raise fail("annotators", "FILE:COLUMN,COLUMN,...", f"'{text}'", remedy)
    if len(set(names)) < len(names):
        raise fail("annotators", "every column once", f"'{columns}'", "name each annotator once")
    path = user_path("annotators", file)
    known = open_arrays(path).names
    for name in names:
        if name not in known:
            raise unknown("annotators", name, known)
    return path, names


def read_annotators(text: str, class_names: tuple[str, ...]) -> tuple[tuple[str, ...], Tensor]:
    """Return the names of the annotators, and their labels, (N, A) int64, -1 where there is none.

    Args:
        text: FILE:COLUMN,COLUMN,... with class indices or class names; -1, or a missing cell of a Parquet file, is no
            label.
        class_names: K names.

    Raises:
        InputError: as :func:`annotator_columns`, or for a cell that is not a class, with its file, row and column.
    """
    path, names = annotator_columns(text)
    wanted = [Wanted((name,), class_names) for name in names]
    blocks = [torch.stack([part.double() for part in block], 1) for block in open_arrays(path).blocks(wanted, _ROWS)]
    values = torch.cat(blocks)
    absent = values.isnan() | (values == -1)
    index = first_bad(~absent & ~((values >= 0) & (values < len(class_names)) & (values == values.floor())))
    if index is not None:
        required = f"class names, or whole numbers of at least 0 and below {len(class_names)}, or -1 for no label"
        got = f"{float(values[index]):g} in {path}, row {index[0]}, column '{names[index[1]]}'"
        raise fail("annotators", required, got, "fix that cell")
    return names, values.masked_fill(absent, -1).long()


def audit_annotators(text: str, class_names: tuple[str, ...], *, seed: int) -> AnnotatorAudit:
    """Measure the annotators whose labels are in FILE:COLUMN,COLUMN,...

    Args:
        text: the file and its columns.
        class_names: K names.
        seed: seed of the bootstrap.

    Raises:
        InputError: as :func:`read_annotators`, or if an item or an annotator has no label.
    """
    names, labels = read_annotators(text, class_names)
    generator, size = torch.Generator().manual_seed(seed), len(class_names)
    agreement = annotator_agreement(labels, num_classes=size, generator=generator)
    model = dawid_skene(labels, num_classes=size, generator=generator)
    return AnnotatorAudit(
        file=Path(text.rpartition(":")[0]).name,
        alpha=IntervalEstimate(float(agreement.alpha), *agreement.alpha_interval.tolist()),
        kappa=float(agreement.kappa),
        observed=float(agreement.observed),
        items=agreement.items,
        annotators=tuple(_audited(name, place, labels, model) for place, name in enumerate(names)),
        consensus=model.posterior,
        votes=torch.stack([(labels == label).sum(1) for label in range(size)], dim=1),
        pairwise=tuple(map(tuple, agreement.pairwise.tolist())),
        converged=model.converged,
    )


def _audited(name: str, place: int, labels: Tensor, model: AnnotatorModel) -> AuditedAnnotator:
    given = labels[:, place] >= 0
    counts = torch.zeros_like(model.confusion[place])
    counts.index_add_(1, labels[given, place], model.posterior[given].T)
    mistakes = counts.clone().fill_diagonal_(0)
    most = mistakes.flatten().topk(min(_MOST_MISTAKES, mistakes.numel())).indices.tolist()
    pairs = [divmod(index, len(counts)) for index in most]
    low, high = model.error_interval[place].tolist()
    return AuditedAnnotator(
        name=name,
        labels=int(model.counts[place]),
        error_rate=IntervalEstimate(float(model.error_rate[place]), low, high),
        mistakes=tuple(
            AnnotatorMistake(clean, observed, float(mistakes[clean, observed]))
            for clean, observed in pairs
            if float(mistakes[clean, observed]) >= 0.5
        ),
        confusion=tuple(tuple(row) for row in model.confusion[place].tolist()),
    )
