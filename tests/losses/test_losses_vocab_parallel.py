"""Split classes: value and gradient on every process against cross_entropy on all classes, in float64."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from processes import run_on_processes
from torch import Tensor

from softtargets import losses, targets
from softtargets._native import chunks
from softtargets.losses._dtensor import dtensor_cross_entropy, is_dtensor
from softtargets.losses._vocab_parallel import vocab_parallel_cross_entropy
from softtargets.matrices import LabelMatrix
from softtargets.targets import Targets

N, K = 6, 7
REDUCTIONS: Any = ("mean", "sum", "none")
SIZES = {1: [7], 2: [5, 2], 4: [3, 0, 1, 3]}  # uneven, one class, none at all
LABELS = torch.tensor([2, 0, 3, 6, 2, 5])
IGNORED = torch.tensor([False, True, False, False, True, False])
PRIOR = torch.tensor([0.1, 0.2, 0.0, 0.3, 0.1, 0.1, 0.2], dtype=torch.float64)
TABLE = torch.linspace(-1, 2, K * K, dtype=torch.float64).reshape(K, K)
RATES = torch.linspace(0, 1, N, dtype=torch.float64)
VALID = torch.tensor([True, False, True, True, False, True, True])
EACH_VALID = torch.stack([(torch.arange(K) != (y + 1) % K) & (torch.arange(K) != (y + 4) % K) for y in LABELS])
UPSTREAM = torch.tensor([1.0, 0.0, -2.0, 3.0, 0.5, 10.0], dtype=torch.float64)

Case = tuple[Tensor, Targets | Tensor]


def logits_of(seed: int = 0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3


def cases() -> dict[str, Case]:
    """Return logits and targets over all classes."""
    z, smooth = logits_of(), targets.smooth
    gone = z.masked_fill(~VALID, -torch.inf)
    bad = z.clone()
    bad[1], bad[4] = torch.nan, -torch.inf
    ignored = targets.hard(LABELS.masked_fill(IGNORED, -100), ignore_index=-100)
    nowhere = EACH_VALID & ~IGNORED[:, None]  # a padding row may have no class at all
    return {
        "labels": (z, LABELS),
        "smooth": (z, smooth(LABELS, 0.1)),
        "smooth, a rate each": (z, smooth(LABELS, RATES)),
        "smooth, negative": (z, targets.from_table(LABELS, LabelMatrix(K, keep=1.4, rest=-0.4))),
        "prior": (z, smooth(LABELS, 0.3, prior=PRIOR)),
        "table": (z, targets.from_table(LABELS, TABLE)),
        "dense": (z, targets.dense(3 * TABLE[LABELS] - 0.2)),
        "mixed": (z, targets.mix(smooth(LABELS, 0.1), smooth(LABELS.flip(0), 0.1), 0.3)),
        "valid": (z, smooth(LABELS, 0.3, valid=VALID)),
        "valid, prior": (z, smooth(LABELS, 0.3, prior=PRIOR, valid=VALID)),
        "valid, each": (z, smooth(LABELS, 0.3, valid=EACH_VALID)),
        "valid, dense": (z, replace(targets.dense(TABLE[LABELS] * VALID), valid=VALID)),
        "valid, the others huge": (z.masked_fill(~VALID, 1e30), smooth(LABELS, 0.3, valid=VALID)),
        "-inf": (gone, smooth(LABELS, 0.3)),
        "-inf, prior": (gone, smooth(LABELS, 0.3, prior=PRIOR)),
        "-inf, dense": (gone, targets.dense(TABLE[LABELS] * VALID)),
        "ignored": (bad, ignored),
        "ignored, smooth": (bad, smooth(ignored, 0.2)),
        "ignored, valid": (bad, smooth(ignored, 0.2, valid=nowhere)),
        "ignored, table": (bad, replace(targets.from_table(LABELS, TABLE), ignored=IGNORED)),
        "extreme": (z * 1e4, smooth(LABELS, 0.1)),
        "no examples": (z[:0], smooth(LABELS[:0], 0.1)),
    }


CASES = cases()


def truth(whole: Tensor, made: Targets | Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    z = whole.double().clone().requires_grad_()
    loss = losses.cross_entropy(z, made)
    return loss.detach(), torch.autograd.grad(loss, z, upstream)[0]


def close(name: str, got: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=atol, msg=lambda text: f"{name}: {text}")


def slice_of(rank: int, world: int) -> slice:
    first = sum(SIZES[world][:rank])
    return slice(first, first + SIZES[world][rank])


def on_every_rank(rank: int) -> None:
    world = dist.get_world_size()
    for budget in (2, 2**19):  # a chunk for every row, and one for all
        chunks.CHUNK_ON_CPU = budget
        check_every_target(rank, world, None)
    check_reductions(rank, world)
    check_half_precision(rank, world)
    check_other_layouts(rank, world)
    if world == 4:
        halves = [dist.new_group([0, 1]), dist.new_group([2, 3])]
        check_every_target(rank % 2, 2, halves[rank // 2], ["smooth", "dense", "valid, prior"])
        check_a_mesh_of_two_axes()
    if world == 2:
        check_what_is_said(rank)
        check_errors(rank)
        check_a_mesh_of_one_axis()
        check_a_column_parallel_layer()
        check_errors_of_a_dtensor()


def check_every_target(rank: int, world: int, group: Any, names: Iterable[str] = tuple(CASES)) -> None:
    here = slice_of(rank, world)
    for name in names:
        whole, made = CASES[name]
        z, upstream = whole[:, here].clone().requires_grad_(), UPSTREAM[: len(whole)]
        loss = vocab_parallel_cross_entropy(z, made, group=group)
        value, gradient = truth(whole, made, upstream)
        close(name, loss.detach(), value)
        close(name, torch.autograd.grad(loss, z, upstream)[0], gradient[:, here])
        with torch.no_grad():
            close(name, vocab_parallel_cross_entropy(z, made, group=group, num_classes=K), value)
        # every process goes backward from the same scalar: nothing is multiplied by their number
        mean = losses.reduce(vocab_parallel_cross_entropy(z, made, group=group), normalizer=3.7)
        mean.backward()
        assert z.grad is not None
        close(name, z.grad, truth(whole, made, torch.full_like(value, 1 / 3.7))[1][:, here])


def check_reductions(rank: int, world: int) -> None:
    here, marked = slice_of(rank, world), LABELS.masked_fill(IGNORED, -100)
    soft = torch.stack([logits_of(), logits_of(1)]).softmax(-1).mean(0)
    for reduction in REDUCTIONS:
        for given, mask in ((marked, None), (LABELS, ~IGNORED), (LABELS.to(torch.int16), None), (soft, ~IGNORED)):
            z, whole = logits_of()[:, here].clone().requires_grad_(), logits_of().requires_grad_()
            loss = vocab_parallel_cross_entropy(z, given, mask=mask, reduction=reduction)
            expected = losses.cross_entropy(whole, given, mask=mask, reduction=reduction)
            close(reduction, loss, expected)
            (gradient,) = torch.autograd.grad(loss.sum(), z)
            close(reduction, gradient, torch.autograd.grad(expected.sum(), whole)[0][:, here])


def check_half_precision(rank: int, world: int) -> None:
    here = slice_of(rank, world)
    for name in ("labels", "smooth", "prior", "table", "dense", "valid, prior", "ignored, smooth"):
        whole, made = CASES[name]
        whole = whole.bfloat16()
        z = whole[:, here].clone().requires_grad_()
        loss = vocab_parallel_cross_entropy(z, made)
        assert loss.dtype == torch.float32
        value, gradient = truth(whole, made, UPSTREAM)
        torch.testing.assert_close(loss.detach().double(), value, rtol=1e-5, atol=1e-5)
        (got,) = torch.autograd.grad(loss, z, UPSTREAM.float())
        assert got.dtype == torch.bfloat16
        # rounded once, from float32
        torch.testing.assert_close(got.double(), gradient[:, here], rtol=2**-8, atol=1e-5)


def check_other_layouts(rank: int, world: int) -> None:
    here = slice_of(rank, world)
    whole = torch.stack([logits_of(1), logits_of(2)], -1)  # (N, K, 2)
    made = targets.smooth(torch.stack([LABELS, LABELS.flip(0)], -1), 0.1)
    z = whole[:, here].clone().requires_grad_()
    loss = vocab_parallel_cross_entropy(z, made, class_dim=1)
    full = whole.clone().requires_grad_()
    expected = losses.cross_entropy(full, made, class_dim=1)
    close("class_dim", loss.detach(), expected.detach())
    gradients = (torch.autograd.grad(value.square().sum(), leaf)[0] for value, leaf in ((loss, z), (expected, full)))
    close("class_dim", next(gradients), next(gradients)[:, here])
    alone = vocab_parallel_cross_entropy(logits_of()[2, here], targets.smooth(LABELS[2], 0.1))
    close("one example", alone, losses.cross_entropy(logits_of()[2], targets.smooth(LABELS[2], 0.1)))


def check_what_is_said(rank: int) -> None:
    """A forward pass tells the others a few numbers per example, twice, a backward pass nothing."""
    said: list[int] = []
    reduce_all = dist.all_reduce

    def listening(tensor: Tensor, *args: Any, **kwargs: Any) -> None:
        said.append(tensor.numel())
        reduce_all(tensor, *args, **kwargs)

    dist.all_reduce = listening
    try:
        z = logits_of()[:, slice_of(rank, 2)].clone().requires_grad_()
        for made in (targets.hard(LABELS), targets.smooth(LABELS, 0.1), targets.dense(TABLE[LABELS])):
            said.clear()
            loss = vocab_parallel_cross_entropy(z, made)
            assert said == [N + 2, (3 if made.rest is None else 5) * N]
            loss.sum().backward()
            assert len(said) == 2
        vocab_parallel_cross_entropy(z, targets.smooth(LABELS, 0.1, valid=VALID))
        assert len(said) == 2 + 3
    finally:
        dist.all_reduce = reduce_all


def raises(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        call()


def check_errors(rank: int) -> None:
    z = logits_of()[:, slice_of(rank, 2)].clone().requires_grad_()
    short = "slice, or fix num_classes and the targets"
    raises(
        lambda: vocab_parallel_cross_entropy(z, LABELS, num_classes=9),
        rf"^logits: slices of 9 classes in all; got 7, of sizes \[5, 2\]; give every process its own {short}$",
    )
    raises(
        lambda: vocab_parallel_cross_entropy(z, targets.dense(torch.ones(N, 5))), "slices of 5 classes in all; got 7"
    )
    raises(
        lambda: vocab_parallel_cross_entropy(z, targets.smooth(LABELS, 0.1, valid=VALID[:6])),
        "slices of 6 classes in all",
    )
    raises(
        lambda: vocab_parallel_cross_entropy(z, targets.dense(torch.ones(N, 5)), num_classes=7),
        "targets: 7 classes.*got 5",
    )
    raises(
        lambda: vocab_parallel_cross_entropy(z[:, :0], LABELS),
        r"at least 2 classes in all; got sizes \[0, 0\]; set class_dim",
    )
    raises(
        lambda: vocab_parallel_cross_entropy(z, LABELS + 2),
        "targets: .*below 7, the number of classes; got 8 at row 3; fix",
    )
    raises(
        lambda: vocab_parallel_cross_entropy(
            z, targets.smooth(LABELS + 1 - 6 * (LABELS == 6).long(), 0.1, valid=VALID)
        ),
        "targets: labels of valid classes, as marked by `valid`; got 1 at row 1",
    )
    raises(lambda: vocab_parallel_cross_entropy(z, LABELS[:2]), r"targets: shape \(6,\); got \(2,\)")
    raises(lambda: vocab_parallel_cross_entropy(z, torch.ones(N, 5)), "slices of 5 classes in all; got 7")
    raises(lambda: vocab_parallel_cross_entropy(z.long(), LABELS), "logits: a floating-point tensor")
    learned = targets.from_table(LABELS, TABLE.clone().requires_grad_())
    raises(
        lambda: vocab_parallel_cross_entropy(z, learned),
        "targets: targets that do not require a gradient .*; got a table that requires one; detach it",
    )
    with torch.no_grad():
        vocab_parallel_cross_entropy(z, learned)
    loss = vocab_parallel_cross_entropy(z, LABELS).sum()
    raises(
        lambda: torch.autograd.grad(loss, z, create_graph=True),
        "logits: only first derivatives if .*; got create",
    )
    of_one: Any = dist.new_group([0])
    if rank == 1:
        raises(
            lambda: vocab_parallel_cross_entropy(z, LABELS, group=of_one), "group: a group that includes this process"
        )


def check_dtensor(mesh: Any, placements: list[Any], of_losses: list[Any], name: str, case: Case) -> None:
    """The loss has the placements of the examples, the gradient those of the logits, and both the right numbers."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    whole, made = case
    z = distribute_tensor(whole, mesh, placements).requires_grad_()
    assert is_dtensor(z)
    loss = dtensor_cross_entropy(z, made, class_dim=-1)
    assert isinstance(loss, DTensor)
    assert list(loss.placements) == of_losses
    loss.mean().backward()
    assert isinstance(z.grad, DTensor)
    assert list(z.grad.placements) == placements
    value, gradient = truth(whole, made, torch.full((len(whole),), 1 / len(whole), dtype=torch.float64))
    close(name, loss.full_tensor().detach(), value)
    close(name, z.grad.full_tensor(), gradient)


def check_a_mesh_of_one_axis() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (2,))
    for name, case in CASES.items():
        if len(case[0]) > 0:
            check_dtensor(mesh, [Shard(1)], [Replicate()], name, case)
            check_dtensor(mesh, [Shard(0)], [Shard(0)], name, case)
            check_dtensor(mesh, [Replicate()], [Replicate()], name, case)
    # labels and the tensors of targets may be DTensors of any placement
    spread = distribute_tensor(LABELS, mesh, [Shard(0)])
    prior = replace(targets.smooth(LABELS, 0.3, prior=PRIOR), index=spread[:, None])
    for made, plain in ((spread, LABELS), (prior, targets.smooth(LABELS, 0.3, prior=PRIOR))):
        for placement in (Shard(0), Shard(1)):
            loss = dtensor_cross_entropy(distribute_tensor(logits_of(), mesh, [placement]), made, class_dim=1)
            close("spread labels", loss.full_tensor(), losses.cross_entropy(logits_of(), plain))
    # classes elsewhere, examples in two dimensions
    whole = torch.stack([logits_of(1), logits_of(2)], -1)  # (N, K, 2)
    made = targets.smooth(torch.stack([LABELS, LABELS.flip(0)], -1), 0.1)
    for dim, of_losses in ((0, Shard(0)), (1, Replicate()), (2, Shard(1))):
        loss = dtensor_cross_entropy(distribute_tensor(whole, mesh, [Shard(dim)]), made, class_dim=1)
        assert loss.placements == (of_losses,)
        close("class_dim", loss.full_tensor(), losses.cross_entropy(whole, made, class_dim=1))
    # five examples on two processes
    loss = dtensor_cross_entropy(distribute_tensor(logits_of()[:5], mesh, [Shard(0)]), LABELS[:5], class_dim=-1)
    close("uneven", loss.full_tensor(), losses.cross_entropy(logits_of()[:5], LABELS[:5]))
    check_reductions_of_a_dtensor(mesh)


def check_reductions_of_a_dtensor(mesh: Any) -> None:
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    marked = LABELS.masked_fill(IGNORED, -100)
    for reduction in REDUCTIONS:
        for placement in (Shard(0), Shard(1), Replicate()):
            for labels, mask in ((marked, None), (LABELS, ~IGNORED), (LABELS, None)):
                z = distribute_tensor(logits_of(), mesh, [placement]).requires_grad_()
                loss = losses.cross_entropy(z, labels, mask=mask, reduction=reduction)
                whole = logits_of().requires_grad_()
                expected = losses.cross_entropy(whole, labels, mask=mask, reduction=reduction)
                close(reduction, cast(Any, loss).full_tensor(), expected)
                loss.sum().backward()
                expected.sum().backward()
                assert z.grad is not None
                assert whole.grad is not None
                close(reduction, cast(Any, z.grad).full_tensor(), whole.grad)


def check_a_mesh_of_two_axes() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard

    mesh = init_device_mesh("cpu", (2, 2))
    for name in ("labels", "prior", "table", "valid, each", "ignored, smooth"):
        case = CASES[name]
        check_dtensor(mesh, [Shard(0), Shard(1)], [Shard(0), Replicate()], name, case)
        check_dtensor(mesh, [Shard(1), Shard(0)], [Replicate(), Shard(0)], name, case)
        check_dtensor(mesh, [Replicate(), Shard(1)], [Replicate(), Replicate()], name, case)
        check_dtensor(mesh, [Shard(0), Shard(0)], [Shard(0), Shard(0)], name, case)


def check_a_column_parallel_layer() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    mesh, generator = init_device_mesh("cpu", (2,)), torch.Generator().manual_seed(3)
    inputs = torch.randn(N, 3, dtype=torch.float64, generator=generator)
    whole = torch.nn.Linear(3, K, dtype=torch.float64)
    split = torch.nn.Linear(3, K, dtype=torch.float64)
    for layer in (whole, split):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    parallelize_module(split, mesh, ColwiseParallel(output_layouts=Shard(-1), use_local_output=False))
    made = targets.smooth(LABELS, 0.1)
    losses.cross_entropy(whole(inputs), made).mean().backward()
    dtensor_cross_entropy(split(distribute_tensor(inputs, mesh, [Replicate()])), made, class_dim=-1).mean().backward()
    for name, parameter in split.named_parameters():
        assert isinstance(parameter.grad, DTensor)
        expected = whole.get_parameter(name).grad
        assert expected is not None
        close(name, parameter.grad.full_tensor(), expected)


def check_errors_of_a_dtensor() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (2,))
    partial: DTensor = DTensor.from_local(logits_of(), mesh, [Partial()])
    remedy = r"redistribute it first: logits.redistribute\(placements=...\), Shard\(1\) for its classes"
    raises(
        lambda: dtensor_cross_entropy(partial, LABELS, class_dim=-1),
        rf"logits: a DTensor that .*; got placements .*Partial.*; {remedy}",
    )
    z = distribute_tensor(logits_of(), mesh, [Shard(1)])
    raises(lambda: dtensor_cross_entropy(z, LABELS[:2], class_dim=-1), r"targets: shape \(6,\)")
    raises(lambda: dtensor_cross_entropy(z, targets.hard(LABELS[:2]), class_dim=-1), r"targets: shape \(6,\)")
    raises(lambda: dtensor_cross_entropy(z, LABELS + 2, class_dim=-1), "below 7, .*; got 8 at row 3")
    raises(
        lambda: dtensor_cross_entropy(z, distribute_tensor(LABELS - 2, mesh, [Shard(0)]), class_dim=-1),
        "at least 0; got -2 at row 1",
    )
    raises(lambda: dtensor_cross_entropy(z, torch.ones(N, 5), class_dim=-1), r"targets: .* \(6, 7\); got .*\(6, 5\)")
    raises(
        lambda: dtensor_cross_entropy(z, targets.dense(torch.ones(N, 5)), class_dim=-1),
        "targets: 7 classes, as the logits; got 5",
    )


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_trap_16_value_and_gradient_of_split_cross_entropy_are_those_of_all_classes(world_size: int) -> None:
    run_on_processes(world_size, on_every_rank)


def test_without_a_process_group_it_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    message = (
        "^group: an initialised process group; got none; "
        "call torch.distributed.init_process_group first, or use cross_entropy on all classes$"
    )
    raises(lambda: vocab_parallel_cross_entropy(logits_of(), LABELS), message)
    monkeypatch.setattr(dist, "is_available", lambda: False)
    raises(lambda: vocab_parallel_cross_entropy(logits_of(), LABELS), message)


def test_looking_for_a_dtensor_imports_nothing() -> None:
    script = (
        "import sys, torch\n"
        "from softtargets.losses._dtensor import is_dtensor\n"
        "before = set(sys.modules)\n"
        "assert not is_dtensor(torch.zeros(2)) and not is_dtensor(torch.nn.Parameter(torch.zeros(2)))\n"
        "assert set(sys.modules) == before and 'torch.distributed.tensor' not in before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert not is_dtensor(torch.zeros(2))
    assert not is_dtensor(torch.nn.Parameter(torch.zeros(2)))
