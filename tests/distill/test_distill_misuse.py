"""Arguments of the whole room: a table of plausible misuse, and what is accepted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from misuse import K, N, cases
from torch import Tensor, nn

from softtargets import distill, targets
from softtargets._errors import InputError, InputTypeError
from softtargets.distill import CacheSource, Sampled, TopK

GENERATOR = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(N, K, generator=GENERATOR) for _ in range(2))
LABELS = torch.tensor([0, 1, 2, 0])
PAIR = {"student_logits": STUDENT, "teacher_logits": TEACHER}
TAUGHT = {**PAIR, "labels": LABELS}
SHARED = {"class_dim": "class_dim", "mask": "mask", "reduction": "choice"}
LOGITS = {"student_logits": "scores", "teacher_logits": "scores"}
# a column is a number per example in the wrong shape; a number per example is refused where one number is wanted
BOTH = {"kd_weight": "number", "label_weight": "number, but not: None"}
SOURCE = CacheSource("t", "d", K)

TABLE: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "kd_loss": (
        distill.kd_loss,
        {**TAUGHT, "kd_weight": 0.5},
        {
            **LOGITS,
            "labels": "labels",
            **BOTH,
            "temperature": "number",
            "student_temperature": "number",
            "scale": "choice",
            **SHARED,
        },
    ),
    "logit_mse_loss": (
        distill.logit_mse_loss,
        {**TAUGHT, "kd_weight": 0.5},
        {**LOGITS, "labels": "labels", **BOTH, **SHARED},
    ),
    "divergence_loss": (
        distill.divergence_loss,
        {**TAUGHT, "kd_weight": 0.5},
        {
            **LOGITS,
            "labels": "labels",
            **BOTH,
            "divergence": "choice",
            "skew": "number, but not: None",
            "tail": "choice",
            "temperature": "number, but not: None",
            "scale": "choice",
            **SHARED,
        },
    ),
    "linear_divergence_loss's layer": (
        distill.linear_divergence_loss,
        {"hidden": STUDENT, "weight": torch.eye(K), "teacher_logits": TEACHER, "labels": LABELS, "kd_weight": 0.5},
        {
            "hidden": "scores",
            "weight": "scores",
            "teacher_logits": "scores",
            "labels": "labels",
            **BOTH,
            "bias": "scores, but not: None",
            "chunk": "count, but not: None",
            "divergence": "choice",
            "temperature": "number, but not: None",
            "mask": "mask",
            "reduction": "choice",
        },
    ),
    "TeacherRows": (distill.TeacherRows, {"log_probs": TEACHER.log_softmax(-1)}, {"log_probs": "scores"}),
    "TeacherRows's classes": (
        distill.TeacherRows,
        {
            "log_probs": TEACHER.log_softmax(-1)[:, :1],
            "classes": LABELS[:, None],
            "log_tail": torch.zeros(N),
            "num_classes": K,
        },
        {"classes": "labels, but not: a column", "num_classes": "count"},
    ),
    "SequenceBatch": (
        distill.SequenceBatch,
        {"ids": torch.arange(N), "tokens": torch.zeros(N, 2, dtype=torch.int64), "logits": TEACHER[:, None]},
        {"tokens": "labels, but not: a column", "mask": "mask", "rows": "mask"},
    ),
    "standardized_kd_loss": (
        distill.standardized_kd_loss,
        TAUGHT,
        {**LOGITS, "labels": "labels", **BOTH, "temperature": "number", **SHARED},
    ),
    "dkd_loss": (
        distill.dkd_loss,
        TAUGHT,
        {
            **LOGITS,
            "labels": "labels",
            "target_weight": "number",
            "other_weight": "number",
            "temperature": "number",
            **SHARED,
        },
    ),
    "dist_loss": (
        distill.dist_loss,
        PAIR,
        {**LOGITS, "inter_weight": "number", "intra_weight": "number", "temperature": "number", **SHARED},
    ),
    "hidden_state_loss": (
        distill.hidden_state_loss,
        {"student_hidden": STUDENT, "teacher_hidden": TEACHER},
        {
            "student_hidden": "scores",
            "teacher_hidden": "scores",
            "projection": "choice, but not: None",
            "mask": "mask",
            "reduction": "choice",
        },
    ),
    "equivalent_smoothing": (
        distill.equivalent_smoothing,
        {"teacher_logits": TEACHER, "labels": LABELS},
        {
            "teacher_logits": "scores",
            "labels": "labels",
            "temperature": "number",
            "class_dim": "class_dim",
            "mask": "mask",
        },
    ),
    "standardize": (
        distill.standardize,
        {"logits": STUDENT},
        {"logits": "scores", "eps": "number", "class_dim": "class_dim"},
    ),
    "pad_vocabulary": (
        distill.pad_vocabulary,
        {"logits": STUDENT, "num_classes": K + 1},
        {"logits": "scores", "num_classes": "count", "class_dim": "class_dim"},
    ),
    "ensemble": (
        distill.ensemble,
        {"logits": [STUDENT, TEACHER]},
        {
            "logits": "scores",
            "weights": "number, but not: a list",
            "average": "choice",
            "temperature": "number",
            "class_dim": "class_dim",
        },
    ),
    "MovingAverage": (
        distill.MovingAverage,
        {"model": nn.Linear(1, 1), "decay": 0.9},
        {"model": "labels", "decay": "number"},
    ),
    "CacheSource": (
        CacheSource,
        {"teacher": "t", "data": "d", "num_classes": K},
        {"teacher": "number, but not: text", "data": "number, but not: text", "num_classes": "count"},
    ),
    "TopK": (
        TopK,
        {"k": 1},
        {"k": "count", "temperature": "number", "dtype": "choice"},
    ),
    "TopK's prior": (
        TopK,
        {"k": 1, "residual": "prior", "prior": torch.full((K,), 1 / K)},
        {"prior": "scores, but not: None"},
    ),
    "Sampled": (
        Sampled,
        {"n_draws": 1},
        {"n_draws": "count", "proposal_temperature": "number", "temperature": "number", "dtype": "choice"},
    ),
    "TeacherCache": (distill.TeacherCache.open, {"folder": "none"}, {"folder": "labels"}),
    "consistency_loss": (distill.consistency_loss, PAIR, {**LOGITS, **SHARED}),
}
CASES = cases(TABLE)


@pytest.mark.parametrize(("call", "arguments"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_misuse_is_refused_by_an_error_of_the_package(call: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises((InputError, InputTypeError)):
        call(**arguments)


def test_every_public_name_is_in_the_table() -> None:
    named = {name.partition("'")[0] for name in TABLE}
    assert named | {"write_cache", "CacheCollator"} == set(distill.__all__)


LOSSES = [name for name in TABLE if name.endswith("_loss")]


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_batch_has_no_losses_and_a_mean_of_0(name: str) -> None:
    call, valid, _ = TABLE[name]
    empty = {key: value[:0] if isinstance(value, Tensor) else value for key, value in valid.items()}
    assert call(**empty).shape == (0,)
    if name != "dist_loss":  # whose term over the examples is not a number without any
        assert float(call(**empty, reduction="mean")) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_reduction_is_over_the_examples_that_count(name: str) -> None:
    call, valid, _ = TABLE[name]
    mask = torch.tensor([True, False, True, True])
    values = call(**valid, mask=mask)
    assert values[1] == 0
    torch.testing.assert_close(call(**valid, mask=mask, reduction="mean"), values.sum() / 3)
    torch.testing.assert_close(call(**valid, mask=mask, reduction="sum"), values.sum())


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "hidden_state_loss"])
def test_classes_may_be_in_any_dimension(name: str) -> None:
    call, valid, _ = TABLE[name]
    moved = {key: value.T if "logits" in key else value for key, value in valid.items()}
    torch.testing.assert_close(call(**moved, class_dim=0), call(**valid), rtol=0, atol=1e-6)
    grid = {key: value.reshape(2, 2, *value.shape[1:]) for key, value in valid.items() if isinstance(value, Tensor)}
    grid = {key: value.movedim(-1, 1) if "logits" in key else value for key, value in grid.items()}
    made = call(**{**valid, **grid}, class_dim=1)
    torch.testing.assert_close(made.reshape(-1), call(**valid), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in LOSSES if "labels" in TABLE[name][1]])
def test_ignore_index_leaves_an_example_out(name: str) -> None:
    call, valid, _ = TABLE[name]
    expected = call(**valid, mask=LABELS != 1)
    for dtype in (torch.int64, torch.int8):
        marked = LABELS.masked_fill(LABELS == 1, -100).to(dtype)
        torch.testing.assert_close(call(**{**valid, "labels": marked}), expected)
    torch.testing.assert_close(call(**valid, ignore_index=1), expected)


@pytest.mark.parametrize("name", [*LOSSES[:4], "equivalent_smoothing"])
def test_trap_39_narrow_labels_do_not_wrap(name: str) -> None:
    call, valid, _ = TABLE[name]
    student, teacher = (torch.randn(2, 300, generator=GENERATOR) for _ in range(2))
    wide = {"student_logits": student, "teacher_logits": teacher, "labels": torch.tensor([156, 255])}
    wide = {**valid, **{key: value for key, value in wide.items() if key in valid}}
    torch.testing.assert_close(call(**{**wide, "labels": wide["labels"].to(torch.uint8)}), call(**wide))
    assert bool((call(**wide) != 0).all())


def test_the_advice_names_the_right_call() -> None:
    message = r"^labels: integer labels; got a tensor of dtype float32 .*; for soft labels use kd_loss$"
    with pytest.raises(TypeError, match=message):
        distill.dkd_loss(STUDENT, TEACHER, TEACHER.softmax(-1))
    with pytest.raises(TypeError, match=r"^labels: .* got dtype torch.float32 and shape \(4,\); use labels.long\(\)"):
        distill.kd_loss(STUDENT, TEACHER, LABELS.float(), kd_weight=0.5)
    with pytest.raises(TypeError, match=r"^teacher_logits: .*; got ndarray; use torch.from_numpy\(teacher_logits\)"):
        distill.kd_loss(STUDENT, TEACHER.numpy())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^teacher_logits: .* got dtype torch.int64; .* class numbers"):
        distill.kd_loss(STUDENT, LABELS, TEACHER)


@pytest.mark.parametrize("argument", ["teacher_logits", "labels", "mask"])
def test_tensors_on_another_device_are_named(argument: str) -> None:
    given: dict[str, Any] = {**TAUGHT, "mask": LABELS == 1}
    given[argument] = given[argument].to("meta")
    message = rf"^{argument}: tensors on cpu, like student_logits; got meta; use {argument}.to\(student_logits.device\)"
    with pytest.raises(ValueError, match=message):
        distill.kd_loss(**given, kd_weight=0.5)
    with pytest.raises(ValueError, match=r"^teacher_logits: tensors on cpu, like student_logits; got meta"):
        distill.kd_loss(STUDENT, targets.dense(TEACHER.softmax(-1)).to("meta"))


def test_other_calls_are_refused_by_name() -> None:
    average = distill.MovingAverage(nn.Linear(1, 1), decay=0.5)
    with pytest.raises(TypeError, match=r"^model: a torch.nn.Module; got OrderedDict; pass the model that was copied"):
        average.update(average.state_dict())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^projection: a callable that returns a tensor; got list; "):
        distill.hidden_state_loss(STUDENT, TEACHER, projection=lambda h: h.tolist())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^logits: tensors, or one .*; got ndarray; use torch.from_numpy\(logits\)"):
        distill.ensemble(STUDENT.numpy())  # pyright: ignore[reportArgumentType]
    made = replace(targets.dense(TEACHER.softmax(-1)), temperature=1.0)
    with pytest.raises(ValueError, match=r"^temperature: 1, .*or pass the cache's log_probs\(ids\) as teacher_logits"):
        distill.kd_loss(STUDENT, made, temperature=4.0)


def test_numbers_of_numpy_are_numbers() -> None:
    made = distill.kd_loss(STUDENT, TEACHER, LABELS, kd_weight=np.float32(0.5), temperature=np.int64(2))  # pyright: ignore
    torch.testing.assert_close(made, distill.kd_loss(STUDENT, TEACHER, LABELS, kd_weight=0.5, temperature=2.0))
    assert made.dtype == torch.float32
    assert Sampled(np.int64(2)).n_draws == 2  # pyright: ignore[reportArgumentType]


IDS = torch.arange(N)
BATCHES: dict[str, Any] = {
    "ids of NumPy": [(IDS.numpy(), TEACHER)],
    "logits of NumPy": [(IDS, TEACHER.numpy())],
    "a function that returns NumPy": [(IDS, TEACHER.numpy)],
    "logits first": [(TEACHER, IDS)],
    "lists": [([0, 1, 2, 3], TEACHER.tolist())],
    "logits alone": [TEACHER],
    "one pair": (IDS, TEACHER),
    "a tensor": TEACHER,
    "None": None,
    "float ids": [(IDS.float(), TEACHER)],
}


@pytest.mark.parametrize("batches", BATCHES.values(), ids=BATCHES)
def test_batches_that_are_no_pairs_of_tensors_are_refused(batches: Any, tmp_path: Path) -> None:
    with pytest.raises(InputTypeError):
        distill.write_cache(tmp_path / "c", batches, SOURCE)
    assert len(distill.write_cache(tmp_path / "c", [(IDS, TEACHER)], SOURCE)) == N, "the folder is still usable"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"folder": [1]}, "^folder: a path; got list; "),
        ({"folder": SOURCE}, "^folder: a path; got CacheSource; "),
        ({"source": "t"}, r"^source: a CacheSource; got str; pass CacheSource\(teacher="),
        ({"generator": 0}, r"^generator: a torch.Generator or None; got int; use torch.Generator\(\).manual_seed"),
        ({"keep": 3}, r"^keep: TopK or Sampled; got int; pass TopK\(k="),
    ],
)
def test_other_arguments_of_write_cache(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match=message):
        distill.write_cache(**{"folder": tmp_path / "c", "batches": [(IDS, TEACHER)], "source": SOURCE, **changed})


@pytest.mark.parametrize("keep", [TopK(2, temperature=2.0), TopK(temperature=2.0), Sampled(3, temperature=2.0)])
def test_a_cached_teacher_is_taken_at_its_temperature(keep: TopK | Sampled, tmp_path: Path) -> None:
    cache = distill.write_cache(tmp_path, [(IDS, TEACHER)], SOURCE, keep=keep)
    made = cache.targets(IDS)
    assert made.temperature == 2
    assert made.num_classes == K
    values = distill.kd_loss(STUDENT, made, LABELS, kd_weight=0.5, temperature=2.0)
    crossed = -(made.to_dense() * (STUDENT / 2).log_softmax(-1)).sum(-1)
    own = -STUDENT.log_softmax(-1)[IDS, LABELS]
    torch.testing.assert_close(values, 0.5 * 4 * crossed + 0.5 * own)
    with pytest.raises(ValueError, match=r"^temperature: 2, at which the teacher's targets were softened; got 4"):
        distill.kd_loss(STUDENT, made, temperature=4.0)
    assert targets.mix(made, targets.hard(LABELS), 0.5).temperature is None
