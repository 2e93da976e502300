"""Transition matrices of common kinds of noise."""

from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_entries, check_num_classes, check_prior, first_bad, read_labels
from softtargets._errors import fail, fail_type
from softtargets.matrices import Transition
from softtargets.noise._rates import check_generator, check_rate, with_mean

__all__ = ["asymmetric_cifar10", "from_confusion", "pair_flip", "random_transition", "superclass_flip", "symmetric"]


@array_function
def symmetric(rate: float | Tensor, num_classes: int, *, inclusive: bool = False) -> Transition:
    """Symmetric noise: every wrong class is equally likely.

    exclusive (default):  with probability `rate` a label becomes one of the K - 1 other classes, all equally likely
    inclusive:            with probability `rate` a label is redrawn uniformly over all K classes

    so an exclusive rate rho is an inclusive rate of alpha = rho K / (K - 1)     # Lukasik et al. 2020, Eq. 3

    Args:
        rate: a fraction in [0, 1], a number or a () tensor; the same for all classes.
        num_classes: K, at least 2.
        inclusive: whether `rate` is the inclusive rate; ELR and DivideMix report inclusive rates, Patrini et al.
            exclusive ones.

    Returns:
        Transition in closed form.

    Raises:
        ValueError: if the rate is outside [0, 1] or a tensor that is not 0-d.
        TypeError: if the rate is not a number, or num_classes not an int.

    Special cases:
        rate=0 is the identity; an inclusive rate of 1 makes the labels uninformative.

    Notes:
        "50 % symmetric" over ten classes is 50 % wrong labels if exclusive and 45 % if inclusive.

    Complexity:
        O(1): two numbers represent the matrix.

    When to use:
        To compare with theory and with most published tables. The wrong labels carry no information about similar
        classes.

    Limitations:
        People confuse similar classes: a method that works well here may fail on human labels.

    Example:
        >>> symmetric(0.2, 5).to_dense()[0].tolist()
        [0.8, 0.05, 0.05, 0.05, 0.05]
        >>> round(float(symmetric(0.2, 5, inclusive=True).noise_rate()), 12)
        0.16
    """
    check_rate(rate)
    return Transition.symmetric(rate, num_classes, inclusive=inclusive)


@array_function
def pair_flip(rate: float, num_classes: int) -> Transition:
    """Pair noise: a wrong label is always the next class.

    T[k, (k + 1) mod K] = rate,  T[k, k] = 1 - rate        # Han et al. 2018 (co-teaching)

    Args:
        rate: a fraction in [0, 1].
        num_classes: K, at least 2.

    Returns:
        Transition in sparse form, one other class per row.

    Raises:
        ValueError: if the rate is outside [0, 1].

    Special cases:
        rate=0 is the identity; rate=1 renames every class.

    Notes:
        The paper's "pair 45 %" is rate=0.45.

    Complexity:
        O(K).

    When to use:
        As the hardest noise that still leaves each class the majority of its labels, if the rate is below one half.

    Limitations:
        At a rate of one half and above no method can identify the classes from the labels alone. The order of the
        classes decides which class a label becomes, and in most data sets that order has no meaning.

    Example:
        >>> pair_flip(0.25, 3).to_dense().tolist()
        [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [0.25, 0.0, 0.75]]
    """
    check_num_classes(num_classes)
    return _becomes((torch.arange(num_classes) + 1) % num_classes, rate)


@array_function
def asymmetric_cifar10(rate: float) -> Transition:
    """Asymmetric noise between similar classes of CIFAR-10.

    truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog, each with probability `rate`
                                                                                    # Patrini et al. 2017, Sec. 5

    Args:
        rate: fraction of wrong labels in each of the five classes, in [0, 1].

    Returns:
        Transition of ten classes in sparse form; airplane, automobile, frog, horse and ship keep their labels.

    Raises:
        ValueError: if the rate is outside [0, 1].

    Special cases:
        rate=0 is the identity.

    Notes:
        Classes are in CIFAR-10's own order: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck. Over
        all classes the fraction of wrong labels is half of `rate`: "asymmetric 40 %" is 20 % wrong labels.

    Complexity:
        O(1).

    When to use:
        To compare with published tables.

    Limitations:
        For CIFAR-10 only, with classes in its own order. For other data see :func:`superclass_flip` and
        :func:`from_confusion`.

    Example:
        >>> transition = asymmetric_cifar10(0.4)
        >>> round(float(transition.to_dense()[9, 1]), 4), round(float(transition.noise_rate()), 4)
        (0.4, 0.2)
    """
    airplane, automobile, bird, cat, deer, dog, _, horse, _, truck = others = list(range(10))
    others[truck], others[bird], others[deer], others[cat], others[dog] = automobile, airplane, horse, dog, cat
    return _becomes(torch.tensor(others), rate)


@array_function
def superclass_flip(rate: float, superclasses: Sequence[int] | ArrayLike) -> Transition:
    """Superclass noise: a wrong label is the next class of the same superclass.

    T[k, next(k)] = rate, where next cycles through the classes of k's superclass in order        # Patrini et al. 2017

    Args:
        rate: a fraction in [0, 1].
        superclasses: (K,) integers of at least 0, the superclass of each class; CIFAR-100 has twenty, each of five
            classes.

    Returns:
        Transition in sparse form; a class that is alone in its superclass keeps its labels.

    Raises:
        ValueError: if the rate is outside [0, 1] or a superclass is negative.
        TypeError: if superclasses are not integers.

    Special cases:
        one superclass for all gives pair_flip; a separate superclass for each class gives the identity.

    Notes:
        This is the paper's CIFAR-100 noise, with classes in alphabetical order within each superclass.

    Complexity:
        O(K log K).

    When to use:
        Classes have a known hierarchy, and similar classes are confused.

    Limitations:
        The same as for :func:`pair_flip`.

    Example:
        >>> superclass_flip(0.5, [0, 1, 0]).to_dense().tolist()
        [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]
    """
    groups, _ = read_labels("superclasses", _as_tensor(superclasses))
    if groups.ndim != 1:
        raise fail("superclasses", "shape (K,)", tuple(groups.shape), "pass one number per class")
    check_num_classes(len(groups))
    groups = groups.cpu()
    order = groups.argsort(stable=True)
    grouped = groups[order]
    first = order[torch.searchsorted(grouped, grouped)]
    after = torch.empty_like(order)
    after[order] = torch.where(grouped == grouped.roll(-1), order.roll(-1), first)
    return _becomes(after, rate)


def _as_tensor(superclasses: object) -> Tensor:
    if isinstance(superclasses, Tensor):
        return superclasses
    try:
        return torch.tensor(superclasses)
    except (TypeError, ValueError, RuntimeError) as error:
        got = type(superclasses).__name__
        raise fail_type("superclasses", "(K,) integers", got, "pass one number per class") from error


def _becomes(others: Tensor, rate: float) -> Transition:
    check_rate(rate)
    own = torch.arange(len(others))
    shares = torch.zeros(len(others), dtype=torch.float64).masked_fill(others != own, float(rate))
    return Transition(len(others), others=others[:, None], shares=shares[:, None])


@array_function
def from_confusion(confusion: ArrayLike, *, keep_empty: bool = False) -> Transition:
    """Transition from counts of clean and observed labels.

    T[k, j] = confusion[k, j] / sum_j confusion[k, j]

    Args:
        confusion: (K, K) integer or float, at least 0: row = clean, column = observed.
        keep_empty: whether a class without examples keeps its labels; if False it raises.

    Returns:
        Transition.

    Raises:
        ValueError: if it is not square, an entry is negative or not finite, or a class has no examples.
        TypeError: if it is not a tensor or array of real numbers.

    Special cases:
        counts on the diagonal only give the identity; a transition matrix is returned unchanged.

    Notes:
        Scikit-learn's confusion_matrix(clean, observed) has the same rows.

    Complexity:
        O(K^2).

    When to use:
        Some labels were checked, or two people labelled the same examples and one of them is trusted.

    Limitations:
        Sampling error: sqrt(T (1 - T) / n) for an entry of a row of n counts.

    Example:
        >>> from_confusion(torch.tensor([[3, 1], [0, 4]])).to_dense().tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    if not isinstance(confusion, Tensor) or confusion.is_complex():
        got = f"dtype {confusion.dtype}" if isinstance(confusion, Tensor) else type(confusion).__name__
        raise fail_type("confusion", "a (K, K) tensor of counts", got, "use torch.as_tensor(confusion)")
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise fail("confusion", "a (K, K) matrix", f"shape {tuple(confusion.shape)}", "pass one row per clean class")
    check_num_classes(len(confusion))
    counts = confusion.double()
    check_entries("confusion", counts, lambda n: (n >= 0) & n.isfinite(), "counts of at least 0", "fix that entry")
    totals = counts.sum(1, keepdim=True)
    index = first_bad(totals[:, 0] == 0)
    if index is not None and not keep_empty:
        remedy = "add examples, or pass keep_empty=True to keep the labels of that class"
        raise fail("confusion", "examples of every clean class", f"none in row {index[0]}", remedy)
    kept = torch.eye(len(counts)).to(counts)
    return Transition(len(counts), matrix=torch.where(totals > 0, counts / totals, kept))


@array_function
def random_transition(
    rate: float, num_classes: int, *, class_prior: ArrayLike | None = None, generator: torch.Generator | None = None
) -> Transition:
    """Random noise: draw a transition of a given noise rate.

    T[k, k] = 1 - r_k,  T[k, j] = r_k D[k, j] for j != k
    r_k ~ U(0, 1), then moved so that sum_k prior_k r_k = rate;  D[k, :] ~ Dirichlet(1) over the other classes

    Args:
        rate: fraction of wrong labels under the prior, in [0, 1], met exactly.
        num_classes: K, at least 2.
        class_prior: (K,) probabilities of the clean classes; None: uniform.
        generator: on the CPU. None: torch's global one.

    Returns:
        Transition.

    Raises:
        ValueError: if the rate is outside [0, 1], or the prior is not a distribution over K classes.
        TypeError: if the prior is not floating-point or the generator not a torch.Generator.

    Special cases:
        rate=0 is the identity; rate=1 changes every label.

    Notes:
        The rates of the classes are scaled towards 0 if their mean is above `rate`, towards 1 if it is below.

    Complexity:
        O(K^2).

    When to use:
        To test a method on noise that was not designed by hand.

    Limitations:
        The diagonal entry need not be the largest of its row: some draws cannot be corrected.

    Aliases:
        generate_noise_matrix

    Example:
        >>> transition = random_transition(0.3, 5, generator=torch.Generator().manual_seed(0))
        >>> round(float(transition.noise_rate()), 12)
        0.3
    """
    check_num_classes(num_classes)
    check_rate(rate)
    check_generator(generator)
    rate = float(rate)
    prior = torch.full((num_classes,), 1 / num_classes, dtype=torch.float64)
    if class_prior is not None:
        check_prior("class_prior", class_prior, num_classes)
        prior = class_prior.cpu().double() / class_prior.double().sum().cpu()
    rates = with_mean(torch.rand(num_classes, generator=generator, dtype=torch.float64), prior, rate)
    others = torch.empty(num_classes, num_classes, dtype=torch.float64).exponential_(generator=generator)
    others.fill_diagonal_(0.0)
    matrix = others / others.sum(1, keepdim=True) * rates[:, None]
    return Transition(num_classes, matrix=matrix.diagonal_scatter(1 - rates))
