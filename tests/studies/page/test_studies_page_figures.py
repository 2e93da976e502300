"""What is drawn: panels, legends, and axes that one far-flung series cannot spoil."""

import json
from dataclasses import replace

from softtargets.report.drawing import Drawing, Panel
from softtargets.studies import claims, files
from softtargets.studies.arms import Arm, TeacherArm
from softtargets.studies.figures import outputs as figures
from softtargets.studies.results import Verdict
from softtargets.studies.series import arm_series


def drawn(results, name) -> Drawing:
    drawing = figures.draw(results, name)
    assert drawing is not None
    return drawing


def test_each_kind_has_its_panels_and_its_legend(results):
    shape = {
        name: (len(d.panels), len(d.series))
        for name in ("figure1", "figure2", "figure3")
        if (d := drawn(results, name))
    }
    assert shape == {"figure1": (3, 3), "figure2": (1, 4), "figure3": (2, 4)}


def test_a_method_has_one_colour_in_every_figure(results):
    colours = [{s.label: s.colour for s in drawn(results, name).series} for name in ("figure2", "figure3")]
    assert colours[0] == colours[1]
    assert len(set(colours[0].values())) == 4


def test_curves_follow_the_study_where_the_output_names_no_arm(results):
    output = results.study.outputs["figure1"].changed(arms=())
    study = results.study.changed(outputs={**results.study.outputs, "figure1": output})
    panels = drawn(replace(results, study=study), "figure1").panels
    assert [p.title for p in panels] == ["Label smoothing", "Forward correction", "Backward correction"]


def test_a_sweep_marks_the_baseline_once_and_the_noise_rate(results):
    (spec,) = drawn(results, "figure2").page_specs("Figure 2.")
    rows = [row for values in spec["datasets"].values() for row in values] if "datasets" in spec else []
    rows += [row for layer in spec["layer"] for row in layer.get("data", {}).get("values", [])]
    points = {(row["series"], row["x"]) for row in rows if row.get("own")}
    assert {p for p in points if p[1] == 0.0} == {("Baseline", 0.0)}
    assert "noise rate 20 %" in json.dumps(spec, ensure_ascii=False)
    assert spec["width"] == "container"


def test_one_density_far_wider_than_the_others_does_not_hide_them(results):
    wide = [
        replace(d, edges=tuple(1000 * e for e in d.edges), density=tuple(h / 1000 for h in d.density))
        if d.key.arm == "bc"
        else d
        for d in results.densities
    ]
    drawing = drawn(replace(results, densities=tuple(wide)), "figure3")
    assert "Reaching beyond the axis: Backward correction" in drawing.note
    window, beyond = figures._window({"a": (0.0, 1.0), "b": (0.0, 2.0), "c": (-500.0, 500.0)}, 0.05)
    assert (window, beyond) == ((0.0, 2.0), ["c"])


def test_bins_too_coarse_to_narrow_the_axis_keep_it_whole():
    window, beyond = figures._window({"a": (0.0, 1.0), "b": (0.0, 1.0), "c": (0.0, 60.0)}, 1.0)
    assert (window, beyond) == ((0.0, 60.0), [])


def test_an_estimate_on_its_boundary_leans_nowhere(results):
    verdict = results.verdicts[1]
    assert claims.leaning(verdict) == "leans towards the claim"
    assert claims.leaning(replace(verdict, estimate=-0.01)) == "leans against the claim"
    assert claims.leaning(replace(verdict, estimate=0.0)) == ""
    assert claims.leaning(replace(verdict, name="reproduced")) == ""


def test_an_interval_is_drawn_where_its_numbers_are(results):
    plot = claims.rows(results)[0].plot
    assert plot is not None
    assert 0 < plot.zone[0] < plot.low < plot.estimate < plot.high < plot.zone[1] == claims.WIDTH


def _claimed(results, metric, weights, **changes):
    """Return the row of a verdict whose claim is a contrast of one metric."""
    term = results.study.claims[0].terms[0]
    terms = tuple(term.changed(metric=metric, weight=weight) for weight in weights)
    claim = results.study.claims[0].changed(terms=terms)
    return claims.rows(replace(results, verdicts=(replace(results.verdicts[0], claim=claim, **changes),)))[0]


def test_a_difference_of_percentages_is_in_points_and_a_percentage_in_percent(results):
    difference = _claimed(results, "test.accuracy", (1.0, -1.0))
    assert (difference.estimate, difference.unit, difference.found) == (
        "+3.12",
        "points",
        "+3.12 points, +1.51 to +4.73",
    )
    value = _claimed(results, "test.accuracy", (1.0,))
    assert (value.estimate, value.unit, value.condition) == ("3.12", "%", "> 0 %")


def test_differences_of_epochs_and_nats_carry_their_units(results):
    epochs = _claimed(results, "epochs.validation98", (1.0, -1.0), estimate=-3.0, low=-5.5, high=-0.5)
    assert epochs.found == "−3.0 epochs, −5.5 to −0.5"
    nats = _claimed(results, "test.nll", (1.0, -1.0), estimate=0.25, low=0.125, high=0.375)
    assert nats.found == "+0.250 nats, +0.125 to +0.375"
    fraction = _claimed(results, "test.ece15", (1.0, -1.0), estimate=0.25, low=0.125, high=0.375)
    assert fraction.found == "+0.250, +0.125 to +0.375"


def test_an_exact_number_has_no_interval(results):
    claim = results.study.claims[0].changed(terms=(), exact="separator.noisy", relation="<")
    verdict = Verdict(claim, "reproduced", estimate=-0.603, low=-0.603, high=-0.603)
    (row,) = claims.rows(replace(results, verdicts=(verdict,)))
    assert (row.estimate, row.interval, row.condition, row.unit) == ("−0.603", "exact", "< 0", "")
    assert row.found == "−0.603, exact"
    assert "n =" not in row.evidence
    html = files.build(replace(results, verdicts=(verdict,), outputs=("table3",)))["index.html"].decode()
    assert "−0.603</data></b> exact" in html
    assert "<i>exact</i> was computed, not measured" in html


def test_students_of_one_teacher_share_its_colour_and_differ_by_dash(results):
    arms = {
        **results.study.arms,
        "plain": Arm(label="plain student", objective={}, teachers=(TeacherArm(arm="fc", level=0.2),)),
        "other": Arm(label="other student", objective={}, teachers=(TeacherArm(arm="fc", level=0.2),)),
    }
    looks = arm_series(results.study.changed(arms=arms))
    assert looks["plain"].colour == looks["other"].colour == looks["fc"].colour != looks["ls"].colour
    assert looks["plain"].dash != looks["other"].dash


def test_four_panels_stand_two_and_two():
    panel = Panel("", lambda style: style.upright(0.0, ""), "")
    assert [Drawing((), (panel,) * n, "").in_row for n in (1, 2, 3, 4, 5)] == [1, 2, 3, 2, 3]
    assert Drawing((), (panel,) * 4, "", columns=1).in_row == 1
