"""From a specification to the record of a trained run."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import write_atomically
from softtargets.data.dataset import Dataset
from softtargets.data.noise import ObservedLabels, drawn_from, observe
from softtargets.data.sources import load_cached
from softtargets.distill import TeacherCache
from softtargets.matrices import Transition
from softtargets.objectives.transitions import EstimatedTransition
from softtargets.runs.machine import environment
from softtargets.runs.network import TrainedModel, load_trained
from softtargets.runs.record import Predictions, read_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import MODEL, PREDICTIONS, SELECTED, SNAPSHOTS, TOKENIZERS, RunStore
from softtargets.runs.streams import generator
from softtargets.train.graph import pretraining_of
from softtargets.train.loop import Trainer
from softtargets.train.outputs import DivergedError, OnEpoch, check_outputs
from softtargets.train.processes import Processes
from softtargets.train.teachers import caches_of
from softtargets.train.translations import taught_translations


def train_to_record(
    resolved: ResolvedRun,
    store: RunStore,
    checkpoint_seconds: float,
    processes: Processes | None = None,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Train a run that the store lacks, from its checkpoint if there is one, and add its record to the store.

    The caller holds the run's lock. Every process of a run calls this; the first one writes.

    Args:
        resolved: the run.
        store: the run store.
        checkpoint_seconds: minimum time between checkpoints.
        processes: those that train the run together (default: this one alone).
        on_epoch: called after each epoch with its row of the history.

    Raises:
        DivergedError: if a number is not finite.
        InputError: if the data are not those that the run was planned with.
        RuntimeError: if a run that it needs has failed.
    """
    processes = processes or Processes()
    run = resolved.run
    dataset = load_cached(run.data, str(store.cache))
    if dataset.fingerprint != resolved.fingerprint:
        raise fail("data", f"the content it had when the run was planned ('{run.data.name}')", "other", "run again")
    if (run.model.source(), run.model.weights_fingerprint()) != (resolved.model_source, resolved.weights_fingerprint):
        required = f"the code and the initial weights of '{run.model.name}' when the run was planned"
        raise fail("model", required, "others", "run again")
    observed = observe(run.noise, dataset, generator("noise", run.seeds.noise))
    transition = known_transition(run, dataset) or _estimated_transition(resolved, store)
    teachers = _taught_by(resolved, dataset, store)
    if resolved.init_from is not None:
        _require(resolved.init_from, store, "init_from")
    if resolved.boosted_after is not None:
        _require(resolved.boosted_after, store, "boosted_after")
    if run.objective.translates is not None:
        (teacher,) = (each for each in teachers if isinstance(each, TrainedModel))
        dataset = taught_translations(resolved, dataset, store, teacher)
    folder = store.begin(resolved) if processes.first else store.partial(resolved.identity)
    trainer = Trainer(resolved, dataset, observed, folder, transition, teachers, processes)
    trainer.train(checkpoint_seconds, on_epoch)
    _write_outputs(trainer, observed, folder)
    if processes.first:
        store.finish(resolved.identity, _result(trainer, observed, resolved))


def _write_outputs(trainer: Trainer, observed: ObservedLabels, folder: Path) -> None:
    """Write the weights and the predictions of every split. All processes predict, and the first one writes."""
    first, dataset = trainer.processes.first, trainer.dataset
    predictions = _predictions(trainer, observed)
    if first:
        write_atomically(folder / MODEL, save(_weights(trainer)))
        for tokenizer, name in zip(dataset.tokenizers, TOKENIZERS, strict=False):
            write_atomically(folder / name, tokenizer.content.encode())
        if trainer.snapshots is not None:
            write_atomically(folder / SNAPSHOTS, save(trainer.snapshots.joined()))
    selected = trainer.selection.selected
    if selected is not None:
        last = selected.epoch == trainer.epoch  # then the outputs are the same
        trainer.use_selected()
        for split, rows in _predicted(dataset).items():
            if last:
                outputs = {name: predictions[f"{split}.{name}"].clone() for name in trainer.outputs}
            else:
                outputs = check_outputs(trainer.predict(rows), split, trainer.step)
            predictions.update({f"selected.{split}.{name}": values for name, values in outputs.items()})
        if first:
            write_atomically(folder / SELECTED, save(_weights(trainer)))
    if first:
        write_atomically(folder / PREDICTIONS, save(predictions))


def _predictions(trainer: Trainer, observed: ObservedLabels) -> Predictions:
    """Return what is recorded of the weights after the last step."""
    dataset = trainer.dataset
    predictions: Predictions = {}
    for split, rows in dataset.labelled_splits.items():
        predictions[f"{split}.ids"] = rows
        if not dataset.is_sequence:
            predictions[f"{split}.labels"] = dataset.labels[rows]
            predictions[f"{split}.observed"] = observed.labels[rows]
        if dataset.votes is not None:
            predictions[f"{split}.votes"] = dataset.votes[rows]
    for split, rows in _predicted(dataset).items():
        outputs = check_outputs(trainer.predict(rows), split, trainer.step)
        predictions.update({f"{split}.{name}": values for name, values in outputs.items()})
    if trainer.dynamics is not None:
        rows = dataset.labelled_train
        for name in ("area_under_margin", "forgetting", "early_agreement"):
            predictions[f"train.{name}"] = getattr(trainer.dynamics, name)[rows].contiguous()
    used = trainer.objective.current_transition()
    if used is not None:
        predictions["transition"] = used.double().cpu().contiguous()
    return predictions


def _predicted(dataset: Dataset) -> dict[str, Tensor]:
    """Return the rows of the splits that are predicted: of tokens that a network writes, those it is not trained on."""
    splits = dataset.labelled_splits
    return {split: rows for split, rows in splits.items() if not (dataset.is_sequence and split == "train")}


def _result(trainer: Trainer, observed: ObservedLabels, resolved: ResolvedRun) -> dict[str, Any]:
    dataset, selected = trainer.dataset, trainer.selection.selected
    return {
        "steps": trainer.step,
        "epochs": trainer.epoch,
        "stopped_early": trainer.step < trainer.length.steps,
        "seconds": trainer.seconds,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "noise_rates": observed.rates,
        "selected_epoch": None if selected is None else selected.epoch,
        "data": {
            "name": dataset.name,
            "num_classes": dataset.num_classes,
            "class_names": list(dataset.class_names),
            "input_shape": list(dataset.input_shape),
            # so that the network can be used without the data set
            "preprocessing": trainer.inputs.preprocessing.to_dict(),
            "sizes": {split: len(rows) for split, rows in dataset.splits.items()},
            "class_counts": {} if dataset.is_sequence else dataset.class_counts,
            "unlabelled": dataset.unlabelled_counts,
        },
        "environment": environment(resolved),
    }


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in trainer.final_model.state_dict().items()}


def known_transition(run: RunSpec, dataset: Dataset) -> Transition | None:
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
