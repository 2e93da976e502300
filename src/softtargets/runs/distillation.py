"""How a run learns from its teachers, as a specification. Free of torch, for the command line."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative, Positive, Spec
from softtargets.runs.transition_sources import TransitionSource


class CacheSpec(Spec):
    """Teachers that are asked once, before any student, and read from the store by every student after that.

    Of each training example all classes are kept, or the `k` largest, whose `residual` goes to the others evenly or
    nowhere, or as many `draws` from the teacher's probabilities, raised to 1 / `proposal_temperature`.
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
            raise fail("draws", "given with kind = 'sampled'", None, "say how many, such as 50")
        unused = ("k", "residual") if self.kind == "sampled" else ("draws", "proposal_temperature")
        for name in unused:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise fail(name, f"left out with kind = '{self.kind}'", repr(getattr(self, name)), "drop it")
        return self

    def all_of(self, num_classes: int | None = None) -> bool:
        """Say whether all classes are kept, where there are so many of them."""
        return self.kind == "top_k" and self.k in (None, num_classes)


class DistillationSpec(Spec):
    """Distillation from the run's teachers: `weight` times their term, and `label_weight` times cross entropy.

    Without `label_weight` that is 1 - weight, and 1 beside "decoupled" and "relational". "kl" is the divergence between
    softened probabilities, times the product of both temperatures where `scale` is "squared"; "squared" is half the
    squared distance of logits. `standardized` logits are z-scored first, on both sides. `smoothing` mixes the teachers'
    probabilities with uniform ones, and a `transition` corrects the student's side: label smoothing and forward
    correction on the student of Lukasik et al. 2020, Table 6, as we read them. With a `cache` the teachers are asked
    once for all students; of classes that are left out, or drawn, the cross entropy is minimised, which differs from
    the divergence by a constant.
    """

    name: Literal["distillation"] = "distillation"
    loss: Literal["kl", "squared", "decoupled", "relational"] = "kl"
    weight: NonNegative = 1.0
    label_weight: NonNegative | None = None
    temperature: Positive = 1.0
    student_temperature: Positive | None = None
    scale: Literal["squared", "none"] = "squared"
    standardized: bool = False
    smoothing: Fraction = 0.0
    transition: TransitionSource | None = None
    source: Literal["runs", "average"] = "runs"
    cache: CacheSpec | None = None

    @property
    def share_of_labels(self) -> float:
        """What the cross entropy with the labels is multiplied by."""
        if self.label_weight is not None:
            return self.label_weight
        return 1 - self.weight if self.loss in ("kl", "squared") else 1.0

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        if self.label_weight is None and self.weight > 1 and self.loss in ("kl", "squared"):
            raise fail("weight", "at most 1 without label_weight", f"{self.weight:g}", "give label_weight too")
        return self

    @model_validator(mode="after")
    def _settings_belong_to_the_loss(self) -> Self:
        if self.loss == "kl":
            return self
        for name in ("student_temperature", "standardized", "smoothing", "transition"):
            if getattr(self, name):
                raise fail(name, f"nothing with loss = '{self.loss}'", getattr(self, name), "drop it or use 'kl'")
        if self.scale != "squared":
            raise fail("scale", f"left out with loss = '{self.loss}'", f"'{self.scale}'", "drop it or use 'kl'")
        if self.loss == "squared" and self.temperature != 1:
            raise fail("temperature", "1 with loss = 'squared'", f"{self.temperature:g}", "drop it or use 'kl'")
        return self

    @model_validator(mode="after")
    def _cache_holds_what_is_needed(self) -> Self:
        if self.cache is None:
            return self
        if self.source == "average":
            remedy = "drop the cache: a running average answers otherwise after every step"
            raise fail("cache", "none with source = 'average'", "one", remedy)
        if self.loss == "squared":
            remedy = "drop the cache, which keeps probabilities and no logits, or use another loss"
            raise fail("cache", "none with loss = 'squared'", "one", remedy)
        if not self.cache.all_of():
            got = "draws" if self.cache.kind == "sampled" else "fewer"
            if self.loss != "kl":
                remedy = "use 'top_k' without k, or the loss 'kl'"
                raise fail("cache", f"one of all classes with loss = '{self.loss}'", got, remedy)
            for name in ("standardized", "smoothing", "transition"):
                if getattr(self, name):
                    remedy = "use 'top_k' without k, or drop that"
                    raise fail("cache", f"one of all classes with {name}", got, remedy)
        return self
