"""`softtargets compare` as a user meets it."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE, RUNS_FAILED

RECIPE = """
[model]
name = "mlp"
hidden = [4]

[optimizer]
name = "adamw"
learning_rate = 0.02

[training]
epochs = 2
batch_size = 64
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_rows(rows: int = 600) -> None:
    """Write a table of two classes that overlap, and a short recipe."""
    lines = [f"{(row * 37 % 101) / 50 - 1 + row % 2},{(row * 53 % 97) / 48},{'ab'[row % 2]}" for row in range(rows)]
    Path("my.csv").write_text("\n".join(["x,y,kind", *lines]) + "\n")
    Path("own.toml").write_text(RECIPE)


def command(*more: str) -> list[str]:
    given = ["compare", "my.csv", "--label", "kind", "--specification", "own.toml", "--seeds", "2", "--workers", "1"]
    return [*given, *more]


def test_help_answers_without_torch():
    script = (
        "import sys\nfrom softtargets.cli import run_safely\n"
        "assert run_safely(['compare', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'datasets', 'altair'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.replace("│", " ").split())
    assert all(
        f"--{name}" in text
        for name in ("label", "model", "specification", "methods", "budget", "seeds", "output", "runs")
    )


def test_a_comparison_prints_the_recommendation_and_the_page(capsys):
    write_rows()
    assert run_safely(command("--methods", "temperature,label_smoothing,forward")) == DONE
    printed = capsys.readouterr()
    kept = json.loads(Path("reports/compare-my/compare.json").read_text())
    lines = printed.out.splitlines()
    assert lines[0] == kept["recommendation"]["headline"]
    assert lines[-1] == "page: reports/compare-my/index.html"
    assert any(line.startswith("cross entropy") and "baseline" in line for line in lines)
    assert any(line.startswith("not tested: forward correction: ") for line in lines)
    assert "repetitions of the verdict: 4 runs, about" in printed.err
    # the printed command repeats it, without training
    assert run_safely([*shlex.split(kept["command"])[1:], "--workers", "1"]) == DONE
    again = capsys.readouterr()
    assert again.out.splitlines()[:-1] == lines[:-1]
    assert "runs, about" not in again.err
    assert run_safely(["train", "reports/compare-my/recommended.toml"]) == DONE
    assert "already present" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "label_smothing"], "did you mean 'label_smoothing'"),
        (["--methods", "cutmix"], "it needs images"),
        (["--budget", "soon"], "budget: a time above 0 with its unit"),
        (["--budget", "0.01s"], "budget: at least"),
        (["--label", "nothing"], "nothing"),
    ],
)
def test_bad_arguments_are_one_paragraph(capsys, more, message):
    write_rows()
    assert run_safely(command(*more)) == BAD_INPUT
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("softtargets: ")
    assert message in error
    assert not Path("reports").exists()


def test_a_failed_baseline_has_its_own_exit_code(capsys):
    write_rows()
    recipe = RECIPE.replace('"adamw"', '"sgd"').replace("0.02", "1e30")
    Path("own.toml").write_text(recipe)
    assert run_safely(command("--methods", "temperature")) == RUNS_FAILED
    assert "failed: training with cross entropy failed" in capsys.readouterr().err
