"""The folder of an audit, as its files describe it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets._storage import parse_json, read_regular
from softtargets.audit.examples import AuditedExamples, examples_of
from softtargets.audit.inputs import audited_data
from softtargets.audit.request import AuditOptions
from softtargets.audit.results import SCHEMA_VERSION
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
from softtargets.report.folders import read_path
from softtargets.runs.store import RunStore

EVERY_ROW, RESULTS, SUSPECTS = "all.parquet", "audit.json", "suspects.parquet"


@dataclass(frozen=True, eq=False)
class AuditFolder:
    """The folder of an audit.

    Args:
        path: of the folder.
        content: of its `audit.json`.
    """

    path: Path
    content: dict[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.content["class_names"])

    @property
    def num_rows(self) -> int:
        """The number of audited labels."""
        return int(self.content["rows"])

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the audit, as `AuditRequest.settings` writes them."""
        return dict(self.content["settings"])

    @cached_property
    def options(self) -> AuditOptions:
        """The options of the audit."""
        options = dict(self.settings["options"])
        options["features"] = tuple(options.get("features", ()))
        return AuditOptions(**options)

    @cached_property
    def suspects(self) -> Tensor:
        """(M,) int64, the rows of the suspects, most suspect first."""
        return torch.from_numpy(self._read(SUSPECTS, "row").to_numpy().copy())

    @cached_property
    def given(self) -> Tensor:
        """(N,) int64, the audited labels, with the decisions of earlier reviews."""
        return torch.from_numpy(self._read(EVERY_ROW, "given").to_numpy().copy())

    @cached_property
    def before(self) -> Tensor:
        """(N,) int64, the labels as they were given before any review."""
        name = "before" if "before" in pq.read_schema(self.path / EVERY_ROW).names else "given"
        return torch.from_numpy(self._read(EVERY_ROW, name).to_numpy().copy())

    @cached_property
    def suggested(self) -> Tensor:
        """(N,) int64, the most probable classes: the suggested label, or the given one if it is more probable."""
        other = torch.from_numpy(self._read(EVERY_ROW, "suggested").to_numpy().copy())
        margin = torch.from_numpy(self._read(EVERY_ROW, "normalized_margin").to_numpy().copy())
        return torch.where(margin > 0.5, self.given, other)

    @cached_property
    def wrong(self) -> Tensor:
        """(N,) float64, the probability that each label is wrong; 0 for labels that were reviewed."""
        return torch.from_numpy(self._read(EVERY_ROW, "probability_wrong").to_numpy().copy()).double()

    @cached_property
    def reviewed(self) -> Tensor:
        """(N,) bool, the labels that people decided on before this audit."""
        if "reviewed" not in pq.read_schema(self.path / EVERY_ROW).names:
            return torch.zeros(self.num_rows, dtype=torch.bool)
        return torch.tensor(self._read(EVERY_ROW, "reviewed").to_pylist())

    @cached_property
    def probs(self) -> Tensor | None:
        """(N, K) float32, the held-out probabilities; None if the audit did not write them."""
        if "probs" not in pq.read_schema(self.path / EVERY_ROW).names:
            return None
        values = self._read(EVERY_ROW, "probs").combine_chunks().flatten().to_numpy()
        return torch.from_numpy(values.copy()).view(self.num_rows, -1)

    @cached_property
    def dataset(self) -> Dataset | None:
        """The audited data set; None if the audit had predictions alone."""
        if self.settings["data"] is None:
            return None
        data = audited_data(self.settings["data"], self.options)
        return load_cached(data, str(RunStore(self.options.runs).cache))

    @cached_property
    def examples(self) -> AuditedExamples | None:
        """The texts, the paths of images or the numbers of the rows; None if the audit did not have them."""
        if self.dataset is None:
            return None
        return examples_of(self.dataset, audited_data(self.settings["data"], self.options))

    def _read(self, file: str, column: str) -> pa.ChunkedArray:
        return pq.read_table(self.path / file, columns=[column])[column]


def read_audit(path: str | Path) -> AuditFolder:
    """Read the folder of an audit.

    Raises:
        InputError: a folder without the files of an audit, or with those of another version.
    """
    folder = read_path("folder", path)
    required = f"the folder of an audit, with {RESULTS}, {SUSPECTS} and {EVERY_ROW}"
    for name in (RESULTS, SUSPECTS, EVERY_ROW):
        if not (folder / name).is_file():
            raise fail(
                "folder", required, f"'{folder}' without {name}", "give the --output folder of softtargets audit"
            )
    try:
        content = parse_json(read_regular(folder / RESULTS))
    except (ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise fail("folder", required, f"{RESULTS}: {error}", "run the audit again") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION or "settings" not in content:
        raise fail("folder", required, f"{RESULTS} of another version", "run the audit again")
    return AuditFolder(folder, content)
