"""Optimisers, schedules, checkpoints and inputs: each against a number by hand."""

import math

import pytest
import torch
from safetensors.torch import load_file

from softtargets._errors import InputError
from softtargets.data.augment import random_flip, random_shift
from softtargets.data.batches import Inputs, check_augmentation
from softtargets.data.dataset import Dataset
from softtargets.data.spec import AugmentationSpec
from softtargets.runs.checkpoint import load_state, save_state
from softtargets.runs.optimization import OptimizerSpec
from softtargets.runs.store import PREDICTIONS, RunStore
from softtargets.train.execute import execute
from softtargets.train.optimizers import build_optimizer, set_learning_rates


def _named(*names: str) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, torch.nn.Parameter(torch.ones(2))) for name in names]


def test_groups_take_their_own_rate_and_decay_and_the_first_match_counts() -> None:
    groups = [
        {"match": "head.*", "learning_rate": 0.1, "weight_decay": 0.04},
        {"match": "*.bias", "weight_decay": 0.0},
    ]
    spec = OptimizerSpec.parse({"learning_rate": 1.0, "weight_decay": 0.5, "groups": groups})
    named = _named("body.weight", "body.bias", "head.weight", "head.bias")
    optimizer = build_optimizer(spec, named)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, parameter in named
        if any(parameter is member for member in group["params"])
    }
    assert found == {
        "body.weight": (1.0, 0.5),
        "body.bias": (1.0, 0.0),
        "head.weight": (0.1, 0.04),
        "head.bias": (0.1, 0.04),
    }
    set_learning_rates(optimizer, 0.5)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.05, 0.5, 0.5]


def test_a_group_that_matches_nothing_names_the_nearest_parameter() -> None:
    spec = OptimizerSpec.parse({"groups": [{"match": "haed.weight"}]})
    with pytest.raises(InputError, match=r"did you mean 'head.weight'"):
        build_optimizer(spec, _named("body.weight", "head.weight"))


def test_momentum_with_dampening_is_mueller_gradient_smoothing() -> None:
    """.9 times the previous gradient plus .1 the current one (Müller et al. 2019, A.5)."""
    spec = OptimizerSpec.parse({"learning_rate": 1.0, "momentum": 0.9, "dampening": 0.9})
    ((_, parameter),) = named = _named("w")
    optimizer = build_optimizer(spec, named)
    values = []
    for gradient in (1.0, 2.0):
        before = parameter.detach().clone()
        parameter.grad = torch.full((2,), gradient)
        optimizer.step()
        values.append(float((before - parameter.detach())[0]))
    # torch starts the average at the first gradient itself
    assert values == pytest.approx([1.0, 0.9 * 1.0 + 0.1 * 2.0])


SETTINGS = {
    "sgd": ({"momentum": 0.0}, torch.optim.SGD, {}),
    "nesterov": ({"nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "dampening": ({"dampening": 0.5}, torch.optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
    "adamw": ({"name": "adamw"}, torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    "adam": (
        {"name": "adam", "momentum": 0.8, "second_momentum": 0.95, "eps": 0.01},
        torch.optim.Adam,
        {"betas": (0.8, 0.95), "eps": 0.01},
    ),
    "rmsprop": ({"name": "rmsprop"}, torch.optim.RMSprop, {"momentum": 0.9, "alpha": 0.99}),
    "rmsprop without momentum": (
        {"name": "rmsprop", "momentum": 0.0, "second_momentum": 0.9, "eps": 1.0},
        torch.optim.RMSprop,
        {"alpha": 0.9, "eps": 1.0},
    ),
}


def _layered() -> list[torch.nn.Parameter]:
    """A kernel in the layout of images, a matrix, and a vector."""
    draw = torch.Generator().manual_seed(0)
    kernel = torch.randn(6, 5, 3, 3, generator=draw).to(memory_format=torch.channels_last)
    return [torch.nn.Parameter(value) for value in (kernel, torch.randn(7, 4, generator=draw), torch.ones(3))]


def _set_gradients(parameters: list[torch.nn.Parameter], step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    for place, parameter in enumerate(parameters):
        values = torch.randn(parameter.shape, generator=draw)
        # the vector is not used in the first step
        parameter.grad = None if step == 0 and place == 2 else torch.empty_like(parameter).copy_(values)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_is_that_of_the_class_in_torch(name) -> None:
    settings, theirs, options = SETTINGS[name]
    spec = OptimizerSpec.parse({"learning_rate": 0.1, "weight_decay": 0.01, **settings})
    ours, expected = _layered(), _layered()
    optimizer = build_optimizer(spec, zip("abc", ours, strict=True))
    # one optimiser of theirs per parameter: torch cannot begin the momentum of some of a group later
    kernel = {"foreach": True} if theirs is torch.optim.RMSprop else {"fused": True}
    others = [theirs([parameter], lr=0.1, weight_decay=0.01, **kernel, **options) for parameter in expected]
    for step in range(4):
        _set_gradients(ours, step)
        _set_gradients(expected, step)
        optimizer.step()
        for other in others:
            other.step()
    for one, other in zip(ours, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("name", [*SETTINGS, "lars", "lamb"])
def test_a_restored_state_goes_on_as_before_in_every_layout(tmp_path, name, steps) -> None:
    spec = OptimizerSpec.parse({"learning_rate": 0.1, **(SETTINGS[name][0] if name in SETTINGS else {"name": name})})
    parameters = _layered()
    optimizer = build_optimizer(spec, zip("abc", parameters, strict=True))
    for step in range(steps):
        _set_gradients(parameters, step)
        optimizer.step()
    save_state(tmp_path / "state", optimizer.state_dict())
    copies = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    restored = build_optimizer(spec, zip("abc", copies, strict=True))
    state = load_state(tmp_path / "state")
    assert state is not None
    restored.load_state_dict(state)
    for step in range(steps, 4):
        for members, stepping in ((parameters, optimizer), (copies, restored)):
            _set_gradients(members, step)
            stepping.step()
    for one, other in zip(parameters, copies, strict=True):
        assert torch.equal(one, other)


def test_nested_state_survives_with_its_types(tmp_path) -> None:
    state = {
        "optimizer": {"state": {0: {"momentum_buffer": torch.arange(3.0)}}, "groups": [{"lr": 0.1, "on": True}]},
        "count": torch.tensor(3),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "nothing": None,
    }
    save_state(tmp_path / "s", state)
    found = load_state(tmp_path / "s")
    assert found is not None
    assert list(found["optimizer"]["state"]) == [0]
    assert torch.equal(found["optimizer"]["state"][0]["momentum_buffer"], torch.arange(3.0))
    assert found["optimizer"]["groups"] == [{"lr": 0.1, "on": True}]
    assert found["count"].dtype == torch.int64
    assert found["half"].dtype == torch.bfloat16
    assert found["nothing"] is None


def test_state_that_would_have_to_be_pickled_is_refused(tmp_path) -> None:
    with pytest.raises(TypeError, match="got set"):
        save_state(tmp_path / "s", {"x": {1}})
    assert not (tmp_path / "s").exists()


def test_shifts_reach_every_place_alike_and_fill_with_zero() -> None:
    images = torch.zeros(20_000, 1, 5, 5, dtype=torch.uint8)
    images[:, 0, 2, 2] = 7
    moved = random_shift(images, 2, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8
    assert moved.sum(dtype=torch.int64) == 7 * 20_000
    counts = (moved[:, 0] == 7).sum(0)
    # 25 places of probability 1/25 each: six standard deviations
    assert (counts - 800).abs().max() < 6 * math.sqrt(800 * 24 / 25)


def test_a_shift_moves_all_channels_of_an_image_together_and_images_apart() -> None:
    images = torch.randint(0, 255, (50, 3, 6, 6), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    moved = random_shift(images, 1, torch.Generator().manual_seed(2))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    offsets = set()
    for before, after in zip(padded, moved, strict=True):
        hits = [(r, c) for r in range(3) for c in range(3) if torch.equal(before[:, r : r + 6, c : c + 6], after)]
        assert len(hits) == 1
        offsets.add(hits[0])
    assert len(offsets) > 5


def test_flips_mirror_half_of_the_images() -> None:
    images = torch.arange(4).view(1, 1, 1, 4).expand(10_000, 1, 1, 4)
    flipped = random_flip(images, torch.Generator().manual_seed(0))
    mirrored = flipped[:, 0, 0, 0] == 3
    assert torch.equal(flipped[mirrored][0, 0, 0], torch.tensor([3, 2, 1, 0]))
    assert abs(int(mirrored.sum()) - 5000) < 300


def _dataset(inputs: torch.Tensor) -> Dataset:
    rows = torch.arange(len(inputs))
    splits = {"train": rows[:-1], "validation": rows[-1:], "test": rows[-1:]}
    return Dataset("mine", "f", inputs, rows % 2, ("a", "b"), splits)


def test_inputs_are_normalised_by_the_training_split() -> None:
    images = torch.randint(0, 256, (9, 2, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    batch = Inputs(_dataset(images), torch.device("cpu")).batch(torch.arange(8))
    assert batch.mean((0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert batch.var((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1], abs=0.02)
    table = _table(9, 3) * 5 + 2
    batch = Inputs(_dataset(table), torch.device("cpu")).batch(torch.arange(9))
    mean, std = table[:8].mean(0), table[:8].std(0, correction=0)
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch.double(), (table - mean) / std, rtol=1e-7, atol=1e-14)


def _table(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_times_in_seconds_keep_their_differences() -> None:
    table = 1_700_000_000 + 10 * _table(181, 1)
    batch = Inputs(_dataset(table), torch.device("cpu")).batch(torch.arange(180))
    assert len(table[:180].unique()) == len(batch.unique()) == 180
    assert float(batch.std(correction=0)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-307, 1e-40, 1e40, 1e307])
def test_tables_of_any_scale_give_the_same_inputs(scale: float) -> None:
    ids, table = torch.arange(9), _table(9, 2)
    expected = Inputs(_dataset(table), torch.device("cpu")).batch(ids)
    torch.testing.assert_close(Inputs(_dataset(table * scale), torch.device("cpu")).batch(ids), expected)


def test_a_table_of_tiny_numbers_trains_to_finite_predictions(small_run, tmp_path) -> None:
    path, store = tmp_path / "mine.csv", RunStore(tmp_path / "runs")
    rows = [f"{value * 1e-40},{int(value > 0)}" for value in _table(120, 1).flatten().tolist()]
    path.write_text("\n".join(["x,label", *rows]) + "\n")
    resolved = small_run(data={"name": str(path), "limit": None}, training={"epochs": 15})
    assert execute(resolved, store).status == "trained"
    predictions = load_file(store.path(resolved.identity) / PREDICTIONS)
    assert bool(predictions["test.logits"].isfinite().all())
    assert (predictions["test.logits"].argmax(1) == predictions["test.labels"]).float().mean() > 0.8


def test_the_widest_differences_are_finite() -> None:
    table = torch.tensor([[1.7e308], [-1.7e308], [-1.7e308], [0]], dtype=torch.float64)
    batch = Inputs(_dataset(table), torch.device("cpu")).batch(torch.arange(3))
    assert batch.flatten().tolist() == pytest.approx([2**0.5, -(0.5**0.5), -(0.5**0.5)])


def test_a_number_without_measure_in_the_training_rows_is_refused() -> None:
    table = torch.tensor([[0, 1.0], [0, 2], [0, 3], [1e300, 4]], dtype=torch.float64)
    message = r"features: numbers within 3e38 .*; got 1e\+300 at \(3, 0\) \(row and column, of 'mine'\); fix or drop"
    with pytest.raises(InputError, match=message):
        Inputs(_dataset(table), torch.device("cpu"))


def test_tables_cannot_be_flipped() -> None:
    with pytest.raises(InputError, match="augmentation: a data set of images; got a table"):
        check_augmentation(AugmentationSpec(flip=True), _dataset(torch.randn(5, 3)))
