"""Records that no run left, and a measure of one."""

import torch

from softtargets.measures import MEASURES
from softtargets.runs.record import Predictions, Record
from softtargets.runs.spec import RunSpec


def of_record(name: str, record: Record) -> float | None:
    """Return a measure of a record."""
    compute = MEASURES[name].of
    assert compute is not None
    return compute(record)


def simulated(*, validation: int = 30, test: int = 40, wrong: int = 10) -> Record:
    """Return the record of a student of one teacher, of 3 classes, with so many examples and wrong labels."""
    model = {"model": {"name": "mlp"}, "training": {"epochs": 2}}
    run = RunSpec.parse({**model, "objective": {"name": "distillation"}, "teachers": [{**model, "seeds": 1}]})
    history = tuple(
        {"epoch": epoch, "objective": 1 / epoch, "validation_accuracy": accuracy, "validation_nll": 1 / epoch}
        for epoch, accuracy in ((1, 0.85), (2, 0.96))
    )
    sizes = {"train": 60, "validation": validation, "test": test}
    student, teacher = _predictions(0, sizes, wrong), _predictions(1, sizes, wrong)
    return Record(student, history, run, (Record(teacher, history, run.teachers[0]),))  # pyright: ignore[reportOptionalSubscript]


def _predictions(seed: int, sizes: dict[str, int], wrong: int) -> Predictions:
    draw = torch.Generator().manual_seed(seed)
    made: Predictions = {"transition": torch.full((3, 3), 0.1) + 0.7 * torch.eye(3)}
    for split, n in sizes.items():
        labels = torch.arange(n) % 3
        observed = labels.clone()
        observed[: wrong if split == "train" else 0] = (labels[: wrong if split == "train" else 0] + 1) % 3
        logits = 2 * torch.randn(n, 3, generator=draw) + 2 * torch.nn.functional.one_hot(labels, 3)
        made |= {f"{split}.labels": labels, f"{split}.observed": observed, f"{split}.logits": logits}
        if split != "train":
            made[f"selected.{split}.logits"] = logits / 2
    return made
