"""The steps of a diagnosis, in order: read, compute the targets, describe, search for faults, translate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.equivalents import equivalent_of
from softtargets.doctor.faults import FAULTS, Effect, Fault, link
from softtargets.doctor.faults.registry import Affects
from softtargets.doctor.readers import reader_of
from softtargets.doctor.results import Diagnosis, FaultFinding
from softtargets.doctor.table import table_of
from softtargets.doctor.treatment import statements


def diagnose(
    library: str,
    snippet: str | Path | Mapping[str, Any],
    *,
    num_classes: int | None = None,
    version: str | None = None,
) -> Diagnosis:
    """Say what a configured loss computes: targets, minimisers, known faults, and the same with this package.

    The snippet is parsed. It is never executed, and the library is not imported.

    Args:
        library: "torch", "keras", "timm", "transformers", "fairseq" or "opennmt".
        snippet: a call such as ``"CrossEntropyLoss(label_smoothing=0.1)"`` (torch, keras), options of a command line
            (timm, fairseq, opennmt), or the path or the content of a file: JSON of TrainingArguments (transformers),
            YAML (opennmt).
        num_classes: K (default: the number of class weights, otherwise one that is usual for the library).
        version: of the library (default: the installed one, otherwise the one that was checked).

    Returns:
        The diagnosis; its `to_dict` has plain Python values.

    Raises:
        ValueError: if the library is unknown, the snippet is not one call or has an unknown option, or a value is out
            of range.
        TypeError: if the snippet is of another type than the library requires.

    Example:
        >>> found = diagnose("torch", "CrossEntropyLoss(weight=[1, 1, 20], label_smoothing=0.3)")
        >>> found.rows[0].label, [round(p, 3) for p in found.rows[0].minimiser]
        (0, [0.276, 0.034, 0.69])
        >>> found.findings[0].name, found.findings[0].issue
        ('weighted-smoothing', 'pytorch/pytorch#104776')
    """
    criterion = reader_of(library, version).read(snippet, num_classes)
    columns, rows = table_of(criterion)
    return Diagnosis(
        library=criterion.library,
        version=criterion.version,
        loss=criterion.name,
        num_classes=criterion.num_classes,
        assumed_classes=criterion.assumed_classes,
        columns=columns,
        rows=rows,
        statements=statements(criterion),
        findings=_findings(criterion),
        equivalent=equivalent_of(criterion),
        notes=criterion.notes,
        not_read=criterion.not_read,
    )


def _findings(criterion: Criterion) -> tuple[FaultFinding, ...]:
    pairs = [(cls, cls().find(criterion)) for cls in FAULTS.values() if cls.concerns(criterion)]
    found = [_finding(cls, result, criterion.library) for cls, result in pairs if result is not None]
    order = get_args(Affects)
    return tuple(sorted(found, key=lambda each: (each.condition is not None, order.index(each.affects))))


def _finding(cls: type[Fault], found: Effect, library: str) -> FaultFinding:
    issue = cls.issues.get(library)
    return FaultFinding(
        name=cls.name,
        title=(cls.__doc__ or "").strip(),
        affects=cls.affects,
        condition=found.condition,
        effect=found.effect,
        remedy=found.remedy,
        versions=cls.libraries[library],
        issue=issue,
        link=None if issue is None else link(issue),
    )
