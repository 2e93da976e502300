"""The command line as a user meets it: what it prints, what it exits with, and what it does not import."""

import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from kernels import use_kernels

import softtargets
from softtargets._errors import InputError
from softtargets._native import library
from softtargets.cli import main, run_safely
from softtargets.cli.errors import BAD_INPUT, DONE, INTERRUPTED, MACHINE, RUNS_FAILED, UNEXPECTED, explain
from softtargets.cli.progress import describe
from softtargets.train.progress import Progress

COMMAND = [sys.executable, "-c", "from softtargets.cli import main; main()"]


def _run(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=folder, timeout=300)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list"], ["version"]])
def test_answers_at_once_without_torch(arguments) -> None:
    script = (
        "import sys\nfrom softtargets.cli import run_safely\n"
        f"code = run_safely({arguments!r})\n"
        "assert code == 0, code\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'datasets', 'altair'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_help_names_every_command_and_exit_code() -> None:
    done = _run("--help")
    for word in ("list", "show", "run", "report", "train", "runs", "version", "Exit codes", "--debug"):
        assert word in done.stdout


def test_version_says_which_code_computes(capsys, monkeypatch) -> None:
    use_kernels(monkeypatch, "0")
    assert run_safely(["version"]) == DONE
    assert capsys.readouterr().out.splitlines() == [
        f"softtargets {softtargets.__version__}",
        f"torch {importlib.metadata.version('torch')}",
        f"python {platform.python_version()}",
        "kernels: torch operations (SOFTTARGETS_NATIVE=0)",
    ]
    use_kernels(monkeypatch, "1")
    assert run_safely(["version"]) == DONE
    assert f"kernels: {library.status()}" in capsys.readouterr().out.splitlines()


def test_list_names_studies_and_outputs(capsys) -> None:
    assert run_safely(["list"]) == DONE
    printed = capsys.readouterr().out
    assert "lukasik2020" in printed
    assert all(output in printed for output in ("figure1", "figure2", "figure3", "table3", "table4", "table5"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "Did you mean 'run'"),
        (["run"], "STUDY"),
        (["run", "lukasik2021"], "did you mean 'lukasik2020'?"),
        (["run", "lukasik2020", "table33"], "did you mean 'table3'?"),
        (["run", "lukasik2020", "--scale", "desc"], "desc"),
        (["run", "lukasik2020", "--seeds", "1"], "--seeds"),
        (["run", "lukasik2020", "--executor", "dusk"], "did you mean 'dask'?"),
        (["run", "lukasik2020", "--executor", "submitit", "--executor-option", "hours=2"], "hours"),
        (["run", "lukasik2020", "--executor", "submitit", "--executor-option", "minutes"], "--executor-option"),
        (["run", "lukasik2020", "--executor-option", "minutes=2"], "add --executor NAME"),
        (["run", "lukasik2020", "--scale", "smoke", "--label", "y"], "--label"),
        (["run", "lukasik2020", "--scale", "smoke", "--data", "digit"], "digits"),
        (["run", "lukasik2020", "--scale", "smoke", "--data", "./none.csv"], "none.csv"),
        (["train", "none.toml"], "none.toml"),
        (["show", "."], "study.toml"),
    ],
)
def test_bad_input_is_one_paragraph_and_exits_2(tmp_path, monkeypatch, capsys, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_safely(arguments) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("softtargets: ")
    assert words in error
    assert "Traceback" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--debug"]])
def test_without_a_command_the_help_is_printed(capsys, arguments) -> None:
    assert run_safely(arguments) == DONE
    printed = capsys.readouterr()
    assert printed.out.startswith("Usage: softtargets")
    assert "\n  evaluate " in printed.out
    assert not printed.err


@pytest.mark.parametrize(
    "arguments", [["run", "--debug"], ["--debug", "rnu"], ["run", "lukasik2020", "--sclae", "--debug"]]
)
def test_a_usage_error_has_no_traceback_even_with_debug(capsys, arguments) -> None:
    assert run_safely(arguments) == BAD_INPUT
    assert capsys.readouterr().err.startswith("softtargets: ")


def test_more_seeds_than_can_be_run_are_refused_with_the_number_of_runs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("run", "show", "report"):
        assert run_safely([command, "lukasik2020", "--scale", "smoke", "--seeds", "999999"]) == BAD_INPUT
        error = capsys.readouterr().err
        assert "seeds: at most 1,000; got 999,999, which is 15,999,984 runs (185 d 4 h at one second each)" in error
    assert not Path("runs").exists()


def test_control_characters_of_names_and_arguments_are_escaped(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["run", "no\x1b[31m\x07thing"],
        ["evaluate", "no\x1b[2Jfile.npz"],
        ["audit", "--data", "no\x9b31m.csv"],
        ["run", "lukasik2020", "--at", "\x1b]0;title\x07"],
        ["rn\x1bu"],
        ["train", "byte\udce9.toml"],
    ):
        assert run_safely(arguments) == BAD_INPUT
        printed = "".join(capfd.readouterr())
        assert not {"\x1b", "\x07", "\x9b"} & set(printed)
        assert printed.endswith("\n")
        assert "\\x1b" in printed or "\\x9b" in printed or "\\udce9" in printed


def test_debug_lets_python_show_the_traceback(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["softtargets", "run", "nothing", "--debug"])
    with pytest.raises(InputError, match="nothing"):
        main()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(36, "File name too long", "a" * 5000), BAD_INPUT, "(5000 characters)', a path that is too long"),
        (OSError(28, "No space left on device"), MACHINE, "finished runs are kept"),
        (MemoryError(), MACHINE, "MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 4 EB"), MACHINE, "finished runs are kept"),
        (
            type("TerminatedWorkerError", (RuntimeError,), {})("a worker was killed"),
            MACHINE,
            "finished runs are kept",
        ),
        (ModuleNotFoundError("No module named 'altair'", name="altair"), BAD_INPUT, "softtargets[lab]"),
        (RuntimeError("odd"), UNEXPECTED, "--debug"),
    ],
)
def test_every_kind_of_error_has_its_code(error, code, words) -> None:
    message, found = explain(error)
    assert found == code
    assert words in message


SPECIFICATION = """
seeds = 1
[data]
name = "digits"
limit = { train = 200, validation = 50, test = 50 }
[model]
name = "mlp"
hidden = [16]
[objective]
name = "cross_entropy"
smoothing = 0.1
[optimizer]
learning_rate = %s
[training]
epochs = 3
batch_size = 32
"""


def test_train_runs_a_specification_once(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(SPECIFICATION % "0.1")
    assert run_safely(["train", "mine.toml"]) == DONE
    first = capsys.readouterr().out
    assert "test accuracy" in first
    assert "saved in runs/" in first
    assert run_safely(["train", "mine.toml"]) == DONE
    again = capsys.readouterr().out
    assert "already present in" in again
    assert again.splitlines()[:-1] == first.splitlines()[:-1]


def test_a_run_that_fails_exits_3_and_says_at_which_step(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(SPECIFICATION % "1e30")
    assert run_safely(["train", "mine.toml"]) == RUNS_FAILED
    assert "at step 1 of" in capsys.readouterr().err


def test_an_unknown_key_of_a_specification_names_the_nearest(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(SPECIFICATION.replace("smoothing", "smothing") % "0.1")
    assert run_safely(["train", "mine.toml"]) == BAD_INPUT
    assert "did you mean 'smoothing'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("[[optimizer.groups]]\nmatch = 'haed.*'\nweight_decay = 0.0", "did you mean 'head."),
        ("[augmentation]\nflip = true", "augmentation: a data set of images; got a table"),
    ],
)
def test_what_cannot_work_is_said_before_training(tmp_path, monkeypatch, capsys, addition, words) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("a,label\n" + "".join(f"{i},{i % 2}\n" for i in range(30)))
    text = SPECIFICATION.replace('"digits"', '"mine.csv"').replace("[training]", f"{addition}\n[training]") % "0.1"
    Path("mine.toml").write_text(text)
    assert run_safely(["train", "mine.toml"]) == BAD_INPUT
    assert words in capsys.readouterr().err
    assert not list(Path("runs").glob("*.partial"))


def test_show_says_what_a_scale_costs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_safely(["show", "lukasik2020", "--scale", "smoke"]) == DONE
    printed = capsys.readouterr().out
    assert "32 runs on digits" in printed
    assert "2 seeds; 0 runs already present" in printed
    # 400 examples in batches of 64, 8 epochs, 32 runs
    assert f"{7 * 8 * 32:,} steps" in printed
    assert "Lukasik" in printed
    assert "Differences from the paper" in printed


@pytest.mark.slow
def test_show_estimates_the_paper_scale_without_its_data(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BUDGET", "TOTAL_BUDGET"):
        monkeypatch.setattr(f"softtargets.train.estimate.{name}", 0.0)
    monkeypatch.setattr("softtargets.train.estimate.LEAST_SAMPLES", 1)
    assert run_safely(["show", "lukasik2020", "--scale", "paper"]) == DONE
    printed = capsys.readouterr().out
    assert "130 runs on uoft-cs/cifar100" in printed
    assert "8,320,000 steps" in printed
    assert "is not available" in printed


@pytest.mark.slow
def test_an_interrupted_study_keeps_its_runs_and_exits_130(tmp_path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "lukasik2020", "table3", "--scale", "smoke", "--workers", "1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not list(tmp_path.glob("runs/*/result.json")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert "finished runs are kept" in error
    assert "Traceback" not in error
    kept = sum(path.parent.name.isalnum() for path in tmp_path.glob("runs/*/result.json"))  # not those in the making
    done = _run("run", "lukasik2020", "table3", "--scale", "smoke", "--workers", "1", folder=tmp_path)
    assert done.returncode == 0
    assert f"{12 - kept} runs trained, {kept} already present" in done.stdout


def test_progress_in_words() -> None:
    state = Progress(done=0.25, remaining=95.0, finished=3, total=12, present=2, failed=1)
    assert describe(state) == "training: 3 of 12 runs, 1 min 35 s left, 2 already present, 1 failed"
    over = Progress(done=1.0, remaining=0.0, finished=12, total=12, present=0, failed=1)
    assert describe(over) == "trained 11 of 12 runs, 1 failed"
    measuring = Progress(done=0.5, remaining=None, finished=4, total=8, present=0, failed=0, task="measure")
    assert describe(measuring) == "measuring: 4 of 8 runs, estimating the time"
    assert describe(replace(measuring, finished=8)) == "measured 8 of 8 runs"
