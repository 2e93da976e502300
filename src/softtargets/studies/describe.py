"""What `softtargets show` says: the runs that a scale expands to, and how long they would take here."""

import math
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Unpack

import torch

from softtargets.data.dataset import Dataset
from softtargets.data.noise import clean_labels
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.runs.machine import available_cores, quiet_machine
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.studies.arms import Expected
from softtargets.studies.expand import without_augmentation
from softtargets.studies.plan import StudyPlan, draft, resolve_all, summarise
from softtargets.studies.request import StudyOptions, StudyRequest
from softtargets.train.execute import resolve
from softtargets.train.loop import Trainer, length_of

TIMED_EPOCHS, STEPS_PER_EPOCH = 4, 4


@dataclass(frozen=True)
class Description:
    """A study at one scale, and what it would cost here.

    Args:
        plan: the study, expanded into runs.
        present: runs that the store has; None where the data are not at hand.
        step_seconds: seconds per training step, timed here just now.
        total_steps: steps of the runs that are missing.
        workers: processes the estimate reckons with.
        note: why something is not known; else empty.
    """

    plan: StudyPlan
    present: int | None
    step_seconds: float
    total_steps: int
    workers: int
    note: str

    def __repr__(self) -> str:
        runs, study = len(self.plan.planned), self.plan.study.name
        return (
            f"<Description of {study} at {self.plan.request.scale} scale: {runs} runs, about {self.seconds:.0f} s here>"
        )

    @property
    def seconds(self) -> float:
        """Estimated time of the missing runs."""
        return self.step_seconds * self.total_steps / self.workers

    @property
    def by_arm(self) -> dict[str, int]:
        """Runs per arm."""
        return dict(Counter(item.key.arm for item in self.plan.planned))


def describe_study(study: str | Path, output: str | None = None, **options: Unpack[StudyOptions]) -> Description:
    """Read a study, expand it and time a few steps of its model on this machine.

    Data on a hub are not fetched for this: the scale's expected shape stands in for them.

    Args:
        study, output, options: as of :func:`softtargets.studies.run_study`.

    Raises:
        InputError: for a bad argument or study.
    """
    return describe(StudyRequest.of(study, output, options))


def describe(request: StudyRequest) -> Description:
    """Describe what was requested; see :func:`describe_study`."""
    made = draft(request)
    cores = available_cores()
    if not made.planned:
        return Description(made, 0, 0.0, 0, cores, "")
    run = made.planned[0].run
    expected = made.study.scales[request.scale].expects  # pyright: ignore[reportArgumentType]
    missing, note, present = [item.run for item in made.planned], "", None
    if expected is None or request.data is not None or _at_hand(run):
        store = RunStore(request.runs)
        data = summarise(run.data, store)
        if len(data.input_shape) == 1:
            made = replace(made, planned=tuple(without_augmentation(made.planned)))
            run, missing = made.planned[0].run, [item.run for item in made.planned]
        expected = Expected(input_shape=data.input_shape, num_classes=data.num_classes, train=data.sizes["train"])
        resolved = {item.identity: item for item in resolve_all(missing, store)}
        missing = [item.run for name, item in resolved.items() if store.result(name) is None]
        present = len(resolved) - len(missing)
    else:
        note = f"'{run.data.name}' is not at hand; the estimate takes inputs of shape {expected.input_shape}"
    return Description(
        plan=made,
        present=present,
        step_seconds=_time_steps(run, expected),
        total_steps=sum(length_of(item, expected.train).steps for item in missing),
        workers=max(1, cores // run.training.threads),
        note=note,
    )


def _at_hand(run: RunSpec) -> bool:
    return run.data.name == "digits" or Path(run.data.name).exists()


def _time_steps(run: RunSpec, expected: Expected) -> float:
    """Return the median seconds of a step on random inputs of the expected shape."""
    count = run.training.batch_size * STEPS_PER_EPOCH
    labels = torch.arange(count) % expected.num_classes
    inputs = torch.randint(0, 256, (count, *expected.input_shape), dtype=torch.uint8)
    rows = torch.arange(count)
    dataset = Dataset(
        name="random",
        fingerprint="random",
        inputs=inputs if len(expected.input_shape) == 3 else inputs.double(),
        labels=labels,
        class_names=tuple(str(label) for label in range(expected.num_classes)),
        splits={"train": rows, "validation": rows[:1], "test": rows[:1]},
    )
    # a student is timed by cross entropy: who would teach it is not there yet
    taught = {} if run.teachers is None else {"objective": SmoothedCrossEntropy(), "teachers": None}
    timed = run.changed(**taught, training=run.training.changed(epochs=TIMED_EPOCHS, steps=None, evaluate_every=None))
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder, quiet_machine(run.training.threads):
        trainer = Trainer(resolve(timed, "random"), dataset, clean_labels(dataset), Path(folder))
        trainer.train(math.inf, report=lambda step: times.append(time.perf_counter()))
    return median(later - earlier for earlier, later in pairwise(times)) / STEPS_PER_EPOCH
