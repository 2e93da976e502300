"""Texts as rows of tokens: trained and pretrained tokenizers, sentence pairs, and what is refused."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, fingerprint, load
from softtargets.data.settings import TokenizerSpec
from softtargets.data.tokenizer import SPECIAL, Tokenizer
from softtargets.data.tokens import TokenShape

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
BPE = {"name": "bpe", "vocabulary": 400}
TEXTS = tuple(f"the {animal} sleeps on the {place}" for animal in ("cat", "dog", "cow") for place in ("roof", "floor"))
PAIRS = [{"de": f"{text} auf Deutsch", "en": text} for text in TEXTS]


def loaded(path: Path, cache: Path | None = None, **values: Any) -> Dataset:
    spec = {"name": str(path), "test": 0, "validation": 0, "tokenizer": BPE, **values}
    return load(DataSpec.parse(spec), cache=cache)


def table(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return table(tmp_path / "set.parquet", text=list(TEXTS), label=[0, 1] * 3)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return table(tmp_path / "pairs.parquet", translation=PAIRS)


def tokens_of(data: Dataset, row: int) -> list[str]:
    assert data.tokenizer is not None
    return [data.tokenizer.tokens[number] for number in data.inputs.row(row).tolist()]


def test_classified_texts_are_rows_of_tokens(texts: Path) -> None:
    data = loaded(texts)
    assert data.tokenizer is not None
    assert (data.is_image, data.is_text, data.is_sequence, data.is_pair) == (False, False, False, False)
    assert data.texts == TEXTS
    assert data.tokenizer.decode(data.inputs) == list(TEXTS)
    # the most frequent words are tokens, also at the beginning
    assert tokens_of(data, 0)[:2] == ["<s>", "Ġthe"]
    assert tokens_of(data, 0)[-1] == "</s>"
    assert data.tokenizer.tokens[: len(SPECIAL)] == SPECIAL
    longest = int(data.inputs.lengths.max())
    assert data.input_shape == TokenShape(longest, len(data.tokenizer.tokens), pad=0, bos=1, eos=2)
    assert data.num_classes == 2


def test_every_text_can_be_written_and_read() -> None:
    tokenizer = Tokenizer.trained(TEXTS, TokenizerSpec(**BPE), begins=True)
    odd = ["naïve 東京 ☂", "a\tb\nc", "ＡＢＣ ﬁ", "e\u0301", "<s> is a token </s>"]
    read = tokenizer.decode(tokenizer.encode(odd))
    assert (read[:3], read[4]) == (odd[:3], odd[4])
    assert not set(tokenizer.encode(["</s><pad>"]).values[1:-1].tolist()) & {0, 1, 2}
    assert read[3] == "é"  # NFC
    lower = Tokenizer.trained(TEXTS, TokenizerSpec(**BPE, lowercase=True), begins=True)
    assert lower.decode(lower.encode(["The CAT"])) == ["the cat"]


def test_training_is_a_function_of_the_texts_and_settings() -> None:
    texts = [f"{text} number{number}" for text in TEXTS for number in range(50)]
    first, second = (Tokenizer.trained(texts, TokenizerSpec(**BPE), begins=True) for _ in range(2))
    assert first.content == second.content
    other = Tokenizer.trained(texts, TokenizerSpec(name="bpe", vocabulary=300), begins=True)
    assert len(other.tokens) == 300
    assert Tokenizer.from_json(first.to_json()).tokens == first.tokens


def test_only_the_training_split_trains_the_tokenizer(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    table(folder / "train.parquet", text=list(TEXTS), label=[0, 1] * 3)
    vocabularies = []
    for words in ("zebra zebra zebra", "quark quark quark"):
        table(folder / "test.parquet", text=[words] * 20, label=[0, 1] * 10)
        data = loaded(folder)
        assert data.tokenizer is not None
        vocabularies.append(data.tokenizer.content)
    assert vocabularies[0] == vocabularies[1]
    assert "Ġzebra" not in data.tokenizer.tokens


def test_decoded_tokens_are_cached_by_content(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first = loaded(texts, cache)
    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "trained", lambda *_, **__: pytest.fail("trained again"))
        again = loaded(texts, cache)
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            loaded(texts, cache, limit={"train": 4})
    assert torch.equal(again.inputs.values, first.inputs.values)
    assert again.tokenizer is not None
    assert first.tokenizer is not None
    assert again.tokenizer.content == first.tokenizer.content
    for path in cache.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-8])
    assert torch.equal(loaded(texts, cache).inputs.values, first.inputs.values)


def test_too_long_texts_are_refused_with_their_row_or_cut(tmp_path: Path) -> None:
    path = table(tmp_path / "set.parquet", text=[*TEXTS, "a b c d e f g h i j k l m n"], label=[0, 1] * 3 + [0])
    with pytest.raises(InputError, match=re.escape("set.parquet, row 6, column 'text'")):
        loaded(path, tokenizer={**BPE, "max_length": 12})
    data = loaded(path, tokenizer={**BPE, "max_length": 12, "truncate": True})
    assert int(data.inputs.lengths.max()) == 12
    assert tokens_of(data, 6)[0] == "<s>"
    assert tokens_of(data, 6)[-1] == "</s>"
    assert data.input_shape[0] == 12


def test_pairs_are_found_in_a_column_of_translations_and_in_columns(pairs: Path, tmp_path: Path) -> None:
    flat = table(tmp_path / "flat.parquet", de=[pair["de"] for pair in PAIRS], en=[pair["en"] for pair in PAIRS])
    lines = [f'{number},"{pair["de"]}","{pair["en"]}"' for number, pair in enumerate(PAIRS)]
    csv = tmp_path / "flat.csv"
    csv.write_text("\n".join(["id,de,en", *lines]) + "\n")
    for path in (pairs, flat, csv):
        data = loaded(path, source="de", target="en")
        assert (data.is_sequence, data.is_pair) == (True, True)
        assert data.outputs is not None
        assert data.tokenizer is data.output_tokenizer
        assert data.tokenizer is not None
        assert data.tokenizer.decode(data.inputs) == [pair["de"] for pair in PAIRS]
        assert data.tokenizer.decode(data.outputs) == list(data.output_texts or ()) == list(TEXTS)
        assert data.class_names == data.tokenizer.tokens
        assert data.columns == ("de", "en")
        assert bool((data.outputs.values[data.outputs.ends - 1] == data.tokenizer.eos).all())
        assert torch.equal(data.row_lengths, torch.maximum(data.inputs.lengths, data.outputs.lengths))
    turned = loaded(pairs, source="en", target="de")
    assert turned.texts == TEXTS


def test_each_side_can_have_a_vocabulary_of_its_own(pairs: Path) -> None:
    data = loaded(pairs, source="de", target="en", tokenizer={**BPE, "separate": True})
    assert data.tokenizer is not None
    assert data.output_tokenizer is not None
    assert "ĠDeutsch" in data.tokenizer.tokens
    assert "ĠDeutsch" not in data.output_tokenizer.tokens
    assert data.num_classes == len(data.output_tokenizer.tokens)


def test_a_language_model_writes_its_inputs(pairs: Path) -> None:
    data = loaded(pairs, target="en")
    assert data.outputs is data.inputs
    assert (data.is_sequence, data.is_pair) == (True, False)
    assert tokens_of(data, 0)[0] == "<s>"
    assert data.num_classes == data.input_shape[1]


def test_pairs_are_split_and_limited(pairs: Path) -> None:
    data = loaded(pairs, source="de", target="en", test=0.34, limit={"train": 3})
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 3, "validation": 0, "test": 2}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "fr", "target": "en"}, "source: one of the columns of 'translation' in pairs.parquet: de, en; got"),
        ({"source": "de", "target": "english"}, "target: one of the columns of 'translation' in pairs.parquet"),
        ({"target": "de", "source": "de"}, "target: another column than source"),
        ({"source": "de"}, "target: another column than source"),
        ({"source": "de", "target": "en", "tokenizer": None}, "source: given with tokenizer"),
        ({"target": "en", "classes": 2}, "classes: left out for texts without labels"),
        ({"target": "en", "size": 8}, "size: left out for texts that become tokens"),
        ({"target": "en", "tokenizer": {}}, "tokenizer: either name or pretrained"),
        ({"target": "en", "tokenizer": {"pretrained": "a", "vocabulary": 500}}, "vocabulary: left out with pretrained"),
        ({"target": "en", "tokenizer": {**BPE, "truncate": True}}, "truncate: given with max_length"),
        (
            {"target": "en", "tokenizer": {**BPE, "separate": True}},
            "tokenizer.separate: left out without sentence pairs",
        ),
    ],
)
def test_bad_settings_of_pairs(pairs: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        loaded(pairs, **values)


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_a_pair_with_an_empty_side_is_named_by_its_row(tmp_path: Path, empty: str | None) -> None:
    path = table(tmp_path / "pairs.parquet", translation=[*PAIRS, {"de": "Hallo", "en": empty}])
    with pytest.raises(InputError, match=re.escape("target: a text in every row; got nothing in pairs.parquet, row 6")):
        loaded(path, source="de", target="en")
    table(path, translation=[*PAIRS, None])
    with pytest.raises(InputError, match=r"source: a text in every row.*row 6"):
        loaded(path, source="de", target="en")


def test_a_tokenizer_needs_texts(tmp_path: Path) -> None:
    path = table(tmp_path / "set.parquet", a=[1.0, 2.0], b=[1.0, 2.0], label=[0, 1])
    with pytest.raises(InputError, match="text: a column of texts"):
        loaded(path)


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """Save a tokenizer in the manner of BERT."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    words = sorted({word for text in TEXTS for word in text.split()} | {"auf", "deutsch"})
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    folder = tmp_path / "bert"
    transformers.BertTokenizer(vocab=str(vocabulary)).save_pretrained(folder)
    return folder


def test_a_pretrained_tokenizer_of_a_folder(texts: Path, pretrained: Path, tmp_path: Path) -> None:
    data = loaded(texts, tmp_path / "cache", tokenizer={"pretrained": str(pretrained)})
    assert data.tokenizer is not None
    assert tokens_of(data, 0) == ["[CLS]", "the", "cat", "sleeps", "on", "the", "roof", "[SEP]"]
    assert data.tokenizer.decode(data.inputs) == list(TEXTS)
    assert data.input_shape[2:] == (0, 2, 3)
    again = loaded(texts, tmp_path / "cache", tokenizer={"pretrained": str(pretrained)})
    assert torch.equal(again.inputs.values, data.inputs.values)


def test_the_content_of_a_pretrained_tokenizer_is_part_of_the_fingerprint(texts: Path, pretrained: Path) -> None:
    spec = DataSpec.parse({"name": str(texts), "tokenizer": {"pretrained": str(pretrained)}, "test": 0})
    plain = DataSpec.parse({"name": str(texts), "tokenizer": BPE, "test": 0})
    first = fingerprint(spec)
    assert first == load(spec).fingerprint
    assert first != fingerprint(plain) == load(plain).fingerprint
    file = pretrained / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["new"] = max(content["model"]["vocab"].values()) + 1
    file.write_text(json.dumps(content))
    assert fingerprint(spec) != first


def test_a_tokenizer_that_does_not_exist_or_does_not_end_targets(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("tokenizer.pretrained: a tokenizer of transformers")):
        loaded(pairs, source="de", target="en", tokenizer={"pretrained": str(tmp_path / "none")})
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    endless = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, "</s>": 1}, unk_token="?")),
        eos_token="</s>",
    )
    endless.save_pretrained(tmp_path / "endless")
    with pytest.raises(InputError, match="a tokenizer that ends every target with its end token"):
        loaded(pairs, source="de", target="en", tokenizer={"pretrained": str(tmp_path / "endless")})


def test_multi30k() -> None:
    path = SHARED / "multi30k"
    if not path.exists():
        pytest.skip("multi30k is not available")
    spec = {"name": str(path), "source": "de", "target": "en", "limit": {"train": 2000}}
    data = load(DataSpec.parse({**spec, "tokenizer": {"name": "bpe", "vocabulary": 1000}}))
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 2000, "validation": 1014, "test": 1000}
    assert data.tokenizer is not None
    assert len(data.inputs) == 31014
    row = int(data.splits["test"][0])
    assert data.tokenizer.decode(data.inputs[torch.tensor([row])]) == [
        "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    ]
    assert (data.output_texts or ())[row] == "A man in an orange hat starring at something."


def test_without_the_package_the_error_names_the_extra(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    message = r"^tokenizer: the package tokenizers; .*pip install 'softtargets\[text\]'$"
    with pytest.raises(InputError, match=message):
        loaded(texts)
