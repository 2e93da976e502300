"""max_probability, margin, negative_entropy, logit_normalized and choose_logit_norm, which gives a LogitNorm."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import calibration as reference

from softtargets.calibration import (
    LogitNorm,
    choose_logit_norm,
    logit_normalized,
    margin,
    max_probability,
    negative_entropy,
)

SCORES = {
    "max_probability": max_probability,
    "margin": margin,
    "negative_entropy": negative_entropy,
    "p=1": lambda z: logit_normalized(z, 1),
    "p=2.5": lambda z: logit_normalized(z, 2.5),
    "p=inf": lambda z: logit_normalized(z, math.inf),
}
every = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
LOGITS = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


def test_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], dtype=torch.float64)
    logits = probs.log() + 3
    assert max_probability(logits).tolist() == pytest.approx([0.5, 0.7], abs=1e-15)
    assert margin(logits).tolist() == pytest.approx([0.25, 0.5], abs=1e-15)
    entropy = -(0.1 * math.log(0.1) + 0.2 * math.log(0.2) + 0.7 * math.log(0.7))
    assert negative_entropy(logits).tolist() == pytest.approx([-1.5 * math.log(2), -entropy], abs=1e-15)
    # centred: 2 -1 -1
    row = torch.tensor([5.0, 2.0, 2.0])
    assert [float(logit_normalized(row[None], p)) for p in (1, 2, 3, math.inf)] == pytest.approx(
        [1 / 2, 2 / math.sqrt(6), 2 / 10 ** (1 / 3), 1], abs=1e-15
    )


@settings(deadline=None, database=None, max_examples=30)
@given(st.integers(2, 6), st.sampled_from([0.5, 1.0, 2.0, 3.5, 10.0, math.inf]), st.integers(0, 2**31))
def test_normalised_logits_agree_with_the_slow_loop(num_classes: int, p: float, seed: int) -> None:
    logits = torch.randn(5, num_classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 4
    slow = [reference.logit_normalized(row, p) for row in logits.tolist()]
    assert logit_normalized(logits, p).tolist() == pytest.approx(slow, abs=1e-12)


@every
def test_scores_are_float64_one_for_each_row_and_ignore_a_shift(score) -> None:
    made = score(LOGITS)
    assert made.shape == (40,)
    for dtype in (torch.bfloat16, torch.float32):
        assert score(LOGITS.to(dtype)).dtype == torch.float64
    torch.testing.assert_close(score(LOGITS.view(5, 8, 6)), made.view(5, 8), rtol=0, atol=0)
    torch.testing.assert_close(score(LOGITS + 50), made, rtol=0, atol=1e-12)
    torch.testing.assert_close(score(LOGITS[:, torch.randperm(6)]), made, rtol=0, atol=1e-12)
    assert score(LOGITS[:0]).shape == (0,)


@every
def test_a_more_confident_row_scores_higher(score) -> None:
    rows = torch.tensor([[1.0, 0.9, 0.8, 0.0], [1.0, 0.2, 0.1, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64) * 3
    made = score(rows).tolist()
    assert made == sorted(made)


@every
def test_masked_classes_take_no_part(score) -> None:
    wide = torch.cat([LOGITS, torch.full((40, 3), -math.inf, dtype=torch.float64)], 1)
    torch.testing.assert_close(score(wide), score(LOGITS), rtol=0, atol=1e-14)


def test_limits() -> None:
    flat = torch.full((1, 4), 7.0)
    assert float(max_probability(flat)) == 0.25
    assert float(margin(flat)) == 0
    assert float(negative_entropy(flat)) == pytest.approx(-math.log(4), abs=1e-15)
    only = torch.tensor([[3.0, -math.inf]])
    assert [float(score(only)) for score in (max_probability, margin, negative_entropy)] == [1, 1, 0]
    for p in (1, 2, math.inf):
        assert float(logit_normalized(flat, p)) == float(logit_normalized(only, p)) == 0
        huge = torch.tensor([[3e38, 0.0, 0.0]])
        assert float(logit_normalized(huge, p)) == pytest.approx(float(logit_normalized(huge / 1e38, p)), abs=1e-12)
    two = LOGITS[:, :2]
    torch.testing.assert_close(margin(two), 2 * max_probability(two) - 1, rtol=0, atol=1e-14)
    torch.testing.assert_close(logit_normalized(LOGITS * 9, 3), logit_normalized(LOGITS, 3), rtol=0, atol=1e-14)


def test_many_rows_are_worked_through_in_chunks() -> None:
    logits = torch.randn(70_000, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(max_probability(logits), logits.double().softmax(-1).amax(-1), rtol=0, atol=1e-15)


def test_the_norm_is_chosen_by_the_slow_area() -> None:
    generator = torch.Generator().manual_seed(2)
    labels = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]
    wrong = (LOGITS.argmax(-1) != labels).tolist()
    chosen = choose_logit_norm(LOGITS, labels)
    assert isinstance(chosen, LogitNorm)
    slow = [
        reference.aurc([reference.logit_normalized(row, p) for row in LOGITS.tolist()], wrong)
        for p in chosen.candidates[:-1]
    ]
    assert chosen.aurc[:-1].tolist() == pytest.approx(slow, abs=1e-12)
    assert chosen.p == chosen.candidates[int(chosen.aurc.argmin())]
    assert chosen.max_probability_aurc == pytest.approx(
        reference.aurc(max_probability(LOGITS).tolist(), wrong), abs=1e-12
    )
    assert choose_logit_norm(LOGITS, labels, candidates=(3.0, 3.0)).p == 3
    wide = torch.cat([LOGITS, torch.full((40, 2), -math.inf, dtype=torch.float64)], 1)
    torch.testing.assert_close(choose_logit_norm(wide, labels).aurc, chosen.aurc, rtol=0, atol=1e-12)


def test_it_corrects_a_ranking_that_the_largest_probability_gets_wrong() -> None:
    # right rows have small logits and wrong ones large: what the norm divides out
    right = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(30, 4) * torch.linspace(0.5, 1, 30)[:, None]
    wrong = torch.tensor([[9.0, 8.0, 7.0, 0.0]]).expand(10, 4) * torch.linspace(0.5, 1, 10)[:, None]
    chosen = choose_logit_norm(torch.cat([right, wrong]), torch.tensor([0] * 30 + [1] * 10))
    ideal = sum(max(0, n - 30) / n for n in range(1, 41)) / 40
    assert float(chosen.aurc.min()) == pytest.approx(ideal, abs=1e-12)
    assert chosen.max_probability_aurc > 2 * ideal


def test_errors() -> None:
    labels = torch.zeros(40, dtype=torch.int64)
    for p in (0, -1, math.nan):
        with pytest.raises(ValueError, match=f"p: above 0; got {p}"):
            logit_normalized(LOGITS, p)
    with pytest.raises(ValueError, match="candidates: at least one p; got none"):
        choose_logit_norm(LOGITS, labels, candidates=())
    with pytest.raises(ValueError, match="got a largest logit of nan at row 3"):
        margin(LOGITS.index_fill(0, torch.tensor([3]), math.nan))
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor"):
        max_probability(labels[:, None].expand(40, 2))
