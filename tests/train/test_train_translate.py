"""Translating with a finished run: the table, against the recorded BLEU and the network's own probabilities."""

import csv
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pairs import translation, write_pairs

from softtargets._errors import InputError
from softtargets.data.tokens import Pairs, TokenRows
from softtargets.losses import cross_entropy
from softtargets.measures.translation import bleu
from softtargets.models.decoding import Search
from softtargets.models.sequences import token_labels
from softtargets.train import TranslateOptions, load_run, predict_run, train_run, translate_run

pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on synthetic pairs, which are beside it."""
    place = tmp_path_factory.mktemp("translate")
    (place / "data").mkdir()
    return train_run(translation(write_pairs(place / "data"), training={"epochs": 30}), runs=place / "runs").folder


def _data(folder: Path) -> Path:
    return folder.parent.parent / "data"


@pytest.mark.parametrize("beam", [1, 4])
def test_the_data_of_the_run_are_translated_in_order(folder: Path, tmp_path: Path, beam: int) -> None:
    run, search = load_run(folder), Search(beam)
    made = translate_run(folder, _data(folder), tmp_path / "t.csv", options=TranslateOptions(search=search))
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()))
    places = run.dataset.splits["test"].tolist()
    assert run.dataset.texts is not None
    assert run.dataset.output_texts is not None
    assert [row["source"] for row in rows] == [run.dataset.texts[place] for place in places]
    assert [row["reference"] for row in rows] == [run.dataset.output_texts[place] for place in places]
    assert [int(row["ids"]) for row in rows] == list(range(20))
    assert (made.num_rows, made.splits) == (20, ("test",))
    for row, place in zip(rows, places, strict=True):
        alone = run.dataset.inputs.padded(torch.tensor([place]), 0)
        (expected,) = run.network.translate(alone, search)  # pyright: ignore[reportCallIssue]
        assert [row["translation"]] == run.preprocessing.tokenizers[1].decode(TokenRows.of([expected.ids]))
        assert float(row["log_prob"]) == pytest.approx(expected.log_prob, abs=1e-3)
    assert made.bleu is not None
    assert made.bleu == bleu([row["translation"] for row in rows], [row["reference"] for row in rows])
    assert made.bleu.score > 10  # the network has learned something


def test_log_probabilities_are_those_of_the_network(folder: Path, tmp_path: Path) -> None:
    run = load_run(folder)
    made = translate_run(run.folder, _data(folder), tmp_path / "t.parquet")
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert made.unfinished == sum(not row["finished"] for row in rows)
    reader, writer = run.preprocessing.tokenizers
    for row in rows[:5]:
        assert row["finished"]
        source = reader.encode([row["source"]])
        target = writer.encode([row["translation"]])
        if len(target.values) != row["tokens"]:
            continue  # the same text has other tokens
        pair = Pairs(*(side.padded(torch.tensor([0]), 0) for side in (source, target)))
        expected = -cross_entropy(run.model.logits(pair), token_labels(pair)).sum()
        assert row["log_prob"] == pytest.approx(float(expected), abs=1e-3)


def test_other_sentences_need_no_references(folder: Path, tmp_path: Path) -> None:
    run = load_run(folder)
    (tmp_path / "new.csv").write_text("nr,de\n1,rot hund\n2,blau haus und baum\n")
    made = translate_run(run.folder, tmp_path / "new.csv", tmp_path / "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    assert made.bleu is None
    assert table.column_names == ["ids", "source", "translation", "log_prob", "tokens", "finished"]
    tokens = run.preprocessing.tokenizers[0].encode(["rot hund"])
    (alone,) = run.network.translate(tokens.padded(torch.tensor([0]), 0), Search())  # pyright: ignore[reportCallIssue]
    expected = run.preprocessing.tokenizers[1].decode(TokenRows.of([alone.ids]))
    assert table["translation"].to_pylist()[:1] == expected
    # a column of another name, and references in it
    table = pa.table({"deutsch": ["rot hund", "baum"], "english": ["red dog", "tree"]})
    pq.write_table(table, tmp_path / "named.parquet")
    options = TranslateOptions(source="deutsch", target="english")
    made = translate_run(run.folder, tmp_path / "named.parquet", tmp_path / "t.csv", options=options)
    assert made.bleu is not None


def test_without_sacrebleu_nothing_is_translated_unless_references_are_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(InputError, match=r"^BLEU: the package sacrebleu; .*pip install 'softtargets\[text\]'$"):
        translate_run(folder, _data(folder), tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
    made = translate_run(folder, _data(folder), tmp_path / "t.csv", options=TranslateOptions(references=False))
    assert (made.num_rows, made.bleu) == (20, None)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("de,en\nrot,red\n ,red\n", {}, r"source: .*got nothing in d.csv, row 1, column 'de'"),
        ("de,en\nrot,red\nrot,\n", {}, r"target: .*got nothing in d.csv, row 1, column 'en'"),
        (f"de\nrot\n{'hund ' * 40}\n", {}, r"text: texts of at most 32 tokens.*in d.csv, row 1, column 'de'"),
        ("de,en\nrot,red\n", {"source": "fr"}, r"source: one of the columns of d.csv: de, en; got 'fr'"),
        ("de,fr\nrot,rouge\n", {"target": "en"}, r"target: one of the columns of d.csv: de, fr; got 'en'"),
        ("de,en\n", {}, r"row"),
    ],
)
def test_bad_sentences_are_named(folder: Path, tmp_path: Path, text: str, options: dict, message: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        translate_run(folder, tmp_path / "d.csv", tmp_path / "t.csv", options=TranslateOptions(**options))
    assert not (tmp_path / "t.csv").exists()
    assert list(tmp_path.glob(".*part")) == []


def test_only_tables_hold_texts(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"output: a file of type .csv or .parquet"):
        translate_run(folder, _data(folder), tmp_path / "t.npz")


def test_next_tokens_are_not_predicted_to_a_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run: .*one that writes the texts of 'data'; .*softtargets evaluate"):
        predict_run(folder, _data(folder), tmp_path / "p.npz")


def test_labels_are_not_translated(tmp_path: Path) -> None:
    specification = {
        "data": {"name": "digits", "limit": {"train": 50}},
        "model": {"name": "mlp", "hidden": [4]},
        "training": {"steps": 1, "precision": "float32"},
    }
    folder = train_run(specification, runs=tmp_path / "runs").folder
    with pytest.raises(ValueError, match=r"run: a run on sentence pairs; got one on 'digits'"):
        translate_run(folder, "digits", tmp_path / "t.csv")
