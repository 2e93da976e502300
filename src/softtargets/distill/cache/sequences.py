"""Sequences of tokens with the rows of a teacher: as a user passes them, and as a cache stores them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_mask, first_bad, read_labels
from softtargets._errors import fail, fail_type
from softtargets.distill.cache.plan import Plan
from softtargets.distill.cache.probabilities import columns_of, integer_ids, scores_of

__all__ = ["SequenceBatch"]


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """A batch of sequences, and the teacher's logits for their tokens, for :func:`write_cache`.

    Args:
        ids: (n,) integers, the id of each sequence, by which the cache is read.
        tokens: (n, L) integers in [0, K): the input ids of a causal language model, or the labels of a model with a
            decoder. Padded positions may hold anything.
        logits: (n, L, K) float, the teacher's, or a function that returns them, which is not called for sequences that
            are already written.
        mask: (n, L) bool, True for tokens, False for padding, as an attention mask; None: there is no padding.
        rows: (n, L) bool, True for tokens whose prediction is kept, such as those of an answer; None: all.
        shift: True if the logits at a position predict the token after it, as in causal language models, whose first
            token is then predicted by nothing; False if they predict the token at it, as in a decoder's labels.

    Raises:
        ValueError: if shapes differ, or the tokens of a sequence are not adjacent.
        TypeError: if ids or tokens are not integers, or a mask is not boolean.
    """

    ids: Tensor
    tokens: Tensor
    logits: Tensor | Callable[[], Tensor]
    mask: Tensor | None = None
    rows: Tensor | None = None
    shift: bool = True

    def __post_init__(self) -> None:
        count = len(integer_ids(self.ids))
        whole, _ = read_labels("tokens", self.tokens, mask=self.mask)
        if whole.ndim != 2 or len(whole) != count:
            raise fail("tokens", f"shape ({count}, L), one row per id", tuple(whole.shape), "pass (n, L) tokens")
        check_mask(self.rows, tuple(whole.shape))
        real = self.real()
        starts = real[:, 0].long() + (real[:, 1:] & ~real[:, :-1]).sum(1) if whole.shape[1] else real.sum(1)
        bad = first_bad(starts != 1)
        if bad is not None:
            got = f"{int(starts[bad])} separate parts for id {int(integer_ids(self.ids)[bad])}"
            raise fail("mask", "the tokens of each sequence next to each other", got, "pad on one side, or drop it")

    def real(self) -> Tensor:
        """Return where there are tokens, (n, L) bool, on the CPU."""
        return torch.ones(self.tokens.shape, dtype=torch.bool) if self.mask is None else self.mask.cpu()


@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences of different lengths, one after the other.

    Args:
        ids: (n,) int64.
        token_ends: (n,) int64, the end of each sequence in `tokens`.
        tokens: (T,) int32.
        row_ends: (n,) int64, the end of each sequence in `positions` and in the columns.
        positions: (R,) int32, the place within its sequence of the token that a row predicts, ascending.
        columns: the columns of :meth:`Plan.columns`, (R, ...) each.
    """

    ids: Tensor
    token_ends: Tensor
    tokens: Tensor
    row_ends: Tensor
    positions: Tensor
    columns: dict[str, Tensor]

    def parts(self, number: int) -> tuple[slice, slice]:
        """Return which tokens and which rows belong to a sequence."""
        tokens, rows = (
            slice(int(ends[number - 1]) if number else 0, int(ends[number]))
            for ends in (self.token_ends, self.row_ends)
        )
        return tokens, rows

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by the names that they have in a file."""
        own = ("ids", "token_ends", "row_ends", "tokens", "positions")
        return {**{name: getattr(self, name) for name in own}, **self.columns}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Ragged":
        """Return the sequences of a file."""
        columns = dict(tensors)
        ids, token_ends, tokens, row_ends, positions = (
            columns.pop(name) for name in ("ids", "token_ends", "tokens", "row_ends", "positions")
        )
        return cls(ids, token_ends, tokens, row_ends, positions, columns)


def joined(parts: list[Ragged]) -> Ragged:
    """Return the sequences of several parts as one."""
    ends = {}
    for name in ("token_ends", "row_ends"):
        starts = torch.tensor([0, *(int(getattr(part, name)[-1]) for part in parts[:-1])]).cumsum(0)
        ends[name] = torch.cat([getattr(part, name) + start for part, start in zip(parts, starts, strict=True)])
    ids, tokens, positions = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("ids", "tokens", "positions")
    )
    columns = {name: torch.cat([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Ragged(ids, ends["token_ends"], tokens, ends["row_ends"], positions, columns)


def ragged(batch: object, plan: Plan) -> tuple[Tensor, Callable[[], Ragged]]:
    """Return the ids of a batch, and a function that computes its rows."""
    if not isinstance(batch, SequenceBatch):
        required = "SequenceBatches, because the source has a tokenizer"
        remedy = "pass SequenceBatch(ids, tokens, logits), or a source without a tokenizer"
        raise fail_type("batches", required, f"an item of type {type(batch).__name__}", remedy)
    return integer_ids(batch.ids), lambda: _computed(batch, plan)


def _computed(batch: SequenceBatch, plan: Plan) -> Ragged:
    ids, real, tokens = integer_ids(batch.ids), batch.real(), batch.tokens.detach().cpu().long()
    size = plan.source.num_classes
    bad = first_bad(((tokens < 0) | (tokens >= size)) & real)
    if bad is not None:
        got = f"{int(tokens[bad])} at position {bad[1]} of id {int(ids[bad[0]])}"
        remedy = "use the tokenizer of the teacher, and set num_classes to the number of its logits"
        raise fail("tokens", f"tokens below {size}, num_classes", got, remedy)
    kept = real if batch.rows is None else real & batch.rows.cpu()
    if batch.shift:
        kept = kept & real.roll(1, 1) & (torch.arange(kept.shape[1]) > 0)  # the first token is predicted by nothing
    logits = batch.logits if isinstance(batch.logits, Tensor) else batch.logits()
    if logits.shape[:-1] != tokens.shape:
        required = f"shape {(*tokens.shape, size)}, as the tokens"
        raise fail("teacher_logits", required, tuple(logits.shape), "pass one row of logits for each token")
    scores_of(logits[:0], plan)
    at = (kept.roll(-1, 1) if batch.shift else kept).to(logits.device)
    counts = kept.sum(1)
    return Ragged(
        ids,
        real.sum(1).cumsum(0),
        tokens[real].int(),
        counts.cumsum(0),
        (real.cumsum(1) - 1)[kept].int(),
        columns_of(ids.repeat_interleave(counts), scores_of(logits[at], plan), plan),
    )
