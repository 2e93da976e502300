"""Verdicts as rows: where the plot of an interval lies."""

from softtargets.studies.page import claims


def test_an_interval_is_drawn_where_its_numbers_are(results):
    plot = claims.rows(results)[0].plot
    assert plot is not None
    assert 0 < plot.zone[0] < plot.low < plot.estimate < plot.high < plot.zone[1] == claims.WIDTH
