"""Losses inside the rest of PyTorch: compilers, function transforms, autocast, tensors without values, copies."""

import copy
import pickle
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from laws_table import LOGITS, TABLE, K, Loss, N
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import grad, jvp, vmap
from torch.utils import _pytree

from softtargets import losses, noise, targets
from softtargets.targets import Targets

ALL = torch.arange(N)
LABELS = torch.tensor([3, 0, 1, 2, 3, 3, 0])
RATES = torch.linspace(0.1, 0.9, N, dtype=torch.float64)
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
TABLE_OF_ROWS = torch.tensor(
    [[0.7, 0.2, 0.05, 0.05], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.6, 0.2], [0.05, 0.05, 0.1, 0.8]], dtype=torch.float64
)
VALID = torch.tensor([True, True, True, True])
Z = LOGITS

# torch's own forward mode and compiler still use what torch deprecates
torch_scripts = pytest.mark.filterwarnings(r"ignore:`torch\.jit\.script\w*` is deprecated:DeprecationWarning")

Call = tuple[Callable[..., Tensor], tuple[Tensor, ...]]

# with every tensor an argument, so that all of them can be traced, faked or moved
CALLS: dict[str, Call] = {
    "hard": (losses.cross_entropy, (Z, LABELS)),
    "ignored": (lambda z, y: losses.cross_entropy(z, targets.hard(y, ignore_index=2)), (Z, LABELS)),
    "smooth": (lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.1)), (Z, LABELS)),
    "smooth, a rate each": (lambda z, y, r: losses.cross_entropy(z, targets.smooth(y, r)), (Z, LABELS, RATES)),
    "prior": (lambda z, y, q: losses.cross_entropy(z, targets.smooth(y, 0.1, prior=q)), (Z, LABELS, PRIOR)),
    "valid": (lambda z, y, v: losses.cross_entropy(z, targets.smooth(y, 0.1, valid=v)), (Z, LABELS, VALID)),
    "table": (lambda z, y, t: losses.cross_entropy(z, targets.from_table(y, t)), (Z, LABELS, TABLE_OF_ROWS)),
    "dense": (lambda z, t: losses.cross_entropy(z, targets.dense(t)), (Z, TABLE_OF_ROWS[LABELS])),
    "mixup": (
        lambda z, y, w: losses.cross_entropy(z, targets.mix(targets.smooth(y, 0.1), targets.smooth(y.flip(0), 0.1), w)),
        (Z, LABELS, RATES),
    ),
    "backward correction": (losses.backward_corrected_cross_entropy, (Z, LABELS, TABLE_OF_ROWS)),
    "forward correction": (losses.forward_corrected_cross_entropy, (Z, LABELS, TABLE_OF_ROWS)),
    "forward correction, symmetric": (
        lambda z, y: losses.forward_corrected_cross_entropy(z, y, noise.symmetric(0.2, K)),
        (Z, LABELS),
    ),
    "a function of p_y": (losses.generalized_cross_entropy, (Z, LABELS)),
    "focal": (losses.focal_loss, (Z, LABELS)),
    "penalty": (losses.confidence_penalty, (Z,)),
    "running targets": (losses.elr_penalty, (Z, TABLE_OF_ROWS[LABELS])),
}
calls = pytest.mark.parametrize("name", sorted(CALLS))
laws = pytest.mark.parametrize("name", sorted(name for name, law in TABLE.items() if isinstance(law, Loss)))


def law_of(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    law = TABLE[name]
    assert isinstance(law, Loss)
    return law.value


def close(got: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def gradient_of(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    z = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(z).sum(), z)[0]


# compilers


def check_compiled(loss: Callable[..., Tensor], tensors: tuple[Tensor, ...], backend: str) -> None:
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    close(gradient_of(lambda z: compiled(z, *tensors[1:]), Z), gradient_of(lambda z: loss(z, *tensors[1:]), Z))
    fewer = [tensor[:-2] if len(tensor) == N else tensor for tensor in tensors]  # the last batch of an epoch
    close(compiled(*fewer), loss(*fewer))


@calls
def test_traces_as_one_graph(name: str) -> None:
    check_compiled(*CALLS[name], backend="aot_eager")


def several(z: Tensor, labels: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    made = [
        targets.hard(labels),
        targets.smooth(labels, 0.1),
        targets.from_table(labels, table),
        targets.dense(table.index_select(0, labels)),
        targets.mix(targets.smooth(labels, 0.1), targets.smooth(labels.flip(0), 0.1), weight),
    ]
    values = [losses.cross_entropy(z, form) for form in made]
    values += [
        losses.forward_corrected_cross_entropy(z, labels, table),
        losses.generalized_cross_entropy(z, labels),
    ]
    return torch.stack([(i + 1) * value for i, value in enumerate(values)]).sum(0)


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a C++ compiler")
@pytest.mark.slow
@torch_scripts
def test_compiles_to_native_code() -> None:
    check_compiled(several, (Z, LABELS, TABLE_OF_ROWS, RATES), backend="inductor")


# function transforms


@laws
def test_grad_is_autograd(name: str) -> None:
    value = law_of(name)
    close(grad(lambda z: value(z, ALL).sum())(LOGITS), gradient_of(lambda z: value(z, ALL), LOGITS))


@laws
def test_vmap_over_runs_and_over_examples_is_the_loop(name: str) -> None:
    value = law_of(name)
    runs = torch.stack([LOGITS, LOGITS.flip(0), 2 * LOGITS])
    close(vmap(lambda z: value(z, ALL))(runs), torch.stack([value(z, ALL) for z in runs]))
    alone = vmap(lambda z, row: value(z[None], row[None])[0])(LOGITS, ALL)
    close(alone, value(LOGITS, ALL))


@laws
def test_the_gradient_of_each_example_is_the_loop(name: str) -> None:
    value = law_of(name)
    each = vmap(grad(lambda z, row: value(z[None], row[None])[0]))(LOGITS, ALL)
    rows = [gradient_of(lambda z, i=i: value(z, ALL[i : i + 1]), LOGITS[i : i + 1]) for i in range(N)]
    close(each, torch.cat(rows))


@laws
@torch_scripts
def test_forward_mode_is_the_gradient_times_the_direction(name: str) -> None:
    value = law_of(name)
    direction = torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    expected = (gradient_of(lambda z: value(z, ALL), LOGITS) * direction).sum(-1)
    primal, tangent = jvp(lambda z: value(z, ALL), (LOGITS,), (direction,))[:2]
    close(primal, value(LOGITS, ALL))
    close(tangent, expected)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(value(forward_ad.make_dual(LOGITS, direction), ALL))
        assert dual.tangent is not None
        close(dual.tangent, expected)


# precision and layout


@laws
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype) -> None:
    if name == "losses.linear_cross_entropy":
        pytest.skip("its products of matrices are a layer's, and take autocast's precision")
    value, logits = law_of(name), LOGITS.to(dtype)
    expected = value(logits, ALL), gradient_of(lambda z: value(z, ALL), logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = value(logits, ALL), gradient_of(lambda z: value(z, ALL), logits)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


STRIDED: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda z: z.T.contiguous().T,
    "every other column": lambda z: torch.stack([z, z], -1)[..., 0],
    "within a larger one": lambda z: torch.nn.functional.pad(z, (1, 2, 3, 1))[3:-1, 1:-2],
}


@laws
@pytest.mark.parametrize("layout", sorted(STRIDED))
def test_the_layout_in_memory_changes_nothing(name: str, layout: str) -> None:
    value, strided = law_of(name), STRIDED[layout](LOGITS)
    assert not strided.is_contiguous()
    close(value(strided, ALL), value(LOGITS, ALL), atol=1e-14)
    leaf = LOGITS.clone().requires_grad_()
    (got,) = torch.autograd.grad(value(STRIDED[layout](leaf), ALL).sum(), leaf)
    close(got, gradient_of(lambda z: value(z, ALL), LOGITS), atol=1e-14)


@laws
def test_one_row_for_all_examples_gets_the_sum_of_their_gradients(name: str) -> None:
    value = law_of(name)
    row = LOGITS[:1].clone().requires_grad_()
    (got,) = torch.autograd.grad(value(row.expand(N, K), ALL).sum(), row)
    close(got, gradient_of(lambda z: value(z, ALL), LOGITS[:1].repeat(N, 1)).sum(0, keepdim=True))


# tensors without values


@calls
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_meta_tensors_have_the_shape_and_dtype(name: str, dtype: torch.dtype) -> None:
    loss, (z, *others) = CALLS[name]
    expected = loss(z.to(dtype), *others)
    logits = z.to(dtype).to("meta").requires_grad_()
    got = loss(logits, *(tensor.to("meta") for tensor in others))
    check_empty(got, expected, logits)
    assert got.is_meta


@calls
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_fake_tensors_have_the_shape_and_dtype_and_are_not_looked_at(name: str, dtype: torch.dtype) -> None:
    loss, (z, *others) = CALLS[name]
    z = z.to(dtype)
    expected = loss(z, *others)
    with FakeTensorMode() as mode:
        logits = mode.from_tensor(z).requires_grad_()
        check_empty(loss(logits, *(mode.from_tensor(tensor) for tensor in others)), expected, logits)


def check_empty(got: Tensor, expected: Tensor, logits: Tensor) -> None:
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    assert gradient.shape == logits.shape
    assert gradient.dtype == logits.dtype


# ingredients that learn


@calls
def test_whatever_is_floating_point_receives_its_gradient(name: str) -> None:
    loss, tensors = CALLS[name]
    if name == "running targets":
        pytest.skip("no gradient passes through them")
    learning = tuple(t.clone().requires_grad_() if t.is_floating_point() else t for t in tensors)
    assert torch.autograd.gradcheck(loss, learning)


def test_running_targets_receive_none() -> None:
    running = TABLE_OF_ROWS[LABELS].clone().requires_grad_()
    assert not losses.elr_penalty(LOGITS, running).requires_grad


# copies


def forms() -> dict[str, Targets]:
    hard = targets.hard(LABELS, ignore_index=2)
    return {
        "hard": hard,
        "smooth": targets.smooth(hard, RATES, valid=VALID),
        "prior": targets.smooth(LABELS, 0.1, prior=PRIOR),
        "table": targets.from_table(LABELS, TABLE_OF_ROWS),
        "dense": targets.dense(TABLE_OF_ROWS[LABELS]),
        "mixed": targets.mix(hard, targets.smooth(LABELS.flip(0), 0.3), 0.25),
        "out of a tree": _pytree.tree_map(lambda leaf: leaf, targets.smooth(LABELS, 0.1)),
    }


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda made: pickle.loads(pickle.dumps(made)),
}


@pytest.mark.parametrize("form", sorted(forms()))
@pytest.mark.parametrize("how", sorted(COPIES))
def test_a_copy_of_targets_is_the_same_targets(form: str, how: str) -> None:
    made = forms()[form]
    again = COPIES[how](made)
    assert isinstance(again, Targets)
    names = made.tensors().keys()
    assert again.tensors().keys() == names
    assert all(torch.equal(getattr(again, name), getattr(made, name)) for name in names)
    assert _pytree.tree_structure(again) == _pytree.tree_structure(made)
    if how != "copy":
        assert all(getattr(again, name) is not getattr(made, name) for name in names)
    assert torch.equal(losses.cross_entropy(LOGITS, again), losses.cross_entropy(LOGITS, made))
