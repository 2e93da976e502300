"""Activations: what is gathered, in how many passes, and the state in which the model is left."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from softtargets.analysis import activations
from softtargets.models.convnet import ConvNetSpec
from softtargets.models.mlp import MlpSpec
from softtargets.models.resnet import ResNetSpec


class Network(nn.Module):
    """A convolution, a function, normalisation, dropout and a linear layer; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.inplace = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.unused = nn.Linear(2, 2)
        self.head = nn.Linear(3, 4)
        self.calls = 0
        self.with_gradients = True

    def features(self, inputs: Tensor) -> Tensor:
        return functional.avg_pool2d(self.dropout(self.inplace(self.norm(self.conv(inputs)))), 2).mean((2, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        self.with_gradients = torch.is_grad_enabled()
        return self.head(self.features(inputs))


@pytest.fixture
def model() -> Network:
    torch.manual_seed(0)
    network = Network()
    with torch.no_grad():
        network.norm(torch.randn(8, 3, 4, 4))  # so that evaluation differs from training
    return network


INPUTS = torch.randn(7, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def test_agrees_with_the_functions_called_by_hand(model: Network) -> None:
    model.eval()
    found = activations(model, INPUTS.split(3), ["head", "conv"])
    assert list(found) == ["head", "conv"]
    with torch.no_grad():
        torch.testing.assert_close(found["head"], model(INPUTS), rtol=0, atol=1e-6)
        torch.testing.assert_close(found["conv"], model.conv(INPUTS), rtol=0, atol=1e-6)


def test_the_input_of_a_layer_is_what_functions_made(model: Network) -> None:
    found = activations(model, INPUTS.split(3), ["head"], side="input")["head"]
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(found, model.features(INPUTS), rtol=0, atol=1e-6)


def test_one_pass_over_the_data(model: Network) -> None:
    taken = 0

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal taken
        for part in INPUTS.split(2):
            taken += 1
            yield part, torch.zeros(len(part))

    found = activations(model, batches(), ["conv", "norm", "head", "inplace"])
    assert model.calls == taken == 4
    assert not model.with_gradients
    assert all(len(values) == 7 for values in found.values())


def test_what_is_changed_in_place_later_does_not_count(model: Network) -> None:
    before = activations(model, [INPUTS], ["norm", "inplace"])
    assert before["norm"].min() < 0
    assert torch.equal(before["norm"].relu(), before["inplace"])
    given = activations(model, [INPUTS], ["inplace"], side="input")["inplace"]
    assert torch.equal(given, before["norm"])


def test_batches_of_every_form(model: Network) -> None:
    labels = torch.zeros(7)
    plain = activations(model, [INPUTS], ["head"])["head"]
    forms: list[Any] = [(INPUTS, labels), [INPUTS, labels, labels], {"inputs": INPUTS}, ({"inputs": INPUTS}, labels)]
    for form in forms:
        assert torch.equal(activations(model, [form], ["head"])["head"], plain)


def test_the_size_of_batches_does_not_matter(model: Network) -> None:
    whole = activations(model, [INPUTS], ["head"])["head"]
    for size in (1, 2, 6):
        parts = activations(model, INPUTS.split(size), ["head"])["head"]
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


def test_modes_come_back_module_by_module(model: Network) -> None:
    model.train()
    model.norm.eval()  # frozen by its user
    modes = [module.training for module in model.modules()]
    activations(model, [INPUTS], ["head"])
    assert [module.training for module in model.modules()] == modes


def test_a_module_with_a_train_of_its_own_keeps_its_mode() -> None:
    class Frozen(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> "Frozen":
            return super().train(False)

    frozen = Frozen(2)
    frozen.training = True
    activations(nn.Sequential(frozen), [torch.zeros(3, 2)], ["0"])
    assert frozen.training


def test_nothing_is_random_and_running_statistics_stay(model: Network) -> None:
    model.train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.random.get_rng_state()
    first = activations(model, [INPUTS], ["head"])["head"]
    assert torch.equal(activations(model, [INPUTS], ["head"])["head"], first)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def _hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_an_error_leaves_no_hook_and_no_mode(model: Network) -> None:
    model.train()

    def batches() -> Iterator[Tensor]:
        yield INPUTS
        assert _hooks(model) == 2
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        activations(model, batches(), ["conv", "head"])
    with pytest.raises(RuntimeError):
        activations(model, [INPUTS[:, :, :2, :2]], ["conv"], side="input")
    assert _hooks(model) == 0
    assert all(module.training for module in model.modules())
    assert torch.is_grad_enabled()


def test_results_are_plain_copies_of_the_dtype_asked_for(model: Network) -> None:
    found = activations(model, [INPUTS], ["head"], dtype=torch.float64)["head"]
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert activations(model, [INPUTS], ["head"])["head"].dtype == torch.float32
    batch = INPUTS.clone()
    same = activations(nn.Identity(), [batch], [""])[""]
    batch.zero_()
    assert torch.equal(same, INPUTS)


@pytest.mark.parametrize("spec", [MlpSpec(hidden=(5,)), ConvNetSpec(widths=(4,)), ResNetSpec(depth=8)])
def test_the_head_of_our_own_models_is_given_their_features(spec: Any) -> None:
    network = spec.build(input_shape=(1, 8, 8), num_classes=3).eval()
    inputs = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = network.features(inputs)  # pyright: ignore[reportCallIssue]
    assert torch.equal(activations(network, [inputs], ["head"], side="input")["head"], expected)


class Odd(nn.Module):
    """A layer that runs twice, one that returns a tuple, one that is called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.ReLU()
        self.lstm = nn.LSTM(2, 2, batch_first=True)
        self.named = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.named(input=self.twice(self.twice(self.lstm(inputs)[0])))


def test_one_batch_is_not_taken_for_many() -> None:
    # a linear layer would take the rows of a tensor one at a time, and the names of a mapping are no inputs
    model = nn.Sequential(nn.Linear(3, 2))
    inputs = torch.zeros(4, 3)
    with pytest.raises(TypeError, match=r"batches: an iterable of batches; got one Tensor; use \[batch\]"):
        activations(model, inputs, ["0"])
    with pytest.raises(TypeError, match=r"batches: an iterable of batches; got one dict; use \[batch\]"):
        activations(model, {"input": inputs}, ["0"])


def test_names_are_gone_through_once() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    found = activations(model, [torch.zeros(4, 3)], (name for name in ("1", "0")))  # pyright: ignore[reportArgumentType]
    assert list(found) == ["1", "0"]


def test_errors(model: Network) -> None:
    with pytest.raises(ValueError, match=r"layers: names of modules of the model; got 'haed'; did you mean 'head'\?"):
        activations(model, [INPUTS], ["conv", "haed"])
    with pytest.raises(ValueError, match=r"got 'xyzzy'; see model.named_modules\(\)"):
        activations(model, [INPUTS], ["xyzzy"])
    with pytest.raises(TypeError, match=r"layers: a sequence of names; got the name 'head'; use \['head'\]"):
        activations(model, [INPUTS], "head")
    with pytest.raises(ValueError, match=r"layers: at least one name; got none"):
        activations(model, [INPUTS], [])
    with pytest.raises(ValueError, match=r"side: one of output, input; got 'in'; did you mean 'input'\?"):
        activations(model, [INPUTS], ["head"], side="in")
    with pytest.raises(ValueError, match=r"batches: at least one; got none"):
        activations(model, [], ["head"])
    with pytest.raises(ValueError, match=r"layer 'unused': one run per forward pass; got 0 runs"):
        activations(model, [INPUTS], ["unused"])
    wide = torch.randn(2, 1, 8, 8)
    with pytest.raises(
        ValueError, match=r"layer 'conv': the same shape in every batch.*got \(3, 4, 4\) and \(3, 6, 6\)"
    ):
        activations(model, [INPUTS, wide], ["conv"])


def test_errors_of_odd_layers() -> None:
    inputs = torch.zeros(3, 4, 2)
    with pytest.raises(ValueError, match=r"layer 'twice': one run per forward pass; got 2 runs"):
        activations(Odd(), [inputs], ["twice"])
    with pytest.raises(TypeError, match=r"layer 'lstm': a tensor as its output; got tuple"):
        activations(Odd(), [inputs], ["lstm"])
    with pytest.raises(TypeError, match=r"layer 'named': a tensor as its input; got NoneType"):
        activations(Odd(), [inputs], ["named"], side="input")
    assert activations(Odd(), [inputs], ["named"])["named"].shape == (3, 4, 2)


def test_a_named_tuple_is_passed_as_it_is() -> None:
    class Pair(NamedTuple):
        value: Tensor
        weight: Tensor

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, pair: Pair) -> Tensor:
            return self.inner(pair.value * pair.weight)

    found = activations(Weighted(), [Pair(torch.ones(2, 1), torch.tensor(3.0))], ["inner"])["inner"]
    assert found.tolist() == [[3.0], [3.0]]
