"""Run specifications: frozen, validated values. A run is a pure function of its specification as resolved."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import NonNegative, Positive, Share, Spec
from softtargets.data.noise import AnyNoise
from softtargets.data.spec import AugmentationSpec, DataSpec
from softtargets.models import AnyModel
from softtargets.objectives import AnyObjective
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.objectives.transitions import EstimatedTransition

# Raised by hand when a change alters the results of a specification; runs of an older recipe are trained again.
RECIPE = 3


class GroupSpec(Spec):
    """Settings of the parameters whose names match a shell-style pattern; the first group that matches counts."""

    match: str
    learning_rate: Positive | None = None
    weight_decay: NonNegative | None = None


class OptimizerSpec(Spec):
    """Stochastic gradient descent as torch has it, or AdamW."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Share = 0.9
    dampening: Share = 0.0
    nesterov: bool = False
    weight_decay: NonNegative = 0.0
    groups: tuple[GroupSpec, ...] = ()

    @model_validator(mode="after")
    def _adamw_has_neither(self) -> Self:
        if self.name == "adamw" and self.nesterov:
            raise fail("nesterov", "false with adamw", True, "drop it or use sgd")
        if self.name == "adamw" and self.dampening != 0:
            raise fail("dampening", "0 with adamw", f"{self.dampening:g}", "drop it or use sgd")
        return self

    @model_validator(mode="after")
    def _nesterov_is_defined(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            got = f"momentum={self.momentum:g}, dampening={self.dampening:g}"
            raise fail("nesterov", "momentum above 0 and no dampening", got, "fix one of the three")
        return self


class ScheduleSpec(Spec):
    """Factor on every learning rate, as a function of the share of steps that are done."""

    name: Literal["constant", "step", "linear", "cosine"] = "constant"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup_steps: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _milestones_belong_to_step(self) -> Self:
        if (self.name == "step") != bool(self.milestones):
            got = list(self.milestones)
            raise fail("milestones", "given for 'step' and for nothing else", got, "shares such as [0.5, 0.75]")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise fail("milestones", "increasing shares", list(self.milestones), "sort them")
        return self


class TrainingSpec(Spec):
    """Length, batches, precision and what else the loop does.

    `evaluate_every` so many epochs the validation split is predicted and the epoch that does best on its *observed*
    labels, the first of equals, is kept beside the last one. `dynamics` records how each training label was learned.
    `snapshot_every` so many epochs the weights are kept as they are, before the first epoch and after the last as well.
    """

    epochs: Annotated[int, Field(gt=0)] | None = None
    steps: Annotated[int, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(gt=0)] = 128
    loss_factor: Positive = 1.0
    clip_norm: Positive | None = None
    average_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    evaluate_every: Annotated[int, Field(gt=0)] | None = None
    snapshot_every: Annotated[int, Field(gt=0)] | None = None
    dynamics: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(gt=0, le=1024)] = 1

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            got = f"epochs={self.epochs}, steps={self.steps}"
            raise fail("training", "either epochs or steps", got, "give one of the two")
        return self


class Seeds(Spec):
    """One seed per stream of randomness, so that changing one leaves the draws of the others alone."""

    initialisation: Annotated[int, Field(ge=0)] = 0
    order: Annotated[int, Field(ge=0)] = 0
    augmentation: Annotated[int, Field(ge=0)] = 0
    noise: Annotated[int, Field(ge=0)] = 0
    method: Annotated[int, Field(ge=0)] = 0
    dropout: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _one_number_for_all(cls, data: Any) -> Any:
        if isinstance(data, bool | float | str):
            raise fail("seeds", "a whole number or a table of them", repr(data), "write one number, such as 3")
        if type(data) is not int:
            return data
        if data < 0:
            raise fail("seeds", "at least 0", data, "raise it")
        return dict.fromkeys(cls.model_fields, data)


class RunSpec(Spec):
    """Everything a run is a function of, but for the content of its data.

    `teachers` are whole specifications, of runs on the same data; those of an ensemble are averaged:
    their probabilities at the temperature, or, where the loss is of logits, those.
    """

    data: DataSpec = DataSpec(name="digits")
    noise: AnyNoise | None = None
    model: AnyModel
    objective: AnyObjective = SmoothedCrossEntropy()
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    augmentation: AugmentationSpec = AugmentationSpec()
    training: TrainingSpec
    seeds: Seeds = Seeds()
    teachers: Annotated[tuple["RunSpec", ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _teachers_are_used(self) -> Self:
        taught_by = self.objective.taught_by
        if (taught_by == "runs") != (self.teachers is not None):
            required = "given where the objective is distillation from runs, and only there"
            got = f"{'some' if self.teachers else 'none'} with '{self.objective.name}'"
            raise fail("teachers", required, got, "fix one of the two")
        if taught_by == "average" and self.training.average_decay is None:
            required = "given where a running average teaches"
            raise fail("training.average_decay", required, None, "give one, such as 0.999")
        if self.objective.caches_teachers and self.augmentation.active:
            remedy = "drop one of the two: the teacher would have to see every augmented batch"
            raise fail("objective.cache", "none with augmentation", "one", remedy)
        return self

    @model_validator(mode="after")
    def _teachers_differ_and_share_the_data(self) -> Self:
        teachers = self.teachers or ()
        for place, teacher in enumerate(teachers):
            if teacher in teachers[:place]:
                raise fail(f"teachers.{place}", "another run than those before it", "the same", "change its seeds")
            if teacher.data != self.data:
                remedy = "train the teacher on the same data, splits and limits"
                raise fail(f"teachers.{place}.data", "the student's own data", f"'{teacher.data.name}'", remedy)
        return self

    def pretraining(self) -> Self | None:
        """Return the run whose predictions the transition is estimated from; None where none is estimated.

        It is the same run with cross entropy, a run like any other, so that every arm and study that needs it shares
        one.

        Raises:
            InputError: where the labels that T is to be estimated from are clean though those of training are not.
        """
        if not isinstance(self.objective.needs_transition(), EstimatedTransition):
            return None
        if self.noise is not None and "validation" not in self.noise.splits:
            required = "'validation' too, from whose labels the transition is estimated"
            raise fail("noise.splits", required, list(self.noise.splits), "add it, or take another transition")
        return self.changed(objective=SmoothedCrossEntropy(), teachers=None)


class ResolvedRun(Spec):
    """A run specification with nothing left open: what "auto" became, the data's content and the recipe.

    `identity` is the SHA-256 of its canonical JSON. The data set's name or path is left out of it, as is the file of
    recorded labels: the same content under another name is the same run, and an edited file under the same name is
    another. Teachers stand in it by their identities.
    """

    run: RunSpec
    fingerprint: str
    observed_fingerprint: str | None = None
    backend: Literal["cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    recipe: int
    teachers: "tuple[ResolvedRun, ...] | None" = None

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        content = self.model_dump(mode="json", exclude_none=True, exclude={"teachers": True, "run": {"teachers"}})
        if self.teachers is not None:
            content["teachers"] = [teacher.identity for teacher in self.teachers]
        del content["run"]["data"]["name"]
        for place in self.run.noise.places if self.run.noise is not None else ():
            del content["run"]["noise"][place]
        for open_setting in ("precision", "device"):
            del content["run"]["training"][open_setting]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def canonical_json(content: Any) -> str:
    """Return JSON with sorted keys and no spaces; equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
