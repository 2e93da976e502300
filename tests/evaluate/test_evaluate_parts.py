"""The parts of `evaluate` by themselves: names of files, what is refused before it is read, samples, classes below."""

import itertools
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from softtargets._errors import InputError
from softtargets.evaluate import job as workflow
from softtargets.evaluate import temperature as evaluate_temperature
from softtargets.evaluate.job import run_evaluate
from softtargets.evaluate.request import EvaluateRequest
from softtargets.evaluate.statistics import surely_below
from softtargets.evaluate.temperature import Sample


def simulate(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(size, 4, generator=generator), torch.randint(4, (size,), generator=generator)


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
    with pytest.raises(InputError, match="--against: a pattern that files match; got 't-\\*"):
        EvaluateRequest(("s-1.npz",), against=("t-*.npz",)).models()
    with pytest.raises(InputError, match="--against: models with names of their own; got 's-1' 2 times"):
        EvaluateRequest(("s-1.npz",), against=("s-1=s-2.npz",)).models()
    with pytest.raises(InputError, match=r"predictions: every file once; got 's-2\.npz' 2 times"):
        EvaluateRequest(("s-*.npz", "s-2.npz")).models()
    with pytest.raises(InputError, match="predictions: files of one model; got the names a, b"):
        EvaluateRequest(("a=s-1.npz", "b=s-2.npz")).models()


def pass_by(sample: Sample, cuts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    logits, labels = simulate(3000)
    for start, end in itertools.pairwise(cuts):
        sample.add(logits[start:end], labels[start:end], torch.arange(start, end))
    return sample.rows()


def test_a_sample_is_bounded_and_the_same_however_rows_are_cut(monkeypatch):
    monkeypatch.setattr(evaluate_temperature, "_ROWS", 500)
    one, cut = Sample(4, "logits", 0), Sample(4, "logits", 0)
    first, second = pass_by(one, [0, 3000]), pass_by(cut, [0, 1, 900, 2500, 3000])
    assert 250 < len(one) <= 500
    assert not one.is_whole
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    # spread over all rows, not those that came first
    assert 1000 < first[2].double().mean() < 2000


def test_a_class_is_surely_below_where_chance_does_not_explain_it():
    # Fisher's exact test by hand: of 4 wrong ones among 8 rows all in the class of 4: 1 / C(8, 4) = 1 / 70, twice
    assert surely_below([4, 4], [0, 4]) == [True, False]
    # 3 of 4: (4 * 4 + 1) / 70 is no longer small
    assert surely_below([4, 4], [1, 3]) == [False, False]
    assert surely_below([5, 0], [1, 0]) == [False, False]


def test_a_truncated_shard_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from safetensors.torch import save_file

    logits, labels = simulate(5000)
    for name, rows in {"a": slice(0, 2500), "b": slice(2500, 5000)}.items():
        save_file({"logits": logits[rows].contiguous(), "labels": labels[rows].contiguous()}, f"{name}.safetensors")
    whole = Path("b.safetensors").read_bytes()
    Path("b.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a file that can be read; got b\.safetensors"):
        run_evaluate(EvaluateRequest(("a.safetensors", "b.safetensors")))
    assert not Path("reports").exists()


def test_a_folder_that_may_not_be_written_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # whoever runs this may be allowed everything
    monkeypatch.setattr(workflow.os, "access", lambda place, mode: place != tmp_path)
    with pytest.raises(PermissionError, match=re.escape(str(tmp_path))):
        run_evaluate(EvaluateRequest(("not-there.npz",), output=Path("new/page")))
    assert not list(tmp_path.iterdir())
