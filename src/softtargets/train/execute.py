"""Training one run. Idempotent, safe to interrupt, and safe to call from several processes on one store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from safetensors.torch import save

from softtargets._errors import fail
from softtargets._storage import write_atomically
from softtargets.data.dataset import Dataset
from softtargets.data.noise import clean_labels, drawn_from, observe
from softtargets.data.sources import load_cached
from softtargets.distill import TeacherCache
from softtargets.matrices import Transition
from softtargets.objectives.transitions import EstimatedTransition
from softtargets.runs.machine import environment, fast_bfloat16, quiet_machine
from softtargets.runs.network import TrainedModel, load_trained
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RECIPE, ResolvedRun, RunSpec
from softtargets.runs.store import MODEL, PREDICTIONS, SELECTED, SNAPSHOTS, Failure, RunStore
from softtargets.runs.streams import generator
from softtargets.train.graph import pretraining_of
from softtargets.train.loop import Trainer
from softtargets.train.outputs import DivergedError, check_outputs
from softtargets.train.teachers import caches_of

CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: trained now, already present, failed, or busy in another process."""

    identity: str
    status: Literal["trained", "present", "failed", "busy"]
    message: str = ""


def resolve(run: RunSpec, fingerprint: str) -> ResolvedRun:
    """Replace "auto" settings by their values on this machine.

    Precision "auto" is bfloat16 if the processor has units for matrices in it (AMX; on a GPU, Ampere or later), unless
    the model is a perceptron or the user's own, else float32.
    """
    device = run.training.device
    if device == "cuda" and not torch.cuda.is_available():
        raise fail(
            "training.device", "'cpu' or 'auto' on this machine, which has no CUDA device", "'cuda'", "use one of these"
        )
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
        teachers=None if run.teachers is None else tuple(resolve(teacher, fingerprint) for teacher in run.teachers),
    )


def execute(
    resolved: ResolvedRun, store: RunStore, *, wait: bool = False, checkpoint_seconds: float = CHECKPOINT_SECONDS
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
            with quiet_machine(resolved.run.training.threads):
                _train(resolved, store, checkpoint_seconds)
        except DivergedError as error:
            store.discard_partial(identity)
            return _failed(store, identity, Failure(str(error), final=True))
        except Exception as error:
            return _failed(store, identity, Failure(f"{type(error).__name__}: {error}", final=False))
        return Outcome(identity, "trained")


def validate_setup(runs: Iterable[ResolvedRun], store: RunStore) -> None:
    """Set up each distinct model, optimiser, objective and augmentation once, to report errors before training.

    Raises:
        InputError: naming the argument, before anything is trained.
    """
    parts = {"data", "noise", "model", "optimizer", "objective", "augmentation"}
    distinct = {run.run.model_dump_json(include=parts): run for run in runs}
    for resolved in distinct.values():
        dataset = load_cached(resolved.run.data, str(store.cache))  # pyright: ignore[reportArgumentType]
        observe(resolved.run.noise, dataset, generator("noise", resolved.run.seeds.noise))
        resolved.run.pretraining()
        # an estimated transition is not known yet; any transition shows that the objective accepts one
        stand_in = _known_transition(resolved.run, dataset) or Transition.symmetric(0.1, dataset.num_classes)
        with quiet_machine(resolved.run.training.threads):
            Trainer(resolved, dataset, clean_labels(dataset), store.partial(resolved.identity), stand_in, None)


def _failed(store: RunStore, identity: str, failure: Failure) -> Outcome:
    try:
        store.fail(identity, failure)
    except OSError as error:
        # a full disk: the user still sees the message, and the run counts as missing next time
        return Outcome(identity, "failed", f"{failure.message} (not recorded: {error})")
    return Outcome(identity, "failed", failure.message)


def _train(resolved: ResolvedRun, store: RunStore, checkpoint_seconds: float) -> None:
    run = resolved.run
    dataset = load_cached(run.data, str(store.cache))  # pyright: ignore[reportArgumentType]
    if dataset.fingerprint != resolved.fingerprint:
        raise fail("data", f"the content it had when the run was planned ('{run.data.name}')", "other", "run again")
    if (run.model.source(), run.model.weights_fingerprint()) != (resolved.model_source, resolved.weights_fingerprint):
        required = f"the code and the initial weights of '{run.model.name}' when the run was planned"
        raise fail("model", required, "others", "run again")
    observed = observe(run.noise, dataset, generator("noise", run.seeds.noise))
    transition = _known_transition(run, dataset) or _estimated_transition(resolved, store)
    teachers = _taught_by(resolved, dataset, store)
    folder = store.begin(resolved)
    trainer = Trainer(resolved, dataset, observed, folder, transition, teachers)
    trainer.train(checkpoint_seconds)
    predictions: dict[str, torch.Tensor] = {}
    for split, rows in dataset.labelled_splits.items():
        predictions[f"{split}.ids"] = rows
        predictions[f"{split}.logits"] = check_outputs(trainer.predict(rows), split, trainer.step)
        predictions[f"{split}.labels"] = dataset.labels[rows]
        predictions[f"{split}.observed"] = observed.labels[rows]
    if trainer.dynamics is not None:
        rows = dataset.labelled_train
        for name in ("area_under_margin", "forgetting", "early_agreement"):
            predictions[f"train.{name}"] = getattr(trainer.dynamics, name)[rows].contiguous()
    used = trainer.objective.current_transition()
    if used is not None:
        predictions["transition"] = used.double().cpu().contiguous()
    write_atomically(folder / MODEL, save(_weights(trainer)))
    if trainer.snapshots is not None:
        write_atomically(folder / SNAPSHOTS, save(trainer.snapshots.joined()))
    if trainer.selected is not None:
        last = trainer.selected.epoch == trainer.epoch  # then the outputs are the same
        trainer.use_selected()
        for split, rows in dataset.labelled_splits.items():
            logits = predictions[f"{split}.logits"].clone() if last else trainer.predict(rows)
            predictions[f"selected.{split}.logits"] = check_outputs(logits, split, trainer.step)
        write_atomically(folder / SELECTED, save(_weights(trainer)))
    write_atomically(folder / PREDICTIONS, save(predictions))
    result = {
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "noise_rates": observed.rates,
        "selected_epoch": None if trainer.selected is None else trainer.selected.epoch,
        "data": {
            "name": dataset.name,
            "num_classes": dataset.num_classes,
            "class_names": list(dataset.class_names),
            "input_shape": list(dataset.input_shape),
            # so that the network can be used without the data set
            "preprocessing": trainer.inputs.preprocessing.to_dict(),
            "sizes": {split: len(rows) for split, rows in dataset.splits.items()},
            "class_counts": dataset.class_counts,
        },
        "environment": environment(resolved),
    }
    store.finish(resolved.identity, result)


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in trainer.final_model.state_dict().items()}


def _known_transition(run: RunSpec, dataset: Dataset) -> Transition | None:
    return drawn_from(run.noise, dataset.num_classes) if run.objective.needs_transition() == "known" else None


def _estimated_transition(resolved: ResolvedRun, store: RunStore) -> Transition | None:
    first = pretraining_of(resolved)
    if first is None:
        return None
    _require(first, store, "pre-training")
    source = resolved.run.objective.needs_transition()
    assert isinstance(source, EstimatedTransition)
    return source.estimate(read_predictions(store.path(first.identity)))


def _require(needed: ResolvedRun, store: RunStore, role: str) -> None:
    """Require a finished run, which the scheduler trains before the runs that need it."""
    if store.result(needed.identity) is not None:
        return
    failure = store.failure(needed.identity)
    if failure is None:
        raise fail(role, "a finished run", f"none in '{store.path(needed.identity)}'", "train that run first")
    kind = DivergedError if failure.final else RuntimeError
    raise kind(f"{role}: a finished run; got a failure: {failure.message}; fix or delete that run first")


def _taught_by(resolved: ResolvedRun, dataset: Dataset, store: RunStore) -> list[TrainedModel] | list[TeacherCache]:
    for teacher in resolved.teachers or ():
        _require(teacher, store, "teacher")
    if resolved.run.objective.caches_teachers:
        return caches_of(resolved, dataset, store)
    return [load_trained(teacher, dataset, store) for teacher in resolved.teachers or ()]
