"""What is asked of a study: what is refused at once, and the command that repeats it."""

from pathlib import Path

import pytest

from softtargets._errors import InputError, InputTypeError
from softtargets.studies.request import StudyOptions, StudyRequest


@pytest.mark.parametrize("seeds", [1, 0, -1, "2", 2.0, True])
def test_seeds_are_two_or_more(seeds) -> None:
    with pytest.raises(InputError, match=r"seeds: a whole number of at least 2; got"):
        StudyRequest("lukasik2020", seeds=seeds)


def test_the_command_is_the_same_wherever_runs_and_pages_lie() -> None:
    assert StudyRequest("a").command == "softtargets run a --scale desk"
    asked = StudyRequest.of("a", "figure2", {"seeds": 3, "runs": "elsewhere", "reports": "pages"})
    assert asked.command == "softtargets run a figure2 --scale desk --seeds 3"


def test_paths_are_taken_for_text_and_the_home_folder_is_expanded(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options: StudyOptions = {"data": Path("my.csv"), "places": {"a": Path("b")}, "runs": "~/runs", "reports": "~/pages"}
    request = StudyRequest.of(Path("lukasik2020"), None, options)
    assert (request.data, request.places) == ("my.csv", {"a": "b"})
    assert (request.runs, request.reports) == (tmp_path / "runs", tmp_path / "pages")
    assert "--data my.csv --at a=b" in request.command
    with pytest.raises(InputError, match=r"reports: a path .*too long"):
        StudyRequest.of("lukasik2020", None, {"reports": "a" * 5000})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sclae": "smoke"}, InputError, "did you mean 'scale'"),
        ({"places": ["a=b"]}, InputTypeError, "places: a dictionary from names"),
        ({"runs": 3}, InputTypeError, "runs: a path"),
    ],
)
def test_options_of_the_wrong_kind_are_refused(options, error, words) -> None:
    with pytest.raises(error, match=words):
        StudyRequest.of("a", None, options)
