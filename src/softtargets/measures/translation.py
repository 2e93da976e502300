"""BLEU of translations, computed by sacrebleu."""

from collections.abc import Sequence
from dataclasses import dataclass

from softtargets._errors import fail, fail_type


@dataclass(frozen=True)
class Bleu:
    """A corpus BLEU and its signature.

    Args:
        score: in [0, 100].
        signature: sacrebleu's signature: tokenizer, smoothing, case, number of references and version. Scores with
            different signatures are not comparable.
    """

    score: float
    signature: str


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Bleu:
    """Uncased corpus BLEU of detokenized translations (Papineni et al. 2002; Post 2018).

    Both sides are lowercased, as in the uncased BLEU of Müller et al. 2019, Fig. 4. All other settings are sacrebleu's
    defaults.

    Args:
        hypotheses: one translation for each sentence.
        references: one reference for each sentence, in the same order.

    Returns:
        The score in [0, 100] and sacrebleu's signature.

    Raises:
        ValueError: no sentences, or different numbers of hypotheses and references.
        TypeError: a single text instead of a list of sentences.
        ImportError: sacrebleu is not installed.

    Special cases:
        hypotheses equal to the references give 100, also if they differ in case.
    """
    from sacrebleu.metrics.bleu import BLEU

    for name, sentences in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(sentences, str):
            raise fail_type(name, "a list of sentences", "one str", f"write [{name}] for a single sentence")
    if not hypotheses:
        raise fail("hypotheses", "at least one sentence", 0, "add sentences")
    if len(hypotheses) != len(references):
        raise fail(
            "references",
            f"{len(hypotheses)} sentences, as many as hypotheses",
            len(references),
            "give one reference for each hypothesis",
        )
    metric = BLEU(lowercase=True)
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Bleu(score, str(metric.get_signature()))
