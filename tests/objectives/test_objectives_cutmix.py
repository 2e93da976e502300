"""CutMix: the pixels that are pasted, the area that the label keeps, and what both are drawn from."""

import math

import pytest
import torch
from objective_specs import numbers
from pydantic import TypeAdapter

from softtargets import losses, targets
from softtargets._errors import InputError
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext, TrainingData
from softtargets.objectives.cutmix import draw_rectangles

N, K = 16, 4


def _objective(input_shape: tuple[int, ...] = (3, 12, 10), **spec) -> Objective:
    labels = torch.arange(20) % K
    data = TrainingData(("a", "b", "c", "d"), input_shape, labels, torch.arange(20), torch.arange(20))
    return TypeAdapter(AnyObjective).validate_python(spec).started(ObjectiveContext(20, K, data=data))


def _batch() -> Batch:
    # every pixel of an image has the image's own number
    inputs = torch.arange(N).float()[:, None, None, None].expand(N, 3, 12, 10).contiguous()
    return Batch(inputs, torch.arange(N) % K, torch.arange(N))


def _mixed(seed: int, **spec) -> Batch:
    return _objective(name="cutmix", **spec).prepare(_batch(), torch.Generator().manual_seed(seed))


def _shares(batch: Batch) -> torch.Tensor:
    assert batch.targets is not None
    return batch.targets.to_dense(K)


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_rectangle_of_the_partner_is_pasted_and_the_targets_keep_the_areas(seed, per_example) -> None:
    mixed = _mixed(seed, per_example=per_example)
    own = torch.arange(N).float()
    pasted = numbers(mixed) != own[:, None, None, None]
    assert torch.equal(pasted.all(1), pasted.any(1)), "all channels are pasted"
    area = pasted[:, 0].double().mean((1, 2))
    partners = []
    for row in range(N):
        there = pasted[row, 0]
        found = numbers(mixed)[row][:, there].unique()
        assert len(found) <= 1
        partners.append(int(found[0]) if len(found) else None)
        rows, columns = there.any(1).nonzero().flatten(), there.any(0).nonzero().flatten()
        if len(rows):
            assert int(there.sum()) == len(rows) * len(columns)
            assert int(rows[-1] - rows[0]) + 1 == len(rows), "a rectangle has no gaps"
            assert int(columns[-1] - columns[0]) + 1 == len(columns)
    expected = torch.zeros(N, K, dtype=torch.float64)
    for row, partner in enumerate(partners):
        expected[row, row % K] += 1 - area[row]
        expected[row, row % K if partner is None else partner % K] += area[row]
    torch.testing.assert_close(_shares(mixed).double(), expected)
    known = [partner for partner in partners if partner is not None]
    assert len(set(known)) == len(known), "the partners are a permutation"
    if not per_example:
        changed = torch.tensor([partner is not None for partner in partners])
        assert len(area[changed].unique()) <= 1, "one rectangle for the batch"


def test_the_sides_are_the_root_of_the_share_before_they_are_clipped() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.full((2000,), 0.75, dtype=torch.float64)  # sides are half of the image's
    inside = draw_rectangles(weight, 32, 20, generator)
    heights, widths = inside.any(2).sum(1), inside.any(1).sum(1)
    assert int(heights.max()) == 16
    assert int(widths.max()) == 10
    whole = (heights == 16) & (widths == 10)
    # the centre is uniform over the pixels: it is far enough from each border with probability 17 / 32 and 11 / 20
    assert abs(float(whole.double().mean()) - 17 / 32 * 11 / 20) < 6 * math.sqrt(0.25 / 2000)
    centre = torch.arange(32).double() @ inside.any(2).double().mean(0) / inside.any(2).double().mean(0).sum()
    assert abs(float(centre) - 15.5) < 1


@pytest.mark.parametrize(("weight", "share"), [(1.0, 0.0), (0.0, None)])
def test_the_ends_of_the_weight(weight, share) -> None:
    inside = draw_rectangles(weight, 8, 8, torch.Generator().manual_seed(0))
    assert inside.shape == (1, 8, 8)
    # a rectangle of the whole size is clipped to at least a quarter, as its centre is in the image
    assert float(inside.double().mean()) == share if share is not None else float(inside.double().mean()) >= 0.25


def test_the_same_seed_gives_the_same_pixels() -> None:
    assert torch.equal(numbers(_mixed(3)), numbers(_mixed(3)))
    assert not torch.equal(numbers(_mixed(3)), numbers(_mixed(4)))


def test_a_share_of_the_batches_is_mixed() -> None:
    objective, generator, batch = (
        _objective(name="cutmix", probability=0.3),
        torch.Generator().manual_seed(0),
        _batch(),
    )
    mixed = [not torch.equal(numbers(objective.prepare(batch, generator)), numbers(batch)) for _ in range(300)]
    # about one rectangle in twenty is empty
    assert 0.15 < sum(mixed) / 300 < 0.4
    untouched = _mixed(0, probability=0.0)
    assert torch.equal(numbers(untouched), numbers(batch))
    assert torch.equal(_shares(untouched), torch.eye(K, dtype=torch.float64)[batch.labels])


def test_smoothed_targets_are_mixed_for_any_loss_of_soft_targets() -> None:
    spec = {"name": "cutmix", "smoothing": 0.2, "loss": {"name": "focal", "gamma": 2.0}}
    objective = _objective(**spec)
    mixed, plain = objective.prepare(_batch(), torch.Generator().manual_seed(1)), _mixed(1)
    assert torch.equal(numbers(mixed), numbers(plain))
    expected = 0.8 * _shares(plain) + 0.2 / K
    torch.testing.assert_close(_shares(mixed), expected)
    logits = torch.randn(N, K, generator=torch.Generator().manual_seed(5))
    by_label = torch.stack([losses.focal_loss(logits, torch.full((N,), k), gamma=2.0) for k in range(K)], 1)
    torch.testing.assert_close(objective.losses(logits, mixed), (expected.float() * by_label).sum(1))


def test_the_targets_of_a_rule_are_mixed() -> None:
    table = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.2, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.25] * 4])
    rule = {"name": "class_table", "table": table.tolist()}
    mixed = _mixed(1, loss=rule)
    torch.testing.assert_close(_shares(mixed), (_shares(_mixed(1)).float() @ table))
    assert targets.hard(_batch().labels).shape == mixed.targets.shape  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("shape", [(7,), (3, 12)])
def test_a_table_or_texts_are_refused_before_training(shape) -> None:
    with pytest.raises(
        InputError, match=r"^objective: a data set of images for 'cutmix'; got inputs of shape \(.*; use 'mixup'"
    ):
        _objective(shape, name="cutmix")
    spec = TypeAdapter(AnyObjective).validate_python({"name": "cutmix"})
    without_facts = spec.started(ObjectiveContext(20, K))
    batch = Batch(torch.zeros(2, *shape), torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(InputError, match=r"^objective: a data set of images for 'cutmix'; got inputs of shape"):
        without_facts.prepare(batch, torch.Generator())


def test_inputs_that_are_not_numbers_are_refused() -> None:
    batch = Batch(torch.zeros(2, 3, 4, 4, dtype=torch.int64), torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(
        InputError, match=r"^objective: inputs that are numbers, for 'cutmix'; got inputs of dtype torch.int64"
    ):
        _objective(name="cutmix").prepare(batch, torch.Generator())


def test_the_layout_of_the_images_is_kept() -> None:
    batch = Batch(
        torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last), torch.arange(4), torch.arange(4)
    )
    mixed = _objective(name="cutmix").prepare(batch, torch.Generator().manual_seed(0))
    assert numbers(mixed).is_contiguous(memory_format=torch.channels_last)
    assert numbers(mixed).dtype == torch.float32
