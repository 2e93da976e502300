"""State that methods keep while training goes on, in loops over plain floats."""

from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def online_table(table: Rows, probs: Rows, labels: Sequence[int]) -> list[list[float]]:
    """OLS: the mean probability of every class's rightly classified examples; a class with none gets 1/K."""
    result = []
    for label in range(len(table)):
        right = [p for p, y in zip(probs, labels, strict=True) if y == label and max(p) == p[label]]
        result.append(
            [sum(column) / len(right) for column in zip(*right, strict=True)]
            if right
            else [1 / len(table)] * len(table)
        )
    return result


def running_mean(values: Sequence[float], probs: Sequence[float], momentum: float) -> list[float]:
    """ELR: momentum * old + (1 - momentum) * new."""
    return [momentum * old + (1 - momentum) * new for old, new in zip(values, probs, strict=True)]
