"""Predictions of several models on the same rows, read in parallel in bounded memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail
from softtargets.data.predictions import (
    IGNORED,
    ArrayLike,
    PredictionChunk,
    PredictionFiles,
    Predictions,
    SequenceNames,
    open_predictions,
    predictions_of,
)
from softtargets.evaluate.request import LABELS, TEST_PREDICTIONS, EvaluateRequest, is_ensemble, is_run

if TYPE_CHECKING:
    from softtargets.evaluate.tokens.runs import RunTokens

# (stage, rows done, number of rows or None if unknown)
OnRows = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class PredictionSource:
    """The predictions of one model.

    Args:
        name: name of the model.
        data: opened files, arrays, or a run, with labels if they have any.
    """

    name: str
    data: "PredictionFiles | Predictions | RunTokens"


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Consecutive rows of all models.

    Args:
        values: (n, K) floating point for each model.
        labels: (n,) int64, the same for all models.
        ids: (n,) int64, increasing: the index of each row among all rows, or of each token among all tokens, including
            those that are not evaluated.
        soft: (n, K) float64, the distribution of the label of each row; None for hard labels.
    """

    values: tuple[Tensor, ...]
    labels: Tensor
    ids: Tensor
    soft: Tensor | None = None


def units_of(ids: Tensor, positions: int | None) -> Tensor:
    """Return the index of the sequence of each token, (n,) int64; for single examples, `ids`."""
    return ids if positions is None else ids // positions


def open_files(request: EvaluateRequest) -> tuple[PredictionSource, ...]:
    """Open the files of every model, the main model first, and check that they belong together.

    Raises:
        InputError: an invalid name, file or array, models that differ in classes or rows, or no labels in any file.
    """
    models = request.models()
    if request.split is not None and not any(is_run(model.paths) for model in models):
        raise fail("--split", "left out for files of predictions", f"'{request.split}'", "leave the option out")
    sources = tuple(PredictionSource(model.name, _opened(model.paths, request)) for model in models)
    _require_one_problem(sources)
    if not any(source.data.has_labels for source in sources):
        remedy = "add an array or column named labels, name it by --labels NAME, or pass --labels-from FILE:NAME"
        raise fail("predictions", "labels in the files or in a separate file", "none", remedy)
    return sources


def _opened(paths: tuple[Path, ...], request: EvaluateRequest) -> "PredictionFiles | RunTokens":
    if is_ensemble(paths):
        paths = (paths[0] / TEST_PREDICTIONS,)
    if not is_run(paths):
        return open_predictions(
            paths,
            logits=request.logits,
            probs=request.probs,
            labels=request.labels or LABELS,
            labels_from=request.labels_file(),
            sequences=SequenceNames(request.mask),
        )
    for name in ("logits", "probs", "labels", "labels_from", "mask"):
        if getattr(request, name) is not None:
            option, got = f"--{name.replace('_', '-')}", f"'{getattr(request, name)}'"
            raise fail(option, "left out for a run, whose tokens are known", got, "leave the option out")
    # imported here, since files of predictions do not need networks
    from softtargets.evaluate.tokens.runs import RunTokens

    return RunTokens.of(paths[0], request.split or "test")


def open_arrays(
    probs: ArrayLike | None,
    logits: ArrayLike | None,
    labels: ArrayLike | None,
    against: Mapping[str, ArrayLike],
    *,
    name: str,
    class_names: tuple[str, ...] | None,
    mask: ArrayLike | None = None,
) -> tuple[PredictionSource, ...]:
    """Check the arrays and their shapes, and that they belong together.

    Args:
        probs, logits: (N, K) or (N, L, K) values of the main model; one of the two.
        labels: (N,) or (N, L) labels of all models, or (N, K) soft labels.
        against: values of the other models by name, of the same kind.
        name: name of the main model.
        class_names: K names, or None.
        mask: (N, L), false for tokens that are not evaluated, or None.

    Raises:
        InputError: both or neither of probs and logits, no labels, a wrong shape, or models with other classes or rows.
        InputTypeError: not an array of numbers.
    """
    main = predictions_of(probs, logits, labels, class_names=class_names, mask=mask, sequences=True)
    if labels is None:
        raise fail("labels", "one class index for each row", "none", "pass labels")
    if name in against:
        raise fail("against", "a unique name for each model", f"'{name}' 2 times", "choose another name")
    sources = [PredictionSource(name, main)]
    for other, values in against.items():
        # with the labels, so that the values of tokens that are not evaluated are not checked either
        alike = main.positions is not None and _leading(values) == (len(main) // main.positions, main.positions)
        beside = {"labels": labels, "mask": mask} if alike else {}
        found = predictions_of(**{main.kind: values}, **beside, argument=f"against[{other!r}]", sequences=True)
        data = replace(found, labels=main.labels, class_names=main.class_names, soft=main.soft)
        sources.append(PredictionSource(other, data))
    _require_one_problem(sources)
    return tuple(sources)


def _require_one_problem(sources: Sequence[PredictionSource]) -> None:
    """Require equal classes and, if known, equal numbers of rows."""
    main = sources[0]
    for other in sources[1:]:
        of_main, of_other = main.data.num_classes, other.data.num_classes
        if of_main != of_other:
            required = f"{of_main} classes, as {main.name} has"
            raise fail("against", required, f"{of_other} in {other.name}", "compare models with the same classes")
        if main.data.positions != other.data.positions:
            required, got = (_shape(source) for source in (main, other))
            raise fail("against", f"{required}, as {main.name} has", f"{got} in {other.name}", "compare the same rows")
        names, others = main.data.class_names, other.data.class_names
        if names and others and names != others:
            required = f"the classes in the order of {main.name}: {', '.join(names)}"
            raise fail("against", required, f"{', '.join(others)} in {other.name}", "use the same order of columns")
        if None not in (main.data.num_rows, other.data.num_rows) and main.data.num_rows != other.data.num_rows:
            raise _other_rows(main, other, f"{main.data.num_rows:,}", f"{other.data.num_rows:,}")


def _leading(values: ArrayLike) -> tuple[int, ...]:
    return tuple(getattr(values, "shape", ()))[:-1]


def _shape(source: PredictionSource) -> str:
    positions = source.data.positions
    return "one example in each row" if positions is None else f"sequences of {positions} tokens"


def read_blocks(
    sources: Sequence[PredictionSource], stage: str, on_rows: OnRows, total: int | None = None
) -> Iterator[RowBlock]:
    """Yield the rows of all models in parallel, however their files are split; ignored tokens are left out.

    Args:
        sources: predictions, at least one of them with labels. All labels must be equal.
        stage: name of the pass, for `on_rows`.
        on_rows: called after every block.
        total: number of rows; None: taken from the file headers, if they contain it.

    Raises:
        InputError: an invalid row, labels that differ between models, models that differ in the number of rows, or
            no token that is not ignored.
    """
    total = total or next((s.data.num_rows for s in sources if s.data.num_rows), None)
    streams = [source.data.chunks() for source in sources]
    chunks = [next(stream, None) for stream in streams]
    used, first_row, kept_rows = [0] * len(sources), 0, 0
    on_rows(stage, 0, total)
    while chunks[0] is not None:
        ready = [_present(chunk, first_row, sources, place) for place, chunk in enumerate(chunks)]
        size = min(len(chunk) - start for chunk, start in zip(ready, used, strict=True))
        parts = [(chunk, slice(start, start + size)) for chunk, start in zip(ready, used, strict=True)]
        block = _block(parts, first_row)
        if len(block.labels):
            yield block
        kept_rows += len(block.labels)
        first_row += size
        on_rows(stage, first_row, total)
        for place, chunk in enumerate(ready):
            used[place] += size
            if used[place] == len(chunk):
                chunks[place], used[place] = next(streams[place], None), 0
    for place, chunk in enumerate(chunks):
        if chunk is not None:
            raise _other_rows(sources[0], sources[place], f"{first_row:,}", f"more than {first_row:,}")
    if not kept_rows:
        got = f"{first_row:,} tokens, all ignored"
        raise fail("labels", "at least one token to evaluate", got, "check the labels and the mask")


def _block(parts: Sequence[tuple[PredictionChunk, slice]], first_row: int) -> RowBlock:
    labels = _labels(parts)
    values, ids = tuple(chunk.values[rows] for chunk, rows in parts), torch.arange(first_row, first_row + len(labels))
    kept = labels != IGNORED
    if bool(kept.all()):
        return RowBlock(values, labels, ids, _soft(parts))
    return RowBlock(tuple(some[kept] for some in values), labels[kept], ids[kept])


def _present(
    chunk: PredictionChunk | None, rows: int, sources: Sequence[PredictionSource], place: int
) -> PredictionChunk:
    if chunk is None:
        raise _other_rows(sources[0], sources[place], f"more than {rows:,}", f"{rows:,}")
    return chunk


def _other_rows(main: PredictionSource, other: PredictionSource, of_main: str, of_other: str) -> InputError:
    required = f"as many rows as {main.name} has, {of_main}"
    got = f"{of_other} in {other.name}"
    return fail("against", required, got, "compare predictions of the same rows, in the same order")


def _labels(parts: Sequence[tuple[PredictionChunk, slice]]) -> Tensor:
    """Return the labels of some rows, after checking that they are equal in all models that have labels."""
    known = [(part, part[0].labels[part[1]]) for part in parts if part[0].labels is not None]
    part, labels = known[0]
    for other, its_labels in known[1:]:
        differs = first_bad(its_labels != labels)
        if differs is not None:
            row = differs[0]
            required = f"the labels of the other model, {int(labels[row])} in {_place(*part, row)}"
            got = f"{int(its_labels[row])} in {_place(*other, row)}"
            raise fail("against", required, got, "compare predictions of the same rows, in the same order")
    return labels


def _soft(parts: Sequence[tuple[PredictionChunk, slice]]) -> Tensor | None:
    """Return the distributions of the labels of some rows, after checking that all models with votes have the same."""
    known = [(part, part[0].soft[part[1]]) for part in parts if part[0].soft is not None]
    if not known:
        return None
    part, soft = known[0]
    for other, its_soft in known[1:]:
        differs = first_bad(((its_soft - soft).abs() > 1e-6).any(1))
        if differs is not None:
            row = differs[0]
            required, got = f"the votes of the other model in {_place(*part, row)}", f"others in {_place(*other, row)}"
            raise fail("against", required, got, "compare predictions of the same rows, in the same order")
    return soft


def _place(chunk: PredictionChunk, rows: slice, row: int) -> str:
    return f"{chunk.file}, row {chunk.file_row + rows.start + row}"
