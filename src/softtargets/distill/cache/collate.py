"""Joining batches of tokens with the rows of a cache."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail, fail_type
from softtargets.distill._teacher_rows import TENSORS, TeacherRows
from softtargets.distill.cache.lookup import CachedSequences
from softtargets.distill.cache.read import TeacherCache

__all__ = ["CacheCollator"]

PREFIX = "teacher_"
IGNORED = -100


class CacheCollator:
    """Join the batches of another collator with a teacher's log-probabilities from a cache.

    Every batch gets the tensors `teacher_log_probs`, `teacher_classes` and so on, in the layout of its `labels`: those
    at (i, t) are about the label at (i, t). :meth:`take` turns them into :class:`TeacherRows`. A language model that
    predicts the next token shifts both alike.

    The tokens of the batch are compared with those of the cache, so that another tokenizer, another order of the
    examples, or truncation is noticed.

    Args:
        cache: a cache of sequences.
        collate: makes a batch, with `labels`, of a list of examples, such as DataCollatorForLanguageModeling of
            transformers.
        id_key: key of an example that holds its id in the cache.
        tokens_key: key of the batch that holds the tokens of the cache: "input_ids", or "labels" for a model with a
            decoder.
        shift: True if a label is predicted from the position before, as in causal language models. The first token of
            a sequence then needs no row; with padding on the left its label is set to -100, because a padded position
            would predict it.

    Raises:
        ValueError: if the cache is not of sequences.
        TypeError: if an argument has the wrong type.

    Special cases:
        labels of -100 need no row.

    Complexity:
        A copy of the rows of each batch: for k classes, 12k + 4 bytes per position.

    When to use:
        A student is trained on a cache of sequences, in a Trainer or in a loop of your own.

    Limitations:
        Rows are about unchanged inputs: not for random masking or packing.

    Example:
        >>> import tempfile
        >>> from softtargets.distill import CacheSource, SequenceBatch, TopK, write_cache
        >>> source = CacheSource("t", "d", num_classes=3, tokenizer="letters")
        >>> tokens = torch.tensor([[2, 0, 1]])
        >>> batch = SequenceBatch(torch.tensor([7]), tokens, torch.zeros(1, 3, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = write_cache(folder, [batch], source, keep=TopK(k=1))
        ...     collate = CacheCollator(cache, lambda examples: {"input_ids": tokens, "labels": tokens.clone()})
        ...     made = collate([{"id": 7}])
        >>> collate.take(made)
        TeacherRows(top 1 of 3, shape=(1, 3))
    """

    def __init__(
        self,
        cache: TeacherCache,
        collate: Callable[[list[Any]], Any],
        *,
        id_key: str = "id",
        tokens_key: str = "input_ids",
        shift: bool = True,
    ) -> None:
        if not isinstance(cache, TeacherCache):
            raise fail_type("cache", "a TeacherCache", type(cache).__name__, "use TeacherCache.open(folder)")
        if not cache.plan.sequences:
            required, remedy = "a cache of sequences", "write one with tokenizer= of CacheSource, and SequenceBatch"
            raise fail("cache", required, repr(cache), remedy)
        if not callable(collate):
            raise fail_type("collate", "a function of a list of examples", type(collate).__name__, "pass a collator")
        self.cache, self.collate, self.shift = cache, collate, bool(shift)
        self.id_key, self.tokens_key = id_key, tokens_key

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Return the batch of some examples, with the teacher's tensors.

        Args:
            examples: mappings with the id of each example.

        Raises:
            ValueError: if an example has no id or one that is not in the cache, the tokens are not those of the cache,
                or a label other than -100 has no row; the example, the position and the file are named.
        """
        ids = torch.tensor([self._id(example, row) for row, example in enumerate(examples)], dtype=torch.int64)
        batch = self.collate([{k: v for k, v in example.items() if k != self.id_key} for example in examples])
        for key in ("labels", self.tokens_key):
            if key not in batch:
                got = f"one with {', '.join(batch)}"
                raise fail("collate", f"a batch with '{key}'", got, "use a collator that makes it, or set tokens_key")
        tokens, labels = batch[self.tokens_key], batch["labels"]
        if self.tokens_key == "labels":
            real = labels != IGNORED
        else:
            mask = batch.get("attention_mask")
            real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask.bool()
        found = self.cache.sequences(ids)
        places = self._places(ids, tokens, real, found)
        batch["labels"] = self._labels(ids, labels, real, places, found)
        for name, tensor in found.rows.tensors().items():
            joined = tensor.new_zeros((labels.numel(), *tensor.shape[1:]))
            joined[places] = tensor
            batch[PREFIX + name] = joined.view(*labels.shape, *tensor.shape[1:])
        return batch

    def take(self, batch: MutableMapping[str, Any]) -> TeacherRows:
        """Remove the teacher's tensors from a batch and return them as TeacherRows of the shape of its labels.

        Raises:
            ValueError: if the batch has none.
        """
        tensors = {name: batch.pop(PREFIX + name, None) for name in TENSORS}
        log_probs = tensors.pop("log_probs")
        if log_probs is None:
            got = f"one with {', '.join(batch)}"
            raise fail("batch", "a batch of this collator", got, "pass what the collator returned, unchanged")
        plan = self.cache.plan
        return TeacherRows(log_probs, **tensors, num_classes=plan.source.num_classes, temperature=plan.keep.temperature)

    def _id(self, example: Mapping[str, Any], row: int) -> int:
        try:
            return int(example[self.id_key])
        except (KeyError, TypeError, ValueError):
            got = f"keys {', '.join(example)}" if isinstance(example, Mapping) else type(example).__name__
            remedy = "add the id of each sequence to the data set, or set id_key"
            raise fail(f"example {row}", f"an integer '{self.id_key}'", got, remedy) from None

    def _file(self, found: CachedSequences, row: int) -> str:
        return str(self.cache.folder / found.files[row])

    def _places(self, ids: Tensor, tokens: Tensor, real: Tensor, found: CachedSequences) -> Tensor:
        """Return where in the flattened batch each row of the cache belongs, after comparing the tokens."""
        width, places, start, row_start = tokens.shape[1], [], 0, 0
        for row, (end, row_end) in enumerate(zip(found.token_ends.tolist(), found.row_ends.tolist(), strict=True)):
            own, cached = tokens[row][real[row]].cpu(), found.tokens[start:end]
            if len(own) != len(cached) or not torch.equal(own, cached):
                raise self._other_tokens(int(ids[row]), own, cached, self._file(found, row))
            at = real[row].nonzero()[:, 0].cpu()
            places.append(row * width + at[found.positions[row_start:row_end]])
            start, row_start = end, row_end
        return torch.cat([torch.empty(0, dtype=torch.int64), *places])

    def _other_tokens(self, number: int, own: Tensor, cached: Tensor, file: str) -> Exception:
        count = min(len(own), len(cached))
        bad = first_bad(own[:count] != cached[:count])
        if bad is not None:
            required = f"token {int(cached[bad])} at position {bad[0]} of id {number}, as in {file}"
            remedy = f"use the tokenizer of the cache, '{self.cache.plan.source.tokenizer}', and the same data"
            return fail(self.tokens_key, required, int(own[bad]), remedy)
        required = f"{len(cached)} tokens for id {number}, as in {file}"
        remedy = "truncate as the teacher's data were truncated, or write the cache again"
        return fail(self.tokens_key, required, f"{len(own)}", remedy)

    def _labels(self, ids: Tensor, labels: Tensor, real: Tensor, places: Tensor, found: CachedSequences) -> Tensor:
        """Return the labels, after checking that each has a row."""
        there = torch.zeros(labels.numel(), dtype=torch.bool)
        there[places] = True
        there = there.view(labels.shape)
        if self.shift:  # the first token of a sequence is predicted by nothing
            first = (real & (real.cumsum(1) == 1)).to(labels.device)
            labels = labels.masked_fill(first, IGNORED)
        bad = first_bad((labels.cpu() != IGNORED) & ~there)
        if bad is not None:
            row, column = bad
            position = int(real[row, :column].sum())
            required = f"a row for the label at position {position} of id {int(ids[row])}"
            got = f"none in {self._file(found, row)}"
            raise fail("labels", required, got, "set that label to -100, or write a cache with all rows")
        return labels
