"""Faults, each reproduced with the real library, where the doctor finds it and where it does not."""

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from doctor_faults import READ_IN_SOURCE, reproduced, reproduces
from torch import Tensor, nn
from torch.nn import functional as F

from softtargets import nn as ours
from softtargets.doctor import Diagnosis, FaultFinding, diagnose
from softtargets.doctor.criterion import Criterion
from softtargets.doctor.faults import FAULTS, link
from softtargets.doctor.readers import READERS

K = 4
LOGITS = torch.arange(24, dtype=torch.float64).mul(1.7).sin().mul(2).view(6, K)
LABELS = torch.tensor([0, 3, 2, 0, 3, 1])
WEIGHT = [1.0, 1.0, 1.0, 20.0]


def found(diagnosis: Diagnosis, name: str) -> FaultFinding:
    """Return a finding by its name."""
    (finding,) = (each for each in diagnosis.findings if each.name == name)
    return finding


def names(library: str, snippet: Any, **settings: Any) -> set[str]:
    return {finding.name for finding in diagnose(library, snippet, **settings).findings}


def gradient_of(loss: Tensor, leaf: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


def leaf_of(logits: Tensor) -> Tensor:
    return logits.detach().clone().requires_grad_()


@reproduces("weighted-smoothing", "torch")
def test_weighted_smoothing_of_torch_teaches_another_class() -> None:
    text = f"CrossEntropyLoss(weight={WEIGHT}, label_smoothing=0.3)"
    diagnosis = diagnose("torch", text)
    finding = found(diagnosis, "weighted-smoothing")
    loss = nn.CrossEntropyLoss(weight=torch.tensor(WEIGHT).double(), label_smoothing=0.3)
    for row in diagnosis.rows:
        least = leaf_of(torch.tensor([row.minimiser]).double().log())
        assert row.label is not None
        # convex in the logits: the minimiser is where the gradient is 0
        assert gradient_of(loss(least, torch.tensor([row.label])), least).abs().max() < 1e-8
    label, minimiser = diagnosis.rows[0].label, diagnosis.rows[0].minimiser
    assert minimiser is not None
    assert max(minimiser) == minimiser[3] != minimiser[label or 0]
    assert f"{minimiser[3]:.4g} for class 3: 3 of 4 labels" in finding.effect
    assert finding.link == "https://github.com/pytorch/pytorch/issues/104776"
    assert "weighted-smoothing" not in names("torch", f"CrossEntropyLoss(weight={WEIGHT})")
    assert "weighted-smoothing" not in names("torch", "CrossEntropyLoss(weight=[2, 2, 2, 2], label_smoothing=0.3)")


@reproduces("weighted-mean-of-soft-targets", "torch")
def test_the_weighted_mean_of_one_hot_targets_is_another_in_torch() -> None:
    finding = found(diagnose("torch", f"CrossEntropyLoss(weight={WEIGHT})"), "weighted-mean-of-soft-targets")
    loss = nn.CrossEntropyLoss(weight=torch.tensor(WEIGHT).double())
    logits, labels = torch.zeros(K, K).double(), torch.arange(K)
    ratio = loss(logits, F.one_hot(labels, K).double()) / loss(logits, labels)
    assert f"give {ratio:.4g} times" in finding.effect
    assert finding.issue == "pytorch/pytorch#107680"
    text = f"CrossEntropyLoss(weight={WEIGHT}, reduction='sum')"
    assert "weighted-mean-of-soft-targets" not in names("torch", text)


@reproduces("negative-smoothing", "torch", "transformers", "opennmt")
def test_torch_ignores_negative_smoothing_and_transformers_computes_with_it() -> None:
    pytest.importorskip("transformers")
    from transformers.trainer_pt_utils import LabelSmoother

    assert "ignored" in found(diagnose("torch", "CrossEntropyLoss(label_smoothing=-0.1)"), "negative-smoothing").effect
    assert nn.CrossEntropyLoss(label_smoothing=-0.1)(LOGITS, LABELS) == F.cross_entropy(LOGITS, LABELS)
    diagnosis = diagnose("transformers", {"label_smoothing_factor": -0.1})
    assert "no minimum" in found(diagnosis, "negative-smoothing").effect
    assert all(row.minimiser is None for row in diagnosis.rows)
    # OpenNMT-py 3.5.1 makes this loss
    padded: dict[str, Any] = {"ignore_index": 1, "reduction": "sum"}
    with_torch = nn.CrossEntropyLoss(**padded, label_smoothing=-0.1)(LOGITS, LABELS)
    assert with_torch == F.cross_entropy(LOGITS, LABELS, **padded)
    assert "ignored" in found(diagnose("opennmt", "--label_smoothing -0.1"), "negative-smoothing").effect
    sure = torch.tensor([[1000.0, 0, 0, 0]])
    assert LabelSmoother(-0.1)({"logits": sure}, torch.tensor([0])) < -50
    assert "negative-smoothing" not in names("torch", "CrossEntropyLoss(label_smoothing=0.1)")


@reproduces("masked-logit", "torch", "transformers")
def test_a_masked_logit_makes_smoothed_losses_infinite() -> None:
    pytest.importorskip("transformers")
    from transformers.trainer_pt_utils import LabelSmoother

    masked = torch.tensor([[1.0, 2.0, -math.inf, 0.0]])
    label = torch.tensor([0])
    assert nn.CrossEntropyLoss(label_smoothing=0.1)(masked, label).isinf()
    assert LabelSmoother(0.1)({"logits": masked}, label).isinf()
    assert nn.CrossEntropyLoss()(masked, label).isfinite()
    assert "masked-logit" in names("torch", "CrossEntropyLoss(label_smoothing=0.1)")
    assert "masked-logit" in names("transformers", {"label_smoothing_factor": 0.1})
    assert "masked-logit" not in names("transformers", {})


def test_a_masked_logit_makes_the_loss_of_soft_targets_nan() -> None:
    masked = leaf_of(torch.tensor([[1.0, 2.0, -math.inf, 0.0]]))
    target = torch.tensor([[0.7, 0.3, 0.0, 0.0]])
    loss = nn.CrossEntropyLoss()(masked, target)
    assert loss.isnan()
    assert gradient_of(loss, masked).isfinite().all()
    assert ours.CrossEntropyLoss()(masked, target).isfinite()
    finding = found(diagnose("torch", "CrossEntropyLoss()"), "masked-logit")
    assert "nan" in finding.effect
    assert finding.condition == "if a class is masked and targets are probabilities"


@reproduces("all-labels-ignored", "torch", "transformers")
def test_a_batch_without_a_label_is_nan_in_torch_and_transformers() -> None:
    pytest.importorskip("transformers")
    from transformers.trainer_pt_utils import LabelSmoother

    ignored = torch.full((2,), -100)
    for loss in (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)):
        leaf = leaf_of(LOGITS[:2])
        assert loss(leaf, ignored).isnan()
        assert gradient_of(loss(leaf, ignored), leaf).eq(0).all()
    assert LabelSmoother(0.1)({"logits": LOGITS[:2]}, ignored).isnan()
    assert nn.CrossEntropyLoss(reduction="sum")(LOGITS[:2], ignored) == 0
    assert "is -100" in (found(diagnose("torch", "CrossEntropyLoss()"), "all-labels-ignored").condition or "")
    assert "all-labels-ignored" in names("transformers", {"label_smoothing_factor": 0.1})
    assert "all-labels-ignored" not in names("torch", "CrossEntropyLoss(reduction='sum')")


@reproduces("zero-weight-batch", "torch")
def test_a_batch_of_weight_0_has_a_gradient_of_nan_in_torch() -> None:
    labels, weight = torch.zeros(2, dtype=torch.int64), torch.tensor([0.0, 1, 1, 1]).double()
    for loss in (nn.CrossEntropyLoss(weight), nn.CrossEntropyLoss(weight, label_smoothing=0.1)):
        leaf = leaf_of(LOGITS[:2])
        assert gradient_of(loss(leaf, labels), leaf).isnan().all()
    leaf = leaf_of(LOGITS[:2])
    assert gradient_of(ours.CrossEntropyLoss(weight)(leaf, labels), leaf).eq(0).all()
    finding = found(diagnose("torch", "CrossEntropyLoss(weight=[0, 1, 1, 1])"), "zero-weight-batch")
    assert finding.condition == "if every label of a batch is class 0, whose weight is 0"
    assert "zero-weight-batch" in names("torch", "NLLLoss(weight=[0, 1, 0])")
    assert "zero-weight-batch" not in names("torch", "CrossEntropyLoss(weight=[0, 1], reduction='sum')")
    assert "zero-weight-batch" not in names("torch", "CrossEntropyLoss(weight=[1, 2])")


@reproduces("ignore-index-of-soft-targets", "torch")
def test_ignore_index_does_nothing_for_probabilities_or_raises() -> None:
    probs = torch.full((2, K), 0.25).double()
    loss = nn.CrossEntropyLoss(ignore_index=-1, reduction="none")
    assert (loss(LOGITS[:2], probs) > 0).all()
    with pytest.raises(RuntimeError, match="ignore_index is not supported for floating point target"):
        nn.CrossEntropyLoss(ignore_index=1)(LOGITS[:2], probs)
    kept, raised = (
        found(diagnose("torch", f"CrossEntropyLoss(ignore_index={index})"), "ignore-index-of-soft-targets")
        for index in (-1, 1)
    )
    assert "no effect" in kept.effect
    assert "raises" in raised.effect
    assert "ignore-index-of-soft-targets" not in names("torch", "CrossEntropyLoss()")


@reproduces("mass-of-soft-targets", "torch")
def test_torch_accepts_targets_of_any_sum_and_smoothing_changes_it() -> None:
    finding = found(diagnose("torch", "CrossEntropyLoss(label_smoothing=0.3)"), "mass-of-soft-targets")
    twice = 2 * F.one_hot(LABELS, K).double()
    logits = leaf_of(torch.zeros_like(LOGITS))
    gradient = gradient_of(nn.CrossEntropyLoss(label_smoothing=0.3, reduction="sum")(logits, twice), logits)
    # gradient = sum(t) / K - t at logits of 0; another class has the target 0.3 / K
    total = (gradient[0, 1] + 0.3 / K) * K
    assert float(total) == pytest.approx(1.7)
    assert "becomes 1.7 at m = 2" in finding.effect


@reproduces("half-precision-vocabulary", "torch", "transformers")
def test_half_precision_of_a_large_vocabulary_is_rounded() -> None:
    size = 2**15
    logits = (torch.randn(4, size, generator=torch.Generator().manual_seed(1)) * 3).bfloat16()
    labels = torch.arange(4)
    truth = F.cross_entropy(logits.double(), labels)
    assert abs(F.cross_entropy(logits, labels) - truth) > 1e-3
    assert abs(F.cross_entropy(logits.float(), labels) - truth) < 1e-5
    smoother = pytest.importorskip("transformers.trainer_pt_utils").LabelSmoother(0.1)
    smoothed = F.cross_entropy(logits.double(), labels, label_smoothing=0.1)
    assert abs(smoother({"logits": logits}, labels) - smoothed) > 1e-3
    assert "half-precision-vocabulary" in names("transformers", {"label_smoothing_factor": 0.1}, num_classes=size)
    assert "half-precision-vocabulary" in names("torch", "CrossEntropyLoss()", num_classes=size)
    assert "half-precision-vocabulary" not in names("torch", "CrossEntropyLoss()", num_classes=1000)
    # the losses of models convert the logits
    assert "half-precision-vocabulary" not in names("transformers", {}, num_classes=size)


@reproduces("mean-of-means", "torch")
def test_accumulated_means_of_torch_weigh_labels_of_small_batches_more() -> None:
    finding = found(diagnose("torch", "CrossEntropyLoss()"), "mean-of-means")
    leaf = leaf_of(torch.zeros(4, K).double())
    labels = torch.tensor([0, 0, 0, 0])
    for rows in (slice(0, 3), slice(3, 4)):
        (nn.CrossEntropyLoss()(leaf[rows], labels[rows]) / 2).backward()
    assert leaf.grad is not None
    ratio = float(leaf.grad[3, 0] / leaf.grad[0, 0])
    assert f"weighs {ratio:.3g} times" in finding.effect
    assert "mean-of-means" not in names("torch", "CrossEntropyLoss(reduction='sum')")


@reproduces("mean-over-elements", "torch")
def test_the_mean_of_a_divergence_and_of_binary_cross_entropy_is_over_elements() -> None:
    probs = torch.full((6, K), 0.25).double()
    log_p = LOGITS.log_softmax(-1)
    with pytest.warns(UserWarning, match="batchmean"):
        ratio = nn.KLDivLoss(reduction="batchmean")(log_p, probs) / nn.KLDivLoss()(log_p, probs)
    assert float(ratio) == pytest.approx(K)
    finding = found(diagnose("torch", "KLDivLoss()", num_classes=K), "mean-over-elements")
    assert "1/4" in finding.effect
    assert finding.issue == "pytorch/pytorch#2259"
    one_hot = F.one_hot(LABELS, K).double()
    each = F.binary_cross_entropy_with_logits(LOGITS, one_hot, reduction="none").sum(-1).mean()
    assert float(each / nn.BCEWithLogitsLoss()(LOGITS, one_hot)) == pytest.approx(K)
    binary = found(diagnose("torch", "BCEWithLogitsLoss()"), "mean-over-elements")
    assert (binary.condition, "are 1/K of" in binary.effect) == ("if there are several outputs", True)
    assert found(diagnose("torch", "BCEWithLogitsLoss()", num_classes=K), "mean-over-elements").condition is None
    assert "mean-over-elements" not in names("torch", "BCEWithLogitsLoss()", num_classes=1)
    assert "mean-over-elements" in names("keras", "BinaryCrossentropy(reduction='sum')")
    assert found(diagnose("timm", "--bce-loss"), "mean-over-elements").condition is None
    assert "mean-over-elements" not in names("torch", "KLDivLoss(reduction='batchmean')")


@reproduces("negative-labels", "transformers")
def test_transformers_trains_negative_labels_as_class_0() -> None:
    pytest.importorskip("transformers")
    from transformers.trainer_pt_utils import LabelSmoother

    smoother = LabelSmoother(0.1)
    wrong, zero = (smoother({"logits": LOGITS[:1]}, torch.tensor([label])) for label in (-1, 0))
    assert wrong == zero
    assert "negative-labels" in names("transformers", {"label_smoothing_factor": 0.1})
    assert "negative-labels" not in names("transformers", {})


@reproduces("logits-as-probabilities", "torch")
def test_nll_loss_takes_logits_without_an_error() -> None:
    leaf = leaf_of(LOGITS)
    gradient = gradient_of(nn.NLLLoss()(leaf, LABELS), leaf)
    # linear in the logits: no minimum
    assert torch.equal(gradient, -F.one_hot(LABELS, K).double() / len(LABELS))
    assert "no minimum" in found(diagnose("torch", "NLLLoss()"), "logits-as-probabilities").effect
    assert "logits-as-probabilities" not in names("torch", "CrossEntropyLoss()")


@reproduces("smoothed-padding", "torch", "opennmt")
def test_smoothing_reaches_the_ignored_class_in_torch() -> None:
    diagnosis = diagnose("torch", "CrossEntropyLoss(ignore_index=1, label_smoothing=0.2)")
    leaf = leaf_of(torch.zeros(1, K).double())
    gradient = gradient_of(nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.2)(leaf, torch.tensor([0])), leaf)
    share = 1 / K - float(gradient[0, 1])
    assert f"every target gives it {share:.4g}" in found(diagnosis, "smoothed-padding").effect
    assert [row.label for row in diagnosis.rows] == [0, 2, 3]
    # OpenNMT-py smooths with this loss too
    opennmt = diagnose("opennmt", "--label_smoothing 0.2", num_classes=K, version="3.5.1")
    assert f"every target gives it {share:.4g}" in found(opennmt, "smoothed-padding").effect
    assert "smoothed-padding" not in names("torch", "CrossEntropyLoss(label_smoothing=0.2)")


@reproduces("smoothed-validation", "transformers")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_trainer_evaluates_with_smoothing(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    settings = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.BertConfig(**settings, vocab_size=9, num_labels=3, max_position_embeddings=8)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(100)
    rows = [{"input_ids": [2 + k, 3, k], "labels": k} for k in range(3)]
    losses = {}
    for smoothing in (0.0, 0.3):
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            label_smoothing_factor=smoothing,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(model=copy.deepcopy(model), args=arguments, eval_dataset=rows)
        losses[smoothing] = trainer.evaluate()["eval_loss"]
    inputs = torch.tensor([row["input_ids"] for row in rows])
    logits = model(inputs, attention_mask=torch.ones_like(inputs)).logits.detach()
    labels = torch.arange(3)
    for smoothing, loss in losses.items():
        assert loss == pytest.approx(float(F.cross_entropy(logits, labels, label_smoothing=smoothing)), abs=1e-5)
    assert abs(losses[0.3] - losses[0.0]) > 0.01
    assert "eval_loss" in found(diagnose("transformers", {"label_smoothing_factor": 0.3}), "smoothed-validation").effect
    assert "smoothed-validation" not in names("transformers", {})


@reproduces("forgotten-temperature", "torch")
def test_a_divergence_of_softened_logits_has_a_gradient_that_falls_with_the_temperature() -> None:
    scale = []
    for temperature in (1.0, 10.0):
        leaf = leaf_of(LOGITS / 100)
        target = (LOGITS.flip(0) / 100 / temperature).softmax(-1)
        loss = nn.KLDivLoss(reduction="batchmean")((leaf / temperature).log_softmax(-1), target)
        scale.append(gradient_of(loss, leaf).norm())
    # for small logits the gradient is proportional to 1 / T^2
    assert float(scale[0] / scale[1]) == pytest.approx(100, rel=0.05)
    assert "forgotten-temperature" in names("torch", "KLDivLoss()")


@reproduces("mean-over-devices", "transformers")
def test_the_trainer_sums_numbers_of_labels_over_devices_if_it_is_told_to() -> None:
    trainer = pytest.importorskip("transformers").Trainer
    settings: dict[str, Any] = {"world_size": 2, "n_gpu": 1}
    counted = {}
    for gathers in (True, False):
        one = SimpleNamespace(
            args=SimpleNamespace(average_tokens_across_devices=gathers, **settings),
            model_accepts_loss_kwargs=True,
            compute_loss_func=None,
            _loss_shifts_labels=False,
            **dict.fromkeys(("get_tp_size", "get_cp_size", "get_sp_size"), lambda: 1),
            # this device has 3 labels, the other one has 1
            accelerator=SimpleNamespace(gather=lambda number: torch.stack([number, torch.tensor(1)])),
        )
        counted[gathers] = trainer._get_num_items_in_batch(one, [{"labels": torch.tensor([0, 1, 2])}], "cpu")
    assert {gathers: int(number) for gathers, number in counted.items()} == {True: 4, False: 3}
    averaged = found(diagnose("transformers", {"average_tokens_across_devices": False}), "mean-over-devices")
    assert "weighs 3 times" in averaged.effect
    assert "mean-over-devices" not in names("transformers", {"average_tokens_across_devices": True})
    assert "mean-over-devices" in names("transformers", {}, version="4.46.3")
    assert "mean-over-devices" not in names("transformers", {}, version="4.40.2")


def test_other_libraries() -> None:
    # their numbers are those of test_doctor_references.py
    assert "focal-factor" in names("keras", "CategoricalFocalCrossentropy(from_logits=True)")
    assert "focal-factor" not in names("keras", "CategoricalFocalCrossentropy(alpha=1, from_logits=True)")
    assert "weighted-smoothing" in names("keras", "CategoricalFocalCrossentropy(alpha=[1, 9], label_smoothing=0.1)")
    assert "smoothing-convention" in names("keras", "BinaryCrossentropy(label_smoothing=0.1)")
    fairseq = "--criterion label_smoothed_cross_entropy --label-smoothing 0.2"
    effect = found(diagnose("fairseq", fairseq, num_classes=5), "smoothing-convention").effect
    assert "label_smoothing=0.25 at K = 5" in effect
    assert "smoothing-convention" in names("opennmt", "--label_smoothing 0.1", version="3.0.2")
    assert "smoothing-convention" not in names("opennmt", "--label_smoothing 0.1", version="3.0.3")
    assert "smoothed-validation" not in names("opennmt", "--label_smoothing 0.1", version="3.0.2")
    assert "smoothed-validation" in names("opennmt", "--label_smoothing 0.1", version="3.0.3")
    unused = "--smoothing 0 --bce-loss"
    assert "unused-binary-loss" in names("timm", unused, version="1.0.30")
    assert "unused-binary-loss" not in names("timm", unused, version="1.0.31")


@pytest.mark.parametrize(
    ("options", "effect"),
    [
        ("--bce-loss --bce-target-thresh 0.2", "Smoothing has no effect: targets become one-hot"),
        ("--bce-loss --bce-target-thresh 0.01", "a target has 4 positive labels of 4"),
        ("--bce-loss --bce-target-thresh 0.2 --mixup 1", "has 2 positive labels"),
        ("--bce-loss --bce-target-thresh 0.5 --mixup 1", "has 1 positive labels"),
    ],
)
def test_thresholds_of_timm(options: str, effect: str) -> None:
    diagnosis = diagnose("timm", options, num_classes=K)
    assert effect in found(diagnosis, "threshold-of-smoothed-targets").effect


@pytest.mark.parametrize("cls", FAULTS.values(), ids=list(FAULTS))
def test_every_fault_says_what_it_reads_and_where_it_is_known(cls: Any) -> None:
    assert set(cls.libraries) <= set(READERS)
    assert set(cls.issues) <= set(cls.libraries)
    assert all(hasattr(Criterion, name) or name in Criterion.__dataclass_fields__ for name in cls.reads)
    assert cls.__doc__.endswith(".")
    assert all(link(issue).startswith("https://github.com/") for issue in cls.issues.values())


def test_every_fault_is_reproduced_with_every_library() -> None:
    known = {(name, library) for name, cls in FAULTS.items() for library in cls.libraries}
    assert known - reproduced() == READ_IN_SOURCE
    assert reproduced() <= known
