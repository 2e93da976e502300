"""What the cross-validated models of an audit are, and how their predictions are put together."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels
from softtargets.audit.models import DYNAMICS, _merge, architecture_of
from softtargets.audit.results import CrossValidatedModel
from softtargets.data.dataset import Dataset


@pytest.mark.parametrize(
    ("shape", "widths"),
    [((1, 8, 8), (32, 64)), ((1, 28, 28), (32, 64, 128)), ((3, 32, 32), (32, 64, 128, 256)), ((3, 2, 90), (32,))],
)
def test_networks_are_as_deep_as_the_pictures_allow(shape, widths):
    images = torch.zeros(4, *shape, dtype=torch.uint8)
    split = {"train": torch.arange(4), "validation": torch.arange(0), "test": torch.arange(0)}
    dataset = Dataset("pictures", "", images, torch.tensor([0, 1, 0, 1]), ("a", "b"), split)
    assert architecture_of(dataset) == {"name": "convnet", "widths": widths}


def test_training_dynamics_are_the_mean_of_the_models_that_saw_the_row():
    def part(held: list[int], seen: dict[int, float]) -> dict[str, Tensor]:
        values = torch.tensor(list(seen.values()), dtype=torch.float64)
        return {
            "validation.ids": torch.tensor(held),
            "validation.logits": torch.tensor([[float(row), 0.0] for row in held]),
            "train.ids": torch.tensor(list(seen)),
            **{f"train.{name}": values for name in DYNAMICS},
        }

    parts = [part([5], {2: 1.0, 9: 2.0}), part([2], {5: 4.0, 9: 6.0}), part([9], {2: 3.0, 5: 8.0})]
    held = _merge(parts, CrossValidatedModel(3, "", ""))
    assert held.rows.tolist() == [2, 5, 9]
    torch.testing.assert_close(held.probs[:, 0], torch.tensor([2.0, 5.0, 9.0]).sigmoid())
    assert set(held.dynamics) == set(DYNAMICS)
    assert all(values.tolist() == [2.0, 6.0, 4.0] for values in held.dynamics.values())


def test_more_folds_than_rows_are_rejected_by_the_name_of_the_option(tmp_path: Path):
    data = tmp_path / "few.csv"
    data.write_text("a,b,label\n1,2,0\n2,3,1\n3,4,0\n")
    with pytest.raises(InputError, match=r"^folds: at most 3, the number of training rows; got 5; use fewer folds"):
        audit_labels(data=str(data), options=AuditOptions(runs=tmp_path / "runs"))
