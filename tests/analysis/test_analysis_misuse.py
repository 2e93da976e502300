"""Every function of analysis: plausible misuse is named, arrays are taken, and left-out examples change nothing."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from softtargets import analysis
from softtargets._errors import InputError, InputTypeError

PROBS = torch.tensor(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]
)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
WEIGHT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])

# function of (probabilities or features, labels, **options)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "class_means": analysis.class_means,
    "class_separation": analysis.class_separation,
    "cluster_distances": lambda x, y, **o: analysis.cluster_distances(x, y, similar=(0, 1), different=2, **o),
    "inter_class_stability": analysis.inter_class_stability,
    "logit_gap": analysis.logit_gap,
    "minor_means": analysis.minor_means,
    "neural_collapse": lambda x, y, **o: analysis.neural_collapse(x, y, _like(x), **o),
    "projection": lambda x, y, **o: analysis.projection(x, y, _like(x), classes=(0, 1, 2), **o),
    "smoothed_least_squares": lambda x, y, **o: analysis.smoothed_least_squares(
        x, y, smoothing=0.1, num_classes=3, **o
    ),
    "stability": analysis.stability,
    "stability, appendix_c": lambda x, y, **o: analysis.stability(x, y, variant="appendix_c", **o),
    "within_class_distance": analysis.within_class_distance,
}
PROBES = {**FUNCTIONS, "linear_probe": lambda x, y: analysis.linear_probe(x, y, x, y)}


def _like(features: Any) -> Any:
    return WEIGHT.numpy() if isinstance(features, np.ndarray) else WEIGHT


MISUSE: dict[str, tuple[Any, Any]] = {
    "swapped": (LABELS, PROBS),
    "lists": (PROBS.tolist(), LABELS.tolist()),
    "a list of labels": (PROBS, LABELS.tolist()),
    "features None": (None, LABELS),
    "labels None": (PROBS, None),
    "integers": (PROBS.long(), LABELS),
    "float labels": (PROBS, LABELS.float()),
    "labels that require a gradient": (PROBS, LABELS.float().requires_grad_()),
    "a column of labels": (PROBS, LABELS[:, None]),
    "0-d labels": (PROBS, torch.tensor(0)),
    "0-d features": (torch.tensor(0.5), LABELS),
    "too few labels": (PROBS, LABELS[:3]),
    "a negative label": (PROBS, LABELS - 1),
    "text": (PROBS, np.array(["a"] * 6)),
    "complex": (PROBS + 0j, LABELS),
    "empty": (PROBS[:0], LABELS[:0]),
    "all ignored": (PROBS, torch.full((6,), -100)),
}


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_named(name: str, case: str) -> None:
    arguments = r"(probs|labels|logits|features|inputs|train_features|train_labels)"
    with pytest.raises((InputError, InputTypeError), match=rf"^{arguments}: .*; got .*; "):
        PROBES[name](*MISUSE[case])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "mask", [torch.ones(6), torch.ones(5, dtype=torch.bool), [True] * 6, torch.zeros(6, dtype=torch.bool)]
)
def test_a_mask_that_is_none(name: str, mask: Any) -> None:
    with pytest.raises((InputError, InputTypeError), match=r"^(mask|labels|probs|logits|features): .*; got .*; "):
        FUNCTIONS[name](PROBS, LABELS, mask=mask)


def numbers(found: Any) -> str:
    return str(found.to_dict() if hasattr(found, "to_dict") else found.tolist())


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, np.int32])
def test_numpy_gives_the_same(name: str, dtype: Any) -> None:
    found = PROBES[name](PROBS.numpy(), LABELS.numpy().astype(dtype))
    assert numbers(found) == numbers(PROBES[name](PROBS, LABELS))
    if not hasattr(found, "to_dict"):
        assert isinstance(found, np.ndarray | np.generic)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_left_out_examples_change_nothing(name: str) -> None:
    probs = torch.cat([torch.full((2, 3), torch.nan), PROBS])
    labels = torch.cat([torch.tensor([-100, 77]), LABELS])
    found = FUNCTIONS[name](probs, labels, mask=torch.arange(8) != 1)
    expected = FUNCTIONS[name](PROBS, LABELS)
    if name == "logit_gap":
        assert found[:2].isnan().all()
        found = found[2:]
    assert numbers(found) == numbers(expected)


def test_logits_get_advice_that_works() -> None:
    logits = PROBS.log()
    for function in (analysis.stability, analysis.inter_class_stability, analysis.class_means, analysis.minor_means):
        with pytest.raises(InputError, match=r"if these are logits, pass logits.softmax\(-1\)"):
            function(logits, LABELS)
        function(logits.softmax(-1), LABELS)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: analysis.projection(PROBS, LABELS, None, classes=(0, 1, 2)), "weight"),
        (lambda: analysis.projection(PROBS, LABELS, WEIGHT, classes=None), "classes"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.projection(PROBS, LABELS, WEIGHT, classes=("0", "1", "2")), "classes"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.projection(PROBS, LABELS, WEIGHT, classes=(0, 1)), "classes"),
        (lambda: analysis.cluster_distances(PROBS, LABELS, similar=0, different=2), "similar"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.cluster_distances(PROBS, LABELS, similar=(0, 1), different=None), "different"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.neural_collapse(PROBS, LABELS, WEIGHT, bias=[0.0]), "bias"),
        (lambda: analysis.neural_collapse(PROBS, LABELS, LABELS), "weight"),
        (lambda: analysis.linear_probe(PROBS, LABELS, None, LABELS), "test_features"),
        (lambda: analysis.linear_probe(PROBS, LABELS, PROBS, None), "test_labels"),
        (lambda: analysis.linear_probe(PROBS, LABELS, PROBS, LABELS, l2=None), "l2"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.linear_probe(PROBS, LABELS, PROBS, LABELS, steps=1.5), "steps"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.linear_probe(PROBS, LABELS, PROBS, LABELS, num_classes="3"), "num_classes"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.mutual_information(None), "differences"),
        (lambda: analysis.mutual_information([[1.0, 2.0]]), "differences"),
        (lambda: analysis.mutual_information(PROBS, confidence=None), "confidence"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.epochs_to(None, 0.5), "values"),
        (lambda: analysis.epochs_to("0.5", 0.5), "values"),
        (lambda: analysis.epochs_to([None], 0.5), "values"),
        (lambda: analysis.epochs_to([0.5], None), "level"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.epochs_to(torch.tensor(0.5), 0.5), "values"),
        (lambda: analysis.stability(PROBS, LABELS, variant=None), "variant"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.inter_class_stability(PROBS, LABELS, variant="eq2"), "variant"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(PROBS, nn.Flatten(), [""]), "model"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(nn.Flatten(), None, [""]), "batches"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(nn.Flatten(), PROBS.numpy(), [""]), "batches"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(nn.Flatten(), [PROBS], None), "layers"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(nn.Flatten(), [PROBS], [0]), "layers"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(nn.Flatten(), [PROBS], [""], side=None), "side"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.activations(nn.Flatten(), [PROBS], [""], dtype="float32"), "dtype"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.smoothed_least_squares(PROBS, LABELS, smoothing=None, num_classes=3), "smoothing"),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.smoothed_least_squares(PROBS, LABELS, smoothing=0.1, num_classes=None), "num_classes"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_other_misuse_is_named(call: Callable[[], Any], argument: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=rf"^{argument}: .*; (got|did) .*"):
        call()


def test_numpy_numbers_and_batches() -> None:
    assert analysis.epochs_to(np.array([0.5, 0.75]), np.float32(0.75)) == 2  # pyright: ignore[reportArgumentType]
    assert analysis.epochs_to([0.5, np.float64(0.75)], 0.75) == 2
    classes: Any = np.array([0, 1, 2])
    assert analysis.projection(PROBS, LABELS, WEIGHT, classes=classes).templates.shape == (3, 2)
    found = analysis.activations(nn.Flatten(), [PROBS.numpy()], [""])[""]
    assert torch.equal(found, PROBS)


RESULTS = {
    "ClusterDistances": FUNCTIONS["cluster_distances"],
    "LinearProbe": PROBES["linear_probe"],
    "MutualInformation": lambda x, y: analysis.mutual_information(x),
    "NeuralCollapse": FUNCTIONS["neural_collapse"],
    "Projection": FUNCTIONS["projection"],
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_readable(name: str) -> None:
    found = RESULTS[name](PROBS, LABELS)
    assert repr(found).startswith(f"{name}(")
    assert "tensor" not in repr(found)
    assert len(repr(found)) < 200
    assert set(json.loads(json.dumps(found.to_dict()))) == set(vars(found))
