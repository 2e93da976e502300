"""Arguments of all target rules: accepted dtypes and layouts, and a table of plausible misuse."""

from typing import Any

import numpy as np
import pytest
import torch
from misuse import K, N, cases

from softtargets import targets
from softtargets._errors import InputError, InputTypeError
from softtargets.matrices import LabelMatrix

LABELS = torch.tensor([0, 1, 2, 0])
PROBS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, 2.0, 3.0])
RULE = "labels, but not: a column, 0-d, too few, too large"  # K and the shape are free
SIZED = "labels, but not: a column, 0-d, too few"
TEXTS = ["a goal", "a star", "a match", "goals"]
ONLINE = targets.OnlineSmoothing(K)
RUNNING = targets.RunningTargets(N, K)
SCHEDULE = targets.LinearSchedule(0.0, 1.0, 0.0, 1.0, unit="fraction")

TABLE: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "hard": (targets.hard, {"labels": LABELS}, {"labels": RULE}),
    "from_table": (
        targets.from_table,
        {"labels": LABELS, "table": PROBS[:K]},
        {"labels": SIZED, "table": "scores"},
    ),
    "from_table of a LabelMatrix": (
        targets.from_table,
        {"labels": LABELS, "table": LabelMatrix.uniform(0.1, K)},
        {"labels": SIZED},
    ),
    "backward_corrected": (
        targets.backward_corrected,
        {"labels": LABELS, "transition": torch.eye(K)},
        {"labels": SIZED, "transition": "scores"},
    ),
    "dense": (targets.dense, {"values": PROBS}, {"values": "scores", "class_dim": "class_dim"}),
    "smooth": (
        targets.smooth,
        {"labels_or_targets": LABELS, "smoothing": 0.1, "num_classes": K},
        {
            "labels_or_targets": SIZED,
            "smoothing": "number",
            "num_classes": "count",
            "convention": "choice",
            "prior": "scores, but not: None",
            "valid": "mask, but not: a column",
        },
    ),
    "convert_smoothing": (
        targets.convert_smoothing,
        {"smoothing": 0.1, "num_classes": K},
        {
            "smoothing": "number, but not: a column, negative",
            "num_classes": "count",
            "source": "choice",
            "target": "choice",
        },
    ),
    "disturb_labels": (
        targets.disturb_labels,
        {"labels": LABELS, "rate": 0.1, "num_classes": K},
        {"labels": SIZED, "rate": "number", "num_classes": "count", "generator": "generator"},
    ),
    "smooth_by_scores": (
        targets.smooth_by_scores,
        {"labels": LABELS, "scores": PROBS, "smoothing": 0.1},
        {
            "labels": "labels",
            "scores": "scores",
            "smoothing": "number",
            "temperature": "number",
            "class_dim": "class_dim",
        },
    ),
    "top_k's prior": (
        targets.top_k,
        {"teacher_log_probs": PROBS.log(), "k": 1, "residual": "prior", "prior": PROBS[0]},
        {"prior": "scores"},
    ),
    "top_k": (
        targets.top_k,
        {"teacher_log_probs": PROBS.log(), "k": 1},
        {"teacher_log_probs": "scores", "k": "count", "residual": "choice", "class_dim": "class_dim"},
    ),
    "sample": (
        targets.sample,
        {"teacher_log_probs": PROBS.log(), "n_draws": 2},
        {
            "teacher_log_probs": "scores",
            "n_draws": "count",
            "proposal_temperature": "number",
            "class_dim": "class_dim",
            "generator": "generator",
        },
    ),
    "votes": (targets.votes, {"counts": PROBS}, {"counts": "scores, but not: labels", "class_dim": "class_dim"}),
    "mix": (
        targets.mix,
        {"a": LABELS, "b": LABELS.flip(0), "weight": 0.5},
        {"a": "labels, but not: too large", "b": "labels, but not: too large", "weight": "number"},
    ),
    "example_weights": (
        targets.example_weights,
        {"targets": LABELS, "class_weight": WEIGHTS},
        {"targets": SIZED, "class_weight": "scores"},
    ),
    "reweight": (
        targets.reweight,
        {"targets": LABELS, "class_weight": WEIGHTS},
        {"targets": SIZED, "class_weight": "scores"},
    ),
    "smoothing_from_confidence": (
        targets.smoothing_from_confidence,
        {"probs": PROBS, "maximum": 0.1, "labels": LABELS},
        {"probs": "scores", "maximum": "number", "labels": "labels, but not: None", "class_dim": "class_dim"},
    ),
    "smoothing_from_margin": (
        targets.smoothing_from_margin,
        {"logits": PROBS, "maximum": 0.1, "margin": 1.0, "labels": LABELS},
        {
            "logits": "scores",
            "maximum": "number",
            "margin": "number",
            "labels": "labels, but not: None",
            "class_dim": "class_dim",
        },
    ),
    "LinearSchedule": (
        targets.LinearSchedule,
        {"start": 0.0, "end": 1.0, "begin": 0.0, "until": 1.0},
        {
            "start": "number, but not: negative",
            "end": "number, but not: negative",
            "begin": "number, but not: negative",
            "until": "number",
            "unit": "choice",
        },
    ),
    "SigmoidSchedule": (
        targets.SigmoidSchedule,
        {"start": 0.0, "end": 1.0, "begin": 0.0, "until": 1.0},
        {
            "start": "number, but not: negative",
            "end": "number, but not: negative",
            "begin": "number, but not: negative",
            "until": "number",
            "unit": "choice",
        },
    ),
    "pseudo_labels": (
        targets.pseudo_labels,
        {"probs": PROBS, "threshold": 0.5},
        {"probs": "scores", "threshold": "number", "kind": "choice", "class_dim": "class_dim"},
    ),
    "align_distribution": (
        targets.align_distribution,
        {"probs": PROBS, "running": PROBS[0]},
        {"probs": "scores", "running": "scores", "prior": "scores, but not: None", "class_dim": "class_dim"},
    ),
    "class_thresholds": (
        targets.class_thresholds,
        {"counts": torch.tensor([3.0, 2.0, 1.0])},
        {"counts": "scores, but not: labels", "maximum": "number", "undecided": "number"},
    ),
    "LinearSchedule's call": (SCHEDULE, {"now": 0.5}, {"now": "number"}),
    "OnlineSmoothing": (
        targets.OnlineSmoothing,
        {"num_classes": K, "weight": 0.5},
        {"num_classes": "count", "weight": "number"},
    ),
    "OnlineSmoothing.targets": (ONLINE.targets, {"labels": LABELS}, {"labels": SIZED}),
    "OnlineSmoothing.observe": (
        ONLINE.observe,
        {"probs": PROBS, "labels": LABELS},
        {"probs": "scores", "labels": "labels", "class_dim": "class_dim"},
    ),
    "RunningTargets": (
        targets.RunningTargets,
        {"num_examples": N, "num_classes": K, "momentum": 0.5},
        {"num_examples": "count", "num_classes": "count", "momentum": "number"},
    ),
    "RunningTargets.observe": (
        RUNNING.observe,
        {"ids": LABELS, "probs": PROBS},
        {"ids": "labels, but not: too large", "probs": "scores", "class_dim": "class_dim"},
    ),
    "RunningTargets.of": (
        RUNNING.of,
        {"ids": LABELS},
        {"ids": "labels, but not: a column, 0-d, too few, too large"},
    ),
    "hierarchical_table": (
        targets.hierarchical_table,
        {"distance": 1 - torch.eye(K), "sharpness": 1.0},
        {"distance": "scores", "sharpness": "number"},
    ),
    "localized_table": (
        targets.localized_table,
        {"num_classes": K, "smoothing": 0.1, "width": 1},
        {"num_classes": "count", "smoothing": "number", "width": "count"},
    ),
    "confusion_table": (
        targets.confusion_table,
        {"counts": torch.eye(K), "smoothing": 0.1},
        {"counts": "scores", "smoothing": "number"},
    ),
    "tfidf_table": (
        targets.tfidf_table,
        {"texts": TEXTS, "labels": LABELS, "num_classes": K, "smoothing": 0.1},
        {
            "labels": "labels, but not: a list",
            "texts": "labels",
            "num_classes": "count",
            "smoothing": "number",
            "temperature": "number",
        },
    ),
    "ClassKeywords": (targets.ClassKeywords, {"num_classes": K}, {"num_classes": "count", "size": "count"}),
    "ClassKeywords.fit": (
        targets.ClassKeywords(K).fit,
        {"texts": TEXTS, "labels": LABELS},
        {"labels": "labels, but not: a list", "texts": "labels"},
    ),
    "ClassKeywords.scores": (targets.ClassKeywords(K).fit(TEXTS, LABELS).scores, {"texts": TEXTS}, {"texts": "labels"}),
}
CASES = cases(TABLE)


@pytest.mark.parametrize(("call", "arguments"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_misuse_is_refused_by_an_error_of_the_package(call: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises((InputError, InputTypeError)):
        call(**arguments)


def test_every_public_name_is_in_the_table() -> None:
    named = {name.partition(".")[0].partition(" ")[0].partition("'")[0] for name in TABLE}
    assert named | {"Targets"} == set(targets.__all__)


@pytest.mark.parametrize("name", [name for name, (_, valid, _) in TABLE.items() if "labels" in valid])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.bool])
def test_trap_39_labels_of_every_integer_dtype_are_those_of_int64(name: str, dtype: torch.dtype) -> None:
    call, valid, _ = TABLE[name]
    labels = LABELS.clamp(max=1) if dtype == torch.bool else LABELS
    generator = {"generator": torch.Generator().manual_seed(0)} if name == "disturb_labels" else {}
    wide = call(**{**valid, "labels": labels, **generator})
    generator = {"generator": torch.Generator().manual_seed(0)} if name == "disturb_labels" else {}
    narrow = call(**{**valid, "labels": labels.to(dtype), **generator})
    if isinstance(wide, targets.Targets):
        assert torch.equal(narrow.to_dense(K), wide.to_dense(K))
        assert narrow.ignored is None
    elif isinstance(wide, torch.Tensor):
        assert torch.equal(narrow, wide)


def test_trap_39_no_narrow_label_is_taken_for_ignore_index() -> None:
    labels = torch.tensor([156, 255, 0], dtype=torch.uint8)  # -100 and -1 in uint8
    for made in (
        targets.hard(labels),
        targets.hard(labels, ignore_index=-1),
        targets.smooth(labels, 0.1, num_classes=300),
        targets.from_table(labels, torch.eye(300)),
        targets.disturb_labels(labels, 0.0, num_classes=300),
    ):
        assert made.ignored is None
        assert made.labels is not None
        assert made.labels.tolist() == [156, 255, 0]
    assert targets.hard(torch.tensor([-100, 5], dtype=torch.int8)).mass().tolist() == [0, 1]


@pytest.mark.parametrize("name", [name for name, (_, valid, _) in TABLE.items() if "labels" in valid])
def test_ignore_index_is_minus_100_by_default(name: str) -> None:
    if name in ("tfidf_table", "ClassKeywords.fit"):
        return  # every text has a class
    call, valid, _ = TABLE[name]
    marked = LABELS.masked_fill(torch.tensor([False, True, False, False]), -100)
    made = call(**{**valid, "labels": marked})
    if isinstance(made, targets.Targets):
        assert made.ignored is not None
        assert made.ignored.tolist() == [False, True, False, False]
    elif isinstance(made, torch.Tensor):
        assert made[1] == 0


def test_numbers_of_numpy_are_numbers() -> None:
    for given, plain in ((np.float32(0.25), 0.25), (np.float64(0.25), 0.25), (np.int64(0), 0)):
        made = targets.smooth(LABELS, given, num_classes=np.int64(K))  # pyright: ignore[reportArgumentType]
        assert torch.equal(made.to_dense(), targets.smooth(LABELS, plain).to_dense(K))
    zero, one, four = np.float32(0), np.int64(1), np.int64(4)
    assert targets.LinearSchedule(zero, 1.0, 0, four)(one) == 0.25  # pyright: ignore[reportArgumentType]
    assert targets.top_k(PROBS.log(), k=np.int64(1)).index is not None  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["dense", "top_k", "sample", "votes", "smoothing_from_confidence", "smooth_by_scores"])
def test_classes_may_be_in_any_dimension(name: str) -> None:
    call, valid, _ = TABLE[name]
    scores = next(key for key, value in valid.items() if isinstance(value, torch.Tensor) and value.is_floating_point())
    generators = [{"generator": torch.Generator().manual_seed(0)} if name == "sample" else {} for _ in range(2)]
    expected = call(**valid, **generators[0])
    made = call(**{**valid, scores: valid[scores].T}, class_dim=0, **generators[1])
    if isinstance(made, targets.Targets):
        made, expected = made.to_dense(K), expected.to_dense(K)
    assert torch.equal(made, expected)


PER_EXAMPLE = [name for name, (_, valid, _) in TABLE.items() if not {"num_classes", "texts"} & valid.keys()] + [
    "smooth"
]


NOT_OF_EXAMPLES = ("Table", "Linear", "thresholds")


@pytest.mark.parametrize("name", [name for name in PER_EXAMPLE if not any(part in name for part in NOT_OF_EXAMPLES)])
def test_an_empty_batch_gives_an_empty_result(name: str) -> None:
    call, valid, _ = TABLE[name]
    shared = (
        "table",
        "prior",
        "transition",
        "class_weight",
        "distance",
        "running",
        "counts" if "table" in name else "",
    )
    empty = {
        key: value[:0] if isinstance(value, torch.Tensor) and key not in shared else value
        for key, value in valid.items()
    }
    made = call(**empty)
    if isinstance(made, targets.Targets):
        assert made.shape == (0,)
        assert made.to_dense(K).shape == (0, K)
    elif isinstance(made, torch.Tensor) and "table" not in name:
        assert made.shape[0] == 0
