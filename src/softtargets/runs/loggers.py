"""Programs that show metrics during training. They are no part of a run's identity and do not change its numbers."""

import json
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from softtargets import _packages


class Logger(ABC):
    """Writes metrics of one run.

    Args:
        store: folder of the run store, where files are written.
        identity: of the run.
        specification: its content, as nested tables.
        step: the steps that are done; later ones that an interrupted run has written are replaced or written again.
    """

    package: ClassVar[str]
    extra: ClassVar[str]

    def __init__(self, store: Path, identity: str, specification: dict[str, Any], step: int) -> None:
        """Begin, or go on."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write metrics after a number of steps."""

    @abstractmethod
    def close(self, finished: bool) -> None:
        """Write what is left; `finished` says whether the run reached its end."""


LOGGERS: dict[str, type[Logger]] = {}
Registered = TypeVar("Registered", bound=type[Logger])


def logger(name: str) -> Callable[[Registered], Registered]:
    """Register the decorated class as the logger that ``training.loggers`` selects."""

    def add(kind: Registered) -> Registered:
        LOGGERS[name] = kind
        return kind

    return add


@logger("tensorboard")
class TensorBoard(Logger):
    """Event files in ``<store>/tensorboard/<identity>``, which ``tensorboard --logdir <store>/tensorboard`` shows."""

    package, extra = "tensorboard", "tensorboard"

    def __init__(self, store: Path, identity: str, specification: dict[str, Any], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = store / "tensorboard" / identity
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        if step == 0:
            # shown as Markdown
            self._writer.add_text("specification", f"```json\n{json.dumps(specification, indent=2)}\n```")

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, finished: bool) -> None:
        self._writer.close()


@logger("mlflow")
class MLflow(Logger):
    """A run of the experiment "softtargets", at ``MLFLOW_TRACKING_URI`` (default: files in ``<store>/mlflow``).

    A run that is resumed goes on in the same run of MLflow, which is found by its tag `softtargets.identity`.
    """

    package, extra = "mlflow", "mlflow"

    def __init__(self, store: Path, identity: str, specification: dict[str, Any], step: int) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri is None:
            uri = (store / "mlflow").absolute().as_uri()
            # MLflow recommends a database instead of files, which needs more than the small package
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

        self._client: Any = MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name("softtargets")
        number = self._client.create_experiment("softtargets") if experiment is None else experiment.experiment_id
        query = f"tags.`softtargets.identity` = '{identity}'"
        known = self._client.search_runs([number], query) if step else []
        if known:
            self._run = known[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        tags = {"softtargets.identity": identity}
        name = _title(identity, specification)
        self._run = self._client.create_run(number, tags=tags, run_name=name).info.run_id
        for key, value in _flat(specification):
            self._client.log_param(self._run, key, value)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self._run, "FINISHED" if finished else "FAILED")


@logger("wandb")
class WandB(Logger):
    """A run of the project "softtargets" of Weights & Biases, with files in ``<store>/wandb``.

    ``WANDB_MODE`` and W&B's other settings apply. Without an API key nothing is sent and nobody is asked for one: the
    run is offline, and ``wandb sync`` sends it later. A run that is resumed has the same id in W&B.
    """

    package, extra = "wandb", "wandb"

    def __init__(self, store: Path, identity: str, specification: dict[str, Any], step: int) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        mode = os.environ.get("WANDB_MODE", "online")
        if mode == "online" and wandb.run is not None:  # a run of the caller, beside which W&B does not log in
            mode = "offline" if wandb.run.offline else "online"
        elif mode == "online" and not wandb.login(prompt=False, verify=False):
            mode = "offline"
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "softtargets"),
            id=identity,
            name=_title(identity, specification),
            config=specification,
            dir=str(store),
            mode=mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


def _title(identity: str, specification: dict[str, Any]) -> str:
    """Return a name for people."""
    return f"{specification['model']['name']} {specification['objective']['name']} {identity[:8]}"


def _flat(content: Any, path: str = "") -> list[tuple[str, str]]:
    """Return the values of nested tables by their path."""
    if not isinstance(content, dict):
        return [(path, str(content)[:500])]
    return [pair for key, value in content.items() for pair in _flat(value, f"{path}.{key}" if path else key)]


def check_loggers(names: tuple[str, ...] | None) -> None:
    """Require the packages of loggers.

    Raises:
        InputError: naming the first one that is missing.
    """
    for name in names or ():
        kind = LOGGERS[name]
        if not _packages.is_installed(kind.package):
            raise _packages.missing(kind.package, "training.loggers", f"softtargets[{kind.extra}]")


class Loggers:
    """The loggers of a run. One that fails is left out from then on, with a warning: it must not end the training.

    Args:
        names: of the loggers; None: none.
        store, identity, specification, step: as of :class:`Logger`.
    """

    def __init__(
        self,
        names: tuple[str, ...] | None = None,
        store: Path = Path(),
        identity: str = "",
        specification: dict[str, Any] | None = None,
        step: int = 0,
    ) -> None:
        self._open: dict[str, Logger] = {}
        for name in names or ():
            made = self._tried(name, partial(LOGGERS[name], store, identity, specification or {}, step))
            if made is not None:
                self._open[name] = made

    def __bool__(self) -> bool:
        return bool(self._open)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write metrics after a number of steps."""
        for name, one in list(self._open.items()):
            self._tried(name, partial(one.log, values, step))

    def close(self, finished: bool) -> None:
        """Write what is left."""
        for name, one in list(self._open.items()):
            self._tried(name, partial(one.close, finished))
        self._open.clear()

    def _tried(self, name: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:
            self._open.pop(name, None)
            warnings.warn(f"loggers: '{name}' has failed and is left out: {error}", RuntimeWarning, stacklevel=2)
            return None
