"""A comparison: inputs, plan, choice of hyper-parameters, runs of the verdict, verdict, results, page."""

import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.compare.advice import JudgedMethod, advise, no_better_than_guessing, status_of
from softtargets.compare.inputs import CompareInputs, gather
from softtargets.compare.measures import MEASURES
from softtargets.compare.methods import BASELINE, METHODS, DataFacts, MethodCandidate, chosen_methods
from softtargets.compare.plan import ComparePlan, plan_comparison
from softtargets.compare.protocol import limits_of, protocol_of, votes_measured
from softtargets.compare.request import CompareOptions, CompareRequest, CompareStage, ComparisonFailedError, OnStage
from softtargets.compare.results import (
    ComparedData,
    ComparedMethodResult,
    CompareProvenance,
    CompareResults,
    SkippedMethod,
)
from softtargets.compare.scores import guessed, scores_of
from softtargets.compare.selection import ChosenSettings, finalists_of, select
from softtargets.compare.specification import specification_of
from softtargets.compare.training import Trainings
from softtargets.compare.verdict import MethodVerdict, judge, temperature_differences, wrong_rows
from softtargets.data.dataset import Dataset
from softtargets.report.encoding import encodable, printable
from softtargets.report.folders import read_folder
from softtargets.runs.listing import in_short


def compare_methods(
    data: str | Path, *, output: str | Path | None = None, options: CompareOptions | None = None
) -> CompareResults:
    """Find out which training method is better than cross entropy on a data set, beyond chance.

    All methods train the same network on the same split with paired seeds. Hyper-parameters are chosen on the
    validation split, whose labels are as noisy as those of the training split, with seeds of their own. The test split
    is read once, for the verdict: paired differences from cross entropy, whose uncertainty counts the seeds and the
    test examples. If no method is better beyond chance, the result says so.

    Args:
        data: "digits", a file or folder, or a name on the Hugging Face Hub.
        output: folder for the page and its files (default: see `CompareOptions.reports`).
        options: columns of the data, the network, the methods, the budget, seeds, progress.

    Returns:
        CompareResults. :func:`write_page` writes its page and files.

    Raises:
        InputError: for invalid input, before anything is trained: also for data that are too small, a split that lacks
            a class, an unknown method, a method that the data rule out, and a budget that is too short.
        InputTypeError: for arguments of the wrong type.
        ComparisonFailedError: if the training with cross entropy failed.
        OSError: if the page cannot be written.

    Notes:
        Runs are kept in the run store, so a comparison that was interrupted continues. Methods that fail to train are
        listed with the reason.

    Complexity:
        The default compares 12 methods with 5 repetitions, about 120 runs. `softtargets.compare.CompareOptions(
        budget="30m")` plans what fits into a time.

    Limitations:
        One split and one network: other splits, networks or recipes may give another result. If the labels of the test
        split are wrong, the differences are those on wrong labels.
    """
    options = CompareOptions() if options is None else options
    if not isinstance(options, CompareOptions):
        raise fail_type("options", "CompareOptions", type(options).__name__, "write CompareOptions(seeds=5)")
    if not isinstance(data, str | Path):
        raise fail_type("data", "a name or a path", type(data).__name__, "write the rows to a file, such as a CSV")
    if not str(data):
        raise fail("data", "a name or a path", "empty text", "give a file, a folder or 'digits'")
    folder = None if output is None else read_folder("output", output)
    request = CompareRequest(str(data), folder, options)

    def on_stage(name: str) -> None:
        options.on_progress(CompareStage(name))

    on_stage("reading")
    results = _compare(request, on_stage)
    folder = _folder(request, results.data.name)
    if folder is None:
        return results
    on_stage("writing the page")
    # imported here, since the drawing tools take 0.4 s and 40 MB
    from softtargets.compare.page import write_page

    return replace(results, page=write_page(results, folder))


def _compare(request: CompareRequest, on_stage: OnStage) -> CompareResults:
    inputs, options = gather(request), request.options
    facts = DataFacts.of(inputs.dataset)
    methods, refused = chosen_methods(options.methods, facts)
    plan = plan_comparison(inputs, methods, options)
    trainings = Trainings(inputs, options, on_stage)
    selection = select(trainings, plan.methods, usual=plan.usual, ranked=plan.finalists is not None)
    finalists, skipped = _finalists(plan, selection, replace(facts, noise=selection.noise), refused)
    candidates = {name: selection.chosen[name] for name in finalists if METHODS[name].trains}
    candidates = {BASELINE: METHODS[BASELINE].candidates()[0], **candidates}
    wanted = [(candidate, seed) for seed in range(plan.seeds) for candidate in candidates.values()]
    trainings.train(wanted, "repetitions of the verdict")
    measured, failed = _measured(trainings, candidates, plan.seeds)
    on_stage("comparing")
    scores = {name: found.scores for name, found in measured.items() if name != BASELINE}
    verdicts = judge(measured[BASELINE].scores, scores)
    plain = measured[BASELINE].scores
    verdicts[BASELINE] = MethodVerdict({}, temperature_differences(plain), wrong_rows=wrong_rows(plain))
    judged = {
        name: JudgedMethod(candidates[name].label, candidates[name].members, found.values, verdicts[name])
        for name, found in measured.items()
    }
    advice = advise(judged, temperature="temperature" in plan.methods)
    guess = guessed(trainings.outputs(candidates[BASELINE], 0), _most_frequent(inputs.dataset))
    advice = replace(advice, sentences=(*no_better_than_guessing(plain["accuracy"], guess), *advice.sentences))
    return CompareResults(
        data=_data(inputs, selection),
        methods=tuple(
            _result(name, candidates[name], measured, verdicts[name], advice.method, selection) for name in measured
        ),
        skipped=tuple(
            SkippedMethod(name, METHODS[name].label, reason)
            for name, reason in {**skipped, **failed}.items()
            if name not in measured
        ),
        advice=advice,
        specification=specification_of(inputs, candidates[advice.method], temperature=advice.temperature),
        provenance=CompareProvenance(
            command=request.command,
            plan=plan,
            protocol=protocol_of(inputs, plan),
            limits=limits_of(inputs, plan, selection),
            seconds=sum(sum(found.times) for found in measured.values()),
            versions=_versions(),
        ),
    )


def _most_frequent(dataset: Dataset) -> int:
    """Return the index of the class with most labels, or votes, in the training split."""
    rows = dataset.labelled_train
    if dataset.votes is not None:
        return int(dataset.votes[rows].sum(0).argmax())
    return int(dataset.labels[rows].bincount(minlength=dataset.num_classes).argmax())


def _finalists(
    plan: ComparePlan, selection: ChosenSettings, facts: DataFacts, refused: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the methods of the verdict, and why others are not in it."""
    skipped = dict(refused)
    skipped |= dict.fromkeys(plan.dropped, "the budget does not allow it")
    skipped |= {name: f"its training failed: {message}" for name, message in selection.failed.items()}
    usable = []
    for name in plan.methods:
        reason = METHODS[name].refused(facts)
        if reason is not None:
            skipped[name] = reason
        elif name not in selection.failed:
            usable.append(name)
    finalists = finalists_of(selection, usable, plan.finalists)
    lost = "the budget allows a verdict on fewer methods, and its NLL on the validation split is not among the lowest"
    skipped |= {name: lost for name in usable if name not in finalists}
    return finalists, skipped


class _Measured:
    """The scores, temperatures and times of all repetitions of a method."""

    def __init__(self, trainings: Trainings, candidate: MethodCandidate, seeds: int) -> None:
        parts: dict[str, list[Tensor]] = {measure: [] for measure in MEASURES}
        temperatures, times = [], []
        for seed in range(seeds):
            outputs = trainings.outputs(candidate, seed)
            scores, temperature = scores_of(outputs)
            temperatures.append(temperature)
            times.append(outputs.seconds)
            for measure, values in parts.items():
                values.append(scores[measure])
        self.scores = {measure: torch.stack(values) for measure, values in parts.items()}
        self.values = {measure: float(scores.mean()) for measure, scores in self.scores.items()}
        self.temperatures, self.times = tuple(temperatures), tuple(times)

    def cost(self, baseline: "_Measured") -> float:
        """Return the time as a multiple of that of cross entropy.

        It is the ratio of the shortest times, since the load that other programs put on the machine only adds time.
        """
        return min(self.times) / max(min(baseline.times), 1e-9)


def _measured(
    trainings: Trainings, candidates: Mapping[str, MethodCandidate], seeds: int
) -> tuple[dict[str, _Measured], dict[str, str]]:
    """Return what was measured of each method, and why others failed."""
    found: dict[str, _Measured] = {}
    failed: dict[str, str] = {}
    for name, candidate in candidates.items():
        messages = [trainings.failure(candidate, seed) for seed in range(seeds)]
        message = next((one for one in messages if one is not None), None)
        if message is None:
            found[name] = _Measured(trainings, candidate, seeds)
        elif name == BASELINE:
            raise ComparisonFailedError(f"training with cross entropy failed: {message}")
        else:
            failed[name] = f"its training failed: {message}"
    return found, failed


def _result(
    name: str,
    candidate: MethodCandidate,
    measured: Mapping[str, _Measured],
    verdict: MethodVerdict,
    advised: str,
    selection: ChosenSettings,
) -> ComparedMethodResult:
    found = measured[name]
    return ComparedMethodResult(
        name=name,
        label=candidate.label,
        objective=candidate.objective,
        members=candidate.members,
        values=found.values,
        temperatures=found.temperatures,
        seconds=fmean(found.times),
        cost=found.cost(measured[BASELINE]),
        status=status_of(name, advised, verdict),
        verdict=verdict,
        tried={score.candidate.label: score.nll for score in selection.scores if score.candidate.method == name},
    )


def _data(inputs: CompareInputs, selection: ChosenSettings) -> ComparedData:
    dataset = inputs.dataset
    model = {key: list(value) if isinstance(value, tuple) else value for key, value in inputs.content["model"].items()}
    network = in_short({"name": model.pop("import"), **model} if "import" in model else model)
    return ComparedData(
        name=printable(dataset.name),
        rows={split: len(rows) for split, rows in dataset.labelled_splits.items()},
        class_names=tuple(map(encodable, dataset.class_names)),
        network=printable(network),
        noise=inputs.noise,
        noise_estimate=selection.noise_found,
        noisy=not selection.noise,
        votes=votes_measured(inputs),
    )


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("softtargets", "torch")}
    return {**packages, "python": platform.python_version()}


def _folder(request: CompareRequest, name: str) -> Path | None:
    """Return the folder of the page; None for no page."""
    if request.output is not None or request.options.reports is None:
        return request.output
    return request.options.reports / re.sub(r"[^\w.-]+", "_", f"compare-{name}").lstrip(".")
