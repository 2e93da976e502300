"""Distillation on logits: hand-computed numbers, slow loops, limits, gradients and cached teachers."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from reference import distill as slow
from reference.losses import cross_entropy
from torch import Tensor
from torch.nn import functional

from softtargets import distill, losses, noise, targets
from softtargets.matrices import Transition

N, K = 6, 4
INF = torch.inf
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
KD = distill.kd_loss
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
SOFT = targets.smooth(LABELS, 0.2)
ASYMMETRIC = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)


def logits_of(seed: int, scale: float = 2.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


STUDENT, TEACHER = logits_of(0), logits_of(1)


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


def test_by_hand() -> None:
    # T = 2 and 1: p_t = (3/4, 1/4), p_s = (1/2, 1/2); -log p_s[0] = log 2 at T_s = 1
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher = 2 * torch.tensor([[3.0, 1.0]], dtype=torch.float64).log()
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    label = torch.tensor([0])

    def value(**settings: Any) -> float:
        return float(KD(student, teacher, label, temperature=2.0, **settings))

    assert value() == pytest.approx(4 * kl, abs=1e-15)
    assert value(scale="none") == pytest.approx(kl, abs=1e-15)
    assert value(student_temperature=1.0) == pytest.approx(2 * kl, abs=1e-15)
    assert value(kd_weight=0.25) == pytest.approx(0.75 * math.log(2) + kl, abs=1e-15)
    assert value(kd_weight=3.0, label_weight=2.0) == pytest.approx(2 * math.log(2) + 12 * kl, abs=1e-14)


@pytest.mark.parametrize("labels", [LABELS, SOFT], ids=["labels", "targets"])
@pytest.mark.parametrize("transition", [None, noise.symmetric(0.3, K), noise.symmetric(0.9, K), ASYMMETRIC])
def test_distillation_agrees_with_the_slow_loop(labels: Any, transition: Transition | Tensor | None) -> None:
    settings: Any = {"kd_weight": 0.7, "label_weight": 0.2, "temperature": 3.0, "student_temperature": 1.5}
    values = KD(STUDENT, TEACHER, labels, transition=transition, **settings)
    matrix = transition.to_dense() if isinstance(transition, Transition) else transition
    dense = (targets.hard(LABELS) if labels is LABELS else SOFT).to_dense(K)
    expected = [
        slow.knowledge_distillation(z, v, t, transition=None if matrix is None else matrix.tolist(), **settings)
        for z, v, t in zip(STUDENT.tolist(), TEACHER.tolist(), dense.tolist(), strict=True)
    ]
    # the smoothed targets above are float32
    tolerance = 1e-12 if labels is LABELS else 1e-6
    assert values.tolist() == pytest.approx(expected, abs=tolerance)


def test_squared_logits_agree_with_the_slow_loop() -> None:
    rows = list(zip(STUDENT.tolist(), TEACHER.tolist(), LABELS.tolist(), strict=True))
    values = distill.logit_mse_loss(STUDENT, TEACHER, LABELS, kd_weight=0.6)
    expected = [0.4 * cross_entropy(z, slow.one_hot(y, K)) + 0.6 * slow.squared_logits(z, v) for z, v, y in rows]
    assert values.tolist() == pytest.approx(expected, abs=1e-12)
    centred = distill.logit_mse_loss(STUDENT, TEACHER, centered=True).tolist()
    assert centred == pytest.approx([slow.squared_logits(slow.centred(z), slow.centred(v)) for z, v, _ in rows])


def test_trap_14_the_divergence_is_summed_over_classes_and_kept_for_each_row() -> None:
    log_student = (STUDENT / 2).log_softmax(-1)
    values = KD(STUDENT, TEACHER, temperature=2.0, scale="none")
    with pytest.warns(UserWarning, match="batchmean"):  # torch's default divides by N K instead of N
        theirs = torch.nn.KLDivLoss()(log_student, (TEACHER / 2).softmax(-1))
    assert values.shape == (N,)
    torch.testing.assert_close(values.mean(), K * theirs, **CLOSE)
    right = torch.nn.KLDivLoss(reduction="batchmean")(log_student, (TEACHER / 2).softmax(-1))
    torch.testing.assert_close(values.mean(), right, **CLOSE)


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        (None, {}),
        (LABELS, {"kd_weight": 1.0}),
        (None, {"kd_weight": 1.0, "label_weight": 0.0}),
        (LABELS, {"kd_weight": 1.0, "label_weight": 0.5}),
        (LABELS, {"kd_weight": 0.5}),
    ],
)
def test_trap_17_the_squared_temperature_is_there_whatever_the_weights_and_labels(labels: Any, settings: Any) -> None:
    weight = settings.get("kd_weight", 1.0)
    label_weight = settings.get("label_weight") if "label_weight" in settings else 1 - weight
    of_labels = label_weight * losses.cross_entropy(STUDENT, LABELS) if label_weight else 0.0
    squared, plain = (
        KD(STUDENT, TEACHER, labels, temperature=4.0, scale=scale, **settings) - of_labels
        for scale in ("squared", "none")
    )
    torch.testing.assert_close(squared, 16 * plain, **CLOSE)
    assert float(plain.min()) > 0


@pytest.mark.parametrize(("temperature", "student"), [(1.0, None), (4.0, None), (4.0, 1.0)])
@pytest.mark.parametrize("scale", ["squared", "none"])
def test_the_gradient_is_the_scaled_difference_of_probabilities(
    temperature: float, student: float | None, scale: Any
) -> None:
    of_student = temperature if student is None else student
    found = gradient(
        lambda z: KD(z, TEACHER, kd_weight=1.0, temperature=temperature, student_temperature=student, scale=scale),
        STUDENT,
    )
    factor = temperature * of_student if scale == "squared" else 1.0
    difference = (STUDENT / of_student).softmax(-1) - (TEACHER / temperature).softmax(-1)
    torch.testing.assert_close(found, factor / of_student * difference, **CLOSE)


def test_the_gradient_of_squared_logits_is_their_difference() -> None:
    found = gradient(lambda z: distill.logit_mse_loss(z, TEACHER, kd_weight=2.0, label_weight=0.0), STUDENT)
    torch.testing.assert_close(found, 2 * (STUDENT - TEACHER), **CLOSE)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_divergence_is_cross_entropy_less_entropy(temperature: float) -> None:
    probs = (TEACHER / temperature).softmax(-1)
    crossed = losses.cross_entropy(STUDENT / temperature, targets.dense(probs))
    expected = crossed - torch.special.entr(probs).sum(-1)
    torch.testing.assert_close(KD(STUDENT, TEACHER, temperature=temperature, scale="none"), expected, **CLOSE)


def test_at_temperature_1_it_is_cross_entropy_against_the_mixed_target_but_for_a_constant() -> None:
    probs = TEACHER.softmax(-1)
    mixed = targets.dense(0.7 * functional.one_hot(LABELS, K).double() + 0.3 * probs)
    expected = losses.cross_entropy(STUDENT, mixed) - 0.3 * torch.special.entr(probs).sum(-1)
    torch.testing.assert_close(KD(STUDENT, TEACHER, LABELS, kd_weight=0.3), expected, **CLOSE)


def test_limits_of_the_weight() -> None:
    crossed = losses.cross_entropy(STUDENT, LABELS)
    torch.testing.assert_close(KD(STUDENT, TEACHER, LABELS, kd_weight=0.0, temperature=5.0), crossed, **CLOSE)
    torch.testing.assert_close(distill.logit_mse_loss(STUDENT, TEACHER, LABELS, kd_weight=0.0), crossed, **CLOSE)
    shifted = STUDENT + torch.linspace(-50, 50, N, dtype=torch.float64)[:, None]
    torch.testing.assert_close(KD(STUDENT, shifted, temperature=3.0), torch.zeros(N, dtype=torch.float64), **CLOSE)


def test_as_temperature_grows_it_is_half_the_squared_distance_of_centred_logits_over_classes() -> None:
    expected = distill.logit_mse_loss(STUDENT, TEACHER, centered=True) / K
    errors = []
    for temperature in (1e2, 1e3):
        error = KD(STUDENT, TEACHER, temperature=temperature) - expected
        errors.append(float(error.abs().max()))
    # the next term of the series is of order 1 / T
    assert errors[0] < 0.2
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.1)
    found = gradient(lambda z: KD(z, TEACHER, temperature=1e5), STUDENT)
    assert float((found - (STUDENT - TEACHER - (STUDENT - TEACHER).mean(-1, keepdim=True)) / K).abs().max()) < 1e-3


def test_a_transition_without_noise_changes_nothing_and_one_without_signal_leaves_nothing_to_learn() -> None:
    plain = KD(STUDENT, TEACHER, LABELS, kd_weight=0.4, temperature=3.0)
    for identity in (noise.symmetric(0.0, K), torch.eye(K, dtype=torch.float64)):
        same = KD(STUDENT, TEACHER, LABELS, kd_weight=0.4, temperature=3.0, transition=identity)
        torch.testing.assert_close(same, plain, **CLOSE)
    uniform = torch.full((K, K), 1 / K, dtype=torch.float64)
    found = gradient(lambda z: KD(z, TEACHER, LABELS, kd_weight=0.4, transition=uniform), STUDENT)
    torch.testing.assert_close(found, torch.zeros_like(found), **CLOSE)


def test_a_corrected_student_is_best_where_its_clean_probabilities_explain_the_teacher() -> None:
    clean = STUDENT.softmax(-1)
    noisy_teacher = (clean @ ASYMMETRIC).log()
    torch.testing.assert_close(
        KD(STUDENT, noisy_teacher, transition=ASYMMETRIC), torch.zeros_like(clean[:, 0]), **CLOSE
    )
    assert float(KD(STUDENT, noisy_teacher).min()) > 1e-3


def test_a_transition_is_applied_in_log_space() -> None:
    # the one class that explains the teacher's has a probability of exp(-1000)
    student = torch.tensor([[0.0, -1000.0]], dtype=torch.float64)
    teacher = torch.tensor([[-INF, 0.0]], dtype=torch.float64)
    loss = KD(student, teacher, transition=torch.eye(2, dtype=torch.float64))
    assert float(loss) == pytest.approx(1000.0, abs=1e-9)


def test_an_ignored_label_leaves_the_example_out_of_both_terms() -> None:
    known = LABELS != 2
    expected = KD(STUDENT, TEACHER, LABELS, kd_weight=0.4).masked_fill(~known, 0.0)
    for labels in (targets.hard(LABELS, ignore_index=2), LABELS.masked_fill(~known, -100)):
        torch.testing.assert_close(KD(STUDENT, TEACHER, labels, kd_weight=0.4), expected, **CLOSE)
    torch.testing.assert_close(KD(STUDENT, TEACHER, LABELS, kd_weight=0.4, ignore_index=2), expected, **CLOSE)
    mean = KD(STUDENT, TEACHER, LABELS, kd_weight=0.4, ignore_index=2, reduction="mean")
    torch.testing.assert_close(mean, expected.sum() / known.sum(), **CLOSE)
    without = KD(STUDENT, TEACHER, LABELS.masked_fill(~known, -100))  # at label_weight 0, too
    torch.testing.assert_close(without, KD(STUDENT, TEACHER).masked_fill(~known, 0.0), **CLOSE)


def test_a_label_weight_of_0_drops_the_label_term_of_an_example() -> None:
    known = LABELS != 2
    values = KD(STUDENT, TEACHER, LABELS, kd_weight=0.4, label_weight=0.6 * known.double())
    torch.testing.assert_close(values[~known], 0.4 * KD(STUDENT, TEACHER)[~known], **CLOSE)
    torch.testing.assert_close(values[known], KD(STUDENT, TEACHER, LABELS, kd_weight=0.4)[known], **CLOSE)


@pytest.mark.parametrize("loss", [KD, distill.logit_mse_loss, distill.standardized_kd_loss])
def test_weights_per_example_are_those_of_each_example(loss: Any) -> None:
    kd, label = torch.linspace(0, 1, N, dtype=torch.float64), torch.linspace(2, 0, N, dtype=torch.float64)
    values = loss(STUDENT, TEACHER, LABELS, kd_weight=kd, label_weight=label)
    one_by_one = [
        loss(STUDENT[i], TEACHER[i], LABELS[i], kd_weight=float(kd[i]), label_weight=float(label[i])) for i in range(N)
    ]
    torch.testing.assert_close(values, torch.stack(one_by_one), **CLOSE)
    if loss is KD:
        torch.testing.assert_close(
            KD(STUDENT, TEACHER, LABELS, kd_weight=kd), KD(STUDENT, TEACHER, LABELS, kd_weight=kd, label_weight=1 - kd)
        )
    for argument in ("kd_weight", "label_weight"):
        with pytest.raises(ValueError, match=rf"^{argument}: a number or shape \(6,\), one per example; got shape"):
            loss(STUDENT, TEACHER, LABELS, **{"label_weight": 1.0, argument: torch.ones(N, 1)})


def test_soft_labels_are_probabilities_of_the_shape_of_the_logits() -> None:
    soft = SOFT.to_dense(K)
    expected = KD(STUDENT, TEACHER, SOFT, kd_weight=0.4, temperature=2.0)
    torch.testing.assert_close(KD(STUDENT, TEACHER, soft, kd_weight=0.4, temperature=2.0), expected, **CLOSE)
    moved = KD(STUDENT.T, TEACHER.T, soft.T, kd_weight=0.4, temperature=2.0, class_dim=0)
    torch.testing.assert_close(moved, expected, **CLOSE)


TEMPERATURE = 3.0
SOFTENED = (TEACHER / TEMPERATURE).log_softmax(-1)


@pytest.mark.parametrize(
    "teacher",
    [
        targets.dense(SOFTENED.exp()),
        targets.top_k(SOFTENED, k=2),
        targets.top_k(SOFTENED, k=2, residual="drop"),
        targets.sample(SOFTENED, n_draws=5, generator=torch.Generator().manual_seed(2)),
    ],
    ids=["dense", "top_k", "drop", "sample"],
)
@pytest.mark.parametrize("student_temperature", [None, 1.5])
@pytest.mark.parametrize("transition", [None, ASYMMETRIC], ids=["plain", "corrected"])
def test_a_teacher_as_targets_is_the_scaled_cross_entropy_with_them(
    teacher: Any, student_temperature: float | None, transition: Tensor | None
) -> None:
    settings: Any = {"temperature": TEMPERATURE, "student_temperature": student_temperature, "transition": transition}
    values = KD(STUDENT, teacher, LABELS, kd_weight=0.7, label_weight=0.2, **settings)
    of_student = student_temperature or TEMPERATURE
    probs, plain = (STUDENT / of_student).softmax(-1), STUDENT.softmax(-1)
    if transition is not None:
        probs, plain = probs @ transition, plain @ transition
    crossed = -(teacher.to_dense(K) * probs.log()).sum(-1)
    own = -plain.log()[torch.arange(N), LABELS]
    torch.testing.assert_close(values, 0.7 * TEMPERATURE * of_student * crossed + 0.2 * own, **CLOSE)


@pytest.mark.parametrize("scale", ["squared", "none"])
def test_trap_17_a_teacher_as_dense_targets_has_the_gradient_of_its_logits(scale: Any) -> None:
    probs = targets.dense(SOFTENED.exp())
    found = gradient(lambda z: KD(z, probs, temperature=TEMPERATURE, scale=scale), STUDENT)
    expected = gradient(lambda z: KD(z, TEACHER, temperature=TEMPERATURE, scale=scale), STUDENT)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_a_teacher_as_targets_gets_no_gradient_and_leaves_ignored_examples_out() -> None:
    leaf = SOFTENED.exp().requires_grad_()
    student = STUDENT.clone().requires_grad_()
    teacher = replace(targets.dense(leaf), ignored=LABELS == 2)
    values = KD(student, teacher, LABELS, kd_weight=0.5)
    values.sum().backward()
    assert leaf.grad is None
    assert bool((values == 0).equal(LABELS == 2))
    assert student.grad is not None
    assert bool((student.grad == 0).all(-1).equal(LABELS == 2))


def test_the_temperature_is_that_of_the_cached_targets() -> None:
    cached = replace(targets.dense(SOFTENED.exp()), temperature=TEMPERATURE)
    assert cached[:2].temperature == TEMPERATURE
    assert float(KD(STUDENT, cached, temperature=TEMPERATURE).min()) > 0
    message = r"^temperature: 3, at which the teacher's targets were softened; got 1; pass temperature=3, or write a"
    with pytest.raises(ValueError, match=message):
        KD(STUDENT, cached)


def test_the_teachers_targets_are_of_the_students_classes_and_examples() -> None:
    with pytest.raises(ValueError, match=r"^teacher_logits: 4 classes, like student_logits; got 3; "):
        KD(STUDENT, targets.top_k(SOFTENED[:, :3].log_softmax(-1), k=1))
    with pytest.raises(ValueError, match=r"^teacher_logits: targets for examples of shape \(6,\).*; got \(2,\)"):
        KD(STUDENT, targets.top_k(SOFTENED[:2], k=1))
    excluded = STUDENT.index_fill(1, torch.tensor([2]), -INF)
    with pytest.raises(
        ValueError,
        match=r"^student_logits: a finite logit for every class that the teacher gives probability; got -inf for",
    ):
        KD(excluded, targets.dense(SOFTENED.exp()))
    with pytest.raises(
        TypeError, match=r"^teacher_logits: a floating-point tensor; got Targets; .* only kd_loss accepts"
    ):
        distill.logit_mse_loss(STUDENT, targets.dense(SOFTENED.exp()))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("loss", [KD, distill.logit_mse_loss])
@pytest.mark.parametrize("junk", ["junk", LABELS + 7, LABELS.double(), LABELS[:2], [0, 1]])
def test_labels_are_checked_where_their_term_has_no_weight(loss: Any, junk: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^labels: "):
        loss(STUDENT, TEACHER, junk)


def test_a_class_that_the_teacher_alone_excludes_is_learned_down() -> None:
    teacher = torch.tensor([[0.0, 0.0, -INF]], dtype=torch.float64)
    found = gradient(lambda z: KD(z, teacher), torch.zeros(1, 3, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([[-1 / 6, -1 / 6, 1 / 3]], dtype=torch.float64), **CLOSE)


def test_a_class_that_the_student_alone_excludes_may_have_no_probability() -> None:
    student = torch.tensor([[0.0, 0.0, -INF]])
    assert KD(student, torch.tensor([[0.0, 0.0, -500.0]])).tolist() == [0.0]
    with pytest.raises(ValueError, match=r"student_logits: a finite logit for .* got -inf for class 2 at row 0"):
        KD(student, torch.tensor([[0.0, 0.0, -50.0]]))


@pytest.mark.parametrize(
    ("student", "teacher", "side"),
    [([0.0, 1.0, -INF], [0.0, 0.0, 0.0], "student"), ([0.0, 0.0, 0.0], [0.0, 1.0, -INF], "teacher")],
)
def test_squared_logits_refuse_a_class_that_one_side_alone_excludes(student: Any, teacher: Any, side: str) -> None:
    with pytest.raises(ValueError, match=f"on both sides or on neither; got the {side}'s for class 2 at row 0"):
        distill.logit_mse_loss(torch.tensor([student]), torch.tensor([teacher]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: KD(STUDENT, TEACHER, scale="square"), ValueError, "scale: .* did you mean 'squared'"),  # pyright: ignore[reportArgumentType]
        (lambda: KD(STUDENT, TEACHER, student_temperature=-1.0), ValueError, "^student_temperature: .* got -1"),
        (
            lambda: KD(STUDENT, TEACHER, LABELS, kd_weight=1.5),
            ValueError,
            r"^kd_weight: in \[0, 1\].* give label_weight",
        ),
        (lambda: KD(STUDENT, TEACHER, kd_weight=0.5), ValueError, "labels: .* if label_weight is not 0; got None"),
        (lambda: distill.logit_mse_loss(STUDENT, TEACHER, kd_weight=0.5), ValueError, "labels: .* got None"),
        (lambda: KD(STUDENT, TEACHER, transition=torch.eye(3)), ValueError, "transition: 4 classes, .* got 3"),
    ],
)
def test_what_is_refused(call: Callable[[], Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
