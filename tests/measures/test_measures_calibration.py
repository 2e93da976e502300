"""Measures of calibration: a temperature from validation alone, and numbers of test scaled by it."""

import math

import pytest
import torch
from measures.simulated import of_record

from softtargets.measures.calibration import DIAGRAMS, reliability_of
from softtargets.runs.record import Record

SURE = [0.0, 4.0]
SCALED = ("temperature", "test.ece15.scaled", "test.nll.scaled")


def predictions(validation: list[int], test: list[int], **changes) -> dict[str, torch.Tensor]:
    """Return two-class predictions that are always for class 1 with a logit of 4, and these labels."""
    made: dict[str, torch.Tensor] = {}
    for split, labels in (("train", [1, 0]), ("validation", validation), ("test", test)):
        made[f"{split}.logits"] = torch.tensor([SURE] * len(labels)).reshape(-1, 2)
        made[f"{split}.labels"] = made[f"{split}.observed"] = torch.tensor(labels, dtype=torch.int64)
    return {**made, **changes}


def value(name: str, given: dict[str, torch.Tensor]) -> float | None:
    return of_record(name, Record(given))


def test_the_temperature_makes_validation_labels_likeliest_and_scales_the_test_split():
    # three of four validation labels right: sigmoid(4 / T) = 3/4; test: one of two right at confidence 3/4
    given = predictions([1, 1, 1, 0], [1, 0])
    assert value("temperature", given) == pytest.approx(4 / math.log(3), rel=1e-6)
    assert value("test.ece15.scaled", given) == pytest.approx(0.25, abs=1e-6)
    assert value("test.nll.scaled", given) == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, abs=1e-6)
    sure = 1 / (1 + math.exp(-4))
    assert value("test.ece15", given) == pytest.approx(sure - 0.5)
    assert value("test.nll", given) == pytest.approx(-(math.log(sure) + math.log(1 - sure)) / 2)
    assert value("test.overconfidence", given) == pytest.approx(sure - 0.5)


def test_an_underconfident_network_has_a_negative_overconfidence():
    given = predictions([1, 1, 1, 0], [1, 1])
    assert value("test.overconfidence", given) == pytest.approx(1 / (1 + math.exp(-4)) - 1)


def test_test_labels_do_not_enter_the_temperature():
    found = {value("temperature", predictions([1, 1, 1, 0], test)) for test in ([1, 1], [0, 0], [0, 1, 0])}
    assert len(found) == 1


def test_the_temperature_goes_by_the_labels_that_a_user_would_have():
    given = predictions([1, 1, 1, 1], [1, 0], **{"validation.observed": torch.tensor([1, 1, 0, 1])})
    assert value("temperature", given) == pytest.approx(4 / math.log(3), rel=1e-6)


@pytest.mark.parametrize("validation", [[1, 1, 1, 1], [0, 0, 0, 1], []])
def test_without_an_optimum_or_without_validation_nothing_is_scaled(validation):
    given = predictions(validation, [1, 0])
    assert [value(name, given) for name in SCALED] == [None] * 3
    assert reliability_of(given, "test.ece15.scaled") is None
    assert value("test.ece15", given) is not None


def test_without_a_test_split_calibration_is_not_defined():
    given = predictions([1, 1, 1, 0], [])
    names = ("test.ece15", "test.ece100", "test.nll", "test.overconfidence", "test.ece15.scaled", "test.nll.scaled")
    assert [value(name, given) for name in names] == [None] * len(names)
    assert value("temperature", given) is not None


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_number_and_the_diagram_come_from_the_same_bins(name):
    draw = torch.Generator().manual_seed(1)
    given = {}
    for split, n in (("validation", 200), ("test", 300)):
        given[f"{split}.logits"] = 2 * torch.randn(n, 5, generator=draw)
        # mostly the class with the largest logit, so that a temperature has its optimum
        guess = given[f"{split}.logits"] + 2 * torch.randn(n, 5, generator=draw)
        given[f"{split}.labels"] = given[f"{split}.observed"] = guess.argmax(1)
    bins = reliability_of(given, name)
    assert bins is not None
    assert len(bins.count) == {"test.ece15": 15, "test.ece15.scaled": 15, "test.ece100": 100}[name]
    filled = bins.count > 0
    gaps = (bins.correct[filled].double() - bins.confidence[filled]).abs()
    assert value(name, given) == pytest.approx(float(gaps.sum() / bins.count.sum()), abs=1e-12)


def test_a_temperature_above_zero_moves_no_prediction():
    given = predictions([1, 1, 1, 0], [1, 0])
    plain, scaled = (reliability_of(given, name) for name in ("test.ece15", "test.ece15.scaled"))
    assert plain is not None
    assert scaled is not None
    assert int(plain.correct.sum()) == int(scaled.correct.sum()) == 1
