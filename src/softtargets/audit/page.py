"""The page of an audit and its files."""

import math
from pathlib import Path
from typing import Any

from softtargets.audit.advice import SURE
from softtargets.audit.figures import draw_cutoffs, heat_map
from softtargets.audit.files import (
    annotators_csv,
    as_json,
    consensus_parquet,
    suspects_csv,
    suspects_parquet,
    transition_csv,
    votes_parquet,
)
from softtargets.audit.results import AuditResults, Confusion, ExamplePreview
from softtargets.report import numbers
from softtargets.report.frame import data_uri, put, render

TONES = {
    "keep": "reproduced",
    "compare corrections": "inconclusive",
    "drop and relabel": "contradicted",
    "get better predictions": "contradicted",
}
PRINCIPLES = {
    "mixture": "Mixture: noise and errors of the model fitted jointly",
    "sharp_mixture": "Sharp mixture: the same, with as much noise as the labels allow",
    "anchors": "Anchors: labels of the most confident predictions of each class",
    "confident_issues": "Confident issues: labels that are confidently contradicted",
    "trusted": "Checked labels: a random sample that was checked by hand, with the probabilities of all labels",
    "disagreement": "Disagreement: labels that differ from the prediction",
}
# Images up to this width are enlarged without smoothing.
SMALL = 64
_LARGE = 1e4


def write_page(results: AuditResults, folder: Path) -> Path:
    """Write the page of an audit and its files into `folder`, and return the path of the page.

    All files are renamed into place, so that none is ever incomplete. Those with every row are written block by block.
    """
    if results.rows is not None:
        results.rows.write(folder)
    return put(page_files(results), folder)


def page_files(results: AuditResults) -> dict[str, bytes]:
    """Return all files by name, the page last; equal results give equal bytes."""
    of_annotators = {}
    if results.annotators is not None:
        of_annotators = {
            "annotators.csv": annotators_csv(results),
            "consensus.parquet": consensus_parquet(results),
            "votes.parquet": votes_parquet(results),
        }
    return {
        **of_annotators,
        "suspects.csv": suspects_csv(results),
        "suspects.parquet": suspects_parquet(results),
        "transition.csv": transition_csv(results),
        "audit.json": as_json(results),
        "index.html": _page(results).encode(),
    }


def _page(results: AuditResults) -> str:
    drawing, ranking = draw_cutoffs(results), results.ranking
    context = {
        "results": results,
        "tone": _tone(results),
        "principles": PRINCIPLES,
        "sure": SURE,
        "interval_words": f"{100 * results.noise.confidence:g} % interval",
        "heat": heat_map(results),
        "share_of": lambda pair: _share_of(results, pair),
        "ranking": next(score for score in ranking.scores if score.name == ranking.ranked_by),
        "shown": [_shown(results, place, item) for place, item in enumerate(ranking.previews)],
        "preview_kind": _kind(ranking.previews),
        "drawing": drawing,
        "specs": drawing.page_specs("Wrong labels among the most suspect."),
        "image": drawing.still(),
        "table_cutoffs": [
            cutoff for cutoff in ranking.cutoffs if _is_round(cutoff.first) or cutoff is ranking.cutoffs[-1]
        ],
    }
    filters = {
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "condition": lambda value: numbers.number(value, "logits") if value < _LARGE else "above 10,000",
        "percent": _percent,
        "whole": lambda value: f"{value:,.0f}",
    }
    return render(Path(__file__).parent, context, charts=True, filters=filters)


def _tone(results: AuditResults) -> str:
    action = results.recommendation.action
    return "inconclusive" if action == "keep" and not results.noise.told else TONES[action]


def _percent(value: float | None, decimals: int = 1) -> str:
    """Return a fraction in percent, without the percent sign."""
    return numbers.NOTHING if value is None else f"{100 * value:.{decimals}f}"


def _share_of(results: AuditResults, pair: Confusion) -> float:
    return float(results.noise.estimate.transition.to_dense()[pair.clean, pair.observed])


def _kind(previews: tuple[ExamplePreview, ...]) -> str:
    first = previews[0] if previews else ExamplePreview()
    if first.picture is not None:
        return "pictures"
    return "texts" if first.text is not None else "values" if first.numbers else "bare"


def _shown(results: AuditResults, place: int, item: ExamplePreview) -> dict[str, Any]:
    suspects, names = results.ranking.suspects, results.audited.class_names
    given, suggested = names[int(suspects.given[place])], names[int(suspects.suggested[place])]
    reference = None if suspects.reference is None else names[int(suspects.reference[place])]
    return {
        "row": int(suspects.rows[place]),
        "given": given,
        "suggested": suggested,
        "likely": likely(float(suspects.wrong[place])),
        "reference": reference,
        "reference_differs": suspects.reference is not None
        and bool(suspects.reference[place] != suspects.given[place]),
        "picture": None if item.picture is None else data_uri("image/png", item.picture),
        "small": item.width <= SMALL,
        "alt": f"Row {int(suspects.rows[place])}, labelled {given}",
        "text": item.text,
        "numbers": [f"{value:g}" for value in item.numbers],
    }


def likely(wrong: float) -> str:
    """Return a probability in whole percent, at most "over 99 %"."""
    return "over 99 %" if wrong > 0.99 else f"{100 * wrong:.0f} %"


def _is_round(first: int) -> bool:
    """Whether it is 10 or more, and 1, 2 or 5 times a power of ten."""
    return first >= 10 and first / 10 ** math.floor(math.log10(first)) in (1, 2, 5)
