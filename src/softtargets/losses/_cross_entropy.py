"""Cross entropy of logits against labels, probabilities or any targets."""

from torch import Tensor

from softtargets._errors import fail
from softtargets.losses._dtensor import dtensor_cross_entropy, is_dtensor
from softtargets.losses._engine.cross_entropy import can_accelerate, total_or_each
from softtargets.losses._engine.label_path import of_labels, of_smoothed
from softtargets.losses.inputs import read_examples
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets

__all__ = ["cross_entropy"]


def cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
    inplace: bool = False,
) -> Tensor:
    """Cross entropy of logits against labels, probabilities or any targets.

    sum(t) * logsumexp(z) - <t, z>        gradient: sum(t) * softmax(z) - t

    Targets that are stored as a label and smoothing are never expanded to N x K. A class whose logit is -inf, or that
    `valid` of :func:`softtargets.targets.smooth` excludes, gets no smoothing and no gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; a DTensor may be sharded over examples or classes.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets of (...).
        class_dim: the dimension of the classes; 1 for (N, K, d1, ...).
        ignore_index: label of an example to leave out. Soft targets mark such examples in ``Targets.ignored``.
        mask: (...) bool, True for an example to include; None: include every example that is not ignored.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.
        inplace: write the gradient over the logits, which must be the result of an operation. Any other use of them
            raises an error in the backward pass. Without a backward pass, for example when computing accuracy, they
            silently hold the gradient.

    Returns:
        (...) float32 or wider, nats, 0 for an example that is left out; () with "mean" or "sum". If every example is
        left out, the mean is 0.

    Raises:
        ValueError: if shapes differ, K < 2, or a label is out of range or not valid (first bad index named). On CUDA
            with Triton the host does not wait for the labels: one that is out of range gives a loss of NaN, and this
            call or a later one raises the error; with the environment variable CUDA_LAUNCH_BLOCKING=1, this call.
        TypeError: if logits are not a floating-point tensor, or targets are neither a tensor nor Targets.

    Special cases:
        labels give minus the log-probability of the label; uniform logits give sum(t) * log K.

    Notes:
        torch.nn.functional.cross_entropy with reduction="none". For its `label_smoothing` pass
        ``targets.smooth(labels, 0.1)``; for its `weight` use :class:`softtargets.nn.CrossEntropyLoss`. Half precision
        is accumulated in float32.

    Complexity:
        One pass over the logits in chunks that fit the cache, gradient included, if the incoming gradient is that of
        a mean or a power-of-two multiple of it (loss scaling). Otherwise the backward pass is a second pass. The only
        extra memory is the gradient; ``inplace=True`` needs none. For a second derivative, for targets that require a
        gradient, and under torch.compile and torch.func the same numbers are computed with plain torch operations.

    When to use:
        The default loss; it accepts every kind of target in this package.

    Limitations:
        A large network memorizes wrong labels and becomes overconfident (Guo et al. 2017; Lukasik et al. 2020).

    Aliases:
        softmax cross entropy; softmax_cross_entropy_with_integer_labels; categorical cross entropy;
        nll_loss; softmax_cross_entropy; NLLLoss

    Example:
        >>> cross_entropy(torch.zeros(1, 4), torch.tensor([2])).exp().tolist()
        [4.0]
        >>> cross_entropy(torch.zeros(2, 4), torch.tensor([2, -100]), reduction="mean").exp().tolist()
        4.0
    """
    check_reduction(reduction)
    if mask is None:
        if isinstance(targets, Targets):
            result = of_smoothed(logits, targets, class_dim=class_dim, reduction=reduction, inplace=inplace)
        else:
            result = of_labels(
                logits,
                targets,
                class_dim=class_dim,
                ignore_index=ignore_index,
                reduction=reduction,
                inplace=inplace,
            )
        if result is not None:
            return result
    settings = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    if is_dtensor(logits) and not inplace:
        return dtensor_cross_entropy(logits, targets, **settings, reduction=reduction)
    batch = read_examples(logits, targets, **settings, zero_left_out=False, deferred=True)
    if inplace and not can_accelerate(batch, logits):
        remedy = "use inplace=False in compiled or transformed code, or if the targets require a gradient"
        raise fail("inplace", "eager code in which only the logits require a gradient", True, remedy)
    return total_or_each(batch, logits, class_dim, reduction, inplace=inplace)
