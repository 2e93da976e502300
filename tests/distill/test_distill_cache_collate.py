"""The collator: rows beside the labels they are about, whatever the padding, and tokens of another tokenizer."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from teacher_rows import top_rows
from torch import Tensor

from softtargets.distill import CacheCollator, CacheSource, SequenceBatch, TeacherCache, TopK, write_cache

K, L = 11, 5
GENERATOR = torch.Generator().manual_seed(0)
LENGTHS = (5, 2, 4)
SEQUENCES = [torch.randint(K, (length,), generator=GENERATOR).tolist() for length in LENGTHS]
LOGITS = torch.randn(3, L, K, generator=GENERATOR)
EXAMPLES = [{"id": 10 + n, "input_ids": tokens} for n, tokens in enumerate(SEQUENCES)]


def padded(examples: list[dict[str, Any]], side: str = "right") -> dict[str, Tensor]:
    def row(values: list[int], filler: int) -> list[int]:
        more = [filler] * (L - len(values))
        return values + more if side == "right" else more + values

    assert all(example.keys() == {"input_ids"} for example in examples), "the id is taken out"
    tokens = [example["input_ids"] for example in examples]
    return {
        "input_ids": torch.tensor([row(one, 0) for one in tokens]),
        "attention_mask": torch.tensor([row([1] * len(one), 0) for one in tokens]),
        "labels": torch.tensor([row(one, -100) for one in tokens]),
    }


def padded_left(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    return padded(examples, "left")


@pytest.fixture
def cache(tmp_path: Path) -> TeacherCache:
    tokens = padded([{"input_ids": one} for one in SEQUENCES])
    batch = SequenceBatch(torch.tensor([10, 11, 12]), tokens["input_ids"], LOGITS, tokens["attention_mask"].bool())
    source = CacheSource("t", "d", K, tokenizer="letters")
    return write_cache(tmp_path / "cache", [batch], source, keep=TopK(3, temperature=2.0, dtype="float32"))


@pytest.mark.parametrize("collate", [padded, padded_left])
def test_rows_stand_beside_the_labels_they_are_about(cache: TeacherCache, collate: Any) -> None:
    joined = CacheCollator(cache, collate)
    assert pickle.loads(pickle.dumps(joined)).id_key == "id", "for the workers of a data loader"
    batch = joined([EXAMPLES[2], EXAMPLES[0]])
    rows = joined.take(batch)
    assert not any(key.startswith("teacher_") for key in batch)
    assert (rows.shape, rows.num_classes, rows.temperature) == ((2, L), K, 2.0)
    for place, number in enumerate((2, 0)):
        length = LENGTHS[number]
        start = 0 if collate is padded else L - length
        expected = top_rows(3, LOGITS[number, : length - 1], 2.0)
        mine = rows[place, start + 1 : start + length]
        for name, tensor in expected.tensors().items():
            torch.testing.assert_close(mine.tensors()[name], tensor, rtol=0, atol=1e-6)
        labels = batch["labels"][place]
        assert labels[start + 1 : start + length].tolist() == SEQUENCES[number][1:]
        assert int((labels != -100).sum()) == length - 1, "nothing predicts the first token"


def test_a_label_of_minus_100_needs_no_row_and_any_other_does(tmp_path: Path) -> None:
    tokens = torch.tensor([SEQUENCES[0]])
    rows = torch.arange(L) >= 3
    batch = SequenceBatch(torch.tensor([10]), tokens, LOGITS[:1], rows=rows[None])
    source = CacheSource("t", "d", K, tokenizer="letters")
    cache = write_cache(tmp_path, [batch], source, keep=TopK(3))

    def of_answers(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        made = padded(examples)
        return {**made, "labels": made["labels"].masked_fill(~rows, -100)}

    assert CacheCollator(cache, of_answers)(EXAMPLES[:1])["teacher_classes"].shape == (1, L, 3)
    required = r"^labels: a row for the label at position 1 of id 10; got none in .*shard-00000.safetensors; set that"
    with pytest.raises(ValueError, match=required):
        CacheCollator(cache, padded)(EXAMPLES[:1])


def test_the_labels_of_a_decoder_are_its_tokens(tmp_path: Path) -> None:
    tokens = padded([{"input_ids": one} for one in SEQUENCES])
    batch = SequenceBatch(
        torch.tensor([10, 11, 12]), tokens["input_ids"], LOGITS, tokens["attention_mask"].bool(), shift=False
    )
    source = CacheSource("t", "d", K, tokenizer="letters")
    cache = write_cache(tmp_path, [batch], source, keep=TopK(dtype="float32"))

    def pairs(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        return {"input_ids": torch.zeros(len(examples), 2, dtype=torch.int64), "labels": padded(examples)["labels"]}

    joined = CacheCollator(cache, pairs, tokens_key="labels", shift=False)
    batch = joined(EXAMPLES)
    assert batch["teacher_log_probs"].shape == (3, L, K)
    rows = joined.take(batch)
    torch.testing.assert_close(rows.log_probs[2, :4], LOGITS[2, :4].log_softmax(-1), rtol=0, atol=1e-6)
    assert batch["labels"][0].tolist() == SEQUENCES[0]


def changed(number: int, tokens: list[int]) -> list[dict[str, Any]]:
    return [{**example, "input_ids": tokens} if n == number else example for n, example in enumerate(EXAMPLES)]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (
            changed(2, [*SEQUENCES[2][:3], (SEQUENCES[2][3] + 1) % K]),
            rf"^input_ids: token {SEQUENCES[2][3]} at position 3 of id 12, as in .*shard-00000.safetensors; got \d+; "
            r"use the tokenizer of the cache, 'letters'",
        ),
        (
            changed(0, SEQUENCES[0][:4]),
            r"^input_ids: 5 tokens for id 10, as in .*shard-00000.safetensors; got 4; truncate as",
        ),
        (changed(1, [*SEQUENCES[1], 0]), r"^input_ids: 2 tokens for id 11, as in .*; got 3;"),
        ([{"id": 9, "input_ids": [1]}], r"^ids: ids of the cache in .*; got 9 at row 0; write a cache"),
        ([EXAMPLES[0], {"input_ids": [1]}], r"^example 1: an integer 'id'; got keys input_ids; add the id"),
    ],
)
def test_what_does_not_fit_is_named_with_its_row_and_file(cache: TeacherCache, examples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CacheCollator(cache, padded)(examples)


def test_bad_arguments_are_named(cache: TeacherCache, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^cache: a TeacherCache; got str; use TeacherCache.open"):
        CacheCollator("folder", padded)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^collate: a function of a list of examples; got dict"):
        CacheCollator(cache, {})  # pyright: ignore[reportArgumentType]
    examples = write_cache(tmp_path / "e", [(torch.arange(3), LOGITS[:, 0])], CacheSource("t", "d", K))
    with pytest.raises(ValueError, match=r"^cache: a cache of sequences; got TeacherCache\("):
        CacheCollator(examples, padded)
    with pytest.raises(ValueError, match=r"^collate: a batch with 'labels'; got one with input_ids"):
        CacheCollator(cache, lambda examples: {"input_ids": torch.zeros(1, 1)})(EXAMPLES[:1])
    with pytest.raises(ValueError, match=r"^batch: a batch of this collator; got one with labels"):
        CacheCollator(cache, padded).take({"labels": 1})
