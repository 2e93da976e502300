"""The files of an audit for other programs."""

import csv
import io

import pyarrow.parquet as pq
import pytest
import torch
from audit.audit_examples import make, named

from softtargets.audit.files import suspects_csv, suspects_parquet, transition_csv


def test_suspects_as_files_are_the_suspects():
    results = make()
    table = pq.read_table(io.BytesIO(suspects_parquet(results)))
    lines = list(csv.DictReader(io.StringIO(suspects_csv(results).decode())))
    assert table.column_names == list(lines[0])
    assert table["row"].to_pylist() == results.ranking.suspects.rows.tolist() == [int(line["row"]) for line in lines]
    assert [line["suggested_name"] for line in lines[:3]] == ["class 1", "class 2", "class 0"]
    assert [line["reference_name"] for line in lines[:3]] == ["class 0", "class 2", "class 0"]
    torch.testing.assert_close(torch.tensor(table["probability_wrong"].to_pylist()), results.ranking.suspects.wrong)
    assert float(lines[-1]["self_confidence"]) == pytest.approx(0.15)


def test_names_that_a_spreadsheet_takes_for_formulas_are_quoted_in_text_alone():
    names = ("=1+1", "@SUM(A1)", "plain")
    results = named(make(), names)
    lines = list(csv.DictReader(io.StringIO(suspects_csv(results).decode())))
    assert {line["given_name"] for line in lines} == {"'=1+1", "'@SUM(A1)", "plain"}
    assert {line["reference_name"] for line in lines} == {"'=1+1", "'@SUM(A1)", "plain"}
    header, *rows = csv.reader(io.StringIO(transition_csv(results).decode()))
    assert header[1:] == [row[0] for row in rows] == ["'=1+1", "'@SUM(A1)", "plain"]
    table = pq.read_table(io.BytesIO(suspects_parquet(results)))
    assert set(table["given_name"].to_pylist()) == set(names)


def test_the_transition_as_a_file_has_clean_classes_in_its_rows():
    header, *rows = csv.reader(io.StringIO(transition_csv(make()).decode()))
    assert header == ["clean", "class 0", "class 1", "class 2"]
    assert [row[0] for row in rows] == header[1:]
    assert [[float(value) for value in row[1:]] for row in rows] == make().noise.estimate.transition.to_dense().tolist()
