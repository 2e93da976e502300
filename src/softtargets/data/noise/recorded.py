"""Labels from annotators."""

from typing import ClassVar

import torch
from pydantic import Field

from softtargets._errors import fail
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.noise.kind import NoiseKind, ObservedLabels, noise_kind
from softtargets.data.observed import observed_fingerprint, read_observed


@noise_kind("recorded")
class RecordedNoise(NoiseKind):
    """Labels from annotators: a column of a file with one row per row of the data set's own training part."""

    places: ClassVar[tuple[str, ...]] = ("file", "column")

    file: str = Field(min_length=1)
    column: str = Field(min_length=1)

    def observe(self, dataset: Dataset, generator: torch.Generator) -> ObservedLabels:
        recorded = read_observed(self.file, self.column, dataset)
        labels = dataset.labels.clone()
        for split in self.splits:
            rows = dataset.splits[split]
            if bool((dataset.origin[rows] != SPLITS.index("train")).any()):
                required = "splits taken from the data set's own training part, whose labels the file holds"
                raise fail("noise.splits", required, f"'{split}', a split of its own", "leave it out")
            labels[rows] = recorded[rows]
        return ObservedLabels.compare(labels, dataset, self.splits)

    def fingerprint(self) -> str:
        return observed_fingerprint(self.file, self.column)
