"""A sample is bounded, and the same however rows are split."""

import itertools

import torch
from evaluate.evaluation_files import simulate
from torch import Tensor

from softtargets.evaluate import sample as evaluate_sample
from softtargets.evaluate.sample import RowSample


def pass_by(sample: RowSample, cuts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    logits, labels = simulate(3000)
    for start, end in itertools.pairwise(cuts):
        sample.add(logits[start:end], labels[start:end], torch.arange(start, end))
    return sample.rows()


def test_a_sample_is_bounded_and_the_same_however_rows_are_cut(monkeypatch):
    monkeypatch.setattr(evaluate_sample, "_ROWS", 500)
    one, cut = RowSample(4, "logits", 0), RowSample(4, "logits", 0)
    first, second = pass_by(one, [0, 3000]), pass_by(cut, [0, 1, 900, 2500, 3000])
    assert 250 < len(one) <= 500
    assert not one.is_whole
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    # spread over all rows, not those that came first
    assert 1000 < first[2].double().mean() < 2000
