"""Training one run in several processes, each on a device of its own, started by Lightning Fabric."""

import logging
import multiprocessing
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from softtargets import _packages
from softtargets._errors import fail
from softtargets.runs.machine import quiet_machine
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.outputs import DivergedError, OnEpoch
from softtargets.train.processes import Processes
from softtargets.train.training import train_to_record

_GUARDED = 'put the call under if __name__ == "__main__":'
# New processes import this module before Fabric announces them.
for _name in ("distributed", "rank_zero"):
    logging.getLogger(f"lightning_fabric.utilities.{_name}").setLevel(logging.WARNING)


def check_devices(run: RunSpec, backend: str) -> None:
    """Require what training on several devices needs.

    Raises:
        InputError: if a package, or a device, is missing; if the script that trains is being imported by one of the
            processes that it has started, which would wait for the run that it trains itself.
    """
    count = run.training.devices or 1
    if count > 1 and getattr(multiprocessing.current_process(), "_inheriting", False):  # as in multiprocessing.spawn
        required = "a script that can be imported without training, since new processes import it"
        raise fail("training.devices", required, "one that trains", _GUARDED)
    if count > 1 and not _packages.is_installed("lightning_fabric"):
        raise _packages.missing("lightning_fabric", "training.devices", "softtargets[distributed]")
    if backend == "cuda" and count > torch.cuda.device_count():
        required = f"at most {torch.cuda.device_count()}, the CUDA devices of this machine"
        raise fail("training.devices", required, count, "give a smaller number, or use device = 'cpu'")
    if run.training.sync_batch_norm and backend != "cuda":
        remedy = "drop it, or use device = 'cuda'"
        raise fail("training.sync_batch_norm", "false on the CPU, for which torch has none", True, remedy)


def train_on_devices(
    resolved: ResolvedRun, store: RunStore, checkpoint_seconds: float, on_epoch: OnEpoch | None = None
) -> None:
    """Train a run on its devices and add its record to the store; see :func:`train_to_record`.

    Raises:
        DivergedError: if a number is not finite.
        RuntimeError: if a process was killed or raised an error. The run can be resumed.
    """
    count = resolved.run.training.devices or 1
    if count == 1:
        with quiet_machine(resolved.run.training.threads):
            train_to_record(resolved, store, checkpoint_seconds, on_epoch=on_epoch)
        return
    check_devices(resolved.run, resolved.backend)
    # serialised, since classes of a registry of the caller may be unknown to a new process
    arguments = (resolved.model_dump_json(), str(store.folder), checkpoint_seconds)
    try:
        with _environment_restored(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Fabric, about settings that are meant
            diverged = _fabric(count, resolved.backend).launch(_train_in_process, *arguments)
    except ProcessExitedException as error:
        got = f"process {error.error_index + 1} ended by {error.signal_name or f'exit code {error.exit_code}'}"
        remedy = "run again to go on from the last checkpoint; SIGKILL often means too little memory"
        if error.signal_name is None:
            remedy = f"its output says why; in a script, {_GUARDED}"
        raise RuntimeError(f"devices: {count} processes that train to the end; got {got}; {remedy}") from None
    except ProcessRaisedException as error:
        said = str(error).strip().splitlines()[-1]
        got = f"an error in process {error.error_index + 1}: {said}"
        raise RuntimeError(f"devices: {count} processes that train to the end; got {got}") from error
    if diverged is not None:
        raise DivergedError(diverged)


def _fabric(count: int, backend: str) -> Any:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    # new processes of this machine, also where a cluster's scheduler or torchrun has set its variables
    strategy = DDPStrategy(start_method="spawn", cluster_environment=LightningEnvironment())
    return Fabric(accelerator=backend, devices=count, strategy=strategy)


@contextmanager
def _environment_restored() -> Iterator[None]:
    """Remove the variables that Fabric sets, such as its port, so that another run chooses its own."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _train_in_process(fabric: Any, specification: str, folder: str, checkpoint_seconds: float) -> str | None:
    """Train in one of the processes. Return the message if a number was not finite, which all processes find."""
    resolved = ResolvedRun.model_validate_json(specification)
    with quiet_machine(resolved.run.training.threads):
        try:
            train_to_record(resolved, RunStore(folder), checkpoint_seconds, Processes(fabric))
        except DivergedError as error:
            return str(error)
    return None
