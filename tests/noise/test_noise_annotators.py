"""Several annotators: agreement beyond chance, and error rates by Dawid-Skene."""

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from softtargets import noise

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10n" / "train.parquet"

# Krippendorff 2011, Computing Krippendorff's alpha-reliability, section C: nominal data, 4 observers, 12 units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]
KRIPPENDORFF = torch.tensor(OBSERVERS).T - 1  # 0 stands for no label


def _simulated(
    items: int, rates: list[float], num_classes: int, seed: int, present: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return true classes, and labels of annotators that err independently, uniformly over the other classes."""
    draw = torch.Generator().manual_seed(seed)
    true = torch.randint(num_classes, (items,), generator=draw)
    columns = []
    for rate in rates:
        wrong = torch.rand(items, generator=draw) < rate
        other = (true + torch.randint(1, num_classes, (items,), generator=draw)) % num_classes
        column = torch.where(wrong, other, true)
        columns.append(torch.where(torch.rand(items, generator=draw) < present, column, -1))
    labels = torch.stack(columns, 1)
    labels[:, 0] = torch.where((labels >= 0).any(1), labels[:, 0], true)
    return true, labels


def _agreement(labels: Any, **settings: Any) -> noise.AnnotatorAgreement:
    return noise.annotator_agreement(labels, generator=torch.Generator().manual_seed(0), n_draws=100, **settings)


def _literally(labels: list[list[int]]) -> float:
    """Return alpha from the coincidences of every pair of labels of a unit, as the definition says."""
    coincidences: dict[tuple[int, int], float] = {}
    for unit in labels:
        given = [label for label in unit if label >= 0]
        for i, j in product(range(len(given)), repeat=2):
            if i != j:
                pair = given[i], given[j]
                coincidences[pair] = coincidences.get(pair, 0.0) + 1 / (len(given) - 1)
    totals: dict[int, float] = {}
    for (first, _), weight in coincidences.items():
        totals[first] = totals.get(first, 0.0) + weight
    n = sum(totals.values())
    observed = sum(weight for (a, b), weight in coincidences.items() if a != b) / n
    expected = sum(totals[a] * totals[b] for a, b in product(totals, repeat=2) if a != b) / (n * (n - 1))
    return 1 - observed / expected


def test_alpha_is_that_of_the_paper() -> None:
    assert float(_agreement(KRIPPENDORFF).alpha) == pytest.approx(0.743, abs=5e-4)
    assert _agreement(KRIPPENDORFF).items == 11, "the unit with one label is left out"


def test_alpha_is_that_of_its_definition() -> None:
    _, labels = _simulated(60, [0.1, 0.3, 0.4], 4, seed=1, present=0.8)
    assert float(_agreement(labels).alpha) == pytest.approx(_literally(labels.tolist()), abs=1e-12)


def test_kappa_is_that_of_fleiss() -> None:
    """The example of Fleiss 1971: 30 patients, 6 psychiatrists, 5 diagnoses; here its first rows, by hand."""
    counts = [[0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6]]
    labels = torch.tensor([[k for k, n in enumerate(row) for _ in range(n)] for row in counts])
    agreed = (1 + 12 / 30 + 12 / 30 + 1) / 4
    chance = (4**2 + 4**2 + 6**2 + 10**2) / 24**2
    assert float(_agreement(labels).kappa) == pytest.approx((agreed - chance) / (1 - chance), abs=1e-12)
    assert math.isnan(float(_agreement(KRIPPENDORFF).kappa)), "units have different numbers of labels"


def test_perfect_and_chance_agreement() -> None:
    true = torch.arange(200) % 3
    perfect = _agreement(torch.stack([true, true], 1))
    assert [float(x) for x in (perfect.alpha, perfect.kappa, perfect.observed)] == pytest.approx([1, 1, 1])
    draw = torch.Generator().manual_seed(0)
    chance = _agreement(torch.randint(3, (5000, 3), generator=draw))
    assert abs(float(chance.alpha)) < 0.02
    assert float(chance.alpha_interval[0]) < 0 < float(chance.alpha_interval[1])
    assert perfect.pairwise.tolist() == [[1, 1], [1, 1]]


def test_the_interval_of_alpha_covers() -> None:
    true = float(_agreement(_simulated(200_000, [0.2, 0.2, 0.2], 3, seed=0)[1]).alpha)
    covered = 0
    for seed in range(60):
        found = _agreement(_simulated(150, [0.2, 0.2, 0.2], 3, seed=seed + 1)[1])
        covered += bool(found.alpha_interval[0] <= true <= found.alpha_interval[1])
    assert covered >= 51


def _model(labels: Any, **settings: Any) -> noise.AnnotatorModel:
    return noise.dawid_skene(labels, generator=torch.Generator().manual_seed(0), **{"n_draws": 40, **settings})


def test_error_rates_and_confusions_of_independent_annotators_are_found() -> None:
    rates = [0.05, 0.2, 0.4, 0.3]
    true, labels = _simulated(6000, rates, 4, seed=2, present=0.9)
    found = _model(labels)
    assert found.converged
    for a, (low, high) in enumerate(found.error_interval.tolist()):
        given = labels[:, a] >= 0
        realised = float((labels[given, a] != true[given]).double().mean())
        assert float(found.error_rate[a]) == pytest.approx(realised, abs=0.015)
        assert low < float(found.error_rate[a]) < high
        confusion = torch.zeros(4, 4).index_put((true[given], labels[given, a]), torch.tensor(1.0), accumulate=True)
        expected = (confusion / confusion.sum(1, keepdim=True)).double()
        assert float((found.confusion[a] - expected).abs().max()) < 0.05
    majority = torch.nn.functional.one_hot(labels + 1, 5)[..., 1:].sum(1).max(1).indices
    assert float((found.labels != true).double().mean()) < float((majority != true).double().mean())
    assert torch.allclose(found.posterior.sum(1), torch.ones(6000, dtype=torch.float64))
    # the posterior is calibrated
    top = found.posterior.amax(1)
    assert float(top.mean()) == pytest.approx(float((found.labels == true).double().mean()), abs=0.01)


def test_the_likelihood_is_that_of_the_model() -> None:
    _, labels = _simulated(50, [0.1, 0.2, 0.3], 3, seed=3)
    found = _model(labels, n_draws=1)
    total = 0.0
    for row in labels.tolist():
        chances = [
            float(found.prior[k]) * math.prod(float(found.confusion[a, k, label]) for a, label in enumerate(row))
            for k in range(3)
        ]
        total += math.log(sum(chances))
    assert float(found.log_likelihood) == pytest.approx(total, abs=1e-3)


def test_the_intervals_of_error_rates_cover() -> None:
    covered = 0
    for seed in range(25):
        true, labels = _simulated(300, [0.1, 0.2, 0.3], 3, seed=seed + 10)
        found = _model(labels, n_draws=40)
        realised = (labels != true[:, None]).double().mean(0)
        low, high = found.error_interval.T
        covered += int(((low <= realised) & (realised <= high)).sum())
    assert covered >= 0.86 * 75


def test_missing_labels_arrays_and_the_order_of_annotators() -> None:
    _, labels = _simulated(400, [0.1, 0.2, 0.3], 3, seed=4, present=0.8)
    found = _model(labels, n_draws=1)
    other = _model(torch.where(labels < 0, 99, labels)[:, [2, 0, 1]], n_draws=1, missing=99, num_classes=3)
    assert torch.allclose(other.error_rate, found.error_rate[[2, 0, 1]], atol=1e-6)
    arrays = _model(labels.numpy(), n_draws=1)
    assert isinstance(arrays.error_rate, np.ndarray)
    assert np.allclose(arrays.error_rate, found.error_rate.numpy())
    assert found.counts.tolist() == (labels >= 0).sum(0).tolist()


GIVEN = torch.tensor([[0, 1, 0], [1, 1, 1], [0, 0, -1]])
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (GIVEN[:, 0], {}, r"labels: integer labels of shape \(N, A\).*; got \(3,\); pass one row per item"),
    (GIVEN[:, :1], {}, r"labels: .* at least 2 annotators; got \(3, 1\)"),
    (GIVEN.float(), {}, "labels: .*; got dtype torch.float32; pass class indices"),
    (GIVEN.tolist(), {}, "labels: .*; got list; pass class indices"),
    (GIVEN - 1, {}, "labels: labels of at least 0 and below 2, or -1 for none; got -2 at row 2, annotator 2"),
    (GIVEN, {"num_classes": 1}, "num_classes: an int of at least 2; got 1"),
    (GIVEN * 2, {"num_classes": 2}, "labels: labels of at least 0 and below 2, .*; got 2 at row 0, annotator 1"),
    (GIVEN, {"confidence": 1.0}, "confidence: above 0 and below 1; got 1"),
    (GIVEN, {"n_draws": 0}, "n_draws: an int of at least 1; got 0"),
]


@pytest.mark.parametrize("place", range(len(WRONG)))
@pytest.mark.parametrize("function", [noise.annotator_agreement, noise.dawid_skene])
def test_bad_labels_are_one_sentence(function: Any, place: int) -> None:
    labels, settings, message = WRONG[place]
    with pytest.raises((ValueError, TypeError), match=message):
        function(labels, **settings)


def test_items_and_annotators_without_labels() -> None:
    with pytest.raises(ValueError, match="labels: a label of every item; got none in row 1; drop that row"):
        noise.dawid_skene(torch.tensor([[0, 1], [-1, -1]]))
    with pytest.raises(ValueError, match="labels: a label of every annotator; got none in column 1; drop that column"):
        noise.dawid_skene(torch.tensor([[0, -1], [1, -1]]))
    with pytest.raises(ValueError, match="labels: an item with at least two labels; got none; pass items that"):
        noise.annotator_agreement(torch.tensor([[0, -1], [1, -1]]))


@pytest.mark.skipif(not SHARED.exists(), reason="needs cifar10n in ../shared/data beside the repository")
def test_the_annotators_of_cifar10n() -> None:
    """Their mistakes are not independent, so that the error rates are too low by 1 to 2 points, and not more."""
    pq = pytest.importorskip("pyarrow.parquet")
    columns = ["label", *(f"random_label{i}" for i in (1, 2, 3))]
    clean, *given = (torch.as_tensor(column.to_numpy()) for column in pq.read_table(SHARED, columns=columns).columns)
    labels = torch.stack(given, 1)
    found = _model(labels, n_draws=5)
    realised = (labels != clean[:, None]).double().mean(0)
    assert realised.tolist() == pytest.approx([0.172, 0.181, 0.176], abs=1e-3)
    assert torch.all((realised - found.error_rate > 0) & (realised - found.error_rate < 0.02))
    majority = torch.nn.functional.one_hot(labels, 10).sum(1).max(1).indices
    assert float((found.labels != clean).double().mean()) < float((majority != clean).double().mean()) - 0.005
    assert float(_agreement(labels).alpha) == pytest.approx(0.684, abs=1e-3)
