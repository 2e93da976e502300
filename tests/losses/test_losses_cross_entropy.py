"""The kernel: against hand-worked numbers, slow loops and torch, in every form of target, layout and precision."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from reference import losses as reference
from torch import Tensor

from softtargets import losses, noise, targets
from softtargets.targets import Targets

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
TABLE = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)
RATES = torch.linspace(0, 1, N, dtype=torch.float64)

# every way to say a target; TABLE without its zeros where a masked class would get weight
FORMS: dict[str, Callable[[], Targets]] = {
    "hard": lambda: targets.hard(LABELS),
    "smooth": lambda: targets.smooth(LABELS, 0.3),
    "each": lambda: targets.smooth(LABELS, RATES),
    "prior": lambda: targets.smooth(LABELS, 0.3, prior=PRIOR),
    "table": lambda: targets.from_table(LABELS, TABLE),
    "dense": lambda: targets.dense(3 * TABLE[LABELS] - 0.2),  # another mass, negative weights
    "backward": lambda: targets.backward_corrected(LABELS, noise.symmetric(0.2, K)),
    "mixed": lambda: targets.mix(targets.smooth(LABELS, 0.1), targets.smooth(LABELS.flip(0), 0.1), 0.3),
}
forms = pytest.mark.parametrize("form", sorted(FORMS))


def logits_of(seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def worst(values: Tensor, truth: Tensor) -> float:
    return float((values.detach().double() - truth.detach()).abs().max())


def test_a_number_by_hand() -> None:
    # p = (1/2, 1/4, 1/4): -log p = (log 2, 2 log 2, 2 log 2), smoothed .3 over 3 classes: .8, .1, .1
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
    loss = losses.cross_entropy(logits, targets.smooth(torch.tensor([0]), 0.3))
    assert float(loss) == pytest.approx((0.8 + 2 * 0.1 + 2 * 0.1) * math.log(2), abs=1e-15)
    # a mass of 1.5 and a negative weight: 2 * log 2 - 1 * 2 log 2 + .5 * 2 log 2
    loss = losses.cross_entropy(logits, targets.dense(torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64)))
    assert float(loss) == pytest.approx(math.log(2), abs=1e-15)


@forms
def test_agrees_with_the_slow_loop(form: str) -> None:
    logits, made = logits_of(), FORMS[form]()
    loss = losses.cross_entropy(logits, made)
    expected = [reference.cross_entropy(z, t) for z, t in zip(logits.tolist(), made.to_dense(K).tolist(), strict=True)]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@forms
def test_the_gradient_is_mass_times_p_less_the_target(form: str) -> None:
    logits, made = logits_of().requires_grad_(), FORMS[form]()
    (gradient,) = torch.autograd.grad(losses.cross_entropy(logits, made).sum(), logits)
    expected = made.mass()[:, None] * logits.softmax(-1) - made.to_dense(K)
    torch.testing.assert_close(gradient, expected.detach(), rtol=0, atol=1e-14)


@forms
def test_gradcheck(form: str) -> None:
    logits, made = logits_of().requires_grad_(), FORMS[form]()
    assert torch.autograd.gradcheck(lambda z: losses.cross_entropy(z, made), logits)
    assert torch.autograd.gradgradcheck(lambda z: losses.cross_entropy(z, made), logits)


def test_gradcheck_of_what_makes_the_target() -> None:
    z = logits_of()
    table, rates = TABLE.clone().requires_grad_(), torch.full((N,), 0.3, dtype=torch.float64, requires_grad=True)
    weight, prior = torch.full((N,), 0.4, dtype=torch.float64, requires_grad=True), PRIOR.clone().requires_grad_()
    other = targets.hard(LABELS.flip(0))
    for loss, leaf in (
        (lambda t: losses.cross_entropy(z, targets.from_table(LABELS, t)), table),
        (lambda r: losses.cross_entropy(z, targets.smooth(LABELS, r)), rates),
        (lambda q: losses.cross_entropy(z, targets.smooth(LABELS, 0.3, prior=q)), prior),
        (lambda w: losses.cross_entropy(z, targets.mix(targets.hard(LABELS), other, w)), weight),
        (lambda t: losses.cross_entropy(z, targets.dense(t)), TABLE[LABELS].clone().requires_grad_()),
    ):
        assert torch.autograd.gradcheck(loss, leaf)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_torch_is_a_second_witness(smoothing: float) -> None:
    logits, made = logits_of(), targets.smooth(LABELS, smoothing)
    expected = F.cross_entropy(logits, LABELS, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(losses.cross_entropy(logits, made), expected, rtol=0, atol=1e-12)
    soft = F.cross_entropy(logits, made.to_dense(K), reduction="none")
    torch.testing.assert_close(losses.cross_entropy(logits, made), soft, rtol=0, atol=1e-12)


def test_limits_hard_is_the_log_probability_and_uniform_logits_give_log_k() -> None:
    expected = -logits_of().log_softmax(-1)[torch.arange(N), LABELS]
    torch.testing.assert_close(losses.cross_entropy(logits_of(), LABELS), expected, rtol=0, atol=1e-14)
    for form in FORMS:
        made = FORMS[form]()
        flat = losses.cross_entropy(torch.full((N, K), 7.0, dtype=torch.float64), made)
        torch.testing.assert_close(flat, made.mass() * math.log(K), rtol=0, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)])
def test_limits_no_smoothing_is_hard_under_every_reduction(reduction: str, weight: Tensor | None) -> None:
    made: list[Tensor] = []
    for soft in (targets.hard(LABELS), targets.smooth(LABELS, 0.0), targets.from_table(LABELS, torch.eye(K))):
        logits = logits_of().requires_grad_()
        value = losses.reduce(losses.cross_entropy(logits, soft), reduction, weight=weight)  # pyright: ignore[reportArgumentType]
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]))
    torch.testing.assert_close(made[1], made[0], rtol=0, atol=1e-14)
    torch.testing.assert_close(made[2], made[0], rtol=0, atol=1e-14)


@forms
def test_a_shift_of_the_logits_changes_nothing(form: str) -> None:
    shift = torch.linspace(-50, 50, N, dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        losses.cross_entropy(logits_of() + shift, FORMS[form]()),
        losses.cross_entropy(logits_of(), FORMS[form]()),
        rtol=0,
        atol=1e-12,
    )


@forms
def test_classes_may_be_renamed(form: str) -> None:
    order = torch.tensor([3, 1, 0, 2])
    renamed = targets.dense(FORMS[form]().to_dense(K)[:, order])
    torch.testing.assert_close(
        losses.cross_entropy(logits_of()[:, order], renamed),
        losses.cross_entropy(logits_of(), FORMS[form]()),
        rtol=0,
        atol=1e-13,
    )
    if form in ("hard", "smooth"):
        again = targets.smooth(order.argsort()[LABELS], 0.3 if form == "smooth" else 0.0)
        torch.testing.assert_close(
            losses.cross_entropy(logits_of()[:, order], again),
            losses.cross_entropy(logits_of(), FORMS[form]()),
            rtol=0,
            atol=1e-13,
        )


@forms
def test_layouts_agree(form: str) -> None:
    flat, made = logits_of(), FORMS[form]()
    expected = losses.cross_entropy(flat, made)
    grid_of = {
        "hard": lambda: targets.hard(LABELS.view(2, 3)),
        "smooth": lambda: targets.smooth(LABELS.view(2, 3), 0.3),
        "each": lambda: targets.smooth(LABELS.view(2, 3), RATES.view(2, 3)),
        "prior": lambda: targets.smooth(LABELS.view(2, 3), 0.3, prior=PRIOR),
        "table": lambda: targets.from_table(LABELS.view(2, 3), TABLE),
    }.get(form, lambda: targets.dense(made.to_dense(K).view(2, 3, K)))
    channels_second = flat.view(2, 3, K).movedim(-1, 1)  # (2, K, 3), not contiguous
    for logits, dim in ((flat.view(2, 3, K), -1), (channels_second, 1), (channels_second.contiguous(), 1)):
        torch.testing.assert_close(
            losses.cross_entropy(logits, grid_of(), class_dim=dim), expected.view(2, 3), rtol=0, atol=1e-13
        )
    one = losses.cross_entropy(flat[0], targets.dense(made.to_dense(K)[0]))
    torch.testing.assert_close(one, expected[0], rtol=0, atol=1e-13)


@forms
@pytest.mark.parametrize("size", [1e4, 3e38])
def test_extreme_logits_stay_finite(form: str, size: float) -> None:
    logits = torch.tensor([[size, -size, 0.0, 1.0]]).expand(N, K).clone().requires_grad_()
    made = FORMS[form]()
    loss = losses.cross_entropy(logits, made)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert bool(gradient.isfinite().all())
    if size == 1e4:
        rows = zip(logits.tolist(), made.to_dense(K).tolist(), strict=True)
        expected = [reference.cross_entropy(z, t) for z, t in rows]
        torch.testing.assert_close(loss, torch.tensor(expected), rtol=1e-6, atol=1e-6)


@forms
def test_large_logits_lose_no_digits(form: str) -> None:
    logits = (torch.tensor([[3.0, 0.0, 2.0, 1.0]]) + 10_000).expand(N, K)
    truth = losses.cross_entropy(logits.double(), FORMS[form]())
    assert worst(losses.cross_entropy(logits, FORMS[form]()), truth) < 5e-6  # a float32 of this size is off by 5e-4


@forms
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(form: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    wide, made = torch.randn(N, K, generator=generator) * 5, FORMS[form]()
    logits = wide.to(dtype).requires_grad_()
    loss = losses.cross_entropy(logits, made)
    assert loss.dtype == torch.float32
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.dtype == dtype
    plain_logits = logits.detach().clone().requires_grad_()
    plain = -(made.to_dense(K).to(dtype) * plain_logits.log_softmax(-1)).sum(-1)
    (plain_gradient,) = torch.autograd.grad(plain.sum(), plain_logits)
    truth_logits = logits.detach().double().requires_grad_()
    truth = -(made.to_dense(K) * truth_logits.log_softmax(-1)).sum(-1)
    (truth_gradient,) = torch.autograd.grad(truth.sum(), truth_logits)
    assert worst(loss, truth) <= worst(plain, truth) + 1e-6
    assert worst(gradient, truth_gradient) <= worst(plain_gradient, truth_gradient) + 1e-3


def test_trap_08_a_large_vocabulary_in_bfloat16_accumulates_in_float32() -> None:
    size = 128_000
    logits = torch.randn(2, size, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.tensor([5, 100_000])
    made = targets.smooth(labels, 0.1)
    truth = losses.cross_entropy(logits.double(), made)
    plain = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    assert worst(losses.cross_entropy(logits, made), truth) <= min(1e-4, worst(plain, truth))


MASKED = torch.tensor([False, True, False, False])


@pytest.mark.parametrize("form", ["hard", "smooth", "each", "prior", "mixed"])
@pytest.mark.parametrize("how", ["-inf", "valid", "rows"])
def test_trap_04_masked_logit_gets_no_smoothing_and_no_gradient(form: str, how: str) -> None:
    labels = torch.tensor([2, 0, 3, 0, 2, 2])
    valid = {"-inf": None, "valid": ~MASKED, "rows": (~MASKED).expand(N, K)}[how]
    logits = logits_of()
    logits = (logits.masked_fill(MASKED, -torch.inf) if how == "-inf" else logits).requires_grad_()
    made = {
        "hard": lambda: targets.smooth(labels, 0.0, valid=valid),
        "smooth": lambda: targets.smooth(labels, 0.3, valid=valid),
        "each": lambda: targets.smooth(labels, RATES, valid=valid),
        "prior": lambda: targets.smooth(labels, 0.3, prior=PRIOR, valid=valid),
        "mixed": lambda: targets.mix(
            targets.smooth(labels, 0.1, valid=valid), targets.smooth(labels.flip(0), 0.1, valid=valid), 0.3
        ),
    }[form]()
    loss = losses.cross_entropy(logits, made)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert bool(loss.isfinite().all())
    assert bool((gradient[:, MASKED] == 0).all())
    # the same problem without the class
    kept = logits.detach()[:, ~MASKED]
    if form == "prior":
        small = replace(made, prior=PRIOR[~MASKED] / PRIOR[~MASKED].sum(), valid=None)
    else:
        small = replace(made, valid=None)
    smaller = {"index": (made.index - (made.index > 1).long()), "labels": None}  # pyright: ignore[reportOptionalOperand]
    kept.requires_grad_()
    expected = losses.cross_entropy(kept, replace(small, **smaller))
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradient[:, ~MASKED], torch.autograd.grad(expected.sum(), kept)[0], rtol=0, atol=1e-13)


def test_trap_04_a_dense_weight_of_0_on_a_masked_logit_is_finite() -> None:
    logits = torch.tensor([[1.0, -torch.inf, 0.0]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[0.4, 0.0, 0.6]], dtype=torch.float64)
    for made in (targets.dense(weights), targets.from_table(torch.tensor([0]), weights)):
        loss = losses.cross_entropy(logits, made)
        assert float(loss.detach()) == pytest.approx(reference.cross_entropy([1.0, 0.0], [0.4, 0.6]), abs=1e-14)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert gradient[0, 1] == 0
        assert bool(gradient.isfinite().all())


def test_forms_agree_on_a_valid_mask() -> None:
    valid = torch.tensor([True, True, True, False])
    labels = LABELS.clamp(max=2)
    for prior in (None, PRIOR):
        factored = targets.smooth(labels, 0.3, prior=prior, valid=valid)
        dense = replace(targets.dense(factored.to_dense()), valid=valid)
        torch.testing.assert_close(
            losses.cross_entropy(logits_of(), factored), losses.cross_entropy(logits_of(), dense), rtol=0, atol=1e-13
        )


def test_trap_06_ignored_rows_with_soft_targets_have_no_loss_and_no_gradient() -> None:
    marked = LABELS.clone()
    marked[[1, 4]] = -100
    logits = logits_of()
    logits[1] = torch.nan
    logits[4] = -torch.inf
    logits.requires_grad_()
    hard = targets.hard(marked, ignore_index=-100)
    valid = torch.ones(N, K, dtype=torch.bool)
    valid[4] = False  # a padding row may have no class at all
    dense = replace(targets.dense(TABLE[LABELS]), ignored=marked == -100)
    smooth, masked = (targets.smooth(hard, 0.2, valid=mask) for mask in (None, valid))
    for made in (hard, smooth, masked, targets.mix(hard, hard, 0.5), dense):
        loss = losses.cross_entropy(logits, made)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss[[1, 4]].tolist() == [0, 0]
        assert bool((gradient[[1, 4]] == 0).all())
        assert bool(gradient.isfinite().all())
        kept = marked != -100
        mean = losses.reduce(loss, weight=kept.double())
        torch.testing.assert_close(mean, loss[kept].mean(), rtol=0, atol=1e-14)
    torch.testing.assert_close(
        losses.cross_entropy(logits, hard)[kept], losses.cross_entropy(logits, LABELS * kept)[kept], rtol=0, atol=0
    )


def test_trap_05_a_batch_of_nothing_but_ignored_rows_has_the_mean_0() -> None:
    logits = logits_of().requires_grad_()
    marked = torch.full((N,), -100)
    loss = losses.cross_entropy(logits, targets.smooth(targets.hard(marked, ignore_index=-100), 0.1))
    mean = losses.reduce(loss, weight=(marked != -100).double())
    assert float(mean.detach()) == 0
    assert bool((torch.autograd.grad(mean, logits)[0] == 0).all())


def test_trap_07_any_mass_and_sign_is_computed_when_meant() -> None:
    made = targets.dense(torch.tensor([[0.5, -0.25, 0.0, 0.0]] * N, dtype=torch.float64))
    expected = [reference.cross_entropy(z, [0.5, -0.25, 0, 0]) for z in logits_of().tolist()]
    assert losses.cross_entropy(logits_of(), made).tolist() == pytest.approx(expected, abs=1e-12)


def test_trap_09_nothing_is_changed_in_place() -> None:
    logits = logits_of().requires_grad_()
    before = logits.detach().clone()
    twice = losses.cross_entropy(logits, targets.smooth(LABELS, 0.1)).sum() + losses.cross_entropy(logits, LABELS).sum()
    (gradient,) = torch.autograd.grad(twice, logits)
    parts = [
        torch.autograd.grad(losses.cross_entropy(logits, made).sum(), logits)[0]
        for made in (targets.smooth(LABELS, 0.1), targets.hard(LABELS))
    ]
    assert torch.equal(logits.detach(), before)
    torch.testing.assert_close(gradient, parts[0] + parts[1], rtol=0, atol=1e-14)


def test_trap_10_without_reduction_every_row_has_its_own_gradient() -> None:
    upstream = torch.tensor([1.0, 0.0, -2.0, 3.0, 0.5, 10.0], dtype=torch.float64)
    for form in FORMS:
        logits, made = logits_of().requires_grad_(), FORMS[form]()
        (gradient,) = torch.autograd.grad(losses.cross_entropy(logits, made), logits, upstream)
        expected = upstream[:, None] * (made.mass()[:, None] * logits.softmax(-1) - made.to_dense(K))
        torch.testing.assert_close(gradient, expected.detach(), rtol=0, atol=1e-13)


@forms
def test_a_class_of_no_weight_and_many_examples_per_call(form: str) -> None:
    whole = losses.cross_entropy(logits_of(), FORMS[form]())
    weights = FORMS[form]().to_dense(K)
    for i in range(N):
        row = losses.cross_entropy(logits_of()[i : i + 1], targets.dense(weights[i : i + 1]))
        torch.testing.assert_close(row, whole[i : i + 1], rtol=0, atol=1e-13)


def test_function_transforms() -> None:
    logits = logits_of()
    per_example = torch.func.vmap(torch.func.grad(lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.2))))
    expected = logits.softmax(-1) - targets.smooth(LABELS, 0.2).to_dense(K)
    torch.testing.assert_close(per_example(logits, LABELS), expected, rtol=0, atol=1e-14)
    runs = torch.stack([logits, logits.flip(0)])  # a leading axis of runs
    together = torch.func.vmap(lambda z: losses.cross_entropy(z, LABELS))(runs)
    torch.testing.assert_close(together[1], losses.cross_entropy(logits.flip(0), LABELS), rtol=0, atol=1e-14)


def test_meta_tensors_and_empty_batches() -> None:
    made = targets.smooth(LABELS, 0.1).to("meta")
    assert losses.cross_entropy(logits_of().to("meta"), made).shape == (N,)
    empty = losses.cross_entropy(torch.zeros(0, K), torch.zeros(0, dtype=torch.int64))
    assert empty.shape == (0,)
    assert float(losses.reduce(empty)) == 0


WRONG = {
    "out of range": (
        lambda: losses.cross_entropy(torch.zeros(3, 2), torch.tensor([0, 1, 2])),
        "targets: labels of at least 0 and below 2, the number of classes; got 2 at row 2; fix or drop that example",
    ),
    "another ignored label": (
        lambda: losses.cross_entropy(torch.zeros(2, 2), torch.tensor([0, -1])),
        "targets: labels of .*; got -1 at row 1; fix or drop that example, or set its label to -100",
    ),
    "not valid": (
        lambda: losses.cross_entropy(
            torch.zeros(2, 3), targets.smooth(torch.tensor([0, 2]), 0.1, valid=torch.tensor([True, True, False]))
        ),
        "targets: labels of valid classes, as marked by `valid`; got 2 at row 1; fix the mask, or mark the example",
    ),
    "a mixed label not valid": (
        lambda: losses.cross_entropy(
            torch.zeros(1, 3),
            targets.mix(
                targets.smooth(torch.tensor([0]), 0.1, valid=torch.tensor([True, True, False])),
                targets.smooth(torch.tensor([2]), 0.1, valid=torch.tensor([True, True, False])),
                0.5,
            ),
        ),
        "targets: weight only on valid classes, as marked by `valid`; got 0.45 on class 2 at row 0; fix the mask",
    ),
    "weight on a class that is not valid": (
        lambda: losses.cross_entropy(
            torch.zeros(1, 3),
            targets.smooth(
                targets.dense(torch.tensor([[0.5, 0.25, 0.25]])), 0.0, valid=torch.tensor([True, True, False])
            ),
        ),
        "targets: weight only on valid classes, as marked by `valid`; got 0.25 on class 2 at row 0; fix the mask",
    ),
    "weight in a table on a class that is not valid": (
        lambda: losses.cross_entropy(
            torch.zeros(2, 3),
            replace(
                targets.from_table(torch.tensor([0, 1]), torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])),
                valid=torch.tensor([True, True, False]),
            ),
        ),
        "targets: weight only on valid classes, as marked by `valid`; got 0.5 on class 2 at row 1; .*, or set it to 0",
    ),
    "a prior without mass on the valid classes": (
        lambda: losses.cross_entropy(
            torch.zeros(1, 3),
            replace(
                targets.smooth(torch.tensor([0]), 0.1, prior=torch.tensor([0.0, 0.0, 1.0])),
                valid=torch.tensor([True, True, False]),
            ),
        ),
        "prior: mass on the valid classes; got none at row 0; fix the mask, or leave that example unsmoothed",
    ),
    "a smearing of fewer classes": (
        lambda: losses.cross_entropy(
            torch.zeros(1, 12), targets.backward_corrected(torch.tensor([0]), noise.symmetric(0.2, 10))
        ),
        "targets: 12 classes, as the logits; got 10; use the same classes for both",
    ),
    "mixed label out of range": (
        lambda: losses.cross_entropy(
            torch.zeros(1, 2), targets.mix(targets.hard(torch.tensor([0])), targets.hard(torch.tensor([2])), 0.5)
        ),
        r"targets: .*below 2.*; got 2 at index \(0, 1\)",
    ),
    "shape": (
        lambda: losses.cross_entropy(torch.zeros(3, 2), torch.tensor([0, 1])),
        r"targets: shape \(3,\); got \(2,\); give one per example",
    ),
    "classes": (
        lambda: losses.cross_entropy(torch.zeros(2, 3), targets.dense(torch.ones(2, 4))),
        "targets: 3 classes, as the logits; got 4; use the same classes for both",
    ),
    "one class": (
        lambda: losses.cross_entropy(torch.zeros(2, 1), torch.tensor([0, 0])),
        "logits: at least 2 classes; got 1 in dimension -1; set class_dim, or use binary_cross_entropy",
    ),
    "integer logits": (
        lambda: losses.cross_entropy(torch.zeros(2, 2, dtype=torch.int64), torch.tensor([0, 0])),
        r"logits: a floating-point tensor; got dtype torch.int64; use logits.float\(\)",
    ),
}


@pytest.mark.parametrize("form", ["table", "dense"])
@pytest.mark.parametrize("rows", [False, True])
def test_a_class_that_is_not_valid_may_have_weight_where_an_example_is_ignored(form: str, rows: bool) -> None:
    labels, valid = torch.tensor([0, 2, 1]), torch.tensor([True, True, False, False])
    table = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    made = targets.from_table(labels, table) if form == "table" else targets.dense(table[labels])
    made = replace(made, valid=valid.expand(3, 4) if rows else valid, ignored=labels == 2)
    expected = torch.tensor([math.log(2), 0.0, math.log(2)])
    torch.testing.assert_close(losses.cross_entropy(torch.zeros(3, 4), made), expected)
    with pytest.raises(
        ValueError, match=r"targets: weight only on valid classes.*; got 0.5 on class 2 at row 1; fix the mask"
    ):
        losses.cross_entropy(torch.zeros(3, 4), replace(made, ignored=None))


@pytest.mark.parametrize("case", WRONG)
def test_trap_15_errors_name_the_argument_the_place_and_the_remedy(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize(
    ("logits", "class_dim"), [(torch.tensor(1.0), -1), (torch.zeros(2, 3), 2), (torch.zeros(2, 3), -3)]
)
def test_a_dimension_of_classes_that_is_not_there_is_named(logits: torch.Tensor, class_dim: int) -> None:
    with pytest.raises(ValueError, match=f"class_dim: a dimension of the logits, .*; got {class_dim}; give "):
        losses.cross_entropy(logits, torch.tensor([0, 1]), class_dim=class_dim)
