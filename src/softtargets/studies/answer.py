"""The question of a study answered in sentences from the verdicts of its claims, and how far the answer reaches."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from softtargets.report import numbers
from softtargets.studies import claims, labels
from softtargets.studies.layout import arm_label, axis_phrase
from softtargets.studies.results import StudyResults, VerdictName
from softtargets.studies.schema import AnswerGroup, Claim, Noise, Study
from softtargets.studies.verdicts import LEVEL

Word = Literal["yes", "no", "undecided", "not run"]
WORDS: dict[VerdictName, Word] = {
    "reproduced": "yes",
    "contradicted": "no",
    "inconclusive": "undecided",
    "not run": "not run",
}


@dataclass(frozen=True)
class Case:
    """One claim in a sentence: what sets it apart, said in full and in short, and what was found."""

    name: str
    short: str
    row: claims.ClaimRow

    @property
    def word(self) -> Word:
        """The verdict as an answer."""
        return WORDS[self.row.verdict.name]

    @property
    def found(self) -> str:
        """Estimate and interval; empty where there is none."""
        return self.row.found


@dataclass(frozen=True)
class Sentence:
    """What a group of claims says: its cases, those of one answer together."""

    label: str
    parts: tuple[tuple[Word, tuple[Case, ...]], ...]

    def text(self) -> str:
        """Return the sentence as plain text."""
        told = "; ".join(f"{word}{_listed(cases)}" for word, cases in self.parts)
        return f"{self.label}{'' if self.label.endswith('?') else ':'} {told}."


@dataclass(frozen=True)
class Answered:
    """A question, its answer in one line and group by group, further questions, and the limits of all that."""

    question: str
    lead: str
    sentences: tuple[Sentence, ...]
    also: tuple[Sentence, ...]
    limits: tuple[str, ...]
    output: str | None


def answer(results: StudyResults) -> Answered | None:
    """Answer a study's question from the verdicts that are there; None where it asks none or none of them is."""
    asked = results.study.answer
    rows = {row.verdict.claim.id: row for row in claims.rows(results)}
    if asked is None or not any(name in rows for group in asked.groups for name in group.claims):
        return None
    groups = {group.label: _cases(results.study, group, rows) for group in asked.groups}
    further = {group.label: _cases(results.study, group, rows) for group in asked.also}
    main = [case for cases in groups.values() for case in cases]
    return Answered(
        question=asked.question,
        lead=_lead(main),
        sentences=_sentences(groups),
        also=_sentences(further),
        limits=tuple(_limits(results, groups, main)),
        output=asked.output if asked.output in results.outputs else None,
    )


def _cases(study: Study, group: AnswerGroup, rows: dict[str, claims.ClaimRow]) -> tuple[Case, ...]:
    """Name each claim of a group by what sets it apart from the others there: its levels, its noise."""
    known = [rows[name] for name in group.claims if name in rows]
    levels = {row.anchor: _levels(row.verdict.claim) for row in known}
    noises = {row.anchor: _noises(row.verdict.claim) for row in known}
    by_level, by_noise = (len(set(each.values())) > 1 for each in (levels, noises))
    cases = []
    for row in known:
        listed = " and ".join(numbers.level(level) for level in levels[row.anchor]) if by_level else ""
        on = (
            "on " + " and ".join(axis_phrase(study, "noise", noise) for noise in noises[row.anchor]) if by_noise else ""
        )
        full, short = (f"at {study.level_name} {listed}", f"at {listed}") if by_level else ("", "")
        name, brief = (", ".join(filter(None, (level, on))) for level in (full, short))
        cases.append(Case(name, brief, row))
    return tuple(cases)


def _levels(claim: Claim) -> tuple[float, ...]:
    levels = [term.level for term in claim.terms if not isinstance(term.level, str)]
    return tuple(dict.fromkeys(one for level in levels for one in (level if isinstance(level, tuple) else (level,))))


def _noises(claim: Claim) -> tuple[Noise, ...]:
    return tuple(dict.fromkeys(noise for term in claim.terms for noise in term.noises))


def _lead(cases: list[Case]) -> str:
    """Count the answers over the groups: case by case where groups share their cases, else all together."""
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
    names = [cases[0].name, *(case.short for case in cases[1:])]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


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


def _limits(results: StudyResults, groups: dict[str, tuple[Case, ...]], main: list[Case]) -> Iterable[str]:
    study, verdicts = results.study, [case.row.verdict for case in main]
    yield from study.answer.limits if study.answer else ()
    compared = {_compared(study, verdict.claim) for verdict in verdicts}
    if len(compared) == 1 and (what := compared.pop()):
        yield f"The numbers: {what}."
    marks = {(case.row.where, case.row.verdict.claim.relation) for case in main}
    if len(marks) == 1:
        mark, relation = marks.pop()
        other = {">": "below", "<": "above", "equivalent": "outside"}[relation]
        yield f"Yes: the interval lies wholly {mark}. No: wholly {other}. Undecided: it reaches over the mark."
    undecided = {
        label: [case.short or case.name for case in cases if case.word == "undecided"]
        for label, cases in groups.items()
    }
    if any(undecided.values()):
        told = "; ".join(f"{label} ({', '.join(names)})" for label, names in undecided.items() if names)
        yield f"Undecided: {told.replace(' ()', '')}."
    seeds = sorted({verdict.n for verdict in verdicts if verdict.n})
    confidences = sorted({verdict.confidence for verdict in verdicts if verdict.confidence is not None})
    if seeds and confidences:
        each = " to ".join(numbers.rate(level) for level in dict.fromkeys((confidences[0], confidences[-1])))
        ran = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        yield (
            f"n = {ran} seeds, paired. Intervals are at {each}, so that every yes and no of the study holds together "
            f"at {numbers.rate(1 - LEVEL)} (Holm). They say what other seeds would give, not other data."
        )
    sizes = [f"{data.name} ({data.sizes.get('train', 0):,} training examples)" for data in results.data]
    if sizes:
        yield f"Data: {' and '.join(sizes)}, {results.scale} scale; of other data and networks it says nothing."


def _compared(study: Study, claim: Claim) -> str:
    """Return the two sides of a difference in words; empty where a contrast is more than that."""
    sides = {weight: [t for t in claim.terms if t.weight == weight] for weight in (1.0, -1.0)}
    if len(claim.terms) != 2 or any(len(side) != 1 or len(side[0].arms) > 1 for side in sides.values()):
        return ""
    (treated,), (other,) = sides.values()
    if treated.metric != other.metric:
        return ""
    label = labels.measure(treated.metric).label
    label = label[:1].lower() + label[1:] if label[1:2].islower() else label
    return f"{label} of “{arm_label(study, treated.arms[0])}” less that of “{arm_label(study, other.arms[0])}”"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
