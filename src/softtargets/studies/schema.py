"""The schema of a study: arms, scales, outputs and claims, read from ``study.toml``."""

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail, unknown
from softtargets._spec import Spec
from softtargets.studies.arms import TEACHER, ZERO, Arm, Levels, NamedNoise, Scale, Setting

Axis = Literal["arm", "level", "noise", "metric"]
Noise = float | str
# More primary claims would need so many seeds that some of them stay undecided.
MOST_PRIMARY = 5


class Paper(Spec):
    """The source of the study."""

    authors: str
    title: str
    year: int
    venue: str
    url: str


class Output(Spec):
    """A table or figure of the paper: the product of arms, levels, noise and metrics, shown by its `kind`.

    The kinds are defined by the files of ``studies/outputs`` and by the module of the study.

    Level 0 of a swept key is the baseline for all arms. Noise is a rate of symmetric noise, or a name. An output with a
    `setting` is run only if the output or the setting is selected by name.

    Attributes:
        x: metric of the horizontal axis.
        spread: what whiskers and bands show: "sd", one standard deviation over seeds, or "range", minimum and maximum.
            None: "sd".
        minus: the arm whose value at the same seed is subtracted from that of an arm, by the name of the arm.
    """

    title: str
    caption: str
    kind: str
    arms: tuple[str, ...] = ()
    levels: Levels = ()
    noise: tuple[Noise, ...] = ()
    metrics: tuple[str, ...] = ()
    rows: Axis | None = None
    columns: Axis | None = None
    unavailable: str | None = None
    setting: str | None = None
    x: str | None = None
    splits: tuple[Literal["train", "validation", "test"], ...] = ()
    spread: Literal["sd", "range"] | None = None
    minus: dict[str, str] = Field(default_factory=dict)


class Term(Spec):
    """`weight` times a metric, averaged over the given arms, levels and kinds of noise."""

    arm: str | tuple[str, ...]
    level: float | str | tuple[float, ...]
    noise: Noise | tuple[Noise, ...]
    metric: str
    weight: float

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,) if isinstance(self.arm, str) else self.arm

    @property
    def noises(self) -> tuple[Noise, ...]:
        return self.noise if isinstance(self.noise, tuple) else (self.noise,)


class Claim(Spec):
    """A sentence of the paper as a linear contrast of metrics for each seed, and a relation to `threshold`.

    Relations: ``>``: the contrast is above `threshold`; ``<``: below it; "equivalent": within plus or minus `margin`.
    Instead of a contrast, `exact` can name a number that is computed exactly.

    Attributes:
        statistic: "contrast": the weighted sum of the terms; "correlation": Pearson's correlation, over arms, of the
            metrics of two terms.
        primary: whether the claim is tested first. Secondary claims are tested only if all primary claims of the same
            setting are decided; see :func:`softtargets.studies.judge.judge`.
        expected: the value of the contrast for which the number of seeds is planned, fixed before the runs; None: the
            contrast of the numbers of the paper, if it prints them.
    """

    id: str
    quote: str
    where: str
    output: str
    terms: tuple[Term, ...] = ()
    exact: str | None = None
    relation: Literal[">", "<", "equivalent"] = ">"
    threshold: float = 0.0
    margin: float | None = None
    reading: str
    not_run: str | None = None
    statistic: Literal["contrast", "correlation"] = "contrast"
    primary: bool = False
    expected: float | None = None

    @property
    def boundaries(self) -> tuple[float, ...]:
        """The boundaries of the claimed region: the threshold, or minus and plus the margin."""
        return (self.threshold,) if self.margin is None else (-self.margin, self.margin)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.relation == "equivalent") != (self.margin is not None):
            raise fail("margin", "given with 'equivalent' and only there", self.margin, "add or remove it")
        if self.margin is not None and not (self.margin > 0 and math.isfinite(self.margin)):
            raise fail("margin", "a positive number", self.margin, "give the largest difference that does not matter")
        given = [bool(self.terms), self.exact is not None, self.not_run is not None].count(True)
        if given != 1:
            required = "exactly one of terms, exact and not_run"
            raise fail(f"claim {self.id}", required, f"{given} of them", "keep one")
        return self

    @model_validator(mode="after")
    def _is_planned_if_measured(self) -> Self:
        place = f"claim {self.id}"
        if (self.primary or self.expected is not None) and not self.terms:
            raise fail(place, "terms, for a primary claim or an expected contrast", "none", "remove that key")
        if self.expected is not None and (self.expected in self.boundaries or not math.isfinite(self.expected)):
            remedy = "give the contrast that the number of seeds is planned for"
            raise fail(f"{place}: expected", "a number that is not the boundary", self.expected, remedy)
        return self

    @model_validator(mode="after")
    def _correlates_two_metrics(self) -> Self:
        if self.statistic == "correlation":
            arms = [term.arms for term in self.terms]
            if len(arms) != 2 or arms[0] != arms[1] or len(set(arms[0])) < 3:
                required = "two terms with the same three or more arms"
                raise fail(f"claim {self.id}: statistic", required, [list(each) for each in arms], "list them")
            if any(term.weight != 1 for term in self.terms):
                got = [term.weight for term in self.terms]
                raise fail(f"claim {self.id}: weight", "1 for a correlation", got, "give both terms a weight of 1")
        return self


class AnswerGroup(Spec):
    """A part of an answer: yes if its claims are reproduced, no if they are contradicted."""

    label: str
    claims: tuple[str, ...] = Field(min_length=1)


class Answer(Spec):
    """The question at the top of the page, answered from the verdicts of claims, with a sentence for each group.

    Attributes:
        question: the question.
        groups: groups of claims. A claim is named by its level or noise, whichever distinguishes it within its group.
        also: further questions, each the label of a group.
        output: figure shown with the answer.
        limits: limitations, in addition to those that follow from the verdicts and the data.
    """

    question: str
    groups: tuple[AnswerGroup, ...] = Field(min_length=1)
    also: tuple[AnswerGroup, ...] = ()
    output: str | None = None
    limits: tuple[str, ...] = ()


class Study(Spec):
    """A study."""

    schema_version: Literal[1]
    name: str
    title: str
    question: str
    paper: Paper
    differs: tuple[str, ...] = ()
    level_name: str = "level"
    noise_name: str = "Noise"
    baseline: str
    arms: dict[str, Arm]
    noises: dict[str, NamedNoise] = Field(default_factory=dict)
    scales: dict[Literal["smoke", "desk", "paper"], Scale]
    settings: dict[str, Setting] = Field(default_factory=dict)
    outputs: dict[str, Output]
    claims: tuple[Claim, ...] = ()
    answer: Answer | None = None

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        names = [self.baseline, *(arm for output in self.outputs.values() for arm in output.arms)]
        names += [arm for claim in self.claims for term in claim.terms for arm in term.arms]
        names += [other.arm for arm in self.arms.values() for other in arm.needed]
        names += [arm.zero for arm in self.arms.values() if arm.zero is not None]
        for name in names:
            if name not in self.arms:
                raise unknown("arm", name, self.arms)
        if self.arms[self.baseline].sweep is not None or self.arms[self.baseline].members:
            required = "an arm with runs of its own and without a swept key"
            raise fail("baseline", required, self.baseline, "use an arm without 'sweep' and 'members'")
        self._check_needed_arms()
        self._check_answer()
        for name, output in self.outputs.items():
            for arm in (*output.minus, *output.minus.values()):
                if arm not in output.arms:
                    raise unknown(f"arm of outputs.{name}.minus", arm, output.arms)
            if output.rows is not None and output.rows == output.columns:
                raise fail(f"outputs.{name}.columns", "another axis than rows", output.columns, "change one of them")
        for claim in self.claims:
            if claim.output not in self.outputs:
                raise unknown(f"output of claim {claim.id}", claim.output, self.outputs)
        if shared := sorted(self.settings.keys() & self.outputs.keys()):
            raise fail("settings", "names that differ from those of outputs", shared[0], "rename one of the two")
        self._check_primary()
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise fail("claims", "unique ids", sorted({i for i in ids if ids.count(i) > 1}), "rename one of them")
        sets = [(output, output.levels) for output in self.outputs.values()]
        own = [(output, self.arms[arm].levels) for output in self.outputs.values() for arm in output.arms]
        sets += [(output, levels) for output, levels in own if levels is not None]
        sets += [(self.outputs[claim.output], term.level) for claim in self.claims for term in claim.terms]
        for output, levels in sets:
            if output.setting is not None and output.setting not in self.settings:
                raise unknown("setting", output.setting, self.settings)
            for scale in self.scales_of(output).values():
                if isinstance(levels, str) and levels not in scale.levels:
                    raise unknown("level set", levels, scale.levels)
        noises = [noise for output in self.outputs.values() for noise in output.noise]
        noises += [noise for claim in self.claims for term in claim.terms for noise in term.noises]
        for noise in noises:
            if isinstance(noise, str) and noise not in self.noises:
                raise unknown("noise", noise, self.noises)
            if not isinstance(noise, str) and not 0 <= noise <= 1:
                raise fail("noise", "a rate in [0, 1], or a name", noise, "give a rate or the name of a noise")
        return self

    def _check_needed_arms(self) -> None:
        for name, arm in self.arms.items():
            self._check_members(f"arms.{name}", arm)
            if (arm.sweep == TEACHER) != any(other.level is None for other in arm.needed):
                required = f"'{TEACHER}' if a teacher or init_from has no level of its own, and only then"
                raise fail(f"arms.{name}.sweep", required, arm.sweep, "give the teacher a level, or sweep it")
            if self._needs(name, name):
                required = "teachers and init_from that do not need this arm"
                raise fail(f"arms.{name}", required, f"'{name}'", "remove the cycle")

    def _check_members(self, place: str, arm: Arm) -> None:
        for member in arm.members:
            if self.arms[member].members or self.arms[member].sweep is not None:
                required = "arms with runs of their own and without a swept key"
                raise fail(f"{place}.members", required, f"'{member}'", "name such arms")
        if arm.init_from is not None and self.arms[arm.init_from.arm].members:
            required = "an arm with runs of its own"
            raise fail(f"{place}.init_from", required, f"'{arm.init_from.arm}'", "name one of its members")

    def _check_primary(self) -> None:
        for setting in (None, *self.settings):
            primary = [claim.id for claim in self.claims_of(setting) if claim.primary]
            if len(primary) > MOST_PRIMARY:
                required = f"at most {MOST_PRIMARY} primary claims in {setting or 'the study'}"
                raise fail("claims", required, f"{len(primary)} ({', '.join(primary)})", "make the others secondary")

    def _check_answer(self) -> None:
        if self.answer is None:
            return
        if self.answer.output is not None and self.answer.output not in self.outputs:
            raise unknown("answer.output", self.answer.output, self.outputs)
        ids = [claim.id for claim in self.claims]
        for group in (*self.answer.groups, *self.answer.also):
            for name in group.claims:
                if name not in ids:
                    raise unknown(f"claim of answer '{group.label}'", name, ids)

    def _needs(self, name: str, arm: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether `arm` is directly or indirectly needed by the arm of this name."""
        others = {other.arm for other in self.arms[name].needed} - seen
        return arm in others or any(self._needs(other, arm, seen | others) for other in others)

    def claims_of(self, setting: str | None) -> tuple[Claim, ...]:
        """Return the claims on the outputs of a setting; None: on the outputs that belong to no setting."""
        return tuple(claim for claim in self.claims if self.outputs[claim.output].setting == setting)

    def scales_of(self, output: Output) -> dict[Literal["smoke", "desk", "paper"], Scale]:
        """Return the scales of an output: those of its setting, or of the study."""
        return self.scales if output.setting is None else self.settings[output.setting].scales

    def seen_from(self, name: str | None) -> Self:
        """Return the study with the scales and the name of the noise that apply to an output or setting."""
        setting = name if name in self.settings or name is None else self.outputs[name].setting
        if setting is None:
            return self
        found = self.settings[setting]
        return self.model_copy(update={"scales": found.scales, "noise_name": found.noise_name or self.noise_name})

    def noise_specification(self, noise: Noise) -> dict[str, Any] | None:
        """Return the noise of a run specification; None for no noise."""
        if isinstance(noise, str):
            return self.noises[noise].noise
        return {"name": "symmetric", "rate": noise} if noise > 0 else None

    def levels(self, named: float | str | tuple[float, ...], scale: str) -> tuple[float, ...]:
        """Return the levels given by a name, a number or a list of numbers at this scale."""
        if isinstance(named, str):
            return self.scales[scale].levels[named]  # pyright: ignore[reportArgumentType]
        return named if isinstance(named, tuple) else (named,)

    def arm_levels(self, arm: str, output: Output, scale: str) -> tuple[float, ...]:
        """Return the levels of an arm in an output at this scale; level 0 if the output has no levels."""
        own = self.arms[arm].levels
        return self.levels(output.levels if own is None else own, scale) or (ZERO,)

    def arm_at(self, arm: str, level: float) -> str:
        """Return the arm that is run for `arm` at `level`: at level 0 of a swept key its `zero` or the baseline."""
        found = self.arms[arm]
        return (found.zero or self.baseline) if level == ZERO and found.sweep is not None else arm
