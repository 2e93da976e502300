"""The fast path against the plain one: the same numbers for every layout, target and upstream gradient."""

from collections.abc import Callable

import pytest
import torch
from kernels import use_kernels
from small_batch import fused_calls
from torch import Tensor
from torch.nn import functional

from softtargets import losses, nn, targets
from softtargets._native import chunks
from softtargets.losses._engine import ahead
from softtargets.losses._engine.cross_entropy import CrossEntropyRows, plain_cross_entropy
from softtargets.losses.inputs import LossInputs
from softtargets.targets import Targets

N, K = 23, 5
generator = torch.Generator().manual_seed(3)
LABELS = torch.randint(K, (N,), generator=generator)
OTHERS = torch.randint(K, (N,), generator=generator)
RATES = torch.rand(N, generator=generator, dtype=torch.float64)
PRIOR = torch.tensor([0.1, 0.0, 0.4, 0.3, 0.2], dtype=torch.float64)
TABLE = torch.randn(K, K, generator=generator, dtype=torch.float64)
DENSE = torch.randn(N, K, generator=generator, dtype=torch.float64)
VALID = torch.rand(N, K, generator=generator) < 0.7
VALID[torch.arange(N), LABELS] = True
WITH_IGNORED = LABELS.masked_fill(torch.arange(N) % 3 == 0, -100)

MAKERS: dict[str, Callable[[], Targets]] = {
    "hard": lambda: targets.hard(LABELS),
    "smoothed": lambda: targets.smooth(LABELS, 0.1),
    "per example": lambda: targets.smooth(LABELS, RATES),
    "prior": lambda: targets.smooth(LABELS, RATES, prior=PRIOR),
    "mixed": lambda: targets.mix(targets.smooth(LABELS, 0.2), targets.hard(OTHERS), RATES),
    "valid": lambda: targets.smooth(LABELS, 0.3, valid=VALID),
    "valid and prior": lambda: targets.smooth(LABELS, 0.3, valid=VALID[0] | True, prior=PRIOR),
    "table": lambda: targets.from_table(LABELS, TABLE),
    "dense": lambda: targets.dense(DENSE),
    "ignored": lambda: targets.smooth(targets.hard(WITH_IGNORED, ignore_index=-100), 0.1),
}


def logits(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(N, K, generator=torch.Generator().manual_seed(4), dtype=torch.float64).mul(3).to(dtype)


def plain(z: Tensor, made: Targets) -> Tensor:
    return plain_cross_entropy(LossInputs(z, None, made, made.ignored))


def gradient_of(loss: Callable[[Tensor], Tensor], z: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
    z = z.clone().requires_grad_()
    value = loss(z)
    (gradient,) = torch.autograd.grad(value, z, torch.full_like(value, 1 / N) if upstream is None else upstream)
    return value.detach(), gradient


@pytest.fixture(autouse=True, params=["kernel", "twin, many chunks", "twin, one chunk"])
def _path(request, monkeypatch) -> None:
    use_kernels(monkeypatch, "1" if request.param == "kernel" else "0")
    monkeypatch.setattr(chunks, "CHUNK_ON_CPU", 64 if "many" in request.param else 2**21)


@pytest.mark.parametrize("made", [maker() for maker in MAKERS.values()], ids=list(MAKERS))
@pytest.mark.parametrize(
    "upstream", [None, torch.ones(N, dtype=torch.float64), RATES - 0.5], ids=["mean", "sum", "any"]
)
def test_the_fast_path_equals_the_plain_one(made: Targets, upstream: Tensor | None) -> None:
    value, gradient = gradient_of(lambda z: losses.cross_entropy(z, made), logits(), upstream)
    expected, expected_gradient = gradient_of(lambda z: plain(z, made), logits(), upstream)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["smoothed", "prior", "table", "dense", "ignored"])
def test_masked_logits_are_out_of_the_sum_and_get_no_gradient(name: str) -> None:
    made = MAKERS[name]()
    z = logits()
    masked = torch.zeros(N, K, dtype=torch.bool)
    masked[torch.arange(N), (LABELS + 1) % K] = True
    if name in ("table", "dense"):
        made = targets.dense(made.to_dense(K).masked_fill(masked, 0.0))
    z = z.masked_fill(masked, -torch.inf)
    value, gradient = gradient_of(lambda z: losses.cross_entropy(z, made), z)
    expected, expected_gradient = gradient_of(lambda z: plain(z, made), z)
    assert bool(value.isfinite().all())
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-14)
    assert not bool(gradient[masked].any())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1 / N, 1.0, 3.7], ids=["mean", "sum", "scaled"])
@pytest.mark.parametrize("made", [maker() for maker in MAKERS.values()], ids=list(MAKERS))
def test_the_error_is_never_above_that_of_the_plain_path(made: Targets, dtype: torch.dtype, scale: float) -> None:
    z = logits(dtype)
    upstream = torch.full((N,), scale, dtype=torch.float32)
    fast = gradient_of(lambda z: losses.cross_entropy(z, made), z, upstream)
    slow = gradient_of(lambda z: plain(z, made), z, upstream)
    true = gradient_of(lambda z: plain(z, made), z.double(), upstream.double())
    bit = torch.finfo(dtype).eps
    for ours, theirs, truth in zip(fast, slow, true, strict=True):
        error, allowed = (float((value.double() - truth).square().mean().sqrt()) for value in (ours, theirs))
        # in float32 both are at the last bit, which falls either way
        slack = 1.0 if dtype != torch.float32 else 1.5
        assert error <= slack * allowed + 0.01 * bit * float(truth.square().mean().sqrt())


LAYOUTS = {
    "(N, C)": lambda z: (z, -1),
    "(C, N) strided": lambda z: (z.T.contiguous().T, -1),
    "(C, N)": lambda z: (z.T.contiguous(), 0),
    "(C,)": lambda z: (z[0], -1),
    "sliced": lambda z: (torch.stack([z, z], -1)[..., 0], -1),
    "expanded": lambda z: (z[:1].expand(N, K), -1),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
def test_any_layout_of_a_matrix(layout) -> None:
    z, dim = layout(logits())
    made = targets.smooth(LABELS if z.ndim == 2 else LABELS[0], 0.1)
    expected = plain(z.movedim(dim, -1), made)
    z = z.detach().requires_grad_()
    value = losses.cross_entropy(z, made, class_dim=dim)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)
    (gradient,) = torch.autograd.grad(value.mean(), z)
    again = z.detach().requires_grad_()
    (wanted,) = torch.autograd.grad(plain(again.movedim(dim, -1), made).mean(), again)
    torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(3, K, 7), (2, K, 3, 4), (2, K, 2, 3, 2), (0, K), (2, K, 0)])
def test_classes_in_the_second_dimension_agree_with_torch(shape: tuple[int, ...]) -> None:
    z = torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    labels = torch.randint(K, (shape[0], *shape[2:]), generator=torch.Generator().manual_seed(6))
    value = losses.cross_entropy(z, targets.smooth(labels, 0.2), class_dim=1)
    expected = functional.cross_entropy(z, labels, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)
    (gradient,) = torch.autograd.grad(value.sum(), z, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected.sum(), z)
    torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=1e-14)


def test_a_graph_that_is_kept_gives_its_gradient_again() -> None:
    z = logits().requires_grad_()
    loss = losses.cross_entropy(z, LABELS).mean()
    (first,) = torch.autograd.grad(loss, z, retain_graph=True)
    first = first.clone()
    (second,) = torch.autograd.grad(loss, z, retain_graph=True)
    (third,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(second, first, rtol=1e-14, atol=1e-16)
    torch.testing.assert_close(third, second, rtol=0, atol=0)


def test_two_losses_of_the_same_logits_add_their_gradients() -> None:
    z = logits().requires_grad_()
    (losses.cross_entropy(z, LABELS).mean() + losses.cross_entropy(z, OTHERS).mean()).backward()
    again = logits().requires_grad_()
    (plain(again, targets.hard(LABELS)).mean() + plain(again, targets.hard(OTHERS)).mean()).backward()
    torch.testing.assert_close(z.grad, again.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("made", [maker() for maker in MAKERS.values()], ids=list(MAKERS))
def test_the_gradient_has_a_gradient_on_either_path(made: Targets) -> None:
    z = logits()[:4].requires_grad_()
    few = made[:4]
    assert torch.autograd.gradcheck(lambda z: losses.cross_entropy(z, few), z)
    assert torch.autograd.gradgradcheck(lambda z: losses.cross_entropy(z, few), z)
    assert torch.autograd.gradgradcheck(lambda z: plain(z, few), z)


def test_without_a_gradient_none_is_computed() -> None:
    made, seen = MAKERS["smoothed"](), []

    class Spy(CrossEntropyRows):
        def run(self, z, scale, gradient):
            seen.append(gradient)
            return super().run(z, scale, gradient)

    with torch.no_grad():
        ahead.run(Spy(LossInputs(logits(), None, made, made.ignored)), logits().requires_grad_())
    ahead.run(Spy(LossInputs(logits(), None, made, made.ignored)), logits())
    ahead.run(Spy(LossInputs(logits(), None, made, made.ignored)), logits().requires_grad_(), ahead=False)
    assert seen
    assert not any(gradient is not None for gradient in seen)


def test_the_gradient_is_written_in_the_forward_pass_and_handed_over_without_a_copy() -> None:
    made, written = MAKERS["smoothed"](), []

    class Spy(CrossEntropyRows):
        def run(self, z, scale, gradient):
            if gradient is not None:
                written.append(gradient.untyped_storage().data_ptr())
            return super().run(z, scale, gradient)

    z = logits().requires_grad_()
    loss = ahead.run(Spy(LossInputs(logits(), None, made, made.ignored)), z).mean()
    before = len(written)
    loss.backward()
    assert len(written) == before > 0
    assert z.grad is not None
    assert z.grad.untyped_storage().data_ptr() == written[0]


REDUCED: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda z: losses.cross_entropy(z, LABELS).mean(),
    "reduce": lambda z: losses.reduce(losses.cross_entropy(z, LABELS)),
    "module": lambda z: nn.CrossEntropyLoss(label_smoothing=0.1)(z, LABELS),
    "module, ignoring": lambda z: nn.CrossEntropyLoss()(z, WITH_IGNORED),
    "module, weighted": lambda z: nn.CrossEntropyLoss(weight=torch.tensor([0.3, 2.0, 0.0, 1.7, 0.1]))(z, WITH_IGNORED),
    "module, normalized": lambda z: nn.CrossEntropyLoss()(z, WITH_IGNORED, normalizer=torch.tensor(41)),
    "module, summed": lambda z: nn.CrossEntropyLoss(reduction="sum")(z, WITH_IGNORED),
    "module, as torch": lambda z: nn.CrossEntropyLoss(weight=torch.rand(K), weighting="torch")(z, WITH_IGNORED),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", REDUCED.values(), ids=list(REDUCED))
def test_what_the_forward_pass_expects_is_what_a_reduction_brings(loss, dtype, monkeypatch) -> None:
    calls = fused_calls(monkeypatch)
    z = logits(dtype).requires_grad_()
    value = loss(z)
    before = len(calls)
    value.backward()
    assert len(calls) == before > 0


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch's own, on the way to a jvp
@pytest.mark.parametrize("path", ["fast", "requires_grad", "transform", "meta"])
def test_the_plain_path_is_chosen_where_the_fast_one_cannot_be_taken(path: str) -> None:
    z, weight = logits(), torch.tensor(0.1, dtype=torch.float64)
    if path == "fast":
        assert ahead.possible(z, weight)
    if path == "requires_grad":
        assert not ahead.possible(z, weight.requires_grad_())
    if path == "meta":
        assert not ahead.possible(z.to("meta"))
    if path == "transform":
        seen: list[bool] = []

        def watched(z: Tensor) -> Tensor:
            seen.append(ahead.possible(z))
            return losses.cross_entropy(z, LABELS).sum()

        torch.func.grad(watched)(z)
        torch.func.jvp(watched, (z,), (z,))
        assert seen == [False, False]


WRITTEN_TO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "labels": lambda z, y: losses.cross_entropy(z, y).sum(),
    "a mean over three": lambda z, y: losses.cross_entropy(z, y).mean() / 3,
    "smoothed": lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.1)).sum(),
    "log-odds": lambda z, y: losses.focal_loss(z, y).mean(),
    "forward": lambda z, y: losses.forward_corrected_cross_entropy(z, y, TestForwardCorrection.MATRIX).sum(),
    "linear": lambda z, y: (losses.linear_cross_entropy(z, torch.eye(K).double(), y) * RATES).sum(),
    "differentiated again": lambda z, y: torch.autograd.grad(losses.cross_entropy(z, y).mean(), z, create_graph=True)[
        0
    ],
}


@pytest.mark.parametrize("loss", WRITTEN_TO.values(), ids=list(WRITTEN_TO))
def test_trap_09_labels_written_to_before_the_backward_pass_raise(loss) -> None:
    z, y = logits().requires_grad_(), LABELS.clone()
    value = loss(z, y)
    y.zero_()
    if value.ndim:  # its gradient was taken already
        return
    with pytest.raises(
        RuntimeError, match=r"targets: must not change between the forward and the backward pass; got.*clone"
    ):
        value.backward()


def test_dense_targets_written_to_raise_too() -> None:
    z, weights = logits().requires_grad_(), DENSE.clone()
    value = losses.cross_entropy(z, targets.dense(weights)).sum()
    weights.zero_()
    with pytest.raises(RuntimeError, match="targets: must not change"):
        value.backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("factor", "again"), [(0.25, False), (2.0**16, False), (3.0, True), (0.0, True)])
def test_a_gradient_scaled_by_a_power_of_two_is_not_computed_again(dtype, factor, again, monkeypatch) -> None:
    z, made = logits(dtype).requires_grad_(), MAKERS["smoothed"]()
    value = losses.cross_entropy(z, made).mean() * factor
    calls = fused_calls(monkeypatch)
    value.backward()
    assert bool(calls) is again
    expected = gradient_of(lambda z: plain(z, made), z.detach(), torch.full((N,), factor / N))[1]
    torch.testing.assert_close(z.grad, expected, rtol=4 * torch.finfo(dtype).eps, atol=1e-7 * factor)


@pytest.mark.parametrize("dim", [-1, 0])
def test_many_gradients_at_once(dim: int) -> None:
    z = (logits() if dim == -1 else logits().T.contiguous()).requires_grad_()
    upstream = torch.randn(3, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for loss in (
        lambda z: losses.cross_entropy(z, targets.smooth(LABELS, RATES), class_dim=dim),
        lambda z: losses.mean_absolute_error(z, LABELS, class_dim=dim),
    ):
        value = loss(z)
        (found,) = torch.autograd.grad(value, z, upstream, is_grads_batched=True, retain_graph=True)
        for one, each in zip(upstream, found, strict=True):
            torch.testing.assert_close(each, torch.autograd.grad(value, z, one, retain_graph=True)[0])
        whole = torch.autograd.functional.jacobian(loss, z, vectorize=True)
        torch.testing.assert_close(whole, torch.autograd.functional.jacobian(loss, z))


def test_where_saved_tensors_are_packed_away_nothing_is_kept_beside_them() -> None:
    z, packed = logits().requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        value = losses.cross_entropy(z, LABELS).mean()
    assert len(packed) == 1
    assert packed[0] is z
    (found,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(found, gradient_of(lambda z: plain(z, targets.hard(LABELS)), z.detach())[1])


class TestInPlace:
    @staticmethod
    def layer() -> tuple[Tensor, Tensor]:
        leaf = logits().requires_grad_()
        return leaf, leaf * 2

    @pytest.mark.parametrize("made", [maker() for maker in MAKERS.values()], ids=list(MAKERS))
    @pytest.mark.parametrize("factor", [1.0, 3.0])
    def test_the_gradient_is_the_same_and_takes_no_memory_of_its_own(self, made: Targets, factor: float) -> None:
        leaf, z = self.layer()
        place = z.data_ptr()
        loss = losses.cross_entropy(z, made, inplace=True).mean() * factor
        assert z.data_ptr() == place
        loss.backward()
        again, z_again = self.layer()
        (losses.cross_entropy(z_again, made).mean() * factor).backward()
        torch.testing.assert_close(loss, losses.cross_entropy(z_again, made).mean() * factor, rtol=1e-13, atol=0)
        torch.testing.assert_close(leaf.grad, again.grad, rtol=1e-12, atol=1e-15)

    def test_classes_elsewhere(self) -> None:
        leaf = logits().requires_grad_()
        losses.cross_entropy(leaf.T * 2, LABELS, class_dim=0, inplace=True).mean().backward()
        again = logits().requires_grad_()
        losses.cross_entropy(again * 2, LABELS).mean().backward()
        torch.testing.assert_close(leaf.grad, again.grad, rtol=1e-12, atol=1e-15)

    def test_logits_used_before_raise(self) -> None:
        _, z = self.layer()
        penalty = z.square().mean()
        loss = losses.cross_entropy(z, LABELS, inplace=True).mean()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            (loss + penalty).backward()

    def test_logits_used_after_raise(self) -> None:
        _, z = self.layer()
        loss = losses.cross_entropy(z, LABELS, inplace=True).mean()
        with pytest.raises(RuntimeError, match=r"logits: must not be used again.*used again; use inplace=False"):
            (loss + z.sum()).backward()

    def test_a_second_loss_of_them_raises(self) -> None:
        _, z = self.layer()
        first = losses.cross_entropy(z, LABELS, inplace=True).mean()
        second = losses.cross_entropy(z, OTHERS, inplace=True).mean()
        with pytest.raises(RuntimeError, match="must not be used again"):
            (first + second).backward()

    def test_a_second_gradient_raises(self) -> None:
        leaf, z = self.layer()
        loss = losses.cross_entropy(z, LABELS, inplace=True).mean()
        torch.autograd.grad(loss, leaf, retain_graph=True)
        with pytest.raises(RuntimeError, match="got a second derivative"):
            torch.autograd.grad(loss, leaf)
        leaf, z = self.layer()
        loss = losses.cross_entropy(z, LABELS, inplace=True).mean()
        with pytest.raises(RuntimeError, match="got a second derivative"):
            torch.autograd.grad(loss, leaf, create_graph=True)

    def test_a_leaf_a_view_and_a_compiled_call_are_refused_before_anything_is_written(self) -> None:
        leaf, z = self.layer()
        before = z.detach().clone()
        for bad, got in ((leaf, "a leaf"), (z[:], "a view")):
            with pytest.raises(ValueError, match=f"logits: the result of an operation, with inplace=True; got {got}"):
                losses.cross_entropy(bad, LABELS, inplace=True)
        with pytest.raises(ValueError, match="inplace: eager code in which only the logits require a gradient"):
            torch.func.grad(lambda z: losses.cross_entropy(z, LABELS, inplace=True).sum())(before)
        torch.testing.assert_close(z.detach(), before, rtol=0, atol=0)

    def test_logits_written_to_after_raise(self) -> None:
        _, z = self.layer()
        loss = losses.cross_entropy(z, LABELS, inplace=True).mean()
        with torch.no_grad():
            z.div_(2)
        with pytest.raises(RuntimeError, match="modified again"):
            loss.backward()

    def test_logits_that_retain_their_gradient_are_refused(self) -> None:
        _, z = self.layer()
        z.retain_grad()
        with pytest.raises(ValueError, match=r"logits: the result of an operation.*got one that retains its gradient"):
            losses.cross_entropy(z, LABELS, inplace=True)

    def test_in_float16_the_gradient_of_a_mean_keeps_its_bits_until_it_is_scaled(self) -> None:
        exact = torch.randn(2048, 64, generator=torch.Generator().manual_seed(1))
        labels, scale = torch.arange(2048) % 64, 2.0**16
        found = []
        for dtype, inplace in ((torch.float64, False), (torch.float16, False), (torch.float16, True)):
            leaf = exact.half().to(dtype).requires_grad_()
            (losses.cross_entropy(leaf * 1, labels, inplace=inplace).mean() * scale).backward()
            assert leaf.grad is not None
            found.append(leaf.grad.double())
        true, outside, inside = found
        assert float((inside - true).abs().max()) <= 1.01 * float((outside - true).abs().max())

    def test_logits_without_a_gradient_are_left_alone(self) -> None:
        z = logits()
        losses.cross_entropy(z, LABELS, inplace=True)
        torch.testing.assert_close(z, logits(), rtol=0, atol=0)


class TestForwardCorrection:
    MATRIX = torch.rand(K, K, generator=torch.Generator().manual_seed(9), dtype=torch.float64).softmax(-1)

    @pytest.mark.parametrize("upstream", [None, RATES - 0.5], ids=["mean", "any"])
    def test_the_fast_path_equals_the_plain_one(self, upstream: Tensor | None) -> None:
        learned = self.MATRIX.clone().requires_grad_()

        def fast(z: Tensor) -> Tensor:
            return losses.forward_corrected_cross_entropy(z, LABELS, self.MATRIX)

        def slow(z: Tensor) -> Tensor:
            return losses.forward_corrected_cross_entropy(z, LABELS, learned)

        for ours, theirs in zip(
            gradient_of(fast, logits(), upstream), gradient_of(slow, logits(), upstream), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
        assert torch.autograd.gradgradcheck(fast, logits()[:1].expand(N, K).clone().requires_grad_())

    def test_an_explanation_too_faint_for_its_exponentials_keeps_its_bits(self) -> None:
        matrix = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]], dtype=torch.float64)
        z = torch.tensor([[2000.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
        loss = losses.forward_corrected_cross_entropy(z, torch.tensor([1]), matrix)
        faint = torch.tensor([1.0, 0.0], dtype=torch.float64)
        expected = 2000 - (faint.logsumexp(-1) + torch.tensor(0.5, dtype=torch.float64).log())
        torch.testing.assert_close(loss[0], expected, rtol=1e-15, atol=0)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        torch.testing.assert_close(gradient[0, 1:], -faint.softmax(-1), rtol=1e-14, atol=0)
        torch.testing.assert_close(gradient[0, 0], torch.tensor(1.0, dtype=torch.float64), rtol=1e-14, atol=0)

    def test_a_learned_entry_of_zero_has_a_gradient(self) -> None:
        matrix = torch.eye(3, dtype=torch.float64).requires_grad_()
        z = torch.tensor([[1.0, 0.0, 2.0]], dtype=torch.float64)
        losses.forward_corrected_cross_entropy(z, torch.tensor([1]), matrix).sum().backward()
        p = z[0].softmax(-1)
        assert matrix.grad is not None
        torch.testing.assert_close(matrix.grad[:, 1], -p / p[1], rtol=1e-13, atol=0)
        assert not bool(matrix.grad[:, [0, 2]].any())
