"""The README's code runs, and says nothing that is not so."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

from softtargets import metrics
from softtargets.runs.spec import RunSpec
from softtargets.studies.catalog import shipped

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_library_in_ten_lines(capsys) -> None:
    exec(compile(_blocks("python")[0], "README.md", "exec"), {})
    rate, error = map(float, capsys.readouterr().out.split())
    assert rate == 0.2
    assert 0 < error < 1


def test_whether_to_distil_from_a_teacher() -> None:
    made: dict = {}
    exec(compile(_blocks("python")[1], "README.md", "exec"), made)
    assert made["loss"].shape == (100,)
    # of logits that know nothing of the labels nine tenths of the mass is on wrong classes, which is all there is: 1
    assert 0.9 < made["how_soft"] < 1.1
    assert 0 < made["how_erased"] < 1


def test_how_far_a_model_can_be_trusted() -> None:
    made: dict = {}
    exec(compile(_blocks("python")[2], "README.md", "exec"), made)
    logits, labels = made["logits"], made["labels"]
    assert made["fitted"].converged
    before, after = (metrics.ece(logits=z[500:], labels=labels[500:]) for z in (logits, made["fitted"](logits)))
    assert after < before
    assert torch.equal(made["gathered"].compute(), metrics.ece(logits=logits, labels=labels))


def test_what_the_commands_return_in_python() -> None:
    made: dict = {}
    exec(compile(_blocks("python")[3], "README.md", "exec"), made)
    found = made["audit"].noise.rate
    assert found.low < 0.2 < found.high
    assert made["evaluation"].main.metric("accuracy").value > 0.9


@pytest.mark.parametrize("block", _blocks("toml"))
def test_specifications_are_valid(block) -> None:
    RunSpec.parse(tomllib.loads(block))


def test_there_are_blocks_to_run() -> None:
    assert (len(_blocks("python")), len(_blocks("toml"))) == (4, 1)


def test_what_it_names_exists() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make (\w+)", README)) <= set(targets)
    assert set(re.findall(r"softtargets (?:run|show|report) ([\w-]+)", README)) <= set(shipped())
