"""What holds for the training of every objective: its losses, its state, its draws, and the batches that it takes."""

from dataclasses import replace

import pytest
import torch
from objective_specs import DATA, K, N, batch_of, context, parse, step

from softtargets import targets
from softtargets._errors import InputError
from softtargets.objectives import OBJECTIVES, Batch
from softtargets.objectives.target_rules import TargetRule

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


@every_objective
def test_it_gives_one_finite_loss_per_example_and_a_finite_gradient(started, name) -> None:
    trained = started(name)
    for epoch in range(2):
        for seed in range(2):
            found = step(trained, seed)
            assert found.shape == (N,)
            assert torch.isfinite(found).all()
        trained.end_epoch(epoch)


@every_objective
def test_it_is_resumed_from_its_state(started, name) -> None:
    whole, resumed = started(name), started(name)
    step(whole, 0)
    whole.end_epoch(0)
    resumed.load_state_dict({key: torch.as_tensor(value).clone() for key, value in whole.state_dict().items()})
    for seed in (1, 2):
        assert torch.equal(step(resumed, seed), step(whole, seed))


@every_objective
def test_its_own_parameters_are_in_its_state(started, name) -> None:
    trained = started(name)
    assert {key for key, _ in trained.parameters()} <= trained.state_dict().keys()


@every_objective
def test_it_draws_from_the_given_generator_alone(started, name) -> None:
    before = torch.get_rng_state()
    first, second = step(started(name), 3), step(started(name), 3)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.takes_soft_targets])
def test_one_hot_targets_are_as_good_as_labels(started, name) -> None:
    if issubclass(OBJECTIVES[name], TargetRule):
        return  # it makes the targets, from labels
    draw = torch.Generator().manual_seed(0)
    batch, logits = batch_of(draw), torch.randn(N, K, generator=draw)
    one_hot = replace(batch, targets=targets.dense(torch.eye(K)[batch.labels]))
    of_labels, of_targets = started(name), started(name)
    for trained, given in ((of_labels, batch), (of_targets, one_hot)):
        trained.observe(given, logits)
    losses = of_labels.losses(logits, batch)
    torch.testing.assert_close(of_targets.losses(logits, one_hot).float(), losses.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of_targets.risk(losses), of_labels.risk(losses))
    torch.testing.assert_close(of_targets.batch_loss(logits, one_hot), of_labels.batch_loss(logits, batch))


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.takes_soft_targets])
@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_its_targets_are_mixed(written, mixing, name) -> None:
    spec = parse({"name": mixing, "loss": written(name)})
    assert spec.model_dump(mode="json", exclude_none=True)["loss"]["name"] == name
    whole, resumed = spec.started(context()), spec.started(context())
    assert torch.isfinite(step(whole, 0)).all()
    whole.end_epoch(0)
    resumed.load_state_dict({key: torch.as_tensor(value).clone() for key, value in whole.state_dict().items()})
    assert torch.equal(step(resumed, 1), step(whole, 1))


@every_objective
def test_the_parts_of_a_batch_add_up_to_it(started, name) -> None:
    whole, in_parts = started(name), started(name)
    if whole.needs_whole_batch:
        return
    for trained in (whole, in_parts):
        trained.end_epoch(0)
    draw = torch.Generator().manual_seed(0)
    batch, logits = batch_of(draw), torch.randn(N, K, generator=draw)
    batch = whole.prepare(batch, draw)
    whole.observe(batch, logits)
    expected = whole.batch_loss(logits, batch)
    total, sums = 0.0, 0.0
    for rows in (slice(0, 2), slice(2, N)):
        fields = {"inputs": batch.inputs, "labels": batch.labels, "ids": batch.ids}
        others = {"targets": batch.targets, "teacher_logits": batch.teacher_logits}
        fields |= {field: value for field, value in others.items() if value is not None}
        part = Batch(**{field: value[rows] for field, value in fields.items()})  # pyright: ignore[reportArgumentType]
        in_parts.observe(part, logits[rows])
        own = in_parts.batch_loss(logits[rows], part)
        normalizer = float(in_parts.normalizer(part))
        total, sums = total + normalizer, sums + float(own.detach()) * normalizer
    assert sums / total == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.uses_unlabelled])
def test_a_row_without_a_label_is_used_without_it(started, name) -> None:
    labelled = torch.tensor([True, False, True, True, False, True])
    trained = started(name)
    step(trained, 0)
    trained.end_epoch(0)
    assert torch.isfinite(step(trained, 1, labelled)).all()
    draw = torch.Generator().manual_seed(2)
    batch, logits = batch_of(draw), torch.randn(N, K, generator=draw)
    found = []
    for label in (-1, 0, 3):
        some = replace(batch, labels=batch.labels.masked_fill(~labelled, label), labelled=labelled)
        some = trained.prepare(some, draw)
        found.append(trained.risk(trained.losses(logits, some)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if not kind.uses_unlabelled])
def test_rows_without_labels_are_refused_where_they_are_not_used(parsed, name) -> None:
    data = replace(DATA, labelled=torch.arange(20) % 2 == 0)
    with pytest.raises(InputError) as caught:
        parsed(name).started(context(data=data))
    required = "objective: one that uses rows without a label: distillation, mean_teacher, pseudo_labels"
    assert str(caught.value).startswith(f"{required}; got '{name}', with 8 training rows without a label; ")
    outside = replace(DATA, labelled=torch.arange(20) > 0)
    parsed(name).started(context(data=outside))  # the first row is not in the training split


# they copy labels or predictions to the CPU, where they draw, or keep their state
ON_THE_CPU = ("disturb_label", "early_learning", "online_smoothing")


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in ON_THE_CPU])
def test_its_tensors_are_where_batches_are(parsed, name) -> None:
    """On the device "meta", which has no data, any copy to the CPU fails."""
    device = torch.device("meta")
    trained = parsed(name).started(context(device=device, teacher=lambda ids, inputs: torch.zeros(1, N, K).to(device)))
    batch = batch_of(torch.Generator().manual_seed(0))
    fields = {field: getattr(batch, field).to(device) for field in ("inputs", "labels", "ids")}
    labelled = torch.ones(N, dtype=torch.bool, device=device) if trained.uses_unlabelled else None
    batch = trained.prepare(Batch(**fields, labelled=labelled), torch.Generator().manual_seed(0))
    assert batch.inputs.device == device
    made = {} if batch.targets is None else batch.targets.tensors()
    assert {tensor.device for tensor in made.values()} <= {device}
    logits = torch.randn(N, K, device=device, requires_grad=True)
    trained.observe(batch, logits.detach())
    assert trained.batch_loss(logits, batch).device == device
