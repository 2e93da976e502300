"""Cross entropy of logits against any targets."""

from torch import Tensor

from softtargets._errors import fail
from softtargets._numerics import accumulating
from softtargets.losses._engine.chunked import possible, run
from softtargets.losses._engine.kernel import CrossEntropyKernel
from softtargets.losses._vocab_parallel import is_split, split_dtensor
from softtargets.losses.inputs import as_targets, check_fit, classes_last
from softtargets.targets import Targets

__all__ = ["cross_entropy"]


def cross_entropy(logits: Tensor, targets: Targets | Tensor, *, class_dim: int = -1, inplace: bool = False) -> Tensor:
    """Cross entropy of logits against any targets, one value per example.

    sum(t) * logsumexp(z) - <t, z>        gradient: sum(t) * softmax(z) - t

    Factored targets are never expanded over the classes. A class whose logit is -inf, or that is not valid, gets no
    smoothing, no gradient and no part in the sum.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; a DTensor may be sharded over examples or classes.
        targets: Targets, or (...) int64 labels, which are taken as ``targets.hard``.
        class_dim: where the classes are; 1 for (N, K, d1, ...).
        inplace: write the gradient over the logits, which must be the result of an operation and be used by nothing
            else: autograd raises where they are. Read without a gradient (for accuracy, say) they are the gradient.

    Returns:
        (...) float32 or wider, nats; ignored examples 0.

    Raises:
        ValueError: where shapes differ, K < 2, or a label is out of range or not valid (first bad index named).
        TypeError: where logits are not floating-point, or targets are a floating-point tensor: say ``targets.dense``.

    Special cases:
        hard targets give minus the log-probability of the label; uniform logits give sum(t) * log K.

    Notes:
        F.cross_entropy(reduction="none") in torch; natural logarithm; half precision is summed in float32.

    Complexity:
        one pass over the logits in chunks that fit the cache, gradient included, where the losses go into a mean, which
        may be scaled by a power of two; else a second one in the backward pass. Extra memory is the gradient alone (in
        place: nothing). Where the gradient is differentiated again, a target learns, or the code is compiled or
        vmapped, the plain path is taken: more passes, the same numbers.

    When to use:
        always: every target of this package goes in here.

    Limitations:
        wrong labels are learned by heart and probabilities end too extreme (Guo et al. 2017; Lukasik et al. 2020).

    Example:
        >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [4.0]
    """
    return compute_cross_entropy(logits, targets, class_dim=class_dim, inplace=inplace)


def compute_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    inplace: bool = False,
    ahead: bool = True,
    expected: Tensor | None = None,
) -> Tensor:
    """Return :func:`cross_entropy`; `ahead` and `expected` say when the gradient is computed; see the engine."""
    if is_split(logits) and not inplace:
        return split_dtensor(logits, targets, class_dim)
    targets = as_targets(targets)
    moved = classes_last(logits, class_dim)
    check_fit(targets, moved.shape[:-1], moved.shape[-1])
    kernel = CrossEntropyKernel(targets)
    if possible(logits, *targets.tensors().values()):
        expected = _of_the_mean(targets, logits) if expected is None else expected
        return run(kernel, logits, class_dim=class_dim, expected=expected, ahead=ahead, inplace=inplace)
    if inplace:
        remedy = "leave inplace=False where the code is compiled or transformed, or a target learns"
        raise fail("inplace", "eager code in which the logits alone learn", True, remedy)
    return kernel.plain(moved)


def _of_the_mean(targets: Targets, logits: Tensor) -> Tensor | None:
    """Return the gradient that a mean over the examples that are not ignored gives each loss."""
    if targets.ignored is None or not logits.requires_grad:
        return None
    counted = (~targets.ignored).to(accumulating(logits.dtype))
    return counted * (1 / counted.sum().clamp(min=1))
