"""Consistency: a model predicts the same for two views of an example, or the same as its averaged weights."""

from torch import Tensor

from softtargets.distill._inputs import read_pair
from softtargets.losses.reduction import Reduction

__all__ = ["consistency_loss"]


def consistency_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    class_dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Consistency loss: the mean squared distance between two predictions.

    1/K sum_k (p_k - q_k)^2,  p = softmax(z), q = softmax(v)        # Laine & Aila 2017; Tarvainen & Valpola 2017

    z are the student's logits, v those of the teacher, such as the moving average of the student's weights, for another
    view of the same example. It needs no labels.

    Args:
        student_logits: (..., K) float, or with the classes at `class_dim`.
        teacher_logits: of the same shape. No gradient flows to them.
        class_dim: dimension of the classes.
        mask: (...) bool, False for an example to leave out, whose logits may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, in [0, 2/K], one value per example, 0 for examples that are left out; or () if reduced.

    Raises:
        ValueError: if shapes differ, or there are fewer than two classes.
        TypeError: if logits are not floating-point tensors, or the mask is not boolean.

    Special cases:
        equal probabilities give 0; a constant added to the logits of an example changes nothing.

    Notes:
        Both papers divide by the number of classes. A weight that suits 10 classes is small for 100: the weight of the
        papers, 100 for CIFAR-10, is 10 times the sum over the classes.

    Complexity:
        O(N K), two tensors of the size of the logits.

    When to use:
        Few labels and many unlabelled examples.

    Limitations:
        Its gradient vanishes where the student is certain. Without augmentation, noise or dropout, student and teacher
        agree, and there is nothing to learn.

    Aliases:
        mean teacher; Pi-model; temporal ensembling

    Topics:
        unlabelled examples

    References:
        Laine & Aila 2017, *Temporal Ensembling for Semi-Supervised Learning*, ICLR; Tarvainen & Valpola 2017, *Mean
        teachers are better role models*, NeurIPS

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 3.0]]).log()
        >>> round(float(consistency_loss(student, teacher)), 4)        # half of .25^2 + .25^2
        0.0625
    """
    pair = read_pair(student_logits, teacher_logits, class_dim=class_dim, mask=mask)
    distance = pair.student.softmax(-1) - pair.teacher_logits.softmax(-1)
    return pair.finish(distance.square().mean(-1), reduction)
