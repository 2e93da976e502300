"""The labels of sequences, read once before the predictions: how often each token occurs, and which are ignored."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data.arrays.file import BlockReader, Wanted
from softtargets.data.arrays.opening import open_arrays
from softtargets.data.predictions import IGNORED, ArrayLike, as_tensor
from softtargets.evaluate.inputs import PredictionSource


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """The labels of sequences.

    Args:
        counts: (K,) int64, number of evaluated tokens with each label.
        tokens: number of tokens, including those that are ignored.
        sequences: number of sequences, including `empty` ones.
        empty: number of sequences without an evaluated token.
        first_empty: index of the first of these; None if there is none.
    """

    counts: Tensor
    tokens: int
    sequences: int
    empty: int
    first_empty: int | None

    @property
    def evaluated(self) -> int:
        """Number of tokens that are evaluated."""
        return int(self.counts.sum())


def count_labels(source: PredictionSource) -> LabelCounts:
    """Read the labels of a model of sequences, not its predictions.

    Raises:
        InputError: a bad label, or no token to evaluate.
    """
    positions = source.data.positions
    assert positions is not None
    counts = torch.zeros(source.data.num_classes, dtype=torch.int64)
    rest = torch.empty(0, dtype=torch.int64)
    sequences, empty, first = 0, 0, None
    for labels in source.data.label_chunks():
        counts += labels[labels != IGNORED].bincount(minlength=len(counts))
        joined = torch.cat([rest, labels])
        whole = joined[: len(joined) // positions * positions].reshape(-1, positions)
        rest = joined[whole.numel() :]
        without = (whole == IGNORED).all(1)
        if first is None and (found := first_bad(without)) is not None:
            first = sequences + found[0]
        sequences, empty = sequences + len(whole), empty + int(without.sum())
    if not int(counts.sum()):
        got = f"{sequences:,} sequences of {positions} tokens, all ignored"
        raise fail("labels", "at least one token to evaluate", got, "check the labels and the mask")
    return LabelCounts(counts, sequences * positions, sequences, empty, first)


def given_counts(counts: ArrayLike | None, file: tuple[Path, str] | None, num_classes: int) -> Tensor | None:
    """Return how often each token occurs in the training data, (K,) int64, from an array or a file; None without both.

    Raises:
        InputError: a wrong shape, or a count that is not a whole number of at least 0.
        InputTypeError: not an array of numbers.
    """
    if counts is None and file is None:
        return None
    argument, found = "token_counts", None if counts is None else as_tensor("token_counts", counts)
    if found is None and file is not None:
        argument, found = f"--token-counts {file[0]}", _read(*file)
    assert found is not None
    if found.shape != (num_classes,):
        required = f"shape ({num_classes},), one count for each of the {num_classes:,} tokens"
        raise fail(argument, required, f"shape {tuple(found.shape)}", "count the tokens over the whole vocabulary")
    whole = found.long()
    index = first_bad((found != whole) | (whole < 0))
    if index is not None:
        got = f"{found[index].item():g} for token {index[0]}"
        raise fail(argument, "whole numbers of at least 0", got, "pass the number of times that each token occurs")
    return whole


def _read(path: Path, name: str) -> Tensor:
    file = open_arrays(path)
    if name not in file.names:
        got = f"{', '.join(file.names[:20]) or 'nothing'} in {path}"
        raise fail("--token-counts", f"an array named '{name}'", got, "name the array as FILE:NAME")
    wanted = Wanted((name,))
    shape = file.shape(wanted)
    size = shape[0] or 2**20
    taken = BlockReader(file.blocks((wanted,), size)).take(size)
    return torch.empty(0) if taken is None else taken[0]
