"""Words and their TF-IDF weights per class, in plain Python."""

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._checks import check_num_classes, read_labels
from softtargets._errors import fail_type
from softtargets.targets.checks import check_tensor

WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Split a case-folded text into words: runs of letters, digits and underscores."""
    return WORD.findall(text.casefold())


def class_tf_idf(texts: Sequence[str], labels: Tensor | Sequence[int], num_classes: int) -> tuple[list[str], Tensor]:
    """Return the vocabulary in alphabetical order, and the (K, V) float64 weights of its words in every class.

    All texts of a class count as one document: weight = share of its words * log(K / classes that have the word), so
    that a word of every class has weight 0. A class without texts has only weights of 0.
    """
    check_num_classes(num_classes)
    classes = check_texts(texts, labels, num_classes)
    counts = [Counter[str]() for _ in range(num_classes)]
    for text, label in zip(texts, classes, strict=True):
        counts[label].update(words(text))
    vocabulary = sorted(set().union(*counts))
    column = {word: place for place, word in enumerate(vocabulary)}
    shares = torch.zeros(num_classes, len(vocabulary), dtype=torch.float64)
    for row, count in zip(shares, counts, strict=True):
        if count:
            found = torch.tensor(list(count.values()), dtype=torch.float64)
            row[[column[word] for word in count]] = found / count.total()
    classes_with = (shares > 0).double().sum(0)
    return vocabulary, shares * (num_classes / classes_with).log()


def check_texts(texts: Sequence[str], labels: Tensor | Sequence[int], num_classes: int) -> list[int]:
    """Return the labels as a list, once there is one label in [0, K) per text."""
    check_is_texts(texts)
    if hasattr(labels, "__array__"):
        check_tensor("labels", labels, "a tensor or a sequence of integers")
    if not isinstance(labels, Tensor):
        try:
            # without a dtype, which would truncate floats
            labels = torch.as_tensor(labels) if len(labels) else torch.empty(0, dtype=torch.int64)
        except (TypeError, ValueError, RuntimeError):
            required = "a tensor or a sequence of integers"
            raise fail_type("labels", required, type(labels).__name__, "pass one class number per text") from None
    whole, _ = read_labels("labels", labels, num_classes=num_classes, shape=(len(texts),))
    return whole.tolist()


def check_is_texts(texts: object) -> None:
    """Require a sequence of strings."""
    if isinstance(texts, str):
        raise fail_type("texts", "a sequence of texts", "one text", "put it in a list")
    if isinstance(texts, Tensor) or not hasattr(texts, "__len__") or getattr(texts, "ndim", 1) == 0:
        raise fail_type("texts", "a sequence of texts", type(texts).__name__, "use list(texts)")
    for place, text in enumerate(texts):  # pyright: ignore[reportArgumentType]
        if not isinstance(text, str):
            got = f"{type(text).__name__} at index {place}"
            raise fail_type("texts", "a sequence of texts", got, "pass strings; are texts and labels swapped?")
