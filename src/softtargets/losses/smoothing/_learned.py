"""A loss whose smoothing is learned by gradient together with the model (label smoothing++)."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_square
from softtargets._errors import fail
from softtargets._numerics import at_least_float32, rows_of, times
from softtargets.losses._engine.expectation import dense_weights
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets

__all__ = ["learned_smoothing_cross_entropy"]


def learned_smoothing_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    table: Tensor,
    *,
    smoothing: float = 0.1,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Label smoothing++: smooths over the other classes by shares that are learned for each class.

    t = (1 - r) * onehot(label) + r * softmax(table[label] without its diagonal)
    (cross entropy of p with target t + cross entropy of t with target p) / 2, no gradient through either target

    The model learns from the first term only, with gradient (p - t) / 2, and the table from the second. If the table
    learned from the first term, the minimum would give all of r to the class that is predicted most.

    The authors define t for labels. For soft targets t is the same mixture of the classes' rows: sum_k t_k * row_k. The
    second term takes the logarithm of the mixture, and is not linear in the target.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; none may be -inf, since t gives every class a share.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets of at least 0.
        table: (K, K) float, one row of scores per class; the diagonal is not used.
        smoothing: r, a number between 0 and 1, both excluded: there t would give some class probability 0.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a target is negative, or smoothing is not between 0 and
            1.
        TypeError: if logits or table are not floating-point, or labels not integers.

    Special cases:
        a table of zeros gives the model half the gradient of smoothing by r in the "others" convention.

    Notes:
        `smoothing` and `table` are the paper's alpha, 0.1, and C-matrix, which the authors store as K x (K - 1),
        initialised with zeros. The factor 1/2 is in their code and halves the learning rate of the model.

    Complexity:
        Labels: the same as cross_entropy against a K x K table, and two tensors of the size of the logits for the
        second term. Soft targets: O(N K^2), a product with the table.

    When to use:
        The other classes of a class are not equally similar to it, and no table of similarities is available; see
        ``nn.LearnedSmoothing``.

    Limitations:
        K^2 parameters; the table follows the model's own confusions, right or wrong.

    Example:
        >>> logits, labels = torch.zeros(1, 2), torch.tensor([0])
        >>> learned_smoothing_cross_entropy(logits, labels, torch.zeros(2, 2), smoothing=0.5).exp().tolist()
        [2.0]
    """
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    check_square("table", table)
    size = examples.logits.shape[-1]
    if len(table) != size:
        raise fail("table", f"{size} rows, one per class", len(table), "give one row of scores per class")
    rate = float(read_setting("smoothing", smoothing, (), high=1.0, remedy="choose a value between them"))
    if rate in (0.0, 1.0):
        raise fail("smoothing", "between 0 and 1, both excluded", rate, "use targets.hard or a class table")
    label = torch.eye(size, dtype=torch.bool, device=table.device)
    shares = at_least_float32(table).masked_fill(label, -torch.inf).log_softmax(-1)
    log_rows = torch.where(label, math.log(1 - rate), shares + math.log(rate))
    made, log_made = _mixed(examples, log_rows)
    loss_of_model = deferred_cross_entropy(examples.logits, made)
    probs = at_least_float32(examples.logits.detach()).softmax(-1)
    loss_of_table = -times(probs, log_made).sum(-1)
    return examples.finish((loss_of_model + loss_of_table) / 2, reduction)


def _mixed(examples: LossInputs, log_rows: Tensor) -> tuple[Targets, Tensor]:
    """Return the targets without a gradient, and their logarithm, (..., K), with the gradient of the table."""
    if examples.labels is not None:
        made = Targets(row=examples.labels, table=log_rows.detach().exp(), ignored=examples.left_out)
        return made, rows_of(log_rows, examples.labels)
    weights = dense_weights(examples, examples.logits)
    check_entries("targets", weights, lambda t: t >= 0, "weights of at least 0", "pass probabilities", axis="example")
    wide = torch.promote_types(weights.dtype, log_rows.dtype)
    mixed = weights.to(wide) @ log_rows.exp().to(wide)
    if examples.left_out is not None:
        mixed = mixed.masked_fill(examples.left_out[..., None], 1.0)
    return Targets(values=mixed.detach(), ignored=examples.left_out), mixed.log()
