"""Mixup with one weight per example, with another loss, and on inputs of any shape."""

import pytest
import torch
from objective_specs import numbers
from pydantic import TypeAdapter

from softtargets import losses
from softtargets._errors import InputError
from softtargets.matrices import Transition
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext
from softtargets.objectives.mixup import draw_beta

N, K = 12, 4


def _objective(given: Transition | None = None, /, **spec) -> Objective:
    context = ObjectiveContext(20, K, transition=given, epochs=4)
    return TypeAdapter(AnyObjective).validate_python({"name": "mixup", **spec}).started(context)


def _batch(*shape: int) -> Batch:
    inputs = torch.randn(N, *shape, generator=torch.Generator().manual_seed(0))
    return Batch(inputs, torch.arange(N) % K, torch.arange(N))


@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
@pytest.mark.parametrize("per_example", [False, True])
def test_inputs_and_targets_have_the_same_weights(shape, per_example) -> None:
    batch = _batch(*shape)
    mixed = _objective(concentration=1.0, per_example=per_example).prepare(batch, torch.Generator().manual_seed(1))
    assert mixed.targets is not None
    index, value = mixed.targets.factors()
    weight = value[:, 0]
    assert (len(weight.unique()) == N) == per_example
    again = torch.Generator().manual_seed(1)
    drawn = draw_beta(1.0, again, N if per_example else None)
    partner = torch.randperm(N, generator=again)
    torch.testing.assert_close(weight, torch.as_tensor(drawn, dtype=torch.float64).expand(N))
    assert torch.equal(index[:, 1], batch.labels[partner])
    share = weight.float().view(N, *(1 for _ in shape))
    torch.testing.assert_close(numbers(mixed), share * numbers(batch) + (1 - share) * numbers(batch)[partner])
    assert numbers(mixed).dtype == torch.float32


def test_another_loss_is_minimised_with_its_own_schedule() -> None:
    spec = {"loss": {"name": "max_suppression", "smoothing": 0.0, "final_smoothing": 0.4}}
    objective, batch = _objective(**spec), _batch(5)
    logits = torch.randn(N, K, generator=torch.Generator().manual_seed(2))
    mixed = objective.prepare(batch, torch.Generator().manual_seed(1))
    assert mixed.targets is not None
    own = losses.cross_entropy(logits, mixed.targets)
    torch.testing.assert_close(objective.losses(logits, mixed), own)
    objective.end_epoch(0)
    extra = logits.amax(-1) - logits.mean(-1)
    torch.testing.assert_close(objective.losses(logits, mixed), own + 0.1 * extra)
    resumed = _objective(**spec)
    resumed.load_state_dict(objective.state_dict())
    assert torch.equal(resumed.losses(logits, mixed), objective.losses(logits, mixed))


def test_the_risk_is_that_of_the_other_loss() -> None:
    objective = _objective(loss={"name": "class_weights", "weights": [1.0, 2.0, 3.0, 4.0]})
    batch = _batch(5)
    mixed = objective.prepare(batch, torch.Generator().manual_seed(1))
    assert mixed.targets is not None
    logits = torch.randn(N, K, generator=torch.Generator().manual_seed(2))
    found = objective.losses(logits, mixed)
    weight = mixed.targets.to_dense(K).float() @ torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.testing.assert_close(objective.risk(found), (weight * found).sum() / weight.sum())


def test_a_correction_is_applied_to_mixed_targets() -> None:
    transition = Transition.symmetric(0.3, K)
    objective = _objective(transition, loss={"name": "forward", "transition": {"name": "known"}})
    assert objective.needs_transition() == "known"
    torch.testing.assert_close(objective.current_transition(), transition.to_dense())
    batch = _batch(5)
    mixed = objective.prepare(batch, torch.Generator().manual_seed(1))
    logits = torch.randn(N, K, generator=torch.Generator().manual_seed(2))
    assert mixed.targets is not None
    expected = losses.forward_corrected_cross_entropy(logits, mixed.targets, transition)
    assert torch.equal(objective.losses(logits, mixed), expected)


def test_an_error_of_the_other_loss_names_its_place() -> None:
    with pytest.raises(InputError, match=r"^objective\.loss\.transition: a transition in the context"):
        _objective(loss={"name": "forward", "transition": {"name": "known"}})


def test_inputs_that_are_not_numbers_are_refused() -> None:
    batch = Batch(torch.zeros(2, 7, dtype=torch.int64), torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(
        InputError, match=r"^objective: inputs that are numbers, for 'mixup'; got inputs of dtype torch.int64"
    ):
        _objective().prepare(batch, torch.Generator())
