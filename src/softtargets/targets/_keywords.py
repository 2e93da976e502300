"""Soft labels for texts from the words they share with the classes (after KWLS)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import (
    check_classes_last,
    check_count,
    check_entries,
    check_fraction,
    check_labels,
    check_num_classes,
    check_per_example,
)
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32
from softtargets.targets._shared import apart_from_ignored, column
from softtargets.targets._targets import Targets
from softtargets.targets._text import class_tf_idf, words

__all__ = ["ClassKeywords", "smooth_by_scores"]


class ClassKeywords:
    """The words that tell a class from the others, and how many of them a text has.

    score[i, k] = weight of the keywords of class k that text i has / weight of all keywords of class k

    The keywords of a class are its `size` words of largest TF-IDF weight, where all texts of the class are one
    document: weight = share of the class's words * log(K / classes that have the word). Words of every class weigh
    nothing and are none, so no list of stop words is needed. A word is a run of letters, digits and underscores, case
    folded; a script without spaces has to come split by them. "KWLS-style": the text of Liu et al. 2022 was not to be
    had, and this is a documented reading.

    Args:
        num_classes: K.
        size: most keywords a class may have.

    Special cases:
        a text with all keywords of a class scores 1 there, one with none 0.

    Notes:
        keywords as in KWLS; ties go to the word that comes first in the alphabet.

    Complexity:
        O(words) each for fit and scores.

    When to use:
        texts are classified by topic, and what is smoothed should go by what the text says.

    Limitations:
        words without their meaning; fit it on the training texts alone.

    Example:
        >>> keywords = ClassKeywords(2, size=2)
        >>> keywords.fit(["a goal, a match", "the match", "a star"], [0, 0, 1])
        >>> list(keywords.keywords[0])
        ['match', 'goal']
        >>> keywords.scores(["Stars, no goals", "The star match!"]).round(decimals=3).tolist()
        [[0.0, 0.0], [0.667, 1.0]]
    """

    def __init__(self, num_classes: int, *, size: int = 20) -> None:
        check_num_classes(num_classes)
        check_count("size", size, remedy="20 is a start")
        self.num_classes = num_classes
        self.size = size
        self.keywords: list[dict[str, float]] = []

    def fit(self, texts: Sequence[str], labels: Tensor | Sequence[int]) -> None:
        """Find the keywords of every class in (N,) texts and their labels."""
        vocabulary, weights = class_tf_idf(texts, labels, self.num_classes)
        self.keywords = []
        for row in weights.tolist():
            ranked = sorted((-weight, word) for weight, word in zip(row, vocabulary, strict=True) if weight > 0)
            self.keywords.append({word: -weight for weight, word in ranked[: self.size]})

    def scores(self, texts: Sequence[str]) -> Tensor:
        """Return the (N, K) float64 scores of texts, in [0, 1]; a class without keywords scores 0."""
        if not self.keywords:
            raise fail("keywords", "fitted ones", "none", "call fit(texts, labels) first")
        if isinstance(texts, str):
            raise fail_type("texts", "a sequence of texts", "one text", "put it in a list")
        totals = [sum(weights.values()) for weights in self.keywords]
        result = torch.zeros(len(texts), self.num_classes, dtype=torch.float64)
        for row, text in zip(result, texts, strict=True):
            there = set(words(text))
            for k, (weights, total) in enumerate(zip(self.keywords, totals, strict=True)):
                row[k] = sum(weight for word, weight in weights.items() if word in there) / total if total else 0.0
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return the keywords and their weights, which JSON can hold."""
        return {"keywords": [dict(weights) for weights in self.keywords]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of :meth:`state_dict`."""
        found = len(state["keywords"])
        if found not in (0, self.num_classes):
            raise fail("state", f"keywords of {self.num_classes} classes", found, "fix num_classes")
        self.keywords = [dict(weights) for weights in state["keywords"]]


def smooth_by_scores(
    labels: Tensor,
    scores: Tensor,
    *,
    smoothing: float | Tensor,
    temperature: float = 1.0,
    ignore_index: int | None = None,
) -> Targets:
    """Smooth every label by how well each class fits the example, as KWLS does: a documented reading.

    t = (1 - r) * onehot(label) + r * softmax(scores / temperature)

    Args:
        labels: (...) int64 in [0, K).
        scores: (..., K) float, such as ``ClassKeywords.scores``; no gradient passes through them.
        smoothing: a number or a (...) tensor in [0, 1].
        temperature: above 0; the smaller, the more goes to the class that fits best.
        ignore_index: label that marks an example without a target.

    Returns:
        Targets, dense, of mass 1, float32 or wider.

    Raises:
        ValueError: where shapes differ, scores are not finite, or a label, smoothing or temperature is out of range.

    Special cases:
        smoothing=0 gives hard(labels); equal scores, or a high temperature, give smooth(labels, smoothing).

    Notes:
        "all": the label has a part in what is spread.

    Complexity:
        an N x K target, as the scores are.

    When to use:
        something that is not the model says which classes an example resembles.

    Limitations:
        scores in [0, 1] at temperature 1 are nearly uniform: lower it, as 0.1.

    Example:
        >>> smooth_by_scores(torch.tensor([0]), torch.zeros(1, 4), smoothing=0.5).to_dense().tolist()
        [[0.625, 0.125, 0.125, 0.125]]
    """
    check_classes_last("scores", scores)
    labels, ignored = apart_from_ignored(labels, ignore_index)
    check_labels("labels", labels, scores.shape[-1], scores.shape[:-1])
    check_fraction("smoothing", smoothing)
    check_per_example("smoothing", smoothing, labels.shape)
    if not temperature > 0:
        raise fail("temperature", "above 0", temperature, "1 is the plain softmax of the scores")
    check_entries("scores", scores, torch.isfinite, "finite", "fix that score")
    labels = labels.long()
    likeness = (at_least_float32(scores.detach()) / temperature).softmax(-1)
    if isinstance(smoothing, Tensor):
        smoothing = smoothing.to(torch.promote_types(smoothing.dtype, likeness.dtype))
    spread = column(smoothing) * likeness
    keep = (1 - column(smoothing)) * torch.ones_like(spread[..., :1])
    values = spread.scatter_add(-1, labels[..., None], keep.to(spread.dtype))
    return Targets(values=values, labels=labels, ignored=ignored)
