"""What features are worth to another task: a linear classifier trained on them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._checks import check_fraction, check_num_classes
from softtargets._errors import fail
from softtargets.analysis._features import check_features

__all__ = ["LinearProbe", "linear_probe"]


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A linear classifier of features, and how well it does.

    Args:
        accuracy: () float64, a fraction of the test examples.
        weight: (K, D) float64; logits are ``features.double() @ weight.T + bias``, of features as they were given.
        bias: (K,) float64; -inf for classes without a training example.
        converged: whether the gradient is 0 at the end, within the tolerance.
    """

    accuracy: Tensor
    weight: Tensor
    bias: Tensor
    converged: bool


def linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    l2: float = 1e-3,
    num_classes: int | None = None,
    tolerance: float = 1e-8,
    steps: int = 1000,
) -> LinearProbe:
    """Train a linear classifier on the features of one set and test it on those of another.

    minimise over W, b:  mean_i -log softmax(W u_i + b)[label_i] + l2 / 2 * |W|_F^2
    u: features, each column less its mean over its standard deviation, both of the training set

    Multinomial logistic regression by L-BFGS, as Kornblith et al. 2021 judge how features transfer; they choose `l2` on
    validation examples, of 45 values between 1e-6 and 1e5 (as MaxSup, App. G, recounts it). Where accuracies of several
    networks are compared choose it for each of them. With l2 > 0 there is one minimum; all sums are in float64, the
    start is 0 and nothing is random, so that it is found again. A column that does not vary is only centred.

    In terms of scikit-learn, on standardised features: LogisticRegression(C=1 / (l2 * N)).

    Args:
        train_features: (N, D) float.
        train_labels: (N,) int64 in [0, K), of at least 2 classes.
        test_features: (M, D) float.
        test_labels: (M,) int64 in [0, K).
        l2: above 0; large values give the shares of the classes.
        num_classes: K; None: one more than the largest label of the training set.
        tolerance: largest entry of the gradient at the end, in nats; weights count in units of 1 / sqrt(1 + l2).
        steps: of L-BFGS, at most.

    Returns:
        LinearProbe, on the device of the training features.

    Raises:
        ValueError: where shapes differ, a label is out of range, a feature is not finite or beyond 1e120, all are below
            1e-120, all training examples are of one class, l2 is not above 0, or steps < 1.
        TypeError: where features are not floating-point or labels not integers.

    Special cases:
        l2 towards infinity gives weight 0 and the log shares of the training labels as bias; shifting and scaling a
        column in both sets changes no prediction.

    Example:
        >>> train, test = torch.tensor([[-1.0], [1.0]]), torch.tensor([[-2.0], [0.5], [0.1]])
        >>> probe = linear_probe(train, torch.tensor([0, 1]), test, torch.tensor([0, 1, 0]), l2=0.25)
        >>> margin = float(probe.weight[1, 0] - probe.weight[0, 0])        # sigmoid(-margin) = l2 * margin / 2
        >>> round(float(probe.accuracy), 3), probe.converged, round(margin * 0.125 * (1 + math.exp(margin)), 5)
        (0.667, True, 1.0)
    """
    num_classes = _checked(train_features, train_labels, test_features, test_labels, num_classes)
    if not 0 < l2 < math.inf:
        raise fail(
            "l2", "a finite number above 0", f"{l2:g}", "without it classes that can be told apart have no minimum"
        )
    check_fraction("tolerance", tolerance, low=1e-12)
    if steps < 1:
        raise fail("steps", "at least 1", steps, "1000 are enough for most")
    features = train_features.detach().double()
    present, labels = train_labels.to(features.device, torch.int64).unique(return_inverse=True)
    if len(present) < 2:
        got = f"class {int(present[0])} alone"
        raise fail("train_labels", "examples of at least 2 classes", got, "there is nothing to tell apart")
    mean, scale = features.mean(0), features.std(0, correction=0)
    # of a column that is one number, rounding leaves a deviation that is no scale
    scale = torch.where(scale > 1e-12 * mean.abs(), scale, 1.0)
    # the same objective in weights whose curvature is about that of the biases, whatever l2
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


def _checked(
    train_features: Tensor, train_labels: Tensor, test_features: Tensor, test_labels: Tensor, num_classes: int | None
) -> int:
    """Check all four, and return the number of classes."""
    if num_classes is not None:
        check_num_classes(num_classes)
    check_features(train_features, train_labels, num_classes, prefix="train_")
    num_classes = int(train_labels.max()) + 1 if num_classes is None else num_classes
    check_features(test_features, test_labels, num_classes, prefix="test_")
    if test_features.shape[1] != train_features.shape[1]:
        required = f"{train_features.shape[1]} columns, as the training features"
        raise fail("test_features", required, test_features.shape[1], "take both from one layer")
    return num_classes


@torch.inference_mode(mode=False)
def _minimise(features: Tensor, labels: Tensor, l2: float, *, tolerance: float, steps: int) -> tuple[Tensor, bool]:
    """Return the (C, D + 1) minimum, biases last, and whether the gradient is 0 there."""
    if features.is_inference():  # what was made in inference mode takes no part in a gradient; copies do
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
