"""Plans within a time: what is left out first, and budgets that are too short."""

import pytest

from softtargets._errors import InputError
from softtargets.compare.methods import BASELINE, METHODS
from softtargets.compare.plan import SLOWER, ComparePlan, within
from softtargets.compare.selection import rungs

EVERY = tuple(name for name in METHODS if name != BASELINE)
# seconds of a run, such that a second of budget allows a run of any method
RUN = 1 / SLOWER


def planned(budget: float, methods: tuple[str, ...] = EVERY, seeds: int = 5, *, fixed: bool = False) -> ComparePlan:
    return within(ComparePlan(methods, seeds), budget, RUN, 1, fixed=fixed)


def test_enough_time_leaves_the_plan_as_it_is():
    plan = planned(10_000)
    assert (plan.methods, plan.seeds, plan.finalists, plan.usual, plan.dropped) == (EVERY, 5, None, False, ())
    assert plan.seconds == pytest.approx(plan.runs)


def test_runs_are_counted():
    # two rungs of 4 and 2 settings, the network that estimates noise, and three methods of which one has three networks
    methods = ("temperature", "label_smoothing", "forward", "ensemble")
    assert rungs(4) == (4, 2)
    assert planned(1000, methods, seeds=3).runs == 1 + 6 + 3 * (1 + 1 + 1 + 2)


def test_less_time_has_fewer_repetitions_then_finalists_then_no_choice_then_methods():
    plans = [planned(budget) for budget in range(5, 140)]
    assert all(plan.runs <= budget for plan, budget in zip(plans, range(5, 140), strict=True))
    steps = [(plan.seeds, plan.finalists, plan.usual, len(plan.methods)) for plan in plans]
    order = list(dict.fromkeys(reversed(steps)))
    count = len(EVERY)
    chosen = [step for step in order if not step[2]]
    assert chosen == [
        (5, None, False, count),
        (4, None, False, count),
        (3, None, False, count),
        (3, count // 2, False, count),
        (3, count // 4, False, count),
        (3, count // 8, False, count),
    ]
    usual = order[len(chosen) :]
    assert {step[:3] for step in usual[:-1]} == {(3, None, True)}
    assert [step[3] for step in usual[:-1]] == sorted((step[3] for step in usual[:-1]), reverse=True)
    # one method that is trained, and the temperature, which is not
    assert usual[-1] == (2, None, True, 2)


def test_the_last_methods_are_left_out_first_and_ensembles_before_all_others():
    plan = planned(20)
    assert plan.usual
    assert plan.dropped
    assert "ensemble" in plan.dropped
    order = [name for name in EVERY if name != "ensemble"]
    assert list(plan.methods) == order[: len(plan.methods)]


def test_a_number_of_repetitions_that_the_user_gave_is_kept():
    assert {planned(budget, fixed=True).seeds for budget in (200, 60, 20)} == {5}


def test_several_workers_do_more_in_the_same_time():
    one, two = (within(ComparePlan(EVERY, 5), 60, RUN, workers) for workers in (1, 2))
    assert two.runs > one.runs


def test_a_budget_that_is_too_short_says_the_least_one():
    with pytest.raises(InputError, match=r"^budget: at least .* for 2 repetitions of cross entropy and one method"):
        planned(3)
    methods = ("label_smoothing",)
    with pytest.raises(InputError) as error:
        planned(1, methods)
    least = int(str(error.value).split("--budget ")[1].split("s")[0])
    assert planned(least, methods).seeds == 2


def test_a_budget_for_repetitions_that_the_user_gave_says_the_least_one():
    with pytest.raises(InputError, match=r"for 5 repetitions of cross entropy and one method"):
        planned(4, fixed=True)
