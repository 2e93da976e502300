"""How the rows of a data set become the inputs of a network, as a value that is recorded with a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data.dataset import Dataset, normalization
from softtargets.data.stream import StreamedImages
from softtargets.data.tokenizer import Tokenizer
from softtargets.data.tokens import TokenRows, Tokens
from softtargets.data.views import View

InputKind = Literal["images", "texts", "tokens", "table"]


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """The kind of the inputs, and the statistics of the training split that they are normalised by.

    Images and tables are standardised: (x - mean) / std. Texts become TF-IDF vectors of their word counts, normalised
    to length 1:

    (1 + log count) (1 + log((1 + n) / (1 + df)))            # df of the n training texts contain the word

    With a tokenizer, texts become rows of tokens, which are padded in batches.

    Attributes:
        kind: "images", "texts", "tokens" or "table".
        mean: of images (C,) float32, where 255 is 1; of a table (D,) float64; of texts empty.
        std: as `mean`.
        idf: (D,) float32, the second factor of each word of texts; otherwise empty.
        view: what the network sees of an image; None for other inputs.
        columns: names of the columns of a table, or of the column of texts; empty for images.
        tokenizers: of "tokens": that of the inputs, and for sentence pairs that of the outputs; otherwise empty.
    """

    kind: InputKind
    mean: Tensor
    std: Tensor
    idf: Tensor
    view: View | None
    columns: tuple[str, ...]
    tokenizers: tuple[Tokenizer, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the preprocessing of a data set, with the statistics of its training split."""
        empty = torch.zeros(0)
        if dataset.tokenizers:
            return cls("tokens", empty, empty, empty, None, dataset.columns, dataset.tokenizers)
        if dataset.is_text:
            assert isinstance(dataset.inputs, Tensor)
            return cls("texts", empty, empty, _idf(dataset, dataset.inputs), None, dataset.columns)
        mean, std = normalization(dataset)
        if not dataset.is_image:
            return cls("table", mean, std, empty, None, dataset.columns)
        view = dataset.inputs.view if isinstance(dataset.inputs, StreamedImages) else dataset.view
        return cls("images", mean, std, empty, view or View.whole(dataset.input_shape), ())

    @property
    def is_pair(self) -> bool:
        """Whether the rows are sentence pairs."""
        return len(self.tokenizers) == 2

    def on(self, device: torch.device, source: str = "") -> Callable[[Any], Any]:
        """Return the function that normalises rows on a device: uint8 images or word counts, float64 tables.

        Rows of tokens become a padded batch. Errors name the data set `source` if it is given.
        """
        if self.kind == "tokens":
            return partial(_padded, pad=self.tokenizers[0].pad)
        normalise = Normalisation(self).to(device)
        return partial(_finite, normalise=normalise, source=source) if self.kind == "table" else normalise

    def limited(self, most_tokens: int | None) -> Self:
        """Return this with texts of at most so many tokens, as many as a network takes; None: any number."""
        if most_tokens is None:
            return self
        limits = (min(most_tokens, tokenizer.max_length or most_tokens) for tokenizer in self.tokenizers)
        limited = (replace(made, max_length=limit) for made, limit in zip(self.tokenizers, limits, strict=True))
        return replace(self, tokenizers=tuple(limited))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, which :meth:`from_dict` reads without rounding; of tokenizers all but their content."""
        numbers = {name: getattr(self, name).double().tolist() for name in ("mean", "std", "idf")}
        view = None if self.view is None else self.view.to_dict()
        made = {"tokenizers": [tokenizer.to_dict() for tokenizer in self.tokenizers]} if self.tokenizers else {}
        return {"kind": self.kind, **numbers, "view": view, "columns": list(self.columns), **made}

    @classmethod
    def from_dict(cls, content: dict[str, Any], tokenizers: Sequence[str] = ()) -> Self:
        """Read what :meth:`to_dict` returned, with the contents of the tokenizers.

        Raises:
            ValueError, KeyError or TypeError: if it is something else.
        """
        kind, view = content["kind"], content["view"]
        dtype = torch.float64 if kind == "table" else torch.float32
        mean, std, idf = (torch.tensor(content[name], dtype=dtype) for name in ("mean", "std", "idf"))
        settings = content.get("tokenizers", ())
        made = tuple(Tokenizer(text, **given) for text, given in zip(tokenizers, settings, strict=True))
        return cls(kind, mean, std, idf, view and View.from_dict(view), tuple(content["columns"]), made)


class Normalisation(nn.Module):
    """The arithmetic of a preprocessing as a module: bytes of images, a table or word counts to a network's inputs.

    Args:
        preprocessing: not of tokens, which are not normalised.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.kind = preprocessing.kind
        mean, std = preprocessing.mean, preprocessing.std
        if self.kind == "images":
            # (x / 255 - mean) / std as one multiplication and one addition
            values = {"gain": (1 / (255.0 * std)).view(1, -1, 1, 1), "offset": (-mean / std).view(1, -1, 1, 1)}
        else:
            values = {"idf": preprocessing.idf} if self.kind == "texts" else {"mean": mean, "std": std}
        for name, value in values.items():
            self.register_buffer(name, value)

    def forward(self, rows: Tensor) -> Tensor:
        """Return (N, ...) float32 from images or word counts, uint8, or from a table."""
        if self.kind == "images":
            return _scaled(rows, self.get_buffer("gain"), self.get_buffer("offset"))
        if self.kind == "texts":
            return _tf_idf(rows, self.get_buffer("idf"))
        # float32 comes last, since it cannot resolve a spread of 10 around 1.7e9; halves, since a difference may
        # overflow
        return ((rows.double() / 2 - self.get_buffer("mean") / 2) / self.get_buffer("std") * 2).float()


def _scaled(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    # in place, since every block of a large batch that is freed raises the memory of a stream; uint8 is always copied
    return images.float().mul_(gain).add_(offset).contiguous(memory_format=torch.channels_last)


def _padded(rows: TokenRows, pad: int) -> Tokens:
    return rows.padded(torch.arange(len(rows), device=rows.ends.device), pad)


def _tf_idf(counts: Tensor, idf: Tensor) -> Tensor:
    counts = counts.float()
    # 1 + log count, and 0 for a count of 0, whose logarithm takes ten times as long as that of 1; a text without words
    # stays 0
    return F.normalize((counts.clamp(min=1).log() + counts.clamp(max=1)) * idf, dim=1)


def _finite(rows: Tensor, normalise: Normalisation, source: str) -> Tensor:
    """Return the rows of a table normalised, (N, D) float32.

    Raises:
        InputError: if a number is infinite in float32 after normalisation.
    """
    inputs = normalise(rows)
    index = first_bad(~inputs.isfinite())
    if index is not None:
        place = f"row and column, of '{source}'" if source else "row and column"
        raise fail(
            "features",
            "numbers within 3e38 standard deviations of the training rows",
            f"{rows[index].item()} at {index} ({place})",
            "fix or drop that row, or select other columns with features",
        )
    return inputs


def _idf(dataset: Dataset, inputs: Tensor) -> Tensor:
    """Return the inverse document frequency of each word in the training texts, (D,) float32."""
    rows = dataset.splits["train"]
    held = torch.zeros(dataset.input_shape, dtype=torch.float64)
    for chunk in rows.split(4096):
        held += (inputs[chunk] > 0).sum(0)
    return (1 + ((1 + len(rows)) / (1 + held)).log()).float()
