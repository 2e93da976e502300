"""Evaluations of simulated models, their numbers computed here in the plainest way."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.curves import ConfidenceHistogram, ReliabilityBin, ReliabilityDiagram, RiskCurve, SmoothCurve
from softtargets.evaluate.findings import CALIBRATION_RULE, find
from softtargets.evaluate.results import ClassEvaluation, EvaluatedModel, EvaluationResults, FittedTemperature
from softtargets.evaluate.values import IntervalEnds, MetricDifference, MetricValue

Z = 1.96
BINS = 15
HOSTILE = "<img src=x onerror=alert(1)>"


def make(
    *,
    rows: int = 400,
    classes: int = 4,
    others: int = 0,
    named: bool = True,
    temperature: bool = True,
    zeros: int = 0,
    sharpness: float = 2.0,
    hostile: bool = False,
    seed: int = 0,
) -> EvaluationResults:
    """Return the evaluation of a model whose logits are `sharpness` times what its labels bear out.

    Args:
        rows: of predictions.
        classes: of these.
        others: how many models it is compared with, each a little worse.
        named: whether the classes have names.
        temperature: whether one was fitted.
        zeros: how many rows give their label the probability 0.
        sharpness: above 1 over-confident, below 1 under-confident, 1 calibrated.
        hostile: put markup into every text that a user can choose.
        seed: of the simulation.
    """
    evil = HOSTILE if hostile else ""
    generator = torch.Generator().manual_seed(seed)
    popularity = torch.linspace(0.6, -0.6, classes, dtype=torch.float64)
    spread = 2.0 + math.log(classes) / 2
    logits = spread * torch.randn(rows, classes, generator=generator, dtype=torch.float64) + popularity
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)
    models = []
    for place in range(1 + others):
        blur = 0.35 * place * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
        name = ("resnet-smoothed", "resnet-hard", "mlp", "linear")[place % 4] + evil
        true = sharpness * (1 + 0.3 * place)
        model = judge(name, true * (logits + blur), labels, true if temperature else None)
        models.append(with_zeros(model, zeros) if place == 0 and zeros else model)
    differences = tuple(difference for other in models[1:] for difference in compare(models[0], other))
    return EvaluationResults(
        command=f"softtargets evaluate resnet-smoothed.npz{evil} --logits logits --output evaluation",
        findings=find(models, differences, 0.95),
        models=tuple(models),
        num_classes=classes,
        confidence=0.95,
        bins=BINS,
        intervals=("Bootstrap over rows, 1,000 draws.", "Of ECE: an interval that knows its bias."),
        classes_rule="A class is called significantly worse if an exact test finds it below all other rows.",
        calibration_rule=CALIBRATION_RULE,
        class_names=tuple(f"class {k}{evil}" for k in range(classes)) if named else (),
        differences=differences,
        notes=(f"Rows were read in one pass.{evil}",),
        versions={"python": "3.11", "softtargets": "0.1", "torch": "2.8"},
    )


def with_metrics(results: EvaluationResults, *metrics: MetricValue) -> EvaluationResults:
    """Return results in which the main model has these in place of its own."""
    new = {metric.name: metric for metric in metrics}
    kept = tuple(new.get(metric.name, metric) for metric in results.main.metrics)
    return replace(results, models=(replace(results.main, metrics=kept), *results.others))


def judge(name: str, logits: Tensor, labels: Tensor, temperature: float | None) -> EvaluatedModel:
    """Return what is to be known of one model."""
    log_probs = logits.log_softmax(-1)
    predicted = log_probs.argmax(-1)
    confidence, right = log_probs.max(-1).values.exp(), predicted == labels
    edges = torch.linspace(0, 1, 21, dtype=torch.float64)
    keys = "width", "mass"
    order = confidence.argsort(descending=True, stable=True)
    risk = (~right)[order].double().cumsum(0) / torch.arange(1, len(labels) + 1)
    at = torch.linspace(0, len(labels) - 1, min(200, len(labels))).long()
    scaled = None
    if temperature:
        after = metrics_of(calibrated := (logits / temperature).log_softmax(-1), labels, core=True)
        before = {metric.name: metric for metric in metrics_of(log_probs, labels)}
        scaled = FittedTemperature(
            temperatures=tuple(temperature * near for near in (0.99, 1.0, 1.004, 1.015, 0.995)),
            converged=(True,) * 5,
            metrics=after,
            changes=tuple(changed(before[metric.name], metric) for metric in after if metric.name != "overconfidence"),
            reliability=reliability_of(calibrated, labels, keys),
        )
    return EvaluatedModel(
        name=name,
        files=(f"{name}-0.npz", f"{name}-1.npz"),
        kind="logits",
        num_rows=len(labels),
        metrics=metrics_of(log_probs, labels),
        zero_rows=0,
        reliability=reliability_of(log_probs, labels, keys),
        temperature=scaled,
        no_temperature="" if temperature else "A temperature needs at least 10 rows.",
        histogram=ConfidenceHistogram(
            tuple(edges.tolist()),
            *(tuple(torch.histogram(confidence[rows], edges).hist.long().tolist()) for rows in (right, ~right)),
        ),
        risk_coverage=RiskCurve(tuple(((at + 1) / len(labels)).tolist()), tuple(risk[at].tolist())),
        classes=tuple(class_row(k, confidence, predicted, labels) for k in range(logits.shape[-1])),
    )


def with_zeros(model: EvaluatedModel, rows: int) -> EvaluatedModel:
    """Return a model of which some rows give their label the probability 0."""
    why = f"{rows} rows give their own label the probability 0."
    metrics = tuple(
        MetricValue("nll", math.inf, None, why) if metric.name == "nll" else metric for metric in model.metrics
    )
    return replace(model, metrics=metrics, zero_rows=rows)


def metrics_of(log_probs: Tensor, labels: Tensor, *, core: bool = False) -> tuple[MetricValue, ...]:
    rows, classes = log_probs.shape
    probs = log_probs.exp()
    confidence, predicted = probs.max(-1)
    right = (predicted == labels).double()
    one_hot = torch.nn.functional.one_hot(labels, classes).double()
    shares = one_hot.mean(0)
    gaps = [
        (entry.count / rows, abs(entry.confidence - entry.accuracy))
        for entry in bins_of(confidence, right, "width")
        if entry.confidence is not None and entry.accuracy is not None
    ]
    order = confidence.argsort(descending=True, stable=True)
    risk = (1 - right)[order].cumsum(0) / torch.arange(1, rows + 1)
    ranks = confidence.argsort().argsort().double()
    wrong = int((1 - right).sum())
    worse = (wrong * (rows - wrong) - float(ranks[right == 1].sum()) + (rows - wrong) * (rows - wrong - 1) / 2) / max(
        1, wrong * (rows - wrong)
    )
    uncertainty = float((shares * (1 - shares)).sum())
    brier = (probs - one_hot).square().sum(-1)
    ece = sum(share * gap for share, gap in gaps)

    def kept(most: float) -> float:
        fine = (risk <= most).nonzero()
        return float(fine.max() + 1) / rows if len(fine) else 0.0

    top5 = (probs.topk(min(5, classes)).indices == labels[:, None]).any(-1).double()
    known = {
        "accuracy": mean(right),
        "top5_accuracy": mean(top5) if classes > 5 else None,
        "nll": mean(-log_probs.gather(-1, labels[:, None]).squeeze(-1)),
        "brier": mean(brier),
        "brier_reliability": (0.02, None),
        "brier_resolution": (uncertainty + 0.022 - float(brier.mean()), None),
        "brier_uncertainty": (uncertainty, None),
        "brier_within_bin": (0.002, None),
        "overconfidence": mean(confidence - right),
        "ece": around(ece, 0.5 / rows**0.5),
        "ece_mass": around(0.98 * ece, 0.5 / rows**0.5),
        "ece_debiased": around(1.1 * ece, 0.6 / rows**0.5),
        "ece_max": (max(gap for _, gap in gaps), None),
        "ece_classwise": around(ece / classes, 0.2 / rows**0.5),
        "smooth_ece": around(0.97 * ece, 0.5 / rows**0.5),
        "aurc": around(float(risk.mean()), 0.5 / rows**0.5),
        "excess_aurc": around(0.3 * float(risk.mean()), 0.2 / rows**0.5),
        "coverage_at_1": around(kept(0.01), 0.5 / rows**0.5),
        "coverage_at_5": around(kept(0.05), 0.5 / rows**0.5),
        "misclassification_auroc": around(1 - worse, 0.4 / rows**0.5),
    }
    bounds = {"aurc": 0.0002, "misclassification_auroc": 0.0004}
    return tuple(
        MetricValue(
            name, value[0], value[1], "" if value[1] else "The bootstrap does not hold for it.", bounds.get(name, 0)
        )
        for name, value in known.items()
        if value and (not core or METRICS[name].core or name == "overconfidence")
    )


def mean(values: Tensor) -> tuple[float, IntervalEnds]:
    value, half = float(values.mean()), float(Z * values.std() / len(values) ** 0.5)
    return value, IntervalEnds(value - half, value + half)


def around(value: float, half: float) -> tuple[float, IntervalEnds]:
    # neither a fraction nor a distance falls below 0
    return value, IntervalEnds(max(value - half, 0.0), value + half)


def changed(before: MetricValue, after: MetricValue) -> MetricValue:
    assert before.value is not None
    assert after.value is not None
    assert after.interval is not None
    half = (after.interval.high - after.interval.low) / 3
    value = after.value - before.value
    return MetricValue(after.name, value, IntervalEnds(value - half, value + half))


def compare(main: EvaluatedModel, other: EvaluatedModel) -> list[MetricDifference]:
    found = []
    for name, metric in METRICS.items():
        ours, theirs = main.metric(name), other.metric(name)
        if not metric.core or not ours or not theirs or ours.value is None or theirs.value is None:
            continue
        value = ours.value - theirs.value
        if ours.interval is None or theirs.interval is None:
            found.append(MetricDifference(name, other.name, value, why="One of the two is infinite."))
            continue
        half = (theirs.interval.high - theirs.interval.low) / 2.5
        p = math.erfc(abs(value) / half * Z / 2**0.5)
        adjusted = min(1.0, 10 * p)
        interval = IntervalEnds(value - half, value + half)
        found.append(MetricDifference(name, other.name, value, interval, p, adjusted, adjusted < 0.05))
    return found


def reliability_of(log_probs: Tensor, labels: Tensor, keys: tuple[str, str]) -> ReliabilityDiagram:
    confidence, predicted = log_probs.exp().max(-1)
    right = (predicted == labels).double()
    width, mass = (bins_of(confidence, right, key) for key in keys)
    grid = torch.linspace(0, 1, 101, dtype=torch.float64)
    weights = (-((grid[:, None] - confidence[None]) ** 2) / (2 * 0.03**2)).exp()
    density = weights.sum(-1)
    curve = SmoothCurve(
        tuple(grid.tolist()),
        tuple(((weights * right).sum(-1) / density.clamp(min=1e-300)).tolist()),
        tuple((density / density.mean()).tolist()),
    )
    return ReliabilityDiagram(width, mass, curve)


def bins_of(confidence: Tensor, right: Tensor, key: str) -> tuple[ReliabilityBin, ...]:
    if key == "width":
        edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    else:
        cuts = confidence.quantile(torch.linspace(0, 1, BINS + 1, dtype=torch.float64)[1:-1])
        edges = torch.cat([torch.zeros(1), cuts, torch.ones(1)])
    place = torch.bucketize(confidence, edges[1:-1])
    found = []
    for index in range(BINS):
        rows = place == index
        low, high = float(edges[index]), float(edges[index + 1])
        count = int(rows.sum())
        if not count:
            found.append(ReliabilityBin(low, high, 0))
            continue
        accuracy = float(right[rows].mean())
        found.append(
            ReliabilityBin(low, high, count, float(confidence[rows].mean()), accuracy, wilson(accuracy, count))
        )
    return tuple(found)


def wilson(share: float, count: int) -> IntervalEnds:
    shrunk = 1 + Z**2 / count
    middle = (share + Z**2 / (2 * count)) / shrunk
    half = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2)) / shrunk
    return IntervalEnds(max(0.0, middle - half), min(1.0, middle + half))


def class_row(k: int, confidence: Tensor, predicted: Tensor, labels: Tensor) -> ClassEvaluation:
    mine, said = labels == k, predicted == k
    accuracy = float((predicted == labels).double().mean())
    count, right = int(mine.sum()), int((mine & said).sum())
    interval = wilson(right / count, count) if count else None
    return ClassEvaluation(
        labels=count,
        predicted=int(said.sum()),
        right=right,
        recall=right / count if count else None,
        recall_interval=interval,
        confidence=float(confidence[said].mean()) if said.any() else None,
        ece=0.01 / (1 + k),
        significantly_worse=interval is not None and interval.high < accuracy - 0.02,
    )
