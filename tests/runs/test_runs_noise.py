"""Noise as a specification."""

import pytest

from softtargets._errors import InputError
from softtargets.runs.spec import ResolvedRun, RunSpec

BASE = {"model": {"name": "mlp"}, "training": {"epochs": 1}}


def resolved(noise: dict, fingerprint: str | None = None) -> ResolvedRun:
    run = RunSpec.parse({**BASE, "noise": noise})
    return ResolvedRun(
        run=run, fingerprint="f", observed_fingerprint=fingerprint, backend="cpu", precision="float32", recipe=1
    )


@pytest.mark.parametrize(
    "noise",
    [
        {"name": "symmetric", "rate": 0.4, "inclusive": True},
        {"name": "pair_flip", "rate": 0.4},
        {"name": "asymmetric_cifar10", "rate": 0.4},
        {"name": "superclass_flip", "rate": 0.4, "superclasses": [0, 0, 1]},
        {"name": "instance", "rate": 0.4, "spread": 0.2},
        {"name": "recorded", "file": "labels.csv", "column": "worse"},
    ],
)
def test_every_noise_is_read_as_written(noise: dict) -> None:
    held = RunSpec.parse({**BASE, "noise": noise}).noise
    assert held is not None
    assert {**noise, "splits": ["train", "validation"]} == held.model_dump(mode="json")


def test_recorded_labels_are_known_by_what_they_say_and_not_by_their_file() -> None:
    def identity(file: str, column: str, fingerprint: str) -> str:
        return resolved({"name": "recorded", "file": file, "column": column}, fingerprint).identity

    assert identity("a.csv", "x", "1") == identity("b.parquet", "y", "1")
    assert identity("a.csv", "x", "1") != identity("a.csv", "x", "2")


def test_kinds_of_noise_are_different_runs() -> None:
    names = ("symmetric", "pair_flip", "asymmetric_cifar10", "instance")
    assert len({resolved({"name": name, "rate": 0.2}).identity for name in names}) == len(names)


@pytest.mark.parametrize(
    ("noise", "error"),
    [
        ({"name": "pairflip", "rate": 0.4}, "did you mean 'pair_flip'"),
        ({"name": "pair_flip", "rate": 1.4}, r"noise.rate: at most 1; got 1.4"),
        ({"name": "pair_flip", "rate": 0.4, "splits": ["train", "train"]}, r"noise.splits: each split once"),
        ({"name": "symmetric", "rate": 0.4, "splits": []}, r"noise.splits: a length of at least 1"),
        ({"name": "recorded", "file": "a.csv"}, r"noise.column: required"),
        ({"name": "instance", "rate": 0.4, "spread": -1.0}, r"noise.spread: at least 0"),
    ],
)
def test_what_is_refused(noise: dict, error: str) -> None:
    with pytest.raises(InputError, match=error):
        RunSpec.parse({**BASE, "noise": noise})
