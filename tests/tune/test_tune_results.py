"""What is recommended: only a trial whose interval on fresh seeds excludes zero."""

import tomllib

import pytest

from softtargets.runs.spec import RunSpec
from softtargets.tune.fields import SearchField
from softtargets.tune.results import Guard, TuneResults, TuneTrial

RUN = RunSpec.parse({"model": {"name": "mlp", "hidden": [8]}, "training": {"epochs": 2}})
FIELD = SearchField("objective.smoothing", 0.0, 0.3)
DEFAULT = TuneTrial(None, {"objective.smoothing": 0.0}, "finished", 2, 0.9, 0.7, "d")
BEST = TuneTrial(3, {"objective.smoothing": 0.125}, "finished", 2, 0.8, 0.75, "b")


def _results(by, interval) -> TuneResults:
    guard = Guard((1, 2, 3), (0.9, 0.9, 0.9), (0.8, 0.8, 0.9), sum(interval) / 2, interval)
    return TuneResults(RUN, (FIELD,), by, DEFAULT, (BEST,), BEST, guard)


@pytest.mark.parametrize(
    ("by", "interval", "changes"),
    [
        ("nll", (-0.2, -0.1), True),
        ("nll", (-0.2, 0.01), False),
        ("nll", (0.1, 0.2), False),
        ("accuracy", (0.01, 0.03), True),
        ("accuracy", (-0.01, 0.03), False),
        ("accuracy", (-0.03, -0.01), False),
    ],
)
def test_the_interval_must_exclude_zero_on_the_better_side(by, interval, changes) -> None:
    found = _results(by, interval)
    assert found.changes is changes
    assert found.sentence.startswith("Use objective.smoothing = 0.125: " if changes else "Keep the default: ")
    recommended = RunSpec.parse(tomllib.loads(found.toml))
    assert recommended == found.recommended
    assert recommended.objective.smoothing == (0.125 if changes else 0.0)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.to_dict()["changes"] is changes


def test_equal_differences_are_no_evidence_also_with_rounding() -> None:
    """One more of 10 validation rows is right for each seed: the t interval of equal differences is a point."""
    default, best = (0.2, 0.3, 0.7), (0.3, 0.4, 0.8)
    assert len({after - before for before, after in zip(default, best, strict=True)}) > 1
    found = TuneResults(
        RUN, (FIELD,), "accuracy", DEFAULT, (BEST,), BEST, Guard((1, 2, 3), default, best, 0.1, (0.1, 0.1))
    )
    assert not found.changes
    assert found.recommended == RUN
    assert found.sentence.startswith("Keep the default: with the best trial (objective.smoothing = 0.125), ")
    assert "changes by +10.00 points on each of 3 fresh seeds; equal changes" in found.sentence
    varied = Guard((1, 2, 3), default, (0.3, 0.4, 0.9), 0.4 / 3, (0.01, 0.2))
    assert TuneResults(RUN, (FIELD,), "accuracy", DEFAULT, (BEST,), BEST, varied).changes


def test_without_a_better_trial_the_default_is_kept() -> None:
    found = TuneResults(RUN, (FIELD,), "nll", DEFAULT, (), None, None, "no trial was better")
    assert found.sentence == "Keep the default: no trial was better."
    assert found.recommended == RUN


def test_scores_are_minimised() -> None:
    assert (BEST.score("nll"), BEST.score("accuracy")) == (0.8, -0.75)
    assert TuneTrial(0, {}, "failed", 0, None, None, "x").score("accuracy") is None
