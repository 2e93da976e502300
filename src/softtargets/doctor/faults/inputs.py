"""Faults of what the network returns: logits taken for probabilities, and losses that are not used."""

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.faults.registry import Effect, Fault, fault


@fault(
    "logits-as-probabilities",
    affects="target",
    libraries={"torch": "", "keras": ""},
    reads=("inputs",),
)
class LogitsAsProbabilities(Fault):
    """Logits are accepted where probabilities or their logarithms are required."""

    def find(self, c: Criterion) -> Effect | None:
        if c.inputs == "logits":
            return None
        condition = "if the network has no (log-)softmax at its end"
        if c.inputs == "log-probabilities":
            effect = "The loss of logits is not normalised and has no minimum; torch raises no error."
            remedy = "use softtargets.nn.CrossEntropyLoss, which takes logits"
            return Effect(effect, remedy, condition)
        if c.kind == "sigmoid":
            effect = "Logits are clipped to [0, 1]: those outside have gradient 0, and no error is raised."
            return Effect(
                effect, "write from_logits=True and leave out the sigmoid", "if the network has no sigmoid at its end"
            )
        effect = "Logits are divided by their sum and clipped: the loss is wrong, and no error is raised."
        return Effect(effect, "write from_logits=True and leave out the softmax", condition)


@fault(
    "unused-binary-loss",
    affects="target",
    libraries={"timm": "<1.0.31"},
    reads=("notes",),
)
class UnusedBinaryLoss(Fault):
    """--bce-loss is ignored without smoothing and mixing."""

    def find(self, c: Criterion) -> Effect | None:
        if not any("--bce-loss has no effect" in note for note in c.notes):
            return None
        effect = "The network is trained with softmax cross entropy."
        return Effect(effect, "give a small --smoothing, or use losses.binary_cross_entropy")


@fault(
    "forgotten-temperature",
    affects="gradient",
    libraries={"torch": ""},
    reads=("kind",),
)
class ForgottenTemperature(Fault):
    """The gradient of a distillation loss at temperature T is 1/T^2 of that at temperature 1."""

    def find(self, c: Criterion) -> Effect | None:
        if c.kind != "divergence":
            return None
        remedy = "multiply by T^2, or use distill.kd_loss, which does"
        return Effect("KLDivLoss knows no temperature.", remedy, "if logits were divided by a temperature")
