"""Translation at paper scale on small folders in the layouts of the papers' data: trained, measured and reported."""

import random
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import WORDS

from softtargets.studies.catalog import find
from softtargets.studies.job import run
from softtargets.studies.page import files
from softtargets.studies.request import StudyRequest

pytest.importorskip("transformers", reason="transformers is not installed")

# The same specifications with a small network and a few steps.
SMALLER = (
    (r"vocabulary = (32000|10000)", "vocabulary = 300"),
    (r"name = \"marian\", attention_dropout", 'name = "marian", layers = 1, width = 16, heads = 2, attention_dropout'),
    (r"heads = 4, feedforward = 1024", "layers = 1, width = 16, heads = 4, feedforward = 32"),
    (r"model = \{ layers = 3 \}", "model = { feedforward = 16 }"),
    (r"steps = (300000|60000), batch_tokens = 4096", "steps = 4, batch_tokens = 300"),
    (r"snapshot_every = 10", "snapshot_every = 1"),
    (r"seeds = 3", "seeds = 2"),
)


def _write(folder: Path, split: str, sizes: tuple[int, ...]) -> None:
    """Write the files of a split as the hub has them: a column of translations, divided into numbered files."""
    draws = random.Random(split)
    language = pa.struct([("de", pa.string()), ("en", pa.string())])
    for number, size in enumerate(sizes):
        rows = [draws.sample(list(WORDS), draws.randint(1, 4)) for _ in range(size)]
        pairs = [{"de": " ".join(row), "en": " ".join(WORDS[word] for word in row)} for row in rows]
        table = pa.table({"translation": pa.array(pairs, language)})
        pq.write_table(table, folder / f"{split}-{number:05}-of-{len(sizes):05}.parquet")


def _request(tmp_path: Path, study: str, name: str) -> StudyRequest:
    data = tmp_path / "de-en"
    data.mkdir()
    for split, sizes in (("train", (30, 20, 10)), ("validation", (8,)), ("test", (8,))):
        _write(data, split, sizes)
    copy = shutil.copytree(find(study), tmp_path / "study")
    path = copy / "translation.toml"
    text = path.read_text(encoding="utf-8")
    for pattern, smaller in SMALLER:
        text = re.sub(pattern, smaller, text)
    path.write_text(text, encoding="utf-8")
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    return StudyRequest(str(copy), "translation", scale="paper", places={name: str(data)}, runs=runs, reports=reports)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "name", "runs", "metric"),
    [
        ("mueller2019", "wmt/wmt14", 2 * 2, "test.bleu.at1"),
        ("shen2021", "iwslt14-de-en", 2 * (2 + 5), "test.bleu"),
    ],
)
def test_all_outputs_of_paper_scale_are_made(tmp_path, monkeypatch, study, name, runs, metric) -> None:
    monkeypatch.setattr(files, "draw", lambda *_: None)
    outcome = run(_request(tmp_path, study, name), workers=1)
    assert (outcome.trained, outcome.failed) == (runs, 0)
    (data,) = outcome.results.data
    assert data.sizes == {"train": 60, "validation": 8, "test": 8}
    assert {cell.status for cell in outcome.results.cells} == {"complete"}
    assert [cell.reason for cell in outcome.results.cells if cell.reason] == []
    assert all(metric in cell.metrics for cell in outcome.results.cells)
    assert all(verdict.name != "not run" for verdict in outcome.results.verdicts)
    assert outcome.page.exists()
