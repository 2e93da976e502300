"""The benchmark of sweeps: it runs, and every contender trains the same network."""

import re
from pathlib import Path

import pytest
import torch

from benchmarks import sweep, sweep_plain
from benchmarks.sweep_lab import specification
from softtargets.models.mlp import MlpSpec
from softtargets.models.resnet import ResNetSpec


@pytest.mark.slow
def test_every_contender_runs_and_says_how_it_stands_to_its_goals(tmp_path, capsys) -> None:
    assert sweep.main(["--quick", "--data", str(tmp_path / "none")]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# Sweeps of training runs\n")
    for name in ("softtargets", "loop over tensors", "DataLoader loop"):
        assert re.search(rf"^\| {name} \| [\d.]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \| 0\.\d+ \|$", page, re.MULTILINE)
    assert len(re.findall(r": (?:met|\*\*missed\*\*)", page)) == 5
    assert "Sweeps of ResNet-8 skipped: no folder" in page


@pytest.mark.parametrize(
    ("name", "spec", "shape"), [("mlp", MlpSpec(), (1, 8, 8)), ("resnet", ResNetSpec(depth=8), (1, 28, 28))]
)
def test_the_plain_networks_are_those_of_the_specifications(name, spec, shape) -> None:
    plain, ours = sweep_plain.network(name).eval(), spec.build(shape, 10).eval()
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    inputs = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain(inputs), ours(inputs))


def test_the_sweeps_on_images_are_left_out_without_their_folder(tmp_path) -> None:
    assert [plan.model for plan in sweep.plans(tmp_path / "none", rounds=3, quick=False)] == ["mlp"]
    found = list(sweep.plans(tmp_path, rounds=3, quick=False))
    assert [(plan.model, plan.precision) for plan in found[1:]] == [("resnet", "float32"), ("resnet", "bfloat16")]


def test_the_plain_loops_see_the_inputs_that_the_lab_sees(tmp_path) -> None:
    from dataclasses import asdict

    from softtargets.data.batches import Inputs
    from softtargets.data.sources import load

    plan = next(sweep.plans(Path("none"), rounds=1, quick=True))
    sweep.prepare(plan, tmp_path)
    dataset = load(specification(asdict(plan), 0).data)
    plain = sweep_plain.splits(str(tmp_path))
    for split, rows in dataset.splits.items():
        torch.testing.assert_close(plain[split][0], Inputs(dataset, torch.device("cpu")).batch(rows))
        assert torch.equal(plain[split][1], dataset.labels[rows])
