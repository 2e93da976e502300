"""Students: whom they are taught by; killed anywhere, they end the same."""

import pytest
import torch
from training import train

from softtargets.distill.cache import shards as cache_shards
from softtargets.runs.network import TrainedModel
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RunStore
from softtargets.train import loop, teachers

N, K = 5, 4
TEACHER = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [24]},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32"},
}
SECOND = {**TEACHER, "seeds": {"initialisation": 1}}


def test_a_teacher_answers_in_its_own_precision_and_takes_no_gradient(small_run) -> None:
    """A bfloat16 teacher of a float32 student, in evaluation mode."""
    model = {"name": "resnet", "depth": 8, "width": 4}
    torch.manual_seed(0)
    spec = RunSpec.parse({"model": model, "training": {"epochs": 1}}).model
    network = spec.build(input_shape=(1, 8, 8), num_classes=K)
    inputs = torch.randn(N, 1, 8, 8)
    full = TrainedModel(network, small_run(model=model)).logits(inputs)
    half = TrainedModel(network, small_run(model=model, training={"precision": "bfloat16"})).logits(inputs)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(half, network(inputs).float())
    assert half.dtype == full.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0.1, atol=0.1)
    assert not network.training
    assert not full.requires_grad


# Everything that a student may stand on.
STUDENTS = {
    "one teacher": {},
    "two teachers": {"teachers": [TEACHER, SECOND], "objective": {"temperature": 2.0}},
    "born again, twice": {
        "model": {"name": "mlp", "hidden": [24]},
        "teachers": [{**TEACHER, "objective": {"name": "distillation"}, "teachers": [TEACHER]}],
    },
    "a running average": {
        "teachers": None,
        "objective": {"source": "average", "weight": 0.5},
        "training": {"average_decay": 0.8},
    },
    "an estimated transition": {
        "objective": {"transition": {"name": "estimated"}, "weight": 0.5},
        "noise": {"name": "symmetric", "rate": 0.2, "splits": ["train", "validation"]},
    },
    "a known transition": {
        "objective": {"transition": {"name": "known"}, "temperature": 2.0, "weight": 0.5},
        "noise": {"name": "pair_flip", "rate": 0.2},
    },
    "standardised": {"objective": {"standardized": True, "temperature": 2.0, "weight": 9.0, "label_weight": 0.1}},
    "dkd": {"objective": {"loss": "dkd", "temperature": 2.0}, "optimizer": {"learning_rate": 0.001}},
    "dist": {"objective": {"loss": "dist"}},
    "mse": {"objective": {"loss": "mse", "weight": 0.6}, "optimizer": {"learning_rate": 0.01}},
    "augmented": {"augmentation": {"shift": 1}, "model": {"name": "mlp", "hidden": [16], "dropout": 0.2}},
    "a cache": {"objective": {"cache": {"dtype": "float16"}, "temperature": 2.0}},
    "a cache of draws": {"objective": {"cache": {"kind": "sampled", "draws": 3}, "temperature": 2.0}},
    "a cache of the largest of two": {"objective": {"cache": {"k": 3}}, "teachers": [TEACHER, SECOND]},
    "a teacher in bfloat16": {
        "teachers": [
            {
                **TEACHER,
                "model": {"name": "resnet", "depth": 8, "width": 4},
                "training": {"epochs": 1, "precision": "bfloat16"},
            }
        ]
    },
}


def _student(small_run, name: str):
    settings = dict(STUDENTS[name])
    objective = {"name": "distillation", **settings.pop("objective", {})}
    taught = settings.pop("teachers", [TEACHER])
    return small_run(objective=objective, **({} if taught is None else {"teachers": taught}), **settings)


class KilledError(BaseException):
    """Stands for the death of the process: no handler of errors may see it."""


def _files(store: RunStore) -> dict[str, bytes]:
    """Every number that a store holds."""
    names = {HISTORY, MODEL, PREDICTIONS}
    found = (path for path in store.folder.rglob("*") if path.name in names or path.parent.parent.name == "teachers")
    return {str(path.relative_to(store.folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("name", STUDENTS)
def test_killed_at_every_point_a_student_ends_bit_for_bit_the_same(small_run, tmp_path, monkeypatch, name) -> None:
    """Killed before each epoch, of its teachers and of its own, and before each file of a cache comes to be."""
    monkeypatch.setattr(teachers, "ROWS_PER_SHARD", 40)
    resolved = _student(small_run, name)
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    outcome = train(resolved, whole, checkpoint_seconds=0)
    assert outcome.status == "trained", outcome.message
    died: set[tuple[object, ...]] = set()

    def dying(original, point):
        def dies(*arguments):
            here = point(*arguments)
            if here not in died:
                died.add(here)
                raise KilledError
            return original(*arguments)

        return dies

    epoch, write = loop.Trainer._train_epoch, cache_shards.write_file
    monkeypatch.setattr(loop.Trainer, "_train_epoch", dying(epoch, lambda trainer: (trainer.folder, trainer.epoch)))
    monkeypatch.setattr(cache_shards, "write_file", dying(write, lambda path, content: (path,)))
    attempts = 1
    while (outcome := _survived(resolved, killed)) is None:
        attempts += 1
    assert outcome.status == "trained"
    files = sum(path.suffix in (".safetensors", ".json") for path in whole.folder.glob("teachers/*/*"))
    plans = len(list(whole.folder.glob("teachers/*/plan.json")))  # written through another module
    epochs = sum(len(path.read_bytes().splitlines()) for path in whole.folder.glob(f"*/{HISTORY}"))
    assert attempts == len(died) + 1 == epochs + files - plans + 1
    assert _files(killed) == _files(whole)


def _survived(resolved, store: RunStore):
    try:
        return train(resolved, store, checkpoint_seconds=0)
    except KilledError:
        return None
