"""Learning-rate schedules: the specification, and the shapes that it selects by name."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self

from pydantic import Field, field_validator, model_validator

from softtargets._errors import fail, unknown
from softtargets._spec import Fraction, Positive, Share, Spec

MAX_EPOCHS = 1_000_000
MAX_STEPS = 1_000_000_000
Between = Annotated[float, Field(gt=0, lt=1)]
Epochs = Annotated[int, Field(gt=0, le=MAX_EPOCHS)]


class ScheduleSpec(Spec):
    """A factor on every learning rate, as a function of the fraction of steps done.

    The shapes, with t the fraction of steps done in [0, 1):

    constant: 1
    step: factor ^ (number of `milestones`, in fractions of the steps, or `milestone_epochs` that have passed)
    linear: 1 - t
    cosine: (1 + cos(pi t)) / 2
    cyclic_cosine: (1 + cos(pi (cycles t mod 1))) / 2 (Huang et al. 2017)
    polynomial: (1 - t) ^ power
    exponential: factor ^ floor(epochs done / every_epochs)
    inverse_sqrt: sqrt(w / max(t, w)), w the fraction `warmup` (Vaswani et al. 2017, Eq. 3)
    triangular: from `start_factor` (default 0) at t = 0 up to 1 at t = `peak`, then down to 0, both linearly

    `final_factor` (default 0) is where linear, cosine, cyclic_cosine, polynomial and triangular end: f becomes
    final_factor + (1 - final_factor) f on the way down. During the first `warmup_steps`, or the fraction `warmup` of
    the steps, the factor is multiplied by one that rises linearly to 1. With `after_warmup` the shape begins when the
    warm-up ends; otherwise it begins at the first step.
    """

    name: str = "constant"
    milestones: Annotated[tuple[Between, ...], Field(max_length=1000)] = ()
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0
    milestone_epochs: Annotated[tuple[Epochs, ...], Field(min_length=1, max_length=1000)] | None = None
    power: Positive | None = None
    every_epochs: Positive | None = None
    peak: Between | None = None
    start_factor: Fraction | None = None
    final_factor: Fraction | None = None
    warmup: Share | None = None
    after_warmup: bool | None = None
    cycles: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] | None = None

    @field_validator("name")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        if name not in SHAPES:
            raise unknown("name", name, SHAPES)
        return name

    @model_validator(mode="after")
    def _milestones_belong_to_step(self) -> Self:
        given = bool(self.milestones) + (self.milestone_epochs is not None)
        if (self.name == "step") != bool(given) or given == 2:
            got = list(self.milestones or self.milestone_epochs or ())
            required = "given with the schedule 'step', and only there"
            if given == 2:
                required = "either this or milestone_epochs"
            raise fail("milestones", required, got, "give fractions of the steps, such as [0.5, 0.75]")
        for key in ("milestones", "milestone_epochs"):
            values = list(getattr(self, key) or ())
            if values != sorted(set(values)):
                kind = "fractions" if key == "milestones" else "epochs"
                raise fail(key, f"increasing {kind}", values, "sort them")
        return self

    @model_validator(mode="after")
    def _settings_belong_to_the_shape(self) -> Self:
        shape = SHAPES[self.name]
        for key in ("power", "every_epochs", "peak", "start_factor", "final_factor", "cycles"):
            value = getattr(self, key)
            if value is not None and key not in (*shape.needs, *shape.takes):
                others = " or ".join(f"'{name}'" for name, s in SHAPES.items() if key in (*s.needs, *s.takes))
                raise fail(key, f"not given with the schedule '{self.name}'", f"{value:g}", f"drop it or use {others}")
            if value is None and key in shape.needs:
                raise fail(key, f"given with the schedule '{self.name}'", None, "add this key")
        return self

    @model_validator(mode="after")
    def _one_warmup(self) -> Self:
        if self.warmup is not None and self.warmup_steps:
            got = f"warmup={self.warmup:g}, warmup_steps={self.warmup_steps}"
            raise fail("warmup", "either this or warmup_steps", got, "drop one of the two")
        if self.name == "inverse_sqrt" and (not self.warmup or self.after_warmup):
            required = "a fraction of the steps with the schedule 'inverse_sqrt', without after_warmup"
            raise fail("warmup", required, self.warmup, "give one, such as 0.04")
        if self.after_warmup and not (self.warmup or self.warmup_steps):
            raise fail("after_warmup", "given with a warm-up", True, "give warmup_steps or warmup, or drop it")
        return self

    def warmup_of(self, total: int) -> int:
        """Return the number of steps of the warm-up of a run of `total` steps."""
        return self.warmup_steps if self.warmup is None else math.ceil(self.warmup * total)


class ShapeFunction(Protocol):
    """(specification, fraction of the steps done, epochs done) -> the factor."""

    def __call__(self, spec: ScheduleSpec, share: float, epochs: float) -> float: ...


@dataclass(frozen=True)
class Shape:
    """A shape, with the fields that it needs and the others that it takes."""

    function: ShapeFunction
    needs: tuple[str, ...]
    takes: tuple[str, ...]


SHAPES: dict[str, Shape] = {}


def shape(name: str, *, needs: tuple[str, ...] = (), takes: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Register the decorated function as the shape that ``schedule.name`` selects."""

    def add(function: ShapeFunction) -> ShapeFunction:
        if name in SHAPES:
            raise fail("name", "a name that is not registered yet", f"'{name}'", "choose another")
        SHAPES[name] = Shape(function, needs, takes)
        return function

    return add


@shape("constant")
def _constant(spec: ScheduleSpec, share: float, epochs: float) -> float:
    return 1.0


@shape("step")
def _step(spec: ScheduleSpec, share: float, epochs: float) -> float:
    passed = sum(share >= milestone for milestone in spec.milestones)
    passed += sum(epochs >= milestone for milestone in spec.milestone_epochs or ())
    return spec.factor**passed


@shape("linear", takes=("final_factor",))
def _linear(spec: ScheduleSpec, share: float, epochs: float) -> float:
    return _down(spec, 1 - share)


@shape("cosine", takes=("final_factor",))
def _cosine(spec: ScheduleSpec, share: float, epochs: float) -> float:
    return _down(spec, (1 + math.cos(math.pi * share)) / 2)


@shape("polynomial", needs=("power",), takes=("final_factor",))
def _polynomial(spec: ScheduleSpec, share: float, epochs: float) -> float:
    assert spec.power is not None
    return _down(spec, (1 - share) ** spec.power)


@shape("exponential", needs=("every_epochs",))
def _exponential(spec: ScheduleSpec, share: float, epochs: float) -> float:
    assert spec.every_epochs is not None
    # 2.4 epochs are 0.6 * 4, and less than that in floating point
    return spec.factor ** math.floor(epochs / spec.every_epochs + 1e-9)


@shape("inverse_sqrt")
def _inverse_sqrt(spec: ScheduleSpec, share: float, epochs: float) -> float:
    assert spec.warmup
    return math.sqrt(spec.warmup / max(share, spec.warmup))


@shape("triangular", needs=("peak",), takes=("start_factor", "final_factor"))
def _triangular(spec: ScheduleSpec, share: float, epochs: float) -> float:
    assert spec.peak is not None
    start = spec.start_factor or 0.0
    if share < spec.peak:
        return start + (1 - start) * share / spec.peak
    return _down(spec, (1 - share) / (1 - spec.peak))


@shape("cyclic_cosine", needs=("cycles",), takes=("final_factor",))
def _cyclic_cosine(spec: ScheduleSpec, share: float, epochs: float) -> float:
    assert spec.cycles is not None
    place = share * spec.cycles
    # the first step of a cycle is not the last one of the cycle before, as rounding could make it
    within = 0.0 if abs(place - round(place)) < 1e-9 else place % 1.0
    return _down(spec, (1 + math.cos(math.pi * within)) / 2)


def _down(spec: ScheduleSpec, factor: float) -> float:
    return factor if not spec.final_factor else spec.final_factor + (1 - spec.final_factor) * factor


def schedule_factor(spec: ScheduleSpec, step: int, total: int, steps_per_epoch: int = 1) -> float:
    """Return the factor on the learning rate of a step; see :class:`ScheduleSpec`.

    Args:
        spec: the schedule.
        step: from 0.
        total: number of steps of the run.
        steps_per_epoch: number of steps of an epoch, for schedules that count epochs.

    Example:
        >>> [schedule_factor(ScheduleSpec(name="step", milestones=(0.5,)), step, 4) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """
    warmup = spec.warmup_of(total)
    share = step / total
    if spec.after_warmup:
        share = max(0, step - warmup) / max(1, total - warmup)
    factor = SHAPES[spec.name].function(spec, share, step / steps_per_epoch)
    return factor * ((step + 1) / warmup) if step < warmup else factor
