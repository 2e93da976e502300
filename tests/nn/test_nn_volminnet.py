"""VolMinNet: what it computes, how its transition is made, and that it finds the one that made the labels."""

import math
from typing import Any

import pytest
import torch
from reference import losses as reference
from reference import penalties as slow
from torch import Tensor

from softtargets import losses, nn

N, K = 6, 3
LABELS = torch.tensor([2, 0, 1, 1, 2, 0])


def logits_of(seed: int = 0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def module_of(**settings: Any) -> nn.VolMinNet:
    module = nn.VolMinNet(K, **{"reduction": "none", **settings}).double()
    torch.nn.init.normal_(module.scores, generator=torch.Generator().manual_seed(1))
    return module


def test_it_agrees_with_the_slow_loop() -> None:
    module = module_of(volume_weight=0.3)
    matrix = module.transition().tolist()
    volume = 0.3 * math.log(abs(slow.determinant(matrix)))
    rows = zip(logits_of().tolist(), LABELS.tolist(), strict=True)
    expected = [reference.forward_corrected(z, y, matrix) + volume for z, y in rows]
    assert module(logits_of(), LABELS).tolist() == pytest.approx(expected, abs=1e-12)


def test_without_weight_it_is_forward_correction_by_its_transition() -> None:
    module = module_of(volume_weight=0.0)
    expected = losses.forward_corrected_cross_entropy(logits_of(), LABELS, module.transition())
    torch.testing.assert_close(module(logits_of(), LABELS), expected, rtol=0, atol=1e-13)


def test_the_transition_by_hand() -> None:
    module = nn.VolMinNet(2, initial=0.0)
    torch.testing.assert_close(module.transition(), torch.tensor([[2.0, 1.0], [1.0, 2.0]]) / 3)
    # sigmoid(-2) = .1192 for each of the others
    stays = nn.VolMinNet(10).transition().diagonal()
    torch.testing.assert_close(stays, torch.full((10,), 1 / (1 + 9 / (1 + math.exp(2)))))


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_the_transition_has_rows_of_one_a_largest_diagonal_and_no_zeros(scale: float) -> None:
    module = nn.VolMinNet(5)
    torch.nn.init.normal_(module.scores, std=scale, generator=torch.Generator().manual_seed(0))
    matrix = module.transition().detach()
    torch.testing.assert_close(matrix.sum(-1), torch.ones(5))
    assert bool((matrix.diagonal()[:, None] >= matrix).all())
    assert bool((matrix > 0).all())
    assert bool(module(torch.zeros(5, 5), torch.arange(5)).isfinite().all())


def test_the_model_and_the_transition_both_learn() -> None:
    module, logits = module_of(volume_weight=0.1), logits_of().requires_grad_()
    scores = module.scores.detach().clone().requires_grad_()

    def loss(z: Tensor, s: Tensor) -> Tensor:
        return torch.func.functional_call(module, {"scores": s}, (z, LABELS))

    assert torch.autograd.gradcheck(loss, (logits, scores))
    of_scores = torch.autograd.grad(module(logits, LABELS).sum(), module.scores)[0]
    assert torch.equal(of_scores == 0, torch.eye(K, dtype=torch.bool))


def test_it_does_not_depend_on_a_shift_or_the_batch() -> None:
    module, logits = module_of(), logits_of()
    whole = module(logits, LABELS)
    torch.testing.assert_close(module(logits + 37.5, LABELS), whole, rtol=0, atol=1e-12)
    parts = [module(logits[i : i + 1], LABELS[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-13)


def learned(weight: float, clean: Tensor, transition: Tensor) -> Tensor:
    """Return the transition learned with free logits for each input, from what labels there are in expectation."""
    observed = clean @ transition
    module = nn.VolMinNet(K, volume_weight=weight, reduction="none")
    logits = (3 * observed).requires_grad_()
    optimizer = torch.optim.Adam([{"params": [logits]}, {"params": module.parameters()}], lr=0.05)
    rows, labels = torch.arange(len(clean)).repeat_interleave(K), torch.arange(K).repeat(len(clean))
    for _ in range(600):
        optimizer.zero_grad()
        losses.reduce(module(logits[rows], labels), weight=observed.flatten()).backward()
        optimizer.step()
    return module.transition().detach()


def test_it_recovers_the_transition_where_there_are_anchors_and_the_volume_is_why() -> None:
    anchors = 0.985 * torch.eye(K) + 0.005
    between = torch.tensor([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.4, 0.3, 0.3], [0.2, 0.6, 0.2]])
    clean = torch.cat([anchors, between])
    transition = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.8, 0.15], [0.1, 0.2, 0.7]])
    found = learned(1e-3, clean, transition)
    torch.testing.assert_close(found, transition, rtol=0, atol=0.02)
    assert float((learned(0.0, clean, transition) - transition).abs().max()) > 0.08


def test_state_and_description() -> None:
    module, other = module_of(volume_weight=0.5), nn.VolMinNet(K, volume_weight=0.5, reduction="none").double()
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(logits_of(), LABELS), module(logits_of(), LABELS))
    assert [name for name, _ in module.named_parameters()] == ["scores"]
    assert repr(module) == (
        "VolMinNet(num_classes=3, volume_weight=0.5, initial=-2.0, reduction='none', ignore_index=-100, class_dim=1)"
    )
    assert module.half().transition().dtype == torch.float32
    assert module(logits_of().half(), LABELS).dtype == torch.float32


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_classes: at least 2; got 1"):
        nn.VolMinNet(1)
    with pytest.raises(ValueError, match=r"volume_weight: at least 0; got -1; choose 0 or more"):
        nn.VolMinNet(K, volume_weight=-1.0)
    with pytest.raises(ValueError, match="initial: a finite number; got inf; use about -2, or less for many classes"):
        nn.VolMinNet(K, initial=math.inf)
    with pytest.raises(
        ValueError, match="transition: 4 classes, as the logits; got 3; pass the transition of these classes"
    ):
        nn.VolMinNet(K)(torch.zeros(2, 4), torch.tensor([0, 1]))
