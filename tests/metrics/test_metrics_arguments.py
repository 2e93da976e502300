"""The arguments of every metric: required ones, skipped rows, the axis of the classes, arrays, and plausible misuse."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from softtargets import metrics
from softtargets.metrics.arguments import REQUIRED

FUNCTIONS: dict[str, Any] = {
    name: getattr(metrics, name)
    for name in (
        "accuracy",
        "aurc",
        "brier",
        "brier_decomposition",
        "ece",
        "excess_aurc",
        "misclassification_auroc",
        "nll",
        "reliability_bins",
        "risk_coverage",
        "smooth_ece",
        "smooth_reliability",
    )
} | {
    "coverage_at_risk": lambda *rows, **named: metrics.coverage_at_risk(*rows, **named, risk=0.3),
    "ece of equal counts": lambda *rows, **named: metrics.ece(*rows, **named, binning="mass"),
    "Accuracy.update": lambda *rows, **named: metrics.Accuracy().update(*rows, **named).compute(),
    "Collection.update": lambda *rows, **named: (
        metrics.Collection([metrics.NLL()]).update(*rows, **named).compute()["NLL"]
    ),
}
TAKE_SOFT_LABELS = {
    "accuracy",
    "nll",
    "brier",
    "ece",
    "ece of equal counts",
    "reliability_bins",
    "Accuracy.update",
    "Collection.update",
}
every = pytest.mark.parametrize("metric", FUNCTIONS.values(), ids=FUNCTIONS)

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(60, 4, generator=generator)
LABELS = torch.randint(4, (60,), generator=generator)
PROBS = LOGITS.softmax(-1)


def numbers(made: Any) -> list[Any]:
    """Return a result as nested lists, without NaN."""
    parts = [made] if isinstance(made, torch.Tensor) else list(vars(made).values())
    return [part.nan_to_num().tolist() for part in parts]


@every
def test_probabilities_or_logits_and_labels_are_required(metric: Any) -> None:
    calls: list[tuple[Any, str]] = [
        (lambda: metric(), "probs: required; got nothing; pass probabilities as the first argument, or logits="),
        (lambda: metric(labels=LABELS), "probs: required; got nothing"),
        (lambda: metric(PROBS), "labels: required; got nothing; pass labels= or give labels as the second argument"),
        (lambda: metric(logits=LOGITS), "labels: required; got nothing"),
    ]
    for call, message in calls:
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(ValueError, match="probs: either probs or logits; got both; pass one of them"):
        metric(PROBS, LABELS, logits=LOGITS)


def test_the_default_of_required_arguments_is_readable() -> None:
    assert repr(REQUIRED) == "<required>"
    assert pickle.loads(pickle.dumps(REQUIRED)) is REQUIRED


@every
def test_rows_are_left_out_by_label_and_by_mask_alike(metric: Any) -> None:
    left_out = torch.arange(60) % 4 == 1
    expected = numbers(metric(PROBS[~left_out], LABELS[~left_out]))
    probs = PROBS.masked_fill(left_out[:, None], torch.nan)
    assert numbers(metric(probs, LABELS.masked_fill(left_out, -100))) == expected
    assert numbers(metric(probs, LABELS.masked_fill(left_out, 99), mask=~left_out)) == expected
    first, second = left_out & (LABELS > 1), left_out & (LABELS <= 1)
    both = LABELS.masked_fill(first, -1)
    assert numbers(metric(probs, both, mask=~second, ignore_index=-1)) == expected


@every
def test_the_classes_may_be_on_any_axis(metric: Any) -> None:
    expected = numbers(metric(PROBS, LABELS))
    labels = LABELS.view(3, 4, 5)
    assert numbers(metric(PROBS.view(3, 4, 5, 4).movedim(-1, 1), labels, class_dim=1)) == expected
    assert numbers(metric(PROBS.T, LABELS, class_dim=0)) == expected
    with pytest.raises(ValueError, match=r"labels: shape \(3, 4, 4\); got \(3, 4, 5\); use class_dim=1"):
        metric(PROBS.view(3, 4, 5, 4).movedim(-1, 1), labels)


@every
def test_numpy_in_and_out(metric: Any) -> None:
    made, expected = metric(PROBS.numpy(), LABELS.numpy().astype("uint8")), metric(PROBS, LABELS)
    if isinstance(expected, torch.Tensor):
        assert float(made) == float(expected)
    else:
        assert all(isinstance(part, np.ndarray) for part in vars(made).values())
        assert [np.nan_to_num(part).tolist() for part in vars(made).values()] == numbers(expected)
        assert repr(made) == repr(expected)


def test_numpy_results() -> None:
    groups: Any = np.int64(3)
    n_bins: Any = np.int32(7)
    risk: Any = np.float32(1.0)
    assert isinstance(metrics.ece(PROBS.numpy(), LABELS.numpy()), np.ndarray)
    scores = PROBS.amax(1).numpy()
    mask = np.arange(60) < 50
    made = metrics.aurc(PROBS.numpy(), LABELS.numpy(), scores=scores, mask=mask)
    assert float(made) == float(metrics.aurc(PROBS[:50], LABELS[:50]))
    gathered = metrics.NLL(groups=groups).update(PROBS.numpy(), LABELS.numpy(), ids=np.arange(60))
    assert repr(gathered) == "NLL(groups=3, seed=0)"
    assert float(metrics.ece(PROBS, LABELS, n_bins=n_bins)) == float(metrics.ece(PROBS, LABELS, n_bins=7))
    assert float(metrics.coverage_at_risk(PROBS, LABELS, risk=risk)) == 1


# what was called, and what the error says
MISUSE: dict[str, tuple[Any, str]] = {
    "swapped": (lambda m: m(LABELS, PROBS), "probs: .*; got dtype torch.int64; swap probs and labels"),
    "swapped logits": (lambda m: m(logits=LABELS, labels=LOGITS), "logits: .*; swap logits and labels"),
    "lists": (lambda m: m(PROBS.tolist(), LABELS), r"probs: .*; got list; use torch.as_tensor\(probs\)"),
    "lists of labels": (lambda m: m(PROBS, LABELS.tolist()), r"labels: .*; got list; use torch.as_tensor\(labels\)"),
    "None": (lambda m: m(None, LABELS), "probs: .*; got NoneType; pass probs"),
    "None for labels": (lambda m: m(PROBS, None), "labels: integer labels .*; got NoneType"),
    "None for logits": (lambda m: m(logits=None, labels=LABELS), "logits: .*; got NoneType"),
    "text": (lambda m: m("probs", LABELS), "probs: .*; got str"),
    "strings": (lambda m: m(PROBS, np.array(["cat"] * 60)), "labels: .*; encode labels as integers"),
    "integers": (lambda m: m((PROBS > 0.5).long(), LABELS), r"probs: .*; got dtype torch.int64; use probs.float\(\)"),
    "predicted classes": (lambda m: m(LABELS, LABELS), "probs: .*; pass the scores of all classes, not the predicted"),
    "complex": (lambda m: m(PROBS.to(torch.complex64), LABELS), "probs: .*; got dtype torch.complex64"),
    "float labels": (
        lambda m: m(PROBS, LABELS.float()),
        r"labels: .*; got dtype torch.float32; if they are whole numb",
    ),
    "gradient": (lambda m: m(PROBS, LABELS.float().requires_grad_()), "labels: integer labels .*"),
    "column": (lambda m: m(PROBS, LABELS[:, None]), r"labels: shape \(60,\); got \(60, 1\); use labels.squeeze\(-1\)"),
    "0-d": (lambda m: m(torch.tensor(0.5), torch.tensor(0)), r"probs: shape \(..., K\) with K >= 2; got \(\)"),
    "1-d": (lambda m: m(PROBS[0], torch.tensor(0)), r"labels: shape \(4,\); got \(\)"),
    "one class": (lambda m: m(PROBS[:, :1], LABELS), "labels: .* below 2, .*one column of predictions has two.*; got"),
    "one class of many": (
        lambda m: m(PROBS[:, None, :1], LABELS[:, None]),
        r"probs: shape \(..., K\) with K >= 2; got \(60, 1, 1\)",
    ),
    "soft labels of other classes": (lambda m: m(PROBS, PROBS[:, :3]), r"labels: .*; got (dtype|\(60, 3\))"),
    "no examples": (lambda m: m(PROBS[:0], LABELS[:0]), "at least one example that is not left out; got none"),
    "all ignored": (lambda m: m(PROBS, LABELS * 0 - 100), "at least one example that is not left out; got none"),
    "logits": (lambda m: m(LOGITS, LABELS), "probs: rows of probabilities; .*; pass logits= for logits"),
    "label out of range": (
        lambda m: m(PROBS, LABELS + 4),
        "labels: .*below 4, .*; fix it, or leave that example out by",
    ),
    "mask of numbers": (lambda m: m(PROBS, LABELS, mask=LABELS), "mask: a bool tensor, .*; got dtype torch.int64"),
    "mask as list": (lambda m: m(PROBS, LABELS, mask=[True] * 60), "mask: a bool tensor, .*; got list"),
    "mask column": (lambda m: m(PROBS, LABELS, mask=LABELS[:, None] > 0), r"mask: shape \(60,\), .*; got \(60, 1\)"),
    "class_dim": (lambda m: m(PROBS, LABELS, class_dim=2), "class_dim: an axis of probs, from -2 to 1; got 2"),
    "class_dim as text": (lambda m: m(PROBS, LABELS, class_dim="1"), "class_dim: an axis of probs, .*; got '1'"),
    "ignore_index": (lambda m: m(PROBS, LABELS, ignore_index="-1"), "ignore_index: an int; got '-1'"),
}


@every
@pytest.mark.parametrize("misuse", MISUSE)
def test_plausible_misuse_is_an_input_error_that_says_what_to_do(metric: Any, misuse: str) -> None:
    call, message = MISUSE[misuse]
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        call(metric)
    assert type(raised.value).__name__ in ("InputError", "InputTypeError")


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - TAKE_SOFT_LABELS))
@pytest.mark.parametrize("soft", [PROBS, (PROBS > 0.3).long()], ids=["probabilities", "votes"])
def test_soft_labels_are_refused_by_metrics_that_need_one_class_per_row(name: str, soft: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels: .*; this argument takes no probabilities or votes, use labels.argm"):
        FUNCTIONS[name](PROBS, soft)


@every
def test_one_column_is_a_binary_problem(metric: Any) -> None:
    positive, labels = PROBS[:, 1], LABELS % 2
    expected = numbers(metric(torch.stack([1 - positive, positive], 1), labels))
    assert numbers(metric(positive, labels)) == expected
    assert numbers(metric(positive[:, None], labels, class_dim=1)) == expected
    scores = LOGITS[:, 0]
    expected = numbers(metric(logits=torch.stack([scores * 0, scores], 1), labels=labels))
    assert numbers(metric(logits=scores, labels=labels)) == expected
    with pytest.raises(ValueError, match=r"probs: rows of probabilities; .* a minimum of -0.5 at row 3; pass logits="):
        metric(positive.index_fill(0, torch.tensor([3]), 1.5), labels)


@every
def test_predictions_with_a_gradient_are_detached(metric: Any) -> None:
    assert numbers(metric(PROBS.clone().requires_grad_(), LABELS)) == numbers(metric(PROBS, LABELS))


def test_misuse_of_scores_ids_and_settings() -> None:
    nll: Any = metrics.NLL
    selective: Any = metrics.SelectiveRisk
    coverage: Any = metrics.coverage_at_risk
    interval: Any = metrics.interval
    calls: list[tuple[Any, str]] = [
        (lambda: metrics.aurc(PROBS, LABELS, scores=[1.0] * 60), "scores: a floating-point tensor; got list"),
        (
            lambda: metrics.aurc(PROBS, LABELS, scores=PROBS[:, :1]),
            r"scores: shape \(60,\); .*use scores.squeeze\(-1\)",
        ),
        (lambda: metrics.NLL().update(PROBS, LABELS, ids=PROBS[:, 0]), "ids: integer ids of examples; got dtype torch"),
        (lambda: metrics.NLL().update(PROBS, LABELS, ids=[1]), "ids: integer ids of examples; got list"),
        (lambda: metrics.NLL().update(PROBS, LABELS, ids=LABELS[:5]), r"ids: shape \(60,\); got \(5,\)"),
        (lambda: nll(groups=None), "groups: an int of at least 1; got None"),
        (lambda: metrics.NLL(seed=-1), "seed: an int of at least 0; got -1; pass 0 or more"),
        (lambda: selective(risks=0.1), "risks: a sequence of numbers in .*; got 0.1"),
        (lambda: selective(risks=("a",)), "risks: a number in .*; got 'a'; pass an error rate"),
        (
            lambda: coverage(PROBS, LABELS, risk="a"),
            "risk: a number in .*; got 'a'; pass",
        ),
        (lambda: coverage(PROBS, LABELS, risk=torch.ones(60, 1)), "risk: a number in .*; got Tensor"),
        (lambda: metrics.brier_decomposition(PROBS, LABELS, n_bins=0), "n_bins: at least 1; got 0"),
        (lambda: nll().merge(None), "other: an accumulator; got NoneType"),
        (lambda: interval(None), "accumulator: an accumulator; got NoneType"),
    ]
    for call, message in calls:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
