"""`softtargets audit` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE, RUNS_FAILED


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_predictions(name: str = "held.npz", size: int = 400) -> None:
    """Write probabilities of two classes, sure of the label but for every tenth row, which is sure of the other."""
    labels = np.arange(size) % 2
    sure = np.where(np.arange(size) % 10 == 0, 1 - labels, labels)
    np.savez(name, probs=np.where(np.arange(2) == sure[:, None], 0.9, 0.1), labels=labels)


def test_help_answers_without_torch_and_says_that_predictions_must_be_held_out():
    script = (
        "import sys\nfrom softtargets.cli import run_safely\n"
        "assert run_safely(['audit', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'datasets', 'altair'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.replace("│", " ").split())
    assert "each example predicted by a model that was not trained on it" in text
    assert "with the same classes" in text
    assert all(
        f"--{name}" in text
        for name in ("data", "text", "features", "labels", "predictions", "logits", "probs", "folds", "output")
    )


def test_a_summary_says_what_was_found_and_where_the_page_is(capsys):
    write_predictions()
    assert run_safely(["audit", "--predictions", "held.npz"]) == DONE
    printed = capsys.readouterr()
    said = json.loads(Path("reports/audit-held/audit.json").read_text())
    rate = said["noise_rate"]
    assert said["noise_rate_told"]
    assert f"estimated wrong: {100 * rate['estimate']:.1f} %, range {100 * rate['low']:.1f} % to" in printed.out
    assert "400 labels of held, 2 classes; the held-out predictions agree with 90.0 % of them" in printed.out
    assert f"suspects: {said['suspects']} labels" in printed.out
    assert said["suspects"] == 40
    assert f"recommended: {said['recommendation']['action']}" in printed.out
    assert printed.out.endswith("page: reports/audit-held/index.html\n")
    stages = printed.err.splitlines()
    assert [line for line in stages if "%" not in line] == [
        "reading",
        "estimating T",
        "scoring",
        "ranking",
        "writing the page",
    ]
    assert said["command"] == "softtargets audit --predictions held.npz --seed 0 --top 200"


def test_the_command_on_the_page_audits_the_same_again():
    write_predictions("held out.npz")
    assert run_safely(["audit", "--predictions", "held out.npz", "--top", "3", "--output", "first"]) == DONE
    command = json.loads(Path("first/audit.json").read_text())["command"]
    import shlex

    before = {path.name: path.read_bytes() for path in Path("first").iterdir()}
    Path("first/index.html").unlink()
    assert run_safely(shlex.split(command)[1:]) == DONE
    assert {path.name: path.read_bytes() for path in Path("first").iterdir()} == before


def test_the_command_names_the_folders_that_were_given(capsys):
    write_predictions()
    assert run_safely(["audit", "--predictions", "held.npz", "--output", "out/page", "--runs", "my runs"]) == DONE
    command = json.loads(Path("out/page/audit.json").read_text())["command"]
    assert command == "softtargets audit --output out/page --predictions held.npz --runs 'my runs' --seed 0 --top 200"


def test_a_model_that_knows_nothing_is_said_to_and_nothing_else(capsys):
    labels = np.arange(400) % 2
    np.savez("held.npz", probs=np.full((400, 2), 0.5), labels=labels)
    assert run_safely(["audit", "--predictions", "held.npz"]) == DONE
    printed = capsys.readouterr().out
    assert "recommended: get better predictions. The held-out predictions agree with 50.0 %" in printed
    assert "estimated wrong" not in printed
    assert "suspects" not in printed


def test_a_class_name_of_two_lines_is_printed_on_one(capsys):
    write_predictions()
    names = ["barn\nowl", "bat"]
    table = pa.table({"x": [float(i) for i in range(400)], "label": [names[i % 2] for i in range(400)]})
    pq.write_table(table, "named.parquet")
    assert run_safely(["audit", "--data", "named.parquet", "--predictions", "held.npz"]) == DONE
    assert "  bat -> barn owl: 40\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "a data set or predictions"),
        (["--predictions", "hold.npz"], "did you mean"),
        (["--predictions", "held.npz", "--logits", "probs", "--probs", "probs"], "either logits or probabilities"),
        (["--predictions", "held.npz", "--probs", "prob"], "did you mean 'probs'?"),
        (["--predictions", "held.npz", "--labels", "a.csv:b"], "labels: used together with data"),
        (["--predictions", "held.npz", "--data", "digits"], "10 values in every row"),
        (["--data", "digit"], "digits"),
        (["--data", "digits", "--folds", "1"], "--folds"),
        (["--predictions", "held.npz", "--output", "held.npz"], "output: the path of a folder"),
        (["--predictions", "held.npz", "--output", "held.npz/page"], "output: the path of a folder"),
        (["--predictions", "held.npz", "--folds", "5"], "folds: not used with predictions"),
        (["--predictions", "held.npz", "--workers", "1"], "workers: not used with predictions"),
        (["--predictions", "held.npz", "--seed", str(2**32)], "--seed"),
    ],
)
def test_bad_input_is_one_paragraph_exits_2_and_writes_nothing(capsys, arguments, words):
    write_predictions()
    assert run_safely(["audit", *arguments]) == BAD_INPUT
    error = capsys.readouterr().err.removeprefix("reading\n")
    assert error.startswith("softtargets: ")
    assert words in error
    assert error.count("\n") == 1
    assert not Path("reports").exists()


def test_a_model_that_cannot_be_trained_exits_3(capsys, monkeypatch):
    from softtargets.audit import models as audit_models

    diverging = audit_models.Recipe("a model", 1, {"name": "sgd", "learning_rate": 1e30})
    monkeypatch.setattr(audit_models, "IMAGES", diverging)
    assert run_safely(["audit", "--data", "digits", "--folds", "2", "--epochs", "1", "--workers", "1"]) == RUNS_FAILED
    assert "failed: " in capsys.readouterr().err
    assert not Path("reports").exists()


def test_names_with_undecodable_bytes_and_control_characters_are_printed_as_escapes(capfd):
    rng = np.random.default_rng(0)
    for name in ("cafe", "tea\x1b[31m"):
        folder = Path("images") / name
        folder.mkdir(parents=True)
        for i in range(20):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{i}.png")
    labels = np.arange(40) // 20
    predicted = np.where(np.arange(40) % 10 == 0, 1 - labels, labels)
    np.savez("held.npz", probs=np.where(np.arange(2) == predicted[:, None], 0.9, 0.1), labels=labels)
    held = Path(os.fsdecode(b"h\xe9ld.npz"))
    Path("held.npz").rename(held)
    assert run_safely(["audit", "--data", "images", "--predictions", str(held), "--output", "page"]) == DONE
    printed = "".join(capfd.readouterr())
    assert r"tea\x1b[31m -> cafe: 2" in printed
    assert "\x1b" not in printed
    said = json.loads(Path("page/audit.json").read_text())
    assert said["class_names"] == ["cafe", "tea\x1b[31m"]
    assert said["predictions"] == r"given as probabilities in h\udce9ld.npz"
    assert run_safely(["audit", "--predictions", str(held), "--output", "other"]) == DONE
    assert r"40 labels of h\udce9ld" in "".join(capfd.readouterr())
