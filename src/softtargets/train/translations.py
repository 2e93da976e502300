"""A teacher's translations of the training sources, which a student learns instead of the references."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from softtargets._storage import UnfitFileError, open_regular, write_atomically
from softtargets.data.dataset import Dataset
from softtargets.data.tokens import TokenRows
from softtargets.models.decoding import Search, translate_rows
from softtargets.runs.network import TrainedModel
from softtargets.runs.spec import ResolvedRun, canonical_json
from softtargets.runs.store import RunStore

_FILE = "translations.safetensors"


def taught_translations(resolved: ResolvedRun, dataset: Dataset, store: RunStore, teacher: TrainedModel) -> Dataset:
    """Return a data set in which the teacher's translations of the training sources take the place of the targets.

    They are kept in the store, for all students of the teacher. A translation that is as long as allowed has no end
    token. The other splits keep their references.

    Args:
        resolved: the student, whose objective says how the teacher searches.
        dataset: sentence pairs.
        store: the run store.
        teacher: the trained network.
    """
    settings = resolved.run.objective.translates
    assert settings is not None
    assert dataset.outputs is not None
    told = {"search": vars(settings), "teacher": teacher.resolved.identity, "data": resolved.fingerprint}
    # the last bits of a score may depend on where it was computed
    place = {"backend": resolved.backend, "threads": resolved.run.training.threads}
    folder = store.teacher(canonical_json({**told, **place}))
    with store.lock(f"teachers-{folder.name}", wait=True):
        found = _read(folder / _FILE)
        if found is None:
            found = _translated(dataset, teacher, settings, torch.device(resolved.backend))
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / _FILE, save({"values": found.values, "ends": found.ends}))
    rows: list[Any] = [dataset.outputs.row(row).numpy() for row in range(len(dataset.outputs))]
    for number, row in enumerate(dataset.splits["train"].tolist()):
        rows[row] = found.row(number).numpy()
    return replace(dataset, outputs=TokenRows.of(rows))


def _translated(dataset: Dataset, teacher: TrainedModel, settings: Search, device: torch.device) -> TokenRows:
    network: Any = teacher.to(device).network
    assert dataset.tokenizer is not None
    outputs = translate_rows(network, dataset.inputs[dataset.splits["train"]], dataset.tokenizer.pad, settings)
    return TokenRows.of((*output.ids, network.eos) if output.finished else output.ids for output in outputs)


def _read(path: Path) -> TokenRows | None:
    try:
        open_regular(path).close()
        tensors: dict[str, Tensor] = load_file(path)
        return TokenRows(tensors["values"], tensors["ends"])
    except (OSError, UnfitFileError, SafetensorError, KeyError):
        return None
