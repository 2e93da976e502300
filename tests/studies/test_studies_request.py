"""What is asked of a study: what is refused at once, and the command that repeats it."""

import pytest

from softtargets._errors import InputError
from softtargets.studies.request import StudyRequest


@pytest.mark.parametrize("seeds", [1, 0, -1, "2", 2.0, True])
def test_seeds_are_two_or_more(seeds) -> None:
    with pytest.raises(InputError, match=r"seeds: a whole number of at least 2; got"):
        StudyRequest("lukasik2020", seeds=seeds)


def test_the_command_is_the_same_wherever_runs_and_pages_lie() -> None:
    assert StudyRequest("a").command == "softtargets run a --scale desk"
    asked = StudyRequest.of("a", "figure2", {"seeds": 3, "runs": "elsewhere", "reports": "pages"})
    assert asked.command == "softtargets run a figure2 --scale desk --seeds 3"
