"""The training loop, the same for every classifier, data set and objective."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from softtargets._errors import InputError
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.noise import ObservedLabels
from softtargets.distill import TeacherCache
from softtargets.matrices import Transition
from softtargets.noise import TrainingDynamics
from softtargets.objectives import Batch, Objective, ObjectiveContext, TeacherFn, TrainingData
from softtargets.runs.network import TrainedModel
from softtargets.runs.snapshots import Snapshots
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import HISTORY
from softtargets.runs.streams import derived_seed, generator
from softtargets.train.checkpoints import read_checkpoint, save_checkpoint
from softtargets.train.length import Length, check_fit, check_test_size, length_of
from softtargets.train.optimizers import build_optimizer, schedule_factor, set_learning_rates
from softtargets.train.outputs import DivergedError, accuracy_and_nll
from softtargets.train.teachers import precompute_logits, query_online, read_cache

# Logits that are kept until the dynamics are recorded: 16 MiB in float32.
SEEN_LOGITS = 2**22


@dataclass(frozen=True)
class Selected:
    """The epoch (from 1) with the best accuracy on the observed validation labels, and its weights."""

    epoch: int
    accuracy: float
    model: dict[str, Tensor]


def _copied(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


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
    """

    def __init__(
        self,
        resolved: ResolvedRun,
        dataset: Dataset,
        observed: ObservedLabels,
        folder: Path,
        transition: Transition | None = None,
        teachers: Sequence[TrainedModel] | Sequence[TeacherCache] | None = None,
    ) -> None:
        run = resolved.run
        self.run, self.dataset, self.folder = run, dataset, folder
        self.length = length_of(run, len(dataset.splits["train"]))
        check_fit(run, dataset, self.length)
        self.device = torch.device("cuda", 0) if resolved.backend == "cuda" else torch.device(resolved.backend)
        self.mixed = resolved.precision == "bfloat16"
        self.labels = observed.labels.to(self.device)
        self.labelled = None if dataset.labelled is None else dataset.labelled.to(self.device)
        self.inputs = Inputs(dataset, self.device)
        self.model = self._build_model()
        check_test_size(self.model, dataset)
        context = ObjectiveContext(
            num_examples=len(dataset.labels),
            num_classes=dataset.num_classes,
            device=self.device,
            transition=transition,
            epochs=self.length.epochs,
            teacher=self._teacher(teachers or ()),
            data=TrainingData.of(dataset, observed.labels),
        )
        self.objective: Objective = run.objective.started(context)
        named = [*self.model.named_parameters(), *((f"objective.{n}", p) for n, p in self.objective.parameters())]
        self.learned = [parameter for _, parameter in named]
        self.optimizer = build_optimizer(run.optimizer, named)
        decay = run.training.average_decay
        self.average = (
            None
            if decay is None
            else AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True).eval()
        )
        self.dynamics = TrainingDynamics(len(dataset.labels), dataset.num_classes) if run.training.dynamics else None
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []  # ids, logits and labels of steps, for the dynamics
        self.selected: Selected | None = None
        every = run.training.snapshot_every
        self.snapshots = None if every is None else Snapshots(folder, every, self.length.epochs)
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0

    def _teacher(self, teachers: Sequence[TrainedModel] | Sequence[TeacherCache]) -> TeacherFn:
        if self.run.objective.taught_by == "average":
            return self._query_average
        caches = [teacher for teacher in teachers if isinstance(teacher, TeacherCache)]
        if caches:
            return read_cache(caches, self.device)
        moved = [teacher.to(self.device) for teacher in teachers if isinstance(teacher, TrainedModel)]
        if not moved or self.run.augmentation.active:
            return query_online(moved)
        return precompute_logits(moved, self.inputs, self.dataset.splits["train"], len(self.dataset.labels))

    def _query_average(self, ids: Tensor, inputs: Tensor) -> Tensor:
        """Return the logits of the running average of this run's own weights, (1, n, K)."""
        assert self.average is not None
        with torch.no_grad(), self._autocast():
            return self.average.module(inputs).float()[None]

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.mixed else nullcontext()

    def _build_model(self) -> torch.nn.Module:
        torch.manual_seed(derived_seed("initialisation", self.run.seeds.initialisation))
        dataset = self.dataset
        model = self.run.model.build(input_shape=dataset.input_shape, num_classes=dataset.num_classes)
        self.run.model.initialise(model, self._first_inputs)
        layout = torch.channels_last if dataset.is_image else torch.preserve_format
        return model.to(self.device, memory_format=layout)  # pyright: ignore[reportCallIssue]

    def _first_inputs(self, count: int) -> Iterator[Tensor]:
        """Yield the first training inputs without augmentation."""
        return self.inputs.batches(self.dataset.splits["train"][:count], self.inputs.predicted_rows)

    def train(self, checkpoint_seconds: float, report: Callable[[int], None] = lambda step: None) -> None:
        """Train to the end, starting from the folder's checkpoint if there is one.

        Args:
            checkpoint_seconds: save a checkpoint after an epoch if at least this much time has passed since the last.
            report: called after every epoch with the number of steps done.

        Raises:
            DivergedError: if the loss is not finite, naming the step.
        """
        state, rows = read_checkpoint(self.folder, self.snapshots)
        (self.folder / HISTORY).write_bytes(rows)
        if state is not None:
            self._restore(state)
        written = hashlib.sha256(rows)
        if self.epoch == 0:
            self._keep_snapshot()
        saved = time.monotonic()
        with (self.folder / HISTORY).open("ab") as history:
            while self.step < self.length.steps:
                started = time.monotonic()
                row = self._train_epoch()
                self.seconds += time.monotonic() - started
                line = (json.dumps(row, sort_keys=True) + "\n").encode()
                history.write(line)
                history.flush()
                written.update(line)
                # before the checkpoint, which requires all snapshots up to its epoch
                self._keep_snapshot()
                report(self.step)
                last = self.step >= self.length.steps
                if not last and time.monotonic() - saved >= checkpoint_seconds:
                    save_checkpoint(self.folder, self._state(), history.tell(), written.hexdigest())
                    saved = time.monotonic()

    def _keep_snapshot(self) -> None:
        if self.snapshots is not None:
            self.snapshots.keep(self.epoch, self.final_model)

    def run_steps(self, steps: int) -> None:
        """Train this many steps, or to the end of an epoch, without recording anything, for time measurements."""
        self.length = Length(self.step + steps, self.length.steps_per_epoch)
        with suppress(DivergedError):
            self._train_epoch()

    def _train_epoch(self) -> dict[str, Any]:
        seeds, training, epoch = self.run.seeds, self.run.training, self.epoch
        self.model.train()
        # Every epoch has new generators; only dropout uses the global one.
        self._seed_dropout(derived_seed("dropout", seeds.dropout, epoch))
        method = generator("method", seeds.method, epoch)
        augmentation = generator("augmentation", seeds.augmentation, epoch)
        rows = self.dataset.splits["train"]
        order = rows[torch.randperm(len(rows), generator=generator("order", seeds.order, epoch))]
        # gathered for the epoch: at a millisecond per step, every operation of a step counts
        order = order[: (self.length.steps - self.step) * training.batch_size].to(self.device)
        all_inputs = self.inputs.batches(order, training.batch_size, self.run.augmentation, augmentation)
        all_labels, all_ids = self.labels[order].split(training.batch_size), order.split(training.batch_size)
        first = self.step
        risks: list[Tensor] = []
        for inputs, labels, ids in zip(all_inputs, all_labels, all_ids, strict=True):
            labelled = None if self.labelled is None else self.labelled[ids]
            batch = self.objective.prepare(Batch(inputs, labels, ids, labelled), method)
            set_learning_rates(self.optimizer, schedule_factor(self.run.schedule, self.step, self.length.steps))
            for parameter in self.learned:
                parameter.grad = None
            risk = self._risk(batch)
            (risk if training.loss_factor == 1 else training.loss_factor * risk).backward()
            if training.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.learned, training.clip_norm)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            risks.append(risk.detach())
            self.step += 1
        self.objective.end_epoch(epoch)
        if self.dynamics is not None:
            if self._seen:
                self._record_dynamics(self.dynamics)
            self.dynamics.end_epoch()
        self.epoch += 1
        return self._history_row(first, torch.stack(risks).double())

    def _risk(self, batch: Batch) -> Tensor:
        """Return the scalar to minimise."""
        with self._autocast():
            logits = self.model(batch.inputs)
        seen = logits.detach()
        self.objective.observe(batch, seen)
        if self.dynamics is not None:
            self._seen.append((batch.ids, seen, batch.labels))
            if len(self._seen) * seen.numel() > SEEN_LOGITS:
                self._record_dynamics(self.dynamics)
        try:
            return self.objective.batch_loss(logits, batch)
        except InputError:
            # some losses refuse logits that are not finite, where others return a loss that is not finite
            if bool(torch.isfinite(logits).all()):
                raise
            return logits.sum() * torch.nan

    def _record_dynamics(self, dynamics: TrainingDynamics) -> None:
        """Record the logits of the steps since the last call together, since a call takes half a step."""
        ids, logits, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        dynamics.observe(ids.cpu(), logits.float().cpu(), labels.cpu())
        self._seen.clear()

    def _seed_dropout(self, seed: int) -> None:
        # torch.manual_seed does the same, but takes as long as two steps: it formats the stack for lazy devices.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _history_row(self, first: int, risks: Tensor) -> dict[str, Any]:
        bad = torch.nonzero(~torch.isfinite(risks))
        if len(bad):
            step, value = first + int(bad[0]), float(risks[bad[0]])
            raise DivergedError.of("loss", f"{value} at step {step} of {self.length.steps} (epoch {self.epoch})")
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "steps": self.length.steps,
            "learning_rate": max(group["lr"] for group in self.optimizer.param_groups),
            "objective": float(risks.mean()),
        }
        every = self.run.training.evaluate_every
        if every is not None and self.epoch % every == 0:
            reached, row["validation_nll"] = self._evaluate(self.dataset.splits["validation"])
            row["validation_accuracy"] = reached
            if self.selected is None or reached > self.selected.accuracy:
                self.selected = Selected(self.epoch, reached, _copied(self.final_model))
        return row

    def _evaluate(self, rows: Tensor) -> tuple[float, float]:
        """Return accuracy and NLL on the observed labels of some rows: a user has no others."""
        labels = self.labels[rows.to(self.device)].split(self.inputs.predicted_rows)
        return accuracy_and_nll(zip(self._outputs(rows), labels, strict=True), "validation", self.step)

    @property
    def final_model(self) -> torch.nn.Module:
        """The model that is evaluated and saved: the average, if weights are averaged."""
        return self.model if self.average is None else self.average.module

    def use_selected(self) -> None:
        """Load the weights of the selected epoch; training must be over."""
        if self.selected is not None:
            self.final_model.load_state_dict(self.selected.model)

    def predict(self, rows: Tensor) -> Tensor:
        """Return the logits of some rows of the data set, (N, K) float32 on the CPU."""
        if len(rows) == 0:
            return torch.zeros(0, self.dataset.num_classes)
        return torch.cat([logits.cpu() for logits in self._outputs(rows)])

    def _outputs(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the logits of some rows in batches, float32."""
        model = self.final_model.eval()
        for inputs in self.inputs.batches(rows, self.inputs.predicted_rows):
            with torch.no_grad(), self._autocast():
                logits = model(inputs).float()
            yield logits

    def _state(self) -> dict[str, Any]:
        """Return everything that changes during training, for a checkpoint."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state_dict(),
            "average": None if self.average is None else dict(self.average.state_dict()),
            "dynamics": None if self.dynamics is None else self.dynamics.state_dict(),
            "selected": None if self.selected is None else asdict(self.selected),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.load_state_dict(state["objective"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.dynamics is not None:
            self.dynamics.load_state_dict(state["dynamics"])
        self.selected = None if state["selected"] is None else Selected(**state["selected"])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
