"""What a model sees of texts."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer

from softtargets._errors import InputError
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


def test_texts_are_not_augmented() -> None:
    data = texts(torch.ones(3, 2, dtype=torch.uint8), [0, 1])
    with pytest.raises(InputError, match=r"augmentation: a data set of images; got texts \('mine'\); remove"):
        check_augmentation(AugmentationSpec(flip=True), data)
