"""Names of models, patterns of files, and the folder and command of a request."""

from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.evaluate import EvaluateRequest


def test_files_have_names_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s-1.npz", "s-2.npz", "a=b.npz"):
        Path(name).touch()
    names = EvaluateRequest(("mine=s-*.npz",), against=("a=b.npz", "x/run.npz", "y/run.npz", "lr=s-1.npz")).models()
    assert [(model.name, tuple(map(str, model.paths))) for model in names] == [
        ("mine", ("s-1.npz", "s-2.npz")),
        ("a=b", ("a=b.npz",)),
        ("x/run", ("x/run.npz",)),
        ("y/run", ("y/run.npz",)),
        ("lr", ("s-1.npz",)),
    ]
    assert EvaluateRequest(("s-1.npz", "s-2.npz")).models()[0].name == "s"
    with pytest.raises(InputError, match="--against: a pattern that matches files; got 't-\\*"):
        EvaluateRequest(("s-1.npz",), against=("t-*.npz",)).models()
    with pytest.raises(InputError, match="--against: a unique name for each model; got 's-1' 2 times"):
        EvaluateRequest(("s-1.npz",), against=("s-1=s-2.npz",)).models()
    with pytest.raises(InputError, match=r"predictions: every file once; got 's-2\.npz' 2 times"):
        EvaluateRequest(("s-*.npz", "s-2.npz")).models()
    with pytest.raises(InputError, match="predictions: files of one model; got the names a, b"):
        EvaluateRequest(("a=s-1.npz", "b=s-2.npz")).models()


def test_the_folder_is_the_one_named_or_that_of_the_model():
    assert EvaluateRequest(("x/run 1.npz",)).folder == Path("reports/evaluate-run_1")
    assert EvaluateRequest(("x/run 1.npz",), output=Path("mine")).folder == Path("mine")


def test_the_command_names_what_was_asked_for():
    request = EvaluateRequest(("a.npz", "b c.npz"), ("d=d.npz",), probs="p", labels_from="y.csv:y", output=Path("o"))
    files = "softtargets evaluate a.npz 'b c.npz' --against d=d.npz"
    assert request.command(7) == f"{files} --probs p --labels-from y.csv:y --output o --seed 7"
