"""What the losses make the host do on CUDA, where kernels are counted and not run.

Their numbers are tested in tests/native/interpreted_triton.py.
"""

from collections.abc import Callable

import pytest
import torch
from pretended_cuda import CPU, Kernels, Work, backward_of, pretend_cuda, work_of
from torch import Tensor

from softtargets import losses, nn, targets
from softtargets._checks import synchronising_checks
from softtargets._errors import InputError
from softtargets._native import on_cuda, wrong_label

N, K, H = 64, 16, 8
LABELS = torch.arange(N) % K
PROBS = torch.rand(N, K, generator=torch.Generator().manual_seed(0)).softmax(-1)
MODULE = nn.CrossEntropyLoss(label_smoothing=0.1)
# with two chunks of 64 rows
MANY = torch.arange(2 * N) % K

# loss -> operations of torch in the forward pass beside one kernel: counting the rows that are left out (2), the sum of
# the losses (1), and for `smooth` marking those rows in the targets (2) and its numbers (3), which are tensors
LOSSES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "labels, mean": (lambda z: losses.cross_entropy(z, LABELS, reduction="mean"), 3),
    "labels, sum": (lambda z: losses.cross_entropy(z, LABELS, reduction="sum"), 1),
    "labels": (lambda z: losses.cross_entropy(z, LABELS).mean(), 1),
    "smoothed labels": (lambda z: losses.cross_entropy(z, targets.smooth(LABELS, 0.1), reduction="mean"), 7),
    "probabilities": (lambda z: losses.cross_entropy(z, PROBS, reduction="mean"), 1),
    "drop-in": (lambda z: MODULE(z, LABELS), 3),
    "in place": (lambda z: losses.cross_entropy(z.view_as(z).clone(), LABELS, reduction="mean", inplace=True), 4),
}


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    pretend_cuda(monkeypatch)
    counted = Kernels()
    monkeypatch.setattr(on_cuda, "_kernels", lambda: counted)
    return counted


def _both(loss: Callable[..., Tensor], kernels: Kernels, *leaves: Tensor) -> tuple[Work, Work]:
    loss(*leaves)  # what is computed once is not counted
    return work_of(lambda: loss(*leaves), kernels), work_of(backward_of(loss, *leaves), kernels)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_kernel_in_each_pass_and_no_wait(name: str, dtype: torch.dtype, kernels: Kernels) -> None:
    loss, launches = LOSSES[name]
    forward, backward = _both(loss, kernels, torch.zeros(N, K, dtype=dtype, requires_grad=True))
    assert forward.kernels == ["cross_entropy"]
    assert forward.launches.total() <= launches, forward.launches
    assert backward.kernels == ["scale_rows"]
    # autograd's own: the first gradient, that of `mean`, and that of the copy
    assert set(backward.launches) <= {"aten::ones_like", "aten::div", "aten::copy_", "aten::clone"}, backward.launches
    assert not forward.waits
    assert not backward.waits


def test_without_gradients_there_is_one_kernel(kernels: Kernels) -> None:
    z = torch.zeros(N, K)
    work = work_of(lambda: losses.cross_entropy(z, LABELS), kernels)
    assert work.kernels == ["cross_entropy"]
    assert not work.launches
    assert not work.waits


def test_in_half_precision_the_gradient_is_computed_in_the_backward_pass(kernels: Kernels) -> None:
    z = torch.zeros(N, K, dtype=torch.float16, requires_grad=True)
    forward, backward = _both(LOSSES["labels, mean"][0], kernels, z)
    assert forward.kernels == backward.kernels == ["cross_entropy"]
    assert not forward.waits
    assert not backward.waits


def test_each_chunk_of_a_linear_layer_takes_three_products_and_one_kernel(kernels: Kernels) -> None:
    def loss(hidden: Tensor, weight: Tensor) -> Tensor:
        return losses.linear_cross_entropy(hidden, weight, MANY, reduction="mean", chunk=N)

    leaves = torch.ones(2 * N, H, requires_grad=True), torch.ones(K, H, requires_grad=True)
    forward, backward = _both(loss, kernels, *leaves)
    assert forward.kernels == 2 * ["cross_entropy"]
    assert forward.launches["aten::mm"] + forward.launches["aten::addmm_"] == 2 * 3
    # the labels (2), the targets made of them (2), the sums of two gradients (2), the mean (5)
    assert forward.launches.total() <= 2 * 3 + 11, forward.launches
    assert backward.launches.total() <= 4, backward.launches
    assert not forward.waits
    assert not backward.waits


def test_a_wait_is_counted(kernels: Kernels) -> None:
    z = torch.ones(3)
    assert work_of(lambda: bool(z.sum() > 0), kernels).waits
    assert work_of(lambda: z.tolist(), kernels).launches.total() <= 1
    assert work_of(lambda: z.add(1).mul(2), kernels).launches == {"aten::add": 1, "aten::mul": 1}


def test_a_label_that_a_kernel_reports_raises_in_the_next_call(kernels: Kernels) -> None:
    z = torch.zeros(N, K, requires_grad=True)
    loss = losses.cross_entropy(z, LABELS, reduction="mean")
    wrong_label.memory(CPU)[0] = 16  # as the kernel does later
    with pytest.raises(
        InputError, match=r"targets: labels of at least 0 and below 16, .*; got 16 on cpu, in this call or"
    ):
        loss.backward()
    losses.cross_entropy(z, LABELS)  # the error is raised once
    wrong_label.memory(CPU)[0] = -7
    with pytest.raises(InputError, match="got -7"):
        MODULE(z, LABELS)


def test_other_checks_still_wait(kernels: Kernels) -> None:
    z, weight = torch.zeros(N, K), torch.ones(N)
    assert synchronising_checks()
    with pytest.raises(InputError, match="labels"):
        losses.focal_loss(z, LABELS + 1)
    with pytest.raises(InputError, match="targets: labels"):
        nn.CrossEntropyLoss(weight=torch.ones(K))(z, LABELS + 1)
    with pytest.raises(InputError, match="weight"):
        losses.reduce(z[:, 0], weight=-weight)
