"""Several runs as one predictor: its predictions, its measures, its network, and what cannot be combined."""

from pathlib import Path

import pytest
import torch
from measures.small_runs import CLASSES, trained

from softtargets._errors import InputError
from softtargets.calibration import TemperatureScaling
from softtargets.measures import CombinedRuns, combine_predictions, measure_run
from softtargets.metrics import accuracy, ece
from softtargets.runs.record import read_predictions
from softtargets.runs.store import RunStore

OTHER_SEEDS = {"initialisation": 1, "order": 1, "augmentation": 1, "method": 1, "dropout": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("combined") / "runs")


@pytest.fixture(scope="module")
def combined(store: RunStore) -> CombinedRuns:
    noise = {"name": "symmetric", "rate": 0.2}
    return CombinedRuns((trained(store, noise=noise), trained(store, noise=noise, seeds=OTHER_SEEDS)))


def test_the_prediction_is_the_mean_of_the_probabilities() -> None:
    one, other = torch.tensor([[0.75, 0.25]]), torch.tensor([[0.25, 0.75]])
    labels = {"test.labels": torch.tensor([0]), "test.ids": torch.tensor([4]), "train.forgetting": torch.tensor([1.0])}
    made = combine_predictions([{"test.logits": part.log(), **labels} for part in (one, other)])
    assert made["test.logits"].exp().tolist() == [[0.5, 0.5]]
    assert made["test.ids"].tolist() == [4]
    assert set(made) == {"test.logits", "test.labels", "test.ids"}


def test_measures_are_those_of_the_combination(store: RunStore, combined: CombinedRuns) -> None:
    found = measure_run(combined, store, ("information",), CLASSES)
    parts = [read_predictions(store.path(member.identity)) for member in combined.members]
    labels = parts[0]["test.labels"]

    def mean(split: str) -> torch.Tensor:
        return torch.stack([part[f"{split}.logits"].double().softmax(-1) for part in parts]).mean(0)

    assert found.values["test.accuracy"] == pytest.approx(float(accuracy(mean("test"), labels)))
    fitted = TemperatureScaling().fit(mean("validation").log(), parts[0]["validation.observed"])
    scaled = fitted(mean("test").log()).softmax(-1)
    assert found.values["test.ece15.scaled"] == pytest.approx(float(ece(scaled, labels, n_bins=15)))
    assert found.values["networks"] == 2
    assert "train.objective" not in found.values
    single = [measure_run(member, store, ("information",), CLASSES).values for member in combined.members]
    assert [one["networks"] for one in single] == [1, 1]
    assert 0.5 < found.values["information"] < 7
    assert found.values["information"] not in [one["information"] for one in single]


def test_its_network_gives_the_recorded_predictions(store: RunStore, combined: CombinedRuns) -> None:
    with combined.opened(store, CLASSES) as subject:
        places = torch.arange(20)
        with torch.no_grad():
            logits = subject.network(subject.inputs("test", places))
        torch.testing.assert_close(logits.double(), subject.predictions["test.logits"][places], rtol=1e-4, atol=1e-5)
        assert subject.teachers == ()


def test_what_needs_one_last_layer_is_said_not_to_be_there(store: RunStore, combined: CombinedRuns) -> None:
    found = measure_run(combined, store, ("nc1",), CLASSES)
    assert "nc1" not in found.values
    assert "a network with one last layer; got several networks" in found.problems[0]


def test_runs_with_other_labels_are_not_combined(store: RunStore, combined: CombinedRuns, tmp_path: Path) -> None:
    other = trained(store, noise={"name": "symmetric", "rate": 0.2}, seeds={**OTHER_SEEDS, "noise": 1})
    with pytest.raises(InputError, match=r"members: runs with the same 'train\.observed'; got others"):
        CombinedRuns((combined.members[0], other)).record(store)


def test_the_identity_is_that_of_the_members_in_order(combined: CombinedRuns) -> None:
    swapped = CombinedRuns(combined.members[::-1])
    assert len({combined.identity, swapped.identity, *(member.identity for member in combined.members)}) == 4
