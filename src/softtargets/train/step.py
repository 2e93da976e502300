"""One step of training: forward, loss, backward and update, in parts and on several devices."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from softtargets._errors import InputError
from softtargets.data.tokens import count_rows, device_of, rows_at
from softtargets.noise import TrainingDynamics
from softtargets.objectives import Batch, Objective
from softtargets.runs.training import TrainingSpec
from softtargets.targets import Targets
from softtargets.train.optimizers import Optimizer
from softtargets.train.processes import Processes

# Logits that are kept until the dynamics are recorded: 16 MiB in float32.
SEEN_LOGITS = 2**22


def autocast(device: torch.device, mixed: bool) -> AbstractContextManager[object]:
    """Return the context in which a network runs, in bfloat16 if `mixed`."""
    return torch.autocast(device.type, torch.bfloat16) if mixed else nullcontext()


class SeenLogits:
    """Records the logits of many steps in the dynamics together, since a call takes half a step."""

    def __init__(self, dynamics: TrainingDynamics) -> None:
        self.dynamics = dynamics
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, batch: Batch, logits: Tensor) -> None:
        """Take the logits of a batch."""
        self._parts.append((batch.ids, logits, batch.labels))
        if len(self._parts) * logits.numel() > SEEN_LOGITS:
            self.record()

    def record(self) -> None:
        """Record what was taken since the last call."""
        if self._parts:
            ids, logits, labels = (torch.cat(parts) for parts in zip(*self._parts, strict=True))
            self.dynamics.observe(ids.cpu(), logits.float().cpu(), labels.cpu())
            self._parts.clear()


@dataclass(frozen=True)
class Learner:
    """What a step changes: the network, the objective's state, the optimiser, the averaged weights and the dynamics.

    Args:
        model: the network, in training mode.
        objective: started.
        learned: the parameters of both.
        optimizer: of these parameters.
        average: averaged weights, or None.
        seen: the logits for the dynamics, or None.
        training: the settings.
        num_classes: K.
        mixed: whether the network runs in bfloat16.
        processes: of the run.
    """

    model: nn.Module
    objective: Objective
    learned: list[nn.Parameter]
    optimizer: Optimizer
    average: AveragedModel | None
    seen: SeenLogits | None
    training: TrainingSpec
    num_classes: int
    mixed: bool
    processes: Processes

    def step(self, batch: Batch, save: bool = False) -> tuple[Tensor, bool]:
        """Update everything from a prepared batch.

        Args:
            batch: all rows; the same in all processes.
            save: whether this process asks for a checkpoint after the step.

        Returns:
            The scalar that was minimised, without gradient, and whether the first process asks for a checkpoint.
        """
        for parameter in self.learned:
            parameter.grad = None
        parts = list(_parts(batch, self.training.accumulate or 1))
        risk = self._backward(batch) if len(parts) == 1 else self._backward_in_parts(parts)
        if self.processes.size > 1:
            save = self._reduce(parts, save)
        if self.training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.learned, self.training.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return risk, save

    def _reduce(self, parts: list[Batch], save: bool) -> bool:
        # the objective's own parameters have the gradient of all rows in every process
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        buffers = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        shares = [self.processes.share(len(part.labels)) for part in parts]
        own, rows = sum(share.stop - share.start for share in shares), sum(len(part.labels) for part in parts)
        return self.processes.reduce_step(parameters, buffers, own / rows, save)

    def _backward(self, batch: Batch) -> Tensor:
        risk, factor = self._risk(batch), self.training.loss_factor
        (risk if factor == 1 else factor * risk).backward()
        return risk.detach()

    def _backward_in_parts(self, parts: list[Batch]) -> Tensor:
        """Compute the gradient of a batch part by part.

        A part adds the sum over its rows, divided by the number of rows of the batch. That is corrected at the end,
        where the batch is divided by another number, such as the sum of its weights, which is known only then.
        """
        rows = sum(len(part.labels) for part in parts)
        total: Tensor | float = 0.0
        risks: list[Tensor] = []
        for part in parts:
            risk = self._risk(part)
            normalizer = self.objective.normalizer(part)
            (risk * (self.training.loss_factor * normalizer / rows)).backward()
            risks.append(risk.detach() * normalizer / rows)
            total = total + normalizer
        risk = torch.stack(risks).sum()
        if not isinstance(total, Tensor) and total == rows:
            return risk
        correction = torch.as_tensor(total, device=risk.device).float()
        correction = torch.where(correction == 0, 0.0, rows / correction)
        for parameter in self.learned:
            if parameter.grad is not None:
                parameter.grad.mul_(correction)
        return risk * correction

    def _risk(self, batch: Batch) -> Tensor:
        """Return the scalar to minimise."""
        logits = self._logits(batch)
        seen = logits.detach()
        self.objective.observe(batch, seen)
        if self.seen is not None:
            self.seen.add(batch, seen)
        try:
            return self.objective.batch_loss(logits, batch)
        except InputError:
            # some losses refuse logits that are not finite, where others return a loss that is not finite
            if bool(torch.isfinite(logits).all()):
                raise
            return logits.sum() * torch.nan

    def _logits(self, batch: Batch) -> Tensor:
        """Return the logits of all rows. Those that other processes compute have no gradient here.

        The objective sees the logits of the whole batch in every process, so that it does not know how many there are.
        The gradient of its loss then reaches the rows of this process, and the sum over the processes is that of the
        whole batch.
        """
        device, rows = device_of(batch.inputs), len(batch.labels)
        own = self.processes.share(rows)
        if self.processes.size == 1:
            with autocast(device, self.mixed):
                return self.model(batch.inputs)
        if own.start == own.stop:
            # no row of a small batch: the network is not called, and a sum of nothing stands for its gradient
            logits = torch.zeros(0, self.num_classes, device=device, requires_grad=True)
        else:
            with autocast(device, self.mixed):
                logits = self.model(rows_at(batch.inputs, own))
        whole = self.processes.assembled(logits.detach().float(), rows).to(logits.dtype)
        return torch.cat([whole[: own.start], logits, whole[own.stop :]])


def _parts(batch: Batch, count: int) -> Iterator[Batch]:
    """Yield a batch in parts whose sizes differ by at most one row."""
    rows = count_rows(batch.inputs)
    if count == 1 or rows == 1:
        yield batch
        return
    for chunk in torch.arange(rows).tensor_split(min(count, rows)):
        yield _rows(batch, slice(int(chunk[0]), int(chunk[-1]) + 1))


def _rows(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch, with what the objective has prepared for them."""

    counts, examples = batch.counts, rows
    if counts is not None:
        # the examples of these rows are their tokens
        ends = [0, *counts.cumsum(0).tolist()]
        examples = slice(ends[rows.start], ends[rows.stop])

    def taken(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(taken, value))
        return value[examples] if isinstance(value, Tensor | Targets) else value

    others = [field.name for field in fields(batch) if field.name not in ("inputs", "counts")]
    own = {"inputs": rows_at(batch.inputs, rows), "counts": None if counts is None else counts[rows]}
    return replace(batch, **own, **{name: taken(getattr(batch, name)) for name in others})
