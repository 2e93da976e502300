"""How well the features of a network transfer to classes that it was not trained on."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.analysis import activations
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
from softtargets.measures.probe import probe_accuracy
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLE, Subject, stratified


@network_measures(
    "transfer",
    Measure(
        "transfer.accuracy",
        "transfer to other classes",
        "percent",
        "Test accuracy of logistic regression on the inputs of the last layer for the classes of the data set that the "
        "run leaves out (`data.classes`), as networks are transferred with fixed features (Kornblith et al. 2018). "
        "Images are normalised as in the run. About 5,000 training examples; the penalty is chosen on validation.",
    ),
)
def transfer(subject: Subject) -> dict[str, float]:
    """Return the accuracy on the classes that were left out; nothing for a run on all classes.

    Raises:
        InputError: if fewer than two classes were left out, the inputs are not images, or there is no validation split.
    """
    if subject.resolved.run.data.classes is None:
        return {}
    dataset = _other_classes(subject)
    inputs = Inputs(dataset, torch.device("cpu"))

    def features(split: str, most: int | None = None) -> tuple[Tensor, Tensor]:
        rows = dataset.splits[split]
        rows = rows if most is None else rows[stratified(dataset.labels[rows], most)]
        batches = inputs.batches(rows, inputs.measured_rows)
        found = activations(subject.network, batches, ["head"], side="input", dtype=torch.float32)["head"]
        return found, dataset.labels[rows]

    train = features("train", SAMPLE)
    reached = probe_accuracy(train, features("validation"), (train, features("test")), dataset.num_classes)
    return {"transfer.accuracy": reached}


def _other_classes(subject: Subject) -> Dataset:
    """Load the classes that the run leaves out, normalised by the statistics of the run."""
    spec, own = subject.resolved.run.data, subject.preprocessing
    if own.kind != "images":
        raise fail("data", "images, for transfer to other classes", own.kind, "measure it on runs on images")
    cache = str(subject.store.cache)
    names = load_cached(spec.changed(classes=None), cache).class_names
    others = tuple(name for name in names if name not in subject.class_names)
    if len(others) < 2:
        raise fail("data.classes", "at least two classes left out, for transfer", len(others), "train on fewer classes")
    scale = {"mean": own.mean.tolist(), "std": own.std.tolist()}
    other = spec.changed(classes=others, num_classes=None, normalization=scale)
    dataset = load_cached(other, cache)
    if not len(dataset.splits["validation"]):
        raise fail("data.validation", "a validation split, for transfer", "none", "hold some rows out")
    return dataset
