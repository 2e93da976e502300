"""What a model sees of images, tables and texts."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer

from softtargets._errors import InputError
from softtargets.data import batches
from softtargets.data.batches import Inputs, check_augmentation
from softtargets.data.dataset import Dataset
from softtargets.data.spec import AugmentationSpec

CPU = torch.device("cpu")


def texts(counts: torch.Tensor, train: list[int]) -> Dataset:
    rows = torch.tensor([row for row in range(len(counts)) if row not in train])
    splits = {"train": torch.tensor(train), "validation": rows, "test": rows}
    labels = torch.arange(len(counts)) % 2
    return Dataset("mine", "", counts, labels, ("a", "b"), splits, texts=("words",) * len(counts))


def test_tf_idf_by_hand() -> None:
    # two training texts: the first word is in both, the second in one, the third in none
    data = texts(torch.tensor([[1, 0, 0], [2, 1, 0], [1, 0, 3]], dtype=torch.uint8), [0, 1])
    seen = Inputs(data, CPU).batch(torch.tensor([1, 2, 0]))
    idf = [1.0, 1 + math.log(3 / 2), 1 + math.log(3)]
    first = np.array([1 + math.log(2), idf[1], 0])
    last = np.array([1, 0, (1 + math.log(3)) * idf[2]])
    expected = np.stack([first / np.linalg.norm(first), last / np.linalg.norm(last), [1, 0, 0]])
    assert seen.dtype == torch.float32
    np.testing.assert_allclose(seen.numpy(), expected, rtol=1e-6)


def test_tf_idf_is_that_of_scikit_learn() -> None:
    counts = torch.poisson(torch.full((60, 40), 0.3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    counts[:, 7] = 0
    counts[50] = 0
    train = list(range(0, 60, 2))
    witness: Any = TfidfTransformer(sublinear_tf=True).fit(counts[train].numpy())
    seen = Inputs(texts(counts, train), CPU).batch(torch.arange(60))
    np.testing.assert_allclose(seen.numpy(), witness.transform(counts.numpy()).toarray(), rtol=1e-5, atol=1e-7)
    assert seen[50].tolist() == [0] * 40


def _images(count: int) -> Dataset:
    pixels = torch.randint(0, 256, (count, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    half = torch.arange(count)
    return Dataset("mine", "", pixels, half % 2, ("a", "b"), {"train": half, "validation": half[:0], "test": half[:0]})


def _table(count: int) -> Dataset:
    values = torch.randn(count, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(count)
    return Dataset("mine", "", values, rows % 2, ("a", "b"), {"train": rows, "validation": rows[:0], "test": rows[:0]})


def _words(count: int) -> Dataset:
    draw = torch.Generator().manual_seed(0)
    return texts(torch.randint(0, 3, (count, 11), dtype=torch.uint8, generator=draw), list(range(count)))


@pytest.mark.parametrize("make", [_images, _table, _words])
@pytest.mark.parametrize("block", [1, 3000, 2**22])
@pytest.mark.parametrize("augmentation", [None, AugmentationSpec(), AugmentationSpec(flip=True, crop_padding=1)])
def test_batches_computed_together_are_those_computed_one_by_one(monkeypatch, make, block, augmentation) -> None:
    if augmentation is not None and augmentation.active and make is not _images:
        return
    monkeypatch.setattr(batches, "BLOCK_BYTES", block)
    inputs, ids = Inputs(make(53), CPU), torch.randperm(53, generator=torch.Generator().manual_seed(1))
    together = list(inputs.batches(ids, 8, augmentation, torch.Generator().manual_seed(2)))
    draw = torch.Generator().manual_seed(2)
    alone = [inputs.batch(chunk, augmentation, draw) for chunk in ids.split(8)]
    assert [len(batch) for batch in together] == [8] * 6 + [5]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()


def test_large_images_are_predicted_in_small_batches(monkeypatch) -> None:
    assert [Inputs(make(53), CPU).predicted_rows for make in (_images, _table, _words)] == [1024] * 3
    monkeypatch.setattr(batches, "PREDICTED_BYTES", 100 * 4 * 3 * 6 * 6)
    assert [Inputs(make(53), CPU).predicted_rows for make in (_images, _table, _words)] == [100, 1024, 1024]
    monkeypatch.setattr(batches, "PREDICTED_BYTES", 1)
    assert Inputs(_images(53), CPU).predicted_rows == 32


def test_texts_are_not_augmented() -> None:
    data = texts(torch.ones(3, 2, dtype=torch.uint8), [0, 1])
    with pytest.raises(InputError, match=r"augmentation: a data set of images; got texts \('mine'\); remove"):
        check_augmentation(AugmentationSpec(flip=True), data)
