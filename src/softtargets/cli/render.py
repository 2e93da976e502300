"""Results as text for a terminal."""

from collections import Counter

from softtargets.cli.outputs import show_outputs
from softtargets.measures import MEASURES
from softtargets.report.numbers import duration
from softtargets.studies.describe import Description
from softtargets.studies.job import StudyOutcome
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


def _noise(noise: Noise) -> str:
    return noise if isinstance(noise, str) else f"{noise:g}"


def show_metrics(metrics: dict[str, float]) -> list[str]:
    """Return one line for each metric."""
    width = max((len(MEASURES[name].label) for name in metrics), default=0)
    lines: list[str] = []
    for name, value in metrics.items():
        measure = MEASURES[name]
        shown = f"{100 * value:.2f} %" if measure.unit == "percent" else f"{value:.4f} {measure.unit}"
        lines.append(f"{measure.label:<{width}}  {shown}")
    return lines
