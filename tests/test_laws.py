"""The laws that every public name of the library obeys. A name that is missing from the table below fails."""

import importlib
import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from laws_table import (
    ASYMMETRIC,
    LABELS,
    LOGITS,
    PROBS,
    RATES,
    ROOMS,
    TABLE,
    K,
    Loss,
    Metric,
    N,
    Other,
    TargetRule,
    default_law,
)
from torch.utils import _pytree

from softtargets import losses


def public() -> dict[str, Any]:
    rooms = {name: importlib.import_module(f"softtargets.{name}") for name in ROOMS}
    return {f"{room}.{name}": getattr(module, name) for room, module in rooms.items() for name in module.__all__}


def test_what_has_laws_of_its_own_has_them() -> None:
    here = Path(__file__).parent
    for name, law in TABLE.items():
        if isinstance(law, Other):
            assert name.split(".")[1] in (here / law.tests).read_text(), f"{law.tests} does not test {name}"


def of_kind(kind: type) -> Any:
    names = [name for name, law in TABLE.items() if isinstance(law, kind)]
    return pytest.mark.parametrize("law", [TABLE[name] for name in names], ids=names)


def test_every_public_name_is_in_the_table() -> None:
    """In it by its own row, or as a loss that is called with its defaults."""
    assert set(TABLE) == set(public())


def test_a_loss_of_logits_and_labels_needs_no_row_and_any_other_name_does() -> None:
    def margin(logits: torch.Tensor, labels: torch.Tensor, *, width: float = 2.0) -> torch.Tensor:
        return width * logits.gather(-1, labels[:, None])[:, 0]

    def of_transition(logits: torch.Tensor, labels: torch.Tensor, transition: torch.Tensor) -> torch.Tensor:
        return logits[:, 0]

    made = default_law(margin)
    assert made is not None
    torch.testing.assert_close(made.value(LOGITS, ALL), 2 * LOGITS[ALL, LABELS])
    assert default_law(losses.confidence_penalty) is not None
    for other in (of_transition, losses.reduce, losses.backward_corrected_cross_entropy, public()["nn.Loss"]):
        assert default_law(other) is None


@pytest.mark.parametrize("room", ROOMS)
def test_all_is_what_the_room_offers(room: str) -> None:
    module = importlib.import_module(f"softtargets.{room}")
    offered = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("softtargets.")
    }
    assert set(module.__all__) == offered
    assert len(module.__all__) == len(offered)


ALL = torch.arange(N)


@of_kind(Loss)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_loss_is_one_finite_number_per_example_in_at_least_float32(law: Loss, dtype: torch.dtype) -> None:
    logits = LOGITS.to(dtype, copy=True).requires_grad_()
    value = law.value(logits, ALL)
    assert value.shape == (N,)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient.dtype == dtype
    assert bool(value.isfinite().all())
    assert bool(gradient.isfinite().all())
    assert bool((gradient != 0).any(-1).all()), "every example learns"


@of_kind(Loss)
def test_a_loss_leaves_its_inputs_alone(law: Loss) -> None:
    shared = (LOGITS, PROBS, LABELS, RATES, ASYMMETRIC)
    before = [tensor.clone() for tensor in shared]
    law.value(LOGITS, ALL)
    assert all(torch.equal(a, b) for a, b in zip(shared, before, strict=True))


@of_kind(Loss)
def test_a_loss_of_an_example_does_not_depend_on_its_batch(law: Loss) -> None:
    whole = law.value(LOGITS, ALL)
    for rows in (torch.tensor([4]), torch.tensor([6, 0, 3]), ALL.flip(0)):
        torch.testing.assert_close(law.value(LOGITS[rows], rows), whole[rows], rtol=0, atol=1e-13)


@of_kind(Loss)
def test_a_loss_ignores_a_shift_of_the_logits(law: Loss) -> None:
    shift = torch.linspace(-100, 100, N, dtype=torch.float64)[:, None]
    logits = (LOGITS + shift).requires_grad_()
    value = law.value(logits, ALL)
    torch.testing.assert_close(value, law.value(LOGITS, ALL), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert float(gradient.sum(-1).abs().max()) < 1e-12


@of_kind(Loss)
def test_a_loss_has_the_gradient_of_its_values(law: Loss) -> None:
    assert torch.autograd.gradcheck(lambda z: law.value(z, ALL), LOGITS.clone().requires_grad_())


@of_kind(Loss)
def test_the_gradient_of_a_loss_has_the_gradient_of_its_values(law: Loss) -> None:
    some = ALL[:3]
    assert torch.autograd.gradgradcheck(lambda z: law.value(z, some), LOGITS[:3].clone().requires_grad_())


@of_kind(Loss)
def test_a_loss_takes_logits_that_are_not_contiguous(law: Loss) -> None:
    strided = LOGITS.T.contiguous().T
    assert not strided.is_contiguous()
    torch.testing.assert_close(law.value(strided, ALL), law.value(LOGITS, ALL), rtol=0, atol=1e-14)


@of_kind(TargetRule)
def test_a_rule_makes_one_target_per_example_whatever_its_batch(law: TargetRule) -> None:
    whole = law.targets(ALL)
    assert whole.shape == (N,)
    assert whole.to_dense(K).shape == (N, K)
    assert whole.to_dense(K).is_floating_point()
    for rows in (torch.tensor([4]), torch.tensor([6, 0, 3])):
        torch.testing.assert_close(law.targets(rows).to_dense(K), whole.to_dense(K)[rows], rtol=0, atol=1e-14)


@of_kind(TargetRule)
def test_the_targets_of_a_rule_have_their_mass_survive_a_tree_and_go_into_the_kernel(law: TargetRule) -> None:
    made = law.targets(ALL)
    weights = made.to_dense(K).double()
    torch.testing.assert_close(made.mass().double(), weights.sum(-1), rtol=0, atol=1e-6)
    leaves, structure = _pytree.tree_flatten(made)
    again = _pytree.tree_unflatten(leaves, structure)
    loss = losses.cross_entropy(LOGITS, again)
    expected = -(weights * LOGITS.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)


@of_kind(TargetRule)
def test_a_rule_leaves_its_inputs_alone(law: TargetRule) -> None:
    shared = (PROBS, LABELS, RATES, ASYMMETRIC)
    before = [tensor.clone() for tensor in shared]
    made = law.targets(ALL)
    losses.cross_entropy(LOGITS, made)
    made.to_dense(K)
    assert all(torch.equal(a, b) for a, b in zip(shared, before, strict=True))


@of_kind(Metric)
def test_a_metric_is_of_the_whole_in_float64(law: Metric) -> None:
    value = law.value(PROBS, LABELS)
    assert value.dtype == torch.float64
    order = torch.tensor([5, 0, 6, 2, 1, 4, 3])
    torch.testing.assert_close(law.value(PROBS[order], LABELS[order]), value, rtol=0, atol=1e-14)
    twice = law.value(torch.cat([PROBS, PROBS]), torch.cat([LABELS, LABELS]))
    torch.testing.assert_close(twice, value, rtol=0, atol=1e-14)
    renamed = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(law.value(PROBS[:, renamed], renamed.argsort()[LABELS]), value, rtol=0, atol=1e-14)


FUNCTIONS = [name for name, value in public().items() if inspect.isfunction(value)]
CLASSES = [name for name, value in public().items() if inspect.isclass(value)]


def sections(documentation: str) -> dict[str, str]:
    """Split a Google-style docstring into its sections; the text before the first is ''."""
    parts = re.split(r"^(\w+):(?:\n|(?=  ))", inspect.cleandoc(documentation), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def describes(arguments: str, name: str) -> bool:
    return re.search(rf"^\s+(\w+, )*{name}\b.*:", arguments, re.MULTILINE) is not None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_takes_returns_and_refuses(name: str) -> None:
    function = public()[name]
    said = sections(function.__doc__)
    assert {"Args", "Returns", "Raises"} <= set(said)
    for parameter in inspect.signature(function).parameters:
        assert describes(said["Args"], parameter), f"{parameter} is unsaid"
    assert said[""].splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hyper_parameters_are_keyword_only(name: str) -> None:
    parameters = inspect.signature(public()[name]).parameters.values()
    free = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty]
    # of probs and labels either comes with a name where logits are given by theirs; a teacher can do without labels
    assert free in ([], ["reduction"], ["labels"], ["probs", "labels"]), "tensors first, the rest by name"


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_and_its_methods_are_documented(name: str) -> None:
    cls = public()[name]
    said = sections(cls.__doc__)
    given = [f.name for f in fields(cls)] if is_dataclass(cls) else list(inspect.signature(cls).parameters)
    for parameter in given:
        assert describes(said["Args"], parameter), f"{parameter} is unsaid"
    for method in vars(cls):
        if not method.startswith("_") and callable(getattr(cls, method)):
            assert inspect.getdoc(getattr(cls, method)), f"{name}.{method} has no docstring"
