"""`softtargets evaluate` as a user meets it."""

import json
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from softtargets import evaluate
from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.cli.evaluate import show_rows
from softtargets.evaluate import catalog


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # the time of the intervals depends on the groups and the draws, not on the rows
    monkeypatch.setattr(catalog, "FEWER", 50)
    monkeypatch.setattr(evaluate, "EvaluationOptions", partial(evaluate.EvaluationOptions, n_draws=50))


def write_predictions(name: str = "held.npz", *, size: int = 400, sure: float = 0.9, wrong: int = 5) -> None:
    """Write probabilities of two classes, as sure of the label but for every so-many-th row, which is of the other."""
    labels = np.arange(size) % 2
    predicted = np.where(np.arange(size) % wrong == 0, 1 - labels, labels)
    np.savez(name, probs=np.where(np.arange(2) == predicted[:, None], sure, 1 - sure), labels=labels)


def test_help_answers_without_torch_and_says_what_files_and_names_may_be():
    script = (
        "import sys\nfrom softtargets.cli import run_safely\n"
        "assert run_safely(['evaluate', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'altair'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.replace("│", " ").split())
    assert "one row for each example" in text
    assert "'shard-*.npz'" in text
    assert "the same rows in the same order" in text
    assert "labels in the other files are then ignored" in text
    assert "an array (N, L, K) and labels (N, L), -100 for tokens to ignore" in text
    names = ("against", "logits", "probs", "labels", "labels-from", "mask", "token-counts", "output")
    assert all(f"--{name}" in text for name in names)


def test_a_summary_says_what_was_found_and_where_the_page_is(capsys):
    write_predictions()
    write_predictions("worse.npz", wrong=3)
    assert run_safely(["evaluate", "held.npz", "--against", "third=worse.npz"]) == DONE
    printed = capsys.readouterr()
    said = json.loads(Path("reports/evaluate-held/evaluation.json").read_text())
    lines = printed.out.splitlines()
    assert lines[0] == "held: 400 rows, 2 classes, probabilities"
    low, high = said["models"][0]["metrics"]["accuracy"]["interval"]
    assert lines[1].startswith("  Accuracy ")
    assert lines[1].endswith(f" 80.00 %  ({100 * low:.2f} to {100 * high:.2f})  95 % intervals")
    assert any(line.startswith("  ECE ") and "10.00 %" in line for line in lines)
    assert "Not calibrated: over-confident by 10.0 points overall" in printed.out
    # so few draws can show no difference, however large
    assert "No significant difference from third." in printed.out
    assert lines[-1] == "page: reports/evaluate-held/index.html"
    assert [line for line in printed.err.splitlines() if "rows" not in line] == [
        "reading",
        "fitting temperatures",
        "evaluating temperatures",
        "computing intervals",
        "writing the page",
    ]
    assert said["command"] == "softtargets evaluate held.npz --against third=worse.npz --seed 0"


def test_the_command_on_the_page_evaluates_the_same_again():
    write_predictions("held out.npz", size=100)
    arguments = ["evaluate", "held out.npz", "--probs", "probs", "--labels", "labels", "--output", "my page"]
    assert run_safely(arguments) == DONE
    command = json.loads(Path("my page/evaluation.json").read_text())["command"]
    before = {path.name: path.read_bytes() for path in Path("my page").iterdir()}
    Path("my page/index.html").unlink()
    assert run_safely(shlex.split(command)[1:]) == DONE
    assert {path.name: path.read_bytes() for path in Path("my page").iterdir()} == before


def test_rows_are_shown_every_few_seconds(capsys, monkeypatch):
    now = iter([0.0, 1.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    show = show_rows()
    for stage, done, total in (
        ("reading", 0, 4000),
        ("reading", 1000, 4000),
        ("reading", 2000, 4000),
        ("writing", 0, None),
        ("writing", 10, None),
    ):
        show(stage, done, total)
    assert capsys.readouterr().err == "reading\nreading: 2,000 of 4,000 rows, 50 %\nwriting\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["hold.npz"], "did you mean"),
        (["held.npz", "--logits", "probs", "--probs", "probs"], "either logits or probabilities"),
        (["held.npz", "--probs", "prob"], "did you mean 'probs'?"),
        (["held.npz", "--labels", "label"], "did you mean 'labels'?"),
        (["bare.npz"], "labels in the files or in a separate file; got none"),
        (["held.npz", "--labels-from", "held.npz:"], "FILE or FILE:NAME"),
        (["held.npz", "--against", "short.npz"], "as many rows as held has, 400; got 50 in short"),
        (["held.npz", "--against", "none-*.npz"], "a pattern that matches files"),
        (["held.npz", "--output", "held.npz/page"], "output: the path of a folder"),
    ],
)
def test_bad_input_is_one_paragraph_exits_2_and_writes_nothing(capsys, arguments, words):
    write_predictions()
    write_predictions("short.npz", size=50)
    np.savez("bare.npz", probs=np.full((30, 2), 0.5))
    assert run_safely(["evaluate", *arguments]) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("softtargets: ")
    assert words in error
    assert error.count("\n") == 1
    assert not Path("reports").exists()


def test_a_file_name_of_undecodable_bytes_and_control_characters_is_evaluated(capfd):
    name = os.fsdecode(b"caf\xe9\x1b[31m.npz")
    write_predictions("plain.npz", size=100)
    Path("plain.npz").rename(name)
    assert run_safely(["evaluate", name, "--output", os.fsdecode(b"p\xe9ge")]) == DONE
    printed = "".join(capfd.readouterr())
    assert r"caf\udce9\x1b[31m: 100 rows" in printed
    assert r"page: p\udce9ge/index.html" in printed
    assert "\x1b" not in printed
    folder = Path(os.fsdecode(b"p\xe9ge"))
    said = json.loads((folder / "evaluation.json").read_text())
    assert said["models"][0]["name"] == r"caf\udce9\x1b[31m"
    assert "\x1b" not in (folder / "index.html").read_text()


def test_sequences_are_evaluated_by_position_and_frequency(capsys):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, (30, 6))
    logits = generator.normal(size=(30, 6, 4)) + 3 * np.eye(4)[labels]
    mask = np.arange(6) < generator.integers(1, 7, (30, 1))
    np.savez("lm.npz", logits=logits, labels=labels, kept=mask)
    np.savez("train.npz", counts=[0, 5, 50, 500])
    assert run_safely(["evaluate", "lm.npz", "--mask", "kept", "--token-counts", "train.npz"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"lm: {mask.sum()} tokens of 30 sequences, 4 classes, logits"
    assert any(line.startswith("  Perplexity ") for line in lines)
    said = json.loads(Path("reports/evaluate-lm/evaluation.json").read_text())
    tokens = said["models"][0]["tokens"]
    assert [(row["low"], row["high"]) for row in tokens["tables"]["label"]] == [(0, 0), (1, 9), (10, 99), (100, 999)]
    assert said["command"] == "softtargets evaluate lm.npz --mask kept --token-counts train.npz --seed 0"
    assert Path("reports/evaluate-lm/tokens.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mask", "keep"], "'keep' in every file; got logits, labels, mask, counts in lm.npz; use one of these"),
        (["--token-counts", "lm.npz:count"], "an array named 'count'; got logits, labels, mask, counts in lm.npz"),
        (["--token-counts", "lm.npz"], "shape (3,), one count for each of the 3 tokens; got shape (2,)"),
        (["--token-counts", "none.npz"], "an existing file; got 'none.npz'"),
    ],
)
def test_bad_masks_and_counts_are_refused(capsys, arguments, words):
    content = {
        "logits": np.zeros((2, 2, 3)),
        "labels": np.zeros((2, 2), int),
        "mask": np.ones((2, 2)),
        "counts": [1, 2],
    }
    np.savez("lm.npz", **content)
    assert run_safely(["evaluate", "lm.npz", *arguments]) == BAD_INPUT
    assert words in " ".join(capsys.readouterr().err.split())
    assert not Path("reports").exists()
