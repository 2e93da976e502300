"""BLEU: by hand, and the signature beside it."""

import math

import pytest

from softtargets.measures.translation import Bleu, bleu


def test_by_hand() -> None:
    # 1- to 4-grams that match: 5 of 6, 4 of 5, 3 of 4 (a cat sat, cat sat on, sat on the), 2 of 3; equal lengths
    made = bleu(["a cat sat on the mat"], ["a cat sat on the rug"])
    assert isinstance(made, Bleu)
    assert made.score == pytest.approx(100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_what_is_too_short_is_punished_and_counts_are_of_the_whole() -> None:
    # 4 and 5 words against 5 and 5, all n-grams right: exp(1 - 10 / 9)
    made = bleu(["one two three four", "a b c d e"], ["one two three four five", "a b c d e"])
    assert made.score == pytest.approx(100 * math.exp(1 - 10 / 9))


def test_limits_the_references_give_100_and_the_signature_says_how() -> None:
    sentences = ["Das ist ein kleines Haus .", "Es regnet heute sehr stark ."]
    made = bleu(sentences, sentences)
    assert made.score == pytest.approx(100)
    assert {"nrefs:1", "case:lc", "tok:13a", "smooth:exp"} <= set(made.signature.split("|"))


def test_case_does_not_count_as_in_the_paper() -> None:
    assert bleu(["ein kleines haus steht da ."], ["Ein kleines Haus steht da ."]).score == pytest.approx(100)


def test_errors() -> None:
    with pytest.raises(
        ValueError, match="references: 2 sentences, as many as hypotheses; got 1; give one reference for each"
    ):
        bleu(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="hypotheses: at least one sentence; got 0; add sentences"):
        bleu([], [])
    for texts in (("one text", ["one text"]), (["one text"], "one text")):
        with pytest.raises(TypeError, match="a list of sentences; got one str; write"):
            bleu(*texts)
