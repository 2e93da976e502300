"""A finished run with its network and its data, for measures that need them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets._spec import Classes
from softtargets.analysis import Projection, activations, projection
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.sources import load_cached
from softtargets.data.spec import AugmentationSpec, DataSpec
from softtargets.data.tokens import TokenRows, Tokens
from softtargets.runs.machine import quiet_machine
from softtargets.runs.network import load_trained
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore

# Number of training examples on which collapse, separation, probe and distances are measured.
SAMPLE = 5_000
SAMPLED = "Measured on the inputs of the last layer for about 5,000 training examples (stratified, true labels)."


@lru_cache(maxsize=2)
def _loaded(spec: DataSpec, cache: str, fingerprint: str) -> tuple[Dataset, Inputs]:
    dataset = load_cached(spec, cache)
    return dataset, Inputs(dataset, torch.device("cpu"))


class Subject:
    """A finished run to be measured on the CPU and in float32, whatever it was trained in. Labels are the true labels.

    Args:
        resolved: the run.
        store: the store that contains it.
        classes: two similar classes and a different one, for measures on three classes.
    """

    def __init__(self, resolved: ResolvedRun, store: RunStore, classes: Classes | None) -> None:
        self.resolved, self.store, self._classes = resolved, store, classes
        self.folder = store.path(resolved.identity)

    @cached_property
    def predictions(self) -> dict[str, Tensor]:
        return read_predictions(self.folder)

    @cached_property
    def _data(self) -> tuple[Dataset, Inputs]:
        data, cache = self.resolved.run.data, str(self.store.cache)
        dataset, inputs = _loaded(data, cache, self.resolved.fingerprint)  # pyright: ignore[reportArgumentType]
        if dataset.fingerprint != self.resolved.fingerprint:
            raise fail("data", "the data that the run was trained on", "other content", "restore it, or train again")
        return dataset, inputs

    @property
    def dataset(self) -> Dataset:
        """The data set of the run."""
        return self._data[0]

    @property
    def reader(self) -> Inputs:
        """Batches of the inputs of any rows of the data set."""
        return self._data[1]

    @property
    def preprocessing(self) -> Preprocessing:
        """How the inputs are normalised: by the statistics of the run's training split."""
        return self._data[1].preprocessing

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
    def num_classes(self) -> int:
        """Number of classes that the network tells apart."""
        return len(self.head.weight)

    @property
    def classes(self) -> Classes:
        """The three classes.

        Raises:
            InputError: the scale names no classes, or one that the data do not have.
        """
        count = self.num_classes
        if count < 3:
            raise fail("classes", "at least three classes", f"{count} in the data", "use data with more classes")
        if self._classes is None or not all(0 <= name < count for name in self._classes):
            raise fail("classes", f"three of the {count} classes", self._classes, "name them in the study's scale")
        return self._classes

    def features(self, split: str, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of the last layer at these positions of a split, (n, D), and their labels."""
        inputs, rows = self._data[1], self.predictions[f"{split}.ids"][places]
        batches = inputs.batches(rows, inputs.measured_rows)
        found = activations(self.network, batches, ["head"], side="input", dtype=torch.float32)["head"]
        return found, self.predictions[f"{split}.labels"][places]

    def inputs(self, split: str, places: Tensor) -> Tensor:
        """Return the normalised inputs of the network at these positions of a split, (n, ...) float32."""
        return self._data[1].batch(self.predictions[f"{split}.ids"][places])

    def features_of(self, inputs: Tensor | TokenRows) -> Tensor:
        """Return the inputs of the last layer for normalised inputs of the network, or rows of tokens, (n, D)."""
        batches = _in_batches(inputs, self._data[1].measured_rows, self.preprocessing)
        return activations(self.network, batches, ["head"], side="input", dtype=torch.float32)["head"]

    @cached_property
    def sample(self) -> tuple[Tensor, Tensor]:
        """Features and labels of the training sample."""
        return self.features("train", stratified(self.predictions["train.labels"], SAMPLE))

    def projected(self, split: str, places: Tensor) -> Projection:
        """Return these positions of a split in the plane of the three classes' templates (weights and bias)."""
        features, labels = self.features(split, places)
        return projection(features, labels, self.head.weight, classes=self.classes, bias=self.head.bias)

    def of_classes(self, split: str, most: int, classes: Iterable[int] | None = None) -> Tensor:
        """Return the positions of at most `most` examples of each class, evenly spaced."""
        labels = self.predictions[f"{split}.labels"]
        return torch.cat([evenly((labels == name).nonzero()[:, 0], most) for name in classes or self.classes])

    @property
    def teachers(self) -> "tuple[Subject, ...]":
        """The run's teachers, to be measured on the same data."""
        return tuple(Subject(teacher, self.store, self._classes) for teacher in self.resolved.teachers or ())

    def logits(self, rows: Tensor, draws: torch.Generator, augmentation: AugmentationSpec | None = None) -> Tensor:
        """Return the logits of rows of the data set, augmented; each call draws again.

        Args:
            rows: (n,) int64.
            draws: source of the augmentation's draws.
            augmentation: None: as in the training of this run.
        """
        inputs, augmentation = self._data[1], augmentation or self.resolved.run.augmentation
        if inputs.drawn_alone(augmentation):
            # such draws depend on the generator's seed and not on its state
            draws = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=draws)))
        with torch.no_grad():
            seen = inputs.batches(rows, inputs.measured_rows, augmentation, draws)
            return torch.cat([self.network(batch) for batch in seen])


def _in_batches(inputs: Tensor | TokenRows, size: int, preprocessing: Preprocessing) -> Iterator[Tensor | Tokens]:
    if isinstance(inputs, Tensor):
        yield from inputs.split(size)
        return
    for places in torch.arange(len(inputs)).split(size):
        yield inputs.padded(places, preprocessing.tokenizers[0].pad)


@contextmanager
def opened(resolved: ResolvedRun, store: RunStore, classes: Classes | None = None) -> Iterator[Subject]:
    """Open a run for measuring, with as many threads as in training, because the order of sums changes the result."""
    with quiet_machine(resolved.run.training.threads):
        yield Subject(resolved, store, classes)


def evenly(rows: Tensor, most: int) -> Tensor:
    """Return at most `most` of the rows, evenly spaced."""
    count = min(most, len(rows))
    return rows[torch.arange(count) * len(rows) // max(count, 1)]


def stratified(labels: Tensor, most: int) -> Tensor:
    """Return the positions of about `most` labels, stratified by class and evenly spaced, at least one per class."""
    each = ((labels == name).nonzero()[:, 0] for name in labels.unique())
    parts = [evenly(places, max(1, len(places) * most // len(labels))) for places in each]
    return torch.cat(parts) if parts else labels.new_zeros(0)
