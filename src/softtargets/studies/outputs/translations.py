"""The first translations of the test split, by the network of the first seed of each cell."""

from dataclasses import dataclass
from typing import Any, Self

from softtargets.measures.subject import Subject
from softtargets.measures.translation import BEAM, bleu, references, sources, translations
from softtargets.report.drawing import Drawing
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

SENTENCES = 20


@dataclass(frozen=True)
class Translated:
    """Translations of a run.

    Args:
        key: arm, level and noise.
        name: "test", the split.
        seed: of the run.
        sources: the sentences.
        references: their reference translations.
        outputs: the network's translations, by beam search.
        signature: sacrebleu's signature of the BLEU that the study shows.
    """

    key: CellKey
    name: str
    seed: int
    sources: tuple[str, ...]
    references: tuple[str, ...]
    outputs: tuple[str, ...]
    signature: str


@output_kind("translations")
@dataclass(frozen=True)
class TranslationsOutput(OutputKind):
    """A table of translations; it has no metrics."""

    metrics = ()
    per_run = False
    translated: tuple[Translated, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, ("test",), _gather))

    def draw(self, results: StudyResults, output: Output) -> Drawing | None:
        return None

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return a group of rows for each sentence: its reference, and the output of each cell."""
        if not self.translated:
            return None
        figure, known = FigureCells(results, output), keyed(self.translated, "name")
        shown = {key: known[key, "test"] for key in figure.keys if (key, "test") in known}
        first = next(iter(shown.values()))
        groups = []
        for place, source in enumerate(first.sources):
            rows = [PlainRow("reference", ((first.references[place], None),))]
            rows += [PlainRow(figure.name(key), ((one.outputs[place], None),)) for key, one in shown.items()]
            groups.append((source, tuple(rows)))
        caption = (
            f"The first sentences of the test split, translated by beam search ({BEAM.beam} outputs, length penalty "
            f"{BEAM.length_penalty:g}); networks of seed {first.seed}. BLEU of this study: {first.signature}."
        )
        return PlainTable(caption, ("Sentence", "Translation"), tuple(groups), open=True, words=True)


def _gather(evidence: Evidence, key: CellKey, name: str) -> Translated | None:
    for record in evidence.complete(key)[:1]:
        found = evidence.guarded(record, lambda one: _of_run(evidence, one, name))
        if found is not None:
            return Translated(key, name, record.seed, **{field: _texts(value) for field, value in found.items()})
    return None


def _of_run(evidence: Evidence, record: CellRecord, split: str) -> dict[str, Any]:
    def of(subject: Subject) -> dict[str, Any]:
        outputs, truth = translations(subject, split, BEAM, SENTENCES), references(subject, split, SENTENCES)
        signature = bleu(outputs, truth).signature
        first = sources(subject, split, SENTENCES)
        return {"sources": first, "references": truth, "outputs": outputs, "signature": signature}

    return evidence.kept(record, {"translations": split, "sentences": SENTENCES}, of)


def _texts(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
