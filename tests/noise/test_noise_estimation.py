"""estimate_transition: each method is the function of its name, and unknown names are refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets.noise.estimators import anchor_counts, anchor_points, dual_t, trusted_set
from softtargets.noise.estimators.registry import ESTIMATORS, observed_label_estimators


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    probs = torch.randn(400, 4, generator=generator, dtype=torch.float64).mul(2).softmax(1)
    return probs, torch.multinomial(probs, 1, generator=generator)[:, 0]


EXPECTED: dict[str, Any] = {
    "anchor": lambda probs, labels: anchor_points(probs),
    "anchor_97": lambda probs, labels: anchor_points(probs, percentile=97.0),
    "anchor_counts": anchor_counts,
    "confident_joint": lambda probs, labels: noise.confident_joint(probs, labels).transition,
    "dual_t": dual_t,
    "trusted": trusted_set,
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
    [("anchor", {"percentile": 50}), ("dual_t", {"percentile": 50}), ("anchor_counts", {"share": 0.5})],
)
def test_settings_are_those_of_the_function(method: str, settings: dict[str, Any]) -> None:
    probs, labels = data()
    assert ESTIMATORS[method].settings == tuple(settings)
    found = noise.estimate_transition(probs, labels, method=method, **settings).to_dense()
    given = (probs, labels) if ESTIMATORS[method].uses_labels else (probs,)
    assert torch.equal(found, ESTIMATORS[method].function(*given, **settings).to_dense())  # pyright: ignore[reportAttributeAccessIssue]
    assert not torch.equal(found, noise.estimate_transition(probs, labels, method=method).to_dense())


def test_estimators_serve_the_bootstrap() -> None:
    probs, labels = data()
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    first, second = (
        noise.bootstrap_transition(probs, labels, method=one, n_draws=5, generator=generator)
        for one, generator in zip(("confident_joint", noise.confident_joint), generators, strict=True)
    )
    assert (first.noise_rate, first.noise_rate_low) == (second.noise_rate, second.noise_rate_low)


def test_what_is_unknown_is_named() -> None:
    probs, labels = data()
    with pytest.raises(ValueError, match=r"^method: one of .*; got 'dual'; did you mean 'dual_t'"):
        noise.estimate_transition(probs, labels, method="dual")
    for method in ("confident_joint", "anchor_97"):
        with pytest.raises(ValueError, match=rf"^percentile: a setting of '{method}' \(it has none\); got 90;"):
            noise.estimate_transition(probs, labels, method=method, percentile=90)


def test_only_the_trusted_set_needs_clean_labels() -> None:
    assert set(ESTIMATORS) - set(observed_label_estimators()) == {"trusted"}
    assert ESTIMATORS["trusted"].uses_labels == "clean"
    assert ESTIMATORS["anchor"].uses_labels is None


@pytest.mark.parametrize("method", ESTIMATORS)
def test_examples_that_are_left_out_change_nothing(method: str) -> None:
    probs, labels = data()
    expected = noise.estimate_transition(probs, labels, method=method).to_dense()
    more = torch.cat([torch.full((3, 4), torch.nan, dtype=probs.dtype), probs])
    ignored = torch.cat([torch.full((3,), -100), labels])
    mask = torch.arange(len(more)) >= 3
    found = noise.estimate_transition(more, ignored, method=method)
    assert torch.equal(found.to_dense(), expected)
    masked = noise.estimate_transition(more, ignored.clamp(min=0), method=method, mask=mask)
    assert torch.equal(masked.to_dense(), expected)


def test_classes_may_be_on_any_axis() -> None:
    probs, labels = data()
    images = probs.view(4, 10, 10, 4).movedim(-1, 1)
    found = noise.estimate_transition(images, labels.view(4, 10, 10), method="anchor_counts", class_dim=1)
    expected = noise.estimate_transition(probs, labels, method="anchor_counts")
    torch.testing.assert_close(found.to_dense(), expected.to_dense())
    with pytest.raises(ValueError, match=r"^labels: .*; pass class_dim=1"):
        noise.estimate_transition(images, labels.view(4, 10, 10))


def test_an_error_names_the_row_of_the_input_though_rows_are_left_out() -> None:
    probs, labels = data()
    probs[5] = 2.0
    labels[0] = -100
    for method in ESTIMATORS:
        with pytest.raises(ValueError, match=r"^probs: .* at row 5; "):
            noise.estimate_transition(probs, labels, method=method)
    with pytest.raises(ValueError, match=r"^probs: .* at index \(0, 5\); "):
        noise.estimate_transition(probs.view(2, 200, 4), labels.view(2, 200))


def test_the_old_names_are_advised() -> None:
    with pytest.raises(AttributeError, match=r"use noise\.estimate_transition$"):
        _ = noise.trusted_set  # pyright: ignore[reportAttributeAccessIssue]
