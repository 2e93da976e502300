"""Language models by their architecture in transformers."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from softtargets._errors import InputError
from softtargets.data.tokens import TokenRows, TokenShape
from softtargets.models import MODELS

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SHAPE = TokenShape(max_length=12, vocabulary=30, pad=0, bos=1, eos=2)
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2}
ROWS = TokenRows.of([[1, 5, 6, 7, 2], [1, 9, 2]])
BATCH = ROWS.padded(torch.tensor([0, 1]), pad=0)


def built(**settings: Any) -> Any:
    torch.manual_seed(0)
    return MODELS["causal_lm"].parse({"config": GPT2, **settings}).build(SHAPE, SHAPE.vocabulary).eval()


def test_the_loss_is_that_of_transformers() -> None:
    network = built()
    config = transformers.GPT2Config(vocab_size=30, **GPT2)
    reference = transformers.GPT2LMHeadModel(config).eval()
    state = {f"transformer.{name}": value for name, value in network.network.state_dict().items()}
    shared = network.head.weight
    reference.load_state_dict({**state, "transformer.wte.weight": shared, "lm_head.weight": shared})
    logits = network(BATCH)
    assert logits.shape == (6, 30)
    labels = torch.tensor([5, 6, 7, 2, 9, 2])
    expected = reference(BATCH.ids, attention_mask=BATCH.mask.long(), labels=BATCH.ids.masked_fill(~BATCH.mask, -100))
    torch.testing.assert_close(F.cross_entropy(logits, labels), expected.loss)
    torch.testing.assert_close(logits, network.head(network.features(BATCH)))


def test_every_tensor_has_one_name_and_the_embedding_learns() -> None:
    network = built()
    places = [value.data_ptr() for value in network.state_dict().values()]
    assert len(places) == len(set(places))
    untied = built(config={**GPT2, "tie_word_embeddings": False})
    count, more = (sum(value.numel() for value in made.parameters()) for made in (network, untied))
    assert more == count + 30 * 16
    assert MODELS["causal_lm"].parse({"config": GPT2}).parameters(SHAPE, 30) == count
    network(BATCH).sum().backward()
    # a token that is only an input has a gradient beyond that of the last layer
    assert float(network.head.weight.grad[1].abs().sum()) > 0


def test_other_architectures_and_what_is_no_language_model() -> None:
    llama = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    assert built(architecture="llama", config=llama)(BATCH).shape == (6, 30)
    with pytest.raises(InputError, match=r"model\.architecture: a causal language model; got 'bert'"):
        built(architecture="bert", config=llama)
    with pytest.raises(InputError, match=r"model\.architecture: one of .*gpt2"):
        built(architecture="gtp2")
    with pytest.raises(InputError, match=r"model\.config.*n_layer"):
        built(config={"n_layers": 2})
    with pytest.raises(InputError, match=r"model\.config: settings of 'gpt2' that fit together; got \{'n_embd': 10"):
        built(config={"n_embd": 10, "n_head": 3})
    with pytest.raises(InputError, match="rows of tokens, for 'causal_lm'"):
        MODELS["causal_lm"].parse({}).build((1, 8, 8), 10)
    with pytest.raises(
        InputError, match=r"data\.tokenizer: at most 20 tokens, the vocabulary of model\.config; got 30"
    ):
        built(config={**GPT2, "vocab_size": 20})
    assert MODELS["causal_lm"].parse({"config": GPT2}).most_tokens(SHAPE, 30) == 1024
