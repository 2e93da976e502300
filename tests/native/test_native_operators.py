"""The kernels as operators of torch: what compilers, exporters and fake tensors see."""

from collections.abc import Callable

import pytest
import torch
from kernels import use_kernels
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from softtargets import losses, nn, targets
from softtargets._native import operators
from softtargets._native.row_targets import RowTargets

N, K = 8, 10
LOGITS = torch.randn(N, K, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, -100, 9, 0, 4, 4, 2])
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "labels": lambda z: losses.cross_entropy(z, LABELS, reduction="mean"),
    "smoothed": lambda z: losses.cross_entropy(z, targets.smooth(LABELS, 0.1)).sum(),
    "module": lambda z: nn.CrossEntropyLoss(label_smoothing=0.1)(z, LABELS),
    "probabilities": lambda z: losses.cross_entropy(z, torch.full((N, K), 1 / K), reduction="sum"),
}


def operators_of(loss: Callable[[Tensor], Tensor]) -> list[str]:
    """Return the names of the operators of ours in the graph of a compiled loss."""
    seen: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        seen.extend(str(node.target) for node in graph.graph.nodes if "softtargets" in str(node.target))
        return graph

    torch._dynamo.reset()
    torch.compile(loss, fullgraph=True, backend=backend)(LOGITS)
    return seen


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
def test_a_compiler_sees_one_operator(loss: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    assert operators_of(loss) == ["softtargets.cross_entropy.default"]
    use_kernels(monkeypatch, "0")
    assert operators_of(loss) == []


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_compiled_loss_gives_the_numbers_of_eager_code(loss, dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    found = []
    for run in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        z = LOGITS.clone().to(dtype).requires_grad_()
        value = run(z)
        found.append((value.detach(), torch.autograd.grad(value, z)[0]))
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2
    for eager, compiled in zip(*found, strict=True):
        assert eager.dtype == compiled.dtype
        torch.testing.assert_close(compiled, eager, rtol=tolerance, atol=tolerance)


def test_transforms_inside_a_compiled_function(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    loss = LOSSES["labels"]
    compiled = torch.compile(torch.func.grad(loss), fullgraph=True, backend="eager")(LOGITS)
    torch.testing.assert_close(compiled, torch.func.grad(loss)(LOGITS))
    each = torch.func.vmap(torch.func.grad(lambda z, y: losses.cross_entropy(z, y)))
    compiled = torch.compile(each, fullgraph=True, backend="eager")(LOGITS, LABELS.clamp(min=0))
    torch.testing.assert_close(compiled, each(LOGITS, LABELS.clamp(min=0)))


def test_an_exported_module_holds_one_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")

    class Loss(torch.nn.Module):
        def forward(self, z: Tensor, labels: Tensor) -> Tensor:
            return losses.cross_entropy(z, targets.smooth(labels, 0.1), reduction="mean")

    exported = torch.export.export(Loss(), (LOGITS, LABELS))
    names = [str(node.target) for node in exported.graph.nodes]
    assert names.count("softtargets.cross_entropy.default") == 1
    torch.testing.assert_close(exported.module()(LOGITS, LABELS), Loss()(LOGITS, LABELS))


def test_fake_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    with FakeTensorMode():
        z = torch.randn(4, 3, K, dtype=torch.bfloat16, requires_grad=True)
        each = losses.cross_entropy(z, torch.zeros(4, 3, dtype=torch.int64))
        assert each.shape == (4, 3)
        assert each.dtype == torch.float32
        each.sum().backward()
        assert z.grad is not None
        assert z.grad.shape == z.shape
        assert z.grad.dtype == z.dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_operators_keep_torchs_rules(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    index = LABELS.clamp(min=0)[:, None]
    prior = torch.rand(K, generator=torch.Generator().manual_seed(1))
    rows = RowTargets(index, None, torch.full((N,), 0.1), prior, left_out=LABELS < 0)
    z = LOGITS.clone().to(dtype).requires_grad_()
    torch.library.opcheck(operators._losses, (z, *rows.every()))
    torch.library.opcheck(operators._gradient, (torch.ones(N), z.detach(), *rows.every()))
