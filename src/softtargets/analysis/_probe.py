"""Linear probe: the accuracy of a linear classifier trained on features."""

import math
import numbers
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction, check_int, check_num_classes
from softtargets._errors import fail, fail_type
from softtargets._results import TensorResult
from softtargets.analysis._features import read_features

__all__ = ["LinearProbe", "linear_probe"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearProbe(TensorResult):
    """A linear classifier of features and its test accuracy.

    Args:
        accuracy: () float64, a fraction of the test examples.
        weight: (K, D) float64; logits are ``features.double() @ weight.T + bias``, of the features as given.
        bias: (K,) float64; -inf for classes without a training example.
        converged: whether the gradient at the end is 0 within the tolerance.
    """

    accuracy: Tensor
    weight: Tensor
    bias: Tensor
    converged: bool


@array_function
def linear_probe(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    *,
    l2: float = 1e-3,
    num_classes: int | None = None,
    tolerance: float = 1e-8,
    steps: int = 1000,
    ignore_index: int = -100,
) -> LinearProbe:
    """Train a linear classifier on the features of one set and test it on those of another.

    minimise over W, b:  mean_i -log softmax(W u_i + b)[label_i] + l2 / 2 * |W|_F^2
    u: features, each column minus its mean, divided by its standard deviation, both of the training set

    Multinomial logistic regression by L-BFGS, as Kornblith et al. 2021 measure how features transfer. They choose `l2`
    on validation examples, from 45 values between 1e-6 and 1e5 (as reported in MaxSup, App. G). To compare several
    networks, choose it for each of them. With l2 > 0 the minimum is unique; all sums are in float64, the start is 0 and
    nothing is random, so results are reproducible. A constant column is only centred.

    In scikit-learn, on standardised features: LogisticRegression(C=1 / (l2 * N)).

    Args:
        train_features: (N, D) float.
        train_labels: (N,) integers in [0, K), of at least 2 classes.
        test_features: (M, D) float.
        test_labels: (M,) integers in [0, K).
        l2: above 0; large values give the class frequencies.
        num_classes: K; None: one more than the largest label of the training set.
        tolerance: largest entry of the gradient at the end, in nats, for weights in units of 1 / sqrt(1 + l2).
        steps: maximum number of L-BFGS iterations, at least 1.
        ignore_index: label of examples to leave out, in both sets.

    Returns:
        LinearProbe, on the device of the training features.

    Raises:
        ValueError: if shapes differ, a label is out of range, a feature is not finite or beyond 1e120, all are below
            1e-120, all training examples are of one class, l2 is not above 0, or steps < 1.
        TypeError: if features are not floating-point or labels not integers.

    Special cases:
        as l2 grows, the weight tends to 0 and the bias to the log frequencies of the training labels. Shifting and
        scaling a column in both sets changes no prediction.

    Example:
        >>> train, test = torch.tensor([[-1.0], [1.0]]), torch.tensor([[-2.0], [0.5], [0.1]])
        >>> probe = linear_probe(train, torch.tensor([0, 1]), test, torch.tensor([0, 1, 0]), l2=0.25)
        >>> margin = float(probe.weight[1, 0] - probe.weight[0, 0])        # sigmoid(-margin) = l2 * margin / 2
        >>> round(float(probe.accuracy), 3), probe.converged, round(margin * 0.125 * (1 + math.exp(margin)), 5)
        (0.667, True, 1.0)
    """
    _check_settings(l2, tolerance, steps)
    if num_classes is not None:
        check_num_classes(num_classes)
    train_features, train_labels = read_features(
        train_features, train_labels, num_classes, prefix="train_", ignore_index=ignore_index
    )
    num_classes = int(train_labels.max()) + 1 if num_classes is None else int(num_classes)
    test_features, test_labels = read_features(
        test_features, test_labels, num_classes, prefix="test_", ignore_index=ignore_index
    )
    if test_features.shape[1] != train_features.shape[1]:
        required = f"{train_features.shape[1]} columns, as the training features"
        raise fail("test_features", required, test_features.shape[1], "take both from the same layer")
    features = train_features.detach().double()
    present, labels = train_labels.unique(return_inverse=True)
    if len(present) < 2:
        got = f"only class {int(present[0])}"
        raise fail("train_labels", "examples of at least 2 classes", got, "add examples of another class")
    mean, scale = features.mean(0), features.std(0, correction=0)
    # rounding leaves a tiny deviation of a constant column, which must not be used as its scale
    scale = torch.where(scale > 1e-12 * mean.abs(), scale, 1.0)
    # the same objective in weights whose curvature is about that of the biases, for any l2
    scale *= (1 + l2) ** 0.5
    rescaled = (features - mean) / scale
    fitted, converged = _minimise(rescaled, labels, l2 / (1 + l2), tolerance=tolerance, steps=steps)
    weight = features.new_zeros(num_classes, features.shape[1])
    bias = features.new_full((num_classes,), -torch.inf)
    weight[present] = fitted[:, :-1] / scale
    bias[present] = fitted[:, -1] - weight[present] @ mean
    logits = test_features.detach().to(features) @ weight.T + bias
    right = logits.argmax(1) == test_labels.to(features.device)
    return LinearProbe(right.double().mean(), weight, bias, converged)


def _check_settings(l2: float, tolerance: float, steps: int) -> None:
    if not isinstance(l2, numbers.Real) or isinstance(l2, bool):
        raise fail_type("l2", "a finite number above 0", type(l2).__name__, "use 1e-3")
    if not 0 < l2 < math.inf:
        remedy = "use 1e-3: without a penalty, separable classes have no minimum"
        raise fail("l2", "a finite number above 0", f"{l2:g}", remedy)
    check_fraction("tolerance", tolerance, low=1e-12)
    check_int("steps", steps, least=1, remedy="1000 are usually enough")


@torch.inference_mode(mode=False)
def _minimise(features: Tensor, labels: Tensor, l2: float, *, tolerance: float, steps: int) -> tuple[Tensor, bool]:
    """Return the (C, D + 1) minimum, biases last, and whether the gradient is 0 there."""
    if features.is_inference():  # tensors made in inference mode cannot be used with gradients, copies can
        features, labels = features.clone(), labels.clone()
    num_classes = int(labels.max()) + 1
    weights = features.new_zeros(num_classes, features.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=steps, tolerance_grad=tolerance, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        logits = functional.linear(features, weights[:, :-1], weights[:, -1])
        return functional.cross_entropy(logits, labels) + l2 / 2 * weights[:, :-1].square().sum()

    def closure() -> Tensor:
        value = objective()
        (weights.grad,) = torch.autograd.grad(value, [weights])
        return value.detach()

    with torch.enable_grad():
        optimizer.step(closure)
        (gradient,) = torch.autograd.grad(objective(), [weights])
    return weights.detach(), float(gradient.abs().max()) <= tolerance
