"""Predictions of several models on the same rows, walked through together in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail
from softtargets.data.predictions import PredictionChunk, PredictionFiles, open_predictions
from softtargets.evaluate.request import LABELS, EvaluateRequest

# (stage, rows done, rows of all or None where that is not known)
OnRows = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class Source:
    """One model's files, opened.

    Args:
        name: of the model.
        files: its predictions, and labels where they have any.
        kind: logits or probs.
    """

    name: str
    files: PredictionFiles

    @property
    def kind(self) -> Literal["logits", "probs"]:
        """What the values are."""
        return self.files.kind


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that follow one another, of every model.

    Args:
        values: (n, K) floating point for each model.
        labels: (n,) int64, of all models.
        first_row: the number of the first of them.
    """

    values: tuple[Tensor, ...]
    labels: Tensor
    first_row: int


def open_sources(request: EvaluateRequest) -> tuple[Source, ...]:
    """Open the files of every model and require that they can be compared, as far as their headers tell.

    Raises:
        InputError: for a bad name, file or array, models that differ in classes or rows, or no labels anywhere.
    """
    sources = tuple(
        Source(
            model.name,
            open_predictions(
                model.paths,
                logits=request.logits,
                probs=request.probs,
                labels=request.labels or LABELS,
                labels_from=request.labels_file(),
            ),
        )
        for model in request.models()
    )
    main = sources[0]
    for other in sources[1:]:
        of_main, of_other = main.files.num_classes, other.files.num_classes
        if of_main != of_other:
            required = f"{of_main} classes, as {main.name} has"
            raise fail("--against", required, f"{of_other} in {other.name}", "compare models of the same classes")
        names, others = main.files.class_names, other.files.class_names
        if names and others and names != others:
            required = f"the classes in the order of {main.name}: {', '.join(names)}"
            raise fail("--against", required, f"{', '.join(others)} in {other.name}", "write the columns in one order")
        if None not in (main.files.num_rows, other.files.num_rows) and main.files.num_rows != other.files.num_rows:
            raise _other_rows(main, other, f"{main.files.num_rows:,}", f"{other.files.num_rows:,}")
    if not any(source.files.has_labels for source in sources):
        remedy = "add an array or column named labels, name it by --labels NAME, or pass --labels-from FILE:NAME"
        raise fail("predictions", "labels in the files or beside them", "none", remedy)
    return sources


def walk(sources: Sequence[Source], stage: str, on_rows: OnRows, total: int | None = None) -> Iterator[Block]:
    """Yield the rows of all models side by side, wherever their files are cut.

    Args:
        sources: of which at least one has labels; those of the first that has count for all, and others must be equal.
        stage: what is being done, for `on_rows`.
        on_rows: told after every block.
        total: the number of rows; None: as the headers say, if they do.

    Raises:
        InputError: for a bad row, labels that differ between models, or fewer rows in one than in another.
    """
    total = total or next((s.files.num_rows for s in sources if s.files.num_rows), None)
    streams = [source.files.chunks() for source in sources]
    chunks = [next(stream, None) for stream in streams]
    used, first_row = [0] * len(sources), 0
    on_rows(stage, 0, total)
    while chunks[0] is not None:
        ready = [_there(chunk, first_row, sources, place) for place, chunk in enumerate(chunks)]
        size = min(len(chunk) - start for chunk, start in zip(ready, used, strict=True))
        parts = [(chunk, slice(start, start + size)) for chunk, start in zip(ready, used, strict=True)]
        labels = _labels(parts)
        yield Block(tuple(chunk.values[rows] for chunk, rows in parts), labels, first_row)
        first_row += size
        on_rows(stage, first_row, total)
        for place, chunk in enumerate(ready):
            used[place] += size
            if used[place] == len(chunk):
                chunks[place], used[place] = next(streams[place], None), 0
    for place, chunk in enumerate(chunks):
        if chunk is not None:
            raise _other_rows(sources[0], sources[place], f"{first_row:,}", f"more than {first_row:,}")


def _there(chunk: PredictionChunk | None, rows: int, sources: Sequence[Source], place: int) -> PredictionChunk:
    if chunk is None:
        raise _other_rows(sources[0], sources[place], f"more than {rows:,}", f"{rows:,}")
    return chunk


def _other_rows(main: Source, other: Source, of_main: str, of_other: str) -> InputError:
    required = f"as many rows as {main.name} has, {of_main}"
    got = f"{of_other} in {other.name}"
    return fail("--against", required, got, "compare predictions of the same rows, in the same order")


def _labels(parts: Sequence[tuple[PredictionChunk, slice]]) -> Tensor:
    """Return the labels of some rows, which all models that have any must agree on."""
    known = [(part, part[0].labels[part[1]]) for part in parts if part[0].labels is not None]
    part, labels = known[0]
    for other, its_labels in known[1:]:
        differs = first_bad(its_labels != labels)
        if differs is not None:
            row = differs[0]
            required = f"the labels that the other model has, {int(labels[row])} in {_place(*part, row)}"
            got = f"{int(its_labels[row])} in {_place(*other, row)}"
            raise fail("--against", required, got, "compare predictions of the same rows, in the same order")
    return labels


def _place(chunk: PredictionChunk, rows: slice, row: int) -> str:
    return f"{chunk.file}, row {chunk.file_row + rows.start + row}"
