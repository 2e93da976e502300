"""Run specifications: frozen, validated values. A run is a pure function of its resolved specification."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Seed, Spec
from softtargets.data.noise import AnyNoise
from softtargets.data.spec import AugmentationSpec, DataSpec
from softtargets.models import AnyModel
from softtargets.objectives import AnyObjective
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.objectives.transitions import EstimatedTransition
from softtargets.runs.optimization import OptimizerSpec
from softtargets.runs.schedules import ScheduleSpec
from softtargets.runs.training import Seeds, TrainingSpec

# Increase when a change alters the results of a specification: runs of an older recipe are then trained again.
RECIPE = 4


class RunSpec(Spec):
    """Everything that a run depends on, except the content of its data.

    `teachers` are complete specifications of runs on the same data. The outputs of several teachers are averaged: their
    probabilities at the temperature, or their logits if the loss compares logits.

    `init_from` is the complete specification of a run, on any data, whose weights after its last step training starts
    from. It has the same network, except that the last linear layer is new ("new", the default of `init_head`) or, with
    "kept", that of the run.

    `bootstrap` is a seed: the run is trained on as many training rows as there are, drawn with replacement with this
    seed (Breiman 1996). Every epoch has these rows.

    `boosted_after` is the complete specification of a run on the same data. In every epoch rows are drawn with
    replacement by the weights that SAMME gives them after that run, and after those that it was boosted after itself
    (Zhu et al. 2009). The expected gradient is that of the weighted risk.
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
    teachers: Annotated[tuple["RunSpec", ...], Field(min_length=1, max_length=100)] | None = None
    init_from: "RunSpec | None" = None
    init_head: Literal["new", "kept"] | None = None
    bootstrap: Seed | None = None
    boosted_after: "RunSpec | None" = None

    @model_validator(mode="after")
    def _rows_can_be_drawn(self) -> Self:
        drawn = {"bootstrap": self.bootstrap, "boosted_after": self.boosted_after}
        given = [name for name, value in drawn.items() if value is not None]
        if len(given) == 2:
            required = "left out with boosted_after, which members of boosting have"
            raise fail("bootstrap", required, self.bootstrap, "drop one of the two, or boosting")
        if given and self.training.batch_tokens is not None:
            remedy = "use batch_size: the number of batches by tokens depends on the rows"
            raise fail(given[0], "left out with training.batch_tokens", "both", remedy)
        before = self.boosted_after
        if before is not None and (before.data, before.noise, before.seeds.noise) != (
            self.data,
            self.noise,
            self.seeds.noise,
        ):
            raise fail("boosted_after", "a run on the same data and labels", "another", "copy data, noise and its seed")
        return self

    @model_validator(mode="after")
    def _votes_are_not_changed(self) -> Self:
        if self.noise is not None and self.data.has_votes:
            remedy = "remove it, or train on labels that are classes"
            raise fail("noise", "left out for labels that are votes", f"'{self.noise.name}'", remedy)
        return self

    @model_validator(mode="after")
    def _starts_from_one_set_of_weights(self) -> Self:
        if self.init_from is not None and self.model.trained:
            remedy = "drop one of the two"
            raise fail("init_from", "left out for a model with trained weights of its own", "a run", remedy)
        if self.init_from is None and self.init_head is not None:
            remedy = "drop it, or write it under [model] for the weights that the model starts from"
            raise fail("init_head", "given with init_from, and only then", f"'{self.init_head}' alone", remedy)
        return self

    @model_validator(mode="after")
    def _teachers_are_used(self) -> Self:
        taught_by = self.objective.taught_by
        if (taught_by == "runs") != (self.teachers is not None):
            required = "given if the objective is distillation from runs, and only then"
            got = f"{'some' if self.teachers else 'none'} with '{self.objective.name}'"
            raise fail("teachers", required, got, "change the teachers or the objective")
        if taught_by == "average" and self.training.average_decay is None:
            required = "given if a running average is the teacher"
            raise fail("training.average_decay", required, None, "give one, such as 0.999")
        if self.objective.caches_teachers and self.augmentation.active:
            remedy = "drop one of the two: a cache has no outputs for augmented inputs"
            raise fail("objective.cache", "no cache with augmentation", "one", remedy)
        return self

    @model_validator(mode="after")
    def _teachers_differ_and_share_the_data(self) -> Self:
        teachers = self.teachers or ()
        for place, teacher in enumerate(teachers):
            if teacher in teachers[:place]:
                raise fail(
                    f"teachers.{place}", "a run that differs from the others", "an equal one", "change its seeds"
                )
            if teacher.data != self.data:
                remedy = "train the teacher on the same data, splits and limits"
                raise fail(f"teachers.{place}.data", "the student's own data", f"'{teacher.data.name}'", remedy)
        return self

    def data_sets(self) -> frozenset[DataSpec]:
        """Return the data sets of this run and of all runs that it needs."""
        needed = (*(self.teachers or ()), *(run for run in (self.init_from, self.boosted_after) if run is not None))
        return frozenset([self.data]).union(*(run.data_sets() for run in needed))

    def pretraining(self) -> Self | None:
        """Return the run whose predictions the transition is estimated from; None if none is estimated.

        It is the same run with cross entropy. It is stored like any other run, so all runs that need it share it.

        Raises:
            InputError: if training labels are noisy but the validation labels, which T is estimated from, are clean.
        """
        if not isinstance(self.objective.needs_transition(), EstimatedTransition):
            return None
        if self.noise is not None and "validation" not in self.noise.splits:
            required = "'validation' too, from whose labels the transition is estimated"
            raise fail("noise.splits", required, list(self.noise.splits), "add it, or take another transition")
        return self.changed(objective=SmoothedCrossEntropy(), teachers=None)


class ResolvedRun(Spec):
    """A run specification with the values of "auto" settings, the fingerprint of the data and the recipe.

    `identity` is the SHA-256 of its canonical JSON. The names or paths of the data set, of the file of recorded labels,
    of the weights that training starts from and of files of the objective are left out of it: the same content under
    another name is the same run, and an edited file under the same name is another run. Teachers, the run that
    training starts from and the one that it is boosted after are represented by their identities.
    """

    run: RunSpec
    fingerprint: str
    observed_fingerprint: str | None = None
    model_source: str | None = None
    weights_fingerprint: str | None = None
    objective_fingerprint: str | None = None
    backend: Literal["cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    recipe: int
    teachers: "tuple[ResolvedRun, ...] | None" = None
    init_from: "ResolvedRun | None" = None
    boosted_after: "ResolvedRun | None" = None

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        others = {"teachers", "init_from", "boosted_after"}
        content = self.model_dump(
            mode="json", exclude_none=True, exclude={**dict.fromkeys(others, True), "run": others}
        )
        if self.teachers is not None:
            content["teachers"] = [teacher.identity for teacher in self.teachers]
        if self.init_from is not None:
            content["init_from"] = self.init_from.identity
        if self.boosted_after is not None:
            content["boosted_after"] = self.boosted_after.identity
        del content["run"]["data"]["name"]
        for place in ("workers", "unlabelled_file", "votes_file"):
            content["run"]["data"].pop(place, None)
        # the fingerprint of the data covers its content
        content["run"]["data"].get("tokenizer", {}).pop("pretrained", None)
        for place in self.run.noise.places if self.run.noise is not None else ():
            del content["run"]["noise"][place]
        for place in self.run.model.places:
            content["run"]["model"].pop(place, None)
        content["run"]["objective"] = self.run.objective.without_places(content["run"]["objective"])
        for open_setting in ("precision", "device", "loggers"):
            content["run"]["training"].pop(open_setting, None)
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def canonical_json(content: Any) -> str:
    """Return JSON with sorted keys and without spaces; equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
