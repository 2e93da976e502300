"""The training loop, the same for every classifier, data set and objective."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.noise import ObservedLabels
from softtargets.data.stream import StreamedImages
from softtargets.data.tokens import NetworkInputs
from softtargets.distill import TeacherCache
from softtargets.matrices import Transition
from softtargets.noise import TrainingDynamics
from softtargets.objectives import Objective, ObjectiveContext, TrainingData
from softtargets.runs.loggers import Loggers
from softtargets.runs.network import TrainedModel, build_network
from softtargets.runs.schedules import schedule_factor
from softtargets.runs.snapshots import Snapshots
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.streams import derived_seed
from softtargets.train.averaging import average_of
from softtargets.train.batches import TrainingBatches
from softtargets.train.checkpoints import Journal, read_checkpoint, restore_states, states_of
from softtargets.train.length import Length, check_fit, check_test_size, evaluating, length_of
from softtargets.train.optimizers import build_optimizer, set_learning_rates
from softtargets.train.outputs import DivergedError, OnEpoch, Predictor, accuracy_and_nll, finite_losses
from softtargets.train.processes import Processes
from softtargets.train.pseudo_labels import pseudo_label_shares
from softtargets.train.sampling import SampledRows
from softtargets.train.selection import Selection, copied_weights
from softtargets.train.starting import load_start
from softtargets.train.step import Learner, SeenLogits, autocast
from softtargets.train.streams import EpochStreams
from softtargets.train.teachers import teacher_of

# Entries of the history that are no metrics.
COUNTS = ("epoch", "step", "steps")
# Steps over which loggers are told the mean objective, within epochs.
LOGGED_STEPS = 50


class Trainer:
    """The state of a run during training: model, optimiser, objective, and the current step.

    Args:
        resolved: what to train.
        dataset: with clean labels, which training never uses.
        observed: the labels that training uses.
        folder: folder for the history, the checkpoint and snapshots.
        transition: the transition for an objective that needs a known or estimated one.
        teachers: the trained networks of the run's teachers, or caches of their outputs. None: without teachers, to
            check the set-up only.
        processes: those that train this run together.
    """

    def __init__(
        self,
        resolved: ResolvedRun,
        dataset: Dataset,
        observed: ObservedLabels,
        folder: Path,
        transition: Transition | None = None,
        teachers: Sequence[TrainedModel] | Sequence[TeacherCache] | None = None,
        processes: Processes | None = None,
    ) -> None:
        run = resolved.run
        self.run, self.dataset, self.folder = run, dataset, folder
        self._identity = resolved.identity
        self.processes = processes or Processes()
        self._rows = SampledRows.of(resolved, dataset, folder.parent)
        self.length = length_of(run, dataset)
        check_fit(run, dataset, self.length)
        self.device = self.processes.device(resolved.backend)
        self.mixed = resolved.precision == "bfloat16"
        self.labels = observed.labels.to(self.device)
        labelled, self.votes = (
            None if each is None else each.to(self.device) for each in (dataset.labelled, dataset.votes)
        )
        self.inputs = Inputs(dataset, self.device)
        self._predictor = Predictor(dataset, self.inputs, self.mixed, self.processes)
        torch.manual_seed(derived_seed("initialisation", run.seeds.initialisation))
        self.model = build_network(run, dataset.input_shape, dataset.num_classes)
        run.model.initialise(self.model, self._first_inputs)
        load_start(self.model, resolved, folder.parent)
        self.model.to(self.device)
        check_test_size(self.model, dataset)
        context = ObjectiveContext(
            num_examples=len(dataset.labels),
            num_classes=dataset.num_classes,
            device=self.device,
            transition=transition,
            epochs=self.length.epochs,
            teacher=teacher_of(run, dataset, self.inputs, teachers or (), self.processes, self._query_own),
            data=TrainingData.of(dataset, observed.labels),
            sequences=dataset.is_sequence,
        )
        self.objective: Objective = run.objective.started(context)
        named = [*self.model.named_parameters(), *((f"objective.{n}", p) for n, p in self.objective.parameters())]
        self.optimizer = build_optimizer(run.optimizer, named)
        self.average = average_of(self.model, run.training)
        self.dynamics = TrainingDynamics(len(dataset.labels), dataset.num_classes) if run.training.dynamics else None
        self._seen = None if self.dynamics is None else SeenLogits(self.dynamics)
        self._learner = Learner(
            self.model,
            self.objective,
            [parameter for _, parameter in named],
            self.optimizer,
            self.average,
            self._seen,
            run.training,
            dataset.num_classes,
            self.mixed,
            self.processes,
        )
        streamed = isinstance(dataset.inputs, StreamedImages)
        self.streamed = streamed or self.inputs.drawn_alone(run.augmentation)
        tokens = None if dataset.tokenizer is None else dataset.row_lengths
        sizes = (run.training.batch_size, run.training.labelled_batch, tokens, run.training.batch_tokens)
        settings = (dataset.is_sequence, self.objective, *sizes, run.augmentation, self.processes)
        self._batches = TrainingBatches(self.inputs, self.streamed, self.labels, labelled, self.votes, *settings)
        self.selection = Selection(run.training.monitor or "accuracy", run.training.patience)
        every = run.training.snapshot_every
        self.snapshots = None if every is None else Snapshots(folder, every, self.length.epochs)
        self._epochs = self.length.epochs
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0
        self._started = time.monotonic()
        self._journal: Journal | None = None
        self._loggers = Loggers()
        self._interrupted: dict[str, Any] | None = None  # the part of an epoch before a checkpoint

    def _query_own(self, inputs: NetworkInputs) -> Tensor:
        """Return the logits of this run's own weights or of their average, as the objective says, (1, n, K)."""
        with torch.no_grad(), autocast(self.device, self.mixed):
            if self.run.objective.taught_by == "average":
                return self.final_model(inputs).float()[None]
            with evaluating(self.model):
                return self.model(inputs).float()[None]

    def _first_inputs(self, count: int) -> Iterator[Tensor]:
        """Yield the first training inputs without augmentation."""
        return self.inputs.batches(self.dataset.splits["train"][:count], self.inputs.predicted_rows)

    def train(self, checkpoint_seconds: float, on_epoch: OnEpoch | None = None) -> None:
        """Train to the end, starting from the folder's checkpoint if there is one.

        Args:
            checkpoint_seconds: save a checkpoint after a step if at least this much time has passed since the last.
            on_epoch: called after each epoch with its row of the history.

        Raises:
            DivergedError: if the loss is not finite, naming the step.
        """
        state, rows = read_checkpoint(self.folder, self.snapshots)
        if state is not None:
            self._restore(state)
        # all processes have read the files before the first one writes them
        self.processes.agree(self.step, "checkpoint")
        if self.processes.first:
            self._journal = Journal(self.folder, rows, checkpoint_seconds)
            specification = self.run.model_dump(mode="json", exclude_none=True)
            names, store = self.run.training.loggers, self.folder.parent
            self._loggers = Loggers(names, store, self._identity, specification, self.step)
        try:
            self._train_epochs(on_epoch or (lambda row: None))
        finally:
            self._loggers.close(self.step >= self.length.steps or self.selection.over)

    def _train_epochs(self, on_epoch: OnEpoch) -> None:
        if self.step == 0:
            self._keep_snapshot()
        while self.step < self.length.steps and not self.selection.over:
            row = self._train_epoch()
            # before the checkpoint, which requires all snapshots up to its epoch
            self._keep_snapshot()
            self._loggers.log({name: row[name] for name in row if name not in COUNTS}, self.step)
            if self._journal is not None:
                self._journal.append(row)
                if self.step < self.length.steps and self._journal.due:
                    self._journal.save(self._state())
            on_epoch(row)

    def _keep_snapshot(self) -> None:
        if self.snapshots is not None and self.processes.first:
            self.snapshots.keep(self.epoch, self.final_model)

    def run_steps(self, steps: int) -> None:
        """Train this many steps, or to the end of an epoch, without recording anything, for time measurements.

        After the last epoch the first one follows, since schedules of objectives end with the training.
        """
        self.epoch %= self._epochs
        self.length = Length(self.step + steps, self.length.steps_per_epoch)
        with suppress(DivergedError):
            self._train_epoch()

    def _train_epoch(self) -> dict[str, Any]:
        self._started = time.monotonic()
        self.model.train()
        streams = EpochStreams(self.run.seeds, self.epoch, self.device, self.processes)
        rows, risks = self._batches.divided(self._rows.order(streams), streams), list[Tensor]()
        if self._interrupted is not None:
            risks, self._interrupted = self._resume_epoch(self._interrupted, streams), None
        first, rows = self.step - len(risks), rows[len(risks) :][: self.length.steps - self.step]
        last = self.step + len(rows)
        for batch in self._batches.of(rows, streams):
            set_learning_rates(self.optimizer, self._learning_rate_factor())
            due = self._journal is not None and self.step + 1 < last and self._journal.due
            risk, save = self._learner.step(batch, due)
            risks.append(risk)
            self.step += 1
            if self._journal is not None:
                self._journal.note(self.step)
            if self._loggers and self.step % LOGGED_STEPS == 0:
                self._loggers.log({"step_objective": float(torch.stack(risks[-LOGGED_STEPS:]).mean())}, self.step)
            if save:
                self._save_within_epoch(streams, first, risks)
        taught = pseudo_label_shares(self.objective.pseudo_labels(), self.dataset)
        self.objective.end_epoch(self.epoch)
        if self.dynamics is not None and self._seen is not None:
            self._seen.record()
            self.dynamics.end_epoch()
        self.epoch += 1
        row = {**self._history_row(finite_losses(risks, first, self.length.steps, self.epoch)), **taught}
        self._count_seconds()
        return row

    def _learning_rate_factor(self) -> float:
        length = self.length
        return schedule_factor(self.run.schedule, self.step, length.steps, length.steps_per_epoch)

    def _save_within_epoch(self, streams: EpochStreams, first: int, risks: list[Tensor]) -> None:
        """Save a checkpoint between two steps of an epoch, with what is left of it."""
        if self._seen is not None:
            self._seen.record()
        self._count_seconds()
        done = finite_losses(risks, first, self.length.steps, self.epoch + 1)
        within = {"streams": streams.state_dict(), "risks": done}
        if self._journal is not None:
            self._journal.save({**self._state(), "within": within})

    def _resume_epoch(self, within: dict[str, Any], streams: EpochStreams) -> list[Tensor]:
        streams.load_state_dict(within["streams"])
        return list(within["risks"].to(self.device).unbind())

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.seconds, self._started = self.seconds + now - self._started, now

    def _history_row(self, risks: Tensor) -> dict[str, Any]:
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "steps": self.length.steps,
            "learning_rate": max(group["lr"] for group in self.optimizer.param_groups),
            "objective": float(risks.double().mean()),
        }
        every = self.run.training.evaluate_every
        if every is not None and self.epoch % every == 0:
            row |= self._evaluate(self.dataset.splits["validation"])
            kind = "validation" if self.votes is None else "validation_votes"
            accuracy, nll = row[f"{kind}_accuracy"], row[f"{kind}_nll"]
            self.selection.consider(self.epoch, accuracy, nll, lambda: copied_weights(self.final_model))
        return row

    def _evaluate(self, rows: Tensor) -> dict[str, float]:
        """Return accuracy and NLL on the observed labels of some rows: a user has no others. Of tokens, per token.

        With votes, the labels are their most frequent classes, and the scores against the votes are returned too.
        """
        labels = None if self.dataset.is_sequence else self.labels
        batches = self._predictor.labelled(self.final_model, rows, labels)
        if self.votes is None:
            return _named("validation", accuracy_and_nll(batches, "validation", self.step))
        kept = list(batches)
        shares = self.votes[rows.to(self.device)].split([len(part) for _, part in kept])
        voted = ((logits, votes) for (logits, _), votes in zip(kept, shares, strict=True))
        return {
            **_named("validation", accuracy_and_nll(kept, "validation", self.step)),
            **_named("validation_votes", accuracy_and_nll(voted, "validation", self.step)),
        }

    @property
    def final_model(self) -> torch.nn.Module:
        """The model that is evaluated and saved: the average, if weights are averaged."""
        return self.model if self.average is None else self.average.module

    def use_selected(self) -> None:
        """Load the weights of the selected epoch; training must be over."""
        if self.selection.selected is not None:
            self.final_model.load_state_dict(self.selection.selected.model)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what :meth:`predict` returns."""
        return self._predictor.outputs

    def predict(self, rows: Tensor) -> dict[str, Tensor]:
        """Return what is recorded of some rows of the data set, on the CPU: :meth:`Predictor.recorded`."""
        return self._predictor.recorded(self.final_model, rows)

    def _parts(self) -> dict[str, Any]:
        """Return everything that changes during training, apart from counts; None: what the run does not have."""
        names = ("model", "optimizer", "objective", "average", "dynamics", "selection")
        return {name: getattr(self, name) for name in names}

    def _state(self) -> dict[str, Any]:
        """Return the state of training for a checkpoint."""
        counts = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds}
        return {**counts, **states_of(self._parts()), "within": None}

    def _restore(self, state: dict[str, Any]) -> None:
        restore_states(self._parts(), state)
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self._interrupted = state["within"]


def _named(kind: str, scores: tuple[float, float]) -> dict[str, float]:
    return {f"{kind}_accuracy": scores[0], f"{kind}_nll": scores[1]}
