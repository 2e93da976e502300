"""Targets of few classes: top k, sampled classes, annotators' votes."""

import itertools
from typing import Any

import pytest
import torch
from reference import rules as reference

from softtargets import losses, targets

TEACHER = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).mul(2).log_softmax(-1)
PRIOR = torch.tensor([0.05, 0.1, 0.15, 0.2, 0.2, 0.3], dtype=torch.float64)
LOGITS = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).mul(2)


@pytest.mark.parametrize("k", [1, 2, 5, 6])
@pytest.mark.parametrize("residual", ["uniform", "prior", "drop"])
def test_top_k_is_the_teacher_there_and_the_residual_elsewhere(k: int, residual: str) -> None:
    prior = PRIOR if residual == "prior" else None
    made = targets.top_k(TEACHER, k=k, residual=residual, prior=prior)
    expected = [reference.top_k(row, k, residual, PRIOR.tolist()) for row in TEACHER.exp().tolist()]
    torch.testing.assert_close(made.to_dense(6).tolist(), expected, rtol=0, atol=1e-12)
    assert made.index is not None
    assert made.index.shape == (5, k), "factored"
    mass = torch.tensor(expected, dtype=torch.float64).sum(-1)
    torch.testing.assert_close(made.mass(), mass, rtol=0, atol=1e-12)
    assert residual == "drop" or mass.tolist() == pytest.approx([1] * 5)


@pytest.mark.parametrize(
    "made",
    [
        targets.top_k(TEACHER, k=2),
        targets.top_k(TEACHER, k=2, residual="drop"),
        targets.top_k(TEACHER, k=2, residual="prior", prior=PRIOR),
        targets.top_k(TEACHER, k=6),
        targets.sample(TEACHER, n_draws=3),
    ],
    ids=["uniform", "drop", "prior", "all", "sample"],
)
def test_trap_42_the_number_of_classes_is_recorded_and_a_wider_student_refused(made: targets.Targets) -> None:
    assert made.num_classes == made[:2].num_classes == 6
    for student in (torch.zeros(5, 7), torch.zeros(5, 5)):
        with pytest.raises(ValueError, match=f"targets: {student.shape[-1]} classes, as the logits; got 6"):
            losses.cross_entropy(student, made)


@pytest.mark.parametrize("residual", ["uniform", "drop"])
def test_all_classes_are_the_teacher(residual: str) -> None:
    made = targets.top_k(TEACHER, k=6, residual=residual)
    torch.testing.assert_close(made.to_dense(6), TEACHER.exp(), rtol=0, atol=1e-15)


def test_top_k_by_hand() -> None:
    teacher = torch.tensor([[0.5, 0.3, 0.1, 0.1]], dtype=torch.float64).log()
    prior = torch.tensor([0.1, 0.1, 0.2, 0.6], dtype=torch.float64)
    assert targets.top_k(teacher, k=2).to_dense(4)[0].tolist() == pytest.approx([0.5, 0.3, 0.1, 0.1], abs=1e-15)
    assert targets.top_k(teacher, k=1).to_dense(4)[0].tolist() == pytest.approx([0.5] + [0.5 / 3] * 3, abs=1e-15)
    made = targets.top_k(teacher, k=2, residual="prior", prior=prior)
    assert made.to_dense(4)[0].tolist() == pytest.approx([0.5, 0.3, 0.05, 0.15], abs=1e-15)


def test_a_residual_smaller_than_rounding_is_kept() -> None:
    teacher = torch.tensor([[0.0, -50.0, -51.0]], dtype=torch.float64).log_softmax(-1)
    made = targets.top_k(teacher, k=1)
    assert made.rest is not None
    assert float(made.rest) * 2 / 3 == pytest.approx(float(teacher.exp()[0, 1:].sum()), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_is_widened(dtype: torch.dtype) -> None:
    made = targets.top_k(TEACHER.to(dtype), k=2)
    assert made.value is not None
    assert made.value.dtype == torch.float32
    assert targets.sample(TEACHER.to(dtype), n_draws=2).mass().dtype == torch.float32


def test_masked_classes_get_a_share_of_the_residual_but_no_infinity() -> None:
    teacher = torch.tensor([[0.5, 0.5, 0.0, 0.0]]).log()
    assert targets.top_k(teacher, k=3).to_dense(4).tolist() == [[0.5, 0.5, 0, 0]]
    assert targets.top_k(teacher, k=1).to_dense(4)[0].isfinite().all()


def test_any_leading_shape() -> None:
    teacher = TEACHER[:4].reshape(2, 2, 6)
    assert torch.equal(
        targets.top_k(teacher, k=3).to_dense(6), targets.top_k(TEACHER[:4], k=3).to_dense(6).view_as(teacher)
    )
    drawn = targets.sample(teacher, n_draws=3, generator=torch.Generator().manual_seed(0))
    flat = targets.sample(TEACHER[:4], n_draws=3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn.to_dense(6), flat.to_dense(6).view_as(teacher))
    assert targets.sample(TEACHER[0], n_draws=3).to_dense(6).shape == (6,)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_trap_19_sampling_is_unbiased_and_top_k_is_not(temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every outcome of two draws, each with its probability: the mean is the teacher, to rounding."""
    teacher = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64)
    proposal = torch.tensor(reference.tempered(teacher.log()[0].tolist(), temperature), dtype=torch.float64)
    mean = torch.zeros(1, 3, dtype=torch.float64)
    square = torch.zeros(1, 3, dtype=torch.float64)
    for outcome in itertools.product(range(3), repeat=2):
        monkeypatch.setattr(torch, "multinomial", lambda *_, drawn=outcome, **__: torch.tensor([drawn]))
        t = targets.sample(teacher.log(), n_draws=2, proposal_temperature=temperature).to_dense(3)
        chance = float(proposal[list(outcome)].prod())
        mean += chance * t
        square += chance * t**2
    torch.testing.assert_close(mean, teacher, rtol=0, atol=1e-12)
    variance = teacher**2 * (1 / proposal - 1) / 2
    torch.testing.assert_close(square - mean**2, variance, rtol=0, atol=1e-12)
    for residual in ("uniform", "drop"):
        biased = targets.top_k(teacher.log(), k=1, residual=residual).to_dense(3)
        assert float((biased - teacher).abs().max()) > 0.05


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_draws_follow_the_proposal(temperature: float) -> None:
    number, draws = 20_000, 3
    generator = torch.Generator().manual_seed(1)
    many = TEACHER[:1].expand(number, 6)
    t = targets.sample(many, n_draws=draws, proposal_temperature=temperature, generator=generator).to_dense(6)
    p = TEACHER[0].exp()
    q = torch.tensor(reference.tempered(TEACHER[0].tolist(), temperature), dtype=torch.float64)
    deviation = (p**2 * (1 / q - 1) / draws).sqrt()
    assert bool(((t.mean(0) - p).abs() < 5 * deviation / number**0.5).all())
    torch.testing.assert_close(t.std(0), deviation, rtol=0.1, atol=0)


def test_at_temperature_1_a_draw_is_a_vote() -> None:
    t = targets.sample(TEACHER, n_draws=4).to_dense(6) * 4
    torch.testing.assert_close(t, t.round(), rtol=0, atol=1e-12)
    assert t.sum(-1).tolist() == pytest.approx([4] * 5)


def test_a_certain_teacher_gives_its_class() -> None:
    certain = torch.eye(3)[[2, 0]].log()
    for temperature in (0.5, 1.0, 3.0):
        made = targets.sample(certain, n_draws=2, proposal_temperature=temperature)
        assert made.to_dense(3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_generator_is_the_only_randomness() -> None:
    a, b = (targets.sample(TEACHER, n_draws=3, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(a.to_dense(6), b.to_dense(6))


def test_the_sampled_gradient_is_right_in_expectation() -> None:
    teacher = TEACHER[:1].expand(20_000, 6)
    z = LOGITS[:1].clone().requires_grad_()
    loss = losses.cross_entropy(
        z.expand(20_000, 6), targets.sample(teacher, n_draws=4, generator=torch.Generator().manual_seed(2))
    )
    (gradient,) = torch.autograd.grad(loss.mean(), z)
    torch.testing.assert_close(gradient, z.softmax(-1).detach() - TEACHER[:1].exp(), rtol=0, atol=0.01)


def test_votes_are_shares() -> None:
    made = targets.votes(torch.tensor([[3, 1, 0], [0, 2, 2]]))
    assert made.to_dense().tolist() == [[0.75, 0.25, 0], [0, 0.5, 0.5]]
    assert made.to_dense().dtype == torch.float64
    halves = targets.votes(torch.tensor([[[1.0, 0.5]]], dtype=torch.bfloat16))
    assert halves.shape == (1, 1)
    assert halves.mass().tolist() == [[1]]


def test_one_vote_is_hard() -> None:
    labels = torch.tensor([2, 0, 1])
    assert torch.equal(targets.votes(torch.eye(3)[labels]).to_dense().double(), targets.hard(labels).to_dense(3))


HALF = torch.tensor([[0.5, 0.5, 0.0, 0.0]]).log()

WRONG: list[tuple[str, Any, str]] = [
    (
        "logits",
        lambda: targets.top_k(LOGITS, k=2),
        r"teacher_log_probs: logarithms of probabilities that sum to 1; got a sum of .* at row 0; use teacher_logits",
    ),
    ("probabilities", lambda: targets.sample(TEACHER.exp(), n_draws=2), "teacher_log_probs: logarithms of .* at row 0"),
    ("nan", lambda: targets.top_k(TEACHER / 0, k=2), "got a sum of"),
    ("one class", lambda: targets.top_k(torch.zeros(2, 1), k=1), r"teacher_log_probs: shape \(..., K\) with K >= 2"),
    ("ints", lambda: targets.top_k(torch.zeros(2, 2).long(), k=1), "teacher_log_probs: a floating-point tensor"),
    ("k", lambda: targets.top_k(TEACHER, k=7), "k: an int from 1 to 6; got 7; k is the number of classes to keep"),
    ("no k", lambda: targets.top_k(TEACHER, k=0), "k: an int from 1 to 6"),
    ("half a k", lambda: targets.top_k(TEACHER, k=1.5), "k: an int from 1 to 6.*; got 1.5"),  # pyright: ignore
    (
        "another residual",
        lambda: targets.top_k(TEACHER, k=1, residual="unifrom"),
        r"residual: one of uniform, prior, drop; got 'unifrom'; did you mean 'uniform'\?",
    ),
    (
        "ghost",
        lambda: targets.top_k(TEACHER, k=1, residual="ghost"),
        "residual: 'uniform', 'prior' or 'drop'; got 'ghost'; use residual='drop' and losses.ghost",
    ),
    ("no prior", lambda: targets.top_k(TEACHER, k=1, residual="prior"), "prior: probabilities with .*; got None"),
    (
        "a prior too many",
        lambda: targets.top_k(TEACHER, k=1, prior=PRIOR),
        "prior: probabilities with residual='prior', and only then; got one with 'uniform'; give both or neither",
    ),
    (
        "another prior",
        lambda: targets.top_k(TEACHER, k=1, residual="prior", prior=PRIOR[:2] / 0.15),
        "prior: 6 classes; got 2",
    ),
    (
        "nowhere to go",
        lambda: targets.top_k(HALF, k=1, residual="prior", prior=torch.eye(4)[int(HALF.topk(1).indices)]),
        "prior: mass outside the k largest classes; got none at row 0; use 'uniform' or 'drop'",
    ),
    ("no draws", lambda: targets.sample(TEACHER, n_draws=0), "n_draws: an int of at least 1; got 0"),
    (
        "cold",
        lambda: targets.sample(TEACHER, n_draws=1, proposal_temperature=0.0),
        "proposal_temperature: a finite number above 0; got 0",
    ),
    (
        "endless",
        lambda: targets.sample(TEACHER, n_draws=1, proposal_temperature=float("inf")),
        "proposal_temperature: a finite number above 0; got inf; 1 draws from the teacher",
    ),
    (
        "a negative vote",
        lambda: targets.votes(torch.tensor([[1, 2], [3, -1]])),
        r"counts: at least 0, finite; got -1 at index \(1, 1\)",
    ),
    (
        "endless votes",
        lambda: targets.votes(torch.tensor([[1, torch.inf]])),
        r"counts: at least 0, finite; got inf at index \(0, 1\); fix that count",
    ),
    ("votes for one class", lambda: targets.votes(torch.ones(3, 1)), r"counts: shape \(..., K\) .*; got \(3, 1\); put"),
    ("one vote alone", lambda: targets.votes(torch.tensor(3)), r"counts: shape \(..., K\) .*; got \(\); pass"),
    (
        "no votes",
        lambda: targets.votes(torch.tensor([[1, 2], [0, 0], [0, 0]])),
        "counts: a vote in every row; got 0 at row 1; drop that example",
    ),
    ("votes by list", lambda: targets.votes([[1, 2]]), "counts: .*; got list; use torch.as_tensor"),  # pyright: ignore
    ("votes in bool", lambda: targets.votes(torch.ones(2, 2).bool()), "counts: .*; got dtype torch.bool"),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
