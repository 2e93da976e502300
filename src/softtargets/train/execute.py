"""Training one run. Idempotent, safe to interrupt, and safe to call from several processes on one store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from softtargets._errors import fail
from softtargets.data.noise import clean_labels, observe
from softtargets.data.sources import load_cached
from softtargets.data.spec import DataSpec
from softtargets.matrices import Transition
from softtargets.runs.loggers import check_loggers
from softtargets.runs.machine import fast_bfloat16, quiet_machine
from softtargets.runs.spec import RECIPE, ResolvedRun, RunSpec
from softtargets.runs.store import Failure, RunStore
from softtargets.runs.streams import generator
from softtargets.train.devices import check_devices, train_on_devices
from softtargets.train.length import check_fit, length_of
from softtargets.train.loop import Trainer
from softtargets.train.outputs import DivergedError, OnEpoch, StoppedError
from softtargets.train.starting import check_start
from softtargets.train.training import known_transition

CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: trained now, already present, failed, busy in another process, or stopped by `on_epoch`."""

    identity: str
    status: Literal["trained", "present", "failed", "busy", "stopped"]
    message: str = ""


def resolve(run: RunSpec, fingerprint: str, others: Mapping[DataSpec, str] | None = None) -> ResolvedRun:
    """Replace "auto" settings by their values on this machine.

    Args:
        run: the specification.
        fingerprint: of its data set.
        others: fingerprints of data sets by their specifications, of which those are needed that only the runs have
            whose weights others start from.

    Precision "auto" is bfloat16 if the processor has units for matrices in it (AMX; on a GPU, Ampere or later), unless
    the model is a perceptron or the user's own, else float32.
    """
    device = run.training.device
    if device == "cuda" and not torch.cuda.is_available():
        raise fail(
            "training.device", "'cpu' or 'auto' on this machine, which has no CUDA device", "'cuda'", "use one of these"
        )
    known = dict(others or {})
    known[run.data] = fingerprint
    start = run.init_from
    backend = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    precision = run.training.precision
    if precision == "auto":
        precision = "bfloat16" if run.model.reduced_precision and fast_bfloat16(backend) else "float32"
    return ResolvedRun(
        run=run,
        fingerprint=fingerprint,
        observed_fingerprint=None if run.noise is None else run.noise.fingerprint(),
        model_source=run.model.source(),
        weights_fingerprint=run.model.weights_fingerprint(),
        objective_fingerprint=run.objective.fingerprint(),
        backend=backend,
        precision=precision,
        recipe=RECIPE,
        teachers=None
        if run.teachers is None
        else tuple(resolve(teacher, fingerprint, known) for teacher in run.teachers),
        init_from=None if start is None else resolve(start, known[start.data], known),
        boosted_after=None if run.boosted_after is None else resolve(run.boosted_after, fingerprint, known),
    )


def execute(
    resolved: ResolvedRun,
    store: RunStore,
    *,
    wait: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_epoch: OnEpoch | None = None,
) -> Outcome:
    """Train a run unless the store has it.

    An interrupted run resumes from its checkpoint, with bit-identical results. A damaged record is set aside and
    trained again. A failure is recorded and returned, not raised. A run whose loss was not finite is not tried again;
    other failures are.

    Args:
        resolved: the run.
        store: the run store.
        wait: whether to wait for another process that is training the same run, or return "busy" at once.
        checkpoint_seconds: minimum time between checkpoints; it does not change results.
        on_epoch: called after each epoch with its row of the history; it may raise :class:`StoppedError`. Not called
            for a run on several devices.
    """
    identity = resolved.identity
    with store.lock(identity, wait=wait) as held:
        if not held:
            return Outcome(identity, "busy")
        if store.result(identity) is not None:
            return Outcome(identity, "present")
        store.set_damaged_aside(identity)
        known = store.failure(identity)
        if known is not None and known.final:
            return Outcome(identity, "failed", known.message)
        try:
            train_on_devices(resolved, store, checkpoint_seconds, on_epoch)
        except StoppedError:
            return Outcome(identity, "stopped")
        except DivergedError as error:
            store.discard_partial(identity)
            return _failed(store, resolved, Failure(str(error), final=True))
        except Exception as error:
            return _failed(store, resolved, Failure(f"{type(error).__name__}: {error}", final=False))
        return Outcome(identity, "trained")


def validate_setup(runs: Iterable[ResolvedRun], store: RunStore) -> None:
    """Set up each distinct model, optimiser, objective and augmentation once, to report errors before training.

    Raises:
        InputError: naming the argument, before anything is trained.
    """
    runs = list(runs)
    for resolved in runs:
        check_devices(resolved.run, resolved.backend)
        check_loggers(resolved.run.training.loggers)
        dataset = load_cached(resolved.run.data, str(store.cache))
        check_fit(resolved.run, dataset, length_of(resolved.run, dataset))
    parts = {"data", "noise", "model", "optimizer", "objective", "augmentation", "init_from", "init_head"}
    distinct = {run.run.model_dump_json(include=parts): run for run in runs}
    for resolved in distinct.values():
        dataset = load_cached(resolved.run.data, str(store.cache))
        observe(resolved.run.noise, dataset, generator("noise", resolved.run.seeds.noise))
        resolved.run.pretraining()
        # an estimated transition is not known yet; any transition shows that the objective accepts one
        stand_in = known_transition(resolved.run, dataset) or Transition.symmetric(0.1, dataset.num_classes)
        with quiet_machine(resolved.run.training.threads):
            folder, alone = store.partial(resolved.identity), resolved.changed(init_from=None, boosted_after=None)
            trainer = Trainer(alone, dataset, clean_labels(dataset), folder, stand_in, None)
            check_start(trainer.model, resolved, store)


def _failed(store: RunStore, resolved: ResolvedRun, failure: Failure) -> Outcome:
    identity = resolved.identity
    try:
        store.fail(resolved, failure)
    except OSError as error:
        # a full disk: the user still sees the message, and the run counts as missing next time
        return Outcome(identity, "failed", f"{failure.message} (not recorded: {error})")
    return Outcome(identity, "failed", failure.message)
