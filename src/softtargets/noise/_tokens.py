"""Finding wrong labels of tokens."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_count, check_floating
from softtargets._errors import fail, fail_type, shortened
from softtargets._results import TensorResult
from softtargets._rows import refuse_swapped
from softtargets.noise._issues import find_label_issues

__all__ = ["CommonTokenIssue", "TokenIssues", "find_token_issues", "pad_tokens"]


@dataclass(frozen=True)
class CommonTokenIssue:
    """A token that is often flagged with the same pair of classes.

    Args:
        token: the token, as it is written.
        given: its label.
        suggested: the predicted class.
        count: number of flagged tokens.
    """

    token: str
    given: int
    suggested: int
    count: int


@dataclass(frozen=True, eq=False, repr=False)
class TokenIssues(TensorResult):
    """Tokens whose labels are probably wrong. ``len()`` is their number.

    Args:
        indices: (M, 2) int64, sentence and place of the flagged tokens, worst first.
        sentence_scores: (N,) the lowest score of the tokens of each sentence; NaN for a sentence without tokens.
        token_scores: (N, T) quality of the label of every token, low is suspect; NaN for padding.
        is_issue: (N, T) bool, the flagged tokens.
        suggested_labels: (N, T) int64, the predicted class for flagged tokens, and the given label for all others.
        wrong_probability: (N, T) float64, estimated probability that a label is wrong; NaN for padding.
        given_labels: (N, T) int64, the labels.
        noise_rate: estimated fraction of wrong labels of tokens.
    """

    indices: Tensor
    sentence_scores: Tensor
    token_scores: Tensor
    is_issue: Tensor
    suggested_labels: Tensor
    wrong_probability: Tensor
    given_labels: Tensor
    noise_rate: float

    def __len__(self) -> int:
        return len(self.indices)

    def __bool__(self) -> bool:
        return True

    def common(self, tokens: Sequence[Sequence[str]], *, top: int = 10) -> tuple[CommonTokenIssue, ...]:
        """Return the most frequent flagged tokens with their given and suggested label; ties by their first place.

        Args:
            tokens: the tokens of each sentence.
            top: largest number that is returned.

        Raises:
            ValueError: if `tokens` has another number of sentences, or a sentence has fewer tokens than labels.
        """
        check_count("top", top, remedy="10 is usual")
        size = len(self.sentence_scores)
        if len(tokens) != size:
            raise fail("tokens", f"{size} sentences, as labels", len(tokens), "pass the tokens of every sentence")
        counts: Counter[tuple[str, int, int]] = Counter()
        flagged: list[list[int]] = self.indices.tolist()
        for sentence, place in sorted(flagged):
            if place >= len(tokens[sentence]):
                got = f"{len(tokens[sentence])} tokens in sentence {sentence}"
                raise fail("tokens", "one token for each label", got, "pass the tokens of every sentence")
            given, suggested = (int(labels[sentence, place]) for labels in (self.given_labels, self.suggested_labels))
            token: Any = tokens[sentence][place]
            counts[token, given, suggested] += 1
        return tuple(CommonTokenIssue(*key, count) for key, count in counts.most_common(top))


@array_function
def find_token_issues(
    labels: ArrayLike,
    probs: ArrayLike,
    *,
    score: str = "self_confidence",
    ignore_index: int = -100,
) -> TokenIssues:
    """Token-level label issues: find wrong labels of tokens, such as those of named entities.

    token score = score of its label;  sentence score = min over its tokens        # Wang and Mueller 2022

    The tokens of all sentences are one set of examples for :func:`find_label_issues`, which flags them. Sentences of
    different lengths are padded: :func:`pad_tokens` does it for lists.

    Args:
        labels: (N, T) integers in [0, K), the label of every token, `ignore_index` for padding.
        probs: (N, T, K) float, held-out predicted probabilities of the classes of every token. Padding may have any
            probabilities.
        score: quality score of a token: "self_confidence", "normalized_margin" or "label_posterior".
        ignore_index: label of tokens to leave out.

    Returns:
        TokenIssues; its tensors are NumPy arrays if labels and probs were.

    Raises:
        ValueError: if shapes differ, a row does not hold probabilities (first one named), a label is out of range, no
            token is left, or the score is unknown.
        TypeError: if probs are not floating-point or labels not integers.

    Special cases:
        sentences of one token give the scores of :func:`find_label_issues`.

    Notes:
        The scores are those of cleanlab's ``token_classification.rank.get_label_quality_scores`` (2.9) with its
        defaults, and :meth:`TokenIssues.common` counts as its ``common_label_issues``. Which tokens are flagged
        follows :func:`find_label_issues`.

    Complexity:
        That of :func:`find_label_issues` for all tokens.

    When to use:
        To inspect sentences, those with the lowest score first, or words that are often labelled wrongly.

    Limitations:
        Tokens are judged one by one: a wrong boundary of an entity shows as one or two wrong tokens. A long sentence
        has a lower score than a short one with equally good labels.

    Aliases:
        token_classification; common_label_issues

    References:
        Wang and Mueller 2022, *Detecting Label Errors in Token Classification Data*

    Example:
        >>> labels, probs = pad_tokens(
        ...     [[0, 0, 1], [0, 1]],
        ...     [[[0.9, 0.1], [0.7, 0.3], [0.05, 0.95]], [[0.8, 0.2], [0.8, 0.2]]],
        ... )
        >>> found = find_token_issues(labels, probs)
        >>> [round(value, 2) for value in found.sentence_scores.tolist()]
        [0.7, 0.2]
    """
    refuse_swapped("probs", probs, labels)
    check_floating("probs", probs)
    if not isinstance(labels, Tensor):
        remedy = "pass a tensor or an array, such as pad_tokens makes of lists"
        raise fail_type("labels", "integers of shape (N, T)", type(labels).__name__, remedy)
    if labels.ndim != 2 or probs.ndim != 3 or probs.shape[:2] != labels.shape:
        required = "labels of shape (N, T) and probs of shape (N, T, K)"
        got = f"{tuple(labels.shape)} and {tuple(probs.shape)}"
        raise fail("labels", required, got, "pad sentences to one length, with pad_tokens for example")
    found = find_label_issues(labels, probs, score=score, ignore_index=ignore_index)
    scores = found.scores
    lowest = scores.nan_to_num(nan=math.inf).amin(1)
    return TokenIssues(
        indices=torch.stack([found.indices // labels.shape[1], found.indices % labels.shape[1]], dim=1),
        sentence_scores=lowest.masked_fill(lowest.isinf(), math.nan),
        token_scores=scores,
        is_issue=found.is_issue,
        suggested_labels=found.suggested_labels,
        wrong_probability=found.wrong_probability,
        given_labels=labels.long(),
        noise_rate=found.noise_rate,
    )


def pad_tokens(labels: Sequence[Any], probs: Sequence[Any], *, ignore_index: int = -100) -> tuple[Tensor, Tensor]:
    """Pad the labels and probabilities of sentences of different lengths.

    Args:
        labels: for each of N sentences, (T_i,) integers.
        probs: for each sentence, (T_i, K) float.
        ignore_index: label of the padding; its probabilities are 1 / K.

    Returns:
        (N, T) int64 and (N, T, K) float, T the largest length.

    Raises:
        ValueError: if the numbers of sentences, tokens or classes differ (first sentence named), or there is none.
        TypeError: if labels are not integers.

    Special cases:
        sentences of one length are stacked.

    Complexity:
        O(N T K).

    When to use:
        Labels and probabilities are lists, as other libraries for tokens have them.

    Limitations:
        One long sentence makes all rows long.

    Example:
        >>> labels, probs = pad_tokens([[1], [0, 1]], [[[0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]])
        >>> labels.tolist(), probs[0].tolist()
        ([[1, -100], [0, 1]], [[0.25, 0.75], [0.5, 0.5]])
    """
    given, likely = _sentences("labels", labels, 1), _sentences("probs", probs, 2)
    if not given or len(given) != len(likely):
        required, got = "as many sentences as probs, at least 1", f"{len(given)} and {len(likely)}"
        raise fail("labels", required, got, "pass the labels and the probabilities of every sentence")
    num_classes = likely[0].shape[1]
    for place, (own, values) in enumerate(zip(given, likely, strict=True)):
        if len(own) and (own.is_floating_point() or own.is_complex()):
            raise fail_type("labels", "integers", f"dtype {own.dtype} in sentence {place}", "pass class indices")
        if not values.is_floating_point():
            got = f"dtype {values.dtype} in sentence {place}"
            raise fail_type("probs", "floating-point numbers", got, "pass probabilities")
        if tuple(values.shape) != (len(own), num_classes):
            required = f"shape ({len(own)}, {num_classes}) for sentence {place}, as its labels and the first sentence"
            raise fail("probs", required, tuple(values.shape), "pass one row of probabilities for each token")
    shape = (len(given), max(map(len, given)))
    padded = torch.full(shape, ignore_index)
    filled = likely[0].new_full((*shape, num_classes), 1 / max(num_classes, 1))
    for place, (own, values) in enumerate(zip(given, likely, strict=True)):
        padded[place, : len(own)], filled[place, : len(own)] = own.long(), values
    return padded, filled


def _sentences(argument: str, values: Any, ndim: int) -> list[Tensor]:
    """Return one tensor for each sentence."""
    required = f"a list with one array of {ndim} {'dimension' if ndim == 1 else 'dimensions'} for each sentence"
    remedy = "pass lists, arrays or tensors of numbers"
    try:
        if isinstance(values, str | bytes | Mapping):
            raise TypeError(type(values).__name__)
        found = [torch.as_tensor(one) for one in values]
    except (TypeError, ValueError, RuntimeError) as error:
        raise fail_type(argument, required, shortened(str(error)), remedy) from error
    for place, one in enumerate(found):
        if one.ndim != ndim:
            raise fail(argument, required, f"shape {tuple(one.shape)} in sentence {place}", remedy)
    return found
