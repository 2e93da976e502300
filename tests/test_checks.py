"""Checks: the error sentence, the first bad index, and when values may be looked at."""

import math

import pytest
import torch

import softtargets
from softtargets import _checks as checks
from softtargets import _errors as errors
from softtargets import _numerics as numerics


@pytest.mark.parametrize(
    ("shape", "index", "words"),
    [
        ((), (), "the only entry"),
        ((5,), (3,), "row 3"),
        ((3, 4), (2, 1), "index (2, 1)"),
        ((2, 3, 4), (1, 0, 3), "index (1, 0, 3)"),
    ],
)
def test_the_first_bad_index_and_its_words(shape: tuple[int, ...], index: tuple[int, ...], words: str) -> None:
    bad = torch.zeros(shape, dtype=torch.bool)
    assert checks.first_bad(bad) is None
    bad[index] = True
    later = bad.flatten()
    later[-1] = True  # not the first, unless it is the one
    assert checks.first_bad(bad) == index
    assert checks.where(index) == words


def test_an_empty_tensor_has_nothing_bad() -> None:
    assert checks.first_bad(torch.zeros(0, 3, dtype=torch.bool)) is None
    assert checks.read_labels("labels", torch.zeros(0, dtype=torch.int64), num_classes=3)[1] is None


def test_values_are_looked_at_in_eager_code_only() -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(checks.values_visible(x))
        return x.sum()

    x = torch.randn(2, 3)
    look(x)
    torch.func.grad(look)(x)
    assert seen == [True, True]
    seen.clear()
    torch.func.vmap(look)(x)
    torch.func.vmap(torch.func.grad(look))(x)
    torch.func.grad(lambda y: torch.func.vmap(look)(y).sum())(x)
    torch.func.vmap(torch.func.vmap(look))(x[None])
    look(x.to("meta"))
    with torch._subclasses.FakeTensorMode():
        look(torch.randn(2))
    assert seen == [False] * 6


def test_one_hidden_tensor_hides_the_values() -> None:
    assert checks.values_visible(torch.zeros(1), None)
    assert not checks.values_visible(torch.zeros(1), torch.zeros(1, device="meta"))


def test_the_switch_spares_synchronisation_and_keeps_checks_on_the_cpu() -> None:
    assert softtargets.synchronising_checks is checks.synchronising_checks
    assert checks.synchronising_checks() is True
    try:
        assert checks.synchronising_checks(False) is False
        assert checks.synchronising_checks() is False
        assert checks.values_visible(torch.zeros(1))
        with pytest.raises(ValueError, match="labels"):
            checks.read_labels("labels", torch.tensor([5]), num_classes=3)
    finally:
        checks.synchronising_checks(True)


@pytest.mark.parametrize("wrong", [torch.tensor([1.0]), torch.tensor([1j]), [1], None])
def test_what_is_no_label(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"^labels: integer labels .*; got .*; "):
        checks.read_labels("labels", wrong)


@pytest.mark.parametrize("right", [0, 1, 0.5, torch.tensor(0.0), torch.tensor([0.1, 1.0]), torch.tensor([0, 1])])
def test_fractions(right: float) -> None:
    checks.check_fraction("weight", right)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (1.5, r"weight: in \[0, 1\]; got 1.5; choose a value between 0 and 1"),
        (math.nan, "got nan"),
        (math.inf, "got inf"),
        (torch.tensor(-0.5), "got -0.5; choose"),
        (torch.tensor([[0.5, math.nan]]), r"got nan at index \(0, 1\)"),
        (torch.tensor([0.5, 2.0]).requires_grad_(), "got 2 at row 1"),
        (True, "a number or a tensor; got bool"),
        ("1", "a number or a tensor; got str"),
    ],
)
def test_what_is_no_fraction(wrong: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        checks.check_fraction("weight", wrong)


@pytest.mark.parametrize("wrong", [1, 0, -3])
def test_too_few_classes(wrong: int) -> None:
    with pytest.raises(ValueError, match="num_classes: at least 2; got"):
        checks.check_num_classes(wrong)


@pytest.mark.parametrize("wrong", [2.0, True, "3", torch.tensor(3)])
def test_what_is_no_number_of_classes(wrong: int) -> None:
    with pytest.raises(TypeError, match="num_classes: an int of at least 2; got"):
        checks.check_num_classes(wrong)


def test_errors_are_of_the_kinds_that_python_knows() -> None:
    assert isinstance(errors.fail("a", "b", "c", "d"), ValueError)
    assert isinstance(errors.fail_type("a", "b", "c", "d"), TypeError)
    assert str(errors.fail("bins", "at least 1", 0, "15 is usual")) == "bins: at least 1; got 0; 15 is usual"


def test_the_nearest_name() -> None:
    assert errors.nearest("LUKASIK2020", ["shen2021", "lukasik2020"]) == "lukasik2020"
    assert errors.nearest("xyz", ["shen2021"]) is None
    assert errors.nearest("nofile.csv", ["one.csv"]) == "one.csv"
    assert errors.nearest("nofile.csv", ["one.csv"], cutoff=0.75) is None
    assert str(errors.unknown("study", "xyz", [])) == "study: one of (none); got 'xyz'; use one of these names"


def test_zero_times_infinity_is_nothing_and_zero_keeps_its_gradient() -> None:
    weight = torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([math.inf, 3.0, 4.0], dtype=torch.float64, requires_grad=True)
    product = numerics.times(weight, value)
    assert product.tolist() == [0, 0, 8]
    by_weight, by_value = torch.autograd.grad(product.sum(), (weight, value))
    assert by_weight.tolist() == [0, 3, 4]
    assert by_value.tolist() == [0, 0, 2]


def test_shifted_logits_do_not_overflow_and_a_masked_row_is_left_alone() -> None:
    logits = torch.tensor([[1e4, 0.0], [-math.inf, -math.inf], [-math.inf, 5.0]])
    assert numerics.shifted(logits).tolist() == [[0, -1e4], [-math.inf, -math.inf], [-math.inf, 0]]


def test_half_precision_is_widened_and_nothing_else() -> None:
    for dtype, wide in (
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert numerics.at_least_float32(torch.zeros(1, dtype=dtype)).dtype == wide


def test_one_number_expanded_to_a_tensor_stays_one_number_when_scaled() -> None:
    expanded = torch.tensor(0.5).expand(3, 1)
    assert numerics.scaled(expanded, 3.0).stride() == (0, 0)
    for tensor in (expanded, torch.arange(3.0)[:, None], torch.zeros(0, 1), torch.tensor(2.0)):
        for factor in (3.0, torch.tensor([[2.0]])):
            torch.testing.assert_close(numerics.scaled(tensor, factor), factor * tensor, check_stride=False)


@pytest.mark.parametrize("index", [torch.tensor(1), torch.tensor([1, 0, 1]), torch.tensor([[2, 1], [0, 0]])])
def test_rows_of_a_matrix(index: torch.Tensor) -> None:
    matrix = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(numerics.rows_of(matrix, index), matrix[index])
    assert torch.equal(numerics.rows_of(matrix[:, 0], index), matrix[:, 0][index])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool])
def test_labels_of_every_integer_dtype_become_int64(dtype: torch.dtype) -> None:
    found, left_out = checks.read_labels(
        "labels", torch.tensor([0, 1, 1]).to(dtype), num_classes=300, ignore_index=-100
    )
    assert found.dtype == torch.int64
    assert left_out is None


def test_a_narrow_dtype_does_not_wrap_around() -> None:
    """uint8 156 is -100 modulo 256, and 256 classes are 0 (trap 39)."""
    labels = torch.tensor([156, 255, 0], dtype=torch.uint8)
    found, left_out = checks.read_labels("labels", labels, num_classes=256, ignore_index=-100)
    assert left_out is None
    assert found.tolist() == [156, 255, 0]
    with pytest.raises(ValueError, match="got -1 at row 0"):
        checks.read_labels("labels", torch.tensor([-1, 3], dtype=torch.int8), num_classes=256, ignore_index=255)


def test_ignored_and_masked_labels_are_left_out() -> None:
    labels, mask = torch.tensor([2, -100, 9, 1]), torch.tensor([True, True, False, True])
    found, left_out = checks.read_labels("labels", labels, num_classes=3, ignore_index=-100, mask=mask)
    assert found.tolist() == [2, 0, 0, 1]
    assert left_out is not None
    assert left_out.tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 3]), "labels: labels of at least 0 and below 3, the number of classes; got 3 at row 1; fix"),
        (torch.tensor([[0], [1]]), r"labels: shape \(2,\); got \(2, 1\); use labels.squeeze\(-1\)"),
        (torch.tensor([0.0, 1.0]), "labels: integer labels .*; got dtype torch.float32; if they are whole"),
        ([0, 1], r"labels: integer labels .*; got list; use torch.as_tensor\(labels\)"),
    ],
)
def test_labels_that_are_refused(labels: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        checks.read_labels("labels", labels, num_classes=3, shape=(2,), ignore_index=-100)


def test_ids_are_called_ids() -> None:
    with pytest.raises(
        ValueError, match=r"^ids: ids of at least 0 and below 3, the number of examples; got 5 at row 0;"
    ):
        checks.read_ids("ids", torch.tensor([5]), 3)
