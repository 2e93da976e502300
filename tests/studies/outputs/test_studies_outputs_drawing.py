"""What is drawn: panels, legends, and axes that one far-flung series cannot spoil."""

import json
from dataclasses import replace

from softtargets.report.drawing import Drawing
from softtargets.studies.arms import Arm, OtherArm
from softtargets.studies.outputs import density
from softtargets.studies.outputs.series import arm_series
from softtargets.studies.page import files


def drawn(results, name) -> Drawing:
    drawing = files.draw(results, name)
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
        for d in results.shown["figure3"].densities
    ]
    drawing = drawn(replace(results, shown={"figure3": density.DensityOutput(tuple(wide))}), "figure3")
    assert "Beyond the axis: Backward correction" in drawing.note
    window, beyond = density._window({"a": (0.0, 1.0), "b": (0.0, 2.0), "c": (-500.0, 500.0)}, 0.05)
    assert (window, beyond) == ((0.0, 2.0), ["c"])


def test_bins_too_coarse_to_narrow_the_axis_keep_it_whole():
    window, beyond = density._window({"a": (0.0, 1.0), "b": (0.0, 1.0), "c": (0.0, 60.0)}, 1.0)
    assert (window, beyond) == ((0.0, 60.0), [])


def test_students_of_one_teacher_share_its_colour_and_differ_by_dash(results):
    arms = {
        **results.study.arms,
        "plain": Arm(
            label="plain student", objective={"name": "distillation"}, teachers=(OtherArm(arm="fc", level=0.2),)
        ),
        "other": Arm(
            label="other student", objective={"name": "distillation"}, teachers=(OtherArm(arm="fc", level=0.2),)
        ),
    }
    looks = arm_series(results.study.changed(arms=arms))
    assert looks["plain"].colour == looks["other"].colour == looks["fc"].colour != looks["ls"].colour
    assert looks["plain"].dash != looks["other"].dash
