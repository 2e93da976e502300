"""The choice of hyper-parameters: by validation alone, with seeds of its own, by halving."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from compare.simulated_records import World

from softtargets.compare.methods import BASELINE, METHODS, MethodCandidate
from softtargets.compare.selection import ChosenSettings, finalists_of, rungs, select
from softtargets.compare.training import SELECTION, RunOutputs

WORLD = World(0)
NOT_READ = torch.full((3, 3), math.nan)


class Simulated:
    """Stands in for the trainings: networks of known quality, whose test split cannot be used."""

    def __init__(self, gains: dict[str, float], failing: Sequence[str] = ()) -> None:
        self.gains, self.failing = gains, failing
        self.trained: list[tuple[str, int]] = []

    def train(self, wanted: Sequence[tuple[MethodCandidate, int]], purpose: str) -> None:
        self.trained += [(candidate.label, seed) for candidate, seed in wanted]

    def failure(self, candidate: MethodCandidate, seed: int) -> str | None:
        return "not finite" if candidate.label in self.failing else None

    def outputs(self, candidate: MethodCandidate, seed: int) -> RunOutputs:
        found = WORLD.outputs(candidate.label, seed, gain=self.gains.get(candidate.label, 0.0))
        return RunOutputs(found.validation_logits, found.validation_labels, NOT_READ, NOT_READ, 1.0)


def chosen(trainings: Any, methods: Sequence[str], *, usual: bool = False, ranked: bool = False) -> ChosenSettings:
    return select(trainings, methods, usual=usual, ranked=ranked)


def test_the_best_setting_on_the_validation_split_is_chosen_by_halving():
    trainings = Simulated({"label smoothing 0.2": 1.5, "label smoothing 0.05": 0.7, "mixup 1": 1.5})
    found = chosen(trainings, ("label_smoothing", "mixup"))
    assert found.chosen["label_smoothing"].label == "label smoothing 0.2"
    assert found.chosen["mixup"].label == "mixup 1"
    counts = {score.candidate.label: score.seeds for score in found.scores}
    smoothing = [count for label, count in counts.items() if label.startswith("label")]
    # four settings with the first seed, the better two with the second one
    assert sorted(smoothing) == [1, 1, 2, 2]
    assert counts["label smoothing 0.2"] == 2
    assert {seed for _, seed in trainings.trained} == {SELECTION, SELECTION + 1}


def test_scores_are_means_over_the_selection_seeds():
    found = chosen(Simulated({"focal loss with gamma 1": 2.0}), ("focal",))
    best = next(score for score in found.scores if score.candidate == found.chosen["focal"])
    assert best.candidate.label == "focal loss with gamma 1"
    assert best.nll < min(score.nll for score in found.scores if score != best)


def test_usual_settings_train_the_noise_estimate_alone():
    trainings = Simulated({})
    found = chosen(trainings, ("label_smoothing", "ensemble"), usual=True)
    assert trainings.trained == [("cross entropy", SELECTION)]
    assert found.chosen["label_smoothing"].label == "label smoothing 0.1"
    assert found.scores == ()


def test_settings_that_fail_are_not_chosen_and_a_method_without_any_other_has_a_reason():
    every = [one.label for one in METHODS["focal"].candidates()]
    one = chosen(Simulated({every[0]: 3.0}, failing=every[:1]), ("focal",))
    assert one.chosen["focal"].label != every[0]
    assert not one.failed
    none = chosen(Simulated({}, failing=every), ("focal", "mixup"))
    assert none.failed == {"focal": "not finite"}
    assert set(none.chosen) == {"mixup"}


def test_finalists_have_the_lowest_nll_and_ensembles_come_last():
    gains = {"mixup 0.4": 2.0, "forward correction": 1.0}
    methods = ("temperature", "label_smoothing", "mixup", "forward", "ensemble")
    found = chosen(Simulated(gains), methods, ranked=True)
    assert "forward correction" in {score.candidate.label for score in found.scores}
    assert finalists_of(found, methods, 2) == ("temperature", "mixup", "forward")
    assert finalists_of(found, methods, 1) == ("temperature", "mixup")
    assert finalists_of(found, methods, 4) == methods
    assert finalists_of(found, methods, None) == methods


def test_noise_is_assumed_where_errors_of_the_network_cannot_explain_it():
    clean = chosen(Simulated({BASELINE: 0.0, "cross entropy": 6.0}), ("focal",))
    assert "errors of the network can explain all of it" in clean.noise

    class Noisy(Simulated):
        def outputs(self, candidate: MethodCandidate, seed: int) -> RunOutputs:
            found = super().outputs(candidate, seed)
            labels = found.validation_labels.clone()
            labels[::3] = (labels[::3] + 1) % 3
            return RunOutputs(found.validation_logits, labels, NOT_READ, NOT_READ, 1.0)

    assert chosen(Noisy({"cross entropy": 6.0}), ("focal",)).noise == ""


@pytest.mark.parametrize(("size", "expected"), [(1, ()), (2, (2,)), (5, (5, 3, 2))])
def test_rungs_halve(size, expected):
    assert rungs(size) == expected
