"""Distillation objectives against the equations."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter
from reference import distill as reference
from reference.losses import softmax

from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext
from softtargets.targets import Targets

N, K = 5, 4
FLIP = 0.3
SYMMETRIC = [[1 - FLIP if i == j else FLIP / (K - 1) for j in range(K)] for i in range(K)]


def _cross(logits: list[float], label: int) -> float:
    return -math.log(softmax(logits)[label])


def _kd(z, v, y, **settings) -> float:
    both = {"weight": 1.0, "label_weight": 0.0, "temperature": 1.0, **settings}
    both.setdefault("student_temperature", both["temperature"])
    return reference.knowledge_distillation(z, v, reference.one_hot(y, K), kd_weight=both.pop("weight"), **both)


def _standardised(z, v, y) -> float:
    own, theirs = reference.standardized(z), reference.standardized(v)
    return 9 * _kd(own, theirs, y, temperature=2.0) + 0.1 * _cross(z, y)


def _smoothed(z, v, y) -> float:
    probs = [0.9 * p + 0.1 / K for p in reference.softened(v, 2.0)]
    return 4 * reference.divergence(probs, reference.softened(z, 2.0))


def _decoupled(z, v, y, on_target: float = 1.0, on_others: float = 8.0) -> float:
    target, others = reference.decoupled_parts(z, v, y, 4.0)
    return 16 * (on_target * target + on_others * others) + _cross(z, y)


CORRECTED = {"weight": 0.5, "label_weight": 0.5, "transition": SYMMETRIC}

# settings of the objective, and the loss of one example by the equations: (student's, teacher's logits, label)
BY_HAND: list[tuple[dict, Callable[[list[float], list[float], int], float]]] = [
    ({}, _kd),
    ({"weight": 0.6}, lambda z, v, y: _kd(z, v, y, weight=0.6, label_weight=0.4)),
    ({"weight": 0.0, "temperature": 3.0}, lambda z, v, y: _cross(z, y)),
    ({"temperature": 4.0, "label_weight": 0.0}, lambda z, v, y: _kd(z, v, y, temperature=4.0)),
    ({"temperature": 4.0, "scale": "none"}, lambda z, v, y: _kd(z, v, y, temperature=4.0) / 16),
    (
        {"temperature": 4.0, "student_temperature": 1.0},
        lambda z, v, y: _kd(z, v, y, temperature=4.0, student_temperature=1.0),
    ),
    ({"standardized": True, "temperature": 2.0, "weight": 9.0, "label_weight": 0.1}, _standardised),
    ({"smoothing": 0.1, "temperature": 2.0}, _smoothed),
    (
        {"weight": 0.5, "transition": {"name": "symmetric", "rate": FLIP}},
        lambda z, v, y: _kd(z, v, y, **CORRECTED),
    ),
    ({"loss": "mse"}, lambda z, v, y: reference.squared_logits(z, v)),
    ({"loss": "mse", "weight": 0.6}, lambda z, v, y: 0.6 * reference.squared_logits(z, v) + 0.4 * _cross(z, y)),
    ({"loss": "dkd", "temperature": 4.0}, _decoupled),
    (
        {"loss": "dkd", "temperature": 4.0, "target_weight": 2.0, "other_weight": 0.5},
        lambda z, v, y: _decoupled(z, v, y, 2.0, 0.5),
    ),
    ({"loss": "dkd", "temperature": 4.0, "ramp_to": 0.5}, lambda z, v, y: _cross(z, y)),  # in the first epoch
]


def _context(answer) -> ObjectiveContext:
    return ObjectiveContext(num_examples=20, num_classes=K, teacher=lambda ids, inputs: answer)


def _objective(context: ObjectiveContext, **settings) -> Objective:
    return TypeAdapter(AnyObjective).validate_python({"name": "distillation", **settings}).started(context)


def _batch(members: int = 1) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    student, answers = torch.randn(N, K, generator=draw) * 2, torch.randn(members, N, K, generator=draw) * 3
    return Batch(torch.zeros(N, 2), torch.arange(N) % K, torch.arange(N)), student, answers


def _losses(objective: Objective, batch: Batch, logits: torch.Tensor) -> torch.Tensor:
    return objective.losses(logits, objective.prepare(batch, torch.Generator()))


@pytest.mark.parametrize(
    ("settings", "expected"), BY_HAND, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_the_loss_is_that_of_the_equations(settings, expected) -> None:
    batch, student, answers = _batch()
    got = _losses(_objective(_context(answers), **settings), batch, student)
    rows = zip(student.tolist(), answers[0].tolist(), batch.labels.tolist(), strict=True)
    assert got.tolist() == pytest.approx([expected(*row) for row in rows], rel=2e-5, abs=1e-6)


def test_relations_are_of_the_whole_batch() -> None:
    batch, student, answers = _batch()
    got = _losses(_objective(_context(answers), loss="dist", temperature=2.0, weight=0.5), batch, student)
    rows, columns = reference.relational_parts(student.tolist(), answers[0].tolist(), 2.0)
    labels = [_cross(z, y) for z, y in zip(student.tolist(), batch.labels.tolist(), strict=True)]
    expected = [0.5 * 4 * (row + columns) + label for row, label in zip(rows, labels, strict=True)]
    assert got.tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("settings", [{}, {"loss": "dkd"}, {"weight": 0.3}])
def test_two_teachers_are_the_mean_of_their_probabilities(settings) -> None:
    batch, student, answers = _batch(members=2)
    mean = torch.tensor([reference.ensemble(both, [1, 1], "probs", 3.0) for both in answers.transpose(0, 1).tolist()])
    of_two = _losses(_objective(_context(answers), temperature=3.0, **settings), batch, student)
    of_one = _losses(_objective(_context(3 * mean[None]), temperature=3.0, **settings), batch, student)
    torch.testing.assert_close(of_two, of_one, rtol=1e-4, atol=1e-5)


def test_the_logits_of_two_teachers_are_averaged_where_logits_are_learnt() -> None:
    """Log-probabilities would be other numbers: (2, 0) and (4, 2) are alike to them."""
    batch, _, _ = _batch()
    answers = torch.tensor([[[1.0, 0.0, 0.0, 0.0]] * N, [[5.0, 2.0, 0.0, 0.0]] * N])
    got = _losses(_objective(_context(answers), loss="mse"), batch, torch.zeros(N, K))
    assert got.tolist() == pytest.approx([0.5 * (9 + 1)] * N)


def test_what_is_kept_of_two_teachers_is_learnt_by_cross_entropy() -> None:
    """Weights p / q leave a mass that is not 1, to which the loss is linear: m logsumexp(z) - <t, z>."""
    batch, student, _ = _batch()
    index = torch.tensor([[0, 2]] * N)
    kept = (
        Targets(index=index, value=torch.tensor([[0.5, 0.7]] * N), size=K),
        Targets(index=index, value=torch.tensor([[0.2, 0.1]] * N), size=K),
    )
    settings = {"temperature": 2.0, "student_temperature": 3.0, "weight": 0.5, "cache": {"kind": "sampled", "draws": 2}}
    got = _losses(_objective(_context(kept), **settings), batch, student)
    expected = []
    for z, y in zip(student.tolist(), batch.labels.tolist(), strict=True):
        log_probs = [math.log(p) for p in reference.softened(z, 3.0)]
        expected.append(0.5 * 6 * -(0.35 * log_probs[0] + 0.4 * log_probs[2]) + 0.5 * _cross(z, y))
    assert got.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"loss": "mse"}, {"loss": "dkd"}, {"loss": "dist"}])
def test_the_teachers_term_increases_during_the_training(settings) -> None:
    batch, student, answers = _batch()
    context = replace(_context(answers), epochs=4)
    whole = _objective(context, **settings, label_weight=0.5)
    ramped = _objective(context, **settings, label_weight=0.5, ramp_to=0.5)
    labels = 0.5 * torch.tensor([_cross(z, y) for z, y in zip(student.tolist(), batch.labels.tolist(), strict=True)])
    full = _losses(whole, batch, student) - labels
    for epoch, share in enumerate((0.0, 0.5, 1.0, 1.0)):
        torch.testing.assert_close(_losses(ramped, batch, student), share * full + labels, rtol=1e-4, atol=1e-5)
        resumed = _objective(context, **settings, label_weight=0.5, ramp_to=0.5)
        resumed.load_state_dict(ramped.state_dict())
        assert torch.equal(_losses(resumed, batch, student), _losses(ramped, batch, student))
        ramped.end_epoch(epoch)


def test_a_ghost_class_takes_the_mass_that_is_not_kept() -> None:
    batch, student, _ = _batch()
    index = torch.tensor([[0, 2]] * N)
    kept = Targets(index=index, value=torch.tensor([[0.5, 0.2]] * N), size=K)
    settings = {"temperature": 2.0, "weight": 1.0, "cache": {"k": 2, "residual": "ghost"}}
    got = _losses(_objective(_context((kept,)), **settings), batch, student)
    expected = []
    for z in student.tolist():
        p = reference.softened(z, 2.0)
        expected.append(4 * -(0.5 * math.log(p[0]) + 0.2 * math.log(p[2]) + 0.3 * math.log(p[1] + p[3])))
    assert got.tolist() == pytest.approx(expected, rel=1e-5)
    ghost, dropped = (
        _objective(_context((kept,)), cache={"k": 2, "residual": residual}).cache_settings(K)
        for residual in ("ghost", "drop")
    )
    assert ghost == dropped, "both students share a cache"


@pytest.mark.parametrize("loss", ["kl", "mse", "dkd", "dist"])
def test_rows_without_a_label_have_the_teachers_term_alone(loss) -> None:
    batch, student, answers = _batch()
    labelled = torch.tensor([True, False, True, False, True])
    mixed, taught = (
        _losses(_objective(_context(answers), loss=loss, label_weight=weight), given, student)
        for weight, given in ((0.5, replace(batch, labelled=labelled)), (0.0, batch))
    )
    own = 0.5 * torch.tensor([_cross(z, y) for z, y in zip(student.tolist(), batch.labels.tolist(), strict=True)])
    expected = taught + labelled * own
    torch.testing.assert_close(mixed, expected * labelled if loss == "dkd" else expected, rtol=1e-4, atol=1e-5)
