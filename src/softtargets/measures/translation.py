"""BLEU of translations, through sacrebleu."""

from collections.abc import Sequence
from dataclasses import dataclass

from softtargets._errors import fail, fail_type


@dataclass(frozen=True)
class Bleu:
    """A corpus BLEU and how it was made.

    Args:
        score: in [0, 100], as translations are reported.
        signature: sacrebleu's: tokeniser, smoothing, case, number of references and version. Scores of different
            signatures are not comparable.
    """

    score: float
    signature: str


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Bleu:
    """Corpus BLEU of detokenised translations (Papineni et al. 2002; Post 2018, sacrebleu's defaults).

    Args:
        hypotheses: one translation per sentence.
        references: one reference per sentence, in the same order.

    Returns:
        Bleu.

    Raises:
        ValueError: where there are no sentences, or not as many of one as of the other.
        TypeError: where one text is given in the place of several.
        ImportError: where sacrebleu is not installed.

    Special cases:
        the references themselves give 100.
    """
    from sacrebleu.metrics.bleu import BLEU

    for name, sentences in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(sentences, str):
            raise fail_type(name, "a list of sentences", "one str", "its letters would count as sentences")
    if not hypotheses:
        raise fail("hypotheses", "at least one sentence", 0, "a score of nothing is undefined")
    if len(hypotheses) != len(references):
        raise fail("references", f"{len(hypotheses)} sentences, as hypotheses", len(references), "give one for each")
    metric = BLEU()
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Bleu(score, str(metric.get_signature()))
