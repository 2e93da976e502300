"""What is said about ignored labels, accumulation and mixing, against the real libraries."""

from typing import Any

import pytest
import torch
from doctor_faults import reproduces
from torch import Tensor, nn

from softtargets.doctor import diagnose
from softtargets.doctor.treatment import learned, step_weights

K = 4


def said(library: str, snippet: Any, topic: str, **settings: Any) -> str:
    """Return the statement on a topic."""
    return next(each.text for each in diagnose(library, snippet, **settings).statements if each.topic == topic)


def weights_in(losses: list[Tensor], leaf: Tensor, total: float) -> list[float]:
    """Return the weight of a label of each part in the gradient of `sum(losses) / total`, at logits of 0."""
    (gradient,) = torch.autograd.grad(torch.stack(losses).sum() / total, leaf, retain_graph=True)
    # a label of class 0 has the gradient 1 / K - 1
    return [float(gradient[row, 0]) / (1 / K - 1) for row in (0, 3)]


def test_weights_of_an_accumulated_step_are_those_of_torch() -> None:
    leaf = torch.zeros(4, K, dtype=torch.float64, requires_grad=True)
    labels, parts = torch.zeros(4, dtype=torch.int64), (slice(0, 3), slice(3, 4))
    means = [nn.CrossEntropyLoss()(leaf[rows], labels[rows]) for rows in parts]
    sums = [nn.CrossEntropyLoss(reduction="sum")(leaf[rows], labels[rows]) for rows in parts]
    assert step_weights("micro-batches") == pytest.approx(weights_in(means, leaf, 2))
    assert step_weights("nothing") == pytest.approx(weights_in(sums, leaf, 1))
    assert step_weights("sentences") == pytest.approx(weights_in(sums, leaf, 2))
    assert "weight 0.1667 and 0.5; in the mean of all, 0.25" in said("torch", "CrossEntropyLoss()", "accumulation")
    assert "weight 1 and 1" in said("torch", "CrossEntropyLoss(reduction='sum')", "accumulation")


def test_weights_of_an_accumulated_step_are_those_of_transformers() -> None:
    pytest.importorskip("transformers")
    from transformers.trainer_pt_utils import LabelSmoother

    leaf = torch.zeros(4, K, dtype=torch.float64, requires_grad=True)
    labels, parts = torch.zeros(4, dtype=torch.int64), (slice(0, 3), slice(3, 4))
    smoother = LabelSmoother(0.0)
    counted = [smoother({"logits": leaf[rows]}, labels[rows], num_items_in_batch=4) for rows in parts]
    alone = [smoother({"logits": leaf[rows]}, labels[rows]) for rows in parts]
    assert step_weights("step") == pytest.approx(weights_in(counted, leaf, 1))
    assert step_weights("micro-batches, not by their number") == pytest.approx(weights_in(alone, leaf, 1))
    settings = {"label_smoothing_factor": 0.1, "gradient_accumulation_steps": 8}
    assert "weight 0.25 and 0.25" in said("transformers", settings, "accumulation", version="5.23.0")
    assert "Configured: 8 micro-batches" in said("transformers", settings, "accumulation", version="5.23.0")
    assert "weight 0.3333 and 1;" in said("transformers", settings, "accumulation", version="5.14.1")


@pytest.mark.parametrize(
    ("library", "loss", "mean"),
    [
        ("torch", "BCEWithLogitsLoss", "There is one loss for each example and class, (N, K)."),
        ("torch", "KLDivLoss", "There is one loss for each example and class, (N, K)."),
        ("torch", "CrossEntropyLoss", "There is one loss per example."),
        ("keras", "CategoricalCrossentropy", "There is one loss per example."),
        ("keras", "BinaryCrossentropy", "There is one loss per example, the mean over its classes."),
    ],
)
def test_losses_that_are_not_reduced(library: str, loss: str, mean: str) -> None:
    assert said(library, f"{loss}(reduction='none')", "mean") == mean
    assert said(library, f"{loss}(reduction='none')", "accumulation").startswith("Nothing is summed")


@pytest.mark.parametrize("weight", [3.0, 0.5])
def test_what_is_learned_with_a_positive_weight(weight: float) -> None:
    labels = torch.tensor([1.0] + 9 * [0.0], dtype=torch.float64)
    least = learned(weight, 0.1)
    logits = torch.full((10,), least, dtype=torch.float64).logit().requires_grad_()
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight).double())(logits, labels)
    assert float(torch.autograd.grad(loss, logits)[0].sum()) == pytest.approx(0, abs=1e-12)
    text = said("torch", f"BCEWithLogitsLoss(pos_weight=[{weight}])", "weights")
    assert f"{least:.4g} for w = {weight:g} at p = 0.1." in text
    both = said("torch", "BCEWithLogitsLoss(weight=[1, 2, 3], pos_weight=[1, 2, 3])", "weights")
    assert "0.1 for w = 1 and 0.25 for w = 3" in both
    assert "scales the gradient alone" in both


@reproduces("mean-of-means", "transformers")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_transformers_before_4_46_averages_the_means(smoothing: float) -> None:
    accelerate = pytest.importorskip("accelerate")
    settings = {"label_smoothing_factor": smoothing, "gradient_accumulation_steps": 2}
    text = said("transformers", settings, "accumulation", version="4.40.2")
    assert text.startswith("The loss of a step is the mean of the means of its micro-batches. In micro-batches")
    assert "weight 0.1667 and 0.5;" in text
    names = {finding.name for finding in diagnose("transformers", settings, version="4.40.2").findings}
    assert "mean-of-means" in names
    assert "inflated-accumulation" not in names
    # the Trainer of 4.40 gives its number of steps to accelerate, which divides by it
    plugin = accelerate.utils.GradientAccumulationPlugin(num_steps=2)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
    leaf = torch.zeros(4, K, dtype=torch.float64, requires_grad=True)
    labels = torch.zeros(4, dtype=torch.int64)
    for rows in (slice(0, 3), slice(3, 4)):
        accelerator.backward(nn.CrossEntropyLoss()(leaf[rows], labels[rows]))
    assert leaf.grad is not None
    assert [float(leaf.grad[row, 0]) / (1 / K - 1) for row in (0, 3)] == pytest.approx(step_weights("micro-batches"))


def test_numbers_of_an_accumulated_step_are_those_of_labels_of_equal_weight() -> None:
    for weight, equal in ("[1, 2]", True), ("[2, 2]", False):
        text = said("torch", f"CrossEntropyLoss(weight={weight})", "accumulation")
        assert ("labels of equal weight, a label has" in text) == equal


@pytest.mark.parametrize("index", [-100, -1, 2])
def test_ignored_labels_are_left_out_of_the_mean(index: int) -> None:
    logits = torch.arange(8.0).sin().view(2, K)
    labels = torch.tensor([0, index])
    loss = nn.CrossEntropyLoss(ignore_index=index)
    assert loss(logits, labels) == nn.CrossEntropyLoss()(logits[:1], labels[:1])
    text = said("torch", f"CrossEntropyLoss(ignore_index={index})", "ignored labels")
    assert text.startswith(f"Labels equal to {index} have loss 0 and gradient 0, and the mean does not count them.")
    assert ("stays in the softmax" in text) == (index == 2)


def test_mixing_is_described_with_its_target() -> None:
    text = said("timm", "--smoothing 0.1 --mixup 0.8 --cutmix 1 --mixup-prob 0.5", "mixup and CutMix", num_classes=K)
    assert "Beta(0.8, 0.8)" in text
    assert "Beta(1, 1)" in text
    assert "mixed with probability 0.5" in text
    # 0.9 * 0.7 + 0.1 / 4, 0.9 * 0.3 + 0.1 / 4, 0.1 / 4
    assert "gets 0.655 for class 0, 0.295 for class 1 and 0.025 for each other class" in text
    assert not [each for each in diagnose("timm", "--smoothing 0.1").statements if each.topic == "mixup and CutMix"]


def test_ignored_padding_of_sequences() -> None:
    text = said("fairseq", "--criterion label_smoothed_cross_entropy --label-smoothing 0.1", "ignored labels")
    assert text.startswith("Labels equal to 1 have loss 0 and gradient 0. Class 1 stays in the softmax")
    assert said("timm", "--smoothing 0.1", "ignored labels") == "No label is left out."
    assert "sequences" in said("fairseq", "--sentence-avg", "accumulation")
    options = "--criterion label_smoothed_cross_entropy --ignore-prefix-size 2"
    assert said("fairseq", options, "ignored labels").startswith("The first 2 labels of each sequence have loss 0. Lab")
    assert "if you divide" not in said("timm", "--grad-accum-steps 2", "accumulation")
    assert "if you divide" in said("keras", "CategoricalCrossentropy()", "accumulation")
