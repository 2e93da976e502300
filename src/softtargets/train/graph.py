"""The dependency graph of runs. Teachers, pre-training, and runs whose weights others start from, are trained first."""

from collections.abc import Sequence
from dataclasses import dataclass

from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore


def pretraining_of(resolved: ResolvedRun) -> ResolvedRun | None:
    """Return the run whose predictions a transition is estimated from; None if none is estimated."""
    first = resolved.run.pretraining()
    return None if first is None else resolved.changed(run=first, teachers=None)


def prerequisites(resolved: ResolvedRun) -> tuple[ResolvedRun, ...]:
    """Return the runs that must be finished before a run.

    These are its teachers, its pre-training, the run that it starts from, and the run that it is boosted after.
    """
    others = (pretraining_of(resolved), resolved.init_from, resolved.boosted_after)
    return (*(resolved.teachers or ()), *(run for run in others if run is not None))


@dataclass(frozen=True)
class RunGraph:
    """The runs that are missing from a store, in an order in which they can be trained.

    Args:
        waves: missing runs. All that a run of a wave needs is present or in an earlier wave.
        present: identities of the requested runs that the store has.
    """

    waves: tuple[tuple[ResolvedRun, ...], ...]
    present: tuple[str, ...]

    @property
    def missing(self) -> list[ResolvedRun]:
        """Every missing run, in order."""
        return [run for wave in self.waves for run in wave]

    @classmethod
    def build(cls, runs: Sequence[ResolvedRun], store: RunStore) -> "RunGraph":
        """Build the graph of some runs and all runs that they need.

        A finished run still needs its teachers, since it is measured against them.
        """
        depths: dict[str, int] = {}  # -1 for a run that is present
        waves: list[list[ResolvedRun]] = []

        def depth(run: ResolvedRun) -> int:
            identity = run.identity
            if identity not in depths:
                present = store.result(identity) is not None
                needed = run.teachers or () if present else prerequisites(run)
                before = max((depth(other) for other in needed), default=-1)
                depths[identity] = -1 if present else before + 1
                if not present:
                    waves.extend([] for _ in range(before + 2 - len(waves)))
                    waves[before + 1].append(run)
            return depths[identity]

        asked = dict.fromkeys(run.identity for run in runs if depth(run) < 0)
        return cls(tuple(map(tuple, waves)), tuple(asked))
