"""The paired check: nested predictions, the interval, and what it says about clean and noisy labels."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from softtargets import noise
from softtargets.audit import AuditOptions, RunsFailedError, audit_labels
from softtargets.audit.classical import Candidate, cross_validate_classical
from softtargets.audit.folds import fold_of
from softtargets.audit.paired_check import GROUPS, Refit, check_dropping
from softtargets.metrics.statistics import paired_t

SURE = 0.75
LINE = LogisticRegression(max_iter=1000)


def flipped(rate: float, seed: int, rows: int = 600) -> tuple[np.ndarray, torch.Tensor]:
    inputs, labels = make_classification(
        rows, n_features=40, n_informative=6, n_classes=3, class_sep=2.0, flip_y=0.0, random_state=seed
    )
    clean = torch.from_numpy(labels).long()
    generator = torch.Generator().manual_seed(seed)
    return np.asarray(inputs), noise.corrupt(clean, noise.symmetric(rate, 3), generator=generator).noisy_labels


def held_out(inputs, labels, seed=0, folds=GROUPS, estimator: Any = LINE):
    model = (Candidate("own", estimator),)
    return cross_validate_classical(inputs, labels, 3, model, AuditOptions(workers=1, folds=folds, seed=seed), ignore)


def ignore(name: str, done: float) -> None: ...


class Recorder:
    """Remembers the rows of each fit; predicts with a model that has seen them."""

    def __init__(self, inputs: np.ndarray, labels: torch.Tensor) -> None:
        self.sets: list[tuple[set[int], set[int]]] = []
        self.inputs, self.labels = inputs, labels

    def __call__(self, sets):
        for fitted, predicted in sets:
            self.sets.append((set(fitted.tolist()), set(predicted.tolist())))
            model = LogisticRegression(max_iter=1000).fit(self.inputs[fitted], self.labels[fitted])
            yield torch.from_numpy(model.predict_proba(self.inputs[predicted])).float()


def test_no_model_is_fitted_to_a_row_that_it_predicts_and_every_row_is_used():
    inputs, labels = flipped(0.3, 0)
    recorder = Recorder(inputs, labels)
    check_dropping(Refit(recorder, labels, 3, 0, 1.0), torch.zeros(600, 3), dropped_from=SURE)
    groups = fold_of(600, GROUPS, 0)
    pairs, without, all_rows = recorder.sets[:10], recorder.sets[10:15], recorder.sets[15:]
    assert len(all_rows) == GROUPS
    for fitted, predicted in recorder.sets:
        assert not fitted & predicted
    for fitted, predicted in pairs:
        assert len(set(groups[list(predicted)].tolist())) == 2
        assert len(fitted | predicted) == 600
    for (fitted, predicted), (whole, same) in zip(without, all_rows, strict=True):
        assert predicted == same
        assert fitted < whole
        assert len(whole | same) == 600


def test_the_suspects_of_a_group_do_not_depend_on_the_labels_of_the_group():
    inputs, labels = flipped(0.3, 1)
    own = fold_of(600, GROUPS, 0) == 0
    others = torch.where(own, (labels + 1) % 3, labels)
    left = []
    for given in (labels, others):
        recorder = Recorder(inputs, given)
        check_dropping(Refit(recorder, given, GROUPS, 0, 1.0), torch.zeros(600, 3), dropped_from=SURE)
        left.append(recorder.sets[10][0])
    assert left[0] == left[1]
    assert 0 < len(left[0]) < 480


@pytest.mark.parametrize("folds", [GROUPS, 3])
def test_the_gain_is_the_mean_paired_difference_with_its_t_interval(folds):
    inputs, labels = flipped(0.3, 2)
    held = held_out(inputs, labels, folds=folds)
    assert held.refit is not None
    shares = []
    check = check_dropping(held.refit, held.probs, dropped_from=SURE, on_done=shares.append)
    recorder = Recorder(inputs, labels)
    check_dropping(Refit(recorder, labels, 3, 0, 1.0), held.probs, dropped_from=SURE)
    right = torch.zeros(2, 600)
    for place, sets in enumerate((recorder.sets[10:15], recorder.sets[15:20])):
        for fitted, predicted in sets:
            some, rows = sorted(fitted), sorted(predicted)
            model = LogisticRegression(max_iter=1000).fit(inputs[some], labels[some])
            right[place, rows] = torch.from_numpy(model.predict(inputs[rows]) == labels[rows].numpy()).float()
    differences = (right[0] - right[1]).double()
    ends = paired_t(float(differences.mean()), float(differences.std()) / 600**0.5, 600, 0.05)
    assert check.gain.estimate == pytest.approx(float(differences.mean()))
    assert (check.gain.low, check.gain.high) == pytest.approx(ends)
    assert check.accuracy == pytest.approx(float(right[1].mean()))
    assert check.dropped == pytest.approx(1 - sum(len(fitted) for fitted, _ in recorder.sets[10:15]) / 2400)
    assert check.rows == 600
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_dropping_is_rarely_found_to_help_on_clean_labels_and_often_on_noisy_ones():
    helped = {}
    for rate in (0.0, 0.35):
        checks = []
        for seed in range(16):
            inputs, labels = flipped(rate, seed)
            # a model that follows single labels
            held = held_out(inputs, labels, seed, estimator=KNeighborsClassifier(7))
            assert held.refit is not None
            checks.append(check_dropping(held.refit, held.probs, dropped_from=SURE))
        helped[rate] = sum(check.helps for check in checks)
    # with a probability of 2.5 %, 3 or more of 16 happen once in 140 times
    assert helped[0.0] <= 2
    assert helped[0.35] >= 5


def test_the_estimated_time_counts_the_rows_of_all_fits():
    fit = Recorder(np.zeros((1, 1)), torch.zeros(1, dtype=torch.int64))
    # 5 fits to 4/5 of the rows took 4 seconds; 10 fits to 3/5 and 5 to 4/5 take 10, and 5 more take 4
    assert Refit(fit, fit.labels, 5, 0, 4.0).check_seconds == pytest.approx(10.0)
    # 3 fits to 2/3 took 2 seconds
    assert Refit(fit, fit.labels, 3, 0, 2.0).check_seconds == pytest.approx(14.0)


class Fragile(LogisticRegression):
    """Cannot be fitted to three fifths of 600 rows."""

    def fit(self, X, y, sample_weight=None):
        if len(X) == 360:
            raise ValueError("too few rows for this model")
        return super().fit(X, y, sample_weight)


def write_table(path, rate: float) -> None:
    inputs, labels = flipped(rate, 3)
    lines = [",".join([*(f"a{k}" for k in range(40)), "label"])]
    lines += [
        ",".join([*map(str, row), f"c{label}"]) for row, label in zip(inputs.tolist(), labels.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines))


def test_an_audit_recommends_what_the_check_shows_and_says_when_there_is_none(tmp_path):
    write_table(tmp_path / "noisy.csv", 0.35)
    data, model = str(tmp_path / "noisy.csv"), KNeighborsClassifier(7)
    results = audit_labels(data=data, options=AuditOptions(workers=1, model=model))
    assert results.check is not None
    assert results.check.helps
    assert results.recommendation.action == "drop and relabel"
    line = audit_labels(data=data, options=AuditOptions(workers=1, model=LINE))
    assert line.check is not None
    assert not line.check.helps
    assert line.recommendation.action != "drop and relabel"
    assert results.to_dict()["paired_check"]["gain"]["low"] == results.check.gain.low
    off = audit_labels(data=data, options=AuditOptions(workers=1, model=model, check=False))
    assert off.check is None
    assert off.recommendation.reason[-1].endswith("the check was left out.")
    assert off.noise.rate == results.noise.rate
    broken = audit_labels(data=data, options=AuditOptions(workers=1, model=Fragile(max_iter=1000)))
    assert broken.check is None
    assert "too few rows for this model" in broken.recommendation.reason[-1]
    given = audit_labels(torch.arange(300) % 3, torch.eye(3)[(torch.arange(300) + (torch.arange(300) < 30)) % 3])
    assert given.check is None


def test_a_model_that_cannot_be_fitted_fails_with_its_name():
    inputs, labels = flipped(0.3, 0)
    held = cross_validate_classical(
        inputs, labels, 3, (Candidate("fragile", Fragile(max_iter=1000)),), AuditOptions(workers=1), ignore
    )
    assert held.refit is not None
    with pytest.raises(RunsFailedError, match="as fragile"):
        check_dropping(held.refit, held.probs, dropped_from=SURE)
