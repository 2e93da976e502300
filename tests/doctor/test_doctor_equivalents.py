"""The code that is proposed runs, has the target without the faults, and its specification is valid."""

import tomllib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softtargets.doctor import Equivalent, diagnose
from softtargets.runs.spec import RunSpec

K = 4
LOGITS = torch.arange(24, dtype=torch.float64).mul(1.7).sin().mul(2).view(6, K)
LABELS = torch.tensor([0, 3, 2, 0, 3, 1])
WEIGHT = [1.0, 1.0, 1.0, 20.0]


def equivalent(library: str, snippet: Any, **settings: Any) -> Equivalent:
    return diagnose(library, snippet, **settings).equivalent


def run(code: str) -> Any:
    made: dict[str, Any] = {}
    exec(compile(code, "equivalent", "exec"), made)
    return made["loss"]


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "label_smoothing=0.1",
        "reduction='sum', label_smoothing=0.1, ignore_index=3",
        "reduction='none', ignore_index=-1",
        f"weight={WEIGHT}",
        f"weight={WEIGHT}, label_smoothing=0.3",
        f"weight={WEIGHT}, label_smoothing=0.3, ignore_index=2, reduction='sum'",
        "label_smoothing=-0.1",
    ],
)
def test_code_with_the_numbers_of_torch(arguments: str) -> None:
    found = equivalent("torch", f"CrossEntropyLoss({arguments})", num_classes=K)
    given = eval(f"dict({arguments})")
    if "weight" in given:
        given["weight"] = torch.tensor(given["weight"]).double()
    theirs = nn.CrossEntropyLoss(**given)
    close(run(found.same_numbers or found.code)(LOGITS, LABELS), theirs(LOGITS, LABELS))


def test_code_without_the_fault_of_weights_has_the_smoothed_target_as_its_minimum() -> None:
    loss = run(equivalent("torch", f"CrossEntropyLoss(weight={WEIGHT}, label_smoothing=0.4)").code)
    least = torch.tensor([[0.7, 0.1, 0.1, 0.1]]).double().log().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(least, torch.tensor([0])), least)
    close(gradient, torch.zeros(1, K))


@pytest.mark.parametrize(
    ("library", "snippet"),
    [
        ("torch", "CrossEntropyLoss(label_smoothing=0.3, ignore_index=1)"),
        ("fairseq", "--criterion label_smoothed_cross_entropy --label-smoothing 0.2"),
        ("opennmt", "--label_smoothing 0.3"),
    ],
)
def test_code_for_padding_gives_it_probability_0(library: str, snippet: str) -> None:
    loss = run(equivalent(library, snippet, num_classes=K).code)
    logits = torch.zeros(2, K, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(logits, torch.tensor([0, 1])), logits)
    # 1 / K minus the target: 0.2 is spread over the two others, and padding has the target 0
    close(gradient[0], torch.tensor([0.25 - 0.8, 0.25, 0.25 - 0.1, 0.25 - 0.1]))
    assert gradient[1].eq(0).all()


def test_code_of_binary_losses() -> None:
    one_hot = F.one_hot(LABELS, K)
    theirs = nn.BCEWithLogitsLoss()(LOGITS, one_hot.double())
    found = equivalent("torch", "BCEWithLogitsLoss()", num_classes=K)
    assert found.same_numbers is not None
    close(run(found.same_numbers)(LOGITS, one_hot), theirs)
    close(run(found.code)(LOGITS, one_hot), K * theirs)
    weighted = equivalent("torch", f"BCEWithLogitsLoss(pos_weight={WEIGHT})")
    assert weighted.same_numbers is None
    assert weighted.note == "Not expressed: weights of the positive term."
    negative = equivalent("keras", "BinaryCrossentropy(label_smoothing=-0.2, from_logits=True)")
    assert (negative.same_numbers, negative.note) == (None, "Not expressed: negative smoothing.")
    close(run(negative.code)(LOGITS, one_hot), K * theirs)


def test_code_of_one_binary_output() -> None:
    logits, labels = LOGITS[:, :1], torch.tensor([0, 1, 1, 0, 0, 1])[:, None]
    found = equivalent("torch", "BCEWithLogitsLoss()", num_classes=1)
    close(run(found.code)(logits, labels), nn.BCEWithLogitsLoss()(logits, labels.double()))
    assert found.same_numbers is None
    assert found.note == "Logits and labels are (N, 1)."


def test_code_of_binary_losses_that_are_not_reduced() -> None:
    one_hot = F.one_hot(LABELS, K)
    found = equivalent("torch", "BCEWithLogitsLoss(reduction='none')", num_classes=K)
    theirs = nn.BCEWithLogitsLoss(reduction="none")(LOGITS, one_hot.double())
    assert theirs.shape == (len(LABELS), K)
    close(run(found.code)(LOGITS, one_hot), theirs.sum(-1))
    assert found.same_numbers is None
    assert "this is their sum over classes" in (found.note or "")
    # Keras returns the mean over the classes of each example
    mean = equivalent("keras", "BinaryCrossentropy(True, reduction='none')", num_classes=K).same_numbers
    assert mean is not None
    close(run(mean)(LOGITS, one_hot), theirs.mean(-1))
    total = equivalent("torch", "BCEWithLogitsLoss(reduction='sum')", num_classes=K)
    assert total.same_numbers is None
    close(run(total.code)(LOGITS, one_hot), theirs.sum())


def test_code_of_losses_of_log_probabilities_takes_logits() -> None:
    weighted = equivalent("torch", f"NLLLoss(weight={WEIGHT})")
    theirs = nn.NLLLoss(weight=torch.tensor(WEIGHT).double())(LOGITS.log_softmax(-1), LABELS)
    close(run(weighted.code)(LOGITS, LABELS), theirs)


@pytest.mark.parametrize("logarithms", [False, True])
@pytest.mark.parametrize("reduction", ["batchmean", "mean", "sum", "none"])
@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
def test_code_of_a_divergence_has_its_value_and_its_gradient(reduction: str, logarithms: bool) -> None:
    found = equivalent("torch", f"KLDivLoss(reduction='{reduction}', log_target={logarithms})")
    log_probs = LOGITS.flip(0).log_softmax(-1)
    target = log_probs if logarithms else log_probs.exp()
    first, second = (LOGITS.clone().requires_grad_() for _ in range(2))
    theirs = nn.KLDivLoss(reduction=reduction, log_target=logarithms)(second.log_softmax(-1), target)
    if reduction == "none":
        assert "sum over classes" in (found.note or "")
        theirs = theirs.sum(-1)
    if reduction == "mean":
        close(run(found.code)(first, target), K * theirs)
    assert (found.same_numbers is not None) == (reduction == "mean")
    ours = run(found.same_numbers or found.code)(first, target)
    close(ours, theirs)
    close(torch.autograd.grad(ours.sum(), first)[0], torch.autograd.grad(theirs.sum(), second)[0])


def test_code_for_the_trainer_is_its_label_smoother() -> None:
    pytest.importorskip("transformers")
    from transformers.trainer_pt_utils import LabelSmoother

    loss = run(equivalent("transformers", {"label_smoothing_factor": 0.1}).code)
    labels = LABELS.masked_fill(LABELS == 1, -100)
    for count in (None, 9):
        theirs = LabelSmoother(0.1)({"logits": LOGITS}, labels, num_items_in_batch=count)
        close(loss({"logits": LOGITS}, labels, count), theirs)


@pytest.mark.parametrize("options", ["", " --bce-loss"])
def test_code_of_mixing(options: str) -> None:
    loss = run(equivalent("timm", f"--smoothing 0.1 --mixup 0.8{options}", num_classes=K).code)
    soft = 0.9 * F.one_hot(LABELS, K).double() + 0.1 / K
    mixed = 0.7 * soft + 0.3 * soft.flip(0)
    expected = F.cross_entropy(LOGITS, mixed)
    if options:
        expected = F.binary_cross_entropy_with_logits(LOGITS, mixed, reduction="none").sum(-1).mean()
    close(loss(LOGITS, LABELS, 0.7), expected)


@pytest.mark.parametrize(
    ("library", "snippet", "objective"),
    [
        ("torch", "CrossEntropyLoss()", {"name": "cross_entropy"}),
        ("torch", "CrossEntropyLoss(label_smoothing=0.1)", {"name": "cross_entropy", "smoothing": 0.1}),
        ("torch", "CrossEntropyLoss(weight=[1, 2])", {"name": "class_weights", "weights": [1.0, 2.0]}),
        ("torch", "CrossEntropyLoss(label_smoothing=-0.1)", {"name": "negative_smoothing", "smoothing": -0.1}),
        ("keras", "CategoricalFocalCrossentropy(from_logits=True)", {"name": "focal", "gamma": 2.0}),
        ("timm", "--mixup 0.2", {"name": "mixup", "concentration": 0.2, "smoothing": 0.1}),
        (
            "timm",
            "--cutmix 1 --smoothing 0 --mixup-mode elem",
            {"name": "cutmix", "concentration": 1.0, "per_example": True},
        ),
        ("timm", "--mixup 0.2 --cutmix 1", None),
        ("timm", "--bce-loss", None),
        ("fairseq", "--criterion label_smoothed_cross_entropy --label-smoothing 0.1", None),
        ("torch", "KLDivLoss()", None),
    ],
)
def test_specifications_are_valid(library: str, snippet: str, objective: dict[str, Any] | None) -> None:
    toml = equivalent(library, snippet).toml
    if objective is None:
        assert toml is None
        return
    assert toml is not None
    content = tomllib.loads(toml)
    assert content["objective"] == objective
    RunSpec.parse({**content, "model": {"name": "mlp"}, "training": {"epochs": 1}})


def test_accumulation_is_in_the_specification() -> None:
    toml = equivalent("transformers", {"label_smoothing_factor": 0.1, "gradient_accumulation_steps": 8}).toml
    assert toml is not None
    content = tomllib.loads(toml)
    content["training"]["epochs"] = 1
    assert RunSpec.parse({**content, "model": {"name": "mlp"}}).training.accumulate == 8


@pytest.mark.parametrize(
    ("library", "snippet", "missing"),
    [
        ("torch", "CrossEntropyLoss(ignore_index=1)", "labels equal to 1"),
        ("torch", "CrossEntropyLoss(reduction='sum')", "reduction='sum'"),
        ("torch", "CrossEntropyLoss(reduction='none')", "reduction='none'"),
        ("keras", "SparseCategoricalCrossentropy(ignore_class=0)", "labels equal to 0"),
        ("fairseq", "--sentence-avg", "the division by sequences"),
        ("torch", "CrossEntropyLoss(ignore_index=-100)", None),
        ("timm", "--mixup 0.2", None),
    ],
)
def test_what_a_specification_does_not_express_is_said(library: str, snippet: str, missing: str | None) -> None:
    found = equivalent(library, snippet)
    assert found.toml is not None
    assert (found.toml_note is None) == (missing is None)
    assert (missing or "") in (found.toml_note or "")
    assert equivalent("timm", "--mixup 0.2 --cutmix 1").toml_note == "No objective of `softtargets train` is the same."
