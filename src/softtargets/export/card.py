"""The model card, in Markdown, from what is known of a classifier."""

from typing import Any

from softtargets.data.dataset import SPLITS
from softtargets.ensembles import LoadedEnsemble
from softtargets.evaluate.results import EvaluatedModel, EvaluationResults
from softtargets.evaluate.text import range_of, text_of
from softtargets.export.facts import CALIBRATION, UNCALIBRATED, ModelFacts, calibration_warnings, spread
from softtargets.report.numbers import NOTHING, count, duration, rate
from softtargets.train import LoadedRun

_METRICS = ("accuracy", *CALIBRATION)
_MOST_CLASSES = 100


def model_card(facts: ModelFacts, use: str = "") -> str:
    """Return a model card.

    Args:
        facts: of the classifier.
        use: how it is used, in Markdown.
    """
    run = facts.run
    parts = [
        f"# {_title(facts)} on {run.result['data']['name']}",
        _summary(facts),
        *(["## Use", use] if use else []),
        "## Data",
        _data(facts),
        "## Training",
        _training(facts),
        "## Quality on the test split",
        _quality(facts),
        *_members(facts),
        *_classes(facts),
        "## Limits",
        _limits(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _title(facts: ModelFacts) -> str:
    if facts.ensemble is None:
        return facts.run.specification.model.name
    names = dict.fromkeys(member.run.specification.model.name for member in facts.ensemble.members)
    return f"Ensemble of {len(facts.ensemble.members)} networks ({', '.join(names)})"


def _summary(facts: ModelFacts) -> str:
    run, found = facts.run, facts.evaluation
    said = f"A classifier of {len(run.class_names):,} classes: {', '.join(run.class_names[:10])}"
    said += ", ..." if len(run.class_names) > 10 else "."
    if found is None:
        return said
    accuracy = found.main.metric("accuracy")
    ece = found.main.metric("ece")
    shown = [f"{one.definition.label} {_value(one, found)}" for one in (accuracy, ece) if one is not None]
    return f"{said}\n\nOn {count(found.main.num_rows, 'test row')}: {'; '.join(shown)}."


def _data(facts: ModelFacts) -> str:
    run = facts.run
    data = run.result["data"]
    rows = ["| split | rows | rows of a class |", "|---|---|---|"]
    for split in SPLITS:
        size, counts = data["sizes"][split], data["class_counts"].get(split)
        low, high = spread(counts) if counts else (0, 0)
        rows.append(f"| {split} | {size:,} | {f'{low:,} to {high:,}' if counts else NOTHING} |")
    said = [f"Data set: {data['name']} (content {run.resolved.fingerprint[:12]}).", "\n".join(rows), _noise(facts)]
    return "\n\n".join(said)


def _noise(facts: ModelFacts) -> str:
    run, noise = facts.run, facts.noise
    if run.specification.noise is not None:
        rates = ", ".join(f"{split} {rate(value)}" for split, value in run.result["noise_rates"].items())
        return f"Labels were changed on purpose ({run.specification.noise.name}); share of changed labels: {rates}."
    if noise is None:
        return "Label noise: not estimated."
    told = "" if noise.told else " The range is too wide to tell the rate."
    return (
        f"Label noise: {rate(noise.estimate)} of {noise.rows:,} audited labels are estimated to be wrong "
        f"({rate(noise.low)} to {rate(noise.high)}).{told}"
    )


def _training(facts: ModelFacts) -> str:
    if facts.ensemble is not None:
        return _of_ensemble(facts.ensemble)
    selected = f"of epoch {facts.run.result['selected_epoch']}, the best on validation"
    return _of_run(facts.run, selected if facts.run.selected else "after the last step")


def _of_ensemble(ensemble: LoadedEnsemble) -> str:
    result, runs = ensemble.result, {member.run.resolved.identity: member.run for member in ensemble.members}
    lines = {
        "ensemble": f"`{result['kind']}`, combined by the {ensemble.classifier.combination.words}",
        "members": f"{len(ensemble.members)}, of {count(len(runs), 'run')}",
        "parameters": f"{sum(member.run.result['parameters'] for member in ensemble.members):,} of all members",
        "time": f"{duration(sum(run.result['seconds'] for run in runs.values()))} for the runs of the members",
        "folder": f"`{ensemble.folder.name}`",
    }
    return f"{_table(lines)}\n\nThe run of the first member:\n\n{_of_run(ensemble.members[0].run)}"


def _of_run(run: LoadedRun, weights: str = "") -> str:
    spec, result, environment = run.specification, run.result, run.result["environment"]
    lines = {
        "network": f"{_fields(spec.model)}; {result['parameters']:,} parameters",
        "objective": _fields(spec.objective),
        "optimizer": _fields(spec.optimizer),
        "schedule": _fields(spec.schedule),
        "augmentation": _fields(spec.augmentation) or "none",
        "length": f"{count(result['epochs'], 'epoch')}, {result['steps']:,} steps of {spec.training.batch_size:,} rows",
        "weights": weights,
        "seeds": _fields(spec.seeds),
        "precision": run.resolved.precision,
        "time": duration(result["seconds"]),
        "run": f"`{run.resolved.identity}`",
        "made with": ", ".join(
            f"{name} {environment[name]}" for name in ("softtargets", "torch") if name in environment
        ),
    }
    return _table(lines)


def _table(lines: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in lines.items() if text)])


def _quality(facts: ModelFacts) -> str:
    found = facts.evaluation
    if found is None:
        return "The data set has no test split. Nothing was measured."
    percent = rate(found.confidence)
    if facts.calibrator is None:
        head = [f"| | value | {percent} interval |", "|---|---|---|"]
        rows = [f"| {label} | {value} | {ends} |" for label, value, ends in _rows(found.main)]
        return "\n".join([*head, *rows]) + _explained(found)
    before = next(model for model in found.models if model.name == UNCALIBRATED)
    head = [
        f"| | before calibration | {percent} interval | after calibration | {percent} interval |",
        "|---|---|---|---|---|",
    ]
    rows = [
        f"| {label} | {value} | {ends} | {after} | {after_ends} |"
        for (label, value, ends), (_, after, after_ends) in zip(_rows(before), _rows(found.main), strict=True)
    ]
    fitted = f"Calibrator: `{facts.calibrator!r}`"
    if facts.calibrated_on:
        fitted += f", with {facts.calibrated_on:,} validation rows"
    if facts.ensemble is not None:
        fitted += ", fitted after combining"
    return "\n".join([*head, *rows]) + f"\n\n{fitted}." + _explained(found)


def _rows(model: EvaluatedModel) -> list[tuple[str, str, str]]:
    found = (model.metric(name) for name in _METRICS)
    return [
        (one.definition.label, text_of(one.value, one.definition.unit), range_of(one.interval, one.definition.unit))
        for one in found
        if one is not None
    ]


def _explained(found: EvaluationResults) -> str:
    return f"\n\nECE has {found.bins} bins of equal width. {found.intervals[0]}"


def _members(facts: ModelFacts) -> list[str]:
    """Return what each member of an ensemble reaches alone, without calibration."""
    if facts.ensemble is None or facts.evaluation is None:
        return []
    known = {name: facts.evaluation.main.metric(name) for name in _METRICS}
    units = {name: one.definition.unit for name, one in known.items() if one is not None}
    labels = " | ".join(one.definition.label for one in known.values() if one is not None)
    rows = [f"| member | {labels} |", "|---|" + "---|" * len(units)]
    for number, one in enumerate(facts.ensemble.result["members"], start=1):
        values = " | ".join(text_of(one["metrics"][name], unit) for name, unit in units.items())
        rows.append(f"| {number} (`{one['name']}`) | {values} |")
    found = facts.ensemble.result["diversity"] or {}
    told = f"Two members disagree on {rate(found['disagreement'])} of the test rows." if found else ""
    return ["### Members, not calibrated", "\n".join(rows), told]


def _classes(facts: ModelFacts) -> list[str]:
    found = facts.evaluation
    if found is None or not found.main.classes:
        return []
    rows = ["| class | test rows | predicted | recall | interval | precision |", "|---|---|---|---|---|---|"]
    order = sorted(range(len(found.main.classes)), key=lambda k: (found.main.classes[k].recall is None, k))
    for index in order[:_MOST_CLASSES]:
        one = found.main.classes[index]
        name = found.class_name(index).replace("|", "\\|")
        numbers = f"{text_of(one.recall, 'percent')} | {range_of(one.recall_interval, 'percent')}"
        rows.append(
            f"| {name} | {one.labels:,} | {one.predicted:,} | {numbers} | {text_of(one.precision, 'percent')} |"
        )
    left = len(found.main.classes) - _MOST_CLASSES
    more = f"\n\n{left:,} more classes are not shown." if left > 0 else ""
    return ["### Classes", "\n".join(rows) + more]


def _limits(facts: ModelFacts) -> str:
    run, found = facts.run, facts.evaluation
    lines = list(calibration_warnings(facts.calibrator, facts.calibrated_on, found))
    if found is not None:
        lines += [" ".join((finding.title, *finding.sentences)) for finding in found.findings[:1]]
        worse = [found.class_name(k) for k, one in enumerate(found.main.classes) if one.significantly_worse]
        if worse:
            lines.append(f"Recall is significantly below that of the other rows for: {', '.join(worse)}.")
        unseen = [found.class_name(k) for k, one in enumerate(found.main.classes) if one.labels == 0]
        if unseen:
            lines.append(f"No test row has the class: {', '.join(unseen[:20])}. Its recall is not known.")
    if (
        run.specification.noise is not None
        and "validation" in run.specification.noise.splits
        and facts.calibrator is not None
    ):
        lines.append("The calibrator was fitted on validation labels that are noisy, which lowers confidences.")
    if run.resolved.precision == "bfloat16":
        lines.append("Networks were trained in bfloat16. Exported programs compute in float32.")
    lines.append("Only the splits above were measured. Inputs from another source may give other numbers.")
    return "\n".join(f"- {line}" for line in lines)


def _fields(specification: Any) -> str:
    """Return the name and the fields of a specification that are not None, as text."""
    content = specification.model_dump(exclude_defaults=True, exclude_none=True)
    name = getattr(specification, "name", None)
    rest = ", ".join(f"{key} {value}" for key, value in content.items() if key != "name")
    if name is None:
        return rest or "0" if type(specification).__name__ == "Seeds" else rest
    return f"{name} ({rest})" if rest else name


def _value(metric: Any, found: EvaluationResults) -> str:
    unit = metric.definition.unit
    ends = f" ({rate(found.confidence)} interval {range_of(metric.interval, unit)})" if metric.interval else ""
    return text_of(metric.value, unit) + ends
