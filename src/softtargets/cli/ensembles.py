"""What `train` prints of an ensemble."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softtargets.ensembles import EnsembleResults


def show_ensemble(results: "EnsembleResults") -> list[str]:
    """Return lines: a table of the members and the ensemble, the diversity, differences and the folder."""
    from softtargets.evaluate.text import range_of, text_of
    from softtargets.evaluate.values import UNKNOWN
    from softtargets.report.numbers import count

    lines = [f"{results.kind}: {count(len(results.members), 'member')}, {results.trained} trained now"]
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
        for one in results.evaluation.differences:
            if one.metric in ("nll", "ece") and one.verdict != UNKNOWN and not one.scaled:
                unit, label = one.definition.unit, one.definition.label
                ends = range_of(one.interval, unit, signed=True)
                lines.append(
                    f"{label}, {results.variants()[0].name} minus {one.against}: "
                    f"{text_of(one.value, unit, signed=True)} ({ends}), {one.verdict}"
                )
        tests = sum(one.p is not None for one in results.evaluation.differences)
        if tests > 1:
            lines.append(f"intervals are not adjusted; verdicts are adjusted for {tests} differences (Holm)")
    if results.diversity is not None:
        found = results.diversity
        shown = {"disagreement": f"{100 * found.disagreement:.2f} %", "kappa": _number(found.kappa)}
        shown |= {"Q": _number(found.q_statistic), "Brier gained by averaging": _number(found.brier_ambiguity)}
        shown["NLL gained by averaging"] = _number(found.nll_ambiguity)
        lines.append("diversity: " + ", ".join(f"{name} {value}" for name, value in shown.items()))
    lines.append(f"saved in {results.folder}")
    if results.evaluation is not None:
        lines.append(f"next: softtargets evaluate {results.folder}/test.safetensors")
    lines.append(f"or:   softtargets export {results.folder} FOLDER")
    return lines


def _row(name: str, metrics: dict[str, float]) -> str:
    values = [f"{100 * metrics['accuracy']:>8.2f} %", *(f"{metrics[key]:>9.4f}" for key in ("nll", "brier"))]
    return f"{name:<40}" + "".join(values) + f"{100 * metrics['ece']:>7.2f} %"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
