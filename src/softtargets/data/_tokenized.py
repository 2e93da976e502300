"""The texts of a data set as rows of tokens: training the tokenizer on the training split, and the cache."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data._content import CACHE_ERRORS, Content, restore_tensors, store_tensors
from softtargets.data.dataset import Dataset
from softtargets.data.encoded import Strings
from softtargets.data.settings import TokenizerSpec
from softtargets.data.spec import DataSpec
from softtargets.data.tokenizer import Tokenizer, tokenizers_package
from softtargets.data.tokens import TokenRows

# Increase when the same texts and settings give other tokens.
_FORMAT = 1

# A tokenizer and the rows that it made.
_Side = tuple[Tokenizer, TokenRows]


def tokenized(data: Dataset, content: Content, spec: DataSpec, cache: Path | None) -> Dataset:
    """Return a data set of texts with rows of tokens as its inputs, and as its outputs where it has targets.

    Args:
        data: Split, with texts and without inputs.
        content: Of the data set.
        spec: With `tokenizer`.
        cache: A folder for the result; see :func:`softtargets.data.load`.

    Raises:
        InputError: no such tokenizer; a text without tokens or with too many, with its file and row; sentence pairs
            with a tokenizer that does not end them.
    """
    assert spec.tokenizer is not None
    assert content.texts is not None
    given = _pretrained(spec.tokenizer)
    sides = [content.texts, *(() if content.output_texts is None else (content.output_texts,))]
    key = _key(sides, data.splits["train"], spec, given)
    found = None if cache is None else _restore(cache, key)
    if found is None:
        found = _encoded(sides, data, content, spec.tokenizer, given)
        if cache is not None:
            _store(cache, key, found)
    (tokenizer, inputs), last = found[0], found[-1]
    changes: dict[str, object] = {"fingerprint": _identified(data.fingerprint, given)}
    if spec.target is not None:
        made = tokenizer if last[0].content == tokenizer.content else last[0]
        changes |= {"outputs": last[1], "output_tokenizer": made, "class_names": made.tokens}
    data = replace(data, inputs=inputs, tokenizer=tokenizer, output_texts=content.output_texts, **changes)
    return replace(data, longest_row=content.place(int(data.row_lengths.argmax())))


def with_tokenizer(fingerprint: str, spec: DataSpec) -> str:
    """Return the fingerprint of a data set's content, with that of a pretrained tokenizer if it is read with one."""
    return _identified(fingerprint, None if spec.tokenizer is None else _pretrained(spec.tokenizer))


def _pretrained(spec: TokenizerSpec) -> Tokenizer | None:
    return None if spec.pretrained is None else Tokenizer.pretrained(spec.pretrained)


def _identified(fingerprint: str, given: Tokenizer | None) -> str:
    return fingerprint if given is None else _hash(fingerprint.encode(), given.to_json().encode())


def _encoded(
    sides: list[tuple[str, ...]], data: Dataset, content: Content, spec: TokenizerSpec, given: Tokenizer | None
) -> list[_Side]:
    if given is not None:
        tokenizers = [given] * len(sides)
    else:
        rows = data.splits["train"].tolist()
        begins = len(sides) == 1
        parts = [[side[row] for row in rows] for side in sides]
        together = parts if spec.separate else [[text for part in parts for text in part]]
        trained = [Tokenizer.trained(texts, spec, begins=begins) for texts in together]
        tokenizers = trained * (len(sides) // len(trained))
    made: list[_Side] = []
    for tokenizer, side, column in zip(tokenizers, sides, content.columns, strict=True):
        limited = tokenizer.limited(spec)
        made.append((limited, limited.encode(side, _place(content, column))))
    if len(made) == 2:
        _require_ends(*made[1])
    return made


def _place(content: Content, column: str) -> Callable[[int], str]:
    return lambda row: f"{content.place(row)}, column '{column}'"


def _require_ends(tokenizer: Tokenizer, rows: TokenRows) -> None:
    """Require that targets end with the token that ends a text; otherwise a translation would never end."""
    if not bool((rows.values[rows.ends - 1] == tokenizer.eos).all()):
        required = "a tokenizer that ends every target with its end token"
        got = "another last token" if tokenizer.eos >= 0 else "one without an end token"
        raise fail("tokenizer.pretrained", required, got, 'choose another one, or use name = "bpe"')


def _key(sides: list[tuple[str, ...]], train: Tensor, spec: DataSpec, given: Tokenizer | None) -> str:
    """Return the cache key of texts, which depends on all that changes their tokens."""
    assert spec.tokenizer is not None
    settings = spec.tokenizer.model_dump(mode="json", exclude={"pretrained"})
    told = [_FORMAT, tokenizers_package().__version__, settings, given and given.to_json()]
    digest = hashlib.sha256(json.dumps(told).encode())
    for side in sides:
        strings = Strings.of(side)
        for tensor in (strings.text, strings.ends):
            digest.update(tensor.numpy().tobytes())
    digest.update(train.numpy().tobytes())
    return digest.hexdigest()[:32]


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b" ".join(parts)).hexdigest()


def _store(cache: Path, key: str, sides: list[_Side]) -> None:
    tensors: dict[str, Tensor] = {}
    for number, (_, rows) in enumerate(sides):
        tensors |= {f"values.{number}": rows.values, f"ends.{number}": rows.ends}
    store_tensors(cache, key, tensors, {"tokenizers": json.dumps([tokenizer.to_json() for tokenizer, _ in sides])})


def _restore(cache: Path, key: str) -> list[_Side] | None:
    try:
        tensors, metadata = restore_tensors(cache, key)
        made = [Tokenizer.from_json(text) for text in json.loads(metadata["tokenizers"])]
        rows = [TokenRows(tensors[f"values.{n}"], tensors[f"ends.{n}"]) for n in range(len(made))]
        if any(part.values.dtype != torch.int32 for part in rows):
            return None
        return list(zip(made, rows, strict=True))
    except CACHE_ERRORS:
        return None
