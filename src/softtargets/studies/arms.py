"""What a study trains: its arms, their teachers, its scales and kinds of noise."""

from typing import Any, Literal

from pydantic import Field

from softtargets._spec import Classes, Spec

Levels = str | tuple[float, ...]
ZERO = 0.0
TEACHER = "teacher"


class TeacherArm(Spec):
    """A teacher: another arm of the study at the student's seed and noise, at a level of its own or the student's."""

    arm: str
    level: float | None = None


class Arm(Spec):
    """One method. `sweep` names the key of `objective` that the level sets; without it the arm has no level.

    An arm with `teachers` is taught by the runs of other arms; `sweep = "teacher"` hands its level on to them.
    `role` names what of the scale's `roles` is laid over the run specification, and `run` is laid over that.
    `seed_offset` is added to every seed but that of noise, so that a teacher and its student begin differently.
    `zero` is the arm that stands for this one at level 0, in place of the study's baseline. `levels` are the arm's own
    in every output, in place of the output's: temperatures, say, beside the α of other arms.
    """

    label: str
    objective: dict[str, Any]
    sweep: str | None = None
    teachers: tuple[TeacherArm, ...] = ()
    role: str | None = None
    run: dict[str, Any] = Field(default_factory=dict)
    seed_offset: int = Field(default=0, ge=0)
    zero: str | None = None
    levels: Levels | None = None

    def objective_at(self, level: float) -> dict[str, Any]:
        """Return the objective at one level of the swept key."""
        if self.sweep is None or self.sweep == TEACHER:
            return dict(self.objective)
        return {**self.objective, self.sweep: level}


class Expected(Spec):
    """The shape of data that may not be at hand, so that time can be estimated without it."""

    input_shape: tuple[int, ...]
    num_classes: int
    train: int


class Scale(Spec):
    """One size of the study: seeds, named sets of levels, and the run specification shared by all runs.

    What is laid over it by role of the arm and by name of the noise stands in `roles` and `noises`; of a noise, what
    belongs to a role stands under `roles` there. `classes` are three of the data set's: two that are alike, and a
    third that is not, for what is shown or measured of three classes. `differs` says what differs from the paper at
    this scale; `data_differs` what does only with the scale's own data.
    """

    seeds: int = Field(ge=2)
    levels: dict[str, tuple[float, ...]]
    run: dict[str, Any]
    roles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    noises: dict[str, dict[str, Any]] = Field(default_factory=dict)
    classes: Classes | None = None
    differs: tuple[str, ...] = ()
    data_differs: tuple[str, ...] = ()
    expects: Expected | None = None


class Setting(Spec):
    """Scales of some outputs' own, for data that a study takes beside its main ones."""

    label: str
    scales: dict[Literal["smoke", "desk", "paper"], Scale]


class NamedNoise(Spec):
    """Noise other than symmetric at a rate. `noise` is what a run specification says of it; without it there is none.

    What a scale says under the same name, such as other data, is laid over the run. A relative `file` of recorded
    labels is taken from the folder of the data set, where that is a path.
    """

    label: str
    noise: dict[str, Any] | None = None
