"""Results as text for a terminal."""

from collections import Counter

from softtargets.cli.outputs import show_outputs
from softtargets.measures import MEASURES
from softtargets.report import static
from softtargets.report.numbers import duration
from softtargets.studies.describe import Description
from softtargets.studies.job import StudyOutcome
from softtargets.studies.page import files
from softtargets.studies.power import FIRST_SEED, ClaimPower, StudyPower
from softtargets.studies.request import MOST_SEEDS
from softtargets.studies.schema import Noise


def show_outcome(outcome: StudyOutcome) -> list[str]:
    """Return lines: runs trained, failures, the answer, contradicted claims and the page."""
    results = outcome.results
    lines = [f"{outcome.trained} runs trained, {outcome.present} already present, in {duration(outcome.seconds)}"]
    if outcome.failed:
        lines[0] += f"; {outcome.failed} FAILED"
        for cell in results.failures.values():
            place = f"{cell.key.arm} at {cell.key.level:g}, noise {_noise(cell.key.noise)}, seed {cell.seed}"
            lines.append(f"  failed: {place}: {cell.reason}")
    if results.answer is not None:
        lines += [results.answer.question, f"  {results.answer.lead}"]
        lines += [f"  {sentence.text()}" for sentence in (*results.answer.sentences, *results.answer.also)]
    counts = [f"{count} {name}" for name, count in Counter(results.counts).most_common() if count]
    lines += [f"claims: {', '.join(counts)}"] if counts else []
    lines += [
        f"  {verdict.name}: {verdict.claim.id}: {verdict.claim.reading}"
        for verdict in results.verdicts
        if verdict.name == "contradicted"
    ]
    if not static.is_available() and any(files.draw(results, name) for name in results.outputs):
        lines.append("figures are on the page alone; to get SVG and PNG files: pip install 'softtargets[figures]'")
    return [*lines, f"page: {outcome.page}"]


def show_description(description: Description) -> list[str]:
    """Return lines: the paper, the outputs, the differences from the paper, the runs and their estimated time."""
    plan, study = description.plan, description.plan.study
    paper, planned = study.paper, plan.planned
    lines = [
        f"{study.name}: {study.title}",
        f"{paper.authors}, {paper.year}, {paper.venue}, {paper.url}",
        "",
        study.question,
        "",
        "Outputs:",
        *show_outputs(study),
        "",
        "Differences from the paper:",
        *(f"  - {text}" for text in plan.differs),
        "",
        f"{plan.request.scale} scale: {len(planned)} runs on {planned[0].run.data.name}"
        if planned
        else f"{plan.request.scale} scale: no runs (the output is computed exactly or not available)",
    ]
    for arm, count in description.by_arm.items():
        levels = sorted({item.key.level for item in planned if item.key.arm == arm})
        noise = dict.fromkeys(item.key.noise for item in planned if item.key.arm == arm)
        at = "" if study.arms[arm].sweep is None else f" at {', '.join(f'{level:g}' for level in levels)}"
        lines.append(f"  {count:>4}  {study.arms[arm].label}{at}; noise {', '.join(map(_noise, noise))}")
    if planned:
        known = "" if description.present is None else f"; {description.present} runs already present"
        seeds = len({item.seed for item in planned})
        lines.append(f"  {seeds} seeds{known}")
        lines.append(
            f"  estimated time on this machine: {duration(description.seconds)} "
            f"({description.total_steps:,} steps, {description.workers} runs at a time)"
        )
    lines += [f"  {description.note}"] if description.note else []
    return lines


def show_power(found: StudyPower) -> list[str]:
    """Return lines: a table of the claims with the seeds that they need, the estimated time, and the JSON file."""
    study, scale = found.plan.study, found.plan.request.scale
    heads = ("claim", "family", "level", "sd", "upper sd", "expected", "seeds", f"{found.planned} seeds decide", "time")
    rows = [heads, *(_power_row(claim, found.workers) for claim in found.claims)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    lines = [
        f"{study.name}, {scale} scale: pilot of {found.pilot_seeds} seeds from {FIRST_SEED:,}",
        "",
        *("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
        "",
        "sd: standard deviation of the contrast over the seeds of the pilot. upper sd: its upper 80 % limit.",
        "expected: contrast stated by the claim, or (*) by the numbers of the paper. seeds: number for a decision with",
        "a probability of 80 %, if the contrast is as expected. Units are those of results.json, such as fractions.",
        f"{found.planned} seeds decide: smallest distance from the boundary decided with a probability of 80 %.",
        "time: all runs of the claim with its seeds.",
    ]
    lines += [f"  {claim.claim}: {claim.reason}" for claim in found.claims if claim.reason]
    if found.needed is not None:
        every = (
            f"all claims of the first family: {found.needed} seeds, about {duration(found.seconds_of(found.needed))}"
        )
        lines.append(f"{every} on this machine ({found.workers} runs at a time)")
    planned = duration(found.seconds_of(found.planned))
    return [*lines, f"{found.planned} seeds, as planned: about {planned}", f"saved in {found.path}"]


def _power_row(claim: ClaimPower, workers: int) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3g}"

    expected = number(claim.expected) + ("*" if claim.source == "paper" else "")
    unknown = "-" if claim.expected is None or claim.deviation is None else f"> {MOST_SEEDS:,}"
    seeds = unknown if claim.seeds is None else str(claim.seeds)
    spent = "-" if claim.seeds is None else duration(claim.seconds * claim.seeds / workers)
    numbers = (number(claim.deviation), number(claim.upper), expected, seeds, number(claim.smallest), spent)
    return claim.claim, claim.family, f"{claim.level:.4f}", *numbers


def _noise(noise: Noise) -> str:
    return noise if isinstance(noise, str) else f"{noise:g}"


def show_metrics(metrics: dict[str, float]) -> list[str]:
    """Return one line for each metric.

    Example:
        >>> show_metrics({"test.accuracy": 0.9, "networks": 1.0})
        ['test accuracy  90.00 %', 'networks       1']
    """
    width = max((len(MEASURES[name].label) for name in metrics), default=0)
    lines: list[str] = []
    for name, value in metrics.items():
        measure = MEASURES[name]
        plain = {"percent": f"{100 * value:.2f} %", "count": f"{value:.0f}"}
        shown = plain.get(measure.unit, f"{value:.4f} {measure.unit}")
        lines.append(f"{measure.label:<{width}}  {shown}")
    return lines
