"""What is recorded of the machine that trained a run."""

import pytest
from kernels import use_kernels

from softtargets._native import library
from softtargets.runs.machine import environment
from softtargets.runs.spec import ResolvedRun, RunSpec


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
