"""Plausible misuse of every function of noise: a sentence that names an argument, and no error from inside torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets._errors import InputError, InputTypeError

PROBS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1]])
LABELS = torch.tensor([0, 1, 2, 0])
T = noise.symmetric(0.2, 3)
JOINT = noise.confident_joint(PROBS, LABELS)


def _observe(logits: Any, labels: Any, **options: Any) -> None:
    noise.TrainingDynamics(4, 3).observe(torch.arange(4), logits, labels, **options)


# function of (probs, labels, **options)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "TrainingDynamics.observe": _observe,
    "bootstrap_transition": lambda p, y, **o: noise.bootstrap_transition(p, y, n_draws=2, **o),
    "confident_joint": noise.confident_joint,
    "confident_suspects": lambda p, y, **o: noise.confident_suspects(p, y, JOINT, **o),
    "estimate_noise_range": noise.estimate_noise_range,
    "estimate_transition": noise.estimate_transition,
    "estimate_transition, trusted": lambda p, y, **o: noise.estimate_transition(p, y, method="trusted", **o),
    "estimate_transition, anchor": lambda p, y, **o: noise.estimate_transition(p, y, method="anchor", **o),
    "find_label_issues": lambda p, y, **o: noise.find_label_issues(y, p, **o),
    "instance_dependent": lambda p, y, **o: noise.instance_dependent(p, y, 0.2, 3, **o),
    "label_posterior": lambda p, y, **o: noise.label_posterior(p, y, T, **o),
    "normalized_margin": noise.normalized_margin,
    "self_confidence": noise.self_confidence,
}
every = pytest.mark.parametrize("name", FUNCTIONS)
MISUSE: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "swapped": (LABELS, PROBS, {}),
    "lists": (PROBS.tolist(), LABELS.tolist(), {}),
    "a list of labels": (PROBS, LABELS.tolist(), {}),
    "probs None": (None, LABELS, {}),
    "labels None": (PROBS, None, {}),
    "integer probs": (PROBS.long(), LABELS, {}),
    "float labels": (PROBS, LABELS.float(), {}),
    "labels that require a gradient": (PROBS, LABELS.float().requires_grad_(), {}),
    "one-hot labels": (PROBS, torch.eye(3, dtype=torch.int64)[LABELS], {}),
    "a column of labels": (PROBS, LABELS[:, None], {}),
    "0-d labels": (PROBS, torch.tensor(0), {}),
    "0-d probs": (torch.tensor(0.5), LABELS, {}),
    "too few labels": (PROBS, LABELS[:3], {}),
    "a label out of range": (PROBS, LABELS + 1, {}),
    "a negative label": (PROBS, LABELS - 1, {}),
    "text": (PROBS, np.array(["a", "b", "c", "d"]), {}),
    "complex probs": (PROBS + 0j, LABELS, {}),
    "an integer mask": (PROBS, LABELS, {"mask": torch.ones(4, dtype=torch.int64)}),
    "a mask of another shape": (PROBS, LABELS, {"mask": torch.ones(3, dtype=torch.bool)}),
    "a list as the mask": (PROBS, LABELS, {"mask": [True] * 4}),
}


@every
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_named(name: str, case: str) -> None:
    probs, labels, options = MISUSE[case]
    with pytest.raises((InputError, InputTypeError), match=r"^(probs|labels|logits|inputs|mask): .*; got .*; "):
        FUNCTIONS[name](probs, labels, **options)


NO_EMPTY = sorted(FUNCTIONS.keys() - {"TrainingDynamics.observe", "instance_dependent"})


@pytest.mark.parametrize("name", NO_EMPTY)
@pytest.mark.parametrize("case", ["empty", "all ignored", "all masked"])
def test_no_example_that_counts(name: str, case: str) -> None:
    probs, labels, options = {
        "empty": (PROBS[:0], LABELS[:0], {}),
        "all ignored": (PROBS, torch.full((4,), -100), {}),
        "all masked": (PROBS, LABELS, {"mask": torch.zeros(4, dtype=torch.bool)}),
    }[case]
    with pytest.raises(InputError, match=r"^probs: at least one example that is not left out; got none; "):
        FUNCTIONS[name](probs, labels, **options)


WITH_CLASS_DIM = sorted(FUNCTIONS.keys() - {"instance_dependent"})


@pytest.mark.parametrize("name", WITH_CLASS_DIM)
@pytest.mark.parametrize("class_dim", [2, -3, "1", None, 0.5])
def test_an_axis_of_the_classes_that_there_is_not(name: str, class_dim: Any) -> None:
    with pytest.raises((InputError, InputTypeError), match=r"^class_dim: "):
        FUNCTIONS[name](PROBS, LABELS, class_dim=class_dim)


def to_numbers(found: Any) -> Any:
    if isinstance(found, noise.Transition):
        return found.to_dense().tolist()
    return found.to_dict() if hasattr(found, "to_dict") else None if found is None else found.tolist()


@every
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.int8])
def test_numpy_gives_the_same(name: str, dtype: Any) -> None:
    def call(probs: Any, labels: Any) -> Any:
        torch.manual_seed(0)
        return to_numbers(FUNCTIONS[name](probs, labels))

    assert str(call(PROBS.numpy(), LABELS.numpy().astype(dtype))) == str(call(PROBS, LABELS))


OF_ANY_SIZE = sorted(
    FUNCTIONS.keys() - {"confident_suspects", "label_posterior", "TrainingDynamics.observe", "instance_dependent"}
)


@pytest.mark.parametrize("name", OF_ANY_SIZE)
def test_trap_39_class_156_of_uint8_is_not_ignored(name: str) -> None:
    labels, probs = torch.arange(200), (torch.eye(200) + 0.01).div(3.0)
    found = []
    for given in (labels.to(torch.uint8), labels):
        torch.manual_seed(0)
        found.append(str(to_numbers(FUNCTIONS[name](probs, given))))
    assert found[0] == found[1]


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "corrupt, swapped": (lambda: noise.corrupt(torch.eye(3), LABELS), "transition"),  # pyright: ignore[reportArgumentType]
    "corrupt, None": (lambda: noise.corrupt(None, T), "labels"),
    "corrupt, no transition": (lambda: noise.corrupt(LABELS, None), "transition"),
    "corrupt, a list": (lambda: noise.corrupt([0, 1], T), "labels"),
    "corrupt, a column": (lambda: noise.corrupt(LABELS[:, None], T), "labels"),
    "corrupt, 0-d": (lambda: noise.corrupt(torch.tensor(1), T), "labels"),
    "corrupt, floats": (lambda: noise.corrupt(LABELS.float(), T), "labels"),
    "corrupt, a seed": (lambda: noise.corrupt(LABELS, T, generator=0), "generator"),  # pyright: ignore[reportArgumentType]
    "corrupt, integer T": (lambda: noise.corrupt(LABELS, torch.eye(3).long()), "transition"),
    "suspect_order, None": (lambda: noise.suspect_order(None), "quality"),
    "suspect_order, integers": (lambda: noise.suspect_order(LABELS), "quality"),
    "suspect_order, a list": (lambda: noise.suspect_order([0.5]), "quality"),
    "suspect_order, 0-d": (lambda: noise.suspect_order(torch.tensor(0.5)), "quality"),
    "suspect_order, a column": (lambda: noise.suspect_order(torch.ones(4, 1)), "quality"),
    "expected_wrong, None": (lambda: noise.expected_wrong(None, LABELS), "wrong"),
    "expected_wrong, no order": (lambda: noise.expected_wrong(torch.ones(4), None), "order"),
    "expected_wrong, swapped": (lambda: noise.expected_wrong(torch.arange(4), torch.ones(4)), "wrong"),
    "expected_wrong, a list": (lambda: noise.expected_wrong(torch.ones(4), [0, 1]), "order"),
    "expected_wrong, negative": (lambda: noise.expected_wrong(torch.ones(4), torch.tensor([-1])), "order"),
    "expected_wrong, 0-d": (lambda: noise.expected_wrong(torch.ones(4), torch.tensor(0)), "order"),
    "expected_wrong, a mask": (lambda: noise.expected_wrong(torch.ones(4), torch.ones(4, dtype=torch.bool)), "order"),
    "expected_wrong, a rate None": (
        lambda: noise.expected_wrong(torch.ones(4), torch.arange(4), noise_rate_interval=(0.1, None)),  # pyright: ignore[reportArgumentType]
        "noise_rate_interval",
    ),
    "expected_wrong, one rate": (
        lambda: noise.expected_wrong(torch.ones(4), torch.arange(4), noise_rate_interval=0.1),  # pyright: ignore[reportArgumentType]
        "noise_rate_interval",
    ),
    "confident_suspects, no joint": (lambda: noise.confident_suspects(PROBS, LABELS, None), "joint"),  # pyright: ignore[reportArgumentType]
    "confident_suspects, T": (lambda: noise.confident_suspects(PROBS, LABELS, T), "joint"),  # pyright: ignore[reportArgumentType]
    "label_posterior, no T": (lambda: noise.label_posterior(PROBS, LABELS, None), "transition"),
    "label_posterior, a list": (lambda: noise.label_posterior(PROBS, LABELS, [[1.0]]), "transition"),
    "label_posterior, a prior of integers": (
        lambda: noise.label_posterior(PROBS, LABELS, T, class_prior=torch.tensor([1, 0, 0])),
        "class_prior",
    ),
    "from_confusion, None": (lambda: noise.from_confusion(None), "confusion"),
    "from_confusion, 0-d": (lambda: noise.from_confusion(torch.tensor(1)), "confusion"),
    "superclass_flip, None": (lambda: noise.superclass_flip(0.1, None), "superclasses"),
    "superclass_flip, text": (lambda: noise.superclass_flip(0.1, ["a", "b"]), "superclasses"),
    "superclass_flip, floats": (lambda: noise.superclass_flip(0.1, [0.0, 1.0]), "superclasses"),
    "symmetric, None": (lambda: noise.symmetric(None, 3), "rate"),  # pyright: ignore[reportArgumentType]
    "symmetric, text": (lambda: noise.symmetric("0.1", 3), "rate"),  # pyright: ignore[reportArgumentType]
    "symmetric, swapped": (lambda: noise.symmetric(3, 0.2), "(rate|num_classes)"),  # pyright: ignore[reportArgumentType]
    "pair_flip, None": (lambda: noise.pair_flip(0.1, None), "num_classes"),  # pyright: ignore[reportArgumentType]
    "asymmetric_cifar10, None": (lambda: noise.asymmetric_cifar10(None), "rate"),  # pyright: ignore[reportArgumentType]
    "random_transition, a list": (lambda: noise.random_transition(0.1, 3, class_prior=[1, 0, 0]), "class_prior"),
    "instance_dependent, no rate": (lambda: noise.instance_dependent(PROBS, LABELS, None, 3), "rate"),  # pyright: ignore[reportArgumentType]
    "rows, a list": (lambda: noise.instance_dependent(PROBS, LABELS, 0.1, 3).rows([0]), "index"),
    "rows, None": (lambda: noise.instance_dependent(PROBS, LABELS, 0.1, 3).rows(None), "index"),
    "rows, 0-d": (lambda: noise.instance_dependent(PROBS, LABELS, 0.1, 3).rows(torch.tensor(0)), "index"),
    "TrainingDynamics, no size": (lambda: noise.TrainingDynamics(None, 3), "num_examples"),  # pyright: ignore[reportArgumentType]
    "TrainingDynamics, a float": (lambda: noise.TrainingDynamics(10.5, 3), "num_examples"),  # pyright: ignore[reportArgumentType]
    "observe, ids None": (lambda: noise.TrainingDynamics(4, 3).observe(None, PROBS, LABELS), "ids"),
    "observe, floats": (lambda: noise.TrainingDynamics(4, 3).observe(LABELS.float(), PROBS, LABELS), "ids"),
    "bootstrap, the method first": (lambda: noise.bootstrap_transition("dual_t", PROBS), "probs"),
    "bootstrap, no method": (lambda: noise.bootstrap_transition(PROBS, LABELS, method=None), "method"),  # pyright: ignore[reportArgumentType]
    "estimate, no method": (lambda: noise.estimate_transition(PROBS, LABELS, method=None), "method"),  # pyright: ignore[reportArgumentType]
    "issues, no method": (lambda: noise.find_label_issues(LABELS, PROBS, method=None), "method"),  # pyright: ignore[reportArgumentType]
    "issues, no score": (lambda: noise.find_label_issues(LABELS, PROBS, score=None), "score"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_misuse_is_named(case: str) -> None:
    call, argument = OTHERS[case]
    with pytest.raises((InputError, InputTypeError), match=rf"^{argument}: .*; got .*; "):
        call()


def test_results_can_be_compared() -> None:
    """Equality of two results is identity: that of tensors has no truth value."""
    one, other = (noise.corrupt(LABELS, T) for _ in range(2))
    assert one == one
    assert one != other
    assert isinstance(noise.confident_joint(PROBS, LABELS) == JOINT, bool)


def test_gradients_of_probabilities_are_left_behind() -> None:
    probs: Tensor = PROBS.clone().requires_grad_()
    for name, function in FUNCTIONS.items():
        found = function(probs, LABELS)
        assert not getattr(found, "requires_grad", False), name
