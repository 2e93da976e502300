"""Class keywords, and smoothing by scores."""

import json
from typing import Any

import pytest
import torch
from reference import rules as reference

from softtargets import targets
from softtargets.targets import ClassKeywords

TEXTS = ["The match: a goal!", "A match of chess, a goal", "a star and a star", "the STAR", "a Straße"]
CLASSES = [0, 1, 2, 2, 3]
DOCUMENTS = [
    ["the", "match", "a", "goal"],
    ["a", "match", "of", "chess", "a", "goal"],
    ["a", "star", "and", "a", "star", "the", "star"],
    ["a", "strasse"],
]
SCORES = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([2, 0, 1, 1])


def fitted(size: int = 20) -> ClassKeywords:
    keywords = ClassKeywords(4, size=size)
    keywords.fit(TEXTS, CLASSES)
    return keywords


def test_keywords_are_the_words_of_largest_weight() -> None:
    weights = reference.class_tf_idf(DOCUMENTS)
    for found, expected in zip(fitted().keywords, weights, strict=True):
        positive = {word: weight for word, weight in expected.items() if weight > 0}
        assert found == pytest.approx(positive, rel=1e-12), "a word of every class is none"
        assert list(found) == sorted(found, key=lambda word: (-found[word], word))
    assert [list(found) for found in fitted(1).keywords] == [["goal"], ["chess"], ["star"], ["strasse"]]


def test_a_score_is_the_share_of_the_keywords_that_the_text_has() -> None:
    keywords = fitted()
    weights = reference.class_tf_idf(DOCUMENTS)
    texts = ["a goal by the star", "no words in common", "STRASSE", "", "Match, goal and chess of a match"]
    there = [
        {"a", "goal", "by", "the", "star"},
        {"no", "words", "in", "common"},
        {"strasse"},
        set[str](),
        {"match", "goal", "and", "chess", "of", "a"},
    ]
    expected = [
        [sum(w for word, w in k.items() if word in found) / sum(k.values()) for k in weights] for found in there
    ]
    torch.testing.assert_close(keywords.scores(texts).tolist(), expected, rtol=0, atol=1e-12)
    assert keywords.scores(["strasse"])[0].tolist() == [0, 0, 0, 1], "all of them"


def test_a_class_without_texts_or_without_words_of_its_own_scores_0() -> None:
    keywords = ClassKeywords(3)
    keywords.fit(["a b", "a c"], torch.tensor([0, 1]))
    assert keywords.keywords[2] == {}
    assert keywords.scores(["a b c"]).tolist() == [[1, 1, 0]]
    nothing = ClassKeywords(2)
    nothing.fit(["a", "a"], [0, 1])
    assert nothing.scores(["a"]).tolist() == [[0, 0]]


def test_the_state_is_json_and_resumes() -> None:
    again = ClassKeywords(4)
    again.load_state_dict(json.loads(json.dumps(fitted().state_dict())))
    assert torch.equal(again.scores(TEXTS), fitted().scores(TEXTS))
    held = fitted()
    state = held.state_dict()
    state["keywords"][0].clear()
    assert held.keywords[0], "the state is a copy"


def test_from_texts_to_targets() -> None:
    made = targets.smooth_by_scores(torch.tensor(CLASSES), fitted().scores(TEXTS), smoothing=0.3, temperature=0.1)
    assert made.mass().tolist() == pytest.approx([1] * 5)
    assert made.to_dense()[0, 1] > made.to_dense()[0, 3], "a match is nearer to chess than to a street"


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0, torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.float64)])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_smoothing_by_scores(smoothing: float | torch.Tensor, temperature: float) -> None:
    made = targets.smooth_by_scores(LABELS, SCORES, smoothing=smoothing, temperature=temperature)
    rates = smoothing.tolist() if isinstance(smoothing, torch.Tensor) else [smoothing] * 4
    expected = [
        reference.smoothed_by_scores(y, row, r, temperature)
        for y, row, r in zip(LABELS.tolist(), SCORES.tolist(), rates, strict=True)
    ]
    torch.testing.assert_close(made.to_dense().tolist(), expected, rtol=0, atol=1e-12)
    assert made.labels is LABELS


def test_the_ends() -> None:
    hard = targets.smooth_by_scores(LABELS, SCORES, smoothing=0.0)
    assert torch.equal(hard.to_dense(), targets.hard(LABELS).to_dense(3))
    even = targets.smooth(LABELS, 0.3).to_dense(3)
    for scores, temperature in ((torch.ones(4, 3).double(), 1.0), (SCORES, 1e12)):
        made = targets.smooth_by_scores(LABELS, scores, smoothing=0.3, temperature=temperature)
        torch.testing.assert_close(made.to_dense(), even, rtol=0, atol=1e-10)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_in_the_convention_others_the_label_receives_no_smoothing(temperature: float) -> None:
    made = targets.smooth_by_scores(LABELS, SCORES, smoothing=0.3, temperature=temperature, convention="others")
    for y, row, found in zip(LABELS.tolist(), SCORES.tolist(), made.to_dense().tolist(), strict=True):
        others = [score for k, score in enumerate(row) if k != y]
        expected = [0.3 * share for share in reference.tempered(others, temperature)]
        expected.insert(y, 0.7)
        assert found == pytest.approx(expected, abs=1e-12)
    even = targets.smooth_by_scores(LABELS, torch.ones(4, 3).double(), smoothing=0.3, convention="others")
    torch.testing.assert_close(
        even.to_dense(), targets.smooth(LABELS, 0.3, num_classes=3, convention="others").to_dense()
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_mass(dtype: torch.dtype) -> None:
    scores = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    made = targets.smooth_by_scores(torch.tensor([0, 1, 2]), scores, smoothing=torch.full((3,), 0.3, dtype=dtype))
    torch.testing.assert_close(made.mass(), torch.ones(3), rtol=0, atol=1e-6)


def test_any_shape_and_no_gradient_to_the_scores() -> None:
    scores = SCORES.reshape(2, 2, 3).clone().requires_grad_()
    made = targets.smooth_by_scores(LABELS.view(2, 2), scores, smoothing=0.3)
    flat = targets.smooth_by_scores(LABELS, SCORES, smoothing=0.3)
    assert torch.equal(made.to_dense(), flat.to_dense().view(2, 2, 3))
    assert not made.to_dense().requires_grad


WRONG: list[tuple[str, Any, str]] = [
    (
        "not fitted",
        lambda: ClassKeywords(2).scores(["a"]),
        r"ClassKeywords: a fitted object; got one without keywords; call fit\(texts, labels\)",
    ),
    ("one text", lambda: fitted().scores("a text"), "texts: a sequence of texts; got one text"),
    ("one text to fit", lambda: ClassKeywords(2).fit("a", [0]), "texts: a sequence of texts; got one text"),
    ("size", lambda: ClassKeywords(2, size=0), "size: an int of at least 1; got 0"),
    ("one class", lambda: ClassKeywords(1), "num_classes: at least 2"),
    ("label", lambda: ClassKeywords(2).fit(["a", "b"], [0, 2]), "labels: .* below 2.*; got 2 at row 1"),
    (
        "another's state",
        lambda: ClassKeywords(2).load_state_dict(fitted().state_dict()),
        "state: keywords of 2 classes; got 4; create ClassKeywords with the num_classes of the state",
    ),
    (
        "scores",
        lambda: targets.smooth_by_scores(LABELS, SCORES / 0, smoothing=0.1),
        r"scores: finite; got .* at index \(0, 0\)",
    ),
    (
        "scores' shape",
        lambda: targets.smooth_by_scores(LABELS, SCORES[:2], smoothing=0.1),
        r"labels: shape \(2,\); got \(4,\)",
    ),
    (
        "scores of one",
        lambda: targets.smooth_by_scores(LABELS, SCORES[:, :1], smoothing=0.1),
        r"scores: shape \(..., K\)",
    ),
    (
        "smoothing",
        lambda: targets.smooth_by_scores(LABELS, SCORES, smoothing=-0.1),
        r"smoothing: in \[0, 1\]; got -0.1",
    ),
    (
        "convention",
        lambda: targets.smooth_by_scores(LABELS, SCORES, smoothing=0.1, convention="other"),
        "convention: .*'other'; did you mean 'others'",
    ),
    (
        "cold",
        lambda: targets.smooth_by_scores(LABELS, SCORES, smoothing=0.1, temperature=0.0),
        "temperature: a finite number above 0",
    ),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
