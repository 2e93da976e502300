"""What the user of `softtargets audit` asked for."""

import shlex
from dataclasses import dataclass
from pathlib import Path

FOLDS = 5
RUNS = Path("runs")


@dataclass(frozen=True)
class AuditRequest:
    """What the user asked for.

    Args:
        data: a data set; its training part is audited.
        label: its label column; None: "label".
        text: its column of texts; None: as :class:`DataSpec` finds it.
        features: its columns of numbers; none: all but the label.
        labels: FILE:COLUMN with the labels to audit. The data set's own then judge the audit and enter nothing.
        predictions: files of held-out logits or probabilities, in the order of the rows; none: models are trained.
        logits, probs: name of the array or the columns in these files.
        folds: of the cross-validation; None: :data:`FOLDS`. Not with predictions.
        seed: of the folds, the models and the bootstrap.
        epochs: of every model; None: by the size of the data set. Not with predictions.
        top: how many suspects the page shows.
        output: folder of the page; None: under ./reports by the name of what is audited.
        runs: the run store's folder.
    """

    data: str | None = None
    label: str | None = None
    text: str | None = None
    features: tuple[str, ...] = ()
    labels: str | None = None
    predictions: tuple[Path, ...] = ()
    logits: str | None = None
    probs: str | None = None
    folds: int | None = None
    seed: int = 0
    epochs: int | None = None
    top: int = 200
    output: Path | None = None
    runs: Path = RUNS

    @property
    def command(self) -> str:
        """The command that does this again."""
        words = ["softtargets", "audit"]
        named = ("data", "label", "text", "labels", "logits", "probs", "epochs", "output")
        for name in named:
            value = getattr(self, name)
            words += [f"--{name}", str(value)] if value is not None else []
        for column in self.features:
            words += ["--features", column]
        for path in self.predictions:
            words += ["--predictions", str(path)]
        words += ["--folds", str(self.folds or FOLDS)] if not self.predictions else []
        words += ["--runs", str(self.runs)] if self.runs != RUNS else []
        return shlex.join([*words, "--seed", str(self.seed), "--top", str(self.top)])
