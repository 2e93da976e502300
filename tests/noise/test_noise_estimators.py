"""Estimators by name: each is the function it stands for, and what is unknown is refused by name."""

from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets.noise.estimators import ESTIMATORS


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    probs = torch.randn(400, 4, generator=generator, dtype=torch.float64).mul(2).softmax(1)
    return probs, torch.multinomial(probs, 1, generator=generator)[:, 0]


EXPECTED: dict[str, Any] = {
    "anchor_points": lambda probs, labels: noise.anchor_points(probs),
    "anchor_points_97": lambda probs, labels: noise.anchor_points(probs, percentile=97.0),
    "anchor_counts": noise.anchor_counts,
    "confident_joint": lambda probs, labels: noise.confident_joint(probs, labels).transition,
    "dual_t": noise.dual_t,
}


@pytest.mark.parametrize("method", ESTIMATORS)
def test_a_name_stands_for_its_function_to_the_bit(method: str) -> None:
    probs, labels = data()
    found = noise.estimate_transition(probs, labels, method=method).to_dense()
    assert torch.equal(found, EXPECTED[method](probs, labels).to_dense())


def test_every_name_has_a_label_and_stands_in_the_documentation() -> None:
    assert set(ESTIMATORS) == set(EXPECTED)
    for name, one in ESTIMATORS.items():
        assert one.name == name
        assert one.label
        assert f'"{name}"' in (noise.estimate_transition.__doc__ or "")


def test_the_default_is_the_confident_joint() -> None:
    probs, labels = data()
    expected = noise.confident_joint(probs, labels).transition
    assert torch.equal(noise.estimate_transition(probs, labels).to_dense(), expected.to_dense())


@pytest.mark.parametrize(
    ("method", "settings"),
    [("anchor_points", {"percentile": 50}), ("dual_t", {"percentile": 50}), ("anchor_counts", {"share": 0.5})],
)
def test_settings_are_those_of_the_function(method: str, settings: dict[str, float]) -> None:
    probs, labels = data()
    assert ESTIMATORS[method].settings == tuple(settings)
    found = noise.estimate_transition(probs, labels, method=method, **settings).to_dense()
    given = (probs, labels) if ESTIMATORS[method].uses_labels else (probs,)
    assert torch.equal(found, getattr(noise, method)(*given, **settings).to_dense())
    assert not torch.equal(found, noise.estimate_transition(probs, labels, method=method).to_dense())


def test_estimators_serve_the_bootstrap() -> None:
    probs, labels = data()
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    first, second = (
        noise.bootstrap_transition(one, probs, labels, draws=5, generator=generator)
        for one, generator in zip((ESTIMATORS["confident_joint"], noise.confident_joint), generators, strict=True)
    )
    assert (first.noise_rate, first.noise_rate_low) == (second.noise_rate, second.noise_rate_low)


def test_what_is_unknown_is_named() -> None:
    probs, labels = data()
    with pytest.raises(ValueError, match=r"^method: one of .*; got 'dual'; did you mean 'dual_t'"):
        noise.estimate_transition(probs, labels, method="dual")
    for method in ("confident_joint", "anchor_points_97"):
        with pytest.raises(ValueError, match=rf"^percentile: a setting of '{method}', which has: none; got 90;"):
            noise.estimate_transition(probs, labels, method=method, percentile=90)
