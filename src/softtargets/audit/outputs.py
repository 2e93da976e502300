"""What the files beside the page contain: every row, the labels to keep, and the specification to train with."""

from collections.abc import Callable

import torch
from torch import Tensor

from softtargets.audit.advice import SURE
from softtargets.audit.examples import examples_of
from softtargets.audit.inputs import AuditInputs
from softtargets.audit.ranking import RankedLabels
from softtargets.audit.results import Action
from softtargets.audit.rows import WRONG, AuditedRows
from softtargets.audit.specification import plan_training
from softtargets.noise.streaming.blocks import LabelledBlock

# Probabilities that `all.parquet` lists: 1 GiB in float32.
MOST_NUMBERS = 2**28


def audited_rows(inputs: AuditInputs, ranked: RankedLabels, action: Action) -> AuditedRows:
    """Return every row for the files beside the page.

    Labels that are wrong with a probability of at least :data:`SURE` are left out of `cleaned.csv` if the
    recommendation is to drop and relabel. Otherwise it has all rows. `all.parquet` has no probabilities if they take
    more than 1 GiB.

    Args:
        inputs: the inputs of the audit.
        ranked: the ranking of the labels.
        action: the recommendation.
    """
    examples = plan = None
    if inputs.dataset is not None and inputs.data is not None:
        examples = examples_of(inputs.dataset, inputs.data)
        plan = plan_training(inputs.dataset, inputs.data, action, inputs.observed, has_files=examples is not None)
    dropped_from = SURE if action == "drop and relabel" else None
    specification = None if plan is None else plan.toml
    numbers = int(ranked.curve.counts.sum()) * inputs.evidence.num_classes
    with_probs = numbers <= MOST_NUMBERS
    checked = inputs.evidence.reviewed
    judge = ranked.judge if checked is None else _with_reviewed(ranked.judge, checked.rows)
    return AuditedRows(inputs.evidence, judge, dropped_from, examples, specification, with_probs)


def _with_reviewed(
    judge: Callable[[LabelledBlock], dict[str, Tensor]], reviewed: Tensor
) -> Callable[[LabelledBlock], dict[str, Tensor]]:
    """Return a function that judges all rows; labels that were reviewed are not wrong."""

    def judge_all(block: LabelledBlock) -> dict[str, Tensor]:
        judged = judge(block)
        return {**judged, WRONG: judged[WRONG].masked_fill(torch.isin(block.rows, reviewed), 0.0)}

    return judge_all
