"""Training the runs of a comparison, and what they predict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from softtargets.compare.inputs import CompareInputs
from softtargets.compare.methods import MethodCandidate
from softtargets.compare.request import CompareOptions
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
from softtargets.distill import ensemble
from softtargets.report.numbers import duration
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.train.estimate import estimate_total_seconds
from softtargets.train.execute import validate_setup
from softtargets.train.graph import RunGraph, pretraining_of
from softtargets.train.schedule import train_all

# Seeds of the networks of an ensemble beside its first one; those of a repetition differ by less.
MEMBER_STRIDE = 100_000
# First seed of the runs that hyper-parameters are chosen by.
SELECTION = 50_000


@dataclass(frozen=True, eq=False)
class RunOutputs:
    """What one repetition of a method predicts.

    Args:
        validation_logits: (V, K) float32.
        validation_labels: (V,) int64, as noisy as the labels of the user; or (V, K) votes.
        test_logits: (N, K) float32.
        test_labels: (N,) int64, or (N, K) votes.
        seconds: time of training, of all networks that the method needs.
    """

    validation_logits: Tensor
    validation_labels: Tensor
    test_logits: Tensor
    test_labels: Tensor
    seconds: float


class Trainings:
    """Trains the repetitions of candidates, and returns what they predict.

    Args:
        inputs: the data set and the shared specification.
        options: workers and progress.
        on_stage: called with the estimated time before anything is trained.
    """

    def __init__(self, inputs: CompareInputs, options: CompareOptions, on_stage: Callable[[str], None]) -> None:
        self.inputs, self.options, self.on_stage = inputs, options, on_stage
        self.failures: dict[str, str] = {}

    def runs_of(self, candidate: MethodCandidate, seed: int) -> tuple[ResolvedRun, ...]:
        """Return the runs of one repetition of a candidate: one for each network."""
        seeds = (seed + place * MEMBER_STRIDE for place in range(candidate.members))
        return tuple(self.inputs.resolved(candidate.objective, each) for each in seeds)

    def train(self, wanted: Sequence[tuple[MethodCandidate, int]], purpose: str) -> None:
        """Train repetitions that the store lacks, all at once. Failures are kept by the identity of the run.

        Args:
            wanted: candidates with seeds.
            purpose: what for, in words.
        """
        runs = {run.identity: run for candidate, seed in wanted for run in self.runs_of(candidate, seed)}
        store = self.inputs.store
        missing = RunGraph.build(list(runs.values()), store).missing
        workers = self.options.workers
        if missing:
            validate_setup(missing, store)
            seconds = estimate_total_seconds(missing, partial(_dataset_of, self.inputs), store, workers=workers)
            self.on_stage(f"{purpose}: {len(missing)} runs, about {duration(seconds)}")
        outcomes = train_all(list(runs.values()), store, workers=workers, on_progress=self.options.on_progress)
        self.failures.update({one.identity: one.message for one in outcomes if one.status == "failed"})

    def failure(self, candidate: MethodCandidate, seed: int) -> str | None:
        """Return why a repetition has no predictions; None if it has."""
        found = (self.failures.get(run.identity) for run in self.runs_of(candidate, seed))
        return next((message for message in found if message is not None), None)

    def outputs(self, candidate: MethodCandidate, seed: int) -> RunOutputs:
        """Return what a trained repetition predicts. Several networks are averaged by their probabilities."""
        store = self.inputs.store
        parts, seconds = [], 0.0
        for run in self.runs_of(candidate, seed):
            parts.append(read_predictions(store.path(run.identity)))
            # the network that a transition is estimated from belongs to the cost of the method
            for needed in (run, pretraining_of(run)):
                seconds += 0.0 if needed is None else float((store.result(needed.identity) or {})["seconds"])
        first = parts[0]

        def logits(split: str) -> Tensor:
            # with evaluate_every, the epoch that the validation labels select
            each = [part.get(f"selected.{split}.logits", part[f"{split}.logits"]) for part in parts]
            return each[0] if len(each) == 1 else ensemble(each)

        validation = first.get("validation.votes", first["validation.observed"])
        test = first.get("test.votes", first["test.labels"])
        return RunOutputs(logits("validation"), validation, logits("test"), test, seconds)


def _dataset_of(inputs: CompareInputs, run: RunSpec) -> Dataset:
    return load_cached(run.data, str(inputs.store.cache))
