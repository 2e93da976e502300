"""Teachers' outputs for a batch: computed online, precomputed for all rows, or read from a cache."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import InputError
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.spec import AugmentationSpec
from softtargets.data.tokens import NetworkInputs, rows_at
from softtargets.distill import CacheSource, Sampled, TeacherCache, TopK, write_cache
from softtargets.objectives import TeacherFn
from softtargets.runs.network import ROWS, TrainedModel, load_trained
from softtargets.runs.spec import ResolvedRun, RunSpec, canonical_json
from softtargets.runs.store import RunStore, holds_regular_files_only, set_aside
from softtargets.runs.streams import generator
from softtargets.train.processes import Processes

# Largest number of rows that are lost by an interruption; it does not change the outputs.
ROWS_PER_SHARD = 8192


def teacher_of(
    run: RunSpec,
    dataset: Dataset,
    inputs: Inputs,
    teachers: Sequence[TrainedModel] | Sequence[TeacherCache],
    processes: Processes,
    own: Callable[[NetworkInputs], Tensor],
) -> TeacherFn:
    """Return the function that answers for a run's teachers.

    Args:
        run: the specification.
        dataset: of the run.
        inputs: of the data set.
        teachers: trained networks or caches of their outputs.
        processes: those that train the run.
        own: (n, ...) inputs -> (1, n, K) logits of the run's own weights, or of their average, whichever teaches.
    """
    if run.objective.taught_by in ("average", "model"):
        return query_online(own, processes)
    caches = [teacher for teacher in teachers if isinstance(teacher, TeacherCache)]
    if caches:
        return read_cache(caches, inputs.device)
    moved = [teacher.to(inputs.device) for teacher in teachers if isinstance(teacher, TrainedModel)]
    query = query_online(together(moved), processes)
    if not moved or run.augmentation.active or dataset.is_sequence:
        return query
    return precompute_logits(query, inputs, dataset.splits["train"], len(dataset.labels))


def query_online(query: Callable[[NetworkInputs], Tensor], processes: Processes) -> TeacherFn:
    """Query teachers on each batch, with the same augmentation as the student's. Each process queries for its own rows.

    Args:
        query: (n, ...) inputs -> (M, n, K) logits.
        processes: those that train the run.
    """
    if processes.size == 1:
        return lambda ids, inputs: query(inputs)

    def shared(ids: Tensor, inputs: NetworkInputs) -> Tensor:
        own = processes.share(len(ids))
        # a process without rows still has to know the shape
        logits = query(rows_at(inputs, own)) if own.stop > own.start else query(rows_at(inputs, slice(1)))[:, :0]
        return processes.assembled(logits, len(ids), dim=1)

    return shared


def together(teachers: Sequence[TrainedModel]) -> Callable[[NetworkInputs], Tensor]:
    """Return a function from (n, ...) inputs to the (M, n, K) logits of all teachers."""
    return lambda inputs: torch.stack([teacher.logits(inputs) for teacher in teachers])


def precompute_logits(query: TeacherFn, inputs: Inputs, rows: Tensor, num_examples: int) -> TeacherFn:
    """Query the teachers on all training rows before training, for students without augmentation."""
    size = min(ROWS, inputs.measured_rows)
    # as in training, where images may be smaller than in evaluation
    seen = zip(rows.split(size), inputs.batches(rows, size, AugmentationSpec()), strict=True)
    logits = torch.cat([query(chunk, batch) for chunk, batch in seen], dim=1)  # pyright: ignore[reportArgumentType, reportCallIssue]
    place = torch.full((num_examples,), -1, device=logits.device)
    place[rows.to(logits.device)] = torch.arange(len(rows), device=logits.device)
    return lambda ids, inputs: logits[:, place[ids]]


def read_cache(caches: Sequence[TeacherCache], device: torch.device) -> TeacherFn:
    """Read from caches: log-probabilities (used as logits) if all classes were kept, else targets."""
    if all(cache.plan.complete for cache in caches):
        return lambda ids, inputs: torch.stack([cache.log_probs(ids) for cache in caches]).to(device)
    return lambda ids, inputs: tuple(cache.targets(ids).to(device) for cache in caches)


def caches_of(resolved: ResolvedRun, dataset: Dataset, store: RunStore) -> list[TeacherCache]:
    """Return a cache of each teacher of a run, and write those that are missing, incomplete or damaged.

    Samples are drawn with the seed of the run's method. A damaged folder, or one of another cache, is set aside. An
    interrupted cache is continued.
    """
    return [_cache_of(teacher, resolved, dataset, store) for teacher in resolved.teachers or ()]


def _cache_of(teacher: ResolvedRun, resolved: ResolvedRun, dataset: Dataset, store: RunStore) -> TeacherCache:
    settings = {
        **resolved.run.objective.cache_settings(dataset.num_classes),
        "teacher": teacher.identity,
        "data": resolved.fingerprint,
    }
    seed = resolved.run.seeds.method if settings["kind"] == "sampled" else None
    # the last bits of an output may depend on where it was computed
    place = {"backend": resolved.backend, "threads": resolved.run.training.threads}
    folder = store.teacher(canonical_json({**settings, **place, "seed": seed}))
    keep = _keep(settings)
    examples = len(dataset.splits["train"])
    source = CacheSource(teacher.identity, resolved.fingerprint, dataset.num_classes, examples)

    def written() -> TeacherCache:
        cache = write_cache(
            folder,
            _answers(teacher, resolved, dataset, store),
            source,
            keep=keep,
            generator=None if seed is None else generator("teacher cache", seed),
            rows_per_shard=ROWS_PER_SHARD,
        )
        cache.verify()
        return cache

    with store.lock(f"teachers-{folder.name}", wait=True):
        if os.path.lexists(folder) and not holds_regular_files_only(folder):
            set_aside(folder)
        try:
            return written()
        except InputError:
            if not folder.exists():
                raise
            set_aside(folder)
            return written()


def _keep(settings: dict[str, Any]) -> TopK | Sampled:
    temperature, dtype = settings["temperature"], settings["dtype"]
    if settings["kind"] == "sampled":
        return Sampled(settings["draws"], settings["proposal_temperature"], temperature, dtype)
    return TopK(settings["k"], settings["residual"], None, temperature, dtype)


def _answers(
    teacher: ResolvedRun, resolved: ResolvedRun, dataset: Dataset, store: RunStore
) -> Iterator[tuple[Tensor, Callable[[], Tensor]]]:
    """Yield training rows, each with a function that computes the teacher's logits."""
    device = torch.device(resolved.backend)
    model, inputs = load_trained(teacher, dataset, store).to(device), Inputs(dataset, device)

    def logits(ids: Tensor) -> Tensor:
        return model.logits(inputs.batch(ids, AugmentationSpec()))

    for ids in dataset.splits["train"].split(min(ROWS, inputs.measured_rows)):
        yield ids, partial(logits, ids)
