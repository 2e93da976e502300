"""Caches of sequences: what is kept of each token, resumption, the layout of the files, and bad input."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from teacher_rows import top_rows
from torch import Tensor

from softtargets.distill import CacheSource, Sampled, SequenceBatch, TeacherCache, TopK, divergence_loss, write_cache

N, L, K = 9, 6, 11
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, L, K, generator=GENERATOR).mul(2)
TOKENS = torch.randint(K, (N, L), generator=GENERATOR)
LENGTHS = torch.tensor([6, 2, 1, 5, 4, 6, 3, 2, 6])
MASK = torch.arange(L) < LENGTHS[:, None]
IDS = torch.tensor([40, 3, 17, -2, 9, 11, 5, 100, 8])
SOURCE = CacheSource("t", "d", K, tokenizer="letters")


class Stopped(Exception):
    """The teacher's process is stopped."""


def batches(stop: int | None = None, size: int = 2, **fields: Any) -> Iterator[SequenceBatch]:
    for number, start in enumerate(range(0, N, size)):
        if number == stop:
            raise Stopped
        rows = slice(start, start + size)
        cut = {name: value[rows] if isinstance(value, Tensor) else value for name, value in fields.items()}
        yield SequenceBatch(IDS[rows], TOKENS[rows], LOGITS[rows], **{"mask": MASK[rows], **cut})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_token_has_the_row_that_predicts_it(tmp_path: Path) -> None:
    cache = write_cache(tmp_path, batches(), SOURCE, keep=TopK(3, dtype="float32"), rows_per_shard=8)
    assert repr(cache) == f"TeacherCache({str(tmp_path)!r}, 9 sequences, 11 classes, k=3)"
    order = torch.tensor([8, 0, 2, 2, 5])
    found = cache.sequences(IDS[order])
    tokens = found.tokens.tensor_split(found.token_ends[:-1])
    positions = found.positions.tensor_split(found.row_ends[:-1])
    start = 0
    for place, row in enumerate(order.tolist()):
        length = int(LENGTHS[row])
        assert tokens[place].tolist() == TOKENS[row, :length].tolist()
        assert positions[place].tolist() == list(range(1, length))
        expected = top_rows(3, LOGITS[row, : length - 1])
        mine = found.rows[start : start + length - 1]
        for name, tensor in expected.tensors().items():
            torch.testing.assert_close(mine.tensors()[name], tensor, rtol=0, atol=1e-6)
        start += length - 1
    assert start == found.rows.shape[0]
    assert cache.sequences(IDS[:0]).rows.shape == (0,)
    assert torch.equal(cache.ids, IDS.sort().values)


def test_a_decoder_has_a_row_for_its_first_token_and_rows_choose_tokens(tmp_path: Path) -> None:
    keep = TopK(dtype="float32")
    cache = write_cache(tmp_path / "a", batches(shift=False), SOURCE, keep=keep)
    found = cache.sequences(IDS[3:4])
    assert found.positions.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(found.rows.log_probs, LOGITS[3, :5].log_softmax(-1))
    assert found.rows.classes is None
    answer = torch.arange(L) >= 2
    cache = write_cache(tmp_path / "b", batches(rows=answer.expand(N, L)), SOURCE, keep=keep)
    found = cache.sequences(IDS[3:4])
    assert found.positions.tolist() == [2, 3, 4]
    assert torch.equal(found.rows.log_probs, LOGITS[3, 1:4].log_softmax(-1))


def test_padding_on_the_left_is_the_same_sequence(tmp_path: Path) -> None:
    kept = write_cache(tmp_path / "a", batches(), SOURCE, keep=TopK(2))
    flipped = [SequenceBatch(IDS, *(aligned_right(z) for z in (TOKENS, LOGITS)), mask=MASK.flip(1))]
    write_cache(tmp_path / "b", flipped, SOURCE, keep=TopK(2))
    assert files(kept.folder) == files(tmp_path / "b")


def aligned_right(values: Tensor) -> Tensor:
    return torch.stack([row.roll(L - int(length), 0) for row, length in zip(values, LENGTHS, strict=True)])


@pytest.mark.parametrize("keep", [TopK(3), Sampled(2), Sampled(2, proposal_temperature=2.0)])
@pytest.mark.parametrize("stop", range(5))
def test_stopped_between_batches_it_ends_with_the_same_bytes(tmp_path: Path, keep: TopK | Sampled, stop: int) -> None:
    def options() -> dict[str, Any]:
        generator = torch.Generator().manual_seed(7) if isinstance(keep, Sampled) else None
        return {"keep": keep, "rows_per_shard": 7, "generator": generator}

    write_cache(tmp_path / "whole", batches(), SOURCE, **options())
    for _ in range(2):
        with pytest.raises(Stopped):
            write_cache(tmp_path / "part", batches(stop), SOURCE, **options())
    cache = write_cache(tmp_path / "part", batches(size=4), SOURCE, **options())
    assert files(tmp_path / "part") == files(tmp_path / "whole")
    assert len([name for name in files(tmp_path / "part") if name.startswith("shard")]) == 3
    cache.verify()


def test_what_is_written_is_not_asked_of_the_teacher_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def lazy(stop: int | None = None) -> Iterator[SequenceBatch]:
        for number, batch in enumerate(batches(stop)):

            def answered(number: int = number, logits: Any = batch.logits) -> Tensor:
                asked.append(number)
                return logits

            yield SequenceBatch(batch.ids, batch.tokens, answered, batch.mask)

    with pytest.raises(Stopped):
        write_cache(tmp_path, lazy(3), SOURCE, keep=TopK(2), rows_per_shard=9)
    assert asked == [0, 1, 2]
    write_cache(tmp_path, lazy(), SOURCE, keep=TopK(2), rows_per_shard=9)
    # the first four sequences have 10 rows, which is a whole shard, and the next two only 8
    assert asked == [0, 1, 2, 2, 3, 4]


def test_draws_are_of_the_sequence_whatever_the_batches_and_estimate_the_teacher(tmp_path: Path) -> None:
    def cache(name: str, size: int, copies: int = 1) -> TeacherCache:
        generator = torch.Generator().manual_seed(5)
        ids = torch.arange(copies)
        many = [
            SequenceBatch(
                ids[s : s + size],
                TOKENS[:1].repeat(len(ids[s : s + size]), 1),
                LOGITS[:1].repeat(len(ids[s : s + size]), 1, 1),
            )
            for s in range(0, copies, size)
        ]
        return write_cache(tmp_path / name, many, SOURCE, keep=Sampled(4, 1.5), generator=generator)

    cache("a", 3, 6)
    cache("b", 5, 6)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    found = cache("c", 500, 2000).sequences(torch.arange(2000)).rows
    assert found.drawn
    assert found.log_weights is not None
    assert found.classes is not None
    dense = torch.zeros(*found.shape, K).scatter_add(-1, found.classes, found.log_weights.exp() / 4)
    mean = dense.view(2000, L - 1, K)
    error = mean.std(0) / 2000**0.5
    assert bool(((mean.mean(0) - LOGITS[0, :-1].softmax(-1)).abs() <= 4.5 * error + 2e-3).all())
    expected = LOGITS[0, :-1].log_softmax(-1).repeat(2000, 1).gather(-1, found.classes)
    torch.testing.assert_close(found.log_probs, expected, rtol=2**-10, atol=1e-3)


def test_the_files_are_safetensors_as_documented(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    cache = write_cache(tmp_path, batches(), SOURCE, keep=TopK(3), rows_per_shard=10**6)
    shard, index = (load_file(tmp_path / f"{name}.safetensors") for name in ("shard-00000", "index"))
    assert {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in shard.items()} == {
        "ids": (torch.int64, ()),
        "token_ends": (torch.int64, ()),
        "row_ends": (torch.int64, ()),
        "tokens": (torch.int32, ()),
        "positions": (torch.int32, ()),
        "logits": (torch.float16, (4,)),
        "classes": (torch.int16, (3,)),
    }
    number = int(index["places"][(index["ids"] == 9).nonzero()[0, 0]])
    start, end = int(shard["row_ends"][number - 1]), int(shard["row_ends"][number])
    masses = shard["logits"][start:end].float().log_softmax(-1)
    found = cache.sequences(torch.tensor([9])).rows
    assert torch.equal(masses[:, :-1], found.log_probs)
    assert found.log_tail is not None
    assert torch.equal(masses[:, -1], found.log_tail)
    assert json.loads((tmp_path / "plan.json").read_text())["plan"]["tokenizer"] == "letters"


def test_float16_is_within_the_bound_of_examples(tmp_path: Path) -> None:
    found = write_cache(tmp_path, batches(), SOURCE, keep=TopK(3)).sequences(IDS[:1]).rows
    probs = LOGITS[0, :-1].double().softmax(-1)
    exact = top_rows(3, LOGITS[0, :-1].double()).log_probs.exp()
    distance = (probs * (probs.amax(-1, keepdim=True) / probs).log()).sum(-1)
    error = (found.log_probs.double().exp() - exact).abs().sum(-1)
    assert bool((error <= 1.01 * 2**-10 * distance + 1e-6).all())


def test_all_classes_train_as_the_live_teacher_does(tmp_path: Path) -> None:
    found = write_cache(tmp_path, batches(), SOURCE, keep=TopK(dtype="float32")).sequences(IDS).rows
    student = torch.randn(found.shape[0], K, generator=torch.Generator().manual_seed(1))
    live = torch.cat([LOGITS[row, : length - 1] for row, length in enumerate(LENGTHS.tolist())])
    for name in ("forward_kl", "reverse_kl", "jensen_shannon"):
        mine, theirs = (divergence_loss(student, teacher, divergence=name) for teacher in (found, live))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


def test_a_sequence_without_rows_is_kept_with_its_tokens(tmp_path: Path) -> None:
    found = write_cache(tmp_path, batches(), SOURCE, keep=TopK(2)).sequences(torch.tensor([17, 3]))
    assert found.row_ends.tolist() == [0, 1]
    assert found.token_ends.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"tokens": TOKENS + 1},
            r"^tokens: tokens below 11, num_classes; got 11 at position \d of id \d+; use the token",
        ),
        ({"logits": LOGITS[..., :10]}, r"^teacher_logits: 11 classes, num_classes, last; got"),
        ({"logits": LOGITS[:, 1:]}, r"^teacher_logits: shape \(9, 6, 11\), as the tokens; got \(9, 5, 11\)"),
        ({"logits": LOGITS * torch.nan}, r"^teacher_logits: numbers, .* for id 40;"),
    ],
)
def test_bad_batches_are_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    given = {"ids": IDS, "tokens": TOKENS, "logits": LOGITS, "mask": MASK, **changed}
    with pytest.raises(ValueError, match=message):
        write_cache(tmp_path, [SequenceBatch(**given)], SOURCE, keep=TopK(2))


def test_bad_fields_of_a_batch_are_named() -> None:
    mask = MASK.clone()
    mask[3] = torch.tensor([True, False, True, False, False, False])
    with pytest.raises(
        ValueError, match=r"^mask: the tokens of each sequence next to .*; got 2 separate parts for id -2"
    ):
        SequenceBatch(IDS, TOKENS, LOGITS, mask)
    with pytest.raises(ValueError, match=r"^mask: .*; got 0 separate parts for id 40"):
        SequenceBatch(IDS, TOKENS, LOGITS, MASK & False)
    with pytest.raises(ValueError, match=r"^tokens: shape \(9, L\), one row per id; got \(9,\)"):
        SequenceBatch(IDS, TOKENS[:, 0], LOGITS)


def test_examples_and_sequences_are_not_mixed_up(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^batches: SequenceBatches, because the source has a tokenizer; got an item"):
        write_cache(tmp_path / "a", [(IDS, LOGITS[:, 0])], SOURCE, keep=TopK(2))
    with pytest.raises(TypeError, match=r"^batches: .*SequenceBatch; pass tokenizer= of CacheSource"):
        write_cache(tmp_path / "b", batches(), CacheSource("t", "d", K), keep=TopK(2))
    with pytest.raises(ValueError, match=r"^residual: 'uniform' for sequences; got 'drop'; leave it out, and choose"):
        write_cache(tmp_path / "c", batches(), SOURCE, keep=TopK(2, "drop"))
    cache = write_cache(tmp_path / "d", batches(), SOURCE, keep=TopK(2))
    with pytest.raises(ValueError, match=r"d: a cache of examples; got one of sequences; use sequences"):
        cache.targets(IDS)
    examples = write_cache(tmp_path / "e", [(IDS, LOGITS[:, 0])], CacheSource("t", "d", K), keep=TopK(2))
    with pytest.raises(ValueError, match=r"e: a cache of sequences; got one of examples; use targets"):
        examples.sequences(IDS)


def test_another_tokenizer_or_a_cut_file_is_named(tmp_path: Path) -> None:
    cache = write_cache(tmp_path, batches(), SOURCE, keep=TopK(2))
    with pytest.raises(ValueError, match=r": tokenizer: 'words'; got 'letters'; pass the folder of a matching cache"):
        TeacherCache.open(tmp_path, tokenizer="words")
    with pytest.raises(ValueError, match=r"^tokenizer: 'letters', as .* was started with; got 'words'"):
        write_cache(tmp_path, batches(), CacheSource("t", "d", K, tokenizer="words"), keep=TopK(2))
    shard = tmp_path / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-2])
    message = r"shard-00000.safetensors: \d+ bytes; got \d+: the file is truncated or belongs to another cache"
    for look in (lambda: cache.sequences(IDS), lambda: TeacherCache.open(tmp_path)):
        with pytest.raises(ValueError, match=message):
            look()


@pytest.mark.parametrize("harm", ["length", "dtype", "json"])
def test_a_changed_header_is_named(tmp_path: Path, harm: str) -> None:
    cache = write_cache(tmp_path, batches(), SOURCE, keep=TopK(2))
    shard = tmp_path / "shard-00000.safetensors"
    content = shard.read_bytes()
    changed = {
        "length": (2**40).to_bytes(8, "little") + content[8:],
        "dtype": content.replace(b'"F16"', b'"I16"'),
        "json": content.replace(b'{"ids"', b'["ids"'),
    }[harm]
    assert changed != content
    assert len(changed) == len(content)
    shard.write_bytes(changed)
    with pytest.raises(ValueError, match=r"shard-00000.safetensors: .*; remove it and manifest.json"):
        cache.sequences(IDS)
