"""The recommended specification is one that `softtargets train` takes, also for an ensemble."""

import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

from softtargets.compare.methods import MethodCandidate
from softtargets.compare.specification import specification_of
from softtargets.ensembles.job import read_specification
from softtargets.runs.spec import RunSpec

TABLES = {"model": {"name": "mlp", "hidden": [8]}, "training": {"epochs": 2}}
HARD = {"name": "cross_entropy"}


def specified(members: int, *, temperature: bool) -> str:
    inputs: Any = SimpleNamespace(seed=3, tables=lambda objective, seed: {**TABLES, "objective": dict(objective)})
    candidate = MethodCandidate("method", "the method", HARD, members=members)
    return specification_of(inputs, candidate, temperature=temperature)


@pytest.mark.parametrize("temperature", [True, False])
def test_one_network_is_a_run_whose_temperature_export_fits(temperature: bool) -> None:
    text = specified(1, temperature=temperature)
    assert RunSpec.parse(tomllib.loads(text)).training.epochs == 2
    assert ("softtargets export RUN FOLDER" in text) == temperature


@pytest.mark.parametrize(("temperature", "calibrator"), [(True, "temperature-scaling"), (False, "none")])
def test_an_ensemble_is_trained_and_calibrated_by_one_command(temperature: bool, calibrator: str) -> None:
    run, kind = read_specification(tomllib.loads(specified(3, temperature=temperature)))
    assert len(kind.members(run)) == 3
    assert kind.calibrator == calibrator
