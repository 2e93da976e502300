"""Distillation from the teachers of a run, or from the running average of its own weights."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from softtargets import distill, losses
from softtargets._errors import fail
from softtargets.runs.objectives import DistillationSpec
from softtargets.train.objectives._corrections import transition_from
from softtargets.train.objectives._protocol import Batch, Objective, Problem

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Distillation(Objective):
    """A loss of the student's logits, the teachers' and the labels.

    Args:
        teach: (ids, inputs) -> (M, n, K) logits.
        loss: (logits, teacher logits, labels) -> (n,).
        temperature: at which the probabilities of several teachers are averaged.
    """

    def __init__(self, teach: Callable[[Tensor, Tensor], Tensor], loss: Loss, temperature: float) -> None:
        self._teach, self._loss, self._temperature = teach, loss, temperature

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        logits = self._teach(batch.ids, batch.inputs)
        if len(logits) == 1:
            return replace(batch, teacher_logits=logits[0])
        # log p at T times T is what softens to p at T again
        log_probs = distill.ensemble(logits, temperature=self._temperature)
        return replace(batch, teacher_logits=log_probs * self._temperature)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        assert batch.teacher_logits is not None
        return self._loss(logits, batch.teacher_logits, batch.labels)


def distillation(spec: DistillationSpec, problem: Problem) -> Objective:
    if problem.teach is None:
        raise fail("teach", "given to an objective that distils", None, "give the run teachers")
    loss = {"kl": _divergence, "squared": _squared, "decoupled": _decoupled, "relational": _relational}[spec.loss]
    return Distillation(problem.teach, loss(spec, problem), spec.temperature)


def _divergence(spec: DistillationSpec, problem: Problem) -> Loss:
    transition = None if spec.transition is None else transition_from(spec.transition, problem)
    label_weight = 1 - spec.weight if spec.label_weight is None else spec.label_weight

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
    return _weighted(spec.weight, taught, label_weight, by_labels)


def _smoothed(logits: Tensor, smoothing: float, temperature: float) -> Tensor:
    """Return logits whose probabilities at the temperature are the old ones, mixed with uniform ones."""
    probs = (logits / temperature).softmax(-1)
    return ((1 - smoothing) * probs + smoothing / logits.shape[-1]).log() * temperature


def _squared(spec: DistillationSpec, problem: Problem) -> Loss:
    weights = {"weight": spec.weight, "label_weight": spec.label_weight}
    return lambda logits, teacher, labels: distill.squared_logits(logits, teacher, labels, **weights)


def _weighted(
    weight: float,
    taught: Callable[[Tensor, Tensor], Tensor],
    label_weight: float,
    by_labels: Callable[[Tensor, Tensor], Tensor] = losses.cross_entropy,
) -> Loss:
    def loss(logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        own = weight * taught(logits, teacher_logits)
        return own if label_weight == 0 else own + label_weight * by_labels(logits, labels)

    return loss


def _decoupled(spec: DistillationSpec, problem: Problem) -> Loss:
    label_weight = 1.0 if spec.label_weight is None else spec.label_weight

    def loss(logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        own = spec.weight * distill.decoupled(logits, teacher_logits, labels, temperature=spec.temperature)
        return own if label_weight == 0 else own + label_weight * losses.cross_entropy(logits, labels)

    return loss


def _relational(spec: DistillationSpec, problem: Problem) -> Loss:
    def taught(logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return distill.relational(logits, teacher_logits, temperature=spec.temperature)

    return _weighted(spec.weight, taught, 1.0 if spec.label_weight is None else spec.label_weight)
