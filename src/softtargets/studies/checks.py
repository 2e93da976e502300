"""What `study.toml` names, checked against what there is to measure."""

from collections.abc import Iterable
from pathlib import Path

from softtargets._errors import InputError, fail, unknown
from softtargets.measures import MEASURES, TRACES
from softtargets.measures.calibration import DIAGRAMS
from softtargets.studies.catalog import STUDY
from softtargets.studies.schema import Output, Study

# What kinds of output show instead of any measure.
DRAWN: dict[str, tuple[str, ...]] = {
    "density": tuple(metric for metric in MEASURES if metric.startswith("gap.")),
    "reliability": tuple(DIAGRAMS),
    "trace": tuple(TRACES),
}
# Kinds that are of splits of the data.
SPLIT = ("projection", "classes")


def check_study(study: Study, folder: Path) -> None:
    """Require that the outputs and claims of a study in this folder name measures, and classes where these need some.

    Raises:
        InputError: naming the file, the key and the nearest valid name.
    """
    try:
        for name, output in study.outputs.items():
            _check_output(f"outputs.{name}", output, study)
        for claim in study.claims:
            for term in claim.terms:
                _check_metric(f"claim {claim.id}", "metric", term.metric, MEASURES)
            metrics = [term.metric for term in claim.terms]
            _check_classes(f"claim {claim.id}", metrics, study.outputs[claim.output], study)
    except InputError as error:
        raise InputError(f"{folder / STUDY}: {error}") from None


def _check_output(place: str, output: Output, study: Study) -> None:
    """Require that an output names what its kind shows, and nothing that it does not."""
    names = [*output.metrics, *([output.x] if output.x is not None else [])]
    for metric in names:
        _check_metric(place, f"metric of a {output.kind}", metric, DRAWN.get(output.kind, MEASURES))
    _check_classes(place, names, output, study)
    if output.kind not in SPLIT and output.splits:
        raise fail(f"{place}.splits", f"given with {' or '.join(map(repr, SPLIT))}", repr(output.kind), "drop them")
    if (output.kind == "against") != (output.x is not None):
        required = "given with 'against', and only there"
        raise fail(f"{place}.x", required, f"{output.x!r} with '{output.kind}'", "name the metric along the axis")


def _check_metric(place: str, argument: str, metric: str, known: Iterable[str]) -> None:
    if metric not in known:
        raise InputError(f"{place}: {unknown(argument, metric, known)}")


def _check_classes(place: str, metrics: Iterable[str], output: Output, study: Study) -> None:
    """Require three classes at every scale where some metric, or what the output shows, is of three classes."""
    needing = [f"'{metric}'" for metric in metrics if (MEASURES | TRACES)[metric].needs_classes]
    needing += ["a projection"] if output.kind == "projection" else []
    if not needing or output.unavailable is not None:
        return
    for name, scale in study.scales_of(output).items():
        classes, data = scale.classes, scale.expects
        if classes is None:
            required = f"three at every scale, for {needing[0]}"
            raise fail(f"{place}: classes", required, f"none at '{name}'", "name them there")
        if len(set(classes)) < 3 or min(classes) < 0 or (data is not None and max(classes) >= data.num_classes):
            remedy = "give numbers of three classes of the data"
            raise fail(f"{place}: classes", "three different ones of the data", f"{classes} at '{name}'", remedy)
