"""What `softtargets show` prints: the runs of a study at a scale, and an estimate of their time on this machine."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

import torch

from softtargets.data.dataset import Dataset
from softtargets.data.sources import forget_changed, load_cached
from softtargets.data.spec import DataSpec
from softtargets.runs.machine import available_cores
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.studies.arms import Expected
from softtargets.studies.expand import without_augmentation
from softtargets.studies.plan import StudyPlan, draft, resolve_all, summarise
from softtargets.studies.request import StudyOptions, StudyRequest
from softtargets.train.estimate import estimate_total_seconds, without_noise
from softtargets.train.execute import resolve
from softtargets.train.graph import RunGraph
from softtargets.train.length import length_of

# Held-out rows of a stand-in data set, as a share of its training rows.
HELD_OUT = 0.4


@dataclass(frozen=True)
class Description:
    """A study at one scale, with its estimated training time on this machine.

    Args:
        plan: the study, expanded into runs.
        present: number of runs that are already in the store; None if the data are not available.
        seconds: estimated time of the missing runs and the runs that they need, from measured steps.
        total_steps: steps of these runs.
        workers: number of worker processes that the estimate assumes.
        note: why a number is unknown; else empty.
    """

    plan: StudyPlan
    present: int | None
    seconds: float
    total_steps: int
    workers: int
    note: str

    def __repr__(self) -> str:
        runs, study = len(self.plan.planned), self.plan.study.name
        return (
            f"<Description of {study} at {self.plan.request.scale} scale: {runs} runs, about {self.seconds:.0f} s here>"
        )

    @property
    def by_arm(self) -> dict[str, int]:
        """Runs per arm."""
        return dict(Counter(item.key.arm for item in self.plan.planned))


def describe_study(study: str | Path, output: str | None = None, **options: Unpack[StudyOptions]) -> Description:
    """Read a study, expand it and measure a few steps of each kind of run on this machine.

    Data sets on the Hugging Face Hub are not downloaded: random data of the scale's expected shape are used instead.

    Args:
        study, output, options: as of :func:`softtargets.studies.run_study`.

    Raises:
        InputError: for a bad argument or study.
    """
    return describe(StudyRequest.of(study, output, options))


def describe(request: StudyRequest) -> Description:
    """Describe what was requested; see :func:`describe_study`."""
    made, store, cores = draft(request), RunStore(request.runs), available_cores()
    if not made.planned:
        return Description(made, 0, 0.0, 0, cores, "")
    first = made.planned[0].run
    expected = made.study.scales[request.scale].expects  # pyright: ignore[reportArgumentType]
    if expected is None or request.data is not None or all(_at_hand(item.run.data) for item in made.planned):
        forget_changed()
        tables = [spec for spec in dict.fromkeys(item.run.data for item in made.planned) if _is_table(spec, store)]
        made = made.with_tables(tables)
        resolved = resolve_all([item.run for item in made.planned], store)
        present = sum(store.result(name) is not None for name in {run.identity for run in resolved})
        missing, note = RunGraph.build(resolved, store).missing, ""
        dataset_of = partial(_loaded, store)
    else:
        if len(expected.input_shape) == 1:
            made = replace(made, planned=tuple(without_augmentation(made.planned)))
        present, dataset_of = None, _stand_in(expected)
        note = f"'{first.data.name}' is not available; the estimate assumes inputs of shape {expected.input_shape}"
        missing = [resolve(without_noise(run), "random") for run in _needed(item.run for item in made.planned)]
    return Description(
        plan=made,
        present=present,
        seconds=estimate_total_seconds(missing, dataset_of, store),
        total_steps=sum(length_of(run.run, dataset_of(run.run)).steps for run in missing),
        workers=max(1, cores // first.training.threads),
        note=note,
    )


def _loaded(store: RunStore, run: RunSpec) -> Dataset:
    return load_cached(run.data, str(store.cache))


def _needed(runs: Iterable[RunSpec]) -> list[RunSpec]:
    """Return these runs, their teachers, their pre-training and the runs that they start from, each once."""
    found: dict[RunSpec, None] = {}
    for run in runs:
        before = (*(run.teachers or ()), run.pretraining(), run.init_from)
        found.update(dict.fromkeys([*_needed(each for each in before if each is not None), run]))
    return list(found)


def _at_hand(data: DataSpec) -> bool:
    return data.name == "digits" or Path(data.name).expanduser().exists()


def _is_table(data: DataSpec, store: RunStore) -> bool:
    return len(summarise(data, store).input_shape) == 1


def _stand_in(expected: Expected) -> Callable[[RunSpec], Dataset]:
    """Return a function that gives every run a data set of the expected shape, all rows of which are one example."""
    count = expected.train + round(HELD_OUT * expected.train)
    example = torch.randint(0, 256, (1, *expected.input_shape), dtype=torch.uint8)
    example = example if len(expected.input_shape) == 3 else example.double()
    rows, held_out = torch.arange(count), (count - expected.train) // 2
    dataset = Dataset(
        name="random",
        fingerprint="random",
        inputs=example.expand(count, *expected.input_shape),
        labels=rows % expected.num_classes,
        class_names=tuple(str(label) for label in range(expected.num_classes)),
        splits={
            "train": rows[: expected.train],
            "validation": rows[expected.train : expected.train + held_out],
            "test": rows[expected.train + held_out :],
        },
    )
    return lambda run: dataset
