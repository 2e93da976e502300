"""The specification to train with after an audit, as its recommendation says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softtargets._spec import toml_value, write_toml
from softtargets.audit.results import Action
from softtargets.data.dataset import Dataset
from softtargets.data.spec import DataSpec

# Class of the networks, epochs and optimizer by kind of data.
_SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
_TABLE = {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01}
_TEXT = {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01}
_SMOOTHING = 0.1
_FEW_ROWS, _BATCHES = 5_000, (32, 64)


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """What is trained on which labels.

    Args:
        content: the tables of the specification, without `data.name` and paths inside the folder of the page.
        source: the data set as it was given.
        action: the recommendation.
        observed: file and column of the audited labels; None: those of the data set.
        label, column: columns of the labels and of the texts or images in `cleaned.csv`; no column for a table.
        names: the columns of a table.
    """

    content: dict[str, dict[str, Any]]
    source: dict[str, Any]
    action: Action
    observed: tuple[str, str] | None
    column: str | None
    names: tuple[str, ...]

    def toml(self, folder: Path) -> bytes:
        """Return the specification for `softtargets train`, whose paths start from the working directory.

        Args:
            folder: of the page, which has `cleaned.csv` and `transition.csv`.
        """
        tables: dict[str, dict[str, Any]] = {"data": dict(self.source), **self.content}
        if self.action == "drop and relabel":
            columns = {self.column: self.column} if self.column else {"features": list(self.names)}
            tables["data"] = {"name": str(folder / "cleaned.csv"), "label": "label", **columns}
        elif self.observed is not None:
            tables["noise"] = {"name": "recorded", "file": self.observed[0], "column": self.observed[1]}
        said = f"# Recommended by the audit: {self.action}. Paths start from the folder in which the audit was run.\n"
        if self.action == "compare corrections":
            transition = {"name": "file", "file": str(folder / "transition.csv")}
            tables["objective"] = {"name": "cross_entropy"}
            said += "# To compare with: " + "; ".join(
                f"objective = {toml_value(objective)}"
                for objective in (
                    {"name": "forward", "transition": transition},
                    {"name": "cross_entropy", "smoothing": _SMOOTHING},
                )
            )
            said += "\n"
        return (said + write_toml(tables)).encode()


def plan_training(
    dataset: Dataset, data: DataSpec, action: Action, observed: tuple[str, str] | None, *, has_files: bool
) -> TrainingPlan | None:
    """Return what to train; None if the predictions were not good enough for a recommendation.

    Args:
        dataset: the audited data set.
        data: its specification.
        action: the recommendation.
        observed: file and column of the audited labels; None: those of the data set.
        has_files: whether images are files of their own. If not, rows cannot be left out of the data set.
    """
    if action == "get better predictions" or (action == "drop and relabel" and dataset.is_image and not has_files):
        return None
    kept = ("name", "label", "text", "features", "image")
    source = {key: value for key, value in data.model_dump(exclude_none=True).items() if key in kept}
    column = "text" if dataset.texts is not None else "image" if dataset.is_image else None
    batch = _BATCHES[len(dataset.splits["train"]) >= _FEW_ROWS]
    model, optimizer, epochs = _recipe(dataset)
    content = {
        "model": model,
        "optimizer": optimizer,
        "schedule": {"name": "linear"},
        "training": {"epochs": epochs, "batch_size": batch},
    }
    return TrainingPlan(content, source, action, observed, column, dataset.columns)


def _recipe(dataset: Dataset) -> tuple[dict[str, Any], dict[str, Any], int]:
    if dataset.is_image:
        # imported here, since the training rooms take half a second and predictions need none of them
        from softtargets.audit.models import architecture_of

        return architecture_of(dataset), _SGD, 20
    if dataset.is_text:
        return {"name": "mlp", "hidden": ()}, _TEXT, 10
    return {"name": "mlp", "hidden": (128, 128), "dropout": 0.1}, _TABLE, 20
