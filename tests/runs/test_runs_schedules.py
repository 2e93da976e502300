"""Learning-rate schedules: each against numbers by hand."""

import math

import pytest

from softtargets._errors import InputError
from softtargets.runs.schedules import SHAPES, ScheduleSpec, schedule_factor, shape


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "constant"}, [1, 1, 1, 1]),
        ({"name": "linear"}, [1, 0.75, 0.5, 0.25]),
        ({"name": "cosine"}, [1, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 - math.cos(math.pi / 4)) / 2]),
        ({"name": "step", "milestones": [0.5, 0.75], "factor": 0.1}, [1, 1, 0.1, 0.01]),
        ({"name": "constant", "warmup_steps": 2}, [0.5, 1, 1, 1]),
        # 1/2 of the way from 1 to 0.2, and so on
        ({"name": "linear", "final_factor": 0.2}, [1, 0.8, 0.6, 0.4]),
        ({"name": "polynomial", "power": 2.0}, [1, 9 / 16, 4 / 16, 1 / 16]),
        ({"name": "polynomial", "power": 1.0, "final_factor": 0.5}, [1, 0.875, 0.75, 0.625]),
        ({"name": "triangular", "peak": 0.5}, [0, 0.5, 1, 0.5]),
        ({"name": "cyclic_cosine", "cycles": 2}, [1, 0.5, 1, 0.5]),
        (
            {"name": "cyclic_cosine", "cycles": 1, "final_factor": 0.2},
            [1, 0.8 * 0.8535534 + 0.2, 0.6, 0.8 * 0.1464466 + 0.2],
        ),
        ({"name": "triangular", "peak": 0.5, "start_factor": 0.2, "final_factor": 0.1}, [0.2, 0.6, 1, 0.55]),
        # the shape begins after the warm-up: a cosine over the last two steps
        ({"name": "cosine", "warmup_steps": 2, "after_warmup": True}, [0.5, 1, 1, 0.5]),
        ({"name": "linear", "warmup": 0.5, "after_warmup": True}, [0.5, 1, 1, 0.5]),
        ({"name": "linear", "warmup": 0.5}, [0.5, 0.75, 0.5, 0.25]),
        ({"name": "inverse_sqrt", "warmup": 0.5}, [0.5, 1, 1, math.sqrt(0.5 / 0.75)]),
    ],
)
def test_schedules(spec, expected) -> None:
    found = [schedule_factor(ScheduleSpec.parse(spec), step, 4) for step in range(4)]
    assert found == pytest.approx(expected)


def test_muellers_drops_fall_where_the_paper_says() -> None:
    """64k steps, dropping by 10 at 32k and 48k (Müller et al. 2019, A.2)."""
    spec = ScheduleSpec.parse({"name": "step", "milestones": [0.5, 0.75]})
    found = [schedule_factor(spec, step, 64_000) for step in (31_999, 32_000, 47_999, 48_000)]
    assert found == pytest.approx([1, 0.1, 0.1, 0.01])


def test_the_inverse_square_root_is_that_of_vaswani() -> None:
    """d^-0.5 min(step^-0.5, step warmup^-1.5) over its largest value, 4,000 of 100,000 steps of warm-up (Eq. 3)."""
    spec = ScheduleSpec.parse({"name": "inverse_sqrt", "warmup": 0.04})
    for step in (10, 3_999, 4_001, 50_000, 99_999):
        expected = min((step + 1) ** -0.5, (step + 1) * 4000**-1.5) / 4000**-0.5
        assert schedule_factor(spec, step, 100_000) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # Inception: 0.94 every two epochs
        ({"name": "exponential", "factor": 0.94, "every_epochs": 2.0}, [1, 1, 0.94, 0.94, 0.94**2, 0.94**2]),
        # EfficientNet: 0.97 every 2.4 epochs; 2.4 epochs have 24 steps here
        ({"name": "exponential", "factor": 0.97, "every_epochs": 2.4}, [1, 1, 1, 0.97, 0.97, 0.97**2]),
        # He et al. 2016 on ImageNet: a tenth at epochs 30 and 60, here 2 and 4
        ({"name": "step", "milestone_epochs": [2, 4]}, [1, 1, 0.1, 0.1, 0.01, 0.01]),
    ],
)
def test_schedules_of_epochs(spec, expected) -> None:
    schedule = ScheduleSpec.parse(spec)
    assert [schedule_factor(schedule, 10 * epoch, 60, 10) for epoch in range(6)] == pytest.approx(expected)


def test_an_epoch_ends_exactly_where_its_steps_do() -> None:
    spec = ScheduleSpec.parse({"name": "exponential", "factor": 0.5, "every_epochs": 0.6})
    factors = [schedule_factor(spec, step, 50, 5) for step in range(10)]
    assert factors == [0.5 ** (step // 3) for step in range(10)]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"name": "cosin"}, "got 'cosin'; did you mean 'cosine'?"),
        ({"name": "polynomial"}, "power: given with the schedule 'polynomial'; got None; add this key"),
        (
            {"name": "cosine", "power": 2.0},
            "power: not given with the schedule 'cosine'; got 2; drop it or use 'polynomial'",
        ),
        (
            {"name": "constant", "final_factor": 0.1},
            "final_factor: not given with the schedule 'constant'; got 0.1; "
            "drop it or use 'linear' or 'cosine' or 'polynomial' or 'triangular'",
        ),
        (
            {"name": "step", "milestones": [0.5], "milestone_epochs": [3]},
            "milestones: either this or milestone_epochs; got [0.5]; give fractions of the steps, such as [0.5, 0.75]",
        ),
        ({"name": "step", "milestone_epochs": [3, 2]}, "milestone_epochs: increasing epochs; got [3, 2]; sort them"),
        ({"warmup": 0.1, "warmup_steps": 3}, "warmup: either this or warmup_steps; got warmup=0.1, warmup_steps=3; "),
        ({"name": "inverse_sqrt"}, "warmup: a fraction of the steps with the schedule 'inverse_sqrt', without"),
        ({"after_warmup": True}, "after_warmup: given with a warm-up; got True; give warmup_steps or warmup"),
    ],
)
def test_settings_that_do_not_belong_to_a_schedule_are_refused(spec, text) -> None:
    with pytest.raises(InputError) as caught:
        ScheduleSpec.parse(spec)
    assert text in str(caught.value)


def test_a_name_is_taken_once() -> None:
    before = dict(SHAPES)
    with pytest.raises(InputError, match="a name that is not registered yet; got 'cosine'"):
        shape("cosine")(lambda spec, share, epochs: 1.0)
    assert before == SHAPES
