"""Specifications of the training loop and of the seeds."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from softtargets._errors import fail, unknown
from softtargets._spec import Positive, Seed, Spec
from softtargets.runs.loggers import LOGGERS
from softtargets.runs.schedules import MAX_EPOCHS, MAX_STEPS

# Fields whose default means the same as leaving them out. It is stored as None, which is no part of a run's identity.
DEFAULTS = {
    "accumulate": 1,
    "devices": 1,
    "sync_batch_norm": False,
    "loggers": (),
    "monitor": "accuracy",
    "average_ramp": False,
}
DEFAULT_BATCH_SIZE = 128


class TrainingSpec(Spec):
    """Length, batch size, precision and other settings of the training loop.

    Every `evaluate_every` epochs the validation split is predicted. The best epoch on its *observed* labels (the first
    one if there are ties) is saved in addition to the last one; best is the highest accuracy, or the lowest NLL if
    `monitor` is "nll". Where labels are votes, these are the accuracy and the NLL against the votes. With `patience`,
    training ends after that many evaluations in a row that are not better than the best one. `dynamics` records how
    each training label was learned; of votes, the most frequent class. Every `snapshot_every` epochs, before the first
    epoch and after the last, the weights are saved.

    With `accumulate`, the gradient of each batch of `batch_size` rows is the sum of the gradients of so many parts of
    it, which need less memory one after the other. The result is that of the whole batch, except that statistics of
    batch normalisation are those of the parts.

    With `devices`, so many processes on this machine train the run together, on a device each (processes on the CPU),
    with `threads` threads each. Each computes its share of the rows of every batch of `batch_size`. The gradient is
    that of the whole batch. Statistics of batch normalisation are those of a process's own rows, and running statistics
    are means over the processes; `sync_batch_norm` (CUDA only) uses those of the whole batch. Each process has its own
    stream of dropout. Sums over processes round differently, so the number of devices is part of a run's identity.

    With `batch_tokens`, which is for rows of tokens and takes the place of `batch_size`, batches are made of rows of
    similar length. The number of rows of a batch times its longest row is at most `batch_tokens`; of sentence pairs,
    this holds for both sides. Batches are drawn again in every epoch.

    With `average_decay`, a running average of the weights is kept, which is the model that is evaluated and saved:
    average <- decay * average + (1 - decay) * weights after every step but the first, which copies the weights. With
    `average_ramp` the decay of step n, counted from 0, is at most 1 - 1 / (n + 1), so that the average is short at
    first (Tarvainen & Valpola 2017, as in their code).

    With `labelled_batch`, which is for data with unlabelled rows, every batch has so many labelled rows. An epoch is
    one pass over the unlabelled rows, in which labelled rows are repeated as often as needed.

    `loggers` names programs that show metrics during training: "tensorboard", "mlflow" or "wandb". They are no part of
    a run's identity.
    """

    epochs: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    steps: Annotated[int, Field(gt=0, le=MAX_STEPS)] | None = None
    batch_size: Annotated[int, Field(gt=0, le=2**20)] = DEFAULT_BATCH_SIZE
    loss_factor: Positive = 1.0
    clip_norm: Positive | None = None
    average_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    average_ramp: bool | None = None
    evaluate_every: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    snapshot_every: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    dynamics: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(gt=0, le=1024)] = 1
    accumulate: Annotated[int, Field(gt=0, le=2**20)] | None = None
    patience: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    monitor: Literal["accuracy", "nll"] | None = None
    devices: Annotated[int, Field(gt=0, le=1024)] | None = None
    sync_batch_norm: bool | None = None
    loggers: tuple[str, ...] | None = None
    batch_tokens: Annotated[int, Field(gt=0, le=2**26)] | None = None
    labelled_batch: Annotated[int, Field(gt=0, le=2**20)] | None = None

    @property
    def cores(self) -> int:
        """Number of threads of all processes of the run."""
        return self.threads * (self.devices or 1)

    @field_validator(*DEFAULTS)
    @classmethod
    def _defaults_are_none(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value == DEFAULTS[str(info.field_name)] else value

    @field_validator("loggers")
    @classmethod
    def _loggers_are_registered(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in LOGGERS:
                raise unknown("loggers", name, LOGGERS)
        return names

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            got = f"epochs={self.epochs}, steps={self.steps}"
            raise fail("training", "either epochs or steps", got, "give one of the two")
        return self

    @model_validator(mode="after")
    def _settings_go_together(self) -> Self:
        if self.evaluate_every is None:
            for key in ("patience", "monitor"):
                if getattr(self, key) is not None:
                    raise fail(key, "given with evaluate_every", getattr(self, key), "add evaluate_every = 1")
        if self.batch_tokens is not None:
            if self.batch_size != DEFAULT_BATCH_SIZE:
                raise fail("batch_tokens", "left out with batch_size", self.batch_tokens, "remove one of the two")
        elif (self.accumulate or 1) > self.batch_size:
            required = f"at most batch_size, which is {self.batch_size}"
            raise fail("accumulate", required, self.accumulate, "give a smaller value")
        if self.labelled_batch is not None and self.batch_tokens is not None:
            raise fail("labelled_batch", "left out with batch_tokens", self.labelled_batch, "remove one of the two")
        if (self.labelled_batch or 0) >= self.batch_size:
            required = f"below batch_size, which is {self.batch_size}"
            raise fail("labelled_batch", required, self.labelled_batch, "give a smaller value")
        if self.average_ramp and self.average_decay is None:
            raise fail("average_ramp", "given with average_decay", True, "add average_decay = 0.999")
        if self.sync_batch_norm and self.devices is None:
            raise fail("sync_batch_norm", "given with devices", True, "add devices = 2, or drop it")
        return self


class Seeds(Spec):
    """One seed per stream of random numbers: changing one does not change the draws of the others."""

    initialisation: Seed = 0
    order: Seed = 0
    augmentation: Seed = 0
    noise: Seed = 0
    method: Seed = 0
    dropout: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _one_number_for_all(cls, data: Any) -> Any:
        if isinstance(data, bool | float | str):
            raise fail("seeds", "a whole number or a table of them", repr(data), "write one number, such as 3")
        if type(data) is not int:
            return data
        if data < 0:
            raise fail("seeds", "at least 0", data, "give a larger value")
        return dict.fromkeys(cls.model_fields, data)
