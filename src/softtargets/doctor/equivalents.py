"""The same training with this package: Python code, and tables of a specification."""

import json

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.results import Equivalent
from softtargets.targets import convert_smoothing

OF_ELEMENTS = "torch returns one number for each example and class; this is their sum over classes."


def equivalent_of(criterion: Criterion) -> Equivalent:
    """Return code that trains with the target that the configuration asks for, without the faults."""
    if criterion.kind == "divergence":
        return _divergence(criterion)
    make = _sigmoid if criterion.kind == "sigmoid" else _focal if criterion.gamma is not None else _softmax
    code, same, note = make(criterion)
    toml, toml_note = _toml(criterion)
    return Equivalent(code, None if same == code else same, toml, note, toml_note)


def _divergence(c: Criterion) -> Equivalent:
    given, teacher = ("log_probs", "log_probs") if c.log_targets else ("probs", "probs.log()")
    call = f"distill.kd_loss(logits, {teacher}, reduction='{c.reduction}')"

    def script(value: str) -> str:
        return _script("from softtargets import distill", "", "", f"def loss(logits, {given}):", f"    return {value}")

    note = "It takes logits (N, K), and targets that sum to 1."
    if c.reduction == "none":
        note += f" {OF_ELEMENTS}"
    same = script(f"{call} / logits.shape[-1]") if c.over_classes == "mean" else None
    return Equivalent(script(call), same, note=note)


def _softmax(c: Criterion) -> tuple[str, str | None, str | None]:
    if c.mixing is not None:
        return _mixed(c), None, None
    if c.library == "transformers" and c.smoothing >= 0:
        return (
            _of_trainer(c),
            None,
            "Pass it to Trainer(compute_loss_func=loss), from transformers 4.46 on; shift=True for causal language "
            "models.",
        )
    same = _module(c, exact=True)
    note = "It takes logits." if c.inputs != "logits" else None
    if c.given_smoothing < 0:
        unbounded = "The loss is unbounded below; train with cross entropy first."
        return _negative_smoothing(c), same if c.smoothing == 0 else None, unbounded
    if c.ignored_class is not None and c.smoothing > 0:
        constant = "The value is the cross entropy, whose gradient is the same." if c.spares_padding else None
        return _module(c, exact=False, prior=True), None if c.spares_padding else same, constant
    return _module(c, exact=False), same, note


def _module(c: Criterion, *, exact: bool, prior: bool = False) -> str:
    """Return a module; `exact` asks for torch's class weights, `prior` for no smoothing of the ignored class."""
    smoothing, convention = c.smoothing, c.convention
    lines = ["import torch"] if c.weight is not None or prior else []
    lines += ["from softtargets import nn", ""]
    if prior:
        size = c.num_classes - 1
        if convention != "all":
            smoothing = float(convert_smoothing(smoothing, num_classes=size, source="others"))
        convention = "all"
        lines += [f"prior = torch.full(({c.num_classes},), 1 / {size})", f"prior[{c.ignored_class}] = 0"]
    arguments = {
        "weight": None if c.weight is None else f"torch.tensor({list(c.weight)})",
        "ignore_index": None if c.ignored in (None, -100) else str(c.ignored),
        "reduction": None if c.reduction == "mean" else f"'{c.reduction}'",
        "label_smoothing": f"{smoothing:.10g}" if smoothing > 0 else None,
        "prior": "prior" if prior else None,
        "convention": f"'{convention}'" if smoothing > 0 and convention != "all" else None,
        "weighting": "'torch'" if exact and c.weight is not None else None,
    }
    given = ", ".join(f"{name}={value}" for name, value in arguments.items() if value is not None)
    return _script(*lines, f"loss = nn.CrossEntropyLoss({given})")


def _smoothing_call(c: Criterion, labels: str) -> str:
    """Return a call of `targets.smooth`."""
    convention = "all" if c.convention == "all" else "others"
    arguments = [labels, f"{c.given_smoothing:g}", f"num_classes={c.num_classes}"]
    if convention != "all":
        arguments.append(f"convention='{convention}'")
    if c.given_smoothing < 0:
        arguments.append("allow_negative=True")
    if c.ignored not in (None, -100):
        arguments.append(f"ignore_index={c.ignored}")
    return f"targets.smooth({', '.join(arguments)})"


def _negative_smoothing(c: Criterion) -> str:
    weight = "" if c.weight is None else f"weight=torch.tensor({list(c.weight)}), "
    lines = ["import torch"] if c.weight is not None else []
    lines += ["from softtargets import nn, targets", ""]
    lines += [f"criterion = nn.CrossEntropyLoss({weight}reduction='{c.reduction}')", ""]
    body = f"    return criterion(logits, {_smoothing_call(c, 'labels')})"
    return _script(*lines, "", "def loss(logits, labels):", body)


def _of_trainer(c: Criterion) -> str:
    smoothing = f", label_smoothing={c.smoothing:g}" if c.smoothing else ""
    lines = ("from softtargets.integrations import transformers", "")
    return _script(*lines, f"loss = transformers.loss('cross_entropy', shift=False{smoothing})")


def _focal(c: Criterion) -> tuple[str, str | None, str | None]:
    smoothing = _smoothing_call(c, "labels") if c.smoothing else "labels"
    start = ["import torch", "from softtargets import losses, targets", ""]
    each = f"losses.focal_loss(logits, {smoothing}, gamma={c.gamma:g})"
    assert c.weight is not None
    note = "It takes logits." if c.inputs != "logits" else None
    if not c.weights_differ:
        used = ["from softtargets import losses, targets" if c.smoothing else "from softtargets import losses", ""]
        total = each.replace(f"gamma={c.gamma:g}", f"gamma={c.gamma:g}, reduction='{c.reduction}'")
        code = _script(*used, "", "def loss(logits, labels):", f"    return {total}")
        same = _script(*used, "", "def loss(logits, labels):", f"    return {c.weight[0]:g} * {total}")
        return code, code if c.weight[0] == 1 else same, note
    weight = f"weight = torch.tensor({list(c.weight)})"
    body = f"    return losses.reduce({each}, '{c.reduction}', weight=targets.example_weights(labels, weight))"
    code = _script(*start, weight, "", "", "def loss(logits, labels):", body)
    inside = f"targets.reweight({smoothing}, weight)"
    body = f"    return losses.focal_loss(logits, {inside}, gamma={c.gamma:g}, reduction='{c.reduction}')"
    return code, _script(*start, weight, "", "", "def loss(logits, labels):", body), note


def _sigmoid(c: Criterion) -> tuple[str, str | None, str | None]:
    if c.mixing is not None:
        return _mixed(c), None, _not_expressed(c)
    given = c.library == "timm"  # class numbers; the others take 0 or 1 for every class
    lines = ["import torch" if given else "", "from softtargets import losses", "", ""]
    settings = f"smoothing={max(c.smoothing, 0):g}, convention='{_binary_convention(c)}', reduction='{c.reduction}'"
    target = f"torch.nn.functional.one_hot(labels, {c.num_classes})" if given else "labels"
    call = f"losses.binary_cross_entropy(logits, {target}, {settings})"
    head = "def loss(logits, labels):"
    code = _script(*lines, head, f"    return {call}")
    missing = _not_expressed(c)
    same = _script(*lines, head, f"    return {call} / logits.shape[-1]") if c.over_classes == "mean" else code
    notes = [] if missing is None else [missing]
    if c.inputs != "logits":
        notes.append("It takes logits.")
    if c.num_classes == 1:
        notes.append("Logits and labels are (N, 1).")
    if c.over_classes == "none":
        notes.append(OF_ELEMENTS)
    return code, None if missing or c.over_classes == "none" else same, " ".join(notes) or None


def _binary_convention(c: Criterion) -> str:
    return "binary" if c.convention == "binary" else "all"


def _not_expressed(c: Criterion) -> str | None:
    found = {
        "weights of classes": c.weight is not None,
        "weights of the positive term": c.positive_weight is not None,
        "the threshold": c.threshold is not None,
        "negative smoothing": c.smoothing < 0,
    }
    named = [what for what, there in found.items() if there]
    return f"Not expressed: {', '.join(named)}." if named else None


def _mixed(c: Criterion) -> str:
    call = _smoothing_call(c, "labels")
    function = "binary_cross_entropy" if c.kind == "sigmoid" else "cross_entropy"
    return _script(
        "from softtargets import losses, targets",
        "",
        "",
        "def loss(logits, labels, weight):  # weight of each example's own label; inputs are mixed with inputs.flip(0)",
        f"    own = {call}",
        f"    other = {call.replace('labels', 'labels.flip(0)', 1)}",
        f"    return losses.{function}(logits, targets.mix(own, other, weight), reduction='{c.reduction}')",
    )


def _toml(c: Criterion) -> tuple[str | None, str | None]:
    """Return tables of a specification, and what they do not express or why there are none."""
    if c.kind != "softmax":
        return None, None
    table = _objective(c)
    if table is None:
        return None, "No objective of `softtargets train` is the same."
    lines = ["[objective]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    if c.accumulate is not None and c.accumulate > 1:
        lines += ["", "[training]", f"accumulate = {c.accumulate}"]
    return "\n".join(lines) + "\n", _not_in_toml(c)


def _not_in_toml(c: Criterion) -> str | None:
    missing = []
    if c.ignored not in (None, -100):
        missing.append(f"labels equal to {c.ignored}, which the loss leaves out: remove them from the data")
    if c.reduction != "mean" and c.division == "nothing":
        missing.append(f"reduction='{c.reduction}': training uses the mean over the examples")
    if c.division == "sentences":
        missing.append("the division by sequences: training uses the mean over the labels")
    return f"It does not express {'; '.join(missing)}." if missing else None


def _objective(c: Criterion) -> dict[str, object] | None:
    padding = c.ignored_class is not None or c.padding is not None
    smoothing = {"smoothing": c.smoothing} if c.smoothing else {}
    if padding and c.smoothing:
        return None
    if c.given_smoothing < 0:
        return None if c.weight is not None or c.mixing is not None else _negative(c)
    if c.mixing is not None:
        return _mixing_objective(c, smoothing)
    if c.gamma is not None:
        return None if c.smoothing or c.weights_differ else {"name": "focal", "gamma": c.gamma}
    if c.weight is not None:
        usable = all(weight >= 0 for weight in c.weight) and any(c.weight)
        return {"name": "class_weights", "weights": list(c.weight), **smoothing} if usable else None
    return {"name": "cross_entropy", **smoothing}


def _negative(c: Criterion) -> dict[str, object] | None:
    return {"name": "negative_smoothing", "smoothing": c.given_smoothing} if c.convention == "all" else None


def _mixing_objective(c: Criterion, smoothing: dict[str, float]) -> dict[str, object] | None:
    mixing = c.mixing
    if mixing is None or (mixing.mixup and mixing.cutmix) or mixing.probability < 1:
        return None
    name, concentration = ("mixup", mixing.mixup) if mixing.mixup else ("cutmix", mixing.cutmix)
    per_example = {"per_example": True} if mixing.per_example else {}
    return {"name": name, "concentration": concentration, **smoothing, **per_example}


def _script(*lines: str) -> str:
    text = "\n".join(lines).strip("\n")
    return f"{text}\n"
