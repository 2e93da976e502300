"""Figures: how panels are arranged."""

from softtargets.report.drawing import Drawing, Panel


def test_four_panels_stand_two_and_two():
    panel = Panel("", lambda style: style.upright(0.0, ""), "")
    assert [Drawing((), (panel,) * n, "").in_row for n in (1, 2, 3, 4, 5)] == [1, 2, 3, 2, 3]
    assert Drawing((), (panel,) * 4, "", columns=1).in_row == 1
