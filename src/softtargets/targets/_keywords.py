"""Soft labels for texts, from the words that they share with the classes (KWLS-style)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import check_count, check_entries, check_num_classes, read_labels
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32
from softtargets.targets._shared import column
from softtargets.targets._targets import Targets
from softtargets.targets._text import check_is_texts, class_tf_idf, words
from softtargets.targets.checks import check_sharing, classes_last, per_example, positive

__all__ = ["ClassKeywords", "smooth_by_scores"]


class ClassKeywords:
    """Find the keywords of each class, and score texts by the keywords that they contain.

    score[i, k] = weight of the keywords of class k that text i has / weight of all keywords of class k

    The keywords of a class are its `size` words with the largest TF-IDF weight, where all texts of the class count as
    one document: weight = share of the class's words * log(K / number of classes that have the word). Words that occur
    in every class have weight 0 and are never keywords, so no stop-word list is needed. A word is a run of letters,
    digits and underscores, case-folded; scripts without spaces must be segmented first. The text of Liu et al. 2022 was
    not available: this is our interpretation of KWLS.

    Args:
        num_classes: K.
        size: maximum number of keywords per class.

    Special cases:
        a text with all keywords of a class has score 1 for it, a text with none has score 0.

    Notes:
        Keywords as in KWLS; ties are broken alphabetically.

    Complexity:
        O(words) for both fit and scores.

    When to use:
        Texts are classified by topic, and smoothing should depend on what the text says.

    Limitations:
        Word order and context are ignored. Fit on the training texts only.

    Example:
        >>> keywords = ClassKeywords(2, size=2).fit(["a goal, a match", "the match", "a star"], [0, 0, 1])
        >>> list(keywords.keywords[0])
        ['match', 'goal']
        >>> keywords.scores(["Stars, no goals", "The star match!"]).round(decimals=3).tolist()
        [[0.0, 0.0], [0.667, 1.0]]
    """

    def __init__(self, num_classes: int, *, size: int = 20) -> None:
        check_num_classes(num_classes)
        check_count("size", size, remedy="20 is usual")
        self.num_classes = num_classes
        self.size = size
        self.keywords: list[dict[str, float]] = []

    def fit(self, texts: Sequence[str], labels: Tensor | Sequence[int]) -> "ClassKeywords":
        """Find the keywords of every class in N texts with (N,) integer labels, and return self."""
        vocabulary, weights = class_tf_idf(texts, labels, self.num_classes)
        self.keywords = []
        for row in weights.tolist():
            ranked = sorted((-weight, word) for weight, word in zip(row, vocabulary, strict=True) if weight > 0)
            self.keywords.append({word: -weight for weight, word in ranked[: self.size]})
        return self

    def scores(self, texts: Sequence[str]) -> Tensor:
        """Return the (N, K) float64 scores of N texts, in [0, 1]; 0 for a class without keywords."""
        if not self.keywords:
            raise fail("ClassKeywords", "a fitted object", "one without keywords", "call fit(texts, labels) first")
        check_is_texts(texts)
        shares: dict[str, list[tuple[int, float]]] = {}
        for k, weights in enumerate(self.keywords):
            total = sum(weights.values())
            for word, weight in weights.items():
                shares.setdefault(word, []).append((k, weight / total))
        rows: list[list[float]] = []
        for text in texts:
            row = [0.0] * self.num_classes
            # in the order of the text, since that of a set, and so the rounding, differs between processes
            for word in dict.fromkeys(words(text)):
                for k, share in shares.get(word, ()):
                    row[k] += share
            rows.append(row)
        return torch.tensor(rows, dtype=torch.float64).reshape(len(texts), self.num_classes)

    def state_dict(self) -> dict[str, Any]:
        """Return the keywords and their weights, JSON-serialisable."""
        return {"keywords": [dict(weights) for weights in self.keywords]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state_dict`."""
        if not isinstance(state, dict) or "keywords" not in state:
            remedy = "pass the result of state_dict()"
            raise fail_type("state", "a dict with the key 'keywords'", type(state).__name__, remedy)
        found = len(state["keywords"])
        if found not in (0, self.num_classes):
            remedy = "create ClassKeywords with the num_classes of the state"
            raise fail("state", f"keywords of {self.num_classes} classes", found, remedy)
        self.keywords = [dict(weights) for weights in state["keywords"]]


def smooth_by_scores(
    labels: Tensor,
    scores: Tensor,
    *,
    smoothing: float | Tensor,
    temperature: float = 1.0,
    convention: str = "all",
    class_dim: int = -1,
    ignore_index: int | None = -100,
) -> Targets:
    """Smooth every label by how well each class fits the example, as KWLS does (our interpretation).

    t = (1 - r) * onehot(label) + r * softmax(scores / temperature)

    The softmax is over all classes, or in the convention "others" over the classes except the label's.

    Args:
        labels: (...) integers in [0, K).
        scores: (..., K) float, such as ``ClassKeywords.scores``; no gradient passes through them.
        smoothing: a number, or a (...) tensor with one number per example, in [0, 1].
        temperature: above 0; lower values give more weight to the class that fits best.
        convention: "all": the label's class also receives smoothing. "others": the other classes receive all of it.
        class_dim: dimension of the classes in `scores`.
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        Targets, dense, of mass 1, float32 or wider.

    Raises:
        ValueError: if shapes differ, scores are not finite, a label, smoothing or temperature is out of range, or the
            convention is unknown.
        TypeError: if labels are not integers or scores not floating-point.

    Special cases:
        smoothing=0 gives hard(labels); equal scores, or a high temperature, give smooth(labels, smoothing) in the same
        convention.

    Notes:
        In the convention "all" the label keeps more than 1 - r, the more so the better its class fits; a text that
        keywords were found in always fits its own class. In the convention "others" it keeps exactly 1 - r.

    Complexity:
        An N x K target, as large as the scores.

    When to use:
        A source other than the model shows which classes an example resembles.

    Limitations:
        Scores in [0, 1] at temperature 1 are nearly uniform: use a lower temperature, such as 0.1.

    Example:
        >>> smooth_by_scores(torch.tensor([0]), torch.zeros(1, 4), smoothing=0.5).to_dense().tolist()
        [[0.625, 0.125, 0.125, 0.125]]
    """
    scores = classes_last("scores", scores, class_dim)
    shape, size = tuple(scores.shape[:-1]), scores.shape[-1]
    labels, ignored = read_labels("labels", labels, num_classes=size, shape=shape, ignore_index=ignore_index)
    smoothing = per_example("smoothing", smoothing, shape)
    temperature = positive("temperature", temperature, "1 is the plain softmax of the scores")
    check_entries("scores", scores, torch.isfinite, "finite", "fix that score")
    check_sharing(convention)
    likeness = at_least_float32(scores.detach()) / temperature
    if convention == "others":
        likeness = likeness.scatter(-1, labels[..., None], -torch.inf)
    likeness = likeness.softmax(-1)
    if isinstance(smoothing, Tensor):
        smoothing = smoothing.to(torch.promote_types(smoothing.dtype, likeness.dtype))
    spread = column(smoothing) * likeness
    keep = (1 - column(smoothing)) * torch.ones_like(spread[..., :1])
    values = spread.scatter_add(-1, labels[..., None], keep.to(spread.dtype))
    return Targets(values=values, labels=labels, ignored=ignored)
