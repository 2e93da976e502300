"""What the user of `softtargets audit` asked for."""

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AuditRequest:
    """What the user asked for.

    Args:
        data: a data set; its training part is audited.
        label: its label column; None: "label".
        labels: FILE:COLUMN with the labels to audit. The data set's own then judge the audit and enter nothing.
        predictions: files of held-out logits or probabilities, in the order of the rows; none: models are trained.
        logits, probs: name of the array or the columns in these files.
        folds: of the cross-validation.
        seed: of the folds, the models and the bootstrap.
        epochs: of every model; None: by the size of the data set.
        top: how many suspects the page shows.
        output: folder of the page; None: under ./reports by the name of what is audited.
        runs: the run store's folder.
    """

    data: str | None = None
    label: str | None = None
    labels: str | None = None
    predictions: tuple[Path, ...] = ()
    logits: str | None = None
    probs: str | None = None
    folds: int = 5
    seed: int = 0
    epochs: int | None = None
    top: int = 200
    output: Path | None = None
    runs: Path = Path("runs")

    @property
    def command(self) -> str:
        """The command that does this again."""
        words = ["softtargets", "audit"]
        named = ("data", "label", "labels", "logits", "probs", "epochs")
        for name in named:
            value = getattr(self, name)
            words += [f"--{name}", str(value)] if value is not None else []
        for path in self.predictions:
            words += ["--predictions", str(path)]
        words += ["--folds", str(self.folds)] if not self.predictions else []
        return shlex.join([*words, "--seed", str(self.seed), "--top", str(self.top)])
