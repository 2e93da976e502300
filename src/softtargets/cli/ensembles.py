"""What `train` prints of an ensemble."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softtargets.ensembles import EnsembleResults
    from softtargets.ensembles.diversity import Diversity


def show_ensemble(results: "EnsembleResults") -> list[str]:
    """Return lines: a table of the members and the ensemble, the calibrator, differences, diversity, and the folder."""
    from softtargets.report.numbers import count

    lines = [f"{results.kind}: {count(len(results.members), 'member')}, {count(results.trained, 'run')} trained now"]
    if results.evaluation is not None:
        lines += ["", f"{'':40}{'accuracy':>10}{'NLL':>9}{'Brier':>9}{'ECE':>9}"]
        for member in results.members:
            vote = "" if member.vote is None else f", vote {member.vote:.2f}"
            lines.append(_row(f"member {member.name}{vote}", member.metrics))
        lines.append(_row("mean member", results.mean_member))
        for model in results.variants():
            found = {name: model.metric(name) for name in ("accuracy", "nll", "brier", "ece")}
            values = {name: one.value for name, one in found.items() if one is not None and one.value is not None}
            lines.append(_row(f"ensemble, {model.name}", values))
        lines.append("")
    lines += [*_calibration(results), *_comparisons(results)]
    if results.diversity is not None and results.ensemble is not None:
        lines.append(_diversity(results.diversity, averages=results.ensemble.combination.averages))
    lines.append(f"saved in {results.folder}")
    if results.evaluation is not None:
        lines.append(f"next: softtargets evaluate {results.folder}")
    lines.append(f"or:   softtargets export {results.folder} FOLDER")
    return lines


def _calibration(results: "EnsembleResults") -> list[str]:
    from softtargets.export.facts import calibration_warnings
    from softtargets.report.numbers import count

    calibrator = None if results.ensemble is None else results.ensemble.calibrator
    if calibrator is None:
        return []
    rows = results.calibrated_on
    fitted = f"calibrated by {calibrator!r}, fitted on {count(rows, 'validation row')}"
    return [fitted, *calibration_warnings(calibrator, rows, None)]


def _comparisons(results: "EnsembleResults") -> list[str]:
    from softtargets.ensembles.results import BEST
    from softtargets.evaluate.text import range_of, text_of
    from softtargets.evaluate.values import WORSE
    from softtargets.report.numbers import count, listed

    lines = []
    for one in results.comparisons:
        unit, label = one.definition.unit, one.definition.label
        difference = f"{text_of(one.value, unit, signed=True)} ({range_of(one.interval, unit, signed=True)})"
        lines.append(f"{label}, {results.variants()[0].name} minus {one.against}: {difference}, {one.verdict}")
    if lines:
        tests = count(len(lines), "difference")
        lines.append(f"verdicts are after adjustment for these {tests} (Holm); intervals are not adjusted")
    if results.best is not None and lines:
        alone = ", calibrated alone" if results.calibrated_on else ""
        lines.append(f"best member: {results.best}, the best on the validation split{alone}")
    worse = [one.definition.label for one in results.comparisons if (one.against, one.verdict) == (BEST, WORSE)]
    if worse:
        lines.append(f"The ensemble is significantly worse than its best member in {listed(worse)}: use this member.")
    return lines


def _diversity(found: "Diversity", *, averages: bool) -> str:
    shown = {"disagreement": f"{100 * found.disagreement:.2f} %", "kappa": _number(found.kappa)}
    shown["Q"] = _number(found.q_statistic)
    if averages:
        shown["Brier gained by averaging"] = _number(found.brier_ambiguity)
        shown["NLL gained by averaging"] = _number(found.nll_ambiguity)
    return "diversity: " + ", ".join(f"{name} {value}" for name, value in shown.items())


def _row(name: str, metrics: dict[str, float]) -> str:
    values = [f"{100 * metrics['accuracy']:>8.2f} %", *(f"{metrics[key]:>9.4f}" for key in ("nll", "brier"))]
    return f"{name:<40}" + "".join(values) + f"{100 * metrics['ece']:>7.2f} %"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
