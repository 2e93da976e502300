"""Names of models, patterns of files, and the folder and command of a request."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softtargets._errors import InputError, InputTypeError
from softtargets.evaluate.request import EvaluateRequest, ModelFiles


def test_files_have_names_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s-1.npz", "s-2.npz", "a=b.npz"):
        Path(name).touch()
    names = EvaluateRequest.parse(
        ("mine=s-*.npz",), against=("a=b.npz", "x/run.npz", "y/run.npz", "lr=s-1.npz")
    ).models()
    assert [(model.name, tuple(map(str, model.paths))) for model in names] == [
        ("mine", ("s-1.npz", "s-2.npz")),
        ("a=b", ("a=b.npz",)),
        ("x/run", ("x/run.npz",)),
        ("y/run", ("y/run.npz",)),
        ("lr", ("s-1.npz",)),
    ]
    assert EvaluateRequest.parse(("s-1.npz", "s-2.npz")).models()[0].name == "s"
    with pytest.raises(InputError, match="against: a pattern that matches files; got 't-\\*"):
        EvaluateRequest.parse(("s-1.npz",), against=("t-*.npz",)).models()
    with pytest.raises(InputError, match="against: a unique name for each model; got 's-1' 2 times"):
        EvaluateRequest.parse(("s-1.npz",), against=("s-1=s-2.npz",)).models()
    with pytest.raises(InputError, match=r"predictions: every file once; got 's-2\.npz' 2 times"):
        EvaluateRequest.parse(("s-*.npz", "s-2.npz")).models()
    with pytest.raises(InputError, match="predictions: files of one model; got the names a, b"):
        EvaluateRequest.parse(("a=s-1.npz", "b=s-2.npz")).models()


def test_the_command_names_what_was_asked_for():
    request = EvaluateRequest.parse(
        ("a.npz", "b c.npz"), ("d=d.npz",), probs="p", labels_from="y.csv:y", output=Path("o")
    )
    files = "softtargets evaluate a.npz 'b c.npz' --against d=d.npz"
    assert request.command(7) == f"{files} --probs p --labels-from y.csv:y --output o --seed 7"
    tokens = EvaluateRequest.parse(["a.npz"], mask="m", token_counts="train.npz:n")
    assert tokens.command(0) == "softtargets evaluate a.npz --mask m --token-counts train.npz:n --seed 0"
    assert tokens.counts_file() == (Path("train.npz"), "n")


def test_names_and_files_of_python_are_not_parsed_again():
    others = tuple(ModelFiles.of("against", f"{name}.npz", name) for name in ("a=b", "x/y"))
    request = EvaluateRequest(ModelFiles.of("predictions", "m=n.npz"), others)
    assert [(model.name, model.paths) for model in request.models()] == [
        ("m=n", (Path("m=n.npz"),)),
        ("a=b", (Path("a=b.npz"),)),
        ("x/y", (Path("x/y.npz"),)),
    ]
    # no command has these names
    assert request.command(0) == ""
    shards = EvaluateRequest(ModelFiles(("a.npz",)), (ModelFiles(("b.npz", "c.npz"), "shards"),))
    assert shards.command(0) == ""


TEXT: Any = "p.npz"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EvaluateRequest(TEXT), r"main: ModelFiles; got str; use EvaluateRequest.parse\(\['p.npz'\]\)"),
        (lambda: EvaluateRequest(ModelFiles(("p.npz",)), (TEXT,)), "against: ModelFiles; got str"),
        (lambda: ModelFiles.of("predictions", torch.ones(3)), "predictions: paths of files; got Tensor; pass arrays"),
        (lambda: ModelFiles.of("predictions", np.ones(3)), "predictions: paths of files; got ndarray; pass arrays"),
        (lambda: ModelFiles.of("predictions", 3), "predictions: a path or a list of paths; got int"),
        (lambda: ModelFiles.of("predictions", [3]), "predictions: a list of paths; got a int in it"),
    ],
)
def test_containers_of_the_wrong_kind_are_refused(make, words):
    with pytest.raises(InputTypeError, match=words):
        make()
