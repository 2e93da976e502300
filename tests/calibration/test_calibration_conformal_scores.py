"""Scores and sets of LAC, APS and RAPS: hand numbers, a slow loop, MAPIE and TorchCP, special cases, coverage."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets.calibration import APS, LAC, RAPS
from softtargets.calibration.conformal._predictor import ConformalPredictor
from softtargets.metrics import set_coverage

REFERENCES: dict[str, Any] = json.loads(
    Path(__file__).with_name("conformal_references.json").read_text(encoding="utf-8")
)
LOGITS = torch.tensor(REFERENCES["logits"], dtype=torch.float64)
LABELS = torch.tensor(REFERENCES["labels"])
UNIFORM = torch.tensor(REFERENCES["uniform"], dtype=torch.float64)
TEST = len(LABELS) - len(UNIFORM)
ALPHAS = [float(alpha) for alpha in REFERENCES["mapie"]]

generator = torch.Generator().manual_seed(0)


def slow_score(probs: list[float], label: int, u: float, penalty: float, k_reg: int) -> float:
    """The score of one class, from the definition."""
    order = sorted(range(len(probs)), key=lambda k: (-probs[k], k))
    rank = order.index(label)
    before = sum(probs[k] for k in order[:rank])
    return before + u * probs[label] + penalty * max(0, rank + 1 - k_reg)


def test_scores_by_hand() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    torch.testing.assert_close(LAC().scores(logits)[0], torch.tensor([0.8, 0.5, 0.7]).double(), rtol=0, atol=1e-7)
    u = torch.tensor([0.5])
    expected = torch.tensor([0.8 + 0.1, 0.25, 0.5 + 0.15]).double()
    torch.testing.assert_close(APS().scores(logits, uniform=u)[0], expected, rtol=0, atol=1e-7)
    penalised = expected + torch.tensor([0.4, 0.0, 0.2])
    found = RAPS(penalty=0.2, k_reg=1).scores(logits, uniform=u)[0]
    torch.testing.assert_close(found, penalised, rtol=0, atol=1e-7)


def test_scores_agree_with_the_slow_loop_also_on_ties() -> None:
    logits = torch.randn(40, 6, generator=generator, dtype=torch.float64).round(decimals=1)
    logits[:5] = 0
    u = torch.rand(40, generator=generator, dtype=torch.float64)
    probs = logits.softmax(-1).tolist()
    for predictor, numbers, penalty, k_reg in (
        (APS(), u, 0.0, 0),
        (APS(randomized=False), torch.ones(40).double(), 0.0, 0),
        (RAPS(penalty=0.3, k_reg=2), u, 0.3, 2),
        (RAPS(penalty=0.3, k_reg=2, randomized=False), torch.ones(40).double(), 0.3, 2),
    ):
        given: dict[str, Any] = {"uniform": u} if predictor.randomized else {}
        found = predictor.scores(logits, **given)
        slow = [
            [slow_score(row, k, one, penalty, k_reg) for k in range(6)]
            for row, one in zip(probs, numbers.tolist(), strict=True)
        ]
        torch.testing.assert_close(found, torch.tensor(slow, dtype=torch.float64), rtol=0, atol=1e-14)


def test_without_a_penalty_raps_is_aps() -> None:
    u = torch.rand(len(LABELS), generator=generator, dtype=torch.float64)
    aps = APS().scores(LOGITS, uniform=u)
    assert torch.equal(RAPS(penalty=0).scores(LOGITS, uniform=u), aps)
    assert torch.equal(RAPS(penalty=0.5, k_reg=LOGITS.shape[1]).scores(LOGITS, uniform=u), aps)


def fitted(predictor: ConformalPredictor, alpha: float) -> tuple[ConformalPredictor, Tensor]:
    """Fit to the calibration rows of the references, and return the sets of the others."""
    n = len(UNIFORM)
    given = (UNIFORM, UNIFORM[:TEST]) if predictor.randomized else (None, None)
    predictor.fit(LOGITS[:n], LABELS[:n], alpha=alpha, uniform=given[0])
    return predictor, predictor.predict_sets(LOGITS[n:], uniform=given[1])


# In floating point ceil(150 * (1 - 0.18)) is 124, not 123: both libraries take the next score as their threshold.
RANK_ABOVE = 0.18


def their_rank(predictor: ConformalPredictor, alpha: float) -> float:
    """Return the threshold at the rank in floating point."""
    n = len(UNIFORM)
    given: dict[str, Any] = {"uniform": UNIFORM} if predictor.randomized else {}
    scores = predictor.scores(LOGITS[:n], **given).gather(1, LABELS[:n, None])[:, 0]
    return float(scores.sort().values[math.ceil((n + 1) * (1 - alpha)) - 1])


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(
    ("name", "predictor"),
    [
        ("lac", LAC()),
        ("aps", APS(randomized=False)),
        ("aps_randomized", APS()),
        ("raps", RAPS(penalty=0.1, k_reg=1, randomized=False)),
        ("raps_randomized", RAPS(penalty=0.1, k_reg=1)),
        ("lac_by_class", LAC(class_conditional=True)),
    ],
)
def test_thresholds_sets_and_metrics_of_torchcp(name: str, predictor: ConformalPredictor, alpha: float) -> None:
    theirs = REFERENCES["torchcp"][str(alpha)][name]
    ours, sets = fitted(predictor, alpha)
    if alpha == RANK_ABOVE and name != "lac_by_class":
        # TorchCP computes probabilities in float32
        assert theirs["threshold"] == pytest.approx(their_rank(predictor, alpha), abs=1e-6)
        assert float(ours.thresholds) < theirs["threshold"] - 1e-4
        return
    assert ours.thresholds.tolist() == pytest.approx(torch.tensor(theirs["threshold"]).reshape(-1).tolist(), abs=1e-6)
    assert sets.int().tolist() == theirs["sets"]
    found = set_coverage(sets, LABELS[len(UNIFORM) :], alpha=alpha)
    assert float(found.coverage) == pytest.approx(theirs["coverage"])
    assert float(found.mean_size) == pytest.approx(theirs["mean_size"])
    # theirs is in percent
    assert 100 * float(found.class_gap) == pytest.approx(theirs["class_gap"], rel=1e-5)
    covered = found.size_coverage.nan_to_num() * found.size_rows
    gaps = [
        abs(float(covered[low:high].sum() / found.size_rows[low:high].sum()) - (1 - alpha))
        for low, high in ((0, 2), (2, 4), (4, 6))
        if int(found.size_rows[low:high].sum())
    ]
    assert max(gaps) == pytest.approx(theirs["worst_stratum_gap"], rel=1e-5)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("name", "predictor"), [("lac", LAC()), ("aps_randomized", APS())])
def test_thresholds_and_sets_of_mapie(name: str, predictor: ConformalPredictor, alpha: float) -> None:
    theirs, n = REFERENCES["mapie"][str(alpha)][name], len(UNIFORM)
    # MAPIE subtracts u p from the sum up to a class
    randomized = predictor.randomized
    own: dict[str, Any] = {"uniform": 1 - UNIFORM} if randomized else {}
    new: dict[str, Any] = {"uniform": 1 - UNIFORM[:TEST]} if randomized else {}
    predictor.fit(LOGITS[:n], LABELS[:n], alpha=alpha, **own)
    if alpha == RANK_ABOVE:
        scores = predictor.scores(LOGITS[:n], **own).gather(1, LABELS[:n, None])[:, 0]
        assert theirs["threshold"] == pytest.approx(float(scores.sort().values[123]), abs=1e-12)
        assert float(predictor.thresholds) == float(scores.sort().values[122])
        return
    assert float(predictor.thresholds) == pytest.approx(theirs["threshold"], abs=1e-12)
    assert predictor.predict_sets(LOGITS[n:], **new).int().tolist() == theirs["sets"]


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_mapies_sets_that_are_not_randomised_have_another_last_class(alpha: float) -> None:
    """MAPIE calibrates with random numbers in both cases, and then always, or never, keeps the class that reaches q."""
    n = len(UNIFORM)
    predictor = APS().fit(LOGITS[:n], LABELS[:n], alpha=alpha, uniform=1 - UNIFORM)
    q, labels = float(predictor.thresholds), LABELS[n:]
    ordered, order = LOGITS[n:].softmax(-1).sort(dim=-1, descending=True, stable=True)
    sums = ordered.cumsum(-1)
    below = sums <= q
    reaches = torch.cat([torch.ones(TEST, 1).bool(), below[:, :-1]], 1)
    first = torch.arange(LOGITS.shape[1]) == 0
    for name, kept in (("aps_last", reaches), ("aps_without_last", below | first)):
        expected = torch.zeros_like(kept).scatter(1, order, kept)
        assert expected.int().tolist() == REFERENCES["mapie"][str(alpha)][name]["sets"]
    coverage = {
        name: float(set_coverage(torch.tensor(one["sets"]).bool(), labels, alpha=alpha).coverage)
        for name, one in REFERENCES["mapie"][str(alpha)].items()
    }
    ours = predictor.predict_sets(LOGITS[n:], uniform=1 - UNIFORM[:TEST])
    exact = float(set_coverage(ours, labels, alpha=alpha).coverage)
    assert coverage["aps_without_last"] < exact == coverage["aps_randomized"] < coverage["aps_last"]


@pytest.mark.parametrize("make", [LAC, APS, lambda: RAPS(penalty=0.05, k_reg=2), lambda: LAC(class_conditional=True)])
def test_the_mean_coverage_over_calibration_sets_is_as_guaranteed(make: Any) -> None:
    draws = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    shares = []
    for _ in range(100):
        logits = 2 * torch.randn(300, 3, generator=draws, dtype=torch.float64)
        labels = torch.multinomial((logits / 3).softmax(-1), 1, generator=draws)[:, 0]
        predictor = make().fit(logits[:79], labels[:79], alpha=0.2)
        covered = predictor.predict_sets(logits[79:]).gather(1, labels[79:, None])[:, 0].double()
        shares.append(float(covered.mean()))
    error = torch.tensor(shares).std() / 10
    # scores have no ties: the coverage is between 0.8 and 0.8 + 1 / (n + 1), of about 26 rows for each class
    slack = 1 / 20 if make().class_conditional else 1 / 80
    assert 0.8 - 3 * error < sum(shares) / 100 < 0.8 + slack + 3 * error
