"""How many seeds the claims of a study need, from a small pilot with seeds of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Unpack

from softtargets._errors import fail
from softtargets._storage import write_atomically
from softtargets.metrics.power import pairs_needed, smallest_distance, upper_deviation
from softtargets.metrics.statistics import pearson
from softtargets.report.encoding import as_json
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.runs.workers import count_workers
from softtargets.studies.expand import expand, term_cells, trained_cells
from softtargets.studies.job import page_folder
from softtargets.studies.judge import LEVEL, Contrast, contrast
from softtargets.studies.measure import measure_runs
from softtargets.studies.plan import StudyPlan, check_packages, draft, on_its_data
from softtargets.studies.records import CellKey, CellRecord, FamilyName, Reported
from softtargets.studies.request import MOST_SEEDS, StudyOptions, StudyRequest
from softtargets.studies.schema import Claim, Study
from softtargets.train.graph import prerequisites
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all

# The first seed of a pilot. Seeds of studies, with the offsets of arms, are below it.
FIRST_SEED = 1_000_000
PILOT_SEEDS = 4
MOST_PILOT_SEEDS = 100
POWER = 0.8
CONFIDENCE = 0.8
FILE = "power.json"


@dataclass(frozen=True)
class ClaimPower:
    """The number of seeds that one claim needs.

    Args:
        claim: id of the claim.
        family: primary, secondary, or all if the setting has no primary claims.
        level: level at which it is planned: 0.05 divided by the number of claims of its family, the first and most
            demanding step of Holm's procedure. Secondary claims are tested only after decided primary ones.
        n: number of seeds of the pilot that have a contrast.
        deviation: standard deviation of the contrast over the seeds of the pilot; None if n is below 2.
        upper: upper 80 % confidence limit of the deviation, with which the seeds are planned.
        expected: the contrast that is expected; None if neither the claim nor the paper states one.
        source: where it is from: the claim, the paper's numbers, or neither (empty text).
        seeds: number of seeds for a decision with a probability of 80 % if the contrast is as expected; None if it is
            above 1,000, or unknown.
        smallest: smallest distance of the contrast from its boundary that the planned seeds decide with a probability
            of 80 %; None if n is below 2.
        seconds: seconds of computing that one seed of the claim's runs takes, teachers included.
        reason: why nothing can be said; else empty text.
    """

    claim: str
    family: FamilyName
    level: float
    n: int
    deviation: float | None = None
    upper: float | None = None
    expected: float | None = None
    source: Literal["", "claim", "paper"] = ""
    seeds: int | None = None
    smallest: float | None = None
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class StudyPower:
    """The numbers of seeds that the claims of a study need at a scale.

    Args:
        plan: the pilot.
        planned: number of seeds of the scale, or the requested one.
        pilot_seeds: number of seeds of the pilot.
        claims: the claims of the selected outputs that can be run.
        seconds: seconds of computing that one seed of all these runs takes.
        workers: number of worker processes for which times are estimated.
        path: the JSON file.
    """

    plan: StudyPlan
    planned: int
    pilot_seeds: int
    claims: tuple[ClaimPower, ...]
    seconds: float
    workers: int
    path: Path

    def __repr__(self) -> str:
        return f"<StudyPower of {self.plan.study.name}: {len(self.claims)} claims, {self.pilot_seeds} pilot seeds>"

    @property
    def needed(self) -> int | None:
        """Seeds for all primary claims, or for all claims if there are no primary ones; None if not known for one."""
        first = [claim.seeds for claim in self.claims if claim.family in ("primary", "all")]
        known = [seeds for seeds in first if seeds is not None]
        return max(known) if known and len(known) == len(first) else None

    def seconds_of(self, seeds: int) -> float:
        """Return the estimated wall-clock seconds of all runs with this number of seeds."""
        return self.seconds * seeds / self.workers

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return {
            "study": self.plan.study.name,
            "scale": self.plan.request.scale,
            "outputs": list(self.plan.outputs),
            "level": LEVEL,
            "power": POWER,
            "confidence": CONFIDENCE,
            "planned_seeds": self.planned,
            "pilot_seeds": self.pilot_seeds,
            "first_pilot_seed": FIRST_SEED,
            "needed_seeds": self.needed,
            "seconds_per_seed": self.seconds,
            "workers": self.workers,
            "claims": [asdict(claim) for claim in self.claims],
        }


def estimate_power(
    study: str | Path,
    output: str | None = None,
    *,
    pilot_seeds: int = PILOT_SEEDS,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
    **options: Unpack[StudyOptions],
) -> StudyPower:
    """Train a pilot, and estimate how many seeds each claim needs for a decision.

    The pilot has the arms, data and settings of the study, and seeds of its own from 1,000,000, so that no run of the
    study is seen. Its runs are kept in the store. Only the standard deviations of the contrasts are used and returned.
    The numbers are written to ``power.json`` in the folder of the study's page.

    Args:
        study, output, options: see :func:`softtargets.studies.run_study`.
        pilot_seeds: number of seeds, from 2 to 100.
        workers: number of worker processes; None: number of cores divided by the threads of a run.
        on_progress: called during training and measuring.

    Raises:
        InputError: an invalid argument, study or data set; raised before any training.
    """
    if type(pilot_seeds) is not int or not 2 <= pilot_seeds <= MOST_PILOT_SEEDS:
        required = f"a whole number from 2 to {MOST_PILOT_SEEDS}"
        raise fail("pilot_seeds", required, repr(pilot_seeds), "leave it out for 4")
    request = StudyRequest.of(study, output, options)
    store, made = RunStore(request.runs), draft(request)
    check_packages(made)
    pilot = on_its_data(_pilot(made, pilot_seeds), store)
    train_all(pilot.resolved, store, workers=workers, on_progress=on_progress)
    cells = measure_runs(pilot, store, workers=workers, on_progress=on_progress)
    planned = request.seeds or pilot.study.scales[request.scale].seeds  # pyright: ignore[reportArgumentType]
    threads = max((run.run.training.threads for run in pilot.resolved), default=1)
    found = StudyPower(
        plan=pilot,
        planned=planned,
        pilot_seeds=pilot_seeds,
        claims=tuple(_claims(pilot, cells, store, planned)),
        seconds=_seconds(pilot.resolved, store) / pilot_seeds,
        workers=count_workers(workers, threads),
        path=page_folder(request, pilot) / FILE,
    )
    found.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(found.path, as_json(found.to_dict()))
    return found


def _pilot(made: StudyPlan, seeds: int) -> StudyPlan:
    """Return the plan of the runs that the claims of the selected outputs need, with the seeds of the pilot."""
    study, request = made.study, made.request
    claims = [claim for claim in study.claims if claim.output in made.outputs]
    needed = {own for claim in claims for own in _trained(study, claim, request.scale)}
    places = {"data": request.choice, "places": request.places}
    runs = expand(study, request.scale, made.outputs, seeds=seeds, first=FIRST_SEED, **places)
    return replace(made, planned=tuple(run for run in runs if run.key in needed))


def _trained(study: Study, claim: Claim, scale: str) -> set[CellKey]:
    """Return the cells whose runs the numbers of a claim are measured from."""
    keys = (key for term in claim.terms for key in term_cells(study, term, scale))
    return {own for key in keys for own in trained_cells(study, key)}


def _claims(pilot: StudyPlan, cells: Sequence[CellRecord], store: RunStore, planned: int) -> Iterator[ClaimPower]:
    study, scale = pilot.study, pilot.request.scale
    records = {(cell.key, cell.seed): cell for cell in cells}
    seeds = len({item.seed for item in pilot.planned})
    for claim in study.claims:
        if claim.output not in pilot.outputs or not claim.terms:
            continue
        keys = _trained(study, claim, scale)
        own = [resolved for item, resolved in pilot.runs if item.key in keys]
        family, level = _place(study, claim)
        base = ClaimPower(claim.id, family, level, 0, seconds=_seconds(own, store) / seeds)
        measured = contrast(study, scale, claim, records)
        if isinstance(measured, str):
            yield replace(base, reason=measured)
        else:
            yield _planned(base, measured, expectation(study, scale, claim, pilot.loaded.reported), planned)


def _place(study: Study, claim: Claim) -> tuple[FamilyName, float]:
    """Return the family of a claim, and the level of the first step of Holm's procedure in it."""
    whole = study.claims_of(study.outputs[claim.output].setting)
    family = [one for one in whole if one.terms and one.primary == claim.primary]
    divided = any(one.primary for one in whole)
    name: FamilyName = "all" if not divided else "primary" if claim.primary else "secondary"
    return name, LEVEL / len(family)


def _planned(
    base: ClaimPower, measured: Contrast, expected: tuple[float | None, Literal["", "claim", "paper"]], planned: int
) -> ClaimPower:
    """Add the numbers of seeds, from the deviation of the pilot and the expected contrast."""
    deviation = measured.standard_error * measured.n**0.5
    upper = upper_deviation(deviation, measured.n, CONFIDENCE)
    value, source = expected
    bounds, level = measured.claim.boundaries, base.level
    needed = None if value is None else pairs_needed(value, bounds, upper, level, power=POWER, most=MOST_SEEDS)
    return replace(
        base,
        n=measured.n,
        deviation=deviation,
        upper=upper,
        expected=value,
        source=source,
        seeds=needed,
        smallest=smallest_distance(upper, planned, level, power=POWER),
    )


def expectation(
    study: Study, scale: str, claim: Claim, reported: Sequence[Reported]
) -> tuple[float | None, Literal["", "claim", "paper"]]:
    """Return the contrast that is expected and its source: the claim, or else the numbers of the paper.

    If the paper prints numbers for several data sets or models, the contrast nearest to the boundary is returned, which
    needs the most seeds.
    """
    if claim.expected is not None:
        return claim.expected, "claim"
    owners: dict[tuple[str, str], dict[tuple[CellKey, str], float]] = {}
    for row in reported:
        if row.output == claim.output:
            owners.setdefault((row.dataset, row.model), {})[row.key, row.metric] = row.mean
    values = [value for known in owners.values() if (value := _printed(study, scale, claim, known)) is not None]
    if not values:
        return None, ""
    return min(values, key=lambda value: min(abs(value - boundary) for boundary in claim.boundaries)), "paper"


def _printed(study: Study, scale: str, claim: Claim, known: Mapping[tuple[CellKey, str], float]) -> float | None:
    """Return the contrast of printed numbers; None if one of them is not printed."""
    columns = []
    for term in claim.terms:
        spots = [(key, term.metric) for key in term_cells(study, term, scale)]
        if not all(spot in known for spot in spots):
            return None
        columns.append([known[spot] for spot in spots])
    if claim.statistic == "correlation":
        return pearson(*columns)
    return sum(term.weight * sum(column) / len(column) for term, column in zip(claim.terms, columns, strict=True))


def _seconds(runs: Sequence[ResolvedRun], store: RunStore) -> float:
    """Return the training seconds of runs and of the runs that they need, each counted once."""
    found: dict[str, float] = {}

    def add(run: ResolvedRun) -> None:
        if run.identity not in found:
            result = store.result(run.identity)
            found[run.identity] = 0.0 if result is None else result["seconds"]
            for other in prerequisites(run):
                add(other)

    for run in runs:
        add(run)
    return sum(found.values())
