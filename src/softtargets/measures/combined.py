"""Several finished runs whose probabilities are averaged, to be measured as one predictor."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from softtargets._errors import InputError, fail
from softtargets._spec import Classes
from softtargets.data.tokens import NetworkInputs, TokenRows
from softtargets.distill import ensemble
from softtargets.measures.subject import Subject
from softtargets.runs.machine import quiet_machine
from softtargets.runs.record import Predictions, Record, read_predictions
from softtargets.runs.spec import ResolvedRun, canonical_json
from softtargets.runs.store import RunStore

# What does not depend on the weights of a run.
_SHARED = ("ids", "labels", "observed")


@dataclass(frozen=True)
class CombinedRuns:
    """Finished runs on the same data and labels, combined by the mean of their probabilities.

    Args:
        members: at least two.
    """

    members: tuple[ResolvedRun, ...]

    @property
    def identity(self) -> str:
        """SHA-256 of the identities of the members in order, hexadecimal. No run of a store has it."""
        content = {"combined": "mean probabilities", "members": [member.identity for member in self.members]}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    def record(self, store: RunStore) -> Record:
        """Return the record of the combination: its predictions, without a history and without teachers.

        Raises:
            OSError: if the store lacks a member.
            InputError: if members have other rows or labels.
        """
        parts = [read_predictions(store.path(member.identity)) for member in self.members]
        return Record(combine_predictions(parts), networks=len(parts))

    @contextmanager
    def opened(self, store: RunStore, classes: Classes | None = None) -> Iterator[Subject]:
        """Open the combination for measuring, with as many threads as in the training of its members."""
        with quiet_machine(self.members[0].run.training.threads):
            yield CombinedSubject(self, store, classes)


def combine_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several runs as one: in place of logits the logarithm of the mean probabilities.

    Args:
        parts: what each run recorded. Numbers of a single run, such as margins during training, are left out.

    Raises:
        InputError: if they are of other rows or labels.
    """
    first, combined = parts[0], {}
    for name, values in first.items():
        if name.rpartition(".")[2] in _SHARED:
            if not all(name in part and torch.equal(part[name], values) for part in parts):
                remedy = "combine runs on the same data, with the same seed of the noise"
                raise fail("members", f"runs with the same '{name}'", "others", remedy)
            combined[name] = values
        elif name.endswith(".logits") and all(name in part for part in parts):
            combined[name] = ensemble([part[name].double() for part in parts])
    return combined


class CombinedSubject(Subject):
    """Combined runs to be measured on the CPU and in float32. Data and augmentation are those of the first member."""

    def __init__(self, combined: CombinedRuns, store: RunStore, classes: Classes | None) -> None:
        super().__init__(combined.members[0], store, classes)
        self._members = [Subject(member, store, classes) for member in combined.members]

    @cached_property
    def predictions(self) -> Predictions:
        return combine_predictions([member.predictions for member in self._members])

    @cached_property
    def network(self) -> nn.Module:
        """A module that returns the logarithm of the mean probabilities."""
        return _MeanProbabilities([member.network for member in self._members])

    @property
    def head(self) -> nn.Linear:
        raise _no_last_layer()

    def features(self, split: str, places: Tensor) -> tuple[Tensor, Tensor]:
        raise _no_last_layer()

    def features_of(self, inputs: Tensor | TokenRows) -> Tensor:
        raise _no_last_layer()

    @property
    def num_classes(self) -> int:
        return self._members[0].num_classes

    @property
    def teachers(self) -> tuple[Subject, ...]:
        return ()


def _no_last_layer() -> InputError:
    return fail("network", "a network with one last layer", "several networks", "measure the members")


class _MeanProbabilities(nn.Module):
    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: NetworkInputs) -> Tensor:
        return ensemble([network(inputs) for network in self.networks])
