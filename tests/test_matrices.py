"""Smearings and transitions: their dense forms, their inverses, and what they refuse."""

import pytest
import torch
from reference import losses as reference
from torch import Tensor

from softtargets.matrices import Smearing, Transition

PRIOR = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
ASYMMETRIC = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 0.4, 0.6]], dtype=torch.float64)


def close(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


def test_smearings_of_table_1_of_lukasik() -> None:
    eye, ones = torch.eye(3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    alpha = 0.3
    close(Smearing.identity(3).to_dense(), eye)
    close(Smearing.uniform(alpha, 3).to_dense(), (1 - alpha) * eye + alpha / 3 * ones)
    close(Transition(3, alpha).inverse().to_dense(), eye / (1 - alpha) - alpha / ((1 - alpha) * 3) * ones)
    close(Smearing(3, keep=0.6, rest=0.4, prior=PRIOR).to_dense(), 0.6 * eye + 0.4 * PRIOR)
    close(Smearing(3, table=ASYMMETRIC).to_dense(), ASYMMETRIC)
    assert Smearing.uniform(0.1, 3).to_dense(torch.float32).dtype == torch.float32


@pytest.mark.parametrize("redraw", [0.0, 0.3, 0.9, 1.2, 1.5])
def test_the_closed_inverse_is_the_solved_one(redraw: float) -> None:
    closed = Transition(3, redraw)
    solved = torch.tensor(reference.inverse(closed.to_dense().tolist()), dtype=torch.float64)
    close(closed.inverse().to_dense(), solved)
    close(Transition(3, torch.tensor(redraw, dtype=torch.float64)).inverse().to_dense(), solved)
    close(Transition.wrap(closed.to_dense()).inverse().to_dense(), solved)


def test_the_inverse_of_any_transition_undoes_it() -> None:
    close(ASYMMETRIC @ Transition.wrap(ASYMMETRIC).inverse().to_dense(), torch.eye(3, dtype=torch.float64))
    single = Transition.wrap(ASYMMETRIC.float()).inverse()  # is solved in float64
    assert single.table is not None
    assert single.table.dtype == torch.float64


@pytest.mark.parametrize("num_classes", [2, 7, 10, 11, 100])
def test_the_largest_redraw_never_keeps_a_label_and_is_no_negative_probability(num_classes: int) -> None:
    dense = Transition.symmetric(1.0, num_classes).to_dense()
    assert bool((dense >= 0).all())
    close(dense.diagonal(), torch.zeros(num_classes, dtype=torch.float64))


def test_the_inverse_carries_a_gradient() -> None:
    for leaf, of in ((torch.tensor(0.3), lambda a: Transition(3, a)), (0.7 * ASYMMETRIC + 0.1, Transition.wrap)):
        leaf = leaf.double().requires_grad_()
        assert torch.autograd.gradcheck(lambda a, of=of: of(a).inverse().to_dense(), leaf)


def test_wrap_leaves_a_transition_as_it_is() -> None:
    transition = Transition(3, 0.2)
    assert Transition.wrap(transition) is transition
    wrapped = Transition.wrap(ASYMMETRIC)
    assert wrapped.num_classes == 3
    assert wrapped.matrix is ASYMMETRIC


@pytest.mark.parametrize("redraw", [1.0, torch.tensor(1.0), 1 - 1e-11, 1 + 1e-11])
def test_trap_24_noise_that_says_nothing_is_not_inverted(redraw: float) -> None:
    with pytest.raises(ValueError, match=r"transition: (invertible|a condition number below 1e\+10); .*; use forward"):
        Transition(3, redraw).inverse()


def test_trap_24_a_singular_matrix_is_not_inverted() -> None:
    with pytest.raises(
        ValueError, match=r"transition: a condition number below 1e\+10; got .*; use forward correction"
    ):
        Transition.wrap(torch.tensor([[0.5, 0.5], [0.5, 0.5]])).inverse()


def test_trap_23_a_transposed_matrix_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"transition: rows .clean class. that sum to 1; got 0.8 in row 0; its col"):
        Transition.wrap(ASYMMETRIC.T)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transition(1), "num_classes: at least 2; got 1"),
        (lambda: Transition(3, 1.6), r"redraw: in \[0, 1.5\]; got 1.6"),
        (lambda: Transition(3, -0.1), r"redraw: in \[0, 1.5\]; got -0.1"),
        (lambda: Transition(4, matrix=ASYMMETRIC), "transition: 4 rows; got 3; mend num_classes"),
        (lambda: Transition.wrap(ASYMMETRIC[:2]), r"transition: a \(K, K\) matrix with K >= 2; got shape \(2, 3\)"),
        (lambda: Transition.wrap(ASYMMETRIC - 0.05), r"transition: entries of at least 0; got -0.05 at index \(0, 2\)"),
        (lambda: Transition.wrap(ASYMMETRIC * 0.9), "transition: .*; got 0.9 in row 0; divide each row by its sum"),
        (lambda: Transition.wrap(ASYMMETRIC / 0), r"transition: finite entries; got inf at index \(0, 0\)"),
        (lambda: Transition.wrap([[1.0]]), "transition: a floating-point tensor; got list; pass a torch.Tensor"),  # pyright: ignore
        (lambda: Smearing(3, table=ASYMMETRIC[:2]), r"table: a \(K, K\) matrix"),
        (lambda: Smearing(4, table=ASYMMETRIC), "table: 4 rows, one per class; got 3; mend num_classes"),
        (lambda: Smearing(3, 0.5, 0.5, PRIOR * 2), "prior: a sum of 1; got 2; divide it by its sum"),
        (lambda: Smearing(4, 0.5, 0.5, PRIOR), "prior: 4 classes; got 3; mend num_classes"),
        (lambda: Smearing.uniform(1.1, 3), r"smoothing: in \[0, 1\]; got 1.1"),
        (lambda: Smearing.uniform(0.1, 0), "num_classes: at least 2; got 0"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_half_precision_rows_may_round() -> None:
    assert Transition.wrap(torch.full((3, 3), 1 / 3).bfloat16()).num_classes == 3


def test_an_inverse_is_kept_until_the_matrix_is_written_to_and_in_inference_mode_not_at_all() -> None:
    transition = Transition.wrap(torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    assert transition.inverse() is transition.inverse()
    before = transition.inverse()
    assert transition.matrix is not None
    transition.matrix.copy_(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    assert transition.inverse() is not before
    with torch.inference_mode():
        made = Transition.wrap(torch.eye(3)).inverse()
    torch.testing.assert_close(made.to_dense(), torch.eye(3).double())
