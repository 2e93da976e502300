"""Specification of a cache of teacher outputs."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Positive, Spec


class CacheSpec(Spec):
    """Teachers are queried once, before any student; every student reads their outputs from the store.

    For each training example the cache keeps all classes, the `k` most probable ones, or `draws` samples. With top_k
    the remaining mass, the `residual`, is spread uniformly over the other classes, dropped, or compared as a whole with
    the student's probability of these classes ("ghost"). Samples are drawn from the teacher's probabilities raised to
    1 / `proposal_temperature`.
    """

    kind: Literal["top_k", "sampled"] = "top_k"
    k: Annotated[int, Field(gt=0)] | None = None
    draws: Annotated[int, Field(gt=0)] | None = None
    residual: Literal["uniform", "drop", "ghost"] = "uniform"
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

    @model_validator(mode="after")
    def _ghost_stands_for_some(self) -> Self:
        if self.residual == "ghost" and self.k is None:
            raise fail("residual", "'uniform' or 'drop' without k", "'ghost'", "give k, or drop the residual")
        return self

    def settings(self) -> dict[str, Any]:
        """Return what determines the content of the cache; a ghost class is made from dropped mass."""
        return {**self.model_dump(), "residual": "drop" if self.residual == "ghost" else self.residual}

    def all_of(self, num_classes: int | None = None) -> bool:
        """Return whether all of `num_classes` classes are kept."""
        return self.kind == "top_k" and self.k in (None, num_classes)
