"""Specifications of the optimiser."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import field_validator, model_validator

from softtargets._errors import fail, unknown
from softtargets._spec import NonNegative, Positive, Share, Spec
from softtargets.runs.update_rules import UPDATE_RULES, Settings


class GroupSpec(Spec):
    """Settings for parameters whose names match a shell-style pattern. The first matching group applies.

    With a `learning_rate` of 0 the parameters keep their initial values.
    """

    match: str
    learning_rate: NonNegative | None = None
    weight_decay: NonNegative | None = None


class OptimizerSpec(Spec):
    """SGD, Adam, AdamW, RMSProp, LARS or LAMB.

    `momentum` is also beta1 of Adam, AdamW and LAMB. `second_momentum` (beta2 of these three, default 0.999; alpha of
    RMSProp, default 0.99) and `eps` (default 1e-8; 1e-6 for LAMB) belong to rules with a running mean of squared
    gradients, `trust_coefficient` (default 0.001) to LARS. LARS and LAMB do not adapt the rate of biases and of the
    parameters of normalisation; their weight decay is set by `groups`.
    """

    name: str = "sgd"
    learning_rate: Positive = 0.1
    momentum: Share = 0.9
    dampening: Share = 0.0
    nesterov: bool = False
    weight_decay: NonNegative = 0.0
    groups: tuple[GroupSpec, ...] = ()
    second_momentum: Share | None = None
    eps: Positive | None = None
    trust_coefficient: Positive | None = None

    @field_validator("name")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        if name not in UPDATE_RULES:
            raise unknown("name", name, UPDATE_RULES)
        return name

    @model_validator(mode="after")
    def _settings_belong_to_the_rule(self) -> Self:
        for key, value, unset in self._given():
            if key not in UPDATE_RULES[self.name].uses:
                others = [name for name, rule in UPDATE_RULES.items() if key in rule.uses]
                raise fail(key, f"{unset} with {self.name}", value, f"drop it or use {' or '.join(others)}")
        return self

    def _given(self) -> Iterator[tuple[str, Any, str]]:
        """Yield each setting that is given, its value, and what the specification of another rule must have."""
        if self.nesterov:
            yield "nesterov", True, "false"
        if self.dampening != 0:
            yield "dampening", f"{self.dampening:g}", "0"
        for key in ("second_momentum", "eps", "trust_coefficient"):
            if getattr(self, key) is not None:
                yield key, f"{getattr(self, key):g}", "not given"

    @model_validator(mode="after")
    def _nesterov_is_defined(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            got = f"momentum={self.momentum:g}, dampening={self.dampening:g}"
            raise fail(
                "nesterov",
                "momentum above 0 and no dampening",
                got,
                "use nesterov = false, or momentum without dampening",
            )
        return self

    def settings(self) -> Settings:
        """Return the settings that all groups share, with the defaults of the rule."""
        own = {key: getattr(self, key) for key in ("second_momentum", "eps", "trust_coefficient")}
        given = {key: value for key, value in own.items() if value is not None}
        settings: dict[str, Any] = {**UPDATE_RULES[self.name].defaults, **given}
        return Settings(self.momentum, self.dampening, self.nesterov, **settings)
