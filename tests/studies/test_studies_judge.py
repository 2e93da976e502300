"""Verdicts on simulated records: each kind, by intervals computed by hand or by scipy."""

import math
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest
from scipy import stats

from softtargets.metrics.statistics import holm_levels
from softtargets.studies.judge import Contrast, gated, judge, leaning
from softtargets.studies.schema import Claim, Study

CE, LS, FC = ("CE", 0.0, 0.2), ("LS", 0.1, 0.2), ("FC", 0.1, 0.2)


def _study(*claims: dict) -> Study:
    return Study.parse(
        {
            "schema_version": 1,
            "name": "s",
            "title": "t",
            "question": "q",
            "paper": {"authors": "a", "title": "t", "year": 2020, "venue": "v", "url": "u"},
            "baseline": "CE",
            "arms": {
                "CE": {"label": "ce", "objective": {"name": "cross_entropy"}},
                "LS": {"label": "ls", "objective": {"name": "cross_entropy"}, "sweep": "smoothing"},
                "FC": {"label": "fc", "objective": {"name": "cross_entropy"}, "sweep": "smoothing"},
            },
            "scales": {"desk": {"seeds": 2, "levels": {"all": [0.1]}, "run": {}}},
            "outputs": {name: {"title": "t", "caption": "c", "kind": "table"} for name in ("f", "g")},
            "claims": claims,
        }
    )


def _claim(identity: str = "c", **changes) -> dict:
    terms = [
        {"arm": "LS", "level": "all", "noise": 0.2, "metric": "test.accuracy", "weight": 1.0},
        {"arm": "CE", "level": 0.0, "noise": 0.2, "metric": "test.accuracy", "weight": -1.0},
    ]
    return {"id": identity, "quote": "q", "where": "w", "output": "f", "reading": "r", "terms": terms, **changes}


def _verdict(simulate, differences: list[float], **claim):
    base = [0.5 + 0.1 * seed for seed in range(len(differences))]
    values = {CE: base, LS: [one + difference for one, difference in zip(base, differences, strict=True)]}
    (verdict,) = judge(_study(_claim(**claim)), "desk", ["f"], simulate(values))
    return verdict


def _p(values: list[float]) -> float:
    """Two-sided p-value of a mean of 0, from the t distribution alone."""
    t = mean(values) / (stdev(values) / math.sqrt(len(values)))
    return float(2 * stats.t.sf(abs(t), len(values) - 1))


CLEAR, NOISE = [0.10, 0.11, 0.09, 0.10, 0.12], [0.10, -0.11, 0.09, -0.10, 0.03]
SMALL = [0.001, -0.001, 0.002, 0.0, -0.002]


@pytest.mark.parametrize(
    ("differences", "claim", "name"),
    [
        (CLEAR, {"relation": ">"}, "reproduced"),
        (CLEAR, {"relation": "<"}, "contradicted"),
        ([-d for d in CLEAR], {"relation": ">"}, "contradicted"),
        ([-d for d in CLEAR], {"relation": "<"}, "reproduced"),
        (NOISE, {"relation": ">"}, "inconclusive"),
        (NOISE, {"relation": "<"}, "inconclusive"),
        (CLEAR, {"relation": ">", "threshold": 0.2}, "contradicted"),
        (CLEAR, {"relation": ">", "threshold": 0.1}, "inconclusive"),
        ([-d for d in SMALL], {"relation": ">", "threshold": -0.02}, "reproduced"),
        (SMALL, {"relation": "equivalent", "margin": 0.02}, "reproduced"),
        (CLEAR, {"relation": "equivalent", "margin": 0.02}, "contradicted"),
        ([-d for d in CLEAR], {"relation": "equivalent", "margin": 0.02}, "contradicted"),
        (NOISE, {"relation": "equivalent", "margin": 0.02}, "inconclusive"),
        ([0.05] * 3, {"relation": ">"}, "inconclusive"),
        ([0.05] * 6, {"relation": ">"}, "reproduced"),
        ([-0.05] * 6, {"relation": ">"}, "contradicted"),
        ([0.0] * 9, {"relation": ">"}, "inconclusive"),
        ([0.4 - 0.3 - 0.7 + 0.6] * 9, {"relation": ">"}, "inconclusive"),
        ([0.0] * 9, {"relation": "equivalent", "margin": 0.02}, "reproduced"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(simulate, differences, claim, name) -> None:
    assert _verdict(simulate, differences, **claim).name == name


def test_the_interval_is_the_paired_t_interval(simulate) -> None:
    """The arms move together by .1 a seed, which an unpaired interval would count as noise."""
    verdict = _verdict(simulate, CLEAR)
    expected = stats.ttest_1samp(CLEAR, 0.0).confidence_interval(0.95)
    assert verdict.estimate == pytest.approx(0.104)
    assert (verdict.low, verdict.high) == pytest.approx((expected.low, expected.high))
    assert verdict.p == pytest.approx(_p(CLEAR))
    assert (verdict.n, verdict.confidence) == (5, 0.95)


def test_seeds_without_every_run_are_left_out_and_counted(simulate) -> None:
    values = {CE: [0.5, 0.5, None, 0.5], LS: [0.6, 0.61, 0.9, 0.59]}
    (verdict,) = judge(_study(_claim()), "desk", ["f"], simulate(values))
    assert (verdict.n, verdict.estimate) == (3, pytest.approx(0.1))


def test_a_claim_with_fewer_than_two_pairs_is_not_run(simulate) -> None:
    (verdict,) = judge(_study(_claim()), "desk", ["f"], simulate({CE: [0.5, None], LS: [0.6, 0.6]}))
    assert (verdict.name, verdict.estimate) == ("not run", None)
    assert verdict.reason.startswith("1 of 2 seeds")


def test_a_number_that_finished_runs_lack_is_named(simulate) -> None:
    """An accuracy that no network reached: every run is there, and the claim is not run all the same."""
    terms = [{"arm": "LS", "level": "all", "noise": 0.2, "metric": "epochs.validation98", "weight": 1.0}]
    (verdict,) = judge(_study(_claim(terms=terms)), "desk", ["f"], simulate({LS: [0.6, 0.6, None]}))
    assert verdict.reason.startswith("0 of 3 seeds")
    assert verdict.reason.endswith("2 of 2 finished runs of 'ls' have no epochs.validation98")


def test_a_claim_that_cannot_be_run_says_why(simulate) -> None:
    claim = {"id": "c", "quote": "q", "where": "w", "output": "f", "reading": "r", "not_run": "needs ImageNet"}
    (verdict,) = judge(_study(claim), "desk", ["f"], simulate({CE: [0.5, 0.6]}))
    assert (verdict.name, verdict.reason) == ("not run", "needs ImageNet")


def _exact(identity: str, number: str, **changes) -> dict:
    return {**_claim(identity, exact=number, **changes), "terms": ()}


@pytest.mark.parametrize(
    ("value", "claim", "name"),
    [
        (0.5, {"relation": ">"}, "reproduced"),
        (0.5, {"relation": "<"}, "contradicted"),
        (-0.5, {"relation": "<"}, "reproduced"),
        (0.5, {"relation": ">", "threshold": 0.6}, "contradicted"),
        (0.5, {"relation": "<", "threshold": 0.6}, "reproduced"),
        (0.0, {"relation": ">"}, "contradicted"),
        (0.0, {"relation": "<"}, "contradicted"),
        (1e-16, {"relation": ">"}, "contradicted"),
        (-0.5, {"relation": "equivalent", "margin": 0.6}, "reproduced"),
        (-0.5, {"relation": "equivalent", "margin": 0.4}, "contradicted"),
    ],
)
def test_an_exact_number_decides_by_itself(value, claim, name) -> None:
    exact = {"number": lambda: value}
    (verdict,) = judge(_study(_exact("e", "number", **claim)), "desk", ["f"], (), exact=exact)
    assert verdict.name == name
    assert (verdict.estimate, verdict.low, verdict.high) == (value, value, value)
    assert (verdict.n, verdict.p, verdict.confidence) == (0, None, None)


def test_exact_claims_widen_no_interval_and_keep_their_place(simulate) -> None:
    exact = [_exact(f"e{i}", "number", relation="<") for i in range(11)]
    study = _study(*exact[:5], _claim("c"), *exact[5:])
    values = {CE: [0.5] * 5, LS: [0.5 + d for d in CLEAR]}
    verdicts = judge(study, "desk", ["f"], simulate(values), exact={"number": lambda: -1.0})
    assert [verdict.claim.id for verdict in verdicts] == [claim.id for claim in study.claims]
    assert verdicts[5].confidence == pytest.approx(0.95)
    assert {verdict.name for verdict in verdicts} == {"reproduced"}


def test_only_claims_of_the_outputs_asked_for_are_judged(simulate) -> None:
    assert judge(_study(_claim()), "desk", ["other"], simulate({CE: [0.5, 0.6]})) == ()


def test_holm_adjusts_within_the_study(simulate) -> None:
    """A difference that is clear alone can drown among many; the clearest is held at level / m."""
    borderline = [0.10, 0.02, 0.09, 0.01, 0.12]
    p = _p(borderline)
    assert 0.05 / 12 < p < 0.05
    assert _verdict(simulate, borderline).name == "reproduced"
    base = [0.5] * 5
    values = {CE: base, LS: [0.5 + d for d in borderline]}
    many = [_claim(f"c{i}") for i in range(12)]
    verdicts = judge(_study(*many), "desk", ["f"], simulate(values))
    assert {verdict.name for verdict in verdicts} == {"inconclusive"}
    assert verdicts[0].confidence == pytest.approx(1 - 0.05 / 12)


def test_claims_that_were_not_asked_for_count_too(simulate) -> None:
    """Running one output makes no verdict easier to reach than running the study."""
    others = [_claim(f"o{i}", output="g") for i in range(11)]
    study = _study(_claim("c"), *others)
    (verdict,) = judge(study, "desk", ["f"], simulate({CE: [0.5] * 5, LS: [0.5 + d for d in CLEAR]}))
    assert verdict.confidence == pytest.approx(1 - 0.05 / 12)


def test_the_family_wise_error_is_held() -> None:
    """Twenty true null hypotheses with six seeds each: some rejection in about 5 % of studies."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        draws = generator.normal(size=(20, 6))
        p_values = {str(i): _p(row.tolist()) for i, row in enumerate(draws)}
        levels = holm_levels(p_values, 0.05, len(p_values))
        wrong += any(p_values[name] <= levels[name] for name in p_values)
    assert abs(wrong / 400 - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 400)


# ------------------------------------------------------------------------------------------- primary and secondary


def _gated(simulate, primary: list[float], secondary: list[float]) -> dict:
    """Judge two primary claims on label smoothing and three secondary ones on another arm."""
    base = [0.5] * len(primary)
    values = {CE: base, LS: [0.5 + d for d in primary], FC: [0.5 + d for d in secondary]}
    other = [{**term, "arm": "FC"} if term["arm"] == "LS" else term for term in _claim()["terms"]]
    claims = [_claim("s0", terms=other), *(_claim(f"p{i}", primary=True) for i in range(2))]
    claims += [_claim(f"s{i}", terms=other) for i in (1, 2)]
    return {verdict.claim.id: verdict for verdict in judge(_study(*claims), "desk", ["f"], simulate(values))}


def test_secondary_claims_are_tested_as_a_family_of_their_own_after_decided_primary_ones(simulate) -> None:
    for direction in (1, -1):
        found = _gated(simulate, [direction * d for d in CLEAR], CLEAR)
        for name, verdict in found.items():
            assert verdict.family == ("primary" if name.startswith("p") else "secondary")
        assert found["p0"].name == ("reproduced" if direction == 1 else "contradicted")
        assert found["p0"].confidence == pytest.approx(1 - 0.05 / 2)
        assert found["s0"].confidence == pytest.approx(1 - 0.05 / 3)
        assert {found[f"s{i}"].name for i in range(3)} == {"reproduced"}


def test_secondary_claims_are_exploratory_after_an_undecided_primary_one(simulate) -> None:
    found = _gated(simulate, NOISE, CLEAR)
    assert found["p0"].name == "inconclusive"
    for name in ("s0", "s1", "s2"):
        verdict = found[name]
        assert (verdict.name, verdict.family, verdict.confidence) == ("exploratory", "secondary", 0.95)
        assert verdict.reason == "not tested, because the primary claim 'p0' is inconclusive"
        expected = stats.ttest_1samp(CLEAR, 0.0).confidence_interval(0.95)
        assert (verdict.low, verdict.high) == pytest.approx((expected.low, expected.high))
        assert verdict.leaning == "towards the claim"


def test_a_part_of_a_study_without_its_primary_claims_tests_no_secondary_one(simulate) -> None:
    study = _study(_claim("p", primary=True, output="g"), _claim("s"))
    records = simulate({CE: [0.5] * 5, LS: [0.5 + d for d in CLEAR]})
    (verdict,) = judge(study, "desk", ["f"], records)
    assert verdict.name == "exploratory"
    assert verdict.reason == "not tested, because the primary claim 'p' is not run"
    assert [verdict.name for verdict in judge(study, "desk", ["f", "g"], records)] == ["reproduced"] * 2


def test_each_setting_has_families_of_its_own(simulate) -> None:
    study = _study(_claim("p", primary=True), _claim("s"), *(_claim(f"o{i}", output="g") for i in range(4)))
    outputs = {"f": study.outputs["f"], "g": study.outputs["g"].changed(setting="other")}
    study = study.changed(outputs=outputs, settings={"other": {"label": "o", "scales": study.scales}})
    records = simulate({CE: [0.5] * 5, LS: [0.5 + d for d in CLEAR]})
    verdicts = judge(study, "desk", ["f", "g"], records)
    assert [verdict.family for verdict in verdicts] == ["primary", "secondary", "all", "all", "all", "all"]
    expected = [0.95, 0.95, *[1 - 0.05 / 4] * 4]
    assert verdicts[2].confidence == pytest.approx(1 - 0.05 / 4)
    assert verdicts[:2] == judge(study, "desk", ["f"], records)
    assert [verdict.confidence for verdict in verdicts[:2]] == pytest.approx(expected[:2])


def test_gatekeeping_holds_the_family_wise_error() -> None:
    """In the worst cases: all primary hypotheses true; or none true, and all secondary ones true."""
    generator = np.random.default_rng(1)
    claims = _study(*(_claim(f"p{i}", primary=True) for i in range(3)), *(_claim(f"s{i}") for i in range(8))).claims
    for shift in (0.0, 3.0):
        wrong = 0
        for _ in range(400):
            found: dict[str, Contrast | str] = {}
            for claim in claims:
                row = generator.normal(shift if claim.primary else 0.0, 1.0, size=8)
                found[claim.id] = Contrast(claim, row.mean(), row.std(ddof=1) / math.sqrt(8), 8)
            verdicts = gated(claims, found, 0.05)
            false = [v for v in verdicts.values() if (v.claim.primary and shift == 0) or not v.claim.primary]
            wrong += any(verdict.name in ("reproduced", "contradicted") for verdict in false)
        assert abs(wrong / 400 - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 400)


def test_a_correlation_over_arms_is_judged_seed_by_seed(simulate) -> None:
    arms = ["CE", "A", "B"]
    terms = [
        {"arm": arms, "level": 0.0, "noise": 0.2, "metric": metric, "weight": 1.0}
        for metric in ("test.accuracy", "stability.norm")
    ]
    study = _study(_claim())
    extra = {arm: study.arms["CE"].model_dump() for arm in ("A", "B")}
    claim = _claim("r", terms=terms, statistic="correlation")
    study = study.changed(arms={**study.arms, **extra}, claims=(claim,))
    places = [(arm, 0.0, 0.2) for arm in arms]
    accuracy = dict(zip(places, ([0.1, 0.1, 0.2], [0.2, 0.3, 0.2], [0.3, 0.2, 0.2]), strict=True))
    other = dict(zip(places, ([1.0, 1.0, 1.0], [2.0, 3.0, 2.0], [2.0, 3.0, 3.0]), strict=True))
    records = [
        replace(one, metrics={**one.metrics, **two.metrics})
        for one, two in zip(simulate(accuracy), simulate(other, "stability.norm"), strict=True)
    ]
    (verdict,) = judge(study, "desk", ["f"], records)
    expected = [
        float(np.corrcoef([accuracy[p][s] for p in places], [other[p][s] for p in places])[0, 1]) for s in (0, 1)
    ]
    # the accuracies of the third seed are equal, so that it has no correlation
    assert (verdict.n, verdict.estimate) == (2, pytest.approx(mean(expected)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"statistic": "correlation"}, "two terms with the same three or more arms"),
        ({"terms": [], "not_run": "no", "primary": True}, "terms, for a primary claim or an expected contrast"),
        ({"expected": 0.0}, "a number that is not the boundary"),
        ({"expected": 0.02, "relation": "equivalent", "margin": 0.02}, "a number that is not the boundary"),
        ({"relation": "equivalent"}, "margin"),
        ({"margin": 0.1}, "margin"),
        ({"relation": "equivalent", "margin": -1.0}, "positive"),
        ({"terms": []}, "exactly one of terms, exact and not_run; got 0"),
        ({"exact": "separator.noisy"}, "got 2 of them"),
        ({"output": "ff"}, "did you mean 'f'"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(change, words) -> None:
    with pytest.raises(ValueError, match=words):
        _study(_claim(**change))


def test_more_than_five_primary_claims_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 5 primary claims in the study; got 6 \(c0, c1"):
        _study(*(_claim(f"c{i}", primary=True) for i in range(6)))


def test_claims_are_frozen() -> None:
    claim = Claim.parse(_claim())
    with pytest.raises(ValueError, match="frozen"):
        claim.relation = "<"


def test_an_estimate_on_its_boundary_leans_nowhere() -> None:
    (above, within) = _study(_claim("a"), _claim("b", relation="equivalent", margin=0.01)).claims
    assert leaning(above, 0.01) == "towards the claim"
    assert leaning(above, -0.01) == "against the claim"
    assert leaning(above, 0.0) == ""
    assert (leaning(within, -0.005), leaning(within, 0.02)) == ("towards the claim", "against the claim")


def test_only_an_inconclusive_verdict_leans(simulate) -> None:
    assert (_verdict(simulate, NOISE).name, _verdict(simulate, NOISE).leaning) == ("inconclusive", "towards the claim")
    assert _verdict(simulate, CLEAR).leaning == ""
