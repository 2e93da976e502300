"""The arguments of an audit, validated."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softtargets._errors import InputError, fail
from softtargets.data.predictions import Predictions
from softtargets.report.encoding import encodable, printable
from softtargets.report.folders import read_folder
from softtargets.report.numbers import duration

if TYPE_CHECKING:
    # importing the training rooms takes half a second, which an audit of predictions need not spend
    from softtargets.train.progress import Progress

# Default number of folds, and the most that are accepted: held-out predictions gain nothing from more.
FOLDS, MOST_FOLDS = 5, 100
RUNS = Path("runs")
OnStage = Callable[[str, float], None]


class RunsFailedError(InputError):
    """The training of a cross-validated model failed."""


@dataclass(frozen=True)
class AuditStage:
    """Progress of an audit: the name of its step, and the finished share of the step in [0, 1]."""

    name: str
    done: float


@dataclass(frozen=True)
class AuditOptions:
    """Settings of an audit.

    Args:
        class_names: names of the classes; only for arrays (default: their indices).
        label: label column of the data set (default: "label").
        text: text column of the data set (default: detected, see :class:`~softtargets.data.DataSpec`).
        features: numeric columns of the data set (default: every column except the label).
        folds: number of cross-validation folds, 2 to 100 (default: 5); only without predictions.
        trusted: CSV file of labels that were checked by hand, with the columns row and label. The rows must be drawn at
            random. They correct the noise rate and narrow its range; about 200 are a good number.
        reviewed: CSV file of labels that people decided on, with the columns row and label, of any rows. Models are
            trained on them, and they are no suspects. The noise rate is still that of the labels as they were given;
            the reviewed ones bound it.
        annotators: FILE:COLUMN,COLUMN,... with the labels of several annotators, whose error rates and agreement are
            then estimated too.
        epochs: epochs of each network (default: chosen by the size of the data set); only without predictions.
        model: a scikit-learn estimator with `predict_proba`, or the import path, "my_package.models:build", of one, of
            a function or class that returns one, or of a function that returns a network for `input_shape` and
            `num_classes` (default: by the kind of data); only without predictions. An estimator is fitted to the
            texts, the columns of a table, or the flattened pixels, or to embeddings if they are given.
        embeddings: FILE or FILE:NAME with one vector for each training row, which the model is fitted to; only without
            predictions.
        encoder: an encoder of transformers or sentence-transformers, a folder or a name on the Hugging Face Hub, whose
            vectors of the texts the model is fitted to; only without predictions.
        check: whether to check, by nested cross-validation, if training without the suspects helps, which takes about
            three times as long as the cross-validation (default: True); only for models of scikit-learn.
        seed: seed of the folds, the models and the bootstrap, in [0, 2**32).
        top: number of suspects shown on the page.
        reports: folder in which the page gets a folder named after the audited data, if `output` is not given
            (default: no page is written).
        runs: folder of the run store, which keeps the models.
        workers: number of worker processes for training (default: one per core); only without predictions.
        on_progress: called with each :class:`AuditStage`, and during training, from another thread, with a
            :class:`~softtargets.train.progress.Progress`.
    """

    class_names: tuple[str, ...] | None = None
    label: str | None = None
    text: str | None = None
    features: tuple[str, ...] = ()
    folds: int | None = None
    epochs: int | None = None
    trusted: Path | None = None
    reviewed: Path | None = None
    annotators: str | None = None
    model: Any = None
    embeddings: str | None = None
    encoder: str | None = None
    check: bool = True
    seed: int = 0
    top: int = 200
    reports: Path | None = None
    runs: Path = RUNS
    workers: int | None = None
    on_progress: "Callable[[AuditStage | Progress], None]" = lambda state: None

    def __post_init__(self) -> None:
        for name in ("trusted", "reviewed"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        if self.embeddings is not None:
            object.__setattr__(self, "embeddings", str(self.embeddings))
        object.__setattr__(self, "runs", read_folder("runs", self.runs))
        object.__setattr__(self, "reports", None if self.reports is None else read_folder("reports", self.reports))


@dataclass(frozen=True)
class AuditRequest:
    """The arguments of an audit.

    Args:
        data: data set whose training split is audited.
        labels: FILE:COLUMN with the labels to audit. The labels of the data set then only evaluate the audit.
        predictions: files of held-out logits or probabilities, in row order.
        logits, probs: name of the array or the columns in these files.
        arrays: held-out predictions in memory, instead of files.
        output: folder for the page and its files.
        options: settings.
    """

    data: str | None = None
    labels: str | None = None
    predictions: tuple[Path, ...] = ()
    logits: str | None = None
    probs: str | None = None
    arrays: Predictions | None = None
    output: Path | None = None
    options: AuditOptions = field(default_factory=AuditOptions)

    @property
    def trains(self) -> bool:
        """Whether models are cross-validated because no predictions were given."""
        return self.arrays is None and not self.predictions

    @property
    def repeatable(self) -> bool:
        """Whether the arguments can be written down: no arrays, and no estimator that was passed as an object."""
        return self.arrays is None and isinstance(self.options.model, str | None)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments as JSON: those of `audit_labels`, and as "options" those of `AuditOptions`."""
        left_out = ("class_names", "reports", "workers", "on_progress")
        options = {entry.name: getattr(self.options, entry.name) for entry in fields(self.options)}
        named = {name: _plain(value) for name, value in options.items() if name not in left_out}
        return {
            **{name: _plain(getattr(self, name)) for name in ("data", "labels", "logits", "probs")},
            "predictions": [_plain(path) for path in self.predictions] or None,
            "options": {name: value for name, value in named.items() if value is not None},
        }

    @property
    def command(self) -> str | None:
        """The command that repeats the audit; None for arrays, and for an estimator that was passed as an object."""
        options = self.options
        if not self.repeatable:
            return None
        named = {
            "data": self.data,
            "label": options.label,
            "text": options.text,
            "labels": self.labels,
            "logits": self.logits,
            "probs": self.probs,
            "epochs": options.epochs,
            "trusted": options.trusted,
            "reviewed": options.reviewed,
            "annotators": options.annotators,
            "model": options.model,
            "embeddings": options.embeddings,
            "encoder": options.encoder,
            "output": self.output,
        }
        words = ["softtargets", "audit"]
        for name, value in named.items():
            words += [f"--{name}", str(value)] if value is not None else []
        for column in options.features:
            words += ["--features", column]
        for path in self.predictions:
            words += ["--predictions", str(path)]
        words += ["--folds", str(options.folds or FOLDS)] if self.trains else []
        words += ["--no-check"] if self.trains and not options.check else []
        words += ["--runs", str(options.runs)] if options.runs != RUNS else []
        return printable(shlex.join([*words, "--seed", str(options.seed), "--top", str(options.top)]))

    def check(self) -> None:
        """Check the arguments before anything is read.

        Raises:
            InputError: an argument that cannot be used with, or without, another one, or that is out of range.
        """
        options = self.options
        if self.data is None and self.trains:
            remedy = "give data or predictions; from Python also labels with probs or logits"
            raise fail("audit", "a data set or predictions", "neither", remedy)
        of_data = {"label": options.label, "labels": self.labels, "text": options.text, "features": options.features}
        of_predictions = {"logits": self.logits, "probs": self.probs}
        for needed, given in (("data", of_data), ("predictions", of_predictions)):
            for name, value in given.items():
                if value and not getattr(self, needed):
                    raise fail(name, f"used together with {needed}", f"'{value}' alone", f"give {needed} as well")
        if options.embeddings is not None and options.encoder is not None:
            raise fail("encoder", "not used with embeddings", f"'{options.encoder}'", "give one of the two")
        for name in ("folds", "epochs", "workers", "model", "embeddings", "encoder"):
            value = getattr(options, name)
            if value is not None and not self.trains:
                raise fail(name, "not used with predictions", value, "omit it, because no model is trained")
        if self.arrays is not None and self.predictions:
            raise fail("predictions", "not used with arrays", self.predictions[0], "give either arrays or files")
        if options.class_names is not None and (self.arrays is None or self.data is not None):
            required = "used with arrays alone"
            raise fail(
                "class_names",
                required,
                options.class_names,
                "omit it, because the data contain the names of the classes",
            )
        for name, low in (("folds", 2), ("epochs", 1), ("seed", 0), ("top", 0)):
            value = getattr(options, name)
            if value is not None and (type(value) is not int or value < low or value >= 2**32):
                raise fail(name, f"a whole number of at least {low} and below 2**32", repr(value), "choose another")
        if options.folds is not None and options.folds > MOST_FOLDS:
            got = f"{options.folds:,} ({duration(options.folds)} at one second for each model)"
            raise fail("folds", f"at most {MOST_FOLDS}, because each fold trains a model", got, "choose fewer folds")


def _plain(value: Any) -> Any:
    """Return a setting as JSON; None for an object."""
    if isinstance(value, str | Path):
        return encodable(str(value))
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, int | bool) else None
