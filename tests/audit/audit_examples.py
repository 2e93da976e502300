"""An audit made by hand, for the tests of what shows it."""

from dataclasses import replace
from typing import Any

import torch

from softtargets.audit.results import (
    AuditedLabels,
    AuditProvenance,
    AuditResults,
    ClassAudit,
    Confusion,
    CrossValidatedModel,
    ExamplePreview,
    IntervalEstimate,
    LabelRanking,
    LabelScore,
    NoiseEstimate,
    RankCutoff,
    Recommendation,
    ReferenceLabels,
    Suspects,
    TransitionEstimate,
)
from softtargets.matrices import Transition

HOSTILE = "<img src=x onerror=alert(1)>"


def make(
    *, classes: int = 3, judged: bool = True, hostile: bool = False, preview: ExamplePreview | None = None
) -> AuditResults:
    """Return an audit of 1,000 labels that found 70 suspects."""
    evil = HOSTILE if hostile else ""
    names = tuple(f"class {k}{evil}" for k in range(classes))
    transition = Transition.symmetric(0.15, classes)
    size = 70
    rows = torch.arange(size) * 7
    given, suggested = rows % classes, (rows + 1) % classes
    reference = torch.where(torch.arange(size) % 5 == 0, given, suggested)
    score = torch.linspace(0, 0.3, size)
    distance = tuple(0.01 * (k + 1) for k in range(classes)) if judged else None
    return AuditResults(
        audited=AuditedLabels(
            name=f"simulated{evil}",
            labels=f"simulated, labels of a file{evil}",
            predictions="given as probabilities in held.npz",
            row_order="of the predictions",
            num_rows=1000,
            class_names=names,
            agreement=0.8125,
        ),
        noise=NoiseEstimate(
            rate=IntervalEstimate(0.15, 0.14, 0.17),
            told=True,
            principles={"mixture": 0.145, "anchors": 0.16},
            accuracy=0.925,
            confidence=0.95,
            estimates=(
                TransitionEstimate("confident_joint", "the confident joint", transition, 0.15, 1.5, distance),
                TransitionEstimate("dual_t", "dual-T", Transition.symmetric(0.2, classes), 0.2, torch.inf, distance),
            ),
            chosen="confident_joint",
            chosen_because="it was there first.",
            confusions=(Confusion(0, 1, IntervalEstimate(41.0, 33.0, 52.0)),),
            reference=ReferenceLabels(0.1234, Transition.symmetric(0.1234, classes)) if judged else None,
        ),
        ranking=LabelRanking(
            scores=(
                LabelScore("label_posterior", "label posterior", "What it is.", *((0.9312, 0.875) if judged else ())),
                LabelScore("self_confidence", "self-confidence", "What it is.", *((None, 0.5) if judged else ())),
            ),
            ranked_by="label_posterior",
            precision_at=200,
            suspects=Suspects(
                rows=rows,
                given=given,
                suggested=suggested,
                wrong=torch.linspace(0.999, 0.51, size),
                scores={"label_posterior": score, "self_confidence": score / 2},
                reference=reference if judged else None,
            ),
            previews=(preview or ExamplePreview(),) * 50,
            cutoffs=tuple(
                RankCutoff(
                    first, IntervalEstimate(0.9 * first, 0.8 * first, 0.95 * first), first // 2 if judged else None
                )
                for first in (1, 10, 20, 50, 64, 100, 1000)
            ),
        ),
        classes=tuple(ClassAudit(333, 340.5, 0.15, 0.16 - 0.001 * k, 23) for k in range(classes)),
        recommendation=Recommendation(
            "compare corrections", ("The reason.", "What to do."), {"Noise rate": 0.15}, "The rule."
        ),
        provenance=AuditProvenance(
            command=f"softtargets audit --predictions held.npz{evil}",
            model=None if judged else CrossValidatedModel(5, f"a model{evil}, 8 epochs", '{"epochs": 8}'),
            notes=(f"A note.{evil}",),
            versions={"softtargets": "0.0"},
        ),
    )


def named(results: AuditResults, names: tuple[str, ...]) -> AuditResults:
    """Return the audit with other names of its classes."""
    return replace(results, audited=replace(results.audited, class_names=names))


def ranked(results: AuditResults, **changes: Any) -> AuditResults:
    """Return the audit with changes of its ranking."""
    return replace(results, ranking=replace(results.ranking, **changes))
