"""Tokenizers: trained on the texts of a data set, or pretrained; both are kept in the format of `tokenizers`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from softtargets import _packages
from softtargets._errors import fail, shortened
from softtargets.data.settings import TokenizerSpec
from softtargets.data.tokens import TokenRows, TokenShape

# The special tokens of a tokenizer that is trained, in the order of their ids from 0.
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
_DEFAULT_VOCABULARY = 8_000
# Texts that are encoded at a time.
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Turns texts into rows of token ids, and back.

    Attributes:
        content: The tokenizer as `tokenizers` saves it (tokenizer.json).
        pad: The id of padding.
        bos: The id that begins a text; -1 if there is none.
        eos: The id that ends a text; -1 if there is none.
        max_length: The largest number of tokens of a text; None: no limit.
        truncate: Whether a longer text is cut; otherwise it is an error.
    """

    content: str
    pad: int
    bos: int
    eos: int
    max_length: int | None = None
    truncate: bool = False

    @classmethod
    def trained(cls, texts: Sequence[str], spec: TokenizerSpec, *, begins: bool) -> Self:
        """Train byte-level byte-pair encoding. The result depends on the texts and the settings alone.

        Args:
            texts: At least one.
            spec: The settings of "bpe".
            begins: Whether every text begins with <s>; all end with </s>.

        Raises:
            InputError: if the package tokenizers is not installed.
        """
        library = tokenizers_package()
        fast = library.Tokenizer(library.models.BPE())
        lower = [library.normalizers.Lowercase()] if spec.lowercase else []
        fast.normalizer = library.normalizers.Sequence([library.normalizers.NFC(), *lower])
        # the first word of a text is the same token as in the middle of it
        fast.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        fast.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=spec.vocabulary or _DEFAULT_VOCABULARY,
            special_tokens=list(SPECIAL),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        fast.train_from_iterator(texts, trainer)
        template = "<s> $A </s>" if begins else "$A </s>"
        used = [(token, SPECIAL.index(token)) for token in template.split() if token in SPECIAL]
        fast.post_processor = library.processors.TemplateProcessing(single=template, special_tokens=used)
        pad, bos, eos = map(SPECIAL.index, ("<pad>", "<s>", "</s>"))
        return cls(fast.to_str(), pad, bos, eos)

    @classmethod
    def pretrained(cls, name: str) -> Self:
        """Take a tokenizer of transformers.

        Args:
            name: A folder, or a name on the Hugging Face Hub.

        Raises:
            InputError: if there is none, or it has no fast version or no token for padding.
        """
        required = "a tokenizer of transformers: a folder, or a name on the Hugging Face Hub"
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            raise _packages.missing("transformers", "tokenizer.pretrained", "softtargets[transformers]") from error
        try:
            # from the Hub's cache if it is there, since a missing network is reported only after many tries
            found: Any = _first_that_works(
                lambda: AutoTokenizer.from_pretrained(Path(name).expanduser(), local_files_only=True),
                lambda: AutoTokenizer.from_pretrained(name, local_files_only=True),
                lambda: AutoTokenizer.from_pretrained(name),
            )
        except Exception as error:  # of the library, which raises many kinds
            reason = shortened(" ".join(str(error).split()))
            got = f"'{name}' ({type(error).__name__}: {reason})"
            raise fail("tokenizer.pretrained", required, got, "check the spelling, or give a folder") from error
        if not getattr(found, "is_fast", False):
            got = f"'{name}', a {type(found).__name__}"
            remedy = "choose one with a tokenizer.json"
            raise fail("tokenizer.pretrained", "a tokenizer with a fast version", got, remedy)
        fast: Any = found.backend_tokenizer
        fast.no_truncation()
        fast.no_padding()
        # padding is never read by a network, so that any id will do where there is none for it
        pad = _first_id(found.pad_token_id, found.eos_token_id, found.unk_token_id, 0)
        bos = _first_id(found.bos_token_id, found.cls_token_id, -1)
        return cls(fast.to_str(), pad, bos, _first_id(found.eos_token_id, found.sep_token_id, -1))

    def limited(self, spec: TokenizerSpec) -> Self:
        """Return this tokenizer with the limit of the specification."""
        return replace(self, max_length=spec.max_length, truncate=bool(spec.truncate))

    @cached_property
    def _fast(self) -> Any:
        fast = tokenizers_package().Tokenizer.from_str(self.content)
        # "</s>" inside a text is written like any other characters
        fast.encode_special_tokens = True
        if self.truncate and self.max_length is not None:
            fast.enable_truncation(self.max_length)
        return fast

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The token of each id, as the tokenizer writes it; an id that is not used is "<id>"."""
        ids: dict[str, int] = self._fast.get_vocab(with_added_tokens=True)
        names = {number: token for token, number in ids.items()}
        return tuple(names.get(number, f"<{number}>") for number in range(max(names) + 1))

    def shape(self, longest: int) -> TokenShape:
        """Return the shape of inputs whose longest row has this many tokens, or of the limit if that is larger."""
        length = max(longest, self.max_length or 0)
        return TokenShape(length, len(self.tokens), self.pad, self.bos, self.eos)

    def encode(self, texts: Sequence[str], place: Callable[[int], str] = lambda row: f"row {row}") -> TokenRows:
        """Return the tokens of texts.

        Args:
            texts: N texts.
            place: Names a row in errors.

        Raises:
            InputError: a text without any token, or with more tokens than `max_length` if it is not cut.
        """
        rows: list[list[int]] = []
        for start in range(0, len(texts), _CHUNK):
            for encoding in self._fast.encode_batch(list(texts[start : start + _CHUNK])):
                self._check_length(len(encoding.ids), len(rows), place)
                rows.append(encoding.ids)
        return TokenRows.of(rows)

    def _check_length(self, length: int, row: int, place: Callable[[int], str]) -> None:
        if length == 0:
            raise fail("text", "a text with at least one token", f"none in {place(row)}", "fix or drop that row")
        if self.max_length is not None and length > self.max_length:
            required = f"texts of at most {self.max_length} tokens, as the tokenizer or the network is limited to"
            remedy = "drop that row, raise tokenizer.max_length, or train with tokenizer.truncate = true"
            raise fail("text", required, f"{length} in {place(row)}", remedy)

    def decode(self, rows: TokenRows) -> list[str]:
        """Return the texts of rows of tokens, without special tokens."""
        ids = [rows.row(index).tolist() for index in range(len(rows))]
        return [text.removeprefix(" ") for text in self._fast.decode_batch(ids, skip_special_tokens=True)]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the content, as plain data."""
        return {name: value for name, value in vars(self).items() if name in _SETTINGS}

    def to_json(self) -> str:
        """Return the whole tokenizer as text, which :meth:`from_json` reads."""
        return json.dumps({"content": self.content, **self.to_dict()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` returned.

        Raises:
            ValueError, KeyError or TypeError: if it is something else.
        """
        return cls(**json.loads(text))


_SETTINGS = ("pad", "bos", "eos", "max_length", "truncate")


def _first_id(*ids: int | None) -> int:
    return next(number for number in ids if number is not None)


def _first_that_works(*attempts: Callable[[], Any]) -> Any:
    """Return what the first attempt without an error returns; raise the error of the last one."""
    for attempt in attempts[:-1]:
        try:
            return attempt()
        except Exception:  # the next attempt says what is wrong
            continue
    return attempts[-1]()


def tokenizers_package() -> ModuleType:
    """Return the package tokenizers.

    Raises:
        InputError: if it is not installed.
    """
    return _packages.load("tokenizers", "tokenizer", "softtargets[text]")
