"""Rows of a data set for a network that is already trained, read in blocks. Labels may be missing."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from softtargets._errors import fail, nearest
from softtargets.data._columns import Columns
from softtargets.data._labels import read_cells
from softtargets.data._numbers import read_features
from softtargets.data._pixels import huge_images_refused, opened_in_thread
from softtargets.data._row_sources import of_another_kind, open_source
from softtargets.data._tables import Part
from softtargets.data._texts import count_words, read_texts
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.spec import DataSpec
from softtargets.data.tokens import TokenRows

_SHOWN = 10


@dataclass(frozen=True, eq=False)
class InputBlock:
    """Consecutive rows of a data set.

    Attributes:
        inputs: (n, ...), as the inputs of a :class:`Dataset` in memory: not normalised. Of tokens n rows.
        labels: (n,) int64, indices of the given classes; None without a label column.
        files: the file of each row, where each row is a file; otherwise None.
    """

    inputs: Tensor | TokenRows
    labels: Tensor | None
    files: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class RowStream:
    """The rows of a data set, read when they are needed.

    Attributes:
        name: name of the data set, without folders and suffix.
        splits: the data set's own splits, in order; "train" alone if it has none.
        labelled: whether it has labels.
    """

    name: str
    splits: tuple[str, ...]
    labelled: bool
    _parts: Callable[[str, int], Iterator[Part]]
    _convert: Callable[[Part], InputBlock]

    def blocks(self, splits: Sequence[str], rows: int) -> Iterator[InputBlock]:
        """Yield the rows of some splits in order.

        Args:
            splits: names of splits.
            rows: largest number of rows in a block.

        Raises:
            InputError: a row that cannot be read, with its file and number.
        """
        for split in splits:
            for part in self._parts(split, rows):
                yield self._convert(part)


def open_rows(
    spec: DataSpec, like: Preprocessing, class_names: Sequence[str], *, labels: bool | None = None
) -> RowStream:
    """Open a data set for a network that is already trained.

    Args:
        spec: name and columns of the data set; its other fields are not used. Besides what :func:`load` reads, the name
            may be that of an image, or of a folder with images and no folders of classes, which have no labels.
        like: what the network was trained on: the inputs must be of this kind and shape.
        class_names: the network's classes. Class names of the data set stand for the classes of these names. Whole
            numbers without names are indices, or names if all classes are named by numbers.
        labels: whether to read the labels. None: if there is a label column.

    Raises:
        InputError: no such data set or column; a data set of another kind.
    """
    opening = open_source(spec, like)
    _check_kind(like, opening.columns, spec)
    labelled = labels is not False and opening.labelled
    if labels and not labelled:
        required = f"a label column in '{spec.name}'"
        raise fail("label", required, f"none named '{spec.label}'", "name it with label, or predict without labels")
    convert = partial(_converted, like=like, class_names=tuple(class_names), labelled=labelled)
    return RowStream(opening.name, opening.splits, labelled, opening.parts, convert)


def _check_kind(like: Preprocessing, columns: Columns, spec: DataSpec) -> None:
    kinds = {"images": columns.image is not None, "texts": columns.text is not None, "table": bool(columns.features)}
    if not kinds["texts" if like.kind == "tokens" else like.kind]:
        got = next(kind for kind, chosen in kinds.items() if chosen)
        raise of_another_kind(like, f"{got} in '{spec.name}'")
    count = len(like.mean)
    if like.kind == "table" and len(columns.features) != count:
        got = f"{len(columns.features)} in '{spec.name}'"
        raise fail("features", f"{count} columns, as the run was trained on", got, "name them with features")


def _converted(part: Part, like: Preprocessing, class_names: tuple[str, ...], labelled: bool) -> InputBlock:
    # labels first, so that an error in them is reported before images are decoded
    labels = _indices(part, class_names) if labelled else None
    columns = part.columns
    if like.kind == "images":
        inputs = _decoded(part, like)
    elif like.kind in ("texts", "tokens"):
        assert columns.text is not None
        inputs = _read_words(part, columns.text, like)
    else:
        inputs = read_features([part], columns.features)
    return InputBlock(inputs, labels, part.image_files)


def _read_words(part: Part, column: str, like: Preprocessing) -> Tensor | TokenRows:
    texts = read_texts([part], column)
    if like.kind == "texts":
        return count_words(texts)
    return like.tokenizers[0].encode(texts, lambda row: f"{part.place(row)}, column '{column}'")


def _decoded(part: Part, like: Preprocessing) -> Tensor:
    """Decode the images of a block in several threads, as in evaluation, (n, C, H, W) uint8."""
    view = like.view
    assert part.images is not None
    assert view is not None

    def one(numbered: tuple[int, bytes | str | None]) -> Tensor:
        row, source = numbered
        place = part.place(row)
        with opened_in_thread(source, place) as image:
            return view.seen(image, place)

    with huge_images_refused(), ThreadPoolExecutor(_threads()) as pool:
        return torch.stack(list(pool.map(one, enumerate(part.images()))))


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _indices(part: Part, class_names: tuple[str, ...]) -> Tensor:
    """Return the index of the class of each row among the given classes, (n,) int64."""
    number_of = {name: index for index, name in enumerate(class_names)}
    numbered = all(name.isdecimal() for name in class_names)
    indices: list[int] = []
    (cells,) = read_cells([part], part.columns.label)
    for row, cell in enumerate(cells):
        if isinstance(cell, int) and part.class_names is None and not numbered:
            if not 0 <= cell < len(class_names):
                required = f"at least 0 and below {len(class_names)}, the number of the run's classes"
                raise fail(
                    "label",
                    required,
                    f"{cell} in {part.place(row)}",
                    "fix that row, or predict without labels (--no-labels)",
                )
            indices.append(cell)
            continue
        name = str(cell)
        if isinstance(cell, int) and part.class_names is not None and 0 <= cell < len(part.class_names):
            name = part.class_names[cell]
        if name not in number_of:
            shown = ", ".join(class_names[:_SHOWN]) + (", ..." if len(class_names) > _SHOWN else "")
            close = nearest(name, class_names)
            begin = f"did you mean '{close}'? if not, " if close else ""
            remedy = f"{begin}drop these rows, or predict without labels (--no-labels)"
            raise fail("label", f"a class of the run: {shown}", f"'{name}' in {part.place(row)}", remedy)
        indices.append(number_of[name])
    return torch.tensor(indices, dtype=torch.int64)
