"""What is computed of a trained network and its data: collapse, separation, a probe, a projection, information."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial

import torch
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets._spec import Classes
from softtargets.analysis import (
    Projection,
    activations,
    class_separation,
    cluster_distances,
    linear_probe,
    mutual_information,
    neural_collapse,
    projection,
    within_class_distance,
)
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
from softtargets.data.spec import DataSpec
from softtargets.runs.machine import quiet_machine
from softtargets.runs.network import ROWS, load_trained
from softtargets.runs.record import read_predictions
from softtargets.runs.snapshots import read_snapshots
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.runs.streams import generator

# Training examples that collapse, separation, probe and distances are measured on.
SAMPLE = 5_000
# Müller et al. 2019 take 600 examples of two classes, and 5 draws; more of these make a smaller bias and error.
EXAMPLES, DRAWS = 300, 20
# Penalties that a probe is chosen from.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@lru_cache(maxsize=2)
def _loaded(spec: DataSpec, cache: str) -> tuple[Dataset, Inputs]:
    dataset = load_cached(spec, cache)  # pyright: ignore[reportArgumentType]
    return dataset, Inputs(dataset, torch.device("cpu"))


class Subject:
    """A finished run to be analysed, on the CPU and in float32, whatever it was trained in; labels are the true ones.

    Args:
        resolved: the run.
        store: that has it.
        classes: two that are alike, and a third, for what is of three classes.
    """

    def __init__(self, resolved: ResolvedRun, store: RunStore, classes: Classes | None) -> None:
        self.resolved, self.store, self._classes = resolved, store, classes
        self.folder = store.path(resolved.identity)

    @cached_property
    def predictions(self) -> dict[str, Tensor]:
        return read_predictions(self.folder)

    @cached_property
    def _data(self) -> tuple[Dataset, Inputs]:
        dataset, inputs = _loaded(self.resolved.run.data, str(self.store.cache))  # pyright: ignore[reportArgumentType]
        if dataset.fingerprint != self.resolved.fingerprint:
            raise fail("data", "the content that the run was trained on", "other", "bring it back, or train again")
        return dataset, inputs

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._data[0].class_names

    @cached_property
    def network(self) -> nn.Module:
        return load_trained(self.resolved, self._data[0], self.store).network

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return self.network.get_submodule("head")  # pyright: ignore[reportReturnType]

    @property
    def classes(self) -> Classes:
        """The three classes.

        Raises:
            InputError: where the scale names none, or one that the data do not have.
        """
        count = len(self.head.weight)
        if self._classes is None or not all(0 <= name < count for name in self._classes):
            raise fail("classes", f"three of the {count} classes", self._classes, "name them in the study's scale")
        return self._classes

    def features(self, split: str, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the last layer is given for these places of a split, (n, D), and their labels."""
        inputs, rows = self._data[1], self.predictions[f"{split}.ids"][places]
        batches = (inputs.batch(chunk) for chunk in rows.split(ROWS))
        found = activations(self.network, batches, ["head"], side="input", dtype=torch.float32)["head"]
        return found, self.predictions[f"{split}.labels"][places]

    @cached_property
    def sample(self) -> tuple[Tensor, Tensor]:
        """Features and labels of the training sample."""
        return self.features("train", stratified(self.predictions["train.labels"], SAMPLE))

    def projected(self, split: str, places: Tensor) -> Projection:
        """Return these places of a split on the plane through the three classes' templates, the bias among these."""
        features, labels = self.features(split, places)
        return projection(features, labels, self.head.weight, classes=self.classes, bias=self.head.bias)

    def of_classes(self, split: str, most: int, classes: Iterable[int] | None = None) -> Tensor:
        """Return the places of at most so many examples of each of the classes, evenly spaced."""
        labels = self.predictions[f"{split}.labels"]
        return torch.cat([evenly((labels == name).nonzero()[:, 0], most) for name in classes or self.classes])

    def logits(self, rows: Tensor, draws: torch.Generator) -> Tensor:
        """Return the logits of rows of the data set, augmented as in training."""
        inputs = (self._data[1].batch(chunk, self.resolved.run.augmentation, draws) for chunk in rows.split(ROWS))
        with torch.no_grad():
            return torch.cat([self.network(batch) for batch in inputs])


@contextmanager
def analysed(resolved: ResolvedRun, store: RunStore, classes: Classes | None = None) -> Iterator[Subject]:
    """Open a run for analysis, on as many threads as it was trained on: sums in another order are other numbers."""
    with quiet_machine(resolved.run.training.threads):
        yield Subject(resolved, store, classes)


def evenly(rows: Tensor, most: int) -> Tensor:
    """Return at most so many of the rows, evenly spaced."""
    count = min(most, len(rows))
    return rows[torch.arange(count) * len(rows) // max(count, 1)]


def stratified(labels: Tensor, most: int) -> Tensor:
    """Return the places of about so many labels at most: of each class its share, evenly spaced, and one at least."""
    each = ((labels == name).nonzero()[:, 0] for name in labels.unique())
    parts = [evenly(places, max(1, len(places) * most // len(labels))) for places in each]
    return torch.cat(parts) if parts else labels.new_zeros(0)


def collapse(subject: Subject) -> dict[str, float]:
    """Return the signs of neural collapse, of those classes that have examples."""
    features, labels = subject.sample
    present, own = labels.unique(return_inverse=True)
    found = neural_collapse(features, own, subject.head.weight[present], bias=subject.head.bias[present])
    values = {
        "nc1": found.nc1,
        "nc2.norms": found.nc2_norms,
        "nc2.angles": found.nc2_angles,
        "nc3": found.nc3,
        "nc4": found.nc4,
    }
    return {name: float(value) for name, value in values.items()}


def separation(subject: Subject) -> dict[str, float]:
    """Return how far classes stand apart, and how near their examples stand together."""
    return {
        "separation": float(class_separation(*subject.sample)),
        "within": float(within_class_distance(*subject.sample)),
    }


def probe(subject: Subject) -> dict[str, float]:
    """Return the test accuracy of a linear probe of the run's own classes; of equal penalties the largest is taken."""
    train, num_classes = subject.sample, len(subject.head.weight)
    everything = {split: torch.arange(len(subject.predictions[f"{split}.ids"])) for split in ("validation", "test")}
    if len(everything["validation"]):
        fitted, chosen_by = train, subject.features("validation", everything["validation"])
    else:
        held_out = torch.arange(len(train[1])) % 5 == 4
        fitted, chosen_by = (train[0][~held_out], train[1][~held_out]), (train[0][held_out], train[1][held_out])

    def reached(l2: float, fitted: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
        settings = {"l2": l2, "num_classes": num_classes, "tolerance": 1e-4, "steps": 200}
        return float(linear_probe(*fitted, *other, **settings).accuracy)

    best = max(PENALTIES, key=lambda l2: (reached(l2, fitted, chosen_by), l2))
    return {"probe.accuracy": reached(best, train, subject.features("test", everything["test"]))}


def distances(subject: Subject, split: str) -> dict[str, float]:
    """Return the distances of Fig. 1 of Shen et al. 2021, measured where they are drawn."""
    points = subject.projected(split, subject.of_classes(split, SAMPLE // 3))
    a, b, other = subject.classes
    found = cluster_distances(points.points, points.labels, similar=(a, b), different=other)
    scaled = found.over_spread
    values = {"dc": scaled.dc, "d1": scaled.d1, "d2": scaled.d2, "ratio": found.d1 / found.d2}
    return {f"projection.{name}.{split}": float(value) for name, value in values.items()}


def information(subject: Subject) -> dict[str, float]:
    """Return what two logits of a trained network tell of the example."""
    return {"information": _information(subject, _differences_of(subject))}


def information_through_training(subject: Subject) -> list[tuple[int, float]]:
    """Return the same after each epoch whose weights the run kept: the same examples, augmented alike each time."""
    rows = _differences_of(subject)
    found: list[tuple[int, float]] = []
    for epoch, weights in read_snapshots(subject.folder):
        subject.network.load_state_dict(weights)
        found.append((epoch, _information(subject, rows)))
    return found


def _differences_of(subject: Subject) -> Tensor:
    """Return the rows of the examples: of both classes as many, so that the class alone is worth log 2."""
    if not subject.resolved.run.augmentation.active:
        remedy = "analyse runs with augmentation"
        raise fail("information", "a run whose inputs are augmented: its randomness is theirs", "none", remedy)
    first, _, third = subject.classes
    labels = subject.predictions["train.labels"]
    count = min(EXAMPLES, int((labels == first).sum()), int((labels == third).sum()))
    if count == 0:
        raise fail("information", "training examples of both classes", "none of one", "choose other classes")
    return subject.predictions["train.ids"][subject.of_classes("train", count, (first, third))]


def _information(subject: Subject, rows: Tensor) -> float:
    first, _, third = subject.classes
    draws = generator("information", subject.resolved.run.seeds.augmentation)
    logits = [subject.logits(rows, draws)[:, [first, third]] for _ in range(DRAWS)]
    return mutual_information(torch.stack([pair[:, 0] - pair[:, 1] for pair in logits], 1)).value


GROUPS: dict[str, Callable[[Subject], dict[str, float]]] = {
    "collapse": collapse,
    "separation": separation,
    "probe": probe,
    "projection.train": partial(distances, split="train"),
    "projection.test": partial(distances, split="test"),
    "information": information,
}
