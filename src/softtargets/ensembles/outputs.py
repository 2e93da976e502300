"""The members of an ensemble, and what they predict of the rows of the data set."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.batches import Inputs
from softtargets.runs.network import TrainedModel
from softtargets.runs.record import read_predictions
from softtargets.runs.snapshots import read_snapshots
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.train import LoadedRun, NetworkClassifier, load_run


@dataclass(frozen=True, eq=False)
class Member:
    """A member of an ensemble: a run, or its weights after one of its epochs.

    Args:
        run: the run.
        epoch: of a snapshot; None: the weights after the last step.
        weights: of the snapshot.
    """

    run: LoadedRun
    epoch: int | None = None
    weights: dict[str, Tensor] | None = None

    @property
    def resolved(self) -> ResolvedRun:
        """The resolved specification of the run."""
        return self.run.resolved

    @property
    def name(self) -> str:
        """The first digits of the run's identity, and the epoch of a snapshot."""
        return self.resolved.identity[:8] + ("" if self.epoch is None else f", epoch {self.epoch}")

    @cached_property
    def trained(self) -> LoadedRun:
        """The run with the weights of the member. What it recorded is of its last epoch."""
        if self.weights is None:
            return self.run
        network = deepcopy(self.run.network)
        network.load_state_dict(self.weights)
        return replace(self.run, model=TrainedModel(network, self.resolved))

    @property
    def classifier(self) -> NetworkClassifier:
        """The member as a classifier, without calibrator."""
        return self.trained.classifier

    def logits(self, split: str) -> Tensor:
        """Return the (N, K) float32 logits of the rows of a split that have labels."""
        recorded = self.run.predictions
        if self.weights is None:
            return recorded[f"{split}.logits"]
        inputs = Inputs(self.run.dataset, torch.device("cpu"))
        batches = inputs.batches(recorded[f"{split}.ids"], inputs.predicted_rows)
        parts = [self.trained.model.logits(batch) for batch in batches]
        return torch.cat(parts) if parts else recorded[f"{split}.logits"][:0]


def members_of(runs: Sequence[ResolvedRun], epochs: Sequence[int], store: RunStore) -> tuple[Member, ...]:
    """Return the members from finished runs.

    Args:
        runs: the runs of the members.
        epochs: the epochs of one run whose weights are members; empty: the last weights of each run.
        store: of the runs.
    """
    loaded = [load_run(store.path(run.identity)) for run in runs]
    if not epochs:
        return tuple(Member(run) for run in loaded)
    return tuple(
        Member(run, epoch, weights)
        for run in loaded
        for epoch, weights in read_snapshots(run.folder)
        if epoch in epochs
    )


def split_logits(members: Sequence[Member], split: str) -> Tensor:
    """Return the (M, N, K) float32 logits of the members for the rows of a split."""
    return torch.stack([member.logits(split) for member in members])


def held_out_logits(members: Sequence[Member], folds: Sequence[ResolvedRun], store: RunStore) -> tuple[Tensor, Tensor]:
    """Return out-of-fold predictions of the members' training rows, (M, N, K), and the observed labels, (N,).

    Args:
        members: one for each network.
        folds: the runs without each fold, those of the first member first.
        store: of the runs.

    Raises:
        InputError: if a training row of a member is in no fold.
    """
    rows = members[0].run.predictions["train.ids"]
    place = torch.full((int(rows.max()) + 1,), -1)
    place[rows] = torch.arange(len(rows))
    count = len(folds) // len(members)
    found = []
    for index in range(len(members)):
        logits = torch.full((len(rows), len(members[0].run.class_names)), torch.nan)
        for fold in folds[index * count : (index + 1) * count]:
            recorded = read_predictions(store.path(fold.identity))
            ids = recorded["validation.ids"]
            kept = torch.isin(ids, rows)  # a row whose label is hidden from the members is in a fold too
            logits[place[ids[kept]]] = recorded["validation.logits"][kept]
        missing = logits.isnan().any(1).nonzero()
        if len(missing):
            got = f"none for row {int(rows[missing[0, 0]])}"
            raise fail("ensemble", "a held-out prediction of every training row", got, "use other splits")
        found.append(logits)
    return torch.stack(found), members[0].run.predictions["train.observed"]
