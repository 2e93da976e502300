"""Rows of tokens: ragged rows, padded batches, and batches by tokens."""

import pytest
import torch

from softtargets._errors import InputError
from softtargets.data.tokens import Pairs, TokenRows, Tokens, TokenShape, count_rows, read_shape, rows_at, token_batches

ROWS = TokenRows.of([[5, 6, 7], [8], [9, 10]])


def test_rows_are_taken_in_any_order_and_repeatedly() -> None:
    taken = ROWS[torch.tensor([2, 0, 2])]
    assert [taken.row(index).tolist() for index in range(len(taken))] == [[9, 10], [5, 6, 7], [9, 10]]
    assert ROWS.lengths.tolist() == [3, 1, 2]
    assert len(ROWS[torch.empty(0, dtype=torch.int64)]) == 0


def test_a_batch_is_padded_to_its_longest_row() -> None:
    batch = ROWS.padded(torch.tensor([1, 2]), pad=4)
    assert batch.ids.tolist() == [[8, 4], [9, 10]]
    assert batch.ids.dtype == torch.int64
    assert batch.mask.tolist() == [[True, False], [True, True]]
    assert ROWS.padded(torch.tensor([0]), pad=4).ids.tolist() == [[5, 6, 7]]


def test_rows_of_batches_of_every_kind() -> None:
    tokens = ROWS.padded(torch.tensor([0, 1]), pad=0)
    pairs = Pairs(tokens, tokens)
    for batch in (torch.zeros(2, 3), tokens, pairs):
        assert count_rows(batch) == 2
        part = rows_at(batch, slice(1, 2))
        assert type(part) is type(batch)
        assert count_rows(part) == 1
    assert isinstance(rows_at(tokens, torch.tensor([1])), Tokens)


def test_a_shape_is_read_from_its_numbers() -> None:
    shape = TokenShape(7, 100, 0, 1, 2)
    assert isinstance(read_shape(list(shape)), TokenShape)
    assert read_shape([3, 8, 8]) == (3, 8, 8)


def test_token_batches_keep_the_limit_and_have_every_row_once() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 20, (200,), generator=generator)
    counts = set()
    for _ in range(3):
        order = torch.randperm(200, generator=generator)[:150]
        batches = token_batches(lengths, order, 64)
        assert torch.cat(batches).sort().values.equal(order.sort().values)
        assert all(len(rows) * int(lengths[rows].max()) <= 64 for rows in batches)
    for _ in range(3):
        counts.add(len(token_batches(lengths, torch.randperm(200, generator=generator), 64)))
    assert len(counts) == 1


def test_rows_of_equal_length_keep_the_given_order() -> None:
    lengths = torch.tensor([2, 2, 2, 2])
    assert [rows.tolist() for rows in token_batches(lengths, torch.tensor([3, 0, 2, 1]), 4)] == [[3, 0], [2, 1]]


def test_a_row_that_is_longer_than_a_batch_is_an_error() -> None:
    with pytest.raises(InputError, match=r"training\.batch_tokens.*at least 9.*row 1"):
        token_batches(torch.tensor([3, 9]), torch.tensor([0, 1]), 8)
