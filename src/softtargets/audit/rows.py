"""Files with every audited row: `all.parquet`, and `cleaned.csv` without the labels that are surely wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyarrow.csv import CSVWriter, WriteOptions
from torch import Tensor

from softtargets._storage import write_atomically
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.examples import AuditedExamples
from softtargets.noise.streaming.blocks import LabelledBlock

# Names of the columns of judged rows that are not scores.
WRONG, SUGGESTED = "wrong", "suggested"


@dataclass(frozen=True, eq=False, repr=False)
class AuditedRows:
    """All audited rows, which are read again block by block when the files are written.

    Args:
        evidence: probabilities and labels.
        judge: returns columns by name of a block of rows: `wrong` (n,) probability that the label is wrong, `suggested`
            (n,) int64, and every score of the predictions.
        dropped_from: rows whose label is wrong with at least this probability are left out of `cleaned.csv`; None: no
            row is left out.
        examples: the texts, paths of images or numbers of the rows; None if they are unknown.
        specification: returns the specification to train with for the folder of the page; None without one.
        with_probs: whether `all.parquet` has the held-out probabilities.
    """

    evidence: LabelEvidence
    judge: Callable[[LabelledBlock], dict[str, Tensor]]
    dropped_from: float | None = None
    examples: AuditedExamples | None = None
    specification: Callable[[Path], bytes] | None = None
    with_probs: bool = True

    def write(self, folder: Path) -> None:
        """Write `all.parquet`, `cleaned.csv` and `train.toml` into a folder, each renamed into place."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "all.parquet", self.parquet())
        write_atomically(folder / "cleaned.csv", self.cleaned())
        if self.specification is None:
            (folder / "train.toml").unlink(missing_ok=True)
        else:
            write_atomically(folder / "train.toml", self.specification(folder))

    def parquet(self) -> Iterator[bytes]:
        """Yield the parts of `all.parquet`: one line for each row, in their order.

        Columns: `row`, the text or the path of the image, `given` and `suggested` with their names,
        `probability_wrong`, every score, `reference` if it is known, and `probs`, the list of held-out probabilities.
        If people decided on labels, `given` has their decisions, `before` the labels as they were given, and `reviewed`
        says which these are.
        """
        parts, writer = _Parts(), None
        for block in self.evidence.blocks(False):
            table = self._table(block)
            if writer is None:
                writer = pq.ParquetWriter(pa.PythonFile(parts, "w"), table.schema)
            writer.write_table(table)
            yield parts.take()
        if writer is not None:
            writer.close()
        yield parts.take()

    def cleaned(self) -> Iterator[bytes]:
        """Yield the parts of `cleaned.csv`: the rows that are kept, with the given or the reviewed labels.

        Columns: `row`, the text, the path of the image or the numbers, and `label`. Nothing is escaped, so that the
        file can be trained on.
        """
        names = texts(self.evidence.class_names)
        parts, writer = _Parts(), None
        for given in self.evidence.blocks(False):
            block = self.evidence.corrected(given)
            rows = torch.arange(len(block)) + block.first_row
            if self.dropped_from is not None:
                rows = rows[self.judge(block)[WRONG] < self.dropped_from]
            shown = {} if self.examples is None else self.examples.columns(rows)
            label = names.take(numbers(block.labels[rows - block.first_row].numpy()))
            # a column of the table that is called "row" is kept
            columns = {"row": rows, **shown, "label": label}
            table = pa.table({name: column(one) for name, one in columns.items()})
            if writer is None:
                options = WriteOptions(quoting_style="needed")
                writer = CSVWriter(pa.PythonFile(parts, "w"), table.schema, write_options=options)
            writer.write_table(table)
            yield parts.take()
        if writer is not None:
            writer.close()
        yield parts.take()

    def _table(self, given: LabelledBlock) -> pa.Table:
        evidence, block = self.evidence, self.evidence.corrected(given)
        judged = self.judge(block)
        names, rows = texts(evidence.class_names), torch.arange(len(block)) + block.first_row
        shown = {} if self.examples is None or self.examples.numeric else self.examples.columns(rows)
        wrong, suggested = judged.pop(WRONG), judged.pop(SUGGESTED)
        columns: dict[str, Any] = {
            "row": rows,
            **shown,
            "given": block.labels,
            "given_name": names.take(numbers(block.labels.numpy())),
            "suggested": suggested.long(),
            "suggested_name": names.take(numbers(suggested.long().numpy())),
            "probability_wrong": wrong.float(),
            **judged,
            **{name: values[rows].float() for name, values in evidence.dynamics.items()},
        }
        if evidence.reference is not None:
            reference = evidence.reference[rows]
            columns |= {"reference": reference, "reference_name": names.take(numbers(reference.numpy()))}
        if evidence.reviewed is not None:
            columns |= {"before": given.labels, "reviewed": _truths((~evidence.is_open(rows)).numpy())}
        table = pa.table({name: column(one) for name, one in columns.items()})
        if not self.with_probs:
            return table
        probs = numbers(block.probs.float().flatten().numpy())
        lists = pa.FixedSizeListArray.from_arrays(probs, evidence.num_classes)
        return table.append_column("probs", lists)


def column(values: Any) -> pa.Array:
    """Return an Arrow column of a tensor or of texts."""
    if isinstance(values, Tensor):
        return numbers(values.numpy())
    return texts(values) if isinstance(values, tuple) else values


class _Parts:
    """A file that is written to memory, and whose parts are taken away while it grows."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken


# pa.array imports pandas if it is installed, which takes 0.5 s and 60 MB.


def numbers(values: np.ndarray) -> pa.Array:
    """Return an Arrow array of numbers."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, data])


def _truths(values: np.ndarray) -> pa.Array:
    data = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, data])


def texts(values: tuple[str, ...]) -> pa.Array:
    """Return an Arrow array of texts."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(values), buffers)
