"""Label matrices and transitions: their dense forms, their inverses, and what they refuse."""

from typing import Any

import numpy as np
import pytest
import torch
from reference import losses as reference
from torch import Tensor

from softtargets.matrices import LabelMatrix, Transition

PRIOR = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
ASYMMETRIC = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 0.4, 0.6]], dtype=torch.float64)


# class 0 becomes 1 and 2, class 1 becomes 2, and class 2 stays: rows filled up with their own class at share 0
NEXT = torch.tensor([[1, 2], [1, 2], [2, 2]])
SHARES = torch.tensor([[0.25, 0.5], [0.0, 0.125], [0.0, 0.0]], dtype=torch.float64)
SPARSE = [[0.25, 0.25, 0.5], [0.0, 0.875, 0.125], [0.0, 0.0, 1.0]]
TWICE = torch.tensor([[1, 1], [1, 2], [2, 2]])
OWN = torch.tensor([[1, 0], [0, 2], [0, 1]])


def sparse(num_classes: int = 3, others: Tensor = NEXT, shares: Tensor = SHARES, **more: Tensor) -> Transition:
    return Transition(num_classes, others=others, shares=shares, **more)


FORMS = {
    "identity": Transition.identity(3),
    "symmetric": Transition(3, 0.3),
    "beyond": Transition(3, 1.2),
    "tensor": Transition(3, torch.tensor(0.3, dtype=torch.float64)),
    "sparse": sparse(),
    "dense": Transition.wrap(ASYMMETRIC),
}
every_form = pytest.mark.parametrize("form", FORMS)


def close(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


def test_label_matrices_of_table_1_of_lukasik() -> None:
    eye, ones = torch.eye(3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    alpha = 0.3
    close(LabelMatrix.identity(3).to_dense(), eye)
    close(LabelMatrix.uniform(alpha, 3).to_dense(), (1 - alpha) * eye + alpha / 3 * ones)
    close(Transition(3, alpha).inverse().to_dense(), eye / (1 - alpha) - alpha / ((1 - alpha) * 3) * ones)
    close(LabelMatrix(3, keep=0.6, rest=0.4, prior=PRIOR).to_dense(), 0.6 * eye + 0.4 * PRIOR)
    close(LabelMatrix(3, table=ASYMMETRIC).to_dense(), ASYMMETRIC)
    assert LabelMatrix.uniform(0.1, 3).to_dense(torch.float32).dtype == torch.float32


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
        (lambda: Transition(4, matrix=ASYMMETRIC), "transition: 4 rows; got 3; fix num_classes"),
        (lambda: Transition.wrap(ASYMMETRIC[:2]), r"transition: a \(K, K\) matrix with K >= 2; got shape \(2, 3\)"),
        (lambda: Transition.wrap(ASYMMETRIC - 0.05), r"transition: entries of at least 0; got -0.05 at index \(0, 2\)"),
        (lambda: Transition.wrap(ASYMMETRIC * 0.9), "transition: .*; got 0.9 in row 0; divide each row by its sum"),
        (lambda: Transition.wrap(ASYMMETRIC / 0), r"transition: finite entries; got inf at index \(0, 0\)"),
        (lambda: Transition.wrap([[1.0]]), "transition: a floating-point tensor; got list; pass a torch.Tensor"),  # pyright: ignore
        (lambda: Transition(3, others=NEXT), "others: given with shares and without a matrix; got only others"),
        (lambda: sparse(matrix=ASYMMETRIC), "others: given with shares and without a matrix"),
        (lambda: sparse(num_classes=4), r"others: shape \(4, W\), as shares; got shapes \(3, 2\) and \(3, 2\)"),
        (lambda: sparse(others=NEXT[:, :1]), r"others: shape \(3, W\), as shares; got shapes \(3, 1\) and \(3, 2\)"),
        (lambda: sparse(others=NEXT + 1), r"others: classes in \[0, 3\); got 3 at index"),
        (lambda: sparse(shares=-SHARES), r"shares: entries of at least 0; got -0.25 at index \(0, 0\); fix"),
        (
            lambda: sparse(shares=SHARES * 2),
            r"shares: rows \(clean class\) with a sum of at most 1; got 1.5 at row 0; leave",
        ),
        (
            lambda: sparse(shares=SHARES / 0),
            r"shares: entries of at least 0; got nan at index \(1, 0\); fix that entry",
        ),
        (
            lambda: sparse(others=TWICE),
            "others: in each row classes other than its own.*; got class 1 in row 0; name each class once",
        ),
        (lambda: sparse(others=OWN), "others: in each row classes other than its own.*; got class 0 in row 0"),
        (lambda: Transition(3) @ Transition(4), "other: 3 classes; got 4; use transitions of the same classes"),
        (lambda: Transition(3) @ "T", "transition: a floating-point tensor; got str"),  # pyright: ignore
        (
            lambda: Transition(3).total_variation(torch.eye(4)),
            "other: 3 classes; got 4; use transitions of the same classes",
        ),
        (lambda: Transition(3).noise_rate(PRIOR[:2] * 2), "class_prior: 3 classes; got 2; give one"),
        (lambda: Transition(3).observed_prior(PRIOR * 2), "class_prior: a sum of 1; got 2; divide it by its sum"),
        (
            lambda: Transition(3).stationary(),
            "transition: one stationary prior; got 3 independent ones; check the intended prior with is_station",
        ),
        (
            lambda: Transition.columns_sum_to_one(ASYMMETRIC),
            r"matrix: columns \(clean class\) that sum to 1; got 0.8 in column 0; its rows sum to 1: transpose it",
        ),
        (
            lambda: Transition.columns_sum_to_one(ASYMMETRIC.T * 0.5),
            "matrix: columns .*; got 0.5 in column 0; divide each column by its sum",
        ),
        (
            lambda: Transition.columns_sum_to_one(ASYMMETRIC.T - 0.1),
            r"matrix: entries of at least 0; got -0.1 at index \(0, 2\); fix that entry",
        ),
        (
            lambda: Transition(3, torch.full((3,), 0.2)),
            r"redraw: one number; got shape \(3,\); for one number per class",
        ),
        (lambda: Transition(3, torch.full((1, 1), 0.2)), r"redraw: one number; got shape \(1, 1\); use redraw.squeeze"),
        (lambda: Transition.symmetric(torch.full((3,), 0.2), 3), r"rate: one number; got shape \(3,\); for one number"),
        (
            lambda: Transition(3, torch.tensor(1)),
            "redraw: a floating-point tensor; got dtype torch.int64; use redraw.fl",
        ),
        (lambda: Transition(3, "0.2"), "redraw: a number or a tensor; got str"),  # pyright: ignore
        (lambda: Transition(3, 0.2, ASYMMETRIC), "redraw: 0 if matrix or others is given; got 0.2; drop redraw"),
        (lambda: Transition(3, matrix=ASYMMETRIC.numpy()), "transition: a floating-point tensor; got ndarray"),  # pyright: ignore
        (lambda: Transition(3, others=NEXT.numpy(), shares=SHARES), "others: .*; got ndarray"),  # pyright: ignore
        (
            lambda: LabelMatrix(3, torch.full((3,), 0.5)),
            r"keep: one number; got shape \(3,\); for one number per class",
        ),
        (lambda: LabelMatrix(3, 0.5, torch.full((3,), 0.5)), r"rest: one number; got shape \(3,\)"),
        (lambda: LabelMatrix(3, float("nan")), "keep: a finite number; got nan"),
        (
            lambda: LabelMatrix(3, keep=0.5, table=ASYMMETRIC),
            "keep: not given together with a table; got 0.5; drop keep",
        ),
        (lambda: LabelMatrix(3, table=ASYMMETRIC[:2]), r"table: a \(K, K\) matrix"),
        (lambda: LabelMatrix(4, table=ASYMMETRIC), "table: 4 rows, one per class; got 3; fix num_classes"),
        (lambda: LabelMatrix(3, 0.5, 0.5, PRIOR * 2), "prior: a sum of 1; got 2; divide it by its sum"),
        (lambda: LabelMatrix(4, 0.5, 0.5, PRIOR), "prior: 4 classes; got 3; give one"),
        (lambda: LabelMatrix.uniform(1.1, 3), r"smoothing: in \[0, 1\]; got 1.1"),
        (lambda: LabelMatrix.uniform(0.1, 0), "num_classes: at least 2; got 0"),
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


def test_the_sparse_form_by_hand() -> None:
    assert sparse().to_dense().tolist() == SPARSE
    assert sparse().to_dense(torch.float32).dtype == torch.float32
    assert not sparse().closed
    assert Transition(3, 0.1).closed
    assert not Transition.wrap(ASYMMETRIC).closed


def test_many_classes_take_no_memory_of_their_square() -> None:
    size = 200_000
    after = ((torch.arange(size) + 1) % size)[:, None]
    transition = Transition(size, others=after, shares=torch.full((size, 1), 0.25, dtype=torch.float64))
    assert float(transition.noise_rate()) == pytest.approx(0.25)
    assert transition.is_stationary()
    assert float(Transition(size, 0.3).noise_rate()) == pytest.approx(0.3 * (1 - 1 / size))


@every_form
def test_every_form_is_its_dense_matrix(form: str) -> None:
    transition = FORMS[form]
    dense = transition.to_dense()
    close(transition.diagonal(), dense.diagonal())
    close(transition.observed_prior(PRIOR), PRIOR @ dense)
    close(transition.observed_prior(), dense.mean(0))
    close(transition.noise_rate(PRIOR), 1 - (PRIOR * dense.diagonal()).sum())
    close(transition.noise_rate(), 1 - dense.diagonal().mean())
    inverse = torch.tensor(reference.inverse(dense.tolist()), dtype=torch.float64)
    assert transition.condition() == pytest.approx(float(inverse.abs().sum(1).max()), rel=1e-9)
    torch.testing.assert_close(transition.inverse().to_dense(), inverse, rtol=1e-9, atol=1e-9)


@every_form
@pytest.mark.parametrize("after", FORMS)
def test_composition_is_the_product(form: str, after: str) -> None:
    made = FORMS[form] @ FORMS[after]
    close(made.to_dense(), FORMS[form].to_dense() @ FORMS[after].to_dense())
    assert made.closed == (FORMS[form].closed and FORMS[after].closed)


def test_composition_goes_from_left_to_right() -> None:
    first, second = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    # both labels become 1, and half of these then 0
    assert (Transition.wrap(first) @ Transition.wrap(second)).to_dense().tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_stationary_priors() -> None:
    chain = Transition.wrap(torch.tensor([[0.75, 0.25], [0.5, 0.5]], dtype=torch.float64))
    close(chain.stationary(), torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))  # 2/3 * .25 = 1/3 * .5
    assert chain.is_stationary(torch.tensor([2 / 3, 1 / 3]))
    assert not chain.is_stationary()
    assert chain.is_stationary(tolerance=0.13)  # the uniform prior becomes .625 and .375
    close(Transition(4, 0.3).stationary(), torch.full((4,), 0.25, dtype=torch.float64))
    close(sparse().stationary(), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))  # all ends in class 2
    assert Transition.identity(3).is_stationary(PRIOR)


def test_total_variation_by_row() -> None:
    close(sparse().total_variation(torch.eye(3)), torch.tensor([0.75, 0.125, 0.0], dtype=torch.float64))
    assert float(Transition(4, 4 / 3).total_variation(Transition(4)).mean()) == pytest.approx(1.0)


def test_the_condition_by_hand() -> None:
    # the inverse of flips of .25 has rows 1.5 and -.5
    assert Transition.symmetric(0.25, 2).condition() == pytest.approx(2.0)
    assert Transition.wrap(torch.tensor([[0.75, 0.25], [0.25, 0.75]])).condition() == pytest.approx(2.0)
    for nothing in (Transition(3, 1.0), Transition(3, torch.tensor(1.0)), Transition.wrap(torch.full((2, 2), 0.5))):
        assert nothing.condition() == torch.inf


def test_trap_23_the_other_orientation_is_turned() -> None:
    made = Transition.columns_sum_to_one(ASYMMETRIC.T)
    close(made.to_dense(), ASYMMETRIC)


def test_a_sparse_inverse_is_kept_until_the_shares_are_written_to_and_carries_a_gradient() -> None:
    shares = SHARES.clone()
    transition = sparse(shares=shares)
    before = transition.inverse()
    assert transition.inverse() is before
    shares[0, 0] = 0.125
    assert transition.inverse() is not before
    leaf = torch.tensor([[0.25], [0.125], [0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: sparse(others=OWN[:, :1], shares=a).inverse().to_dense(), leaf)


def test_the_forms_compile() -> None:
    def observed(prior: Tensor, shares: Tensor) -> Tensor:
        return Transition(3, others=NEXT, shares=shares).observed_prior(prior)

    compiled = torch.compile(observed, backend="eager", fullgraph=True)
    close(compiled(PRIOR, SHARES), observed(PRIOR, SHARES))


def test_matrices_compare_by_their_dense_forms() -> None:
    for one, other in (
        (Transition(3, 0.25), Transition(3, torch.tensor(0.25))),
        (Transition.wrap(ASYMMETRIC), Transition.wrap(ASYMMETRIC.clone())),
        (sparse(), Transition.wrap(torch.tensor(SPARSE, dtype=torch.float64))),
        (LabelMatrix(3, 0.5, 0.5), LabelMatrix(3, 0.5, 0.5, torch.full((3,), 1 / 3, dtype=torch.float64))),
        (LabelMatrix(3, table=ASYMMETRIC), LabelMatrix(3, table=ASYMMETRIC.clone())),
    ):
        assert one == other
        assert hash(one) == hash(other)
    for one, other in (
        (Transition(3, 0.25), Transition(3, 0.5)),
        (Transition(3), Transition(4)),
        (Transition.wrap(ASYMMETRIC), Transition(3)),
        (LabelMatrix(3, 0.5, 0.5), LabelMatrix(3, 0.5, 0.25)),
        (Transition(3), LabelMatrix(3)),
        (Transition(3), "identity"),
    ):
        assert one != other


def test_matrices_print_in_a_line() -> None:
    assert repr(Transition(10, 0.25)) == "Transition(10, redraw=0.25)"
    assert repr(Transition(3, torch.tensor(0.25).requires_grad_())) == "Transition(3, redraw=0.25)"
    assert repr(Transition.wrap(ASYMMETRIC)) == "Transition(3, matrix=<3 x 3 float64>)"
    assert repr(sparse()) == "Transition(3, others=<3 x 2 int64>, shares=<3 x 2 float64>)"
    assert repr(LabelMatrix(3, 1.25, -0.25)) == "LabelMatrix(3, keep=1.25, rest=-0.25)"
    assert repr(LabelMatrix(3, table=ASYMMETRIC)) == "LabelMatrix(3, table=<3 x 3 float64>)"


def test_numpy_numbers_and_narrow_classes_are_accepted() -> None:
    three: Any = np.int64(3)
    quarter: Any = np.float32(0.25)
    assert Transition(three, quarter) == Transition(3, 0.25)
    assert LabelMatrix(three, quarter, three) == LabelMatrix(3, 0.25, 3.0)
    assert Transition.symmetric(quarter, three) == Transition.symmetric(0.25, 3)
    assert sparse(others=NEXT.to(torch.uint8)) == sparse()
