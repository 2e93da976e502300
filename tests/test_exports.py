"""Advice for names that a room does not have."""

import pytest

import softtargets
from softtargets import losses, metrics, nn


def test_a_name_of_another_spelling_is_advised() -> None:
    with pytest.raises(AttributeError, match=r"^module 'softtargets\.losses' .* 'FocalLoss'; use losses\.focal_loss$"):
        _ = losses.FocalLoss  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ImportError, match=r"'KDLoss'; use distill\.kd_loss$"):
        from softtargets import KDLoss  # pyright: ignore[reportAttributeAccessIssue] # noqa: F401


def test_an_alias_of_a_docstring_is_advised() -> None:
    with pytest.raises(AttributeError, match=r"'GCE'; use losses\.generalized_cross_entropy$"):
        _ = metrics.GCE  # pyright: ignore[reportAttributeAccessIssue]


def test_a_loss_that_is_looked_for_as_a_module() -> None:
    with pytest.raises(AttributeError, match=r"'FocalLoss'; use nn\.Loss\(losses\.focal_loss, \.\.\.\)$"):
        _ = nn.FocalLoss  # pyright: ignore[reportAttributeAccessIssue]


def test_a_name_like_no_other_gets_no_advice() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'zzz'$"):
        _ = softtargets.zzz  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(losses, "__wrapped__")
    assert not hasattr(losses, "zzz")
