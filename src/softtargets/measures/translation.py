"""Translations of finished runs, and their BLEU, computed by sacrebleu."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from softtargets import _packages
from softtargets._errors import fail, fail_type
from softtargets.data.tokens import TokenRows
from softtargets.measures.registry import Measure, network_measures, network_trace
from softtargets.measures.subject import Subject
from softtargets.measures.tokens import TokenFeatures, error_of, require_sequences
from softtargets.models.decoding import Search, translate_rows
from softtargets.runs.snapshots import read_snapshots

# Müller et al. 2019 use tensor2tensor's defaults: 4 outputs, and the length penalty of Vaswani et al. 2017.
BEAM = Search(beam=4, length_penalty=0.6)
GREEDY = Search(beam=1)
# Temperatures of Figure 4.
TEMPERATURES = (0.6, 0.8, 1.0, 1.2, 1.5)


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
        ValueError: no sentences, or different numbers of hypotheses and references; sacrebleu is not installed.
        TypeError: a single text instead of a list of sentences.

    Special cases:
        hypotheses equal to the references give 100, also if they differ in case.
    """
    metric = bleu_metric()
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
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Bleu(score, str(metric.get_signature()))


def bleu_metric() -> Any:
    """Return the uncased BLEU of sacrebleu; jobs that will need it call this before they train or translate.

    Raises:
        InputError: sacrebleu is not installed.
    """
    return _packages.load("sacrebleu.metrics.bleu", "BLEU", "softtargets[text]").BLEU(lowercase=True)


def translations(subject: Subject, split: str, settings: Search, most: int | None = None) -> list[str]:
    """Translate the sources of a split with the network of a run.

    Args:
        subject: a run on sentence pairs.
        split: "train", "validation" or "test".
        settings: of the search.
        most: number of sentences, the first ones of the split. None: all.

    Returns:
        The translations, in the order of the split.

    Raises:
        InputError: if the run is not one on sentence pairs.
    """
    require_sequences(subject)
    network, dataset = subject.network, subject.dataset
    if not hasattr(network, "translate") or not dataset.is_pair or dataset.output_tokenizer is None:
        name = subject.resolved.run.model.name
        raise fail("run", "a network that translates sentence pairs", f"'{name}'", "measure it on runs of 'marian'")
    network.eval()
    assert dataset.tokenizer is not None
    rows = dataset.inputs[dataset.splits[split][:most]]
    outputs = translate_rows(network, rows, dataset.tokenizer.pad, settings)
    return dataset.output_tokenizer.decode(TokenRows.of(output.ids for output in outputs))


def sources(subject: Subject, split: str, most: int | None = None) -> list[str]:
    """Return the first sentences of a split."""
    return _texts(subject.dataset.texts, subject, split, most)


def references(subject: Subject, split: str, most: int | None = None) -> list[str]:
    """Return the reference translations of the first sentences of a split."""
    return _texts(subject.dataset.output_texts, subject, split, most)


def _texts(texts: tuple[str, ...] | None, subject: Subject, split: str, most: int | None) -> list[str]:
    assert texts is not None  # of sentence pairs
    return [texts[row] for row in subject.dataset.splits[split][:most].tolist()]


def bleu_of(subject: Subject, split: str, settings: Search) -> float:
    """Return the BLEU of the translations of a split."""
    return bleu(translations(subject, split, settings), references(subject, split)).score


_UNCASED = "Uncased BLEU (sacrebleu)"
_SEARCH = "by beam search with 4 outputs and length penalty 0.6"


@network_measures(
    "bleu",
    Measure("test.bleu", "test BLEU", "bleu", f"{_UNCASED} of the test split, translated {_SEARCH}.", bounds=(0, 100)),
    Measure(
        "test.bleu.greedy",
        "test BLEU, greedy search",
        "bleu",
        f"{_UNCASED} of the test split, translated by greedy search.",
        bounds=(0, 100),
    ),
)
def bleu_of_test(subject: Subject) -> dict[str, float]:
    """Return the BLEU of the test split with both searches."""
    return {"test.bleu": bleu_of(subject, "test", BEAM), "test.bleu.greedy": bleu_of(subject, "test", GREEDY)}


@network_measures(
    "validation bleu",
    Measure(
        "validation.bleu",
        "validation BLEU, greedy search",
        "bleu",
        f"{_UNCASED} of the validation split, translated by greedy search.",
        bounds=(0, 100),
    ),
)
def validation_bleu(subject: Subject) -> dict[str, float]:
    """Return the BLEU of the validation split with greedy search."""
    return {"validation.bleu": bleu_of(subject, "validation", GREEDY)}


@network_trace("validation.bleu")
def bleu_through_training(subject: Subject) -> list[tuple[int, float]]:
    """Return the BLEU of the validation split after each epoch with saved weights, except before the first."""
    found: list[tuple[int, float]] = []
    for epoch, weights in read_snapshots(subject.folder):
        if epoch > 0:
            subject.network.load_state_dict(weights)
            found.append((epoch, bleu_of(subject, "validation", GREEDY)))
    return found


def at_temperature(name: str, temperature: float) -> str:
    """Return the name of a measure of the test split at one of `TEMPERATURES`.

    Example:
        >>> at_temperature("bleu", 0.6)
        'test.bleu.at0.6'
    """
    return f"test.{name}.at{temperature:g}"


def _measures_at(temperature: float) -> tuple[Measure, ...]:
    at = f"logits divided by {temperature:g}"
    return (
        Measure(
            at_temperature("bleu", temperature),
            f"test BLEU at T = {temperature:g}",
            "bleu",
            f"As test.bleu, with {at} in the search.",
            bounds=(0, 100),
        ),
        Measure(
            at_temperature("token_nll", temperature),
            f"test NLL per token at T = {temperature:g}",
            "nats",
            f"As test.token_nll, with {at}.",
        ),
        Measure(
            at_temperature("token_ece15", temperature),
            f"test ECE of the next token at T = {temperature:g}",
            "fraction",
            f"As test.token_ece15, with {at}.",
            bounds=(0.0, 1.0),
        ),
    )


# Measures of the test split at a temperature -> the quantity and the temperature.
AT_TEMPERATURES = {
    at_temperature(name, temperature): (name, temperature)
    for name in ("bleu", "token_nll", "token_ece15")
    for temperature in TEMPERATURES
}


@network_measures("temperatures", *(each for temperature in TEMPERATURES for each in _measures_at(temperature)))
def at_temperatures(subject: Subject) -> dict[str, float]:
    """Return BLEU, NLL and calibration error of the test split at several temperatures."""
    found: dict[str, float] = {}
    test = TokenFeatures.of(subject, "test")
    for temperature in TEMPERATURES:
        settings = Search(BEAM.beam, BEAM.length_penalty, temperature)
        likelihood, bins = test.scores(temperature)
        found[at_temperature("bleu", temperature)] = bleu_of(subject, "test", settings)
        found[at_temperature("token_nll", temperature)] = likelihood
        found[at_temperature("token_ece15", temperature)] = error_of(bins)
    return found
