"""The answer to a study's question: its sentences, from verdicts, its limits, and where it stands."""

import re
from dataclasses import replace

import pytest

from softtargets._errors import InputError
from softtargets.studies import answer as answering
from softtargets.studies.answer import Answered
from softtargets.studies.catalog import find, read_study
from softtargets.studies.page import files
from softtargets.studies.records import DataSummary, Verdict, VerdictName
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Answer, AnswerGroup, Claim, Term


def answer(results: StudyResults) -> Answered | None:
    """Answer the question of simulated results."""
    return answering.answer(results.study, results.scale, results.outputs, results.data, results.verdicts)


def build(results: StudyResults) -> dict[str, bytes]:
    """Return the files of the report on results with their answer."""
    return files.build(replace(results, answer=answer(results)))


LEVELS, NOISES = (1.0, 2.0), (0.2, 0.4)
# (level, noise): name, estimate, low, high
FOUND: dict[tuple[float, float], tuple[VerdictName, float, float, float]] = {
    (1.0, 0.2): ("reproduced", 0.001, -0.002, 0.004),
    (2.0, 0.2): ("inconclusive", -0.009, -0.012, -0.006),
    (1.0, 0.4): ("reproduced", 0.002, -0.001, 0.005),
    (2.0, 0.4): ("contradicted", -0.02, -0.03, -0.015),
}


def _claim(level: float, noise: float) -> Claim:
    terms = [
        Term(arm=arm, level=level, noise=noise, metric="test.accuracy", weight=w)
        for arm, w in (("ls", 1.0), ("fc", -1.0))
    ]
    return Claim(
        id=f"may-{level:g}-{noise:g}",
        quote="It does no harm.",
        where="Sec. 1",
        output="figure2",
        terms=tuple(terms),
        threshold=-0.01,
        reading="Smoothing loses less than one point.",
    )


@pytest.fixture
def asked(results):
    """Return results of a study that asks a question of four claims, and one more across the noises."""
    claims = {place: _claim(*place) for place in FOUND}
    groups = [
        AnswerGroup(label=f"{noise:.0%} wrong", claims=tuple(claims[level, noise].id for level in LEVELS))
        for noise in NOISES
    ]
    also = AnswerGroup(label="And where there is more noise?", claims=(claims[1.0, 0.2].id, claims[1.0, 0.4].id))
    question = Answer(
        question="May I?", groups=tuple(groups), also=(also,), output="figure2", limits=("One learning rate.",)
    )
    study = results.study.changed(claims=tuple(claims.values()), answer=question)
    verdicts = [
        Verdict(claims[place], name, estimate, low, high, p=0.01, confidence=0.99 if place[0] == 1.0 else 0.975, n=8)
        for place, (name, estimate, low, high) in FOUND.items()
    ]
    return replace(results, study=study, verdicts=tuple(verdicts))


def test_each_group_has_a_sentence_with_estimates_and_intervals_in_points(asked):
    found = answer(asked)
    assert found is not None
    assert [sentence.text() for sentence in found.sentences] == [
        "20% wrong: yes at level 1 (+0.10 points, −0.20 to +0.40); "
        "undecided at level 2 (−0.90 points, −1.20 to −0.60).",
        "40% wrong: yes at level 1 (+0.20 points, −0.10 to +0.50); no at level 2 (−2.00 points, −3.00 to −1.50).",
    ]
    assert [sentence.text() for sentence in found.also] == [
        "And where there is more noise? yes on Noise rate 20 % (+0.10 points, −0.20 to +0.40), "
        "on Noise rate 40 % (+0.20 points, −0.10 to +0.50)."
    ]


def test_the_lead_counts_case_by_case(asked):
    found = answer(asked)
    assert found is not None
    assert found.lead == "At level 1: yes in all 2 cases. At level 2: no in 1, undecided in 1 of 2 cases."
    alike = tuple(replace(verdict, name="reproduced") for verdict in asked.verdicts)
    found = answer(replace(asked, verdicts=alike))
    assert found is not None
    assert found.lead == "At level 1 and at 2, each: yes in all 2 cases."


def test_its_limits_are_named(asked):
    found = answer(asked)
    assert found is not None
    limits = " ".join(found.limits)
    assert found.limits[0] == "One learning rate."
    assert "test accuracy of “Label smoothing” minus that of “Forward correction”" in limits
    assert "Yes: the whole interval is above −1.00 points. No: the whole interval is below." in limits
    assert "Undecided: 20% wrong (at 2)." in limits
    assert "n = 8 seeds, paired. The confidence of each interval is 97.5 % to 99 %" in limits
    assert "hold with a confidence of 95 % (Holm)" in limits
    assert "digits (1,437 training examples), desk scale" in limits


def test_what_was_not_run_is_no_answer(asked):
    none = tuple(Verdict(verdict.claim, "not run", reason="0 of 8 seeds") for verdict in asked.verdicts)
    found = answer(replace(asked, verdicts=none))
    assert found is not None
    assert found.lead == "At level 1 and at 2, each: not run in all 2 cases."
    assert found.sentences[0].text() == "20% wrong: not run at level 1, at 2."
    assert answer(replace(asked, verdicts=())) is None
    assert answer(replace(asked, study=asked.study.changed(answer=None))) is None


def test_the_page_begins_with_it_and_shows_its_figure_once(asked):
    html = build(asked)["index.html"].decode()
    first = html[html.index("<p>", html.index("</h1>")) :]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", first[: first.index("</p>")]))
    assert text.startswith("May I? At level 1: yes in all 2 cases.")
    assert "no at level 2 (−2.00 points, −3.00 to −1.50)" in text.replace(" (", " (")
    assert html.index('id="answer"') < html.index('class="chart"') < html.index('class="question"')
    charts = re.findall(r'class="chart" id="([^"]+)"', html)
    assert len(charts) == len(set(charts))
    assert "See the figure at the <a" in html
    elsewhere = build(replace(asked, outputs=("table3",)))["index.html"].decode()
    assert 'class="chart"' not in elsewhere
    assert 'id="answer"' in elsewhere


def test_names_in_it_must_be_of_the_study(results):
    study = results.study.model_dump()
    for changed, message in (
        ({"groups": ({"label": "a", "claims": ("lss",)},)}, r"claim of answer 'a'.*'ls'"),
        ({"groups": ({"label": "a", "claims": ("ls",)},), "output": "figure22"}, r"answer\.output.*'figure2'"),
    ):
        with pytest.raises((InputError, ValueError), match=message):
            type(results.study).parse({**study, "answer": {"question": "May I?", **changed}})


def test_the_shipped_study_asks_of_every_condition_and_temperature():
    study = read_study(find("compatibility"))
    assert study.answer is not None
    assert study.answer.question == study.title
    asked = {name for group in study.answer.groups for name in group.claims}
    assert asked == {claim.id for claim in study.claims if claim.id.startswith("may-")}
    assert study.answer.output in study.outputs


def test_two_data_sets_have_a_line_each(asked):
    data = (*asked.data, DataSummary("clinc150", "ab" * 32, 150, (4096,), {"train": 7500, "test": 4500}))
    built = build(replace(asked, data=data))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", built["index.html"].decode()))
    assert "1,437 train · 180 validation · 180 test" in text
    assert "7,500 train · 4,500 test" in text
    assert "tested on digits and clinc150" in text
    assert "fingerprint " + "ab" * 32 in text
    assert '"clinc150"' in built["results.json"].decode()


def test_undecided_questions_are_quoted_in_a_sentence(asked):
    labels = ("Does it help?", "Does it calibrate?")
    groups = tuple(
        AnswerGroup(label=label, claims=group.claims)
        for label, group in zip(labels, asked.study.answer.groups, strict=True)
    )
    question = asked.study.answer.model_copy(update={"groups": groups})
    undecided = tuple(replace(verdict, name="inconclusive") for verdict in asked.verdicts)
    results = replace(asked, study=asked.study.changed(answer=question))
    for verdicts, expected in (
        (undecided, "Undecided: “Does it help?” (at 1, at 2) and “Does it calibrate?” (at 1, at 2)."),
        (asked.verdicts, "Undecided: “Does it help?” (at 2)."),
    ):
        found = answer(replace(results, verdicts=verdicts))
        assert found is not None
        assert expected in found.limits
    # labels that are no questions
    found = answer(replace(asked, verdicts=undecided))
    assert found is not None
    assert "Undecided: 20% wrong (at 1, at 2); 40% wrong (at 1, at 2)." in found.limits
