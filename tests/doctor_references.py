"""Computes `doctor/references.json` with the real libraries, which are no dependencies of the tests.

    python tests/doctor_references.py FOLDER

The environment has keras 3.15.1, timm 1.0.31 with torchvision 0.28.0, and torch 2.13. FOLDER holds what was unpacked of
`fairseq-0.12.2.tar.gz`, `OpenNMT_py-2.3.0` (the folder `onmt2.3.0`) and `transformers-5.14.1` (`transformers5.14.1`),
from whose files single definitions are taken.
"""

import ast
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision_operators import define_operators

K, LABELS = 4, (0, 3, 2, 0, 3, 2)
PLACE = Path(__file__).parent / "doctor" / "references.json"
SHARES = (0.7, 0.25)

Loss = Callable[[Tensor, Tensor], Tensor]


def batch() -> tuple[Tensor, Tensor]:
    """Return fixed logits (6, 4) in float64, and labels."""
    return torch.arange(len(LABELS) * K, dtype=torch.float64).mul(1.7).sin().mul(2).view(-1, K), torch.tensor(LABELS)


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
    binary = made.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)
    text = f"BinaryCrossentropy({logits}, label_smoothing=0.2)"
    cases.append((text, lambda z, y: binary(one_hot(y), z), "sigmoid"))
    found = [_entry("keras", keras.__version__, text, measured(loss, link)) for text, loss, link in cases]
    # what other libraries do with probabilities: taken for logits, and the reverse
    wrong = made.SparseCategoricalCrossentropy(reduction="none")(torch.tensor([0]), torch.tensor([[2.0, 0.0, -1.0]]))
    empty = sparse(torch.tensor([0, 0]), torch.zeros(2, K))
    extra = {"logits_as_probabilities": float(wrong), "all_ignored": float(empty)}
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
    }
    found = [_entry("timm", timm.__version__, text, measured(loss, link)) for text, (loss, link) in losses.items()]
    mixed = {str(share): mixup_target(torch.tensor([0, 1]), K, share, 0.1)[0].tolist() for share in SHARES}
    return [*found, _entry("timm", timm.__version__, "extra", {"mixed": mixed})]


def of_fairseq(folder: Path) -> list[dict[str, Any]]:
    file = folder / "fairseq-0.12.2/fairseq/criterions/label_smoothed_cross_entropy.py"
    function = _definitions(file, "label_smoothed_nll_loss")["label_smoothed_nll_loss"]

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return function(logits.log_softmax(-1), labels, 0.1, ignore_index=1)[0]

    text = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1"
    return [_entry("fairseq", "0.12.2", text, measured(loss, labels=_padded()))]


def of_opennmt(folder: Path) -> list[dict[str, Any]]:
    made = _definitions(folder / "onmt2.3.0/onmt/utils/loss.py", "LabelSmoothingLoss")["LabelSmoothingLoss"]
    module = made(0.1, K, ignore_index=1).double()

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return module(logits.log_softmax(-1), labels)

    return [_entry("opennmt", "2.3.0", "--label_smoothing 0.1", measured(loss, labels=_padded()))]


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
    return [_entry("transformers", "5.14.1", "extra", {"gradient": gradient.tolist()})]


def _padded() -> Tensor:
    return torch.tensor([*LABELS[:-1], 1])


def _definitions(file: Path, name: str) -> dict[str, Any]:
    """Run one definition of a file, without its imports and decorators."""
    (node,) = (n for n in ast.parse(file.read_text()).body if getattr(n, "name", None) == name)
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    node.decorator_list = []
    made: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": F}
    exec(compile(ast.Module([node], []), str(file), "exec"), made)
    return made


def _entry(library: str, version: str, snippet: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"library": library, "version": version, "snippet": snippet, **values}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    parts = (of_keras(), of_timm(), of_fairseq(folder), of_opennmt(folder), of_transformers(folder))
    PLACE.write_text("[\n" + ",\n".join(json.dumps(entry) for part in parts for entry in part) + "\n]\n")
