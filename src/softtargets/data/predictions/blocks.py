"""Rows of predictions in blocks that do not depend on how the rows are divided into files."""

from collections.abc import Iterator

from torch import Tensor

from softtargets.data.arrays.file import BlockReader
from softtargets.data.predictions.arrays import Predictions, chunk_rows
from softtargets.data.predictions.files import PredictionFiles


def even_blocks(
    source: Predictions | PredictionFiles, *, check: bool = True
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """Yield the index of the first row, values and labels of blocks of the same rows for every division into files.

    A computation whose rounding depends on the rows of its block, such as a product of matrices, then has the same
    result for every division. At most one block is held twice.

    Args:
        source: The predictions.
        check: Whether to check the values of files; False if their rows have been checked before.

    Raises:
        InputError: as :meth:`PredictionFiles.chunks`.
    """
    size, first_row = chunk_rows(source.num_classes), 0
    chunks = source.chunks(size) if isinstance(source, Predictions) else source.chunks(size, check=check)
    has_labels = source.has_labels
    reader = BlockReader(
        (chunk.values, chunk.labels) if chunk.labels is not None else (chunk.values,) for chunk in chunks
    )
    while (taken := reader.take(size)) is not None:
        yield first_row, taken[0], taken[1] if has_labels else None
        first_row += len(taken[0])
