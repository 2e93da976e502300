"""The README's code runs, and the files and commands it names exist."""

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
SECTIONS = {part.partition("\n")[0]: part for part in README.split("\n## ")[1:]}


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _run(section: str) -> dict:
    """Run the Python blocks of a section one after the other and return their names."""
    made: dict = {}
    for block in _blocks("python", SECTIONS[section]):
        exec(compile(block, "README.md", "exec"), made)
    return made


def test_quickstart(capsys) -> None:
    assert _run("Quickstart")["loss"].shape == ()
    rate, error = map(float, capsys.readouterr().out.split())
    assert rate == 0.2
    assert 0 < error < 1


def test_which_loss() -> None:
    made = _run("Which loss, and how much smoothing?")
    assert all(loss.shape == (8,) for loss in made["per_example"].values())
    assert float(made["smoothing"]) == pytest.approx(0.1 * 10 / 9)
    assert made["logits"].grad is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_is_my_model_calibrated() -> None:
    made = _run("Is my model calibrated?")
    logits, labels = made["logits"], made["labels"]
    assert made["scaling"].converged
    assert 1.5 < float(made["scaling"].temperature) < 2.5
    before, after = (metrics.ece(logits=z[500:], labels=labels[500:]) for z in (logits, made["scaling"](logits)))
    assert after < before
    assert torch.equal(made["gathered"].compute(), metrics.ece(logits=logits, labels=labels))
    assert made["probs"].shape == (150, 3)


def test_are_my_labels_wrong() -> None:
    made = _run("Are my labels wrong?")
    assert made["loss"].shape == ()
    assert (made["transition"].to_dense().diagonal() > 0.5).all()
    assert repr(made["issues"])


def test_may_i_distil_from_this_teacher() -> None:
    made = _run("Should I distil from this teacher?")
    assert made["loss"].shape == made["standardized"].shape == (100,)
    # these logits are independent of the labels: nine tenths of the mass is on wrong classes, which is smoothing 1
    assert 0.9 < made["gamma"] < 1.1
    assert 0 < made["stability"] < 1


def test_the_commands_in_python() -> None:
    made = _run("Command line")
    found = made["audit"].noise.rate
    assert found.low < 0.2 < found.high
    assert made["evaluation"].main.metric("accuracy").value > 0.9


@pytest.mark.parametrize("block", _blocks("toml"))
def test_specifications_are_valid(block) -> None:
    RunSpec.parse(tomllib.loads(block))


def test_every_block_is_run() -> None:
    tested = (
        "Quickstart",
        "Which loss, and how much smoothing?",
        "Is my model calibrated?",
        "Are my labels wrong?",
        "Should I distil from this teacher?",
        "Command line",
    )
    assert sum(len(_blocks("python", SECTIONS[section])) for section in tested) == len(_blocks("python")) == 7
    assert len(_blocks("toml")) == 2


def test_what_it_names_exists() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in SECTIONS}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make (\w+)", README)) <= set(targets)
    assert set(re.findall(r"softtargets (?:run|show|report) ([\w-]+)", README)) <= set(shipped())
