"""Outputs as tables: places, the paper's numbers, what is missing, which verdict stands where."""

import re
from dataclasses import replace

from softtargets.studies.page import files, tables
from softtargets.studies.records import CellKey


def laid_out(results, name) -> tables.Table:
    table = tables.lay_out(results, name)
    assert table is not None
    return table


def cells_of(table):
    return [cell for group in table.groups for row in group.rows for cell in row.cells]


def test_table4_has_levels_as_rows_and_measures_as_columns(results):
    table = laid_out(results, "table4")
    assert [row.label for row in table.groups[0].rows] == ["0", "0.1", "0.2"]
    assert table.columns[0] == "All training examples, true labels (%)"
    assert len(table.columns) == 4
    assert [cell.reported[0].text for cell in table.groups[0].rows[2].cells] == ["81.22", "88.27", "53.01", "8.32"]
    assert table.sources == ("CIFAR-100 · ResNet-32 (Table 4)",)


def test_level_zero_is_the_baseline_in_every_column(results):
    table = laid_out(results, "figure2")
    expected = results.summary(CellKey("base", 0.0, 0.2), "test.accuracy").mean
    assert [cell.value for cell in table.groups[0].rows[0].cells] == [expected] * 3


def test_every_value_is_the_mean_of_its_cell(results):
    table = laid_out(results, "figure2")
    for row, level in zip(table.groups[0].rows[1:], (0.1, 0.2, 0.4, 0.6, 0.8), strict=True):
        for cell, arm in zip(row.cells, ("ls", "fc", "bc"), strict=True):
            summary = results.summary(CellKey(arm, level, 0.2), "test.accuracy")
            assert (cell.value, cell.n) == (summary.mean, summary.n)
            assert cell.mean == f"{100 * summary.mean:.2f}"
            assert cell.spread == f"± {100 * summary.sd:.2f}"


def test_failed_and_missing_runs_are_counted_in_a_note(results):
    (cell,) = [cell for cell in cells_of(laid_out(results, "figure2")) if cell.note]
    assert (cell.n, cell.note) == (4, "4 of 5 complete; 1 failed: NaN loss at step 12")
    table = laid_out(results, "table3")
    missing = table.groups[0].rows[-1].cells[1]
    assert (missing.value, missing.mean, missing.note) == (None, "—", "0 of 5 complete; 5 missing")
    assert table.notes == (("a", missing.note),)


def test_a_cell_without_runs_says_so(results):
    table = laid_out(replace(results, cells=()), "table4")
    assert {cell.note for cell in cells_of(table)} == {"no runs recorded"}


def test_a_run_without_the_metric_is_not_averaged(results):
    first = replace(results.cells[0], metrics={})
    table = laid_out(replace(results, cells=(first, *results.cells[1:])), "figure2")
    assert table.groups[0].rows[0].cells[0].note == "5 of 5 complete; 1 without test.accuracy"
    assert table.groups[0].rows[0].cells[0].value is None


def test_an_axis_that_is_neither_row_nor_column_groups_the_rows(results):
    output = results.study.outputs["table3"].changed(rows="level", columns="arm")
    study = results.study.changed(outputs={**results.study.outputs, "table3": output})
    table = laid_out(replace(results, study=study), "table3")
    assert [group.title for group in table.groups] == ["Noise rate 40 %", "Noise rate 60 %"]


def test_axes_that_the_study_leaves_open_are_those_that_vary(results):
    output = results.study.outputs["table4"].changed(rows=None, columns=None)
    assert tables.choose_axes(output, {"arm": 1, "level": 3, "noise": 1, "metric": 4}) == ("level", "metric")
    assert tables.choose_axes(output, {"arm": 3, "level": 1, "noise": 2, "metric": 1}) == ("noise", "arm")


def test_a_verdict_stands_beside_the_rows_that_it_rests_on(results):
    rows = laid_out(results, "table3").groups[0].rows
    assert [row.label for row in rows if row.verdicts] == ["0.2"]
    assert rows[2].verdicts[0].claim.id == "high"


def test_numbers_of_two_data_sets_name_them(results):
    other = replace(results.reported[0], dataset="CIFAR-10", mean=0.9)
    table = laid_out(replace(results, reported=(*results.reported, other)), "table4")
    printed = table.groups[0].rows[0].cells[0].reported
    assert [(p.text, p.owner) for p in printed] == [("77.39", "CIFAR-100"), ("90.00", "CIFAR-10")]
    assert table.sources == ("CIFAR-100 · ResNet-32 (Table 4)", "CIFAR-10 · ResNet-32 (Table 4)")


def test_numbers_of_two_models_on_one_data_set_name_the_model(results):
    other = replace(results.reported[0], model="ResNet-56", mean=0.9)
    table = laid_out(replace(results, reported=(*results.reported, other)), "table4")
    printed = table.groups[0].rows[0].cells[0].reported
    assert [p.owner for p in printed] == ["ResNet-32", "ResNet-56"]
    assert [source.partition(" (")[0] for source in table.sources] == ["CIFAR-100 · ResNet-32", "CIFAR-100 · ResNet-56"]


def test_the_paper_stands_beside_ours_only_in_columns_where_it_has_numbers(results):
    some = tuple(r for r in results.reported if r.metric != "noisy.fit")
    table = laid_out(replace(results, reported=some), "table4")
    assert table.paired == (True, True, True, False)
    assert table.width == 7
    assert table.has_reported
    html = files.build(replace(results, reported=some, outputs=("table4",)))["index.html"].decode()
    head, body = re.findall(r"<(?:thead|tbody).*?</(?:thead|tbody)>", html[html.index('class="numbers') :], re.S)[:2]
    assert head.count(">paper<") == 3
    assert (body.count('class="paper"'), body.count('class="ours"')) == (9, 12)


def test_a_column_of_verdicts_makes_a_wide_table_tight(results):
    output = results.study.outputs["figure2"].model_copy(update={"rows": "arm", "columns": "level"})
    study = results.study.model_copy(update={"outputs": {**results.study.outputs, "figure2": output}})
    judged = replace(results, study=study, reported=())
    assert len(laid_out(judged, "figure2").columns) == 6
    assert laid_out(judged, "figure2").has_verdicts
    assert laid_out(judged, "figure2").tight
    assert not laid_out(replace(judged, verdicts=()), "figure2").tight


def test_a_wide_table_that_names_data_sets_leaves_its_verdicts_to_the_list_below(results):
    table = laid_out(results, "table3")
    assert (table.dense, table.has_verdicts) == (False, True)
    wide = replace(table, columns=("a",) * 6, paired=(True,) * 4 + (False,) * 2)
    assert (wide.width, wide.dense, wide.tight, wide.has_verdicts) == (10, False, True, True)
    named = replace(wide, named=True)
    assert (named.dense, named.tight, named.has_verdicts) == (True, True, False)
