"""Three passes over the rows of an audit, whose state does not grow with the number of rows.

1. Sums of each class (thresholds, numbers of labels), and counts of the values of each column.
2. Counts of the confident joint, which give T; a sample of the rows, which gives the noise rate.
3. The scores of the labels: their counts and the most suspect rows; counts of the other estimators.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.audit.evidence import Agreement, LabelEvidence, measure_agreement
from softtargets.audit.ranking import RankedLabels, RankingPass
from softtargets.audit.rate import LabelSample
from softtargets.audit.request import OnStage
from softtargets.audit.transitions import TransitionFit, TransitionPasses, judge_labels
from softtargets.audit.trusted import TrustedLabels
from softtargets.noise.streaming.blocks import LabelledBlock

# Rows are counted in 32 bits by the draws of the bootstrap.
MOST_ROWS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class ReadEvidence:
    """What the passes found.

    Args:
        fit: the estimates of T.
        ranked: the ranking of the labels.
        class_counts: (K,) int64, numbers of labels.
        agreement: agreement of the predictions with the labels.
        wrong: (U,) bool, whether each label that was not reviewed differs from the reference; None without one.
    """

    fit: TransitionFit
    ranked: RankedLabels
    class_counts: Tensor
    agreement: Agreement
    wrong: Tensor | None


def read_evidence(
    evidence: LabelEvidence, *, seed: int, on_stage: OnStage, trusted: TrustedLabels | None = None
) -> ReadEvidence:
    """Read all rows three times.

    Args:
        evidence: the predictions and labels.
        seed: seed of the bootstrap.
        on_stage: called with the progress.
        trusted: labels that were checked by hand.

    Raises:
        InputError: a bad file or row, in the first pass.
    """
    passes = TransitionPasses(evidence.num_classes, seed)
    class_counts, agreed = torch.zeros(evidence.num_classes, dtype=torch.int64), 0
    for block in evidence.blocks(True):
        # the number of rows is unknown until all are read
        class_counts += block.labels.bincount(minlength=evidence.num_classes)
        agreed += int((block.predicted == block.labels).sum())
        passes.first(block)
    size = int(class_counts.sum())
    if size > MOST_ROWS:
        raise fail("predictions", f"at most {MOST_ROWS:,} rows", f"{size:,}", "take a sample of the rows")
    if trusted is not None:
        trusted.require_below("trusted", size)
    if evidence.reviewed is not None and len(evidence.reviewed) == size:
        remedy = "the labels of all rows are known, and there is nothing to audit"
        raise fail("reviewed", "fewer rows than labels", f"all {size:,} rows", remedy)
    on_stage("reading", 1.0)

    def labels() -> Tensor:
        return torch.cat([block.labels for block in evidence.blocks(False)])

    passes.begin_second(class_counts, labels)
    sample = LabelSample(size, evidence.num_classes, seed)

    def second(block: LabelledBlock) -> None:
        passes.second(block)
        sample.add(block)

    _pass(evidence, size, "estimating T", on_stage, second)
    joint, rate = passes.begin_third(), sample.estimate()
    keep, reviewed = evidence.reference is not None, evidence.reviewed
    ranking = RankingPass(joint, rate, size, keep=keep, trusted=trusted, reviewed=reviewed)

    def third(block: LabelledBlock) -> None:
        passes.third(block)
        ranking.add(block)

    _pass(evidence, size, "scoring", on_stage, third)
    on_stage("ranking", 0.0)
    given = None if evidence.reference is None else labels()
    ranked = ranking.finish(evidence)
    fit = passes.fit(ranked.rate.estimate, judge_labels(evidence.reference, given, evidence.num_classes))
    wrong = None if given is None else (evidence.reference != given)[evidence.is_open(torch.arange(size))]
    on_stage("ranking", 1.0)
    return ReadEvidence(fit, ranked, class_counts, measure_agreement(agreed, class_counts), wrong)


def _pass(
    evidence: LabelEvidence, size: int, stage: str, on_stage: OnStage, add: Callable[[LabelledBlock], None]
) -> None:
    on_stage(stage, 0.0)
    for block in evidence.blocks(False):
        add(block)
        on_stage(stage, (block.first_row + len(block)) / size)
