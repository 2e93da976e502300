"""The labels that training sees, and the transition they were drawn from, by the name of the noise."""

from collections.abc import Callable
from typing import Any

import torch

from softtargets import noise
from softtargets._errors import fail
from softtargets.data.batches import Inputs
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.noise import ObservedLabels, clean_labels, observe_labels
from softtargets.data.observed import read_observed
from softtargets.matrices import Transition
from softtargets.runs.noise import (
    AsymmetricCifar10Noise,
    InstanceNoise,
    NoiseSpec,
    PairFlipNoise,
    RecordedNoise,
    SuperclassFlipNoise,
    SymmetricNoise,
)
from softtargets.runs.spec import RunSpec
from softtargets.runs.streams import generator


def observe(run: RunSpec, dataset: Dataset) -> ObservedLabels:
    """Return the observed labels of a run: read where people gave them, else drawn once from the clean ones.

    Raises:
        InputError: where the noise does not fit the data set, or its file cannot be read.
    """
    spec = run.noise
    if spec is None:
        return clean_labels(dataset)
    if isinstance(spec, RecordedNoise):
        return _recorded(spec, dataset)
    stream = generator("noise", run.seeds.noise)
    if isinstance(spec, InstanceNoise):
        return _by_instance(spec, dataset, stream)
    return observe_labels(dataset, drawn_from(spec, dataset.num_classes), spec.splits, stream)


def drawn_from(spec: NoiseSpec | None, num_classes: int) -> Transition:
    """Return the transition that labels are drawn from; without noise the identity.

    Raises:
        InputError: for noise that is no matter of the class alone, or that does not fit the number of classes.
    """
    if spec is None:
        return Transition.identity(num_classes)
    if spec.name not in TRANSITIONS:
        known = f"noise drawn from a transition: {', '.join(TRANSITIONS)}"
        raise fail("noise", known, f"'{spec.name}', whose transition nobody knows", "estimate the transition")
    return TRANSITIONS[spec.name](spec, num_classes)


def _symmetric(spec: SymmetricNoise, num_classes: int) -> Transition:
    return noise.symmetric(spec.rate, num_classes, inclusive=spec.inclusive)


def _pair_flip(spec: PairFlipNoise, num_classes: int) -> Transition:
    return noise.pair_flip(spec.rate, num_classes)


def _asymmetric_cifar10(spec: AsymmetricCifar10Noise, num_classes: int) -> Transition:
    if num_classes != 10:
        raise fail("noise", "the ten classes of CIFAR-10 for 'asymmetric_cifar10'", num_classes, "use 'pair_flip'")
    return noise.asymmetric_cifar10(spec.rate)


def _superclass_flip(spec: SuperclassFlipNoise, num_classes: int) -> Transition:
    if len(spec.superclasses) != num_classes:
        got = f"{len(spec.superclasses)} for {num_classes} classes"
        raise fail("noise.superclasses", "one number for each class", got, "mend the list")
    return noise.superclass_flip(spec.rate, torch.tensor(spec.superclasses))


# tested equal to the names of noise that is a matter of the class alone
TRANSITIONS: dict[str, Callable[[Any, int], Transition]] = {
    "symmetric": _symmetric,
    "pair_flip": _pair_flip,
    "asymmetric_cifar10": _asymmetric_cifar10,
    "superclass_flip": _superclass_flip,
}


def _recorded(spec: RecordedNoise, dataset: Dataset) -> ObservedLabels:
    recorded = read_observed(spec.file, spec.column, dataset)
    labels = dataset.labels.clone()
    for split in spec.splits:
        rows = dataset.splits[split]
        if bool((dataset.origin[rows] != SPLITS.index("train")).any()):
            required = "splits taken from the data set's own training part, whose labels the file holds"
            raise fail("noise.splits", required, f"'{split}', which it has of its own", "leave it out")
        labels[rows] = recorded[rows]
    return _with_rates(labels, dataset, spec.splits)


def _by_instance(spec: InstanceNoise, dataset: Dataset, stream: torch.Generator) -> ObservedLabels:
    rows = torch.cat([dataset.splits[split] for split in spec.splits])
    model = noise.instance_dependent(
        Inputs(dataset, torch.device("cpu")).batch(rows).flatten(1),  # as a model sees them
        dataset.labels[rows],
        spec.rate,
        dataset.num_classes,
        spread=spec.spread,
        generator=stream,
    )
    labels = dataset.labels.clone()
    labels[rows] = noise.corrupt(dataset.labels[rows], model, generator=stream).noisy_labels
    return _with_rates(labels, dataset, spec.splits)


def _with_rates(labels: torch.Tensor, dataset: Dataset, splits: tuple[str, ...]) -> ObservedLabels:
    flipped = labels != dataset.labels
    rates = {split: float(flipped[rows].double().mean()) for split in splits if len(rows := dataset.splits[split])}
    return ObservedLabels(labels, flipped, rates)
