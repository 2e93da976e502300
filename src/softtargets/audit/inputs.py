"""The checked inputs of an audit: labels, held-out probabilities (given or cross-validated) and the data set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.observed import read_labels, read_reviewed, reviewed_note
from softtargets.audit.request import AuditOptions, AuditRequest, OnStage
from softtargets.data.dataset import Dataset
from softtargets.data.predictions import PredictionFiles, Predictions, as_probs, even_blocks, open_predictions
from softtargets.data.sources import forget_changed, load_cached
from softtargets.data.spec import DataSpec
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.report.encoding import encodable, printable

if TYPE_CHECKING:
    from softtargets.audit.models import HeldOut

OTHER_PARTS = "Only the training split is audited, not the validation and test splits of the data set."


@dataclass(frozen=True, eq=False)
class AuditInputs:
    """The inputs of an audit.

    Args:
        evidence: probabilities and labels.
        name: name of the data set or of the first file.
        row_order: the order in which rows are counted, in words.
        labels: which labels are audited, in words.
        predictions: the source of the probabilities, in words.
        dataset: the data set of the rows, or None.
        data: the specification of the data set, or None.
        observed: file and column of the audited labels; None: those of the data set.
        held_out: the cross-validated models and their predictions; None if predictions were given.
        notes: remarks for the reader.
    """

    evidence: LabelEvidence
    name: str
    row_order: str
    labels: str
    predictions: str
    dataset: Dataset | None = None
    data: DataSpec | None = None
    observed: tuple[str, str] | None = None
    held_out: "HeldOut | None" = None
    notes: tuple[str, ...] = ()


def gather(request: AuditRequest, on_stage: OnStage) -> AuditInputs:
    """Read the inputs, and cross-validate models if no predictions were given.

    Raises:
        InputError: an invalid file, array, row, data set, column or label.
        RunsFailedError: the training of a model failed.
    """
    on_stage("reading", 0.0)
    if request.data is None:
        return _without_data(request, on_stage)
    data = audited_data(request.data, request.options)
    # imported here, since the training rooms take half a second and predictions need none of them
    from softtargets.audit.held_out import cross_validate
    from softtargets.runs.store import RunStore

    store = RunStore(request.options.runs)
    forget_changed()
    dataset = load_cached(data, str(store.cache))
    own = read_labels(request, dataset, data, store.cache)
    held_out = None
    if request.trains:
        on_stage("reading", 1.0)
        options, labels = request.options, own.labels
        held_out = cross_validate(dataset, data, store, options, labels=labels, observed=own.place, on_stage=on_stage)
        model, blocks = held_out.model, _blocks(Predictions(held_out.probs, "probs", own.given), on_stage)
        source = f"{model.folds}-fold cross-validation, {model.describes}"
    else:
        given = _predictions(request, dataset.num_classes)
        _check_fit(given, own.given, dataset)
        blocks = _blocks(given, on_stage, own.given, dataset)
        source = _source_in_words(request, given)
    return AuditInputs(
        evidence=LabelEvidence(
            blocks,
            tuple(map(encodable, dataset.class_names)),
            {} if held_out is None else held_out.dynamics,
            own.reference,
            own.reviewed,
        ),
        name=printable(dataset.name),
        row_order="of the training split (a folder of images: sorted by path)",
        labels=printable(own.words),
        predictions=printable(source),
        dataset=dataset,
        data=data,
        observed=own.place,
        held_out=held_out,
        notes=(*reviewed_note(own.reviewed), *((OTHER_PARTS,) if bool(dataset.origin.any()) else ())),
    )


def audited_data(data: str, options: AuditOptions) -> DataSpec:
    """Return the specification of a data set with its whole training part in the training split."""
    columns = {"label": options.label, "text": options.text, "features": options.features}
    named = {column: value for column, value in columns.items() if value}
    content = {"name": data, "validation": 0.0, "test": 0.0, "split_seed": options.seed, **named}
    return DataSpec.parse(content, source="data")


def _predictions(request: AuditRequest, num_classes: int | None = None) -> Predictions | PredictionFiles:
    given = request.arrays
    if given is None:
        logits, probs = request.logits, request.probs
        return open_predictions(request.predictions, logits=logits, probs=probs, num_classes=num_classes)
    if num_classes not in (None, given.num_classes):
        required = f"{num_classes} values in every row, the number of classes"
        raise fail(given.kind, required, given.num_classes, "give one value for each class of the data set")
    return given


def _without_data(request: AuditRequest, on_stage: OnStage) -> AuditInputs:
    given = _predictions(request)
    if not given.has_labels:
        required = "labels in the predictions' files, or data"
        raise fail(
            "predictions", required, "neither", "add an array or a column named labels to the files, or give data"
        )
    files = request.predictions
    first = next(iter(given.chunks()), None)
    if first is not None and first.soft is not None:
        remedy = "store the most probable class of each row, or give the labels of every annotator as annotators"
        raise fail("labels", "one class for each row", f"soft labels in {files[0].name}", remedy)
    names = given.class_names or tuple(str(index) for index in range(given.num_classes))
    reviewed = read_reviewed(request, names)
    if reviewed is not None:
        reviewed.require_below("reviewed", given.counted_rows())
    return AuditInputs(
        evidence=LabelEvidence(_blocks(given, on_stage), names, reviewed=reviewed),
        name=printable(files[0].stem) if files else "arrays",
        row_order="of the predictions, file after file" if files else "of the arrays",
        labels=f"{printable(files[0].name)}, labels" if files else "arrays, labels",
        predictions=printable(_source_in_words(request, given)),
        notes=reviewed_note(reviewed),
    )


def _source_in_words(request: AuditRequest, given: Predictions | PredictionFiles) -> str:
    names = [path.name for path in request.predictions] or ["memory"]
    files = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return f"given as {'logits' if given.kind == 'logits' else 'probabilities'} in {files}"


def _check_fit(given: Predictions | PredictionFiles, labels: Tensor, dataset: Dataset) -> None:
    """Require that the predictions match the training split of a data set in rows and classes."""
    if (rows := given.counted_rows()) != len(labels):
        required = f"{len(labels)} rows, one for each training row of '{dataset.name}'"
        raise fail("predictions", required, rows, "give the predictions of the training split, in its order")
    if given.class_names is not None and given.class_names != dataset.class_names:
        got = ", ".join(given.class_names)
        required = f"the classes of '{dataset.name}' in its order: {', '.join(dataset.class_names)}"
        raise fail("predictions", required, got, "write the columns in this order")


def _blocks(
    given: Predictions | PredictionFiles,
    on_stage: OnStage,
    labels: Tensor | None = None,
    dataset: Dataset | None = None,
) -> Callable[[bool], Iterator[LabelledBlock]]:
    """Return a function that yields all rows in blocks; labels of the data set replace those of the predictions."""

    def blocks(check: bool) -> Iterator[LabelledBlock]:
        for first_row, values, own in even_blocks(given, check=check):
            audited = own if labels is None else labels[first_row : first_row + len(values)]
            assert audited is not None
            if check and own is not None and dataset is not None:
                _check_labels(own, audited, first_row, dataset)
            if check and given.num_rows:
                on_stage("reading", first_row / given.num_rows)
            yield LabelledBlock(as_probs(values, given.kind), audited, first_row)

    return blocks


def _check_labels(own: Tensor, audited: Tensor, first_row: int, dataset: Dataset) -> None:
    differs = first_bad(own != audited)
    if differs is not None:
        row, names = differs[0], dataset.class_names
        required = f"the labels that are audited, {names[int(audited[row])]} at row {first_row + row}"
        remedy = "give the labels as FILE:COLUMN, or the predictions of this data set"
        raise fail("predictions", required, names[int(own[row])], remedy)
