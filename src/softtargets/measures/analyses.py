"""Numbers of a finished run that need its network and data, computed where a study names them and kept in `derived`."""

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from softtargets._errors import InputError, InputTypeError
from softtargets._spec import Classes
from softtargets.runs.spec import ResolvedRun, canonical_json
from softtargets.runs.store import RunStore

# Raised by hand when a change alters an analysis; kept numbers of an older version are computed again.
ANALYSES_VERSION = 1

# What may go wrong with one run: its data are gone, a file of it is, or it is of no use to an analysis.
FAILURES = (InputError, InputTypeError, OSError, RuntimeError)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Analysis:
    """What a number is called and shown in.

    Args:
        label: for people.
        unit: as of :class:`softtargets.measures.measure.Measure`.
        describes: one sentence or more.
        group: what is computed together, one of `analyses_of_networks.GROUPS`; of a trace, a column of the history.
        needs_classes: whether it is of three classes, which the scale names.
    """

    label: str
    unit: Literal["percent", "fraction", "nats", "logits", "factor", "epochs"]
    describes: str
    group: str
    needs_classes: bool = False


_SAMPLE = "Of what the last layer is given for some 5,000 training examples, every class by its share, and true labels"


def _distances(split: str) -> dict[str, Analysis]:
    plane = (
        f"On the plane of the three classes' templates, {split} split, true labels, in units of the spread within them"
    )
    described = {
        "dc": ("Dc, similar classes", f"Distance of the centroids of the two similar classes. {plane}."),
        "d1": ("D1, nearest of the other", f"Distance of the other class's nearest 5 % to their centre. {plane}."),
        "d2": ("D2, farthest of the other", f"Distance of the other class's farthest 5 % to their centre. {plane}."),
        "ratio": ("D1 / D2", f"Nearest over farthest 5 % of the other class. {plane}."),
    }
    return {
        f"projection.{name}.{split}": Analysis(
            f"{label} ({split})", "factor", text, f"projection.{split}", needs_classes=True
        )
        for name, (label, text) in described.items()
    }


ANALYSES: dict[str, Analysis] = {
    "nc1": Analysis(
        "NC1, variation within classes",
        "fraction",
        f"{_SAMPLE}: variation within classes in units of that between them (Papyan et al. 2020).",
        "collapse",
    ),
    "nc2.norms": Analysis(
        "NC2, unequal norms",
        "fraction",
        f"{_SAMPLE}: standard deviation over mean of the centred class means' norms.",
        "collapse",
    ),
    "nc2.angles": Analysis(
        "NC2, unequal angles",
        "fraction",
        f"{_SAMPLE}: mean distance of the cosines of two centred class means from -1/(K - 1).",
        "collapse",
    ),
    "nc3": Analysis(
        "NC3, weights against means",
        "fraction",
        f"{_SAMPLE}: squared distance of the last layer's weight to the centred class means, both scaled to norm 1.",
        "collapse",
    ),
    "nc4": Analysis(
        "NC4, not the nearest mean",
        "percent",
        f"{_SAMPLE}: share of examples that the network does not give the class of the nearest mean.",
        "collapse",
    ),
    "separation": Analysis(
        "class separation R²",
        "fraction",
        f"{_SAMPLE}: share of cosine distance between examples that is one between classes (Kornblith et al. 2021).",
        "separation",
    ),
    "within": Analysis(
        "distance within classes",
        "fraction",
        f"{_SAMPLE}: mean cosine distance of two examples of a class.",
        "separation",
    ),
    "probe.accuracy": Analysis(
        "accuracy of a linear probe",
        "percent",
        f"{_SAMPLE}: accuracy on the test split of logistic regression, its penalty chosen on the validation split, or "
        "without one on every fifth example held out.",
        "probe",
    ),
    **_distances("train"),
    **_distances("test"),
    "information": Analysis(
        "information about the example",
        "nats",
        "Mutual information between the example and the difference of two logits of it under the run's augmentation, "
        "20 draws each, of at most 300 training examples of each of two different classes, by their true labels: log 2 "
        "where it says no more than the class (Müller et al. 2019, Fig. 6).",
        "information",
        needs_classes=True,
    ),
}

TRACES: dict[str, Analysis] = {
    "objective": Analysis(
        "training loss", "nats", "What was minimised, its mean over the batches of an epoch.", "objective"
    ),
    "validation_accuracy": Analysis(
        "validation accuracy",
        "percent",
        "Accuracy on the validation split, against the observed labels.",
        "validation_accuracy",
    ),
    "validation_nll": Analysis(
        "validation NLL",
        "nats",
        "Mean negative log-likelihood of the observed labels of the validation split.",
        "validation_nll",
    ),
    "information": ANALYSES["information"],
}


def analyse(
    resolved: ResolvedRun, store: RunStore, names: Collection[str], classes: Classes | None
) -> tuple[dict[str, float], str]:
    """Compute analyses of a finished run.

    Returns:
        Those of `names` that are defined for it, and why the others are not; empty where nothing went wrong.
    """
    found: dict[str, float] = {}
    problems: list[str] = []
    for group in dict.fromkeys(ANALYSES[name].group for name in names):
        try:
            found.update(_group(resolved, store, group, classes))
        except FAILURES as error:
            problems.append(f"{group} not computed: {error}")
    return {name: found[name] for name in names if name in found}, "; ".join(problems)


def _group(resolved: ResolvedRun, store: RunStore, group: str, classes: Classes | None) -> dict[str, float]:
    def compute() -> dict[str, float]:
        from softtargets.measures.networks import GROUPS, analysed

        with analysed(resolved, store, classes) as subject:
            values = GROUPS[group](subject)
        # what is not defined, such as angles of classes that share a mean, is left out
        return {name: value for name, value in values.items() if math.isfinite(value)}

    return kept(resolved, store, {"group": group, "classes": classes}, compute)


def kept(resolved: ResolvedRun, store: RunStore, what: dict[str, Any], compute: Callable[[], Value]) -> Value:
    """Return what was computed before of this run, or compute and keep it.

    Args:
        resolved: a finished run.
        store: that has it.
        what: all that the value depends on besides the run and the version of the analyses; JSON data.
        compute: returns JSON data.
    """
    key = canonical_json({"analysis": what, "version": ANALYSES_VERSION})
    known = store.derived(resolved.identity, key)
    if known is None:
        known = compute()
        # only a cache: on a full disk the page is still written
        with suppress(OSError):
            store.put_derived(resolved.identity, key, known)
    return known
