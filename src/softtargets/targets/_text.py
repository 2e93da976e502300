"""Words and their weight for a class. Plain Python: a text is what it is, and no other package is needed."""

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._checks import check_labels, check_num_classes
from softtargets._errors import fail_type

WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Split a text: case folded, every run of letters, digits and underscores is a word."""
    return WORD.findall(text.casefold())


def class_tf_idf(texts: Sequence[str], labels: Tensor | Sequence[int], num_classes: int) -> tuple[list[str], Tensor]:
    """Return the vocabulary in alphabetical order and the (K, V) float64 weights of its words for every class.

    The texts of a class are one document: weight = share of its words * log(K / classes that have the word), so that a
    word of every class weighs nothing. A class without texts has no weights.
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
    """Require one label per text; return the labels."""
    if isinstance(texts, str):
        raise fail_type("texts", "a sequence of texts", "one text", "put it in a list")
    if not isinstance(labels, Tensor):
        # without a dtype, which would cut what is no int
        labels = torch.tensor(list(labels)) if len(labels) else torch.empty(0, dtype=torch.int64)
    check_labels("labels", labels, num_classes, (len(texts),))
    return labels.tolist()
