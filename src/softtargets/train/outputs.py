"""What a network returns for rows that are not trained on: checks, accuracy and NLL."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from softtargets._checks import first_bad
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.tokens import Pairs, Tokens, count_rows
from softtargets.losses import cross_entropy
from softtargets.models.sequences import token_counts, token_labels
from softtargets.targets import dense
from softtargets.train.batches import own_batches
from softtargets.train.processes import Processes
from softtargets.train.step import autocast

# What is recorded of each row of tokens that a network writes.
TOKEN_SUMS = ("tokens", "nll", "correct")


class DivergedError(RuntimeError):
    """A number was not finite. Training the same specification again would end in the same way."""

    @classmethod
    def of(cls, what: str, got: str) -> "DivergedError":
        """Build the error from what should be finite and what it was."""
        return cls(f"{what}: finite; got {got}; lower the learning rate or clip gradients")


class StoppedError(BaseException):
    """Raised by what is called after an epoch to stop a run, which stays in the store unfinished and can be resumed."""


# What is called after an epoch, with its row of the history.
OnEpoch = Callable[[Mapping[str, Any]], None]


class Predictor:
    """Predicts rows of a data set in batches. Several processes share each batch, and all get the logits of all rows.

    Args:
        dataset: the data set.
        inputs: of the data set.
        mixed: whether networks run in bfloat16.
        processes: of the run.
    """

    def __init__(self, dataset: Dataset, inputs: Inputs, mixed: bool, processes: Processes) -> None:
        self._dataset = dataset
        self._inputs, self._mixed, self._processes = inputs, mixed, processes

    @property
    def rows(self) -> int:
        """The number of rows of a batch; the last one may be smaller."""
        return self._inputs.predicted_rows * self._processes.size

    def batches(self, model: nn.Module, rows: Tensor) -> Iterator[Tensor]:
        """Yield the (n, K) float32 logits of rows in batches."""
        model.eval()
        for ids, inputs in own_batches(self._inputs, rows, self.rows, self._processes):
            with torch.no_grad(), autocast(self._inputs.device, self._mixed):
                # a process without rows of a small last batch predicts one, to know the number of classes
                count = count_rows(inputs)
                logits = model(inputs if count else self._inputs.batch(ids[:1])).float()[:count]
            yield self._processes.assembled(logits, len(ids))

    def labelled(self, model: nn.Module, rows: Tensor, labels: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield logits and labels of rows in batches.

        Args:
            model: the network.
            rows: (N,) int64.
            labels: those of all rows of the data set; None: the tokens that the network writes are the labels.
        """
        if labels is not None:
            yield from zip(self.batches(model, rows), labels[rows.to(labels.device)].split(self.rows), strict=True)
            return
        for logits, inputs in self._tokens(model, rows):
            yield logits, token_labels(inputs)

    def token_sums(self, model: nn.Module, rows: Tensor) -> dict[str, Tensor]:
        """Return sums over the tokens that a network writes in each row, on the CPU.

        Returns:
            "tokens": (N,) int64, their number; "nll": (N,) float64, their negative log-likelihood in nats, each token
            predicted from the true ones before it; "correct": (N,) int64, the tokens that are predicted correctly.
        """
        none = torch.zeros(0, dtype=torch.int64)
        sums = {name: [none.double() if name == "nll" else none] for name in TOKEN_SUMS}
        for logits, inputs in self._tokens(model, rows):
            labels, counts = token_labels(inputs), token_counts(inputs)
            row = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
            nll = cross_entropy(logits, labels).double()
            correct = (logits.argmax(1) == labels).long()
            sums["tokens"].append(counts.cpu())
            sums["nll"].append(nll.new_zeros(len(counts)).index_add(0, row, nll).cpu())
            sums["correct"].append(torch.zeros_like(counts).index_add(0, row, correct).cpu())
        return {name: torch.cat(parts) for name, parts in sums.items()}

    def _tokens(self, model: nn.Module, rows: Tensor) -> Iterator[tuple[Tensor, Tokens | Pairs]]:
        """Yield the logits of the tokens that a network writes, and the batch that they belong to."""
        model.eval()
        for inputs in self._inputs.batches(rows, self.rows):
            with torch.no_grad(), autocast(self._inputs.device, self._mixed):
                logits = model(inputs).float()
            yield logits, inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what :meth:`recorded` returns."""
        return TOKEN_SUMS if self._dataset.is_sequence else ("logits",)

    def recorded(self, model: nn.Module, rows: Tensor) -> dict[str, Tensor]:
        """Return what is recorded of some rows of the data set, on the CPU.

        Returns:
            "logits": (N, K) float32. For rows of tokens that the network writes, whose logits would be too many:
            :meth:`token_sums`.
        """
        if self._dataset.is_sequence:
            return self.token_sums(model, rows)
        if len(rows) == 0:
            return {"logits": torch.zeros(0, self._dataset.num_classes)}
        return {"logits": torch.cat([logits.cpu() for logits in self.batches(model, rows)])}


def accuracy_and_nll(batches: Iterable[tuple[Tensor, Tensor]], split: str, steps: int) -> tuple[float, float]:
    """Return accuracy and NLL of at least one batch of logits and labels, in one pass over each.

    Labels are (n,) classes, or (n, K) votes, against which the scores are the expected ones of a label that is drawn.

    Raises:
        DivergedError: if the NLL is not finite.
    """
    rows, correct, total = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for logits, labels in batches:
        rows += len(labels)
        predicted = logits.argmax(1)
        if labels.ndim == 1:
            targets, right = labels, predicted == labels
        else:
            shares = labels.double() / labels.double().sum(1, keepdim=True)
            targets, right = dense(shares), shares.gather(1, predicted[:, None])
        correct = correct.to(logits.device) + right.sum()
        total = total.to(logits.device) + cross_entropy(logits.double(), targets, reduction="sum")
    nll = float(total) / rows
    if not math.isfinite(nll):
        raise DivergedError.of("outputs", f"{nll} as the NLL of the {split} split after step {steps}")
    return float(correct) / rows, nll


def check_outputs(outputs: dict[str, Tensor], split: str, steps: int) -> dict[str, Tensor]:
    """Return the outputs of the rows of a split; require finite numbers.

    The loss of the last step was computed before its update of the weights.

    Raises:
        DivergedError: naming the first example.
    """
    for values in outputs.values():
        bad = first_bad(~torch.isfinite(values))
        if bad is not None:
            got = f"{float(values[bad])} for example {bad[0]} of the {split} split after step {steps}"
            raise DivergedError.of("outputs", got)
    return outputs


def finite_losses(losses: list[Tensor], first: int, steps: int, epoch: int) -> Tensor:
    """Return the losses of steps of an epoch in one tensor; require finite numbers.

    Args:
        losses: () float each.
        first: number of the first of these steps, from 0.
        steps: number of steps of the run.
        epoch: from 1.

    Raises:
        DivergedError: naming the step.
    """
    values = torch.stack(losses)
    bad = torch.nonzero(~torch.isfinite(values))
    if len(bad):
        step, value = first + int(bad[0]), float(values[bad[0]])
        raise DivergedError.of("loss", f"{value} at step {step} of {steps} (epoch {epoch})")
    return values
