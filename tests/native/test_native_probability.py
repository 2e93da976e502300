"""The kernel of the losses of the label's probability against its twin: the same numbers in every layout and dtype."""

from functools import cache

import pytest
import torch
from kernels import LAYOUTS, agree, use_kernels, use_level
from torch import Tensor

from softtargets._native.build import levels
from softtargets._native.labels import ODDS, LabelProbability
from softtargets._native.probability import probability_losses, probability_total
from softtargets._numerics import accumulating
from softtargets.losses import _focal
from softtargets.losses._engine.observed import symmetric_noise
from softtargets.losses.robust import _generalized, _symmetric
from softtargets.losses.smoothing import _label_relaxation
from softtargets.matrices import Transition

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SIZES = (2, 3, 10, 16, 17, 100, 1000, 5003)
ROWS = 21
LEVELS = list(levels())
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def transition_of(size: int) -> Tensor:
    return torch.rand(size, size, generator=generator(3), dtype=torch.float64).pow(8).softmax(-1)


def forms(size: int, rows: int = ROWS) -> dict[str, LabelProbability]:
    """Return every loss for `rows` rows of `size` classes."""
    labels = torch.randint(size, (rows,), generator=generator(size))
    ignored = labels.masked_fill(torch.rand(rows, generator=generator(4)) < 0.3, -100)
    symmetric = symmetric_noise(Transition(size, 0.3))
    of_odds = {
        "odds": (ODDS, ()),
        "focal": (_focal._FOCAL, (3.0,)),
        "focal, gamma below 1": (_focal._FOCAL, (0.5,)),
        "focal, gamma 0": (_focal._FOCAL, (0.0,)),
        "focal of two gammas": (_focal._FOCAL_OF_TWO_GAMMAS, (5.0, 3.0, -1.4)),
        "poly-1": (_focal._POLY1, (-1.0,)),
        "generalized": (_generalized._GENERALIZED, (0.7,)),
        "generalized, q 0": (_generalized._GENERALIZED, (0.0,)),
        "absolute": (_generalized._WRONG, ()),
        "reverse": (_symmetric._REVERSE, (1e-4,)),
        "symmetric": (_symmetric._SYMMETRIC, (0.1, 1.0, 1e-4)),
        "relaxation": (_label_relaxation._RELAXATION, (0.1,)),
        "relaxation by 0": (_label_relaxation._RELAXATION, (0.0,)),
        "relaxation by 1": (_label_relaxation._RELAXATION, (1.0,)),
        "symmetric noise": (symmetric, (0.3,)),
        "no noise": (symmetric, (0.0,)),
        "most noise": (symmetric, (size / (size - 1),)),
    }
    made = {name: LabelProbability(labels, *form) for name, form in of_odds.items()}
    made["ignored"] = LabelProbability(ignored, _focal._FOCAL, (3.0,), ignore_index=-100)
    columns = transition_of(size).T
    made["forward"] = LabelProbability(labels, None, columns=columns)
    made["forward, ignored"] = LabelProbability(ignored, None, columns=columns.float(), ignore_index=-100)
    return made


def logits_of(size: int, dtype: torch.dtype, rows: int = ROWS) -> Tensor:
    return torch.randn(rows, size, generator=generator(1), dtype=torch.float64).mul(4).to(dtype)


def both(
    monkeypatch: pytest.MonkeyPatch, level: str, z: Tensor, rows: LabelProbability, scale: Tensor | float
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return losses, gradient and mean of the kernel of a level, then of the twin."""
    found = []
    for wanted in (level, "0"):
        use_kernels(monkeypatch, wanted)
        gradient, again = torch.empty_like(z), torch.empty_like(z)
        losses = probability_losses(z, rows, scale, gradient)
        total = probability_total(z, rows, True, 0.5, again)
        assert losses is not None
        assert total is not None
        found.append((losses, gradient, total))
    return found


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", SIZES)
@every_dtype
def test_the_kernel_agrees_with_its_twin(
    dtype: torch.dtype, size: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    z, wide = logits_of(size, dtype), accumulating(dtype)
    scale = torch.rand(ROWS, generator=generator(2)).to(wide)
    largest = float(z.double().abs().max()) + 10
    units = 2 if size <= 100 else 10  # torch's sum of many exponentials is rounded more often
    for name, rows in forms(size).items():
        kernel, twin = both(monkeypatch, level, z, rows, scale)
        assert kernel[0].dtype == kernel[2].dtype == wide, name
        # a loss moves by at most its steepest slope if the log-odds move by their rounding error
        steepest = 10.0
        agree(kernel[0], twin[0], wide, largest * steepest / 4, units)
        agree(kernel[2], twin[2], wide, largest * steepest / 4, units)
        agree(kernel[1], twin[1], dtype, steepest, units)


@every_dtype
def test_logits_that_are_not_finite(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    inf = torch.inf
    rows_of_logits = [
        [0.0, -inf, 1.0],  # another class is masked
        [-inf, 0.5, -inf],  # the label alone
        [0.0, -inf, 0.0],  # the label is masked
        [-inf, -inf, -inf],
        [inf, 0.0, 1.0],
        [torch.nan, 0.0, 1.0],
        [60.0, -60.0, 0.0],
    ]
    z = torch.tensor(rows_of_logits).to(dtype)
    labels = torch.tensor([0, 1, 1, 0, 1, 1, 1])
    for name, form in forms(3).items():
        if "ignored" in name:
            continue
        rows = LabelProbability(labels, form.loss, form.settings, form.columns)
        kernel, twin = both(monkeypatch, "1", z, rows, 1.0)
        for one, other in zip(kernel, twin, strict=True):
            torch.testing.assert_close(one, other, equal_nan=True, msg=lambda text, name=name: f"{name}: {text}")


@every_dtype
def test_forward_correction_of_labels_that_almost_vanished(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = torch.tensor([[0.0, 0.75, 0.25], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    z = torch.tensor([[70.0, 0.0, 2.0], [0.0, 70.0, -90.0], [1.0, 0.0, 0.5], [0.0, -torch.inf, -torch.inf]]).to(dtype)
    rows = LabelProbability(torch.tensor([0, 1, 2, 0]), None, columns=columns)
    kernel, twin = both(monkeypatch, "1", z, rows, 0.5)
    for one, other in zip(kernel, twin, strict=True):
        torch.testing.assert_close(one, other)
    assert kernel[0].tolist()[2:] == [torch.inf, torch.inf]


@every_dtype
@pytest.mark.parametrize("arrange", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_layout_gives_the_same_bits(arrange, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    plain = logits_of(10, dtype)
    for form in forms(10).values():
        expected = torch.empty_like(plain)
        losses = probability_losses(plain, form, 0.5, expected)
        assert losses is not None
        z = arrange(plain)
        labels = form.labels.reshape(z.shape[:-1])
        rows = LabelProbability(labels, form.loss, form.settings, form.columns, form.ignore_index)
        gradient, work = torch.empty_like(z), z.clone()
        found = probability_losses(z, rows, 0.5, gradient)
        assert found is not None
        assert torch.equal(found.flatten(), losses)
        assert torch.equal(gradient.reshape(plain.shape), expected)
        probability_losses(work, rows, 0.5, work)
        assert torch.equal(work.reshape(plain.shape), expected)


@every_dtype
def test_the_bits_do_not_depend_on_the_number_of_threads(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    z = logits_of(50, dtype, 3000)
    before = torch.get_num_threads()
    for name in ("focal", "forward", "forward, ignored"):
        rows = forms(50, 3000)[name]
        found = []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                gradient = torch.empty_like(z)
                found.append((probability_total(z, rows, True, 1.0, gradient), gradient))
        finally:
            torch.set_num_threads(before)
        for total, gradient in found[1:]:
            assert torch.equal(total, found[0][0])
            assert torch.equal(gradient, found[0][1])


@pytest.mark.parametrize("name", ["focal", "forward"])
def test_a_label_out_of_range_is_declined_before_anything_is_written(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kernels(monkeypatch, "1")
    z, form = torch.randn(4, 3, generator=generator()), forms(3)[name]
    for bad in (3, -1, 2**40):
        rows = LabelProbability(torch.tensor([0, 1, bad, 2]), form.loss, form.settings, form.columns)
        gradient = torch.full_like(z, 7.0)
        assert probability_total(z, rows, True, 1.0, gradient) is None
        assert probability_losses(z, rows, 1.0, gradient) is None
        assert bool((gradient == 7).all())
