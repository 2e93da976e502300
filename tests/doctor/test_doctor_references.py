"""Diagnoses against numbers of libraries that the tests do not need; `doctor_references.py` computed them."""

import importlib.util
import json
from typing import Any

import doctor_references as frozen
import pytest
import torch
from doctor_faults import reproduces
from torch import Tensor
from torch.nn import functional as F

from softtargets.doctor import Diagnosis, diagnose
from softtargets.doctor.readers import READERS, keras, reader_of, timm
from softtargets.doctor.targets import mixed_targets
from softtargets.doctor.treatment import step_weights

ENTRIES = json.loads(frozen.PLACE.read_text())
CASES = [entry for entry in ENTRIES if entry["snippet"] != "extra"]
EXTRA = {entry["library"]: entry for entry in ENTRIES if entry["snippet"] == "extra"}


def of_case(entry: dict[str, Any]) -> Diagnosis:
    return diagnose(entry["library"], entry["snippet"], num_classes=frozen.K, version=entry["version"])


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['library']} {entry['snippet']}"


def given_to(library: str, loss: str, labels: Tensor) -> Tensor:
    """Return labels in the form that the equivalent code takes."""
    binary = library == "keras" and "Binary" in loss
    return F.one_hot(labels, frozen.K) if binary else labels


@reproduces("smoothing-convention", "fairseq", "opennmt", "keras", "timm")
@reproduces("negative-smoothing", "fairseq", "keras", "timm")
@reproduces("smoothed-padding", "fairseq")
@reproduces("threshold-of-smoothed-targets", "timm")
@reproduces("weighted-smoothing", "keras")
@pytest.mark.parametrize("entry", CASES, ids=name_of)
def test_the_minimiser_is_that_of_the_library(entry: dict[str, Any]) -> None:
    rows = {row.label: row for row in of_case(entry).rows}
    for label, least in entry["minimisers"].items():
        if int(label) not in rows:
            assert "ignore_class" in entry["snippet"]
            continue
        ours = rows[int(label)].minimiser
        if least is None:
            assert ours is None
            continue
        assert ours is not None
        # Keras computes in float32; the search for a probability of 0 or 1 ends before it is reached
        exact = 5e-5 if entry["library"] == "keras" else 1e-6
        tolerance = exact if 0 < min(ours) <= max(ours) < 1 else 2e-2
        assert ours == pytest.approx(least, abs=tolerance)


@reproduces("mean-over-elements", "keras", "timm")
@reproduces("focal-factor", "keras")
@pytest.mark.parametrize("entry", CASES, ids=name_of)
def test_the_code_gives_the_loss_and_the_gradient_of_the_library(entry: dict[str, Any]) -> None:
    found = of_case(entry)
    logits, labels = frozen.batch()
    if entry["library"] in ("fairseq", "opennmt"):
        labels = torch.tensor([*frozen.LABELS[:-1], 1])
    made: dict[str, Any] = {}
    exec(found.equivalent.same_numbers or found.equivalent.code, made)
    leaf = logits.clone().requires_grad_()
    if "unbounded" in (found.equivalent.note or ""):
        with pytest.warns(UserWarning, match="unbounded"):
            value = made["loss"](leaf, labels)
    else:
        value = made["loss"](leaf, given_to(entry["library"], found.loss, labels))
    (gradient,) = torch.autograd.grad(value, leaf)
    note = found.equivalent.note or ""
    if "Not expressed" in note:
        assert not torch.allclose(gradient, torch.tensor(entry["gradient"]).double(), atol=1e-4)
        return
    torch.testing.assert_close(gradient, torch.tensor(entry["gradient"]).double(), rtol=0, atol=2e-6)
    if "The value is the cross entropy" not in note:
        assert value.item() == pytest.approx(entry["loss"], abs=1e-5)


@pytest.mark.parametrize("share", frozen.SHARES)
def test_mixed_targets_are_those_of_timm(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softtargets.doctor.targets.MIXED", share)
    criterion = reader_of("timm", "1.0.31").read("--smoothing 0.1 --mixup 0.8", frozen.K)
    assert mixed_targets(criterion, 0, 1).tolist() == pytest.approx(EXTRA["timm"]["mixed"][str(share)], abs=1e-6)


@reproduces("masked-logit", "keras", "timm", "fairseq", "opennmt")
def test_masked_logits_give_inf_or_nan() -> None:
    smoothed = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1"
    for library, snippet, value in (
        ("keras", "CategoricalCrossentropy(from_logits=True)", EXTRA["keras"]["masked"]["one-hot"]),
        ("keras", "CategoricalCrossentropy(True, 0.1)", EXTRA["keras"]["masked"]["smoothed"]),
        ("timm", "--smoothing 0.1", EXTRA["timm"]["masked"]["smoothed"]),
        ("timm", "--smoothing 0 --mixup 1", EXTRA["timm"]["masked"]["soft"]),
        ("fairseq", smoothed, EXTRA["fairseq"]["masked"]),
        ("opennmt", "--label_smoothing 0.1", EXTRA["opennmt"]["masked"]),
    ):
        version = EXTRA[library]["version"]
        (finding,) = (f for f in diagnose(library, snippet, version=version).findings if f.name == "masked-logit")
        assert value in ("inf", "nan")
        assert f"is {value}" in finding.effect
    assert float(EXTRA["keras"]["masked"]["label"]) < 2
    for library, finite in (("keras", "SparseCategoricalCrossentropy(from_logits=True)"), ("timm", "--smoothing 0")):
        assert "masked-logit" not in {f.name for f in diagnose(library, finite).findings}


@reproduces("mass-of-soft-targets", "keras")
def test_keras_takes_targets_of_any_sum() -> None:
    text = "CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)"
    (finding,) = (f for f in diagnose("keras", text).findings if f.name == "mass-of-soft-targets")
    assert f"becomes {EXTRA['keras']['sum_of_doubled_target']:.4g} at m = 2" in finding.effect


@reproduces("logits-as-probabilities", "keras")
def test_keras_leaves_an_ignored_batch_at_0_and_takes_logits_for_probabilities() -> None:
    found = diagnose("keras", "SparseCategoricalCrossentropy(ignore_class=0)", num_classes=3)
    assert "alone has loss 0" in next(each.text for each in found.statements if each.topic == "ignored labels")
    assert EXTRA["keras"]["all_ignored"] == 0
    assert "logits-as-probabilities" in {finding.name for finding in found.findings}
    # these logits sum to 1: their first one is clipped to a probability of 1
    assert EXTRA["keras"]["logits_as_probabilities"] < 1e-6
    assert F.cross_entropy(torch.tensor([[2.0, 0, -1]]), torch.tensor([0])) > 0.1


def test_keras_clips_binary_logits_that_it_takes_for_probabilities() -> None:
    (finding,) = (f for f in diagnose("keras", "BinaryCrossentropy()").findings if "logits-as" in f.name)
    assert "clipped to [0, 1]: those outside have gradient 0" in finding.effect
    assert "softmax" not in f"{finding.condition} {finding.remedy}"
    # of logits 3, -2, 0.5 and 0.25
    ((above, below, half, quarter),) = EXTRA["keras"]["gradient_of_binary_logits"]
    assert (above, below) == (0, 0)
    assert (half, quarter) == pytest.approx((1 / 0.5 / 4, 1 / 0.75 / 4))


@reproduces("inflated-accumulation", "transformers")
def test_transformers_before_5_15_inflates_the_gradient_of_an_accumulated_step() -> None:
    large, small = step_weights("micro-batches, not by their number", (4, 2))
    logits, labels = frozen.batch()
    each = logits.softmax(-1) - (0.9 * F.one_hot(labels, frozen.K) + 0.1 / frozen.K)
    ours = each * torch.tensor([large] * 4 + [small] * 2)[:, None]
    torch.testing.assert_close(ours, torch.tensor(EXTRA["transformers"]["gradient"]).double(), rtol=0, atol=1e-6)
    settings = {"label_smoothing_factor": 0.1, "gradient_accumulation_steps": 2}
    names = {
        version: {finding.name for finding in diagnose("transformers", settings, version=version).findings}
        for version in ("5.14.1", "5.15.0")
    }
    assert "inflated-accumulation" in names["5.14.1"] - names["5.15.0"]
    # two devices: the loss of each is multiplied by 2, and DDP averages the gradients
    assert EXTRA["transformers"]["factor of two devices"] == 2
    one = {"label_smoothing_factor": 0.1, "average_tokens_across_devices": True}
    (finding,) = (f for f in diagnose("transformers", one, version="5.14.1").findings if "inflated" in f.name)
    assert finding.condition == "if several devices train"
    assert not [f for f in diagnose("transformers", one, version="5.15").findings if "inflated" in f.name]


@reproduces("counted-prefix", "fairseq")
def test_fairseq_divides_by_the_labels_of_the_prefix_too() -> None:
    options = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1 --ignore-prefix-size"
    (finding,) = (f for f in diagnose("fairseq", f"{options} 1").findings if f.name == "counted-prefix")
    assert "1 - 1/n of that of the mean" in finding.effect
    prefix = EXTRA["fairseq"]["prefix"]
    # two sequences of three labels: the first label of each has loss 0
    assert prefix["sample size"] == 6
    assert prefix["labels with a loss"] == 4
    for none in (f"{options} 0", f"{options} 1 --sentence-avg"):
        assert "counted-prefix" not in {f.name for f in diagnose("fairseq", none).findings}


@pytest.mark.parametrize(("library", "compute"), [("keras", frozen.of_keras), ("timm", frozen.of_timm)])
def test_the_frozen_numbers_are_those_of_an_installed_library(library: str, compute: Any) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: the numbers of {READERS[library].checked} are used")
    now = {entry["snippet"]: entry for entry in compute() if entry["snippet"] != "extra"}
    for entry in CASES:
        if entry["library"] == library:
            assert now[entry["snippet"]]["loss"] == pytest.approx(entry["loss"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "library", "part"),
    [
        ("smoothing-convention", "fairseq", "smoothing 0.1"),
        ("smoothing-convention", "opennmt", "--label_smoothing"),
        ("smoothing-convention", "keras", "BinaryCrossentropy(from_logits=True, label_smoothing"),
        ("smoothing-convention", "timm", "--bce-loss --bce-sum"),
        ("negative-smoothing", "fairseq", "-0.1"),
        ("negative-smoothing", "keras", "-0.1"),
        ("negative-smoothing", "timm", "-0.1"),
        ("smoothed-padding", "fairseq", "smoothing 0.1"),
        ("threshold-of-smoothed-targets", "timm", "thresh"),
        ("weighted-smoothing", "keras", "alpha=[1, 1, 1, 20]"),
        ("mean-over-elements", "keras", "BinaryCrossentropy"),
        ("mean-over-elements", "timm", "--bce-pos-weight"),
        ("focal-factor", "keras", "alpha=[1, 1, 1, 20]"),
    ],
)
def test_the_cases_are_diagnosed_with_their_faults(name: str, library: str, part: str) -> None:
    cases = [entry for entry in CASES if entry["library"] == library and part in entry["snippet"]]
    assert cases
    assert all(name in {finding.name for finding in of_case(entry).findings} for entry in cases)


def test_names_of_arguments_are_those_of_keras_and_timm() -> None:
    assert {name: list(given) for name, given in keras.SIGNATURES.items()} == EXTRA["keras"]["signatures"]
    assert list(timm.LOSSES) == EXTRA["timm"]["losses"]
    binary = {name.replace("_", "-") for name in EXTRA["timm"]["parameters"] if name.startswith("bce_")}
    weights = {f"loss-{name.replace('_', '-')}" for name in EXTRA["timm"]["parameters"] if name.endswith("_weight")}
    assert binary
    assert weights == {"loss-class-weight", "loss-pos-weight"}
    assert binary | weights <= set(timm.OPTIONS)


def test_frozen_versions_are_those_that_readers_name() -> None:
    versions = {entry["library"]: entry["version"] for entry in ENTRIES}
    assert versions["keras"] == READERS["keras"].checked
    assert versions["timm"] == READERS["timm"].checked
    assert versions["fairseq"] == READERS["fairseq"].checked
