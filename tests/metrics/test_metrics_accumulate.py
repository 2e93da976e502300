"""Accumulators: any split and any order of the examples gives the same bits."""

import copy
import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from softtargets import metrics
from softtargets._numerics import sum_of_rows

MAKERS: dict[str, Any] = {
    "accuracy": metrics.Accuracy,
    "top 2": lambda **options: metrics.Accuracy(top_k=2, **options),
    "nll": metrics.NLL,
    "brier": metrics.Brier,
    "parts": lambda **options: metrics.BrierDecomposition(n_bins=4, **options),
    "ece": metrics.ECE,
    "mass": lambda **options: metrics.ECE(binning="mass", norm="max", **options),
    "classwise": lambda **options: metrics.ECE(n_bins=5, classwise=True, norm="l2", debiased=True, **options),
}
of_all = pytest.mark.parametrize("name", MAKERS)


def data(number: int, num_classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, num_classes, generator=generator) * 3
    return logits, torch.randint(0, num_classes, (number,), generator=generator)


def given_as(kind: str, logits: Tensor) -> dict[str, Tensor]:
    return {"logits": logits} if kind == "logits" else {"probs": logits.softmax(-1)}


def assert_same(first: metrics.Accumulator, second: metrics.Accumulator) -> None:
    states = first.state_dict(), second.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        assert array.dtype == torch.int64
        assert torch.equal(array, states[1][name]), name
    assert torch.equal(first.compute(), second.compute())


@of_all
@pytest.mark.parametrize(("kind", "groups"), [("logits", 5), ("probs", 1)])
def test_1_7_and_1000_shards_in_any_order_give_the_same_bits(name: str, kind: str, groups: int) -> None:
    logits, labels = data(1500)
    ids = torch.randperm(1500, generator=torch.Generator().manual_seed(1))
    whole = MAKERS[name](groups=groups).update(**given_as(kind, logits), labels=labels, ids=ids)
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(2))
    for shards in (1, 7, 1000):
        merged = MAKERS[name](groups=groups)
        for part in order.tensor_split(shards):
            rows = given_as(kind, logits[part])
            merged.merge(MAKERS[name](groups=groups).update(**rows, labels=labels[part], ids=ids[part]))
        assert merged.count == 1500
        assert_same(merged, whole)


@settings(deadline=None, database=None, max_examples=40)
@given(st.sampled_from(sorted(MAKERS)), st.lists(st.integers(0, 30), max_size=4), st.integers(0, 2**31))
def test_any_split_of_updates_and_merges_gives_the_same_bits(name: str, cuts: list[int], seed: int) -> None:
    logits, labels = data(30, 3, seed)
    ends = [0, *sorted(cuts), 30]
    whole = MAKERS[name]().update(logits=logits, labels=labels)
    updated, parts = MAKERS[name](), []
    for start, end in itertools.pairwise(ends):
        rows = {"logits": logits[start:end], "labels": labels[start:end]}
        updated.update(**rows)
        parts.append(MAKERS[name]().update(**rows))
    assert_same(updated, whole)
    merged = parts.pop()
    for part in parts:
        merged.merge(part)
    assert_same(merged, whole)


@pytest.fixture
def threads() -> Iterator[None]:
    """More threads than one, which the environment of the tests may not grant."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_a_single_row_sums_to_the_same_bits_as_among_others() -> None:
    values = data(8, 40_000)[0].double().exp()
    for row in range(8):
        assert torch.equal(sum_of_rows(values[row : row + 1]), sum_of_rows(values)[row : row + 1])


@of_all
@pytest.mark.usefixtures("threads")
def test_one_row_among_many_threads_and_columns_in_another_order_of_memory(name: str) -> None:
    logits, labels = data(3, 40_000)
    whole = MAKERS[name]().update(logits=logits, labels=labels)
    single = MAKERS[name]()
    for row in range(3):
        single.update(logits=logits[row : row + 1], labels=labels[row : row + 1])
    assert_same(single, whole)
    assert_same(MAKERS[name]().update(logits=logits.T.contiguous().T, labels=labels), whole)


@of_all
def test_the_state_can_be_saved_and_loaded(name: str) -> None:
    logits, labels = data(40)
    metric = MAKERS[name]().update(logits=logits[:25], labels=labels[:25])
    again = MAKERS[name]()
    again.load_state_dict(metric.state_dict())
    assert_same(again, metric)
    again.update(logits=logits[25:], labels=labels[25:])
    assert_same(again, MAKERS[name]().update(logits=logits, labels=labels))
    assert metric.count == 25  # what was handed out is a copy
    again.reset()
    assert again.count == 0
    assert again.state_dict() == {}


@of_all
def test_functions_and_accumulators_give_the_same_bits(name: str) -> None:
    functions: dict[str, Any] = {
        "accuracy": metrics.accuracy,
        "top 2": lambda *rows: metrics.accuracy(*rows, top_k=2),
        "nll": metrics.nll,
        "brier": metrics.brier,
        "parts": lambda *rows: torch.stack(list(vars(metrics.brier_decomposition(*rows, n_bins=4)).values())),
        "ece": metrics.ece,
        "classwise": lambda *rows: metrics.ece(*rows, n_bins=5, classwise=True, norm="l2", debiased=True),
    }
    if name in functions:
        logits, labels = data(200)
        rows = logits.softmax(-1), labels
        assert torch.equal(MAKERS[name]().update(*rows).compute(), functions[name](*rows))


def test_a_collection_gives_the_same_as_each_accumulator_alone() -> None:
    logits, labels = data(60)
    mask = torch.arange(60) % 3 > 0
    together = [make() for make in MAKERS.values()]
    metrics.Collection(dict(zip(MAKERS, together, strict=True))).update(logits=logits, labels=labels, mask=mask)
    for metric, make in zip(together, MAKERS.values(), strict=True):
        assert_same(metric, make().update(logits=logits, labels=labels, mask=mask))
        alone = make().update(logits=logits[mask], labels=labels[mask])
        assert torch.equal(metric.compute(), alone.compute())


def test_sums_beyond_a_carry_stay_exact() -> None:
    # 2^22 is where fractions are carried: 1,000 rows of 3e5 nats are 3e8
    logits, labels = torch.tensor([[3e5, 0.0]]).repeat(1000, 1), torch.ones(1000, dtype=torch.int64)
    metric = metrics.NLL().update(logits=logits, labels=labels)
    assert float(metric.compute()) == 3e5
    single = metrics.NLL()
    for _ in range(1000):
        single.update(logits=logits[:1], labels=labels[:1])
    assert_same(single, metric)
    fractions = metrics.NLL()
    for _ in range(3):
        fractions.merge(metrics.NLL().update(torch.tensor([[0.5, 0.5]]), torch.tensor([0])))
    whole, fraction = fractions.state_dict()["nll"][0].tolist()
    assert (whole, fraction) == (2, round(0.6931471805599453 * 2**40) * 3 - 2 * 2**40)


def test_a_replicate_counts_each_group_as_often_as_its_weight() -> None:
    logits, labels = data(300)
    metric = metrics.ECE(groups=8).update(logits=logits, labels=labels)
    torch.testing.assert_close(metric.replicates(torch.ones(2, 8, dtype=torch.float64))[1], metric.compute())
    twice = metric.replicates(torch.full((1, 8), 2.0, dtype=torch.float64))
    torch.testing.assert_close(twice[0], metric.compute())
    rows = metric.state_dict()["rows"]
    assert int(rows.min()) > 20  # the groups are about alike
    for make in MAKERS.values():
        metric = make(groups=8).update(logits=logits, labels=labels)
        nothing = metric.replicates(torch.zeros(1, 8, dtype=torch.float64))
        assert bool(nothing.isnan().all())


@of_all
def test_an_update_that_fails_changes_nothing(name: str) -> None:
    logits, labels = data(60_000, 20)
    metric = MAKERS[name]().update(logits=logits[:10], labels=labels[:10])
    before = metric.state_dict()
    labels[-1] = 20
    with pytest.raises(ValueError, match="got 20 at row 59999"):
        metric.update(logits=logits, labels=labels)
    after = metric.state_dict()
    assert all(torch.equal(array, after[key]) for key, array in before.items())


@of_all
@pytest.mark.parametrize("groups", [1, 3])
def test_an_update_that_fails_late_leaves_a_new_accumulator_empty(name: str, groups: int) -> None:
    logits, labels = data(60_000, 20)
    labels[-1] = 20
    metric = MAKERS[name](groups=groups)
    with pytest.raises(ValueError, match="got 20 at row 59999"):
        metric.update(logits=logits, labels=labels)
    assert (metric.count, metric.num_classes, metric.state_dict()) == (0, None, {})
    few = data(9, 3)
    assert_same(
        metric.update(logits=few[0], labels=few[1]), MAKERS[name](groups=groups).update(logits=few[0], labels=few[1])
    )


@of_all
def test_an_update_that_fails_late_is_subtracted_from_every_group(name: str) -> None:
    logits, labels = data(60_000, 20)
    ids = torch.arange(60_000) * 7 - 1000
    metric = MAKERS[name](groups=3).update(logits=logits[:50], labels=labels[:50], ids=ids[:50])
    before = metric.state_dict()
    logits[-1] = torch.nan
    with pytest.raises(ValueError, match="got nan at row 59999"):
        metric.update(logits=logits, labels=labels, ids=ids)
    after = metric.state_dict()
    assert all(torch.equal(array, after[key]) for key, array in before.items())


def test_if_one_accumulator_of_a_collection_refuses_rows_none_keeps_them() -> None:
    logits, labels = data(5, 3)
    first, wide, deep = metrics.NLL(), metrics.Brier(), metrics.Accuracy(top_k=4)
    wide.update(logits=data(1, 4)[0], labels=data(1, 4)[1])
    for others in ([wide], [deep]):
        with pytest.raises(ValueError, match=r"4 classes, as before; got 3|top_k: at most 3"):
            metrics.Collection([first, *others]).update(logits=logits, labels=labels)
        assert (first.num_classes, first.state_dict()) == (None, {})
    # and one that asked for more classes takes them when they come
    logits, labels = data(5, 6)
    assert float(deep.update(logits=logits, labels=labels).count) == 5


def test_an_update_without_rows_that_count_does_not_count_ids() -> None:
    logits, labels = data(4)
    first, second = (metrics.NLL(groups=2) for _ in range(2))
    first.update(logits=logits, labels=labels)
    second.update(logits=logits, labels=labels, mask=labels < 0)
    second.update(logits=logits, labels=labels, ids=torch.arange(4, 8))
    assert first.merge(second).count == 8


def test_a_state_of_other_settings_is_refused_and_the_present_one_kept() -> None:
    logits, labels = data(30)
    kept = metrics.Accuracy(groups=4).update(logits=logits, labels=labels)
    before = kept.state_dict()
    others = [metrics.Accuracy(top_k=2, groups=4), metrics.Accuracy(groups=4, seed=1), metrics.NLL(groups=4)]
    for other in others:
        with pytest.raises(ValueError, match=r"state: the state of Accuracy\(top_k=1, groups=4, seed=0\); got one of"):
            kept.load_state_dict(other.update(logits=logits, labels=labels).state_dict())
    for name in before:
        with pytest.raises(ValueError, match="state: "):
            kept.load_state_dict({key: array for key, array in before.items() if key != name})
    with pytest.raises(ValueError, match=r"state: the arrays .* got .*torch.float32"):
        kept.load_state_dict(before | {"correct": before["correct"].float()})
    assert all(torch.equal(array, before[key]) for key, array in kept.state_dict().items())


def test_copies_are_independent() -> None:
    logits, labels = data(30)
    for make in MAKERS.values():
        metric = make(groups=2).update(logits=logits, labels=labels)
        for copied in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
            assert_same(copied, metric)
            copied.update(logits=logits, labels=labels)
            assert (metric.count, copied.count) == (30, 60)


def test_errors() -> None:
    metric = metrics.ECE(n_bins=5).update(torch.full((1, 2), 0.5), torch.tensor([0]))
    with pytest.raises(
        ValueError, match=r"other: the settings ECE\(n_bins=5.*; got ECE\(n_bins=6.*; merge accumulators"
    ):
        metric.merge(metrics.ECE(n_bins=6))
    with pytest.raises(TypeError, match="other: an accumulator; got int; merge accumulators of one class"):
        metric.merge(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="probs: 2 classes, as before; got 3; use another accumulator"):
        metric.update(torch.full((1, 3), 1 / 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="ECE: at least one example that is not left out; got none"):
        metrics.ECE().compute()
    with pytest.raises(ValueError, match="ECE: at least one example that is not left out; got none"):
        metrics.ECE().reliability()
    with pytest.raises(ValueError, match=r"state: the state of ECE\(n_bins=6.*; got one of other settings; create the"):
        metrics.ECE(n_bins=6).load_state_dict(metric.state_dict())
    with pytest.raises(ValueError, match="groups: an int of at least 1; got 0"):
        metrics.NLL(groups=0)
    counted = [metrics.NLL(groups=2).update(torch.full((1, 2), 0.5), torch.tensor([0])) for _ in range(2)]
    with pytest.raises(ValueError, match="other: examples with explicit ids; got rows counted from 0 in both"):
        counted[0].merge(counted[1])
    with pytest.raises(ValueError, match="binning: 'width' in a class-wise accumulator; got 'mass'"):
        metrics.ECE(classwise=True, binning="mass")
