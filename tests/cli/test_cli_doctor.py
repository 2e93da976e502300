"""`softtargets doctor` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.doctor import diagnose
from softtargets.doctor.readers import READERS

SMOOTHED = "CrossEntropyLoss(weight=[1, 1, 20], label_smoothing=0.3)"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_help_answers_without_torch_and_names_every_library() -> None:
    script = (
        "import sys\nfrom softtargets.cli import run_safely\n"
        "assert run_safely(['doctor', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"--{library}" in done.stdout for library in READERS)


def test_it_prints_targets_minimisers_faults_and_code(capsys) -> None:
    assert run_safely(["doctor", "--torch", SMOOTHED]) == DONE
    printed = capsys.readouterr().out
    assert "0.2759" in printed
    assert "0.6897" in printed
    assert "https://github.com/pytorch/pytorch/issues/104776" in printed
    found = diagnose("torch", SMOOTHED)
    for code in (found.equivalent.code, found.equivalent.same_numbers, found.equivalent.toml):
        assert code is not None
        assert all(f"    {line}".rstrip() in printed.splitlines() for line in code.splitlines())


def test_notes_are_above_the_code_that_they_are_about(capsys) -> None:
    assert run_safely(["doctor", "--torch", "NLLLoss(weight=[1, 2])"]) == DONE
    first, second = capsys.readouterr().out.split("With softtargets\n")[1].splitlines()[:2]
    assert first == "  It takes logits."
    assert second.startswith("    import torch")
    assert run_safely(["doctor", "--torch", "CrossEntropyLoss(ignore_index=1)"]) == DONE
    lines = capsys.readouterr().out.split("In a specification for softtargets train\n")[1].splitlines()
    assert lines[0].startswith("  It does not express labels equal to 1")
    assert lines[1] == "    [objective]"


def test_code_is_not_wrapped_in_a_narrow_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert run_safely(["doctor", "--torch", SMOOTHED]) == DONE
    last = diagnose("torch", SMOOTHED).equivalent.code.splitlines()[-1]
    assert f"    {last}" in capsys.readouterr().out.splitlines()


def test_json_is_the_result_of_the_function(capsys) -> None:
    for library, snippet in (
        ("torch", "CrossEntropyLoss(label_smoothing=-0.1)"),
        ("torch", "KLDivLoss()"),
        ("torch", "BCEWithLogitsLoss(pos_weight=[0, 1])"),
        ("timm", "--mixup 0.2 --größe 3"),
    ):
        assert run_safely(["doctor", f"--{library}", snippet, "--json"]) == DONE
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(diagnose(library, snippet).to_dict()))


def test_files_versions_and_numbers_of_classes(tmp_path: Path, capsys) -> None:
    file = tmp_path / "args.json"
    file.write_text('{"label_smoothing_factor": 0.1, "gradient_accumulation_steps": 8}')
    for version, known in (("5.14.1", True), ("5.15.0", False)):
        arguments = ["doctor", "--transformers", str(file), "--library-version", version, "--classes", "3"]
        assert run_safely(arguments) == DONE
        printed = capsys.readouterr().out
        assert ("huggingface/transformers#46731" in printed) == known
        assert f"(transformers {version}), K = 3" in printed
    (tmp_path / "nmt.yaml").write_text("label_smoothing: 0.1\n")
    assert run_safely(["doctor", "--opennmt", str(tmp_path / "nmt.yaml")]) == DONE
    assert "K = 32,000 is assumed; give --classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "doctor: one of --torch, --keras, --timm, --transformers, --fairseq, --opennmt; got none"),
        (["--torch", "NLLLoss()", "--timm", "--mixup 1"], "got --torch, --timm; give the configuration of one library"),
        (["--torch", "CrossEntropyLoss(weights=[1, 2])"], "did you mean 'weight'?"),
        (["--torch", "x = 1"], "--torch: one call of a loss class; got 'x = 1'"),
        (["--timm", "--smothing 0.1"], "did you mean 'smoothing'?"),
        (["--transformers", "none.json"], "--transformers: an existing file; got 'none.json'"),
        (
            ["--torch", "CrossEntropyLoss()", "--library-version", "x"],
            "version (--library-version): a version of torch; got 'x'",
        ),
        (["--torch", "CrossEntropyLoss()", "--classes", "1"], "num_classes (--classes): a finite number of at least 2"),
        (["--torch", "BCEWithLogitsLoss()", "--classes", "0"], "--classes"),
        (["--jax", "x"], "--jax"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys) -> None:
    assert run_safely(["doctor", *arguments]) == BAD_INPUT
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_terminals_get_no_control_characters_and_only_what_they_can_show() -> None:
    command = [sys.executable, "-c", "from softtargets.cli import main; main()"]
    arguments = ["doctor", "--timm", "--mixup 0.2 --größe\x1b[31m 3"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*command, *arguments], capture_output=True, env=environment)
    assert done.returncode == DONE, done.stderr
    assert b"\x1b" not in done.stdout
    assert b"gr\\xf6\\xdfe\\x1b[31m" in done.stdout
