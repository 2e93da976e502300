"""Labels go to people, and their decisions come back."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from softtargets._errors import fail
from softtargets._storage import write_atomically
from softtargets.audit.checked import read_checked
from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.job import audit_labels
from softtargets.audit.results import AuditResults
from softtargets.audit.review.comparison import compare_random, compare_suspects
from softtargets.audit.review.corrected import corrected_csv
from softtargets.audit.review.folder import AuditFolder, read_audit
from softtargets.audit.review.formats import find_format, read_decisions
from softtargets.audit.review.items import choose_items
from softtargets.audit.review.pooling import pool
from softtargets.audit.review.results import ReviewOutcome
from softtargets.report.encoding import as_json
from softtargets.report.folders import read_folder, read_path, read_paths

REVIEWED, CORRECTED, OUTCOME = "reviewed.csv", "corrected.csv", "review.json"


def export_review(
    folder: str | Path, to: str = "page", *, first: int | None = None, random: int = 0, seed: int = 0
) -> tuple[Path, ...]:
    """Write the suspects of an audit into files on which people decide what the right labels are.

    Args:
        folder: the folder of an audit, which gets the files. An audit of a data set reads it again: call from the same
            working directory.
        to: "page", a page to decide on one label after the other (`review.html`); "csv"; "label-studio"; or "fiftyone",
            for images only.
        first: number of suspects, most suspect first (default: all, at most 2,000).
        random: number of other labels, drawn at random. They show how many labels are wrong that are no suspects; at
            least 20 are needed, and 200 are a good number.
        seed: of the draw.

    Returns:
        The paths of the files, the most important one first.

    Raises:
        InputError: no audit in the folder, an unknown format, or a format that cannot show what was audited.
    """
    chosen, audit = find_format(to), read_audit(folder)
    files = chosen.files(choose_items(audit, first=first, random=random, seed=seed))
    for name, data in files.items():
        (audit.path / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(audit.path / name, data)
    return tuple(audit.path / name for name in files)


def import_review(
    folder: str | Path,
    decisions: str | Path | Sequence[str | Path],
    *,
    output: str | Path | None = None,
    audit_again: bool = True,
    model: Any = None,
    workers: int | None = None,
    on_progress: Callable[[Any], None] = lambda state: None,
) -> ReviewOutcome:
    """Correct labels as people decided, compare this with what the audit expected, and audit the corrected labels.

    Where several people reviewed a row, the class that most of them chose counts. In the second audit, models are
    trained on the corrected labels, with the settings of the first one, and reviewed labels are no suspects. Decisions
    before the first audit (its option `reviewed`) are kept, unless the same rows were reviewed again.

    Args:
        folder: the folder of the audit whose suspects were reviewed.
        decisions: files of decisions: of the page or other CSV files with the columns row and label ("?" for "cannot
            tell"; also reviewer), or JSON exports of Label Studio or FiftyOne.
        output: folder for the results (default: the folder's name with "-reviewed").
        audit_again: whether to audit the corrected labels.
        model: the estimator of the audit, if it was passed as an object.
        workers: number of worker processes for training (default: one per core).
        on_progress: as in `AuditOptions`.

    Returns:
        ReviewOutcome. The output folder has `corrected.csv`, all rows with the corrected labels; `reviewed.csv`, the
        decisions; `review.json`; and the page and files of the second audit.

    Raises:
        InputError: a file that cannot be read, a row or class that there is not, or decisions on another audit.
        RunsFailedError: the training of a model of the second audit failed; the corrected labels are written before.
    """
    audit = read_audit(folder)
    paths = [read_path("decisions", path) for path in read_paths("decisions", decisions)]
    target = read_folder("output", audit.path.with_name(f"{audit.path.name}-reviewed") if output is None else output)
    if target.resolve() == audit.path.resolve():
        raise fail("output", "another folder than that of the audit", f"'{target}'", "choose another folder")
    found = pool(read_decisions(paths, audit), len(audit.class_names), audit.options.seed)
    if not found.labels:
        got = f"{found.unsure} rows that nobody could tell and {found.disputed} disputed ones"
        raise fail("decisions", "a decision on at least one row", got, "review more labels")
    rows = torch.tensor(sorted(found.labels))
    labels = torch.tensor([found.labels[row] for row in rows.tolist()])
    outcome = ReviewOutcome(
        folder=target,
        reviewers=found.reviewers,
        decided=len(rows),
        changed=int((audit.given[rows] != labels).sum()),
        unsure=found.unsure,
        disputed=found.disputed,
        suspects=compare_suspects(audit, found),
        random=compare_random(audit, found),
        agreement=found.agreement,
        before=IntervalEstimate(**audit.content["noise_rate"]),
    )
    target.mkdir(parents=True, exist_ok=True)
    known = {**_earlier(audit), **found.labels}
    write_atomically(target / REVIEWED, _checked_csv(known, audit.class_names))
    write_atomically(target / CORRECTED, corrected_csv(audit, found.labels))
    if audit_again:
        given = {"model": model, "workers": workers, "on_progress": on_progress}
        results = _audit_again(audit, target, given)
        outcome = replace(outcome, audit=results, left=_left(results))
    write_atomically(target / OUTCOME, as_json(outcome.to_dict()))
    return outcome


def _earlier(audit: AuditFolder) -> dict[int, int]:
    """Return the decisions before the audit, by row."""
    path = audit.options.reviewed
    if path is None:
        return {}
    checked = read_checked("reviewed", path, audit.class_names)
    return dict(zip(checked.rows.tolist(), checked.labels.tolist(), strict=True))


def _checked_csv(labels: dict[int, int], class_names: tuple[str, ...]) -> bytes:
    """Return a file that `audit --reviewed` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "label"])
    writer.writerows([row, class_names[labels[row]]] for row in sorted(labels))
    return text.getvalue().encode()


def _audit_again(audit: AuditFolder, target: Path, given: dict[str, Any]) -> AuditResults:
    settings = audit.settings
    model = given["model"] if audit.options.model is None else audit.options.model
    options = replace(audit.options, **{**given, "model": model}, reviewed=target / REVIEWED)
    if settings["data"] is None and settings["predictions"] is None:
        options = replace(options, class_names=audit.class_names)
        return audit_labels(audit.before, _probs(audit), output=target, options=options)
    if audit.content["command"] is None and given["model"] is None:
        required = "the estimator of the audit, which was passed as an object"
        raise fail("model", required, "none", "call softtargets.audit.import_review with model=, or do not audit again")
    return audit_labels(
        settings["labels"],
        settings["probs"],
        logits=settings["logits"],
        predictions=settings["predictions"],
        data=settings["data"],
        output=target,
        options=options,
    )


def _probs(audit: AuditFolder) -> torch.Tensor:
    if audit.probs is None:
        required = "held-out probabilities in all.parquet, of which the file has at most 2**28"
        raise fail(
            "folder", required, "none", "do not audit again here; pass your arrays with AuditOptions(reviewed=...)"
        )
    return audit.probs


def _left(results: AuditResults) -> IntervalEstimate:
    """Return the share of all labels that are wrong after the corrections, all of them among those not reviewed."""
    size = results.audited.num_rows
    number = results.ranking.cutoffs[-1].wrong
    return IntervalEstimate(number.estimate / size, number.low / size, number.high / size)
