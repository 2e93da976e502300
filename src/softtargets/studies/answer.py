"""The answer to the question of a study, in sentences, from the verdicts of its claims."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.judge import LEVEL
from softtargets.studies.layout import arm_label, axis_phrase
from softtargets.studies.records import DataSummary, Verdict, VerdictName
from softtargets.studies.schema import AnswerGroup, Claim, Noise, Study
from softtargets.studies.wording import word

Word = Literal["yes", "no", "undecided", "not tested", "not run"]
WORDS: dict[VerdictName, Word] = {
    "reproduced": "yes",
    "contradicted": "no",
    "inconclusive": "undecided",
    "exploratory": "not tested",
    "not run": "not run",
}


@dataclass(frozen=True)
class Case:
    """One claim as part of a sentence.

    Args:
        name: what distinguishes the claim from the others of its group.
        short: the same in short.
        verdict: its verdict.
        found: estimate and interval; empty text if there are none.
        where: where the claim places the contrast, in words.
    """

    name: str
    short: str
    verdict: Verdict
    found: str
    where: str

    @property
    def word(self) -> Word:
        """The verdict as an answer."""
        return WORDS[self.verdict.name]


@dataclass(frozen=True)
class Sentence:
    """A group of claims: its cases, grouped by answer."""

    label: str
    parts: tuple[tuple[Word, tuple[Case, ...]], ...]

    def text(self) -> str:
        """Return the sentence as plain text."""
        told = "; ".join(f"{word}{_listed(cases)}" for word, cases in self.parts)
        return f"{self.label}{'' if self.label.endswith('?') else ':'} {told}."


@dataclass(frozen=True)
class Answered:
    """A question, its answer in one line and for each group, further questions, and limitations."""

    question: str
    lead: str
    sentences: tuple[Sentence, ...]
    also: tuple[Sentence, ...]
    limits: tuple[str, ...]
    output: str | None


def answer(
    study: Study, scale: str, outputs: Collection[str], data: Sequence[DataSummary], verdicts: Sequence[Verdict]
) -> Answered | None:
    """Answer the question of a study; None if it has no question, or none of the claims was judged.

    Args:
        study: the study.
        scale: the scale of the runs.
        outputs: names of the outputs that are shown.
        data: the data sets of the runs.
        verdicts: verdicts of the claims.
    """
    asked = study.answer
    found = {verdict.claim.id: verdict for verdict in verdicts}
    if asked is None or not any(name in found for group in asked.groups for name in group.claims):
        return None
    groups = {group.label: _cases(study, group, found) for group in asked.groups}
    further = {group.label: _cases(study, group, found) for group in asked.also}
    main = [case for cases in groups.values() for case in cases]
    return Answered(
        question=asked.question,
        lead=_lead(main),
        sentences=_sentences(groups),
        also=_sentences(further),
        limits=(*asked.limits, *_limits(study, groups, main), *_reach(scale, data)),
        output=asked.output if asked.output in outputs else None,
    )


def _cases(study: Study, group: AnswerGroup, found: dict[str, Verdict]) -> tuple[Case, ...]:
    """Name each claim of a group by what distinguishes it from the others: its levels or its noise."""
    known = [found[name] for name in group.claims if name in found]
    levels = [_levels(verdict.claim) for verdict in known]
    noises = [_noises(verdict.claim) for verdict in known]
    by_level, by_noise = (len(set(each)) > 1 for each in (levels, noises))
    cases = []
    for verdict, own_levels, own_noises in zip(known, levels, noises, strict=True):
        listed = numbers.listed(map(numbers.level, own_levels)) if by_level else ""
        on = "on " + numbers.listed(axis_phrase(study, "noise", noise) for noise in own_noises) if by_noise else ""
        full, short = (f"at {study.level_name} {listed}", f"at {listed}") if by_level else ("", "")
        name, brief = (", ".join(filter(None, (level, on))) for level in (full, short))
        text = word(verdict)
        cases.append(Case(name, brief, verdict, text.found, text.where))
    return tuple(cases)


def _levels(claim: Claim) -> tuple[float, ...]:
    levels = [term.level for term in claim.terms if not isinstance(term.level, str)]
    return tuple(dict.fromkeys(one for level in levels for one in (level if isinstance(level, tuple) else (level,))))


def _noises(claim: Claim) -> tuple[Noise, ...]:
    return tuple(dict.fromkeys(noise for term in claim.terms for noise in term.noises))


def _lead(cases: list[Case]) -> str:
    """Count the answers over the groups: for each case if the groups share their cases, else in total."""
    by_name: dict[str, list[Case]] = {}
    for case in cases:
        by_name.setdefault(case.name, []).append(case)
    if len(by_name) == 1 or any(len(each) == 1 for each in by_name.values()):
        return f"{_capital(_counted(cases))}."
    alike: dict[str, list[Case]] = {}
    for each in by_name.values():
        alike.setdefault(_counted(each), []).append(each[0])
    return " ".join(
        f"{_capital(_joined(cases))}{', each' * (len(cases) > 1)}: {told}." for told, cases in alike.items()
    )


def _joined(cases: list[Case]) -> str:
    """Return ``at T 1, at 2 and at 4``."""
    return numbers.listed([cases[0].name, *(case.short for case in cases[1:])])


def _counted(cases: list[Case]) -> str:
    tally = Counter(case.word for case in cases)
    if len(tally) == 1:
        return f"{cases[0].word} in all {numbers.count(len(cases), 'case')}" if len(cases) > 1 else cases[0].word
    return ", ".join(f"{word} in {tally[word]}" for word in WORDS.values() if tally[word]) + f" of {len(cases)} cases"


def _sentences(groups: dict[str, tuple[Case, ...]]) -> tuple[Sentence, ...]:
    found = []
    for label, cases in groups.items():
        by_word: dict[Word, tuple[Case, ...]] = dict.fromkeys(WORDS.values(), ())
        for case in cases:
            by_word[case.word] += (case,)
        parts = tuple(part for part in by_word.items() if part[1])
        found += [Sentence(label, parts)] if parts else []
    return tuple(found)


def _listed(cases: Iterable[Case]) -> str:
    """Return `` at T 1 (found), at 2 (found)``."""
    told = [
        f" {name}" * bool(name) + f" ({case.found})" * bool(case.found)
        for case, name in ((case, case.short if place else case.name) for place, case in enumerate(cases))
    ]
    return ",".join(told)


def _limits(study: Study, groups: dict[str, tuple[Case, ...]], main: list[Case]) -> Iterable[str]:
    verdicts = [case.verdict for case in main]
    compared = {_compared(study, verdict.claim) for verdict in verdicts}
    if len(compared) == 1 and (what := compared.pop()):
        yield f"Numbers in parentheses: {what}, with interval."
    marks = {(case.where, case.verdict.claim.relation) for case in main}
    if len(marks) == 1:
        mark, relation = marks.pop()
        other = {">": "below", "<": "above", "equivalent": "outside"}[relation]
        yield f"Yes: the whole interval is {mark}. No: the whole interval is {other}. Undecided: neither."
    if told := _undecided(groups):
        yield f"Undecided: {told}."
    if any(case.word == "not tested" for case in main):
        reason = next(case.verdict.reason for case in main if case.word == "not tested")
        yield f"Not tested: {reason.removeprefix('not tested, ')}. These intervals are exploratory and not adjusted."
    tested = [verdict for verdict in verdicts if verdict.name != "exploratory"]
    seeds = sorted({verdict.n for verdict in tested if verdict.n})
    confidences = sorted({verdict.confidence for verdict in tested if verdict.confidence is not None})
    if seeds and confidences:
        each = " to ".join(numbers.rate(level) for level in dict.fromkeys((confidences[0], confidences[-1])))
        ran = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        yield (
            f"n = {ran} seeds, paired. The confidence of each interval is {each}, so that all answers together hold "
            f"with a confidence of {numbers.rate(1 - LEVEL)} (Holm). Intervals describe the variation "
            "over seeds, not the sampling of the data."
        )


def _undecided(groups: dict[str, tuple[Case, ...]]) -> str:
    """Return the undecided groups with their cases; labels that are questions are quoted, and listed as a sentence."""
    told, asked = [], False
    for label, cases in groups.items():
        names = [case.short or case.name for case in cases if case.word == "undecided"]
        if names:
            asked = asked or label.endswith("?")
            listed = ", ".join(filter(None, names))
            told.append((f"“{label}”" if label.endswith("?") else label) + f" ({listed})" * bool(listed))
    if not asked:
        return "; ".join(told)
    return numbers.listed(told)


def _reach(scale: str, data: Sequence[DataSummary]) -> Iterable[str]:
    sizes = list(dict.fromkeys(f"{one.name} ({one.sizes.get('train', 0):,} training examples)" for one in data))
    if sizes:
        yield f"Data: {numbers.listed(sizes)}, {scale} scale. Results can differ for other data and networks."


def _compared(study: Study, claim: Claim) -> str:
    """Return the two sides of a difference in words; empty text for other contrasts."""
    sides = {weight: [t for t in claim.terms if t.weight == weight] for weight in (1.0, -1.0)}
    if len(claim.terms) != 2 or any(len(side) != 1 or len(side[0].arms) > 1 for side in sides.values()):
        return ""
    (treated,), (other,) = sides.values()
    if treated.metric != other.metric:
        return ""
    label = labels.measure(treated.metric).label
    label = label[:1].lower() + label[1:] if label[1:2].islower() else label
    return f"{label} of “{arm_label(study, treated.arms[0])}” minus that of “{arm_label(study, other.arms[0])}”"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
