"""Distillation from the teachers of a run, or from the running average of its own weights."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from softtargets import distill, losses
from softtargets._errors import fail
from softtargets.runs.distillation import DistillationSpec
from softtargets.train.objectives._corrections import transition_from
from softtargets.train.objectives._protocol import Batch, Objective, Problem, Teach

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Distillation(Objective):
    """A loss of the student's logits, the teachers' and the labels.

    Args:
        teach: (ids, inputs) -> (M, n, K) logits.
        loss: (logits, teacher logits, labels) -> (n,).
        joined: (M, n, K) -> (n, K), several teachers as one.
    """

    def __init__(self, teach: Teach, loss: Loss, joined: Callable[[Tensor], Tensor]) -> None:
        self._teach, self._loss, self._joined = teach, loss, joined

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        logits = self._teach(batch.ids, batch.inputs)
        assert isinstance(logits, Tensor)
        return replace(batch, teacher_logits=logits[0] if len(logits) == 1 else self._joined(logits))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        assert batch.teacher_logits is not None
        return self._loss(logits, batch.teacher_logits, batch.labels)


class PartialDistillation(Objective):
    """Cross entropy with what a cache keeps of the teachers' probabilities, and with the labels.

    It is linear in the targets, so that draws give the gradient of all classes on average; the entropy that would
    make a divergence of it has no part in the gradient and, of draws, no such property.
    """

    def __init__(self, teach: Teach, spec: DistillationSpec) -> None:
        self._teach, self._spec = teach, spec
        self._temperature = spec.temperature if spec.student_temperature is None else spec.student_temperature
        self._scale = spec.temperature * self._temperature if spec.scale == "squared" else 1.0

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        targets = self._teach(batch.ids, batch.inputs)
        assert isinstance(targets, tuple)
        return replace(batch, teacher_targets=targets)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        softened = logits.float() / self._temperature
        taught = torch.stack([losses.cross_entropy(softened, targets) for targets in batch.teacher_targets]).mean(0)
        return _with_labels(self._spec, self._scale * taught, losses.cross_entropy, logits, batch.labels)


def distillation(spec: DistillationSpec, problem: Problem) -> Objective:
    if problem.teach is None:
        raise fail("teach", "given to an objective that distils", None, "give the run teachers")
    if spec.cache is not None and (spec.cache.k or 0) > problem.num_classes:
        required = f"at most {problem.num_classes}, the number of classes"
        raise fail("objective.cache.k", required, spec.cache.k, "leave it out to keep them all")
    if spec.cache is not None and not spec.cache.all_of(problem.num_classes):
        return PartialDistillation(problem.teach, spec)
    loss = {"kl": _divergence, "squared": _squared, "decoupled": _decoupled, "relational": _relational}[spec.loss]
    return Distillation(problem.teach, loss(spec, problem), partial(_joined, spec))


def _joined(spec: DistillationSpec, logits: Tensor) -> Tensor:
    """Return one teacher's logits for several: the mean of their probabilities at T, or of logits where those count."""
    if spec.loss == "squared":
        return logits.mean(0)
    # log p at T times T is what softens to p at T again
    return distill.ensemble(logits, temperature=spec.temperature) * spec.temperature


def _divergence(spec: DistillationSpec, problem: Problem) -> Loss:
    transition = None if spec.transition is None else transition_from(spec.transition, problem)

    def taught(logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if spec.standardized:
            logits, teacher_logits = distill.standardize(logits), distill.standardize(teacher_logits)
        if spec.smoothing > 0:
            teacher_logits = _smoothed(teacher_logits, spec.smoothing, spec.temperature)
        return distill.knowledge_distillation(
            logits,
            teacher_logits,
            temperature=spec.temperature,
            student_temperature=spec.student_temperature,
            scale=spec.scale,
            transition=transition,
        )

    def by_labels(logits: Tensor, labels: Tensor) -> Tensor:
        if transition is None:
            return losses.cross_entropy(logits, labels)
        return losses.forward_corrected_cross_entropy(logits, labels, transition)

    # the labels' term is of the logits themselves, standardised or not, as in the code of Sun et al. 2024
    return lambda logits, teacher_logits, labels: _with_labels(
        spec, taught(logits, teacher_logits), by_labels, logits, labels
    )


def _smoothed(logits: Tensor, smoothing: float, temperature: float) -> Tensor:
    """Return logits whose probabilities at the temperature are the old ones, mixed with uniform ones."""
    probs = (logits / temperature).softmax(-1)
    return ((1 - smoothing) * probs + smoothing / logits.shape[-1]).log() * temperature


def _squared(spec: DistillationSpec, problem: Problem) -> Loss:
    return partial(distill.squared_logits, weight=spec.weight, label_weight=spec.share_of_labels)


def _decoupled(spec: DistillationSpec, problem: Problem) -> Loss:
    def loss(logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        own = distill.decoupled(logits, teacher_logits, labels, temperature=spec.temperature)
        return _with_labels(spec, own, losses.cross_entropy, logits, labels)

    return loss


def _relational(spec: DistillationSpec, problem: Problem) -> Loss:
    def loss(logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        own = distill.relational(logits, teacher_logits, temperature=spec.temperature)
        return _with_labels(spec, own, losses.cross_entropy, logits, labels)

    return loss


def _with_labels(
    spec: DistillationSpec,
    taught: Tensor,
    by_labels: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    labels: Tensor,
) -> Tensor:
    own = spec.weight * taught
    return own if spec.share_of_labels == 0 else own + spec.share_of_labels * by_labels(logits, labels)
