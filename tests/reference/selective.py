"""Selective risk, item by item, from its definitions."""

from fractions import Fraction
from itertools import groupby, permutations


def curve(scores: list[float], wrong: list[bool]) -> list[tuple[Fraction, Fraction]]:
    """(coverage, risk) at each distinct score, from the highest on."""
    points = []
    for threshold in sorted(set(scores), reverse=True):
        kept = [bad for score, bad in zip(scores, wrong, strict=True) if score >= threshold]
        points.append((Fraction(len(kept), len(scores)), Fraction(sum(kept), len(kept))))
    return points


def area(wrong: list[bool]) -> Fraction:
    """The mean risk of one order."""
    return sum((Fraction(sum(wrong[:k]), k) for k in range(1, len(wrong) + 1)), Fraction(0)) / len(wrong)


def aurc(scores: list[float], wrong: list[bool]) -> Fraction:
    """The mean of `area` over every order of tied items."""
    ranked = sorted(zip(scores, wrong, strict=True), key=lambda pair: -pair[0])
    orders: list[list[bool]] = [[]]
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        choices = list(permutations([bad for _, bad in tied]))
        orders = [[*order, *choice] for order in orders for choice in choices]
    return sum((area(order) for order in orders), Fraction(0)) / len(orders)


def excess_aurc(scores: list[float], wrong: list[bool]) -> Fraction:
    """AURC less that of all right ones first."""
    return aurc(scores, wrong) - area(sorted(wrong))


def coverage_at_risk(scores: list[float], wrong: list[bool], risk: Fraction) -> Fraction:
    """The largest coverage of the curve with at most that risk."""
    return max((coverage for coverage, value in curve(scores, wrong) if value <= risk), default=Fraction(0))
