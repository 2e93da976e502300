"""Specification of a cache of teacher outputs."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Positive, Spec


class CacheSpec(Spec):
    """Teachers are queried once, before any student; every student reads their outputs from the store.

    For each training example the cache keeps all classes, the `k` most probable ones, or `draws` samples. With top_k
    the remaining mass, the `residual`, is spread uniformly over the other classes or dropped. Samples are drawn from
    the teacher's probabilities raised to 1 / `proposal_temperature`.
    """

    kind: Literal["top_k", "sampled"] = "top_k"
    k: Annotated[int, Field(gt=0)] | None = None
    draws: Annotated[int, Field(gt=0)] | None = None
    residual: Literal["uniform", "drop"] = "uniform"
    proposal_temperature: Positive = 1.0
    dtype: Literal["float16", "float32"] = "float16"

    @model_validator(mode="after")
    def _settings_belong_to_the_kind(self) -> Self:
        if self.kind == "sampled" and self.draws is None:
            raise fail("draws", "required with kind = 'sampled'", None, "give a number, such as 50")
        unused = ("k", "residual") if self.kind == "sampled" else ("draws", "proposal_temperature")
        for name in unused:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise fail(name, f"left out with kind = '{self.kind}'", repr(getattr(self, name)), "drop it")
        return self

    def all_of(self, num_classes: int | None = None) -> bool:
        """Return whether all of `num_classes` classes are kept."""
        return self.kind == "top_k" and self.k in (None, num_classes)
