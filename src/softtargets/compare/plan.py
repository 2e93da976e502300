"""The plan of a comparison: which methods, with how many repetitions and candidates, within a time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from softtargets._errors import fail
from softtargets.compare.inputs import CompareInputs
from softtargets.compare.methods import BASELINE, METHODS
from softtargets.compare.request import LEAST_SEEDS, SEEDS, CompareOptions
from softtargets.compare.selection import rungs
from softtargets.report.numbers import duration
from softtargets.runs.spec import canonical_json
from softtargets.runs.workers import count_workers
from softtargets.train.estimate import estimate_run_time

# Fewest repetitions with which a budget keeps all methods.
FEW_SEEDS = 3
# Methods need somewhat more time than cross entropy, which is measured.
SLOWER = 1.25
# Increase if a change alters the plan for a time: kept plans are then made again.
PLAN_VERSION = 1


@dataclass(frozen=True)
class ComparePlan:
    """What is trained.

    Args:
        methods: names, without the baseline.
        seeds: repetitions of each method in the verdict.
        finalists: number of methods that go on to the verdict, those with the lowest NLL on the validation split;
            None: all.
        usual: whether each method has its usual setting, without a choice.
        runs: number of runs, at most.
        dropped: methods that the time does not allow.
        seconds: estimated time of all runs; None without a budget.
        run_seconds: measured time of one run of cross entropy; None without a budget.
    """

    methods: tuple[str, ...]
    seeds: int
    finalists: int | None = None
    usual: bool = False
    runs: int = 0
    dropped: tuple[str, ...] = ()
    seconds: float | None = None
    run_seconds: float | None = None


def plan_comparison(inputs: CompareInputs, methods: Sequence[str], options: CompareOptions) -> ComparePlan:
    """Return what is trained: everything, or what the budget allows.

    The time of a run is measured once, with a short pilot of cross entropy. The plan is kept in the run store, so that
    a comparison that was interrupted continues with the same plan.

    Raises:
        InputError: a budget that is too short for two repetitions of one method; it names the least budget.
    """
    whole = _counted(ComparePlan(tuple(methods), options.seeds or SEEDS))
    if options.seconds is None:
        return whole
    baseline = inputs.resolved(METHODS[BASELINE].objective, 0)
    key = canonical_json(
        {"compare": PLAN_VERSION, "methods": list(methods), "budget": options.seconds, "seeds": options.seeds}
    )
    kept = inputs.store.derived(baseline.identity, key)
    if kept is not None:
        return ComparePlan(**{**kept, "methods": tuple(kept["methods"]), "dropped": tuple(kept["dropped"])})
    workers = count_workers(options.workers, baseline.run.training.cores)
    seconds = estimate_run_time(baseline.run, inputs.dataset, workers=workers).seconds
    plan = within(whole, options.seconds, seconds, workers, fixed=options.seeds is not None)
    inputs.store.put_derived(baseline.identity, key, {**vars(plan)})
    return plan


def within(whole: ComparePlan, budget: float, run_seconds: float, workers: int, *, fixed: bool = False) -> ComparePlan:
    """Return the largest plan whose estimated time is within a budget.

    In this order: fewer repetitions, down to 3; half of the methods in the verdict, then a quarter, and so on; the
    usual setting of each method without a choice; fewer methods, those at the end of the registry first; two
    repetitions.

    Args:
        whole: the plan without a budget.
        budget: seconds.
        run_seconds: time of one run of cross entropy.
        workers: runs at a time.
        fixed: whether the number of repetitions must be kept.

    Raises:
        InputError: if the smallest plan takes longer.
    """
    each = SLOWER * run_seconds / workers
    smallest = whole
    for plan in _smaller(whole, fixed=fixed):
        smallest = _counted(plan)
        if smallest.runs * each <= budget:
            return replace(smallest, seconds=smallest.runs * each, run_seconds=run_seconds)
    needed = math.ceil(smallest.runs * each)
    required = f"at least {duration(needed)} for {smallest.seeds} repetitions of cross entropy and one method"
    got = f"{duration(budget)}, at {duration(run_seconds)} for one run, {workers} at a time"
    raise fail("budget", required, got, f"give --budget {needed + 1}s, or train for fewer epochs")


def _smaller(whole: ComparePlan, *, fixed: bool) -> Iterator[ComparePlan]:
    """Yield plans that take less and less time."""
    least = whole.seeds if fixed else min(whole.seeds, FEW_SEEDS)
    for seeds in range(whole.seeds, least - 1, -1):
        yield replace(whole, seeds=seeds)
    count = len(whole.methods)
    few = replace(whole, seeds=least)
    finalists = count // 2
    while finalists >= 1:
        yield replace(few, finalists=finalists)
        finalists //= 2
    trained = sum(METHODS[name].trains for name in whole.methods)
    for kept in range(trained, 0, -1):
        yield _without(replace(few, usual=True), kept)
    if not fixed and least > LEAST_SEEDS:
        yield _without(replace(few, usual=True, seeds=LEAST_SEEDS), 1)


def _without(plan: ComparePlan, kept: int) -> ComparePlan:
    """Return a plan with so many methods that are trained: the first ones, and ensembles after all others."""
    trained = [name for name in plan.methods if METHODS[name].trains]
    lost = set(sorted(trained, key=lambda name: (METHODS[name].members > 1, trained.index(name)))[kept:])
    return replace(
        plan,
        methods=tuple(name for name in plan.methods if name not in lost),
        dropped=tuple(name for name in plan.methods if name in lost),
    )


def _counted(plan: ComparePlan) -> ComparePlan:
    """Return a plan with the number of its runs, at most."""
    trained = [name for name in plan.methods if METHODS[name].trains]
    chosen = 1
    for name in trained:
        steps = () if plan.usual else rungs(len(METHODS[name].candidates()))
        # a method without a choice is trained once where the methods are ranked
        chosen += sum(steps) or (1 if plan.finalists is not None and METHODS[name].members == 1 else 0)
    # an ensemble shares one network of each repetition with cross entropy
    costs = sorted((METHODS[name].members - (METHODS[name].members > 1) for name in trained), reverse=True)
    judged = 1 + sum(costs[: plan.finalists])
    return replace(plan, runs=chosen + plan.seeds * judged)
