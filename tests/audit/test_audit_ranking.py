"""The order of the labels and how many of the first are wrong."""

import pytest
import torch
from torch import Tensor

from softtargets.audit import ranking
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.ranking import RankedLabels, RankingPass, estimate_cutoffs
from softtargets.matrices import Transition
from softtargets.noise import ConfidentJoint, NoiseMixture, NoiseRange
from softtargets.noise.streaming.blocks import LabelledBlock

SCORES = torch.tensor([0.9, 0.1, 0.8, 0.2])
PROBS = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.4, 0.5]])
LABELS, REFERENCE = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 2])
MIXTURE = NoiseMixture(1.0, torch.zeros(3, dtype=torch.float64), Transition.symmetric(0.1, 3), 0.5)
RATE = NoiseRange(0.5, 0.4, 0.6, 0.0, True, 1.0, {}, MIXTURE)
JOINT = ConfidentJoint(torch.ones(3, 3).fill_diagonal_(2).long(), torch.tensor([2, 2, 0]), torch.full((3,), 0.5))


def rank(evidence: LabelEvidence, cuts: tuple[int, ...], keep: bool = False) -> RankedLabels:
    found, start = RankingPass(JOINT, RATE, 4, keep=keep), 0
    for end in (*cuts, 4):
        found.add(LabelledBlock(PROBS[start:end], LABELS[start:end], start))
        start = end
    return found.finish(evidence)


@pytest.fixture(autouse=True)
def _given_scores(monkeypatch) -> None:
    def posterior(block: LabelledBlock, mixture: NoiseMixture) -> Tensor:
        return SCORES[block.first_row : block.first_row + len(block)]

    monkeypatch.setattr(ranking, "posterior_of", posterior)


@pytest.fixture(params=[(), (1, 3)], ids=["whole", "cut"])
def cuts(request) -> tuple[int, ...]:
    return request.param


def evidence(reference: Tensor | None = REFERENCE) -> LabelEvidence:
    return LabelEvidence(lambda check: iter(()), ("a", "b", "c"), reference=reference)


def test_probabilities_of_being_wrong_follow_the_order_and_sum_to_the_rate(cuts):
    ranked = rank(evidence(), cuts)
    assert ranked.suspects.rows.tolist() == [1, 3]
    assert float((ranked.curve.wrong * ranked.curve.counts).sum()) == pytest.approx(4 * 0.5)
    assert ranked.curve.wrong.tolist() == sorted(ranked.curve.wrong.tolist(), reverse=True)
    assert ranked.curve.share_above(0.0) == 1.0
    assert ranked.curve.share_above(1.1) == 0.0


def test_suspects_are_suggested_the_best_other_class(cuts):
    suspects = rank(evidence(), cuts).suspects
    assert suspects.rows.tolist() == [1, 3]
    assert suspects.given.tolist() == [0, 1]
    assert suspects.suggested.tolist() == [1, 2]
    assert suspects.scores["self_confidence"].tolist() == [pytest.approx(0.2), pytest.approx(0.4)]
    assert suspects.scores["normalized_margin"].tolist() == [pytest.approx(0.25), pytest.approx(0.45)]
    assert suspects.reference is not None
    assert suspects.reference.tolist() == [1, 2]


def test_labels_that_are_the_predicted_class_are_no_suspects(monkeypatch):
    # the first of the ranking is labelled with the predicted class
    order = torch.tensor([0.1, 0.9, 0.8, 0.2])
    monkeypatch.setattr(ranking, "posterior_of", lambda block, mixture: order[block.first_row :][: len(block)])
    assert rank(evidence(), ()).suspects.rows.tolist() == [3]


def test_only_the_first_suspects_are_listed_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(ranking, "MOST_SUSPECTS", 1)
    ranked = rank(evidence(None), ())
    assert ranked.suspects.rows.tolist() == [1]
    assert ranked.num_suspects == 2


def test_cutoffs_count_the_wrong_by_the_reference(cuts):
    found = list(estimate_cutoffs(rank(evidence(), cuts, keep=True), REFERENCE != LABELS))
    assert [cutoff.first for cutoff in found] == [1, 2, 3, 4]
    assert [cutoff.true for cutoff in found] == [1, 2, 2, 2]
    assert found[-1].wrong.estimate == pytest.approx(2.0)
    assert all(cutoff.wrong.low <= cutoff.wrong.estimate <= cutoff.wrong.high for cutoff in found)
