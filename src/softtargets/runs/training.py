"""Specifications of the training loop and of the seeds."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Positive, Seed, Spec
from softtargets.runs.schedules import MAX_EPOCHS, MAX_STEPS


class TrainingSpec(Spec):
    """Length, batch size, precision and other settings of the training loop.

    Every `evaluate_every` epochs the validation split is predicted; the epoch with the best accuracy on its *observed*
    labels (the first one if there are ties) is saved in addition to the last one. `dynamics` records how each training
    label was learned. Every `snapshot_every` epochs, before the first epoch and after the last, the weights are saved.
    """

    epochs: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    steps: Annotated[int, Field(gt=0, le=MAX_STEPS)] | None = None
    batch_size: Annotated[int, Field(gt=0, le=2**20)] = 128
    loss_factor: Positive = 1.0
    clip_norm: Positive | None = None
    average_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    evaluate_every: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    snapshot_every: Annotated[int, Field(gt=0, le=MAX_EPOCHS)] | None = None
    dynamics: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(gt=0, le=1024)] = 1

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            got = f"epochs={self.epochs}, steps={self.steps}"
            raise fail("training", "either epochs or steps", got, "give one of the two")
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
