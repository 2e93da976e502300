"""Vectors of texts by a pretrained encoder."""

import json
import string
from pathlib import Path

import numpy as np
import pytest
import torch

from softtargets._errors import InputError
from softtargets.audit.encoders import encode_texts


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """Save a small BERT with random weights, whose tokens are letters."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
    words += [f"##{letter}" for letter in string.ascii_lowercase]
    (folder / "vocab.txt").write_text("\n".join(words))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    network = transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes))
    network.save_pretrained(folder)
    transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def nothing(name: str, done: float) -> None: ...


def test_vectors_do_not_depend_on_the_other_texts_and_keep_their_order(encoder):
    texts = ["a long text of many words", "ab", "another", "zzz"] * 10
    vectors = encode_texts(str(encoder), texts, nothing)
    assert vectors.shape == (40, 8)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for row in (0, 1, 39):
        alone = encode_texts(str(encoder), [texts[row]], nothing)
        np.testing.assert_allclose(vectors[row], alone[0], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_the_pooling_is_that_of_the_folder(encoder, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(encoder)(["some words"], return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(encoder)(**tokens).last_hidden_state[0]
    normalized = torch.nn.functional.normalize
    mean = encode_texts(str(encoder), ["some words"], nothing)[0]
    np.testing.assert_allclose(mean, normalized(states.mean(0), dim=0).numpy(), atol=1e-5)
    pooling = encoder / "1_Pooling" / "config.json"
    pooling.parent.mkdir()
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True}))
    try:
        first = encode_texts(str(encoder), ["some words"], nothing)[0]
    finally:
        pooling.unlink()
        pooling.parent.rmdir()
    np.testing.assert_allclose(first, normalized(states[0], dim=0).numpy(), atol=1e-5)


def test_an_encoder_that_is_not_there_is_refused_with_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"^encoder: an encoder of transformers .*; got '.*'.*; give the path"):
        encode_texts(str(tmp_path), ["a"], nothing)
