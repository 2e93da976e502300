"""What is recorded of the machine that trained a run."""

from importlib.metadata import PackageNotFoundError

import pytest
from kernels import use_kernels

import softtargets
from softtargets._native import library
from softtargets.runs.machine import environment
from softtargets.runs.spec import ResolvedRun, RunSpec


def test_a_checkout_that_is_not_installed_is_recorded_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("softtargets._version.version", missing)
    spec = RunSpec.parse({"model": {"name": "mlp"}, "training": {"epochs": 2}})
    run = ResolvedRun(run=spec, fingerprint="f", backend="cpu", precision="float32", recipe=1)
    assert environment(run)["softtargets"] == "not installed"
    assert softtargets.__version__ == "not installed"


def test_the_environment_names_the_kernels_and_the_identity_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RunSpec.parse({"model": {"name": "mlp"}, "training": {"epochs": 2}})
    run = ResolvedRun(run=spec, fingerprint="f", backend="cpu", precision="float32", recipe=1)
    kernels, identities = [], set()
    for wanted in ("0", "1"):
        use_kernels(monkeypatch, wanted)
        kernels.append(environment(run)["kernels"])
        identities.add(run.model_copy().identity)
    assert kernels == ["torch operations (SOFTTARGETS_NATIVE=0)", library.status()]
    assert len(identities) == 1
