"""Small trained runs that measures of the network are tested on."""

import torch
from training import train

from softtargets._spec import merged
from softtargets.data import fingerprint
from softtargets.data.spec import DataSpec
from softtargets.measures.subject import Subject
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve

CLASSES = (3, 8, 0)
SMALL = {
    "data": {"name": "digits", "limit": {"train": 300, "validation": 80, "test": 90}},
    "model": {"name": "mlp", "hidden": [24]},
    "optimizer": {"learning_rate": 0.1},
    "augmentation": {"shift": 1},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32"},
}

# words of six classes of texts, by the names of the classes
TOPICS = {
    "card_lost": "card lost stolen missing wallet gone",
    "bookFlight": "flight book seat plane ticket airport",
    "weather": "weather rain sun cold warm forecast",
    "play_music": "play music song album loud artist",
    "pay_bill": "pay bill due money owed invoice",
    "set-alarm": "alarm set wake morning clock ring",
}


def trained(store: RunStore, data: DataSpec | None = None, **changes) -> ResolvedRun:
    run = RunSpec.parse(merged(SMALL, changes))
    run = run if data is None else run.changed(data=data)
    resolved = resolve(run, fingerprint(run.data))
    assert train(resolved, store).status in ("trained", "present")
    return resolved


def student(store: RunStore, **changes) -> ResolvedRun:
    """Return a run that is distilled from one teacher of the same data; the changes are the student's."""
    given = merged({"objective": {"name": "distillation"}}, changes)
    return trained(store, teachers=[merged(SMALL, {"seeds": 1})], **given)


def on_texts(store: RunStore, path: str, **data) -> Subject:
    """Return a run on the texts of a file; `data` changes its data."""
    spec = DataSpec.parse({"name": path, **data})
    return Subject(trained(store, spec, augmentation={"shift": 0}, training={"epochs": 6}), store, None)


def features_of(subject: Subject, split: str) -> torch.Tensor:
    """Return what the last layer is given, without hooks."""
    _, inputs = subject._data
    with torch.no_grad():
        seen = inputs.batch(subject.predictions[f"{split}.ids"])
        return subject.network.features(seen).double()  # pyright: ignore[reportCallIssue]
