"""Distillation from the teachers of a run, or from the running average of its own weights."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from softtargets import distill, losses
from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative, Positive
from softtargets.matrices import Transition
from softtargets.models.decoding import Search
from softtargets.objectives.context import Batch, ObjectiveContext, Predictions
from softtargets.objectives.objective import objective
from softtargets.objectives.schedules import Scheduled
from softtargets.objectives.teacher_cache import CacheSpec
from softtargets.objectives.transitions import AnyTransition, EstimatedTransition
from softtargets.targets import LinearSchedule, Targets


@objective("distillation")
class Distillation(Scheduled):
    """Distillation from the run's teachers: `weight` times the teachers' term plus `label_weight` times cross entropy.

    The default of `label_weight` is 1 - weight, and 1 with "dkd" and "dist". `loss` is "kl", the KL divergence between
    softened probabilities, times the product of both temperatures if `scale` is "squared"; "mse", half the squared
    distance between logits; "dkd", decoupled distillation with `target_weight` (default 1) and `other_weight` (default
    8); or "dist", relational distillation. The teachers' term increases from 0 to its weight until the share `ramp_to`
    of the training, if that is given: Zhao et al. 2022 do so for 20 epochs. `standardized` z-scores
    the logits of student and teacher first. `smoothing` mixes the teachers' probabilities with uniform ones, and a
    `transition` corrects the student's predictions: our reading of label smoothing and forward correction on the
    student in Lukasik et al. 2020, Table 6. With a `cache` the teachers are queried once for all students. If the cache
    keeps only some classes, or samples, the cross entropy is minimised, which differs from the divergence by a
    constant. With `beam`, for sentence pairs, the teacher translates the training sources by beam search with so many
    outputs (1: greedy search), and its translations take the place of the references: with `weight` 0 this is
    sequence-level distillation (Kim and Rush 2016). For a training row without a label the terms with labels are left
    out, which is all of "dkd".
    """

    takes_sequences: ClassVar[bool] = True
    pages: ClassVar[Mapping[str, str]] = {
        "knowledge-distillation": "temperature = 4.0",
        "distillation-at-temperature-1": "",
        "squared-logits": 'loss = "mse"',
        "decoupled-distillation": 'loss = "dkd", temperature = 4.0',
        "relational-distillation": 'loss = "dist"',
        "logit-standardization": "standardized = true, temperature = 2.0, weight = 9.0, label_weight = 0.1",
        "mean-teacher": 'source = "average"',
        "teacher-ensemble": "",
        "teacher-cache": "cache = {}",
        "sparse-teacher": "cache = { k = 5 }",
    }
    uses_unlabelled: ClassVar[bool] = True

    loss: Literal["kl", "mse", "dkd", "dist"] = "kl"
    weight: NonNegative = 1.0
    label_weight: NonNegative | None = None
    temperature: Positive = 1.0
    student_temperature: Positive | None = None
    scale: Literal["squared", "none"] = "squared"
    standardized: bool = False
    target_weight: NonNegative | None = None
    other_weight: NonNegative | None = None
    ramp_to: Fraction | None = None
    smoothing: Fraction = 0.0
    transition: AnyTransition | None = None
    source: Literal["runs", "average"] = "runs"
    cache: CacheSpec | None = None
    beam: Annotated[int, Field(ge=1, le=100)] | None = None
    _transition: Transition | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        if self.label_weight is None and self.weight > 1 and self.loss in ("kl", "mse"):
            raise fail("weight", "at most 1 if label_weight is not given", f"{self.weight:g}", "give label_weight too")
        return self

    @model_validator(mode="after")
    def _settings_belong_to_the_loss(self) -> Self:
        for name in ("target_weight", "other_weight"):
            if self.loss != "dkd" and getattr(self, name) is not None:
                got = f"{getattr(self, name):g}"
                raise fail(name, f"not given with loss = '{self.loss}'", got, "drop it or use 'dkd'")
        if self.loss == "kl":
            return self
        for name in ("student_temperature", "standardized", "smoothing", "transition"):
            if getattr(self, name):
                raise fail(name, f"not given with loss = '{self.loss}'", getattr(self, name), "drop it or use 'kl'")
        if self.scale != "squared":
            raise fail("scale", f"not given with loss = '{self.loss}'", f"'{self.scale}'", "drop it or use 'kl'")
        if self.loss == "mse" and self.temperature != 1:
            raise fail("temperature", "1 with loss = 'mse'", f"{self.temperature:g}", "drop it or use 'kl'")
        return self

    @model_validator(mode="after")
    def _translations_are_of_runs(self) -> Self:
        if self.beam is not None and self.source == "average":
            remedy = "drop beam: a running average changes after every step"
            raise fail("beam", "left out with source = 'average'", self.beam, remedy)
        return self

    @model_validator(mode="after")
    def _cache_holds_what_is_needed(self) -> Self:
        if self.cache is None:
            return self
        if self.source == "average":
            remedy = "drop the cache: a running average changes after every step"
            raise fail("cache", "none with source = 'average'", "one", remedy)
        if self.loss == "mse":
            remedy = "drop the cache, which keeps probabilities but no logits, or use another loss"
            raise fail("cache", "none with loss = 'mse'", "one", remedy)
        if not self.cache.all_of():
            got = "draws" if self.cache.kind == "sampled" else "fewer"
            if self.loss != "kl":
                remedy = "use 'top_k' without k, or the loss 'kl'"
                raise fail("cache", f"one of all classes with loss = '{self.loss}'", got, remedy)
            for name in ("standardized", "smoothing", "transition"):
                if getattr(self, name):
                    remedy = "use 'top_k' without k, or drop that"
                    raise fail("cache", f"one of all classes with {name}", got, remedy)
        return self

    @property
    def taught_by(self) -> Literal["runs", "average"]:
        return self.source

    @property
    def teacher_weight(self) -> float:
        """Weight of the teachers' term in the current epoch."""
        if self.ramp_to is None:
            return self.weight
        return LinearSchedule(0.0, self.weight, 0.0, self.ramp_to, unit="fraction")(self.share)

    @property
    def share_of_labels(self) -> float:
        """Weight of the cross entropy with the labels."""
        if self.label_weight is not None:
            return self.label_weight
        return 1 - self.weight if self.loss in ("kl", "mse") else 1.0

    @property
    def takes_votes(self) -> bool:
        # without terms that need the label of each row
        return self.share_of_labels == 0 and self.loss != "dkd"

    @property
    def needs_whole_batch(self) -> bool:
        return self.loss == "dist"  # it compares the examples of a batch within each class

    def needs_transition(self) -> Literal["known"] | EstimatedTransition | None:
        return None if self.transition is None else self.transition.needed()

    @property
    def caches_teachers(self) -> bool:
        return self.cache is not None

    @property
    def translates(self) -> Search | None:
        return None if self.beam is None else Search(self.beam)

    def cache_settings(self, num_classes: int) -> dict[str, Any]:
        assert self.cache is not None
        # A cache of all classes is at temperature 1, so that students at any temperature share it.
        if self.cache.all_of(num_classes):
            return {**self.cache.settings(), "k": None, "temperature": 1.0}
        return {**self.cache.settings(), "temperature": self.temperature}

    def equivalent_smoothing(self, predictions: Predictions, teachers: Sequence[Predictions]) -> float | None:
        # If labels are part of the targets, the result depends on the scale of the teacher's term.
        if len(teachers) != 1 or self.loss != "kl" or self.share_of_labels != 0:
            return None
        logits = teachers[0]["train.logits"].double()
        if self.cache is not None and not self.cache.all_of(logits.shape[1]):
            return None  # some classes, or samples, are not the teacher's own probabilities
        if self.standardized:
            logits = distill.standardize(logits)
        # against the student's labels, as α is; student and teacher have the same examples, in the same order
        labels = predictions["train.observed"]
        teachers_own = float(distill.equivalent_smoothing(logits, labels, temperature=self.temperature))
        return (1 - self.smoothing) * teachers_own + self.smoothing

    def begin(self, context: ObjectiveContext) -> None:
        if context.teacher is None:
            raise fail("teacher", "required by the distillation objective", None, "give the run teachers")
        if self.cache is not None and (self.cache.k or 0) > context.num_classes:
            required = f"at most {context.num_classes}, the number of classes"
            raise fail("objective.cache.k", required, self.cache.k, "drop it to keep all classes")
        self._transition = None if self.transition is None else self.transition.resolve(context)

    def prepare(self, batch: Batch, generator: torch.Generator) -> Batch:
        assert self._context.teacher is not None
        if self._is_taught_by_translations:
            return batch
        said = self._context.teacher(batch.ids, batch.inputs)
        if isinstance(said, tuple):
            return replace(batch, teacher_targets=said)
        return replace(batch, teacher_logits=said[0] if len(said) == 1 else self._joined(said))

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        teacher_logits, labels, share = batch.teacher_logits, batch.labels, self.share_of_labels
        if batch.labelled is not None:
            labels, share = labels.masked_fill(~batch.labelled, 0), share * batch.labelled.float()
        if self._is_taught_by_translations:
            return share * self._of_labels(logits, labels)
        if teacher_logits is None:
            taught = self._of_targets(logits, batch.teacher_targets)
        elif self.loss == "mse":
            return distill.logit_mse_loss(
                logits, teacher_logits, labels, kd_weight=self.teacher_weight, label_weight=share
            )
        elif self.loss == "dkd":
            taught = self._decoupled(logits, teacher_logits, labels, batch.labelled)
        elif self.loss == "dist":
            taught = distill.dist_loss(logits, teacher_logits, temperature=self.temperature)
        else:
            taught = self._divergence(logits, teacher_logits)
        # the term of the labels uses the logits themselves, as in the code of Sun et al. 2024
        own = self.teacher_weight * taught
        return own if self.share_of_labels == 0 else own + share * self._of_labels(logits, labels)

    @property
    def _is_taught_by_translations(self) -> bool:
        """Whether the teacher's probabilities are not used, but its translations."""
        return self.beam is not None and self.weight == 0

    def _decoupled(self, logits: Tensor, teacher_logits: Tensor, labels: Tensor, labelled: Tensor | None) -> Tensor:
        return distill.dkd_loss(
            logits,
            teacher_logits,
            labels,
            target_weight=1.0 if self.target_weight is None else self.target_weight,
            other_weight=8.0 if self.other_weight is None else self.other_weight,
            temperature=self.temperature,
            mask=labelled,
        )

    def _joined(self, logits: Tensor) -> Tensor:
        """Return the logits of an ensemble: of the mean probabilities at T, or the mean logits if loss = "mse"."""
        if self.loss == "mse":
            return logits.mean(0)
        # T log p, softened at T, gives p again
        return distill.ensemble(logits, temperature=self.temperature) * self.temperature

    def _of_labels(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self._transition is None:
            return losses.cross_entropy(logits, labels)
        return losses.forward_corrected_cross_entropy(logits, labels, self._transition)

    def _of_targets(self, logits: Tensor, kept: tuple[Targets, ...]) -> Tensor:
        """Cross entropy against the part of the teachers' probabilities that a cache keeps.

        Without a ghost class it is linear in the targets, so that samples give the gradient of all classes in
        expectation. The entropy term of the divergence has no gradient and is left out.
        """
        temperature = self.temperature if self.student_temperature is None else self.student_temperature
        scale = self.temperature * temperature if self.scale == "squared" else 1.0
        softened = logits.float() / temperature
        ghost = self.cache is not None and self.cache.residual == "ghost"
        loss = losses.ghost_cross_entropy if ghost else losses.cross_entropy
        return scale * torch.stack([loss(softened, targets) for targets in kept]).mean(0)

    def _divergence(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if self.standardized:
            logits, teacher_logits = distill.standardize(logits), distill.standardize(teacher_logits)
        if self.smoothing > 0:
            # logits whose probabilities at this temperature are the teacher's, mixed with uniform ones
            probs = (teacher_logits / self.temperature).softmax(-1)
            mixed = (1 - self.smoothing) * probs + self.smoothing / teacher_logits.shape[-1]
            teacher_logits = mixed.log() * self.temperature
        return distill.kd_loss(
            logits,
            teacher_logits,
            temperature=self.temperature,
            student_temperature=self.student_temperature,
            scale=self.scale,
            transition=self._transition,
        )
