"""Estimates of rows that are read block by block are those of all rows at once, for any cut into blocks."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets.noise.estimators.registry import ESTIMATORS, observed_label_estimators, streamed_estimators
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.bootstrap import ConfidentBootstrap
from softtargets.noise.streaming.columns import ColumnRanks
from softtargets.noise.streaming.ranking import LowestRows, ScoreCounts, WrongCurve

CASES = ("plain", "two classes", "ties", "constant", "no label of a class", "rare class", "float64")


def rows_of(case: str, size: int = 700) -> tuple[Tensor, Tensor]:
    """Return probabilities and labels."""
    generator = torch.Generator().manual_seed(CASES.index(case))
    classes = 2 if case == "two classes" else 5
    labels = torch.randint(classes, (size,), generator=generator)
    logits = torch.randn(size, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(size), labels] += 2
    probs = logits.softmax(1)
    if case == "ties":
        probs = (probs * 8).round().clamp(min=1)
        probs /= probs.sum(1, keepdim=True)
    if case == "constant":
        probs = torch.full_like(probs, 1 / classes)
    if case == "no label of a class":
        labels[labels == 3] = 1
    if case == "rare class":
        labels[labels == 3] = 1
        labels[size // 2] = 3
    return probs if case == "float64" else probs.float(), labels


def cut(probs: Tensor, labels: Tensor, seed: int = 0) -> Iterator[LabelledBlock]:
    """Yield the rows in blocks of random lengths, some of one row."""
    places = random.Random(seed).sample(range(1, len(labels)), min(9, len(labels) - 1))
    for start, end in itertools.pairwise(sorted({0, 1, *places, len(labels)})):
        yield LabelledBlock(probs[start:end], labels[start:end], start)


def streamed(name: str, probs: Tensor, labels: Tensor, seed: int) -> Tensor:
    ranks = ColumnRanks(probs.shape[1])
    stream = ESTIMATORS[name].streamed(probs.shape[1], ranks)
    for block in cut(probs, labels, seed):
        ranks.count(block)
        stream.first(block)
    stream.begin_second(labels.bincount(minlength=probs.shape[1]))
    for block in cut(probs, labels, seed):
        ranks.collect(block)
        stream.second(block)
    stream.begin_third()
    for block in cut(probs, labels, seed):
        stream.third(block)
    found = stream.result()
    return (found.transition if isinstance(found, noise.ConfidentJoint) else found).to_dense()


def test_every_estimator_without_clean_labels_has_a_stream() -> None:
    assert streamed_estimators() == observed_label_estimators()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", streamed_estimators())
def test_a_streamed_estimate_is_that_of_all_rows(name: str, case: str) -> None:
    probs, labels = rows_of(case)
    expected = noise.estimate_transition(probs, labels, method=name).to_dense()
    for seed in range(4):
        assert torch.equal(streamed(name, probs, labels, seed), expected)


@pytest.mark.parametrize("loose", [3, 10**6])
@pytest.mark.parametrize("case", CASES)
def test_values_at_ranks_are_those_of_sorted_columns(monkeypatch, case: str, loose: int) -> None:
    monkeypatch.setattr("softtargets.noise.streaming.columns._LOOSE", loose)
    probs, labels = rows_of(case, 200)
    ranks = ColumnRanks(probs.shape[1])
    for block in cut(probs, labels):
        ranks.count(block)
    wanted = [torch.randint(200, (probs.shape[1],)) for _ in range(3)]
    wanted += [torch.zeros_like(wanted[0]), torch.full_like(wanted[0], 199)]
    wanted[0][1] = -1
    asked = [ranks.ask(rank) for rank in wanted]
    for block in cut(probs, labels, 1):
        ranks.collect(block)
    ordered = probs.double().sort(0).values
    for question, rank in zip(asked, wanted, strict=True):
        expected = ordered.gather(0, rank.clamp(min=0)[None])[0]
        expected[rank < 0] = torch.nan
        torch.testing.assert_close(ranks.found(question), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("max_rows", [700, 300])
@pytest.mark.parametrize("case", CASES)
def test_streamed_draws_are_those_of_the_bootstrap(case: str, max_rows: int) -> None:
    probs, labels = rows_of(case)
    settings: dict[str, Any] = {"n_draws": 20, "max_rows": max_rows}
    expected = noise.bootstrap_transition(probs, labels, generator=torch.Generator().manual_seed(3), **settings)
    joint = noise.confident_joint(probs, labels)
    for seed in range(3):
        counts = labels.bincount(minlength=probs.shape[1])
        found = ConfidentBootstrap(counts, lambda: labels, generator=torch.Generator().manual_seed(3), **settings)
        for block in cut(probs, labels, seed):
            found.sum(block)
        found.begin_counts()
        for block in cut(probs, labels, seed):
            found.count(block)
        interval = found.interval(joint, 0.95)
        assert interval.stratified_draws == expected.stratified_draws
        ends = ("noise_rate", "noise_rate_low", "noise_rate_high")
        assert [getattr(interval, end) for end in ends] == pytest.approx([getattr(expected, end) for end in ends])
        torch.testing.assert_close(interval.low, expected.low, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(interval.high, expected.high, rtol=1e-12, atol=1e-14)


def test_a_rare_class_makes_stratified_draws() -> None:
    probs, labels = rows_of("rare class")
    assert noise.bootstrap_transition(probs, labels, n_draws=20).stratified_draws > 0


@pytest.mark.parametrize("split", [None, 300])
def test_public_sums_and_counts_give_the_confident_joint(split: int | None) -> None:
    probs, labels = rows_of("plain")
    expected = noise.confident_joint(probs, labels)
    sums = noise.ConfidentSums(5).update(probs[:split], labels[:split])
    if split:
        sums.merge(noise.ConfidentSums(5).update(probs[split:], labels[split:]))
    counts = noise.ConfidentCounts(sums).update(probs[:split], labels[:split])
    if split:
        counts.merge(noise.ConfidentCounts(sums).update(probs[split:], labels[split:]))
    found = counts.compute()
    assert torch.equal(found.counts, expected.counts)
    assert torch.equal(found.thresholds, expected.thresholds)
    assert torch.equal(found.class_counts, expected.class_counts)


def test_public_sums_leave_out_what_the_joint_leaves_out() -> None:
    probs, labels = rows_of("plain")
    labels[::7] = -100
    mask = torch.arange(len(labels)) % 5 > 0
    expected = noise.confident_joint(probs, labels, mask=mask)
    sums = noise.ConfidentSums(5).update(probs.numpy(), labels.numpy(), mask=mask.numpy())
    assert torch.equal(noise.ConfidentCounts(sums).update(probs, labels, mask=mask).compute().counts, expected.counts)


def test_public_sums_and_counts_refuse_what_does_not_fit() -> None:
    probs, labels = rows_of("plain")
    sums = noise.ConfidentSums(5).update(probs, labels)
    before = sums.thresholds
    with pytest.raises(ValueError, match="probs: 5 classes"):
        sums.update(probs[:, :3].softmax(1), labels.clamp(max=2))
    with pytest.raises(ValueError, match="probs: probabilities, each row summing to 1"):
        sums.update(2 * probs, labels)
    with pytest.raises(ValueError, match="labels"):
        sums.update(probs, labels + 3)
    assert torch.equal(sums.thresholds, before)
    with pytest.raises(ValueError, match="other: 5 classes"):
        sums.merge(noise.ConfidentSums(4))
    with pytest.raises(TypeError, match="other: ConfidentSums"):
        sums.merge(noise.ConfidentCounts(sums))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="sums: ConfidentSums"):
        noise.ConfidentCounts(probs)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="other: counts with the same sums"):
        noise.ConfidentCounts(sums).merge(noise.ConfidentCounts(noise.ConfidentSums(5)))


@pytest.mark.parametrize("most", [10**6, 64])
def test_scores_are_counted_and_bits_are_dropped_alike_for_any_order(most: int) -> None:
    scores = torch.rand(5000, generator=torch.Generator().manual_seed(0))
    scores[::3] = scores[0]
    scores[1::500] = 0.0
    scores[2::500] = -0.0
    expected = None
    for seed in range(4):
        order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed))
        one, other = ScoreCounts(most), ScoreCounts(most)
        for place, part in enumerate(scores[order].split(617)):
            (one if place % 2 else other).add(part)
        one.merge(other)
        values, counts = one.compute()
        expected = expected or (values, counts)
        assert torch.equal(values, expected[0])
        assert torch.equal(counts, expected[1])
        assert int(counts.sum()) == 5000
        assert len(values) <= most
        assert float((values[one.places(scores)] - scores).abs().max()) <= (0 if most > 5000 else 1 / 16)


def test_the_curve_of_counts_is_that_of_all_labels() -> None:
    posterior = (torch.rand(3000, generator=torch.Generator().manual_seed(1)) ** 0.2 * 500).round() / 500
    wrong = (1 - posterior.double()).clamp(0.5 / 3000, 1 - 0.5 / 3000)
    order = noise.suspect_order(posterior)
    rates = {"noise_rate": 0.2, "noise_rate_interval": (0.15, 0.28)}
    expected = noise.expected_wrong(wrong, order, **rates)
    values, counts = posterior.unique(return_counts=True)
    curve = WrongCurve.of(values, counts, rate=0.2, rate_interval=(0.15, 0.28), confidence=0.95)
    firsts = torch.tensor([1, 2, 17, 500, 2999, 3000])
    found = curve.at(firsts)
    for name in ("expected", "low", "high"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name)[firsts - 1], rtol=1e-10, atol=1e-10)


def test_the_lowest_rows_are_those_of_a_stable_sort() -> None:
    scores = torch.randint(50, (200_000,), generator=torch.Generator().manual_seed(0)).float()
    expected = scores.argsort(stable=True)[:1000]
    for size in (200_000, 30_011):
        lowest = LowestRows(1000)
        for rows in torch.arange(200_000).split(size):
            lowest.add(scores[rows], lambda chosen, rows=rows: {"row": rows[chosen]})
        found = lowest.compute()
        assert torch.equal(found["row"], expected)
        assert torch.equal(found["score"], scores[expected])
