"""Soft labels: expected scores over the distribution of each example, and the part that no predictions can avoid."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from softtargets import metrics
from softtargets.metrics import ECE, NLL, Accuracy, Brier, Collection, LabelUncertainty

N, K, VOTES = 400, 5, 7
generator = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(N, K, generator=generator)
PROBS = LOGITS.softmax(-1)
LABELS = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]
DRAWN = torch.multinomial((LOGITS / 2).softmax(-1), VOTES, replacement=True, generator=generator)
COUNTS = one_hot(DRAWN, K).sum(1)

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("accuracy", {}),
    ("accuracy", {"top_k": 3}),
    ("nll", {}),
    ("brier", {}),
    ("ece", {}),
    ("ece", {"norm": "max", "n_bins": 10}),
    ("ece", {"norm": "l2", "debiased": True}),
    ("ece", {"classwise": True}),
    ("ece", {"classwise": True, "norm": "l2", "debiased": True}),
    ("ece", {"binning": "mass"}),
    ("ece", {"binning": "mass", "classwise": True, "norm": "l2", "debiased": True}),
]


def _score(name: str, predictions: dict[str, Tensor], labels: Tensor, **settings: Any) -> float:
    return float(getattr(metrics, name)(**predictions, labels=labels, **settings))


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
@pytest.mark.parametrize("predictions", [{"probs": PROBS}, {"logits": LOGITS}], ids=["probs", "logits"])
def test_one_vote_per_example_gives_the_score_of_the_label_to_the_last_bit(name, settings, predictions) -> None:
    expected = _score(name, predictions, LABELS, **settings)
    votes = one_hot(LABELS, K)
    for soft in (votes, 3 * votes, votes.to(torch.uint8), votes.float(), votes.bool()):
        assert _score(name, predictions, soft, **settings) == expected


def test_an_impossible_class_without_votes_does_not_count() -> None:
    probs = torch.tensor([[0.5, 0.5, 0.0]])
    assert float(metrics.nll(probs, torch.tensor([[1, 1, 0]]))) == pytest.approx(math.log(2), abs=1e-9)
    assert float(metrics.nll(probs, torch.tensor([[1, 1, 1]]))) == math.inf
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    assert float(metrics.nll(logits=logits, labels=torch.tensor([[1, 1, 0]]))) == pytest.approx(math.log(2), abs=1e-9)


@pytest.mark.parametrize(("name", "settings"), SETTINGS[:4])
def test_it_is_the_mean_over_the_annotators(name, settings) -> None:
    """Each annotator's labels are scored alone: every annotator has one vote for every example."""
    alone = [_score(name, {"logits": LOGITS}, DRAWN[:, annotator], **settings) for annotator in range(VOTES)]
    assert _score(name, {"logits": LOGITS}, COUNTS, **settings) == pytest.approx(sum(alone) / VOTES, rel=1e-9)
    shares = COUNTS.double() / VOTES
    assert _score(name, {"logits": LOGITS}, shares, **settings) == pytest.approx(sum(alone) / VOTES, rel=1e-9)


@pytest.mark.parametrize("classwise", [False, True])
@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_calibration_error_is_that_of_every_vote_as_an_example(binning, classwise) -> None:
    settings = {"binning": binning, "classwise": classwise}
    repeated = {"probs": PROBS.repeat_interleave(VOTES, 0)}
    if binning == "width":
        expected = _score("ece", repeated, DRAWN.reshape(-1), **settings)
        assert _score("ece", {"probs": PROBS}, COUNTS, **settings) == pytest.approx(expected, abs=1e-9)
    else:
        # one bin: repeated examples move the cuts of several
        expected = _score("ece", repeated, DRAWN.reshape(-1), n_bins=1, **settings)
        assert _score("ece", {"probs": PROBS}, COUNTS, n_bins=1, **settings) == pytest.approx(expected, abs=1e-9)


def test_debiased_subtracts_the_variance_of_the_probabilities_of_being_right() -> None:
    probs, soft = torch.tensor([[0.75, 0.25]] * 3), torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    mean = (1 + 0.5 + 0.25) / 3
    variance = (1 + 0.25 + 0.0625) / 3 - mean**2
    expected = math.sqrt((mean - 0.75) ** 2 - variance / 2) if (mean - 0.75) ** 2 > variance / 2 else 0.0
    found = metrics.ece(probs, soft, norm="l2", debiased=True, n_bins=1)
    assert float(found) == pytest.approx(expected, abs=1e-9)
    spread = torch.tensor([[0.35, 0.65], [0.3, 0.7], [0.4, 0.6]])
    mean, variance = 0.35, (0.35**2 + 0.3**2 + 0.4**2) / 3 - 0.35**2
    for binning in ("width", "mass"):
        found = metrics.ece(probs, spread, norm="l2", debiased=True, n_bins=1, binning=binning)
        assert float(found) == pytest.approx(math.sqrt(0.4**2 - variance / 2), abs=1e-7)


def test_predictions_equal_to_the_labels_reach_the_smallest_scores() -> None:
    soft = COUNTS.double() / VOTES
    least = metrics.label_uncertainty(COUNTS)
    assert float(metrics.nll(soft, COUNTS)) == pytest.approx(float(least.nll), abs=1e-9)
    assert float(metrics.brier(soft, COUNTS)) == pytest.approx(float(least.brier), abs=1e-9)
    assert 1 - float(metrics.accuracy(soft, COUNTS)) == pytest.approx(float(least.error), abs=1e-9)
    assert float(metrics.ece(soft, COUNTS)) == pytest.approx(0, abs=1e-9)
    assert float(metrics.ece(soft, COUNTS, classwise=True)) == pytest.approx(0, abs=1e-9)
    divergence = (torch.special.entr(soft).neg() - soft * PROBS.double().log()).sum(1).mean()
    assert float(metrics.nll(PROBS, COUNTS)) == pytest.approx(float(least.nll + divergence), rel=1e-9)
    distance = (soft - PROBS.double()).square().sum(1).mean()
    assert float(metrics.brier(PROBS, COUNTS)) == pytest.approx(float(least.brier + distance), rel=1e-9)


def test_the_uncertainty_of_labels_by_hand_and_accumulated() -> None:
    votes = torch.tensor([[2, 2, 0], [3, 0, 1], [0, 5, 0]])
    entropies = [math.log(2), -0.75 * math.log(0.75) - 0.25 * math.log(0.25), 0.0]
    assert metrics.label_entropy(votes).tolist() == pytest.approx(entropies, abs=1e-12)
    found = metrics.label_uncertainty(votes)
    assert isinstance(found, metrics.UncertaintyParts)
    assert [float(x) for x in vars(found).values()] == pytest.approx(
        [sum(entropies) / 3, (0.5 + 0.375 + 0) / 3, (0.5 + 0.25 + 0) / 3], abs=1e-12
    )
    kept = metrics.label_uncertainty(votes.T, mask=torch.tensor([True, False, True]), class_dim=0)
    assert float(kept.error) == 0.25
    gathered = LabelUncertainty().update(votes / votes.sum(1, keepdim=True), votes)
    assert gathered.compute().tolist() == pytest.approx([float(x) for x in vars(found).values()], abs=1e-9)
    assert LabelUncertainty().update(PROBS, LABELS).compute().tolist() == [0, 0, 0]
    numbers = metrics.label_uncertainty(votes.numpy())
    assert isinstance(numbers.nll, np.ndarray)
    assert metrics.label_entropy(votes.reshape(3, 1, 3)).shape == (3, 1)


def _suite() -> Collection:
    made = {"acc": Accuracy(groups=50), "nll": NLL(groups=50), "brier": Brier(groups=50), "ece": ECE(groups=50)}
    more = {"mass": ECE(binning="mass", groups=50), "each": ECE(classwise=True, norm="l2", debiased=True, groups=50)}
    return Collection(made | more | {"least": LabelUncertainty(groups=50)})


def test_any_split_merge_and_saved_state_give_the_same_bits() -> None:
    ids = torch.arange(N)
    whole = _suite().update(logits=LOGITS, labels=COUNTS, ids=ids)
    parts = [_suite().update(logits=LOGITS[i::3], labels=COUNTS[i::3], ids=ids[i::3]) for i in range(3)]
    merged = _suite()
    for part in parts:
        again = _suite()
        again.load_state_dict(part.state_dict())
        merged.merge(again)
    for name, state in whole.state_dict().items():
        other = merged.state_dict()[name]
        assert all(torch.equal(array, other[key]) for key, array in state.items() if key != "rows_seen"), name


def test_rows_are_left_out_by_a_mask_without_being_checked() -> None:
    soft = COUNTS.clone()
    soft[7] = 0
    mask = torch.ones(N, dtype=torch.bool)
    mask[7] = False
    left = [i for i in range(N) if i != 7]
    assert float(metrics.nll(PROBS, soft, mask=mask)) == float(metrics.nll(PROBS[left], COUNTS[left]))
    by_axis = metrics.nll(PROBS.T.contiguous(), COUNTS.T.contiguous(), class_dim=0)
    assert float(by_axis) == float(metrics.nll(PROBS, COUNTS))


def test_votes_on_a_binary_problem_in_one_column() -> None:
    votes = COUNTS[:, :2] + 1
    two = torch.stack([1 - PROBS[:, 0], PROBS[:, 0]], 1)
    assert float(metrics.nll(PROBS[:, 0], votes)) == float(metrics.nll(two, votes))


def test_the_interval_of_an_expected_score_has_its_coverage_when_votes_of_an_example_agree() -> None:
    """The votes of an example are not independent: resampling votes instead of examples would be too narrow."""
    draw = torch.Generator().manual_seed(1)
    covered = 0
    for _ in range(100):
        easy = torch.rand(100, generator=draw)  # the share of annotators who agree with the prediction
        counts = torch.binomial(torch.full((100,), 50.0), easy, generator=draw)
        votes = torch.stack([counts, 50 - counts], 1)
        made = Accuracy(groups=1000).update(torch.tensor([[0.9, 0.1]]).repeat(100, 1), votes)
        found = metrics.interval(made, n_draws=200, generator=draw)
        covered += bool(found.low <= 0.5 <= found.high)
    assert 88 <= covered <= 100


WRONG: dict[str, tuple[Tensor, str]] = {
    "negative": (COUNTS.index_fill(0, torch.tensor([3]), -1), "labels: .* at least 0; got -1 at row 3, class 0; fix"),
    "not a number": (COUNTS * torch.nan, "labels: .*; got nan at row 0, class 0; fix that row"),
    "endless": (COUNTS * torch.inf, "labels: .*; got (nan|inf) at row 0"),
    "no votes": (
        COUNTS.index_fill(0, torch.tensor([5]), 0),
        "labels: at least one vote in every row; got none at row 5",
    ),
    "not whole": (
        COUNTS + 0.5,
        "labels: whole numbers of votes, or probabilities that sum to 1; got a sum of 9.5 at row 0",
    ),
    "other classes": (
        COUNTS[:, :4],
        r"labels: shape \(400,\), or \(400, 5\) for soft labels; got \(400, 4\); give one",
    ),
    "other rows": (COUNTS[:50], r"labels: .*; got \(50, 5\)"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ["accuracy", "nll", "brier", "ece", "reliability_bins"])
def test_bad_soft_labels_are_one_sentence_with_the_row(name: str, wrong: str) -> None:
    soft, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(PROBS, soft)


def test_bad_labels_of_the_uncertainty_are_named() -> None:
    for function in (metrics.label_uncertainty, metrics.label_entropy):
        for wrong in ("negative", "no votes", "not whole", "not a number"):
            with pytest.raises(ValueError, match=WRONG[wrong][1]):
                function(WRONG[wrong][0])
        with pytest.raises(
            ValueError, match=r"labels: votes or probabilities of shape \(..., K\).*; got \(400,\); give"
        ):
            function(LABELS)
        with pytest.raises(TypeError, match=r"labels: .*; got list; pass a tensor"):
            function(COUNTS.tolist())
    with pytest.raises(ValueError, match="at least one example that is not left out"):
        metrics.label_uncertainty(COUNTS, mask=torch.zeros(N, dtype=torch.bool))


def test_an_accumulator_has_one_kind_of_labels_and_stays_unchanged_after_the_other() -> None:
    made = NLL().update(PROBS, COUNTS)
    before = made.state_dict()
    with pytest.raises(ValueError, match="labels: soft labels, as before; got hard labels; use another accumulator"):
        made.update(PROBS, LABELS)
    assert all(torch.equal(array, before[name]) for name, array in made.state_dict().items())
    with pytest.raises(ValueError, match="other: soft labels; got hard labels"):
        made.merge(NLL().update(PROBS, LABELS))
    together = Collection([NLL(), metrics.SmoothECE()])
    with pytest.raises(ValueError, match=r"labels: one class per row for SmoothECE; got soft labels; use labels"):
        together.update(PROBS, COUNTS)
    assert together.accumulators["NLL"].count == 0
