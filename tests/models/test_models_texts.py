"""Text classifiers of transformers on rows of tokens. No test needs a network."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from softtargets._errors import InputError
from softtargets.data.tokens import TokenRows, TokenShape
from softtargets.models import MODELS, ModelSpec
from softtargets.models.adapter import AdaptedNetwork

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SHAPE = TokenShape(max_length=12, vocabulary=50, pad=0, bos=1, eos=2)
ROWS = TokenRows.of([[1, 5, 6, 7, 8, 2], [1, 9, 2]])
BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
DISTILBERT = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 2}
# Settings that make each architecture small, the place of its head, and the number of tokens that it takes.
SMALL: dict[str, tuple[dict[str, Any], str, int | None]] = {
    "bert": (BERT, "inner.classifier", 512),
    "distilbert": (DISTILBERT, "inner.classifier", 512),
    "roberta": (BERT, "inner.classifier.out_proj", 511),
    "electra": ({**BERT, "embedding_size": 8}, "inner.classifier.out_proj", 512),
    "gpt2": (GPT2, "inner.score", 1024),
}


def spec(**settings: Any) -> ModelSpec:
    return MODELS["transformers"].parse(settings)


@pytest.mark.parametrize("architecture", SMALL)
def test_every_architecture_gets_features_and_the_last_layer_as_its_head(architecture: str) -> None:
    config, place, most = SMALL[architecture]
    model = spec(architecture=architecture, config=config)
    assert model.most_tokens(SHAPE, 3) == most
    torch.manual_seed(0)
    network = model.build(SHAPE, 3).eval()
    assert isinstance(network, AdaptedNetwork)
    assert network.place == place
    torch.manual_seed(0)
    reference = model.assemble(SHAPE, 3).eval()
    batch = ROWS.padded(torch.tensor([0, 1]), pad=0)
    torch.testing.assert_close(network(batch), reference(batch))
    torch.testing.assert_close(network(batch), network.head(network.features(batch)))
    # padding is masked: a row has the same logits alone
    torch.testing.assert_close(network(batch)[1:], network(ROWS.padded(torch.tensor([1]), pad=0)))


def test_the_number_of_positions_holds_the_longest_row() -> None:
    long = SHAPE._replace(max_length=700)
    for architecture in ("bert", "roberta", "distilbert"):
        model = spec(architecture=architecture, config=SMALL[architecture][0])
        most = model.most_tokens(long, 3)
        assert most is not None
        assert most >= 700
        rows = TokenRows.of([[1, *[5] * 698, 2]])
        assert model.build(long, 3).eval()(rows.padded(torch.tensor([0]), pad=0)).shape == (1, 3)


def test_a_checkpoint_gives_all_weights_but_those_of_the_head(tmp_path: Path) -> None:
    config = transformers.BertConfig(vocab_size=50, num_labels=4, **BERT)
    saved = transformers.BertForSequenceClassification(config)
    saved.save_pretrained(tmp_path)
    model = spec(pretrained=str(tmp_path))
    network: Any = model.build(SHAPE, 3)
    model.initialise(network, lambda count: ())
    for name, value in saved.bert.state_dict().items():
        assert torch.equal(network.state_dict()[f"network.inner.bert.{name}"], value)
    assert network.head.weight.shape == (3, 16)
    kept = spec(pretrained=str(tmp_path), init_head="kept")
    network: Any = kept.build(SHAPE, 4)
    kept.initialise(network, lambda count: ())
    assert torch.equal(network.head.weight, saved.classifier.weight)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=40, **BERT)).save_pretrained(tmp_path)
    required = (
        f"data.tokenizer: at most 40 tokens, the vocabulary of '{tmp_path}'; got 50; set data.tokenizer.pretrained"
    )
    with pytest.raises(InputError, match=re.escape(required)):
        spec(pretrained=str(tmp_path)).build(SHAPE, 3)
    with pytest.raises(InputError, match=r"data\.tokenizer: at most 40 tokens.*got 50"):
        spec(architecture="bert", config={**BERT, "vocab_size": 40}).build(SHAPE, 3)


def test_settings_that_do_not_fit_together() -> None:
    model = spec(architecture="bert", config={**BERT, "num_attention_heads": 5})
    for build in (model.build, model.most_tokens):
        with pytest.raises(InputError, match=r"settings.*ValueError: The hidden size \(16\) is not a multiple"):
            build(SHAPE, 3)


def test_unknown_architectures_and_keys() -> None:
    with pytest.raises(InputError, match=r"model\.architecture.*bert"):
        spec(architecture="brt").build(SHAPE, 3)
    with pytest.raises(InputError, match=r"model\.config.*hidden_size"):
        spec(architecture="bert", config={"hiden_size": 4}).build(SHAPE, 3)
    with pytest.raises(InputError, match=r"model\.architecture"):
        spec(architecture="resnet").build(SHAPE, 3)
