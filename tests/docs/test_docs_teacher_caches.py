"""The page on teacher caches: its three snippets run, and its table of columns is that of the files."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from softtargets.distill import CacheSource, Sampled, SequenceBatch, TopK, write_cache

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "teacher-caches.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    made: dict[str, Any] = {}
    exec(compile(blocks[0], "teacher-caches.md", "exec"), made)
    first = [parameter.clone() for parameter in made["model"](seed=1).parameters()]
    for block in blocks[1:]:
        exec(compile(block, "teacher-caches.md", "exec"), made)
    student = list(made["student"].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(student, first, strict=True)), "it was trained"
    assert 0 < float(made["value"].detach()) < 1
    assert all(parameter.grad is not None for parameter in student[:1])
    assert repr(made["cache"]).endswith("1 sequences, 50 classes, k=2)")


def test_every_column_is_on_the_page(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    described = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE))))
    written: set[str] = set()
    batch = SequenceBatch(torch.tensor([0]), torch.tensor([[1, 2]]), torch.zeros(1, 2, 5))
    for number, keep in enumerate((TopK(2), TopK(), Sampled(2, proposal_temperature=2.0))):
        folder = write_cache(tmp_path / str(number), [batch], CacheSource("t", "d", 5, tokenizer="x"), keep=keep).folder
        written |= load_file(folder / "shard-00000.safetensors").keys()
    assert written == described
