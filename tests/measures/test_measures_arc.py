"""The arc of two similar classes: shapes whose ratio is known, and a trained network."""

import math

import pytest
import torch

from softtargets.measures.arc import arc_ratio
from softtargets.measures.registry import GROUPS


def _on_arc(radius: float, thickness: float, angle: float) -> torch.Tensor:
    """Return a grid in polar coordinates around (1, -2): radii and directions independent of each other."""
    radii = torch.linspace(radius - thickness, radius + thickness, 41, dtype=torch.float64)
    angles = torch.linspace(-angle, angle, 41, dtype=torch.float64) + 2.5
    r, phi = torch.meshgrid(radii, angles, indexing="ij")
    return torch.stack([1 + r * phi.cos(), -2 + r * phi.sin()], -1).reshape(-1, 2)


CENTRE = torch.tensor([1.0, -2.0], dtype=torch.float64)


@pytest.mark.parametrize(("radius", "thickness", "angle"), [(5.0, 0.5, 1.0), (5.0, 2.0, 0.1), (0.5, 0.1, 1.4)])
def test_it_is_the_radial_over_the_tangential_spread_by_hand(radius, thickness, angle) -> None:
    # the standard deviations of equal steps from -1 to 1 are the same for both
    expected = thickness / (radius * angle)
    assert float(arc_ratio(_on_arc(radius, thickness, angle), CENTRE)) == pytest.approx(expected, rel=1e-9)


def test_a_circle_gives_0_and_a_round_cloud_far_away_gives_1() -> None:
    assert float(arc_ratio(_on_arc(3.0, 0.0, 1.0), CENTRE)) == pytest.approx(0.0, abs=1e-12)
    cloud = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(arc_ratio(cloud + torch.tensor([300.0, 400.0]), CENTRE)) == pytest.approx(1.0, abs=0.03)


def test_rotation_shift_and_scale_change_nothing() -> None:
    points = _on_arc(5.0, 1.0, 0.7)
    turn = torch.tensor([[math.cos(2.0), -math.sin(2.0)], [math.sin(2.0), math.cos(2.0)]], dtype=torch.float64)
    moved, centre = 3.0 * points @ turn.T + 7.0, 3.0 * CENTRE @ turn.T + 7.0
    assert float(arc_ratio(moved, centre)) == pytest.approx(float(arc_ratio(points, CENTRE)), rel=1e-9)


def test_a_trained_network_has_one_on_both_splits(subject) -> None:
    for split in ("train", "test"):
        (value,) = GROUPS[f"projection.arc.{split}"](subject).values()
        assert 0 < value < 10
