"""Columns of texts, and the counts of their words."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data._columns import Columns
from softtargets.data._numbers import number_of
from softtargets.data._tables import Part
from softtargets.data.limits import check_bytes
from softtargets.data.spec import DataSpec

# Hashed features of words and word pairs. A fixed number keeps models small, and no vocabulary has to be stored.
_PLACES = 4096
_CHUNK = 4096


def find_text(parts: Sequence[Part], spec: DataSpec) -> Columns:
    """Return the columns to read, with a text column if one is found among columns not named by the specification.

    A text column is the column named "text", or the only one besides the label, if most of its values are not numbers.
    A few such values among numbers are taken for mistakes, which the reader of numbers reports.
    """
    columns = parts[0].columns
    candidates = columns.features if len(columns.features) == 1 else tuple({"text"} & set(columns.features))
    if spec.features is not None or not candidates:
        return columns
    values = parts[0].values(candidates[0])
    words = sum(isinstance(value, str) and number_of(value) is None for value in values)
    return replace(columns, text=candidates[0], features=()) if 2 * words > len(parts[0].table) else columns


def read_texts(parts: Sequence[Part], column: str, argument: str = "text") -> tuple[str, ...]:
    """Read the texts of all parts, one part after the other; `argument` names the column in errors.

    Raises:
        InputError: a row without a text, with its file.
    """
    texts: list[str] = []
    for part in parts:
        for row, value in enumerate(part.values(column)):
            if not isinstance(value, str) or not value.strip():
                empty = value is None or isinstance(value, str)
                got = "nothing" if empty else f"a value of type {type(value).__name__}"
                place = f"{part.place(row)}, column '{column}'"
                raise fail(argument, "a text in every row", f"{got} in {place}", "fix or drop that row")
            texts.append(value)
    return tuple(texts)


def count_words(texts: Sequence[str]) -> Tensor:
    """Count hashed words and pairs of neighbouring words in every text, in lower case.

    Returns:
        (N, 4096) uint8; counts above 255 become 255.

    Raises:
        InputError: more texts than fit into memory once their words are counted.
    """
    check_bytes("text", len(texts) * _PLACES, f"{len(texts):,} rows of {_PLACES:,} word counts")
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(n_features=_PLACES, alternate_sign=False, norm=None, ngram_range=(1, 2))  # pyright: ignore[reportArgumentType]
    counts = torch.empty(len(texts), _PLACES, dtype=torch.uint8)
    for start in range(0, len(texts), _CHUNK):
        rows: Any = hashed.transform(texts[start : start + _CHUNK])
        counts[start : start + _CHUNK] = torch.from_numpy(rows.toarray()).clamp(max=255)
    return counts
