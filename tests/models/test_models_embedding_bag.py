"""The classifier by the mean of embeddings."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from softtargets._errors import InputError, InputTypeError
from softtargets.data.tokens import TokenRows, Tokens, TokenShape
from softtargets.models import MODELS

SHAPE = TokenShape(max_length=6, vocabulary=20, pad=0, bos=1, eos=2)
ROWS = TokenRows.of([[1, 5, 6, 2], [1, 7, 2]])
BATCH = ROWS.padded(torch.tensor([0, 1]), pad=0)


def built(**settings: object) -> Any:
    torch.manual_seed(0)
    return MODELS["embedding_bag"].parse({"width": 4, **settings}).build(SHAPE, 3).eval()


def test_features_are_the_mean_of_the_embeddings() -> None:
    network = built()
    weight = network.embedding.weight
    expected = torch.stack([weight[[1, 5, 6, 2]].mean(0), weight[[1, 7, 2]].mean(0)])
    torch.testing.assert_close(network.features(BATCH), expected)
    torch.testing.assert_close(network(BATCH), network.head(expected))


def test_bigrams_are_averaged_with_the_tokens() -> None:
    network = built(bigrams=11, hidden=(5,))
    expected = []
    for row in (0, 1):
        ids = ROWS.row(row).tolist()
        places = [(first * 1_000_003 + second) % 11 for first, second in pairwise(ids)]
        parts = torch.cat([network.embedding.weight[ids], network.bigrams.weight[places]])
        expected.append(network.body(parts.mean(0)))
    torch.testing.assert_close(network.features(BATCH), torch.stack(expected))


def test_padding_changes_nothing() -> None:
    network = built(bigrams=11)
    wider = Tokens(torch.nn.functional.pad(BATCH.ids, (0, 2), value=9), torch.nn.functional.pad(BATCH.mask, (0, 2)))
    torch.testing.assert_close(network(wider), network(BATCH))
    alone = ROWS.padded(torch.tensor([1]), pad=0)
    torch.testing.assert_close(network(alone), network(BATCH)[1:])


def test_it_is_for_tokens_and_other_networks_are_not() -> None:
    spec = MODELS["embedding_bag"].parse({})
    with pytest.raises(InputError, match=r"input_shape: rows of tokens, for 'embedding_bag'.*data\.tokenizer"):
        spec.build((1, 8, 8), 3)
    for name in ("mlp", "resnet", "alexnet", "fastconv"):
        with pytest.raises(InputError, match="rows of tokens; use embedding_bag or transformers"):
            MODELS[name].parse({}).build(SHAPE, 3)
    with pytest.raises(InputTypeError, match="inputs: tokens; got Tensor"):
        built()(torch.zeros(2, 3))
