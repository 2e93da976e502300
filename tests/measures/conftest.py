"""One store for all tests of measures that need a network."""

import random

import pytest
from measures.small_runs import CLASSES, TOPICS, trained
from pairs import translation, write_pairs
from training import train

from softtargets.data import fingerprint
from softtargets.measures.subject import Subject
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def subject(store) -> Subject:
    return Subject(trained(store), store, CLASSES)


@pytest.fixture(scope="session")
def intents(tmp_path_factory) -> str:
    """Return the path of 600 short texts of six classes whose names are words; the classes share words."""
    draw, rows = random.Random(0), []
    for row in range(600):
        name = list(TOPICS)[row % 6]
        words = draw.choices(TOPICS[name].split(), k=3) + draw.choices(" ".join(TOPICS.values()).split(), k=2)
        rows.append(f"{' '.join(words)},{name}")
    file = tmp_path_factory.mktemp("texts") / "texts.csv"
    file.write_text("text,label\n" + "\n".join(rows) + "\n")
    return str(file)


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Subject:
    """Return a run on synthetic sentence pairs."""
    folder = write_pairs(tmp_path_factory.mktemp("pairs"), train=200)
    run = RunSpec.parse(translation(folder, training={"epochs": 8, "snapshot_every": 4}))
    resolved, store = resolve(run, fingerprint(run.data)), RunStore(folder / "runs")
    assert train(resolved, store).status == "trained"
    return Subject(resolved, store, None)
