"""Translating a data set with the network of a finished run: a table of sources and translations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from softtargets._errors import fail
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.predictions.translations import TranslationTable, table_path
from softtargets.data.sentences import SentenceBlock, open_sentences
from softtargets.data.spec import DataSpec
from softtargets.data.tokens import TokenRows
from softtargets.measures.translation import Bleu, bleu, bleu_metric
from softtargets.models.decoding import Hypothesis, Search, translate_rows
from softtargets.runs.finding import find_run
from softtargets.runs.machine import quiet_machine
from softtargets.train.load import LoadedRun, load_run
from softtargets.train.predict import Split, chosen_splits, is_same_data

# Sentences of a block. They are sorted by length within it.
_ROWS = 512


@dataclass(frozen=True)
class TranslateOptions:
    """How sentences are read and translated.

    Args:
        source: column of the sentences, or a key of the only column of translations, such as "de". None: that of the
            run.
        target: column or key of the references. None: that of the run, if the data set has it.
        split: "train", "validation" or "test" of the data set's own splits (of the run's, if these are the data of the
            run), or "all". None: "test" if there is such a split, otherwise all rows.
        references: whether to read references. None: if the data set has them.
        selected: use the weights of the epoch that did best on the validation split, for a run that was evaluated in
            training, instead of those after the last step.
        search: of the translations. `Search(beam=1)` is greedy search.
    """

    source: str | None = None
    target: str | None = None
    split: Split | None = None
    references: bool | None = None
    selected: bool = False
    search: Search = field(default_factory=Search)


@dataclass(frozen=True)
class RunTranslation:
    """What was translated.

    Attributes:
        path: the table.
        run: folder of the run.
        data: name of the data set.
        splits: the splits that were translated, in order; empty if the data set has no splits.
        num_rows: number of sentences.
        search: of the translations.
        unfinished: number of translations that are as long as allowed and have no end.
        bleu: uncased corpus BLEU and its signature; None without references.
    """

    path: Path
    run: Path
    data: str
    splits: tuple[str, ...]
    num_rows: int
    search: Search
    unfinished: int
    bleu: Bleu | None

    def __repr__(self) -> str:
        reached = "no references" if self.bleu is None else f"BLEU {self.bleu.score:.2f}"
        return f"RunTranslation({self.num_rows:,} rows of {self.data}, {reached}; {self.path})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        measured = None if self.bleu is None else vars(self.bleu)
        changed = {"path": str(self.path), "run": str(self.run), "search": vars(self.search), "bleu": measured}
        return {**vars(self), **changed}


def translate_run(
    run: Path | str,
    data: Path | str,
    output: Path | str,
    *,
    runs: Path | str = "runs",
    options: TranslateOptions = TranslateOptions(),
    on_rows: Callable[[int], None] = lambda rows: None,
) -> RunTranslation:
    """Translate a data set with the network of a finished run on sentence pairs, and write a table.

    Sentences are read, translated and written in blocks.

    Args:
        run: folder of a finished run, or the first digits of its identity in `runs`.
        data: sentences: a .parquet or .csv file, a folder of them, or a name on the Hugging Face Hub, as in a
            :class:`DataSpec`. References may be missing.
        output: .csv or .parquet file with the columns `ids` (counted from 0), `source`, `reference` (if there are
            references), `translation`, `log_prob` (of the tokens of the translation given the source, in nats, without
            the length penalty), `tokens` (their number, with the one that ends the sentence) and `finished` (false for
            a translation that is as long as allowed and has no end).
        runs: folder of the run store.
        options: columns, split and search.
        on_rows: called with the number of rows that were translated, after every block.

    Returns:
        The number of rows, and the BLEU if there are references.

    Raises:
        InputError: no such run, one that is not finished, or one that is not on sentence pairs; a data set, column or
            split that does not exist; an empty sentence, or one that is longer than the network takes. Errors name the
            file and the row. References without the package sacrebleu, before anything is translated.
    """
    path = table_path("output", output)
    trained = load_run(find_run(run, runs), selected=options.selected)
    if not trained.preprocessing.is_pair:
        got = f"one on '{trained.result['data']['name']}'"
        raise fail("run", "a run on sentence pairs", got, "use predict_run, or train a run with data.source")
    device = torch.device("cuda" if trained.resolved.backend == "cuda" and torch.cuda.is_available() else "cpu")
    network, source = trained.model.to(device).network, _sentences(str(data), trained, options)
    if source.has_references:
        bleu_metric()
    pad, decode = trained.preprocessing.tokenizers[0].pad, trained.preprocessing.tokenizers[1].decode
    rows = unfinished = 0
    written: list[str] = []
    references: list[str] = []
    with (
        quiet_machine(trained.resolved.run.training.threads),
        TranslationTable(path, references=source.has_references) as table,
    ):
        for block in source.blocks():
            outputs = translate_rows(network, block.tokens, pad, options.search)
            texts = decode(TokenRows.of(output.ids for output in outputs))
            table.add(_columns(block, texts, outputs))
            rows += len(texts)
            unfinished += sum(not output.finished for output in outputs)
            if block.references is not None:
                written += texts
                references += block.references
            on_rows(rows)
        if rows == 0:
            raise fail("data", "at least one row", f"none in '{data}'", "check the data set and the split")
    found = bleu(written, references) if references else None
    return RunTranslation(path, trained.folder, source.name, source.splits, rows, options.search, unfinished, found)


def _columns(block: SentenceBlock, texts: list[str], outputs: list[Hypothesis]) -> dict[str, Any]:
    return {
        "source": block.sources,
        "reference": block.references,
        "translation": texts,
        "log_prob": [output.log_prob for output in outputs],
        "tokens": [len(output.ids) + output.finished for output in outputs],
        "finished": [output.finished for output in outputs],
    }


@dataclass(frozen=True)
class _Sentences:
    """The sentences to translate."""

    name: str
    splits: tuple[str, ...]
    has_references: bool
    blocks: Callable[[], Iterator[SentenceBlock]]


def _sentences(data: str, trained: LoadedRun, options: TranslateOptions) -> _Sentences:
    of_run = trained.specification.data
    named = options.source is not None or options.target is not None
    if not named and is_same_data(data, of_run.name):
        return _own_sentences(trained.dataset, options)
    # references may be missing unless their column was named
    references = True if options.target is not None and options.references is None else options.references
    columns = {"source": options.source or of_run.source, "target": options.target or of_run.target}
    stream = open_sentences(
        DataSpec.parse({"name": data, **columns, "tokenizer": {"name": "bpe"}}, source="data"),
        trained.preprocessing,
        references=references,
    )
    splits = chosen_splits(options.split, stream.splits, data)
    shown = splits if len(stream.splits) > 1 else ()
    return _Sentences(stream.name, shown, stream.has_references, lambda: stream.blocks(splits, _ROWS))


def _own_sentences(dataset: Dataset, options: TranslateOptions) -> _Sentences:
    """Return the rows of the data that the run was trained on, in its splits."""
    splits = chosen_splits(options.split, tuple(name for name in SPLITS if len(dataset.splits[name])), dataset.name)
    chosen = torch.cat([dataset.splits[name] for name in splits])
    has_references = options.references is not False
    sources, references = dataset.texts, dataset.output_texts
    assert sources is not None
    assert references is not None

    def blocks() -> Iterator[SentenceBlock]:
        for rows in chosen.split(_ROWS):
            places = rows.tolist()
            told = tuple(references[row] for row in places) if has_references else None
            yield SentenceBlock(tuple(sources[row] for row in places), dataset.inputs[rows], told)

    return _Sentences(dataset.name, splits, has_references, blocks)
