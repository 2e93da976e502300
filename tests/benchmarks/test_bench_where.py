"""The profile: calls are counted by file."""

import re
from collections import Counter

import torch

from benchmarks import contenders, where


def test_calls_are_counted_and_attributed_to_their_file() -> None:
    z, labels = where._problem(4, 5, torch.float32)
    found = where.by_file(where._call(contenders.smoothed_ours(labels), z), 3)
    assert found["losses/_cross_entropy.py"].python >= 1
    assert "torch: autograd" in found
    assert all(share.seconds >= 0 for share in found.values())


def test_built_in_functions_belong_to_the_file_that_calls_them() -> None:
    found = where.by_file(lambda: Counter("aab").most_common(1), 2)
    assert set(found) == {"torch and Python"}
    assert found["torch and Python"].built_in >= 1


def test_the_page_has_every_contender(tmp_path) -> None:
    assert where.main(["--quick", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "PROFILE.md").read_text(encoding="utf-8")
    assert all(f"| {name} | " in text for name in where.SMALL_CONTENDERS)
    assert "### 64×10, bfloat16" in text
    # every part is compared with ours, and with what the goal is relative to
    for problem in ("linear layer and loss, 64×16×100, float32", "one epoch, MLP 64-256-256-10 on digits", "corrupt, "):
        assert re.search(rf"^\| {problem}[^|]*\| ours \| [\d.]+ \| 100% \|  \|$", text, re.MULTILINE)
    assert re.search(r"\| the three products alone \| [\d.]+ \| \d+% \| [\d.]+× torch \|", text)
