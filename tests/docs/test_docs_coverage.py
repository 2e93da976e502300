"""The coverage page agrees with the studies, the records, and the public functions."""

import importlib
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import coverage_table
import pytest
from coverage_table import PAGE, ROOT
from typer.main import get_command

from softtargets._spec import read_toml
from softtargets.cli.commands import app
from softtargets.data import load
from softtargets.ensembles.job import read_specification
from softtargets.runs.spec import RunSpec
from softtargets.studies.catalog import list_studies, shipped
from softtargets.studies.schema import Study

NO_RECORD = ("exact", "—")


def _rows(head: str) -> list[list[str]]:
    return [row for rows in coverage_table.tables(head).values() for row in rows]


COMMANDS = _rows(coverage_table.HEAD)
TOOLS = _rows(coverage_table.TOOLS)
METHODS = _rows("| item | in Python | page |")


@cache
def _studies() -> dict[str, Study]:
    return {study.name: study for study in list_studies()}


def _words(command: str) -> list[str]:
    return shlex.split(command.strip("`"))


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row[2])
def test_a_command_names_an_output_that_can_be_computed(row) -> None:
    item, shows, command, _ = row
    assert item
    assert shows
    program, verb, study, output, *options = _words(command)
    assert (program, verb) == ("softtargets", "run")
    found = _studies()[study].outputs[output]
    assert found.unavailable is None
    # a figure or a table of a paper is in the title of its output
    numbers = re.findall(r"(?:Fig\.|Tables?|Sec\.) (\d+)", item)
    assert all(number in found.title for number in numbers)
    places = [options[place + 1].partition("=")[0] for place, word in enumerate(options) if word == "--at"]
    known = "".join(path.read_text() for path in shipped()[study].glob("*.toml"))
    assert all(f'"{place}"' in known for place in places)


@pytest.mark.parametrize("row", TOOLS, ids=lambda row: row[2])
def test_a_tool_takes_its_arguments_and_a_valid_file(row) -> None:
    _, _, command = row
    program, verb, *arguments = _words(command)
    assert program == "softtargets"
    commands: dict[str, Any] = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    commands[verb].make_context(verb, list(arguments))  # raises an error for an unknown or missing option
    for name in (word for word in arguments if word.endswith(".toml")):
        content = read_toml(ROOT / name)
        run = read_specification(content)[0] if "ensemble" in content else RunSpec.parse(content)
        assert load(run.data).num_classes == 10


def test_every_recipe_on_digits_has_a_row() -> None:
    named = {name.rpartition("/")[2] for row in TOOLS for name in _words(row[2]) if name.endswith(".toml")}
    recipes = {path.name for path in (ROOT / "docs" / "recipes").glob("*.toml")}
    assert recipes == named | {"cifar10_fastconv.toml"}


def test_every_output_has_one_row() -> None:
    listed = [tuple(_words(command)[2:4]) for _, _, command, _ in COMMANDS]
    assert len(set(listed)) == len(listed)
    available = {
        (study.name, name)
        for study in _studies().values()
        for name, output in study.outputs.items()
        if output.unavailable is None
    }
    assert set(listed) == available


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row[2])
def test_a_record_contains_the_output_and_a_row_without_one_has_none(row) -> None:
    _, _, study, output, *_ = _words(row[2])
    recorded = {
        name
        for path in (ROOT / "records" / study).glob("*/results.json")
        for name in json.loads(path.read_text())["outputs"]
    }
    # the runs of this study on digits are kept as a table of numbers alone
    recorded |= {name for name in ("digits", "digits-instance", "digits-transition") if study == "noise-benchmark"}
    assert (row[3] not in NO_RECORD) == (output in recorded)
    for link in re.findall(r"\]\(([^)]+)\)", row[3]):
        assert (PAGE.parent / link).resolve() == ROOT / "records" / study / "README.md"
        assert (PAGE.parent / link).exists()


@pytest.mark.parametrize("path", sorted((ROOT / "records").glob("*/*/results.json")), ids=lambda path: path.parent.name)
def test_the_command_of_a_record_names_no_folder_of_a_machine(path: Path) -> None:
    for word in shlex.split(json.loads(path.read_text())["command"]):
        assert not word.rpartition("=")[2].startswith(("/", "~"))


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row[1])
def test_a_method_is_a_public_name_with_a_page(row) -> None:
    _, names, page = row
    for name in re.findall(r"`([\w.]+)`", names):
        room, _, function = name.partition(".")
        assert hasattr(importlib.import_module(f"softtargets.{room}"), function), name
    (link,) = re.findall(r"\]\(([^)]+)\)", page)
    assert (PAGE.parent / link).exists()


def test_the_readme_has_a_row_for_each_item() -> None:
    text = coverage_table.README.read_text(encoding="utf-8")
    assert coverage_table.with_table(text) == text, "run `make docs`"
    commands = re.findall(r"\| (`softtargets run .*`) \|$", coverage_table.table(), re.MULTILINE)
    assert set(commands) <= {command for _, _, command, _ in COMMANDS}
    for heading, rows in coverage_table.tables(coverage_table.HEAD).items():
        shown = coverage_table.items(" ".join(re.findall(rf"^\| {heading.partition(':')[0]} \| ([^:]*)", text, re.M)))
        assert set(shown) == {item for first, *_ in rows for item in coverage_table.items(first)}


def test_a_row_of_two_tables_is_shown_if_one_of_them_is_new() -> None:
    assert coverage_table.items("Tables 2, 7") == ["Table 2", "Table 7"]
    assert coverage_table.items("Fig. 1, Sec. 4") == ["Fig. 1", "Sec. 4"]
    assert coverage_table.items("all papers") == []
