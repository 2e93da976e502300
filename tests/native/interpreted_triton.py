"""The Triton kernels under Triton's interpreter on the CPU; `test_native_triton.py` runs this file in a process.

``TRITON_INTERPRET=1`` must be set before Triton is imported, and it stays set, hence the process of its own.
"""

import itertools
import os
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from pretended_cuda import pretend_cuda
from torch import Tensor

from softtargets import losses, nn, targets
from softtargets._native import on_cuda, wrong_label
from softtargets._native.cross_entropy_twin import twin
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating
from softtargets.losses.reduction import Reduction

# Triton's interpreter computes with NumPy, which warns of logarithms of 0
pytestmark = [
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="needs TRITON_INTERPRET=1"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
FORMS = ("hard", "smoothed", "prior", "several", "table", "dense")
SIZES = (2, 3, 10, 100, 1000, 5000, 33000)  # one tile of many rows, one tile of one row, several tiles


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _rows(form: str, count: int, size: int, wide: torch.dtype = torch.float32) -> RowTargets:
    """Return targets of each form; the numbers are of the dtypes that callers pass."""
    generator = _generator()
    labels = torch.randint(size, (count, 1), generator=generator)
    some = torch.rand(count, dtype=wide, generator=generator)
    prior = torch.rand(size, dtype=wide, generator=generator)
    several = torch.randint(size, (count, 3), generator=generator)
    value = torch.randn(count, 3, dtype=wide, generator=generator)
    weights = torch.rand(count, size, dtype=wide, generator=generator) - 0.1
    match form:
        case "hard":
            return RowTargets(index=labels)
        case "smoothed":
            number = torch.tensor(0.1, dtype=wide).expand(count)
            return RowTargets(index=labels, value=(1 - number)[:, None], rest=number)
        case "prior":
            return RowTargets(index=labels, value=(1 - some)[:, None], rest=some, prior=prior)
        case "several":
            return RowTargets(index=several, value=value, rest=some)
        case "table":
            places = torch.randint(5, (count,), generator=generator)
            return RowTargets(weights=torch.rand(5, size, dtype=wide, generator=generator) - 0.1, row=places)
        case _:
            return RowTargets(weights=weights)


def _masked(rows: RowTargets, kind: str, count: int, size: int) -> RowTargets:
    """Return the targets with classes that are not valid, for all rows or per row, and rows that are left out."""
    if kind == "none":
        return rows
    generator = _generator()
    valid = torch.rand((size,) if kind == "classes" else (count, size), generator=generator) < 0.6
    valid[..., 0] = True
    if rows.index is not None:
        chosen = torch.zeros(count, size, dtype=torch.bool).scatter_(1, rows.index, True)
        valid = valid | (chosen.any(0) if kind == "classes" else chosen)
    elif kind == "rows" and rows.row is None:
        assert rows.weights is not None
        rows = replace(rows, weights=rows.weights.masked_fill(~valid, 0.0))
    else:
        assert rows.weights is not None
        valid = valid if valid.ndim == 1 else valid.any(0)
        rows = replace(rows, weights=rows.weights.masked_fill(~valid, 0.0))
    return replace(rows, valid=valid, left_out=torch.rand(count, generator=generator) < 0.3)


def _logits(count: int, size: int, dtype: torch.dtype) -> Tensor:
    return (3 * torch.randn(count, size, generator=_generator())).to(dtype)


def _scale(count: int, dtype: torch.dtype) -> Tensor:
    return torch.rand(count, dtype=accumulating(dtype), generator=_generator())


def _both(z: Tensor, rows: RowTargets, scale: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return losses and gradient of the kernel and of the twin."""
    ours, theirs = torch.empty_like(z), torch.empty_like(z)
    losses = on_cuda.cross_entropy_rows(z, rows, scale, ours)
    return (losses, ours), (twin(z, rows, scale, theirs), theirs)


def _assert_close(kernel: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], weight: float = 1.0) -> None:
    wide = kernel[0].dtype
    assert kernel[0].dtype == right[0].dtype
    sums = 1e-13 if wide == torch.float64 else 3e-6
    torch.testing.assert_close(kernel[0], right[0], rtol=sums, atol=sums * weight, equal_nan=True)
    # the interpreter cuts bfloat16 off where a GPU rounds
    rtol = max(torch.finfo(kernel[1].dtype).eps, 1e-13 if wide == torch.float64 else 2e-6)
    atol = 4 * torch.finfo(wide).eps * right[1].nan_to_num().abs().max().item()
    torch.testing.assert_close(kernel[1], right[1], rtol=rtol, atol=atol, equal_nan=True)


def _cases() -> list[tuple[torch.dtype, int, str, str]]:
    kinds = itertools.cycle(("none", "classes", "rows"))
    every = [(torch.float32, size, form, kind) for size in (3, 10) for form in FORMS for kind in ("classes", "rows")]
    every += [(torch.float32, size, form, "none") for size in SIZES for form in FORMS]
    for dtype, size, form in itertools.product(DTYPES, (2, 100, 1000, 9000), FORMS):
        if dtype != torch.float32 or size == 9000:
            every.append((dtype, size, form, next(kinds)))
    return every


@pytest.mark.parametrize(("dtype", "size", "form", "kind"), _cases())
def test_the_kernel_agrees_with_the_twin(dtype: torch.dtype, size: int, form: str, kind: str) -> None:
    count = 37 if size <= 100 else 3
    rows = _masked(_rows(form, count, size, accumulating(dtype)), kind, count, size)
    z, scale = _logits(count, size, dtype), _scale(count, dtype)
    kernel, right = _both(z, rows, scale)
    weight = 1.0 if rows.weights is None else float(size)
    _assert_close(kernel, right, weight)
    over = z.clone()
    losses = on_cuda.cross_entropy_rows(over, rows, scale, over)
    assert torch.equal(losses, kernel[0])
    assert torch.equal(over, kernel[1])
    assert torch.equal(on_cuda.cross_entropy_rows(z, rows, None, None), kernel[0])


@pytest.mark.parametrize("size", [5, 9000])
@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_not_finite(form: str, size: int) -> None:
    """Rows of -inf and with NaN, some -inf, a label that is -inf, and infinity; left-out rows of NaN are 0."""
    z = _logits(7, size, torch.float32)
    rows = _rows(form, 7, size)
    z[0] = -torch.inf
    z[1, 2] = torch.nan
    z[2, 1::2] = -torch.inf
    z[3, : size // 2] = -torch.inf
    z[4, 0] = torch.inf
    z[5] = torch.nan
    if rows.index is not None:
        z[6].scatter_(0, rows.index[6], -torch.inf)
    left_out = torch.tensor([False] * 5 + [True, False])
    kernel, right = _both(z, replace(rows, left_out=left_out), torch.ones(7))
    assert kernel[0][5] == 0
    assert kernel[1][5].eq(0).all()
    assert kernel[0][0].isnan()
    assert kernel[1][1].isnan().all()
    _assert_close(kernel, right, float(size))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [6, 9000])
def test_masks_of_the_lowest_number(size: int, dtype: torch.dtype) -> None:
    z = _logits(3, size, dtype)
    z[:, 1] = torch.finfo(dtype).min
    _assert_close(*_both(z, RowTargets(index=torch.tensor([[0], [2], [1]])), torch.ones(3)))


def test_a_weight_of_0_on_a_class_of_minus_infinity_adds_nothing() -> None:
    z = torch.tensor([[0.0, -torch.inf, 0.0]])
    rows = RowTargets(index=torch.tensor([[1, 0]]), value=torch.tensor([[0.0, 1.0]]))
    losses = on_cuda.cross_entropy_rows(z, rows, None, None)
    assert losses.exp().tolist() == pytest.approx([2.0])


@pytest.mark.parametrize("bad", [-1, 4, 2**40])
def test_a_class_that_does_not_exist_gives_nan_and_reads_no_other_memory(bad: int) -> None:
    z = torch.zeros(2, 4)
    for rows in (
        RowTargets(index=torch.tensor([[bad], [1]])),
        RowTargets(weights=torch.rand(4, 4), row=torch.tensor([bad, 1])),
    ):
        gradient = torch.empty_like(z)
        losses = on_cuda.cross_entropy_rows(z, rows, 1.0, gradient)
        assert losses.isnan().tolist() == [True, False]
        assert gradient.isnan().all(-1).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_instead_of_tensors(dtype: torch.dtype) -> None:
    z, index = _logits(4, 5, dtype), torch.tensor([[0], [1], [4], [2]])
    one, other = torch.empty_like(z), torch.empty_like(z)
    losses = on_cuda.cross_entropy_rows(z, RowTargets(index=index), 0.1, one)
    tenth = torch.full((4,), 0.1, dtype=dtype)
    assert torch.equal(on_cuda.cross_entropy_rows(z, RowTargets(index=index), tenth, other), losses)
    assert torch.equal(one, other)


def _layouts() -> dict[str, Tensor]:
    base = _logits(60, 7, torch.float32)
    return {
        "three dimensions": base.view(3, 20, 7),
        "all but the last position": base.view(3, 20, 7)[:, :-1],
        "every other row": base[::2],
        "classes in the middle": base.view(3, 7, 20).movedim(1, -1),
        "images": _logits(36, 7, torch.float32).view(2, 7, 6, 3)[:, :, ::2].movedim(1, -1),
        "classes first": base.view(7, 60).T,
        "one row": base[0],
        "no rows": base[:0],
        "a number": torch.zeros(()).expand(4, 7),
    }


@pytest.mark.parametrize("name", list(_layouts()))
@pytest.mark.parametrize("form", ["several", "dense", "rows"])
def test_layouts(name: str, form: str) -> None:
    z = _layouts()[name]
    count, shape = z.shape[:-1].numel(), z.shape[:-1]
    rows = _masked(_rows("prior", count, 7), "rows", count, 7) if form == "rows" else _rows(form, count, 7)
    scale = _scale(count, z.dtype)
    right = torch.empty(count, 7)
    losses = twin(z.reshape(count, 7), rows, scale, right)
    every = {field.name: getattr(rows, field.name) for field in fields(RowTargets)}
    rows = RowTargets(
        **{name: t if t is None or name == "prior" else t.reshape((*shape, *t.shape[1:])) for name, t in every.items()}
    )
    gradient = torch.empty_like(z)
    kernel = on_cuda.cross_entropy_rows(z, rows, scale.view(shape), gradient)
    assert kernel.shape == shape
    if count:
        _assert_close((kernel.view(count), gradient.reshape(count, 7)), (losses, right))
    if name not in ("a number", "no rows"):
        over = z.clone(memory_format=torch.preserve_format)
        on_cuda.cross_entropy_rows(over, rows, scale.view(shape), over)
        assert torch.equal(over, gradient)


def test_offsets_beyond_32_bits() -> None:
    """The second row starts after 2^31 entries of memory that is never touched."""
    far = 2**31 + 8
    try:
        storage = torch.empty(far + 4, dtype=torch.bfloat16)
    except RuntimeError:
        pytest.skip("not enough address space")
    z = storage.as_strided((2, 4), (far, 1)).copy_(torch.tensor([[0.0, 1, 2, 3], [3.0, 1, 2, 0]]))
    rows = RowTargets(index=torch.tensor([[3], [0]]))
    losses = on_cuda.cross_entropy_rows(z, rows, 1.0, z)
    assert losses[0] == losses[1]
    assert z[0].flip(0)[0] == z[1, 0] < 0
    on_cuda.scale_rows(z, torch.tensor([1.0, 0.0]))
    assert z[1].eq(0).all()
    assert z[0].ne(0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [3, 1000, 9000])
def test_rows_are_scaled(size: int, dtype: torch.dtype) -> None:
    values = _logits(5, size, dtype)
    factor = torch.tensor([1.0, 0.5, 3.0, torch.nan, 0.0], dtype=accumulating(dtype))
    right = (values.to(accumulating(dtype)) * factor[:, None]).to(dtype)
    on_cuda.scale_rows(values, factor)
    torch.testing.assert_close(values, right, rtol=torch.finfo(dtype).eps, atol=0, equal_nan=True)
    same = values.clone()
    on_cuda.scale_rows(values, torch.ones((), dtype=accumulating(dtype)).expand(5))
    torch.testing.assert_close(values, same, rtol=0, atol=0, equal_nan=True)


def test_scaling_with_classes_in_the_middle() -> None:
    values = _logits(60, 7, torch.float32).view(3, 7, 20)
    factor = torch.rand(3, 20)
    right = values * factor[:, None]
    on_cuda.scale_rows(values.movedim(1, -1), factor)
    assert torch.equal(values, right)


class _OnCuda(torch.Tensor):
    """A CPU tensor that says that it is on CUDA, so that the choice between the kernels can be tested."""

    is_cuda = True  # pyright: ignore[reportAssignmentType]


def test_triton_is_tried_once_and_then_used(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.zeros(2, 3).as_subclass(_OnCuda)
    monkeypatch.setattr(on_cuda, "_usable", {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    assert on_cuda.takes(z)
    assert not on_cuda.takes(z.long())
    monkeypatch.setattr(on_cuda, "_try", lambda device: pytest.fail("tried again"))
    assert on_cuda.takes(z)
    monkeypatch.setenv("SOFTTARGETS_NATIVE", "0")
    assert not on_cuda.takes(z)


def test_without_a_compiler_there_is_a_warning_and_torch_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(values: Tensor, factor: Tensor) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(on_cuda, "scale_rows", broken)
    monkeypatch.setattr(on_cuda, "_usable", {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    z = torch.zeros(2, 3).as_subclass(_OnCuda)
    with pytest.warns(UserWarning, match=r"Triton cannot be used on cpu \(Failed to find C compiler.\); torch"):
        assert not on_cuda.takes(z)
    assert not on_cuda.takes(z)


def test_nothing_is_tried_during_the_capture_of_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cuda, "_usable", {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not on_cuda.takes(torch.zeros(2, 3).as_subclass(_OnCuda))
    assert on_cuda._usable == {}


def _labelled(count: int, size: int) -> Tensor:
    labels = torch.randint(size, (count,), generator=_generator())
    labels[::5] = -100
    return labels


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [10, 9000])
def test_labels_with_numbers_are_targets_with_tensors(dtype: torch.dtype, smoothing: float, size: int) -> None:
    wide, labels = accumulating(dtype), _labelled(7, size)
    z, scale = _logits(7, size, dtype), _scale(7, dtype)
    number = torch.tensor(smoothing, dtype=wide).expand(7)
    left_out = labels == -100
    rows = RowTargets(index=labels.clamp(min=0)[:, None], value=(1 - number)[:, None], rest=number, left_out=left_out)
    given = on_cuda.LabelTargets(labels[:, None], 1 - smoothing, smoothing, -100)
    one, other = torch.empty_like(z), torch.empty_like(z)
    losses = on_cuda.cross_entropy_rows(z, given, scale, one)
    torch.testing.assert_close(losses, on_cuda.cross_entropy_rows(z, rows, scale, other), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(one, other, rtol=torch.finfo(dtype).eps, atol=1e-7)
    assert losses[left_out].eq(0).all()
    assert one[left_out].eq(0).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ["labels", "left out", "none left out"])
@pytest.mark.parametrize("mean", [True, False])
def test_totals(dtype: torch.dtype, kind: str, mean: bool) -> None:
    wide, labels = accumulating(dtype), _labelled(11, 6)
    left_out = labels == -100 if kind != "none left out" else torch.zeros(11, dtype=torch.bool)
    rows = RowTargets(index=labels.clamp(min=0)[:, None], left_out=None if kind == "none left out" else left_out)
    z, counted = _logits(11, 6, dtype), int((~left_out).sum())
    right = torch.empty_like(z)
    factor = 0.5 / counted if mean else 0.5
    expected = twin(z, rows, torch.full((11,), factor, dtype=wide), right).sum() / (counted if mean else 1)
    given = on_cuda.LabelTargets(labels[:, None], None, None, -100) if kind == "labels" else rows
    for scale in (0.5, torch.tensor(0.5, dtype=wide)):
        gradient = torch.empty_like(z)
        total = on_cuda.cross_entropy_total(z, given, mean, scale, gradient)
        _assert_close((total, gradient), (expected, right))
        torch.testing.assert_close(on_cuda.cross_entropy_total(z, given, mean, None, None), total)


def test_the_mean_of_nothing_is_0() -> None:
    z, gradient = torch.ones(2, 3), torch.ones(2, 3)
    given = on_cuda.LabelTargets(torch.tensor([[5], [5]]), None, None, 5)
    assert on_cuda.cross_entropy_total(z, given, True, 1.0, gradient) == 0
    assert gradient.eq(0).all()
    assert (
        on_cuda.cross_entropy_total(
            torch.zeros(0, 3),
            on_cuda.LabelTargets(torch.zeros(0, 1).long(), None, None, 5),
            True,
            1.0,
            torch.zeros(0, 3),
        )
        == 0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("expected", [0.1, "rows"])
def test_a_gradient_is_scaled_from_what_was_expected(dtype: torch.dtype, expected: float | str) -> None:
    values = _logits(4, 5, dtype)
    before = (
        torch.tensor([0.1, 0.2, 0.0, 0.1], dtype=dtype) if expected == "rows" else torch.full((4,), 0.1, dtype=dtype)
    )
    grad = torch.tensor([0.1, 0.1, 0.3, torch.nan], dtype=dtype)
    right = values * torch.where(before == 0, 0.0, grad / before)[:, None]
    right[0] = values[0]
    on_cuda.scale_rows(values, grad, before if expected == "rows" else 0.1)
    torch.testing.assert_close(values, right, equal_nan=True)


@pytest.mark.parametrize("bad", [-1, 4, 2**40])
def test_a_class_that_does_not_exist_is_reported_unless_it_is_left_out(bad: int) -> None:
    z = torch.zeros(2, 4)
    wrong_label.taken(z.device)
    index, left_out = torch.tensor([[bad], [1]]), torch.tensor([True, False])
    on_cuda.cross_entropy_rows(z, RowTargets(index=index, left_out=left_out), None, None)
    on_cuda.cross_entropy_rows(z, on_cuda.LabelTargets(index, None, None, bad), None, None)
    on_cuda.cross_entropy_rows(z, RowTargets(weights=torch.rand(4, 4), row=index[:, 0], left_out=left_out), None, None)
    assert wrong_label.taken(z.device) == 0
    for rows in (
        RowTargets(index=index),
        on_cuda.LabelTargets(index, 0.9, 0.1, -100),
        RowTargets(weights=torch.rand(4, 4), row=index[:, 0]),
    ):
        on_cuda.cross_entropy_rows(z, rows, None, None)
        assert wrong_label.taken(z.device) == bad
    assert wrong_label.taken(z.device) == 0


# -- the losses, on the way that tensors on CUDA take


def _leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=_generator()).to(dtype).requires_grad_()


CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "labels, mean": lambda z, y: losses.cross_entropy(z, y, reduction="mean"),
    "labels, sum": lambda z, y: losses.cross_entropy(z, y, reduction="sum"),
    "labels, each": lambda z, y: (losses.cross_entropy(z, y) * torch.linspace(0, 1, len(y))).sum(),
    "labels, mean of each": lambda z, y: losses.cross_entropy(z, y).mean(),
    "labels, no gradient": lambda z, y: losses.cross_entropy(z.detach(), y, reduction="mean") + 0 * z.sum(),
    "smoothed": lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.1), reduction="mean"),
    "smoothed, loss scale": lambda z, y: 3 * losses.cross_entropy(z, targets.smooth(y, 0.1), reduction="mean"),
    "probabilities": lambda z, y: losses.cross_entropy(z, z.detach().roll(1, 0).softmax(-1), reduction="mean"),
    "classes second": lambda z, y: losses.cross_entropy(z.T[None], y[None], class_dim=1, reduction="mean"),
    "mask": lambda z, y: losses.cross_entropy(z, y, mask=torch.arange(len(y)) % 3 > 0, reduction="mean"),
    "drop-in": lambda z, y: nn.CrossEntropyLoss()(z, y),
    "drop-in, smoothed": lambda z, y: nn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum")(z, y),
    "drop-in, weighted": lambda z, y: nn.CrossEntropyLoss(weight=torch.arange(1.0, 8.0), label_smoothing=0.1)(z, y),
    "in place": lambda z, y: losses.cross_entropy(z * 1.0, y, reduction="mean", inplace=True),
    "in place, each": lambda z, y: losses.cross_entropy(z * 1.0, y, inplace=True).sum() / 4,
    "in place, smoothed": lambda z, y: losses.cross_entropy(
        z * 1.0, targets.smooth(y, 0.1), reduction="mean", inplace=True
    ),
    "several dimensions": lambda z, y: losses.cross_entropy(z.view(2, 8, -1), y.view(2, 8), reduction="mean"),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", list(CALLS))
def test_the_losses_and_their_gradients_are_those_of_the_cpu(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, labels = _leaf(16, 7, dtype=dtype), _labelled(16, 7)
    right = CALLS[name](z, labels)
    right.backward()
    expected, z.grad = z.grad, None
    pretend_cuda(monkeypatch)
    loss = CALLS[name](z, labels)
    loss.backward()
    torch.testing.assert_close(loss, right, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(z.grad, expected, rtol=2 * torch.finfo(dtype).eps, atol=2e-6)


def test_the_backward_pass_can_be_run_again_and_differentiated(monkeypatch: pytest.MonkeyPatch) -> None:
    z, labels = _leaf(6, 5, dtype=torch.float64), _labelled(6, 5)
    pretend_cuda(monkeypatch)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(z, labels)
    (first,) = torch.autograd.grad(loss, z, retain_graph=True)
    first = first.clone()
    (again,) = torch.autograd.grad(2 * loss, z, retain_graph=True)
    torch.testing.assert_close(again, 2 * first)
    (twice,) = torch.autograd.grad(loss, z, create_graph=True)
    torch.testing.assert_close(twice, first)
    assert torch.autograd.grad(twice.square().sum(), z)[0].abs().sum() > 0


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_linear_loss_and_its_gradients_are_those_of_the_cpu(
    reduction: Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves, labels = (_leaf(150, 4), _leaf(7, 4), _leaf(7)), _labelled(150, 7)

    def loss() -> Tensor:
        hidden, weight, bias = leaves
        smoothed = targets.smooth(labels, 0.1)
        return losses.linear_cross_entropy(hidden, weight, smoothed, bias=bias, chunk=64, reduction=reduction)

    right = loss()
    expected = torch.autograd.grad(right, leaves)
    pretend_cuda(monkeypatch)
    ours = loss()
    torch.testing.assert_close(ours, right)
    for one, other in zip(torch.autograd.grad(ours, leaves), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_label_out_of_range_gives_nan_and_the_error_of_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the interpreter the kernel has run when the call looks, as with CUDA_LAUNCH_BLOCKING=1."""
    pretend_cuda(monkeypatch)
    z = _leaf(3, 4)
    bad = torch.tensor([0, 9, 1])
    for call in (
        lambda: losses.cross_entropy(z, bad),
        lambda: losses.cross_entropy(z, targets.smooth(bad, 0.1)),
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1)(z, bad),
        lambda: losses.linear_cross_entropy(z, _leaf(4, 4), bad),
    ):
        with pytest.raises(ValueError, match=r"targets: labels of at least 0 and below 4, .*; got 9 on cpu"):
            call()
