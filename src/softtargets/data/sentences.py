"""Sentences for a network that translates, read in blocks. Their references may be missing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from softtargets._errors import fail
from softtargets.data._row_sources import Opening, open_source
from softtargets.data._tables import Part
from softtargets.data._texts import read_texts
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.spec import DataSpec
from softtargets.data.tokens import TokenRows


@dataclass(frozen=True, eq=False)
class SentenceBlock:
    """Consecutive rows of a data set.

    Attributes:
        sources: n sentences.
        tokens: n rows, those of the sources.
        references: n translations; None for data without references.
    """

    sources: tuple[str, ...]
    tokens: TokenRows
    references: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class SentenceStream:
    """The sentences of a data set, read when they are needed.

    Attributes:
        name: name of the data set, without folders and suffix.
        splits: the data set's own splits, in order; "train" alone if it has none.
        has_references: whether it has translations.
    """

    name: str
    splits: tuple[str, ...]
    has_references: bool
    _opening: Opening
    _encode: Callable[[Sequence[str], Callable[[int], str]], TokenRows]

    def blocks(self, splits: Sequence[str], rows: int) -> Iterator[SentenceBlock]:
        """Yield the rows of some splits in order.

        Args:
            splits: names of splits.
            rows: largest number of rows in a block.

        Raises:
            InputError: an empty sentence or one that is too long, with its file and row.
        """
        for split in splits:
            for part in self._opening.parts(split, rows):
                yield self._read(part)

    def _read(self, part: Part) -> SentenceBlock:
        source, *target = part.columns.written
        sources = read_texts([part], source, "source")
        tokens = self._encode(sources, lambda row: f"{part.place(row)}, column '{source}'")
        return SentenceBlock(sources, tokens, read_texts([part], target[0], "target") if target else None)


def open_sentences(spec: DataSpec, like: Preprocessing, *, references: bool | None = None) -> SentenceStream:
    """Open a data set for a network that translates.

    Args:
        spec: name of the data set, and the columns `source` and `target`, which are also keys of the only column of
            translations; its other fields are not used.
        like: what the network was trained on: sentence pairs.
        references: whether to read the references. None: if there is a column of them.

    Raises:
        InputError: no such data set or column.
    """
    opening = open_source(spec, like, references=references)
    found = len(opening.columns.written) == 2
    if references and not found:
        required = f"a column of references in '{spec.name}'"
        raise fail("target", required, f"none named '{spec.target}'", "name it with target, or leave references out")
    return SentenceStream(opening.name, opening.splits, found, opening, like.tokenizers[0].encode)
