"""Results of a comparison that are made by hand."""

from typing import Any

from softtargets.compare.advice import DECISION_RULE
from softtargets.compare.measures import MEASURES, PRIMARY
from softtargets.compare.methods import BASELINE
from softtargets.compare.plan import ComparePlan
from softtargets.compare.results import (
    CompareAdvice,
    ComparedData,
    ComparedMethodResult,
    CompareProvenance,
    CompareResults,
    SkippedMethod,
    Status,
)
from softtargets.compare.verdict import MeasuredDifference, MethodVerdict

HOSTILE = '<img src=x onerror="alert(1)">\u2028</script>'
VALUES = {"accuracy": 0.8123, "nll_scaled": 0.31, "ece_scaled": 0.021, "aurc": 0.0312, "nll": 0.52, "ece": 0.083}


def difference(measure: str, estimate: float, half: float) -> MeasuredDifference:
    adjusted = 0.04 if measure in PRIMARY else None
    return MeasuredDifference(measure, estimate, estimate - half, estimate + half, 0.997, 0.001, adjusted)


def method(name: str, label: str, status: Status, gain: float = 0.0, members: int = 1) -> ComparedMethodResult:
    verdict = MethodVerdict(
        {} if status == "baseline" else {measure: difference(measure, gain, 0.004) for measure in MEASURES},
        {measure: difference(measure, -0.05, 0.01) for measure in ("nll", "ece")},
    )
    values = {measure: value + gain for measure, value in VALUES.items()}
    tried = {label: 0.3, f"{label} other": 0.4} if members == 1 and status != "baseline" else {}
    return ComparedMethodResult(
        name, label, {"name": name}, members, values, (1.5, 2.25), 4.0 * members, 1.0 * members, status, verdict, tried
    )


def make(*, better: bool = True, hostile: bool = False, noisy: bool = False, methods: int = 3) -> CompareResults:
    label = HOSTILE if hostile else "label smoothing 0.1"
    found = [
        method(BASELINE, "cross entropy", "baseline"),
        method("label_smoothing", label, "recommended" if better else "undecided", 0.013 if better else 0.001),
        method("ensemble", "ensemble of 3 networks", "worse", -0.02, members=3),
    ]
    found += [method(f"m{place}", f"method {place}", "undecided", 0.002 * place) for place in range(methods - 3)]
    plan: dict[str, Any] = {"methods": ("label_smoothing", "ensemble"), "seeds": 5, "runs": 26}
    return CompareResults(
        data=ComparedData(
            name=label if hostile else "my table",
            rows={"train": 3000, "validation": 700, "test": 900},
            class_names=("a", "b"),
            network="mlp",
            noise=None,
            noise_estimate="12.0 % of the labels, range 9.0 % to 14.0 %",
            noisy=noisy,
        ),
        methods=tuple(found),
        skipped=(SkippedMethod("cutmix", "CutMix", "it needs images"),),
        advice=CompareAdvice(
            "label_smoothing" if better else BASELINE,
            True,
            f"Use {label}: 1.30 points better." if better else "Use cross entropy: no method is better.",
            ("Another sentence.",),
            DECISION_RULE,
        ),
        specification=f'# {label.splitlines()[0]}\n[model]\nname = "mlp"\n',
        provenance=CompareProvenance(
            command="softtargets compare table.csv",
            plan=ComparePlan(**plan),
            protocol=("The protocol.",),
            limits=("A limit.", "Of noise."),
            seconds=84.0,
            versions={"torch": "2.13"},
        ),
    )
