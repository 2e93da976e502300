"""What is audited: the texts, the paths of images, or the numbers of the rows."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from softtargets.data.dataset import Dataset
from softtargets.data.sources import image_paths
from softtargets.data.spec import DataSpec

TEXT, IMAGE = "text", "image"


@dataclass(frozen=True, eq=False)
class AuditedExamples:
    """The examples of the audited rows.

    Args:
        column: name of the column, "text" or "image"; None for a table, whose columns have names of their own.
        shown: one text, or one path of an image, for each row; None for a table.
        names: the columns of a table.
        values: (N, D) float64 for a table, else None.
    """

    column: str | None
    shown: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()
    values: Tensor | None = None

    @property
    def numeric(self) -> bool:
        """Whether the rows are those of a table."""
        return self.column is None

    def columns(self, rows: Tensor) -> dict[str, Any]:
        """Return the columns of some rows, (n,) int64: a tuple of texts, or (n,) float64 tensors."""
        if self.column is not None and self.shown is not None:
            return {self.column: tuple(self.shown[row] for row in rows.tolist())}
        assert self.values is not None
        chosen = self.values[rows]
        return {name: chosen[:, place].contiguous() for place, name in enumerate(self.names)}


def examples_of(dataset: Dataset, data: DataSpec) -> AuditedExamples | None:
    """Return the examples of the training split; None for images that are not files of their own."""
    rows = dataset.splits["train"].tolist()
    if dataset.texts is not None:
        return AuditedExamples(TEXT, tuple(dataset.texts[row] for row in rows))
    if dataset.is_image:
        paths = image_paths(data)
        return None if paths is None else AuditedExamples(IMAGE, tuple(paths[row] for row in rows))
    return AuditedExamples(None, names=dataset.columns, values=dataset.inputs[dataset.splits["train"]])
