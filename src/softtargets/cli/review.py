"""The commands `audit export` and `audit import`: arguments in, messages out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.errors import DONE, RUNS_FAILED
from softtargets.cli.imports import without_collections
from softtargets.cli.progress import audit_progress
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.audit import ReviewOutcome
    from softtargets.audit.estimates import IntervalEstimate

# Files that are named after an export; a folder of images has many.
_SHOWN = 3

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of an audit (its --output).")]


class ReviewFormatName(StrEnum):
    """Formats for people who review labels."""

    page = "page"
    csv = "csv"
    label_studio = "label-studio"
    fiftyone = "fiftyone"


def export_command(
    folder: FolderArgument,
    to: Annotated[
        ReviewFormatName,
        typer.Option(
            help="page: review.html, to decide on one label after the other with the keyboard, without a server; csv: "
            "a table with an empty column for the label; label-studio: tasks with predictions, and the labeling "
            "configuration; fiftyone: a folder of images with their labels."
        ),
    ] = ReviewFormatName.page,
    first: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Number of suspects (default: all, at most 2,000).")
    ] = None,
    random: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of other labels, drawn at random. They show how many labels are wrong that are no suspects; "
            "200 are a good number.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed of the draw.")] = 0,
) -> None:
    """Write the suspects of an audit into files on which people decide."""
    with without_collections():
        from softtargets.audit import export_review

    files = export_review(folder, to.value, first=first, random=random, seed=seed)
    more = len(files) - _SHOWN
    write([*(f"wrote {path}" for path in files[:_SHOWN]), *([f"wrote {more:,} more files"] if more > 0 else [])])


def import_command(
    folder: FolderArgument,
    decisions: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="What people decided: the file of the page, a CSV file with the columns row and label ('?' for "
            '"cannot tell"; also reviewer), or the JSON export of Label Studio or FiftyOne. Several files can be '
            "given.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the results (default: FOLDER-reviewed)."),
    ] = None,
    audit: Annotated[
        bool, typer.Option(help="Audit the corrected labels, with models that are trained on them.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Worker processes (default: one per core).")
    ] = None,
) -> int:
    """Correct labels as people decided, compare with what was expected, and audit again."""
    with without_collections():
        from softtargets.audit import RunsFailedError, import_review

    try:
        with audit_progress() as on_progress:
            outcome = import_review(
                folder, decisions, output=output, audit_again=audit, workers=workers, on_progress=on_progress
            )
    except RunsFailedError as error:
        write(f"failed: {error}", error=True)
        return RUNS_FAILED
    write(show_outcome(outcome))
    return DONE


def show_outcome(outcome: "ReviewOutcome") -> list[str]:
    """Return lines: what was decided, what was expected, and what remains."""
    lines = [
        f"reviewed: {outcome.decided:,} labels by {', '.join(outcome.reviewers)}; {outcome.changed:,} were changed, "
        f"{outcome.unsure:,} nobody could tell, {outcome.disputed:,} are disputed",
    ]
    if (found := outcome.suspects) is not None:
        expected = found.expected
        lines.append(
            f"suspects: {found.wrong:,} of {found.rows:,} were wrong; expected {expected.estimate:,.0f} "
            f"({expected.low:,.0f} to {expected.high:,.0f}); for {found.suggested:,} of the wrong ones the suggestion "
            "was right"
        )
    if (sample := outcome.random) is not None:
        lines.append(
            f"random labels: {sample.wrong:,} of {sample.rows:,} were wrong; of all {sample.size:,} labels that were "
            f"not exported as suspects, {_percent(sample.rate)}"
        )
        lines.append(f"still wrong after the corrections, by the random labels: {_percent(sample.left)}")
    if (agreed := outcome.agreement) is not None:
        lines.append(
            f"reviewers: {100 * agreed.observed:.1f} % of the pairs of labels agree on {agreed.rows:,} rows; "
            f"Krippendorff's alpha {agreed.alpha.estimate:.3f} ({agreed.alpha.low:.3f} to {agreed.alpha.high:.3f})"
        )
    lines.insert(1, f"estimated wrong before: {_percent(outcome.before)}")
    if outcome.audit is not None and outcome.left is not None:
        suspects = len(outcome.audit.ranking.suspects)
        lines.append(f"still wrong after the corrections, by the second audit: {_percent(outcome.left)}")
        lines.append(f"suspects that are left to review: {suspects:,}")
        lines.append(f"page: {outcome.audit.page}")
    return [*lines, f"saved in {outcome.folder}: corrected.csv, reviewed.csv, review.json"]


def _percent(rate: "IntervalEstimate") -> str:
    low, middle, high = (100 * end for end in (rate.low, rate.estimate, rate.high))
    return f"{middle:.1f} % ({low:.1f} % to {high:.1f} %)"
