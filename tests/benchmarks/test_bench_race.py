"""Rounds of a race: who takes part, and when it ends."""

from collections import Counter

from benchmarks import race


def test_slow_contenders_take_part_in_fewer_rounds_without_warm_up() -> None:
    calls = Counter()
    contenders = {name: lambda name=name: calls.update([name]) for name in ("first", "slow")}
    places = race.race(contenders, rounds=4, warmup=1, fewer={"slow": 2})
    assert calls == {"first": 5, "slow": 2}
    assert {name: place.rounds for name, place in places.items()} == {"first": 4, "slow": 2}
    assert places["first"].times_first == 1


def test_no_round_starts_when_the_time_is_used_up() -> None:
    places = race.race({"first": lambda: None}, rounds=100, seconds=0)
    assert places["first"].rounds == race.LEAST_ROUNDS
