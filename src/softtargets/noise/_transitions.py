"""Transitions by name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_fraction, check_labels, check_num_classes, check_prior, first_bad
from softtargets._errors import fail, fail_type
from softtargets.matrices import Transition
from softtargets.noise._rates import with_mean

__all__ = ["asymmetric_cifar10", "from_confusion", "pair_flip", "random_transition", "superclass_flip", "symmetric"]


def symmetric(rate: float | Tensor, num_classes: int, *, inclusive: bool = False) -> Transition:
    """Make symmetric noise.

    exclusive (default):  a label becomes one of the K - 1 others with probability `rate`, each alike
    inclusive:            a label is redrawn over all K classes with probability `rate`

    so that an exclusive rate rho is an inclusive one of alpha = rho K / (K - 1)     # Lukasik et al. 2020, Eq. 3

    Args:
        rate: a fraction in [0, 1].
        num_classes: K, at least 2.
        inclusive: which of the two `rate` is; ELR and DivideMix print inclusive rates, Patrini et al. exclusive ones.

    Returns:
        Transition in closed form.

    Raises:
        ValueError: where the rate is outside [0, 1].

    Special cases:
        rate=0 is the identity; the inclusive rate of 1 makes labels that say nothing.

    Notes:
        "50 % symmetric" over ten classes is 50 % wrong labels if exclusive and 45 % if inclusive.

    Complexity:
        none: two numbers stand for the matrix.

    When to use:
        as the noise that theory and most tables are about; the least informative about the classes.

    Limitations:
        people confuse classes that are alike: a method that is good here may not be on their labels.

    Example:
        >>> symmetric(0.2, 5).to_dense()[0].tolist()
        [0.8, 0.05, 0.05, 0.05, 0.05]
        >>> round(float(symmetric(0.2, 5, inclusive=True).noise_rate()), 12)
        0.16
    """
    return Transition.symmetric(rate, num_classes, inclusive=inclusive)


def pair_flip(rate: float, num_classes: int) -> Transition:
    """Make noise that turns each class into the next.

    T[k, (k + 1) mod K] = rate,  T[k, k] = 1 - rate        # Han et al. 2018 (co-teaching)

    Args:
        rate: a fraction in [0, 1].
        num_classes: K, at least 2.

    Returns:
        Transition in sparse form, one other class a row.

    Raises:
        ValueError: where the rate is outside [0, 1].

    Special cases:
        rate=0 is the identity; rate=1 renames every class.

    Notes:
        their "pair 45 %" is rate=0.45.

    Complexity:
        O(K).

    When to use:
        the hardest noise that still leaves each class the majority of its labels, below a rate of one half.

    Limitations:
        at one half and above no method can tell the classes by the labels alone. The order of the classes decides what
        becomes what, and in most data sets it means nothing.

    Example:
        >>> pair_flip(0.25, 3).to_dense().tolist()
        [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [0.25, 0.0, 0.75]]
    """
    check_num_classes(num_classes)
    return _becomes((torch.arange(num_classes) + 1) % num_classes, rate)


def asymmetric_cifar10(rate: float) -> Transition:
    """Make the noise between similar classes of CIFAR-10.

    truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog, each with probability `rate`
                                                                                    # Patrini et al. 2017, Sec. 5

    Args:
        rate: share of wrong labels in each of the five classes, a fraction in [0, 1].

    Returns:
        Transition of ten classes in sparse form; airplane, automobile, frog, horse and ship keep their labels.

    Raises:
        ValueError: where the rate is outside [0, 1].

    Special cases:
        rate=0 is the identity.

    Notes:
        classes in CIFAR-10's own order: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck. Half of
        `rate` is wrong over all: "asymmetric 40 %" is 20 % wrong labels.

    Complexity:
        none.

    When to use:
        tables of others are compared with.

    Limitations:
        another data set, or another order of its classes: :func:`superclass_flip`, :func:`from_confusion`.

    Example:
        >>> transition = asymmetric_cifar10(0.4)
        >>> round(float(transition.to_dense()[9, 1]), 4), round(float(transition.noise_rate()), 4)
        (0.4, 0.2)
    """
    airplane, automobile, bird, cat, deer, dog, _, horse, _, truck = others = list(range(10))
    others[truck], others[bird], others[deer], others[cat], others[dog] = automobile, airplane, horse, dog, cat
    return _becomes(torch.tensor(others), rate)


def superclass_flip(rate: float, superclasses: Sequence[int] | Tensor) -> Transition:
    """Make noise that turns each class into the next one of its superclass.

    T[k, next(k)] = rate, where next goes round the classes of k's superclass in order        # Patrini et al. 2017

    Args:
        rate: a fraction in [0, 1].
        superclasses: (K,) integers of at least 0, the superclass of each class; CIFAR-100 has twenty of five.

    Returns:
        Transition in sparse form; a class that is alone in its superclass keeps its labels.

    Raises:
        ValueError: where the rate is outside [0, 1] or a superclass negative.

    Special cases:
        one superclass for all gives pair_flip; a superclass for each is the identity.

    Notes:
        their CIFAR-100 noise, whose classes are in alphabetical order within each superclass.

    Complexity:
        O(K log K).

    When to use:
        classes have a known hierarchy, and those that are alike are confused.

    Limitations:
        as of :func:`pair_flip`.

    Example:
        >>> superclass_flip(0.5, [0, 1, 0]).to_dense().tolist()
        [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]
    """
    groups = torch.as_tensor(superclasses)
    check_labels("superclasses", groups)
    if groups.ndim != 1:
        raise fail("superclasses", "shape (K,)", tuple(groups.shape), "give one number per class")
    check_num_classes(len(groups))
    order = groups.argsort(stable=True)
    grouped = groups[order]
    first = order[torch.searchsorted(grouped, grouped)]
    after = torch.empty_like(order)
    after[order] = torch.where(grouped == grouped.roll(-1), order.roll(-1), first)
    return _becomes(after, rate)


def _becomes(others: Tensor, rate: float) -> Transition:
    check_fraction("rate", rate)
    own = torch.arange(len(others))
    shares = torch.zeros(len(others), dtype=torch.float64).masked_fill(others != own, rate)
    return Transition(len(others), others=others[:, None], shares=shares[:, None])


def from_confusion(confusion: Tensor, *, keep_empty: bool = False) -> Transition:
    """Divide counts of clean and observed labels by the sum of their row.

    T[k, j] = confusion[k, j] / sum_j confusion[k, j]

    Args:
        confusion: (K, K) integer or float, at least 0: row = clean, column = observed.
        keep_empty: a class without examples keeps its labels, rather than being refused.

    Returns:
        Transition.

    Raises:
        ValueError: where it is not square, an entry is negative or not finite, or a class has no examples.

    Special cases:
        counts on the diagonal alone give the identity; a transition gives itself.

    Notes:
        scikit-learn's confusion_matrix(clean, observed) has the same rows.

    Complexity:
        O(K^2).

    When to use:
        some labels were checked, or two people labelled the same examples and one is to be believed.

    Limitations:
        few counts a row make a rough one: its error is sqrt(T (1 - T) / n).

    Example:
        >>> from_confusion(torch.tensor([[3, 1], [0, 4]])).to_dense().tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    if not isinstance(confusion, Tensor):
        raise fail_type("confusion", "a (K, K) tensor of counts", type(confusion).__name__, "pass a torch.Tensor")
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise fail("confusion", "a (K, K) matrix", f"shape {tuple(confusion.shape)}", "give one row per clean class")
    check_num_classes(len(confusion))
    counts = confusion.double()
    check_entries("confusion", counts, lambda n: (n >= 0) & n.isfinite(), "counts of at least 0", "fix that entry")
    totals = counts.sum(1, keepdim=True)
    index = first_bad(totals[:, 0] == 0)
    if index is not None and not keep_empty:
        remedy = "add examples, or say keep_empty=True to leave its labels as they are"
        raise fail("confusion", "examples of every clean class", f"none in row {index[0]}", remedy)
    kept = torch.eye(len(counts)).to(counts)
    return Transition(len(counts), matrix=torch.where(totals > 0, counts / totals, kept))


def random_transition(
    rate: float, num_classes: int, *, class_prior: Tensor | None = None, generator: torch.Generator | None = None
) -> Transition:
    """Draw a transition of a given noise rate.

    T[k, k] = 1 - r_k,  T[k, j] = r_k D[k, j] for j != k
    r_k ~ U(0, 1), then moved so that sum_k prior_k r_k = rate;  D[k, :] ~ Dirichlet(1) over the other classes

    Args:
        rate: share of wrong labels under the prior, a fraction in [0, 1], met exactly.
        num_classes: K, at least 2.
        class_prior: (K,) probabilities of the clean classes; None: uniform.
        generator: of the CPU. None: torch's global one.

    Returns:
        Transition.

    Raises:
        ValueError: where the rate is outside [0, 1] or the prior is none of K classes.

    Special cases:
        rate=0 is the identity; rate=1 leaves no label as it is.

    Notes:
        rates of classes are scaled towards 0 where their mean is above `rate`, towards 1 where it is below.

    Complexity:
        O(K^2).

    When to use:
        a method is to be tried on noise that nobody designed.

    Limitations:
        a row's own class need not be the most frequent of it: some draws cannot be undone.

    Example:
        >>> transition = random_transition(0.3, 5, generator=torch.Generator().manual_seed(0))
        >>> round(float(transition.noise_rate()), 12)
        0.3
    """
    check_num_classes(num_classes)
    check_fraction("rate", rate)
    prior = torch.full((num_classes,), 1 / num_classes, dtype=torch.float64)
    if class_prior is not None:
        check_prior("class_prior", class_prior, num_classes)
        prior = class_prior.cpu().double() / class_prior.double().sum().cpu()
    rates = with_mean(torch.rand(num_classes, generator=generator, dtype=torch.float64), prior, rate)
    others = torch.empty(num_classes, num_classes, dtype=torch.float64).exponential_(generator=generator)
    others.fill_diagonal_(0.0)
    matrix = others / others.sum(1, keepdim=True) * rates[:, None]
    return Transition(num_classes, matrix=matrix.diagonal_scatter(1 - rates))
