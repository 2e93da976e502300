"""Distillation losses written from the equations: slow loops over floats, independent of the package."""

import math
from collections.abc import Sequence

from reference.losses import Matrix, Vector, softmax


def softened(logits: Vector, temperature: float) -> list[float]:
    return softmax([z / temperature for z in logits])


def divergence(p: Vector, q: Vector) -> float:
    """sum_k p_k log(p_k / q_k), where a class that p has not has no part."""
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def one_hot(label: int, num_classes: int) -> list[float]:
    return [float(k == label) for k in range(num_classes)]


def observed(probs: Vector, transition: Matrix) -> list[float]:
    """Return (T^T p)_o = sum_c p_c T[c][o]."""
    return [math.fsum(p * row[o] for p, row in zip(probs, transition, strict=True)) for o in range(len(probs))]


def knowledge_distillation(
    student: Vector,
    teacher: Vector,
    target: Vector,
    *,
    kd_weight: float,
    label_weight: float,
    temperature: float,
    student_temperature: float,
    transition: Matrix | None = None,
) -> float:
    """Return label_weight H(t, p) + kd_weight T T_s KL(p_t(T) || p_s(T_s)), both corrected by T if it is given."""
    plain, soft = softmax(student), softened(student, student_temperature)
    if transition is not None:
        plain, soft = observed(plain, transition), observed(soft, transition)
    of_label = -math.fsum(t * math.log(p) for t, p in zip(target, plain, strict=True) if t != 0)
    taught = divergence(softened(teacher, temperature), soft)
    return label_weight * of_label + kd_weight * temperature * student_temperature * taught


def squared_logits(student: Vector, teacher: Vector) -> float:
    return 0.5 * math.fsum((z - v) ** 2 for z, v in zip(student, teacher, strict=True))


def centred(values: Vector) -> list[float]:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def standardized(logits: Vector) -> list[float]:
    """(z - mean) / std, with K - 1 in the variance and no floor."""
    centre = centred(logits)
    deviation = math.sqrt(math.fsum(c * c for c in centre) / (len(logits) - 1))
    return [c / deviation for c in centre]


def decoupled_parts(student: Vector, teacher: Vector, label: int, temperature: float) -> tuple[float, float]:
    """Return (TCKD, NCKD), neither times T^2."""
    p_s, p_t = softened(student, temperature), softened(teacher, temperature)
    binary, others = [], []
    for p in (p_t, p_s):
        rest = math.fsum(p[k] for k in range(len(p)) if k != label)
        binary.append([p[label], rest])
        others.append([p[k] / rest for k in range(len(p)) if k != label])
    return divergence(*binary), divergence(*others)


def pearson(a: Vector, b: Vector) -> float:
    a, b = centred(a), centred(b)
    top = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return top / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


def relational_parts(students: Matrix, teachers: Matrix, temperature: float) -> tuple[list[float], float]:
    """Return 1 - r of every row, and the mean over columns of 1 - r; neither times T^2."""
    p_s = [softened(z, temperature) for z in students]
    p_t = [softened(v, temperature) for v in teachers]
    rows = [1 - pearson(a, b) for a, b in zip(p_s, p_t, strict=True)]
    columns = [1 - pearson(a, b) for a, b in zip(zip(*p_s, strict=True), zip(*p_t, strict=True), strict=True)]
    return rows, math.fsum(columns) / len(columns)


def ensemble(members: Sequence[Vector], weights: Vector, average: str, temperature: float) -> list[float]:
    """Return the log-probabilities of the arithmetic or the normalised geometric mean."""
    total = math.fsum(weights)
    shares = [w / total for w in weights]
    classes = range(len(members[0]))
    if average == "probs":
        probs = [softened(z, temperature) for z in members]
        return [math.log(math.fsum(w * p[k] for w, p in zip(shares, probs, strict=True))) for k in classes]
    products = [
        math.prod(softened(z, temperature)[k] ** w for w, z in zip(shares, members, strict=True)) for k in classes
    ]
    return [math.log(product / math.fsum(products)) for product in products]


def equivalent_smoothing(teachers: Matrix, labels: Sequence[int], temperature: float) -> float:
    """E[sum_k (1 - y_k) p_k(T) K / (K - 1)]."""
    masses = []
    for logits, label in zip(teachers, labels, strict=True):
        probs = softened(logits, temperature)
        masses.append(math.fsum(p for k, p in enumerate(probs) if k != label) * len(probs) / (len(probs) - 1))
    return math.fsum(masses) / len(masses)
