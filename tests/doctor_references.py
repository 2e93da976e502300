"""Computes `doctor/references.json` with the real libraries, which are no dependencies of the tests.

    python tests/doctor_references.py FOLDER

The environment has keras 3.15.1, timm 1.0.31 with torchvision 0.28.0, and torch 2.13. FOLDER holds what was unpacked of
`fairseq-0.12.2.tar.gz`, `OpenNMT_py-2.3.0` (the folder `onmt2.3.0`) and `transformers-5.14.1` (`transformers5.14.1`),
from whose files single definitions are taken.
"""

import ast
import importlib
import inspect
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision_operators import define_operators

K, LABELS = 4, (0, 3, 2, 0, 3, 2)
PLACE = Path(__file__).parent / "doctor" / "references.json"
SHARES = (0.7, 0.25)
KERAS_LOSSES = (
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "BinaryCrossentropy",
)

Loss = Callable[[Tensor, Tensor], Tensor]


def batch() -> tuple[Tensor, Tensor]:
    """Return fixed logits (6, 4) in float64, and labels."""
    return torch.arange(len(LABELS) * K, dtype=torch.float64).mul(1.7).sin().mul(2).view(-1, K), torch.tensor(LABELS)


def _masked() -> tuple[Tensor, Tensor]:
    """Return logits (1, K), of which that of class 2 is -inf, and the label 0."""
    return torch.tensor([[1.0, 2.0, -math.inf, 0.0]], dtype=torch.float64), torch.tensor([0])


def measured(loss: Loss, link: str = "softmax", labels: Tensor | None = None) -> dict[str, Any]:
    """Return the loss of the batch and its gradient, and the probabilities that minimise the loss of each label."""
    logits, own = batch()
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, own if labels is None else labels)
    (gradient,) = torch.autograd.grad(value, leaf)
    least = {label: minimised(loss, label, link) for label in sorted(set(LABELS))}
    return {"loss": value.item(), "gradient": gradient.tolist(), "minimisers": least}


def minimised(loss: Loss, label: int, link: str) -> list[float] | None:
    """Return the probabilities that minimise the loss of a label; None if the search diverges."""
    logits = torch.zeros(1, K, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        value = loss(logits, torch.tensor([label]))
        value.backward()
        return value

    search.step(closure)
    least = (logits.sigmoid() if link == "sigmoid" else logits.softmax(-1))[0]
    return least.tolist() if least.isfinite().all() else None


def of_keras() -> list[dict[str, Any]]:
    os.environ["KERAS_BACKEND"] = "torch"
    keras: Any = importlib.import_module("keras")

    keras.config.set_floatx("float64")
    keras.config.set_epsilon(1e-15)

    def one_hot(labels: Tensor) -> Tensor:
        return F.one_hot(labels, K).double()

    made = keras.losses
    logits = "from_logits=True"
    cases: list[tuple[str, Loss, str]] = []
    for text in (
        f"CategoricalCrossentropy(label_smoothing=0.1, {logits})",
        f"CategoricalCrossentropy(label_smoothing=-0.1, {logits})",
        f"CategoricalFocalCrossentropy({logits})",
        f"CategoricalFocalCrossentropy(alpha=1.0, gamma=0.0, {logits})",
        f"CategoricalFocalCrossentropy(alpha=[1, 1, 1, 20], label_smoothing=0.3, {logits})",
        f"CategoricalCrossentropy({logits}, reduction='sum')",
    ):
        loss = eval(text, vars(made))
        cases.append((text, lambda z, y, loss=loss: loss(one_hot(y), z), "softmax"))
    smoothed = made.CategoricalCrossentropy(label_smoothing=0.1)
    cases.append(
        ("CategoricalCrossentropy(label_smoothing=0.1)", lambda z, y: smoothed(one_hot(y), z.softmax(-1)), "softmax")
    )
    sparse = made.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    text = f"SparseCategoricalCrossentropy({logits}, ignore_class=0)"
    cases.append((text, lambda z, y: sparse(y, z), "softmax"))
    for text in (
        f"BinaryCrossentropy({logits}, label_smoothing=0.2)",
        f"BinaryCrossentropy({logits}, reduction='sum')",
    ):
        loss = eval(text, vars(made))
        cases.append((text, lambda z, y, loss=loss: loss(one_hot(y), z), "sigmoid"))
    found = [_entry("keras", keras.__version__, text, measured(loss, link)) for text, loss, link in cases]
    # what other libraries do with probabilities: taken for logits, and the reverse
    wrong = made.SparseCategoricalCrossentropy(reduction="none")(torch.tensor([0]), torch.tensor([[2.0, 0.0, -1.0]]))
    empty = sparse(torch.tensor([0, 0]), torch.zeros(2, K))
    masked, first = _masked()
    one_hot_first = F.one_hot(first, K).double()
    binary_logits = torch.tensor([[3.0, -2.0, 0.5, 0.25]], dtype=torch.float64, requires_grad=True)
    doubled = torch.zeros(1, K, dtype=torch.float64, requires_grad=True)
    total = made.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)(2 * one_hot_first, doubled)
    clipped = made.BinaryCrossentropy()(one_hot_first, binary_logits)
    extra = {
        "logits_as_probabilities": float(wrong),
        "gradient_of_binary_logits": torch.autograd.grad(clipped, binary_logits)[0].tolist(),
        "all_ignored": float(empty),
        # as text, since JSON has no nan
        "masked": {
            "one-hot": str(float(made.CategoricalCrossentropy(from_logits=True)(one_hot_first, masked))),
            "smoothed": str(float(made.CategoricalCrossentropy(True, 0.1)(one_hot_first, masked))),
            "label": str(float(made.SparseCategoricalCrossentropy(from_logits=True)(first, masked))),
        },
        # the gradient at logits of 0 is sum(t) / K - t, and another class has the target 0.3 / K
        "sum_of_doubled_target": K * (float(torch.autograd.grad(total, doubled)[0][0, 1]) + 0.3 / K),
        "signatures": {name: list(inspect.signature(getattr(made, name)).parameters) for name in KERAS_LOSSES},
    }
    return [*found, _entry("keras", keras.__version__, "extra", extra)]


def of_timm() -> list[dict[str, Any]]:
    define_operators()
    timm: Any = importlib.import_module("timm")
    mixup_target = importlib.import_module("timm.data.mixup").mixup_target
    made = importlib.import_module("timm.loss")
    binary, smoothed = made.BinaryCrossEntropy, made.LabelSmoothingCrossEntropy

    losses: dict[str, tuple[Any, str]] = {
        "--smoothing 0.1": (smoothed(0.1), "softmax"),
        "--smoothing -0.1": (smoothed(-0.1), "softmax"),
        "--smoothing 0.1 --bce-loss": (binary(0.1), "sigmoid"),
        "--smoothing 0.1 --bce-loss --bce-sum": (binary(0.1, sum_classes=True), "sigmoid"),
        "--smoothing 0.1 --bce-loss --bce-pos-weight 2": (binary(0.1, pos_weight=2.0), "sigmoid"),
        "--smoothing 0.1 --bce-loss --bce-target-thresh 0.5": (
            binary(0.1, target_threshold=0.5),
            "sigmoid",
        ),
        "--smoothing 0.1 --bce-loss --bce-target-thresh 0.01": (
            binary(0.1, target_threshold=0.01),
            "sigmoid",
        ),
        "--smoothing 0.1 --loss bce --loss-pos-weight 2 --loss-class-weight 1,2,3,4": (
            made.create_classification_loss("bce", smoothing=0.1, pos_weight=2.0, class_weight=[1.0, 2, 3, 4]).double(),
            "sigmoid",
        ),
    }
    found = [_entry("timm", timm.__version__, text, measured(loss, link)) for text, (loss, link) in losses.items()]
    mixed = {str(share): mixup_target(torch.tensor([0, 1]), K, share, 0.1)[0].tolist() for share in SHARES}
    logits, first = _masked()
    masked = {
        "smoothed": str(float(smoothed(0.1)(logits, first))),
        "soft": str(float(made.SoftTargetCrossEntropy()(logits, torch.tensor([[0.7, 0.3, 0, 0]]).double()))),
    }
    extra = {
        "mixed": mixed,
        "masked": masked,
        "losses": list(made.LOSS_TYPES),
        "parameters": list(inspect.signature(made.create_classification_loss).parameters),
    }
    return [*found, _entry("timm", timm.__version__, "extra", extra)]


def of_fairseq(folder: Path) -> list[dict[str, Any]]:
    file = folder / "fairseq-0.12.2/fairseq/criterions/label_smoothed_cross_entropy.py"
    function = _definitions(file, "label_smoothed_nll_loss")["label_smoothed_nll_loss"]

    def loss(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
        return function(logits.log_softmax(-1), labels, smoothing, ignore_index=1)[0]

    def negative(logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits, labels, -0.1)

    text = "--criterion label_smoothed_cross_entropy --label-smoothing"
    entry = _entry("fairseq", "0.12.2", f"{text} 0.1", measured(loss, labels=_padded()))
    unbounded = _entry("fairseq", "0.12.2", f"{text} -0.1", measured(negative, labels=_padded()))
    extra = {"prefix": _prefix(file, function), "masked": str(float(loss(*_masked())))}
    return [entry, unbounded, _entry("fairseq", "0.12.2", "extra", extra)]


def _prefix(file: Path, function: Any) -> dict[str, int]:
    """Return what the criterion divides by with a prefix of one label, and the number of labels with a gradient."""
    name = "LabelSmoothedCrossEntropyCriterion"
    made = _definitions(file, name, FairseqCriterion=torch.nn.Module, label_smoothed_nll_loss=function)
    criterion = made[name].__new__(made[name])
    vars(criterion).update(
        sentence_avg=False, eps=0.1, ignore_prefix_size=1, report_accuracy=False, padding_idx=1, training=True
    )
    logits, labels = batch()
    leaf = logits.view(2, 3, K).clone().requires_grad_()

    class Model:
        def __call__(self, logits: Tensor) -> Tensor:
            return logits

        def get_normalized_probs(self, output: Tensor, log_probs: bool) -> Tensor:
            return output.log_softmax(-1)

        def get_targets(self, sample: dict[str, Any], output: Tensor) -> Tensor:
            return sample["target"]

    sample = {"net_input": {"logits": leaf}, "target": labels.view(2, 3), "ntokens": 6}
    loss, size, _ = criterion.forward(Model(), sample)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return {"sample size": size, "labels with a loss": int(gradient.ne(0).any(-1).sum())}


def of_opennmt(folder: Path) -> list[dict[str, Any]]:
    made = _definitions(folder / "onmt2.3.0/onmt/utils/loss.py", "LabelSmoothingLoss")["LabelSmoothingLoss"]
    module = made(0.1, K, ignore_index=1).double()

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return module(logits.log_softmax(-1), labels)

    entry = _entry("opennmt", "2.3.0", "--label_smoothing 0.1", measured(loss, labels=_padded()))
    return [entry, _entry("opennmt", "2.3.0", "extra", {"masked": str(float(loss(*_masked())))})]


def of_transformers(folder: Path) -> list[dict[str, Any]]:
    """Return the gradient of a step of two micro-batches, summed as the Trainer of 5.14.1 does."""
    file = folder / "transformers5.14.1/transformers/trainer_pt_utils.py"
    smoother = _definitions(file, "LabelSmoother")["LabelSmoother"]()
    smoother.epsilon = 0.1
    logits, labels = batch()
    leaf = logits.clone().requires_grad_()
    value = torch.zeros((), dtype=torch.float64)
    for rows in (slice(0, 4), slice(4, 6)):
        value = value + smoother({"logits": leaf[rows]}, labels[rows])
    (gradient,) = torch.autograd.grad(value, leaf)
    one = SimpleNamespace(
        args=SimpleNamespace(average_tokens_across_devices=True, n_gpu=1),
        accelerator=SimpleNamespace(num_processes=2, unwrap_model=lambda model: model, parallelism_config=None),
        label_smoother=smoother,
        compute_loss_func=None,
        model_accepts_loss_kwargs=True,
    )
    stubs = {"MODEL_FOR_CAUSAL_LM_MAPPING_NAMES": {}, "_is_peft_model": lambda model: False}
    compute = _definitions(file.with_name("trainer.py"), "compute_loss", inside="Trainer", **stubs)["compute_loss"]

    class Given(torch.nn.Module):
        def forward(self, logits: Tensor, num_items_in_batch: Tensor) -> dict[str, Tensor]:
            return {"logits": logits}

    inputs = {"logits": logits, "labels": labels}
    twice = compute(one, Given(), inputs, num_items_in_batch=torch.tensor(6))
    factor = float(twice / smoother({"logits": logits}, labels))
    extra = {"gradient": gradient.tolist(), "factor of two devices": round(factor, 9)}
    return [_entry("transformers", "5.14.1", "extra", extra)]


def _padded() -> Tensor:
    return torch.tensor([*LABELS[:-1], 1])


def _definitions(file: Path, name: str, inside: str | None = None, **stubs: Any) -> dict[str, Any]:
    """Run one definition of a file, or of a class of that file, without its imports and decorators."""
    body = ast.parse(file.read_text()).body
    if inside is not None:
        (holder,) = (n for n in body if isinstance(n, ast.ClassDef) and n.name == inside)
        body = holder.body
    (node,) = (n for n in body if getattr(n, "name", None) == name)
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    node.decorator_list = []
    made: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": F, "Any": Any, **stubs}
    exec(compile(ast.Module([node], []), str(file), "exec"), made)
    return made


def _entry(library: str, version: str, snippet: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"library": library, "version": version, "snippet": snippet, **values}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    parts = (of_keras(), of_timm(), of_fairseq(folder), of_opennmt(folder), of_transformers(folder))
    PLACE.write_text("[\n" + ",\n".join(json.dumps(entry) for part in parts for entry in part) + "\n]\n")
