"""Wrong labels of tokens, against cleanlab 2.9.0."""

import math

import numpy as np
import pytest
import torch

from softtargets import noise
from softtargets._errors import InputError, InputTypeError

LABELS = [[0, 2, 1], [1], [0, 0], [2, 1, 1, 0]]
PROBS = [
    [[0.8, 0.1, 0.1], [0.05, 0.15, 0.8], [0.6, 0.3, 0.1]],
    [[0.2, 0.5, 0.3]],
    [[0.1, 0.2, 0.7], [0.9, 0.05, 0.05]],
    [[0.3, 0.3, 0.4], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.55, 0.25, 0.2]],
]
WORDS = [["a", "b", "the"], ["the"], ["rose", "a"], ["b", "the", "the", "a"]]
# cleanlab.token_classification.rank.get_label_quality_scores
CLEANLAB = {
    "self_confidence": ([0.3, 0.5, 0.1, 0.2], [[0.8, 0.8, 0.3], [0.5], [0.1, 0.9], [0.4, 0.8, 0.2, 0.55]]),
    "normalized_margin": (
        [0.35, 0.6, 0.2, 0.25],
        [[0.85, 0.825, 0.35], [0.6], [0.2, 0.925], [0.55, 0.85, 0.25, 0.65]],
    ),
}


def padded() -> tuple[torch.Tensor, torch.Tensor]:
    labels, probs = noise.pad_tokens(LABELS, [torch.tensor(one, dtype=torch.float64) for one in PROBS])
    return labels, probs


@pytest.mark.parametrize("score", CLEANLAB)
def test_scores_are_those_of_cleanlab(score):
    sentences, tokens = CLEANLAB[score]
    found = noise.find_token_issues(*padded(), score=score)
    assert found.sentence_scores.tolist() == pytest.approx(sentences)
    for row, expected in zip(found.token_scores, tokens, strict=True):
        assert row[: len(expected)].tolist() == pytest.approx(expected)
        assert row[len(expected) :].isnan().all()


def test_tokens_are_flagged_as_one_set_of_examples():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(80, 6, 3, generator=generator, dtype=torch.float64)
    clean = torch.multinomial(logits.softmax(-1).view(-1, 3), 1, generator=generator).view(80, 6)
    labels = torch.where(torch.rand(80, 6, generator=generator) < 0.1, (clean + 1) % 3, clean)
    labels[::2, 4:] = -100
    found = noise.find_token_issues(labels, logits.softmax(-1))
    whole = noise.find_label_issues(labels.flatten(), logits.softmax(-1).view(-1, 3))
    assert (found.indices[:, 0] * 6 + found.indices[:, 1]).tolist() == whole.indices.tolist()
    assert found.noise_rate == whole.noise_rate
    assert torch.equal(found.wrong_probability.flatten().nan_to_num(-1), whole.wrong_probability.nan_to_num(-1))
    assert torch.equal(found.is_issue.nonzero().sort(0).values, found.indices.sort(0).values)
    assert not bool(found.is_issue[labels == -100].any())
    assert (labels != clean)[found.is_issue].double().mean() > 0.5


def test_common_issues_are_counted_as_cleanlab_counts_them():
    found = noise.find_token_issues(*padded())
    # the issues that cleanlab's common_label_issues was given
    chosen = [(0, 2), (2, 0), (3, 2)]
    suggested = found.given_labels.clone()
    for (sentence, place), label in zip(chosen, (0, 2, 0), strict=True):
        suggested[sentence, place] = label
    issues = noise.TokenIssues(
        **{**vars(found), "indices": torch.tensor(chosen), "suggested_labels": suggested},
    )
    common = issues.common(WORDS)
    assert all(isinstance(one, noise.CommonTokenIssue) for one in common)
    assert [(one.token, one.given, one.suggested, one.count) for one in common] == [("the", 1, 0, 2), ("rose", 0, 2, 1)]
    assert issues.common(WORDS, top=1) == common[:1]
    with pytest.raises(InputError, match="tokens: 4 sentences, as labels; got 3"):
        issues.common(WORDS[:3])
    with pytest.raises(InputError, match="tokens: one token for each label; got 2 tokens in sentence 0"):
        issues.common([["a", "b"], *WORDS[1:]])


def test_sentences_of_one_token_are_examples():
    probs = torch.tensor([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    found = noise.find_token_issues(labels[:, None], probs[:, None])
    whole = noise.find_label_issues(labels, probs)
    assert found.indices.tolist() == [[4, 0]]
    assert torch.equal(found.sentence_scores, whole.scores)
    assert int(found.suggested_labels[4, 0]) == 0


def test_padding_and_array_types():
    labels, probs = noise.pad_tokens([np.array([1, 0]), []], [np.ones((2, 4)) / 4, np.zeros((0, 4))])
    assert labels.tolist() == [[1, 0], [-100, -100]]
    assert probs[1].tolist() == [[0.25] * 4] * 2
    found = noise.find_token_issues(*(one.numpy() for one in padded()))
    assert isinstance(found.token_scores, np.ndarray)
    empty = noise.find_token_issues(labels, probs)
    assert math.isnan(float(empty.sentence_scores[1]))


@pytest.mark.parametrize(
    ("labels", "probs", "error", "message"),
    [
        ([], [], InputError, "labels: as many sentences as probs, at least 1; got 0 and 0"),
        ([[0]], [[[0.5, 0.5]], [[0.5, 0.5]]], InputError, "labels: as many sentences as probs"),
        ([[0.5]], [[[0.5, 0.5]]], InputTypeError, "labels: integers; got dtype torch.float32 in sentence 0"),
        ([[0], [0, 1]], [[[0.5, 0.5]], [[0.5, 0.5]]], InputError, r"probs: shape \(2, 2\) for sentence 1"),
        ([[0]], [[[1, 0]]], InputTypeError, "probs: floating-point numbers; got dtype torch.int64"),
        ("ab", [[[1.0, 0.0]]], InputTypeError, "labels: a list with one array of 1 dimension for each sentence"),
        ([[[0]]], [[[1.0, 0.0]]], InputError, r"labels: a list .*got shape \(1, 1\) in sentence 0"),
    ],
)
def test_sentences_that_do_not_fit_are_refused(labels, probs, error, message):
    with pytest.raises(error, match=message):
        noise.pad_tokens(labels, probs)


def test_shapes_that_do_not_fit_are_refused():
    labels, probs = padded()
    with pytest.raises(InputError, match=r"labels: labels of shape \(N, T\) and probs of shape \(N, T, K\)"):
        noise.find_token_issues(labels[0], probs)
