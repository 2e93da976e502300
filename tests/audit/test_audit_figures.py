"""What an audit draws."""

from audit.audit_examples import make

from softtargets.audit.figures import draw_cutoffs, heat_map


def test_of_many_classes_the_heat_map_shows_those_with_the_most_errors():
    results = make(classes=80)
    heat = heat_map(results)
    assert heat.names == tuple(f"class {k}" for k in range(30))  # of class k a share of 0.16 - k / 1000 is lost
    assert (heat.left_out, heat.fine, len(heat.rows)) == (50, True, 30)
    assert heat_map(make()).left_out == 0


def test_the_curve_shows_the_estimate_its_interval_and_the_reference():
    drawing = draw_cutoffs(make())
    assert [series.label for series in drawing.series] == ["estimated wrong", "wrong according to the reference"]
    assert len(draw_cutoffs(make(judged=False)).series) == 1
    (spec,) = drawing.page_specs("")
    rows = [row for data in spec["datasets"].values() for row in data]
    assert {(row["x"], row["low"], row["y"], row["high"]) for row in rows if "low" in row} == {
        (cutoff.first, cutoff.wrong.low, cutoff.wrong.estimate, cutoff.wrong.high) for cutoff in make().ranking.cutoffs
    }
    assert {(row["x"], row["y"]) for row in rows if row.get("series") == "wrong according to the reference"} == {
        (cutoff.first, cutoff.true) for cutoff in make().ranking.cutoffs
    }
