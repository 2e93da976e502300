"""The runs of a study: arms, teachers, scales and noise."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Classes, Spec
from softtargets.studies.request import MOST_SEEDS

Levels = str | tuple[float, ...]
ZERO = 0.0
# Seeds of studies, with their offsets, are below the seeds of pilots.
MOST_OFFSET = 100_000
TEACHER = "teacher"


class OtherArm(Spec):
    """Another arm of the study that an arm needs, with the same seed and noise, at its own level or that of the arm.

    An arm with members stands for these.
    """

    arm: str
    level: float | None = None


class Arm(Spec):
    """One method of a study: runs with an objective, or a combination of the runs of other arms.

    Attributes:
        label: name on pages.
        objective: objective of the run specification.
        members: arms whose runs at the same seed and noise are combined by the mean of their probabilities. Such an arm
            has no runs of its own, and no other setting.
        sweep: key of `objective` that the level sets; "teacher": the level is passed to the arms that it needs;
            None: no level.
        teachers: arms whose runs are the teachers.
        init_from: arm whose weights training starts from.
        role: key of the scale's `roles` whose settings are merged into the run specification.
        run: settings that are merged into the run specification after those of the role.
        seed_offset: added to all seeds except that of the noise, so that teacher and student are initialised
            differently.
        zero: arm that replaces this one at level 0; None: the baseline of the study.
        levels: levels of this arm in every output; None: those of the output.
    """

    label: str
    objective: dict[str, Any] = Field(default_factory=dict)
    members: tuple[str, ...] = ()
    sweep: str | None = None
    teachers: tuple[OtherArm, ...] = ()
    init_from: OtherArm | None = None
    role: str | None = None
    run: dict[str, Any] = Field(default_factory=dict)
    seed_offset: int = Field(default=0, ge=0, le=MOST_OFFSET)
    zero: str | None = None
    levels: Levels | None = None

    @property
    def needed(self) -> tuple[OtherArm, ...]:
        """The arms whose runs are trained before those of this one, or that are combined into it."""
        members = (OtherArm(arm=member, level=ZERO) for member in self.members)
        return (*members, *self.teachers, *(() if self.init_from is None else (self.init_from,)))

    @model_validator(mode="after")
    def _is_trained_or_combined(self) -> Self:
        if bool(self.members) == bool(self.objective):
            got = "both" if self.members else "neither"
            raise fail("objective", "an objective, or members", got, "give one of the two")
        if self.members and self.model_fields_set != {"label", "members"}:
            extra = sorted(self.model_fields_set - {"label", "members"})
            raise fail(extra[0], "left out of an arm with members", "given", "give it to the members")
        if self.members and len(set(self.members)) < max(2, len(self.members)):
            raise fail("members", "two arms or more, each once", list(self.members), "name arms with other seeds")
        return self

    def objective_at(self, level: float) -> dict[str, Any]:
        """Return the objective at one level of the swept key."""
        if self.sweep is None or self.sweep == TEACHER:
            return dict(self.objective)
        return {**self.objective, self.sweep: level}


class Expected(Spec):
    """The shape of the data, used to estimate times if the data are not available."""

    input_shape: tuple[int, ...]
    num_classes: int
    train: int


class Scale(Spec):
    """One size of the study.

    Attributes:
        seeds: number of seeds.
        levels: named sets of levels.
        run: run specification that all runs share.
        roles: settings that are merged into it, by role of the arm.
        noises: settings that are merged into it, by name of the noise; its `roles` apply to the roles of arms.
        classes: two similar classes and a different one, for figures and measures of three classes.
        differs: differences from the paper at this scale.
        data_differs: differences from the paper that apply only to the scale's own data.
        expects: expected shape of the data.
    """

    seeds: int = Field(ge=2, le=MOST_SEEDS)
    levels: dict[str, tuple[float, ...]]
    run: dict[str, Any]
    roles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    noises: dict[str, dict[str, Any]] = Field(default_factory=dict)
    classes: Classes | None = None
    differs: tuple[str, ...] = ()
    data_differs: tuple[str, ...] = ()
    expects: Expected | None = None


class Setting(Spec):
    """Scales for some of the outputs, for additional data sets.

    Attributes:
        label: name on pages.
        scales: as those of the study.
        noise_name: name of the kinds of noise, or of the variants of the data; None: that of the study.
    """

    label: str
    scales: dict[Literal["smoke", "desk", "paper"], Scale]
    noise_name: str | None = None


class NamedNoise(Spec):
    """A named kind of noise, other than symmetric noise at a rate, or a named variant of the data.

    Attributes:
        label: name on pages.
        position: position on the horizontal axis of a figure over kinds of noise, such as the number of classes.
        noise: noise of the run specification; None: no noise. If the data set is a local path, a relative `file` of
            recorded labels is relative to that path.
    """

    label: str
    noise: dict[str, Any] | None = None
    position: float | None = None
