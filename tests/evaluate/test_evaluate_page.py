"""The page of an evaluation and its files: numbers, answers, escaping, determinism, and what fits on a screen."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from evaluate.evaluation_examples import HOSTILE, make

from softtargets.evaluate import page as evaluation
from softtargets.evaluate.figures import draw_confidences, draw_reliability, draw_risk
from softtargets.evaluate.findings import findings, points_of, range_of, standing, text_of, verdict
from softtargets.evaluate.measures import MEASURES
from softtargets.evaluate.page import Figure
from softtargets.evaluate.results import ClassRow, Difference, EvaluationResults, Interval, Metric


class Reader(HTMLParser):
    """Collects attributes, texts, and the numbers in data elements."""

    def __init__(self, html: str):
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.values: set[float] = set()
        self.text = ""
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "data":
            self.values.add(float(dict(attrs)["value"] or "nan"))
        if tag in ("script", "style"):
            self._within = tag

    def handle_endtag(self, tag):
        self._within = "" if tag == self._within else self._within

    def handle_data(self, data):
        if not self._within:
            self.text += " " + data


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    return make(others=1, zeros=3)


@pytest.fixture(scope="module")
def built(results) -> dict[str, bytes]:
    return evaluation.build(results)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the charts out: their specifications take long to make, and words and tables do not depend on them."""
    monkeypatch.setattr(evaluation, "_figure", lambda anchor, title, drawing: Figure(anchor, title, drawing, [], ""))


def page_of(results: EvaluationResults) -> str:
    return evaluation.build(results)["index.html"].decode()


def words_of(html: str) -> str:
    return re.sub(r"\s+", " ", Reader(html).text)


def with_metrics(results: EvaluationResults, *metrics: Metric) -> EvaluationResults:
    """Return results in which the main model has these in place of its own."""
    new = {metric.name: metric for metric in metrics}
    kept = tuple(new.get(metric.name, metric) for metric in results.main.metrics)
    return replace(results, models=(replace(results.main, metrics=kept), *results.others))


def test_numbers_on_the_page_are_those_of_the_results(results, built):
    shown = Reader(built["index.html"].decode()).values
    for model in results.models:
        assert {metric.value for metric in model.metrics} <= shown
        assert {metric.value for metric in (*model.temperature.metrics, *model.temperature.changes)} <= shown
        bins = (*model.reliability.width, *model.reliability.mass, *model.temperature.reliability.mass)
        assert {value for bin in bins if bin.count for value in (bin.confidence, bin.accuracy)} <= shown
    assert {difference.value for difference in results.differences} <= shown
    assert {row.recall for row in results.main.classes} <= shown


def test_the_page_says_what_a_reader_must_know(results, built):
    text = words_of(built["index.html"].decode())
    accuracy = results.main.metric("accuracy")
    for said in (
        f"{100 * accuracy.value:.1f} % accurate",
        "Not calibrated: over-confident by",
        "A temperature helps, and is not shown to be enough.",
        "T = 1.98 to 2.03 (5 folds, each scaled by the T of the others).",
        "3 rows give their own label the probability 0.",
        "∞",
        "after Holm’s correction over all 7 differences of this page, is below 0.05",
        "exact to 0.02",
        "over 15 bins of equal width, norm 1",
        "Ordered by the upper end of the interval of the recall",
        "A class is surely below where an exact test, Holm-adjusted, finds it below all other rows.",
        "Bootstrap over rows, 1,000 draws.",
        "Rows were read in one pass.",
        "softtargets evaluate resnet-smoothed.npz --logits logits",
        "resnet-smoothed-0.npz and 1 more",
    ):
        assert said in text, said
    assert "not finite" not in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("low", "high", "tone", "title"),
    [
        (0.001, 0.0199, "reproduced", "Calibrated to within 2 %"),
        (0.001, 0.0201, "inconclusive", "Undecided whether calibrated to within 2 %"),
        (0.0201, 0.05, "contradicted", "Not calibrated"),
    ],
)
def test_calibration_is_judged_by_the_whole_interval_of_ece(results, low, high, tone, title):
    ece = Metric("ece", (low + high) / 2, Interval(low, high))
    gap = Metric("overconfidence", 0.0, Interval(-0.01, 0.01))
    found = findings(with_metrics(results, ece, gap))[0]
    assert found.tone == tone == verdict(ece)
    assert found.title.startswith(title)
    assert "over-confident by" not in found.title


def test_without_an_interval_nothing_is_decided(results):
    bare = Metric("ece", 0.5, None, "No interval here.")
    found = findings(with_metrics(results, bare))[0]
    assert found.tone == "inconclusive"
    assert found.sentences == ("ECE is 50.00 %. No interval here.",)


def test_the_side_of_miscalibration_is_told_where_it_is_sure(results):
    ece = Metric("ece", 0.08, Interval(0.07, 0.09))

    def title(gap: float) -> str:
        side = Metric("overconfidence", gap, Interval(gap - 0.02, gap + 0.02))
        return findings(with_metrics(results, ece, side))[0].title

    assert title(0.07) == "Not calibrated: over-confident by 7.0 points on the whole."
    assert title(-0.07) == "Not calibrated: under-confident by 7.0 points on the whole."
    assert title(0.01) == "Not calibrated: on the whole neither over- nor under-confident."


@pytest.mark.parametrize(
    ("before", "after", "change", "title"),
    [
        (0.01, 0.01, 0.0, "No temperature is needed."),
        (0.10, 0.01, -0.09, "A temperature mends the calibration."),
        (0.10, 0.05, -0.05, "A temperature helps, and is not shown to be enough."),
        (0.10, 0.10, 0.0, "A temperature does not help."),
    ],
)
def test_a_temperature_is_judged_by_what_it_changes(results, before, after, change, title):
    def near(value: float) -> Metric:
        return Metric("ece", value, Interval(value - 0.005, value + 0.005))

    results = with_metrics(results, near(before))
    scaled = results.main.temperature
    assert scaled is not None
    converged = (True, False, True, True, True)
    scaled = replace(scaled, metrics=(near(after),), changes=(near(change),), converged=converged)
    main = replace(results.main, temperature=scaled)
    found = findings(replace(results, models=(main, *results.others)))[1]
    assert found.title == title
    assert f"ECE {100 * before:.2f} % → {100 * after:.2f} %" in found.sentences[0]
    assert found.sentences[0].endswith("In 1 of 5 folds the search for T did not converge.")


@pytest.mark.usefixtures("undrawn")
def test_why_no_temperature_was_fitted_is_said():
    text = words_of(page_of(make(temperature=False)))
    assert "No temperature was fitted. A temperature needs at least 10 rows." in text
    assert "after temperature" not in text


def test_a_model_is_better_where_a_real_difference_says_so(results):
    def compared(*differences: Difference) -> tuple[str, str, str]:
        found = findings(replace(results, differences=differences))[2]
        return found.tone, found.title, found.sentences[0]

    def of(metric: str, value: float, real: bool) -> Difference:
        return Difference(metric, "resnet-hard", value, Interval(value - 0.01, value + 0.01), 0.01, 0.03, real)

    assert compared(of("accuracy", 0.05, True), of("ece", -0.02, True), of("aurc", -0.1, False)) == (
        "reproduced",
        "Better than resnet-hard.",
        "Better: Accuracy (+5.00 points), ECE (−2.00 points). No real difference: AURC.",
    )
    assert compared(of("nll", 0.2, True))[:2] == ("contradicted", "Worse than resnet-hard.")
    mixed = compared(of("accuracy", 0.05, True), of("nll", 0.2, True))
    assert mixed[1] == "Better than resnet-hard in some metrics, worse in others."
    assert mixed[2] == "Better: Accuracy (+5.00 points). Worse: NLL (+0.200 nats)."
    assert compared(of("accuracy", 0.05, False))[:2] == ("inconclusive", "No real difference from resnet-hard.")
    infinite = Difference("nll", "resnet-hard", math.inf, why="One of the two is infinite.")
    assert compared(infinite)[2] == "Not compared: NLL."
    assert standing(infinite) == "not compared"


@pytest.mark.usefixtures("undrawn")
def test_of_one_model_nothing_is_compared():
    html = page_of(make())
    assert "Which is better" not in words_of(html)
    assert 'data-label="resnet-smoothed"' not in html


@pytest.mark.usefixtures("undrawn")
def test_a_class_with_few_rows_is_not_the_worst():
    results = make(classes=3)
    few = ClassRow(3, 1, 0, 0.0, Interval(0.0, 0.56), None, 0.01)
    many = ClassRow(300, 100, 90, 0.3, Interval(0.25, 0.35), 0.8, 0.02, surely_below=True)
    absent = ClassRow(0, 0, 0, None, None, None, 0.0)
    main = replace(results.main, classes=(few, absent, many))
    html = page_of(replace(results, models=(main,), class_names=("few", "absent", "many")))
    assert re.findall(r'data-label="Class">(\w+)', html) == ["many", "few", "absent"]
    text = words_of(html)
    assert re.search(r"Surely below the rest \(all rows: [\d.]+ %\): many \(30.0 %\)\. A class", text)


@pytest.mark.usefixtures("undrawn")
def test_no_class_below_is_said():
    results = make()
    classes = tuple(replace(row, surely_below=False) for row in results.main.classes)
    text = words_of(page_of(replace(results, models=(replace(results.main, classes=classes),))))
    assert "No class is surely below the rest." in text


@pytest.mark.usefixtures("undrawn")
def test_of_many_classes_the_page_shows_the_worst_and_the_file_all():
    results = make(rows=2000, classes=50, others=1, named=False)
    files = evaluation.build(results)
    html = files["index.html"].decode()
    shown = [int(index) for index in re.findall(r'data-label="Class">(\d+)', html)]
    upper = [row.recall_interval.high if row.recall_interval else 1.0 for row in results.main.classes]
    assert shown == sorted(range(50), key=lambda k: (upper[k], k))[:20]
    assert "The 20 worst of 50 classes of resnet-smoothed; classes.csv holds all." in words_of(html)
    lines = list(csv.DictReader(io.StringIO(files["classes.csv"].decode())))
    assert [(line["model"], int(line["class"])) for line in lines] == [
        (model.name, k) for model in results.models for k in range(50)
    ]
    first = results.main.classes[0]
    assert first.recall_interval is not None
    assert float(lines[0]["recall"]) == first.recall
    assert float(lines[0]["recall_high"]) == first.recall_interval.high
    assert float(lines[0]["precision"]) == first.right / first.predicted
    assert lines[0]["surely_below"] in ("true", "false")


@pytest.mark.usefixtures("undrawn")
def test_names_that_a_spreadsheet_takes_for_formulas_are_quoted():
    results = replace(make(classes=2), class_names=("=1+1", "plain"))
    lines = list(csv.DictReader(io.StringIO(evaluation.build(results)["classes.csv"].decode())))
    assert [line["name"] for line in lines] == ["'=1+1", "plain"]


def test_the_data_hold_everything_and_no_number_that_json_does_not_know(results, built):
    said = json.loads(built["evaluation.json"], parse_constant=lambda name: pytest.fail(name))
    assert (said["schema_version"], said["bins"], said["confidence"]) == (1, 15, 0.95)
    main, other = said["models"]
    assert main["metrics"]["nll"] == {
        "value": None,
        "interval": None,
        "why": "3 rows give their own label the probability 0.",
        "bound": 0.0,
        "better": "lower",
    }
    assert main["rows_with_probability_zero"] == 3
    ece = results.main.metric("ece")
    assert main["metrics"]["ece"]["value"] == ece.value
    assert main["metrics"]["ece"]["interval"] == list(ece.interval)
    assert other["temperature"]["temperatures"] == list(results.others[0].temperature.temperatures)
    assert set(main["reliability"]) == {"width", "mass", "smooth"}
    assert main["reliability"]["width"][-1]["count"] == results.main.reliability.width[-1].count
    assert sum(main["histogram"]["right"]) + sum(main["histogram"]["wrong"]) == main["rows"]
    assert main["risk_coverage"]["risk"] == list(results.main.risk_coverage.risk)
    assert main["classes"][0]["precision"] == results.main.classes[0].precision
    assert [entry["metric"] for entry in said["differences"]] == [entry.metric for entry in results.differences]
    assert said["differences"][0]["interval"] == list(results.differences[0].interval)


def test_equal_results_give_equal_files(results, built):
    assert evaluation.build(make(others=1, zeros=3)) == built


def test_names_of_the_user_are_text_and_never_markup():
    results = make(others=1, hostile=True)
    main = replace(results.main, temperature=None, notes=(f"of the model{HOSTILE}",), no_temperature=HOSTILE)
    html = page_of(replace(results, models=(main, *results.others)))
    reader = Reader(html)
    assert not [attribute for attribute in reader.attributes if attribute[1].startswith("on")]
    sources = [str(value) for tag, name, value in reader.attributes if tag == "img" and name == "src"]
    assert all(source.startswith("data:image/") for source in sources)
    assert reader.text.count(HOSTILE) > 20
    assert HOSTILE not in html.replace("&lt;", "").replace("&gt;", "")


def test_nothing_on_the_page_leads_to_a_request(built):
    reader = Reader(built["index.html"].decode())
    for tag, name, value in reader.attributes:
        if name in ("src", "href", "srcset", "poster", "action") and not str(value).startswith("#"):
            assert str(value).startswith("data:"), (tag, name, value)


def test_the_diagram_shows_each_bin_that_holds_rows(results):
    model = results.main
    (width, mass) = draw_reliability(results, model)
    for drawing, before, after in (
        (width, model.reliability.width, model.temperature.reliability.width),
        (mass, model.reliability.mass, model.temperature.reliability.mass),
    ):
        for spec, bins in zip(drawing.page_specs(""), (before, after), strict=True):
            rows = [row for data in spec["datasets"].values() for row in data]
            points = {(row["x"], row["low"], row["y"], row["high"]) for row in rows if "low" in row and "x2" not in row}
            assert points == {
                (bin.confidence, bin.interval.low, bin.accuracy, bin.interval.high) for bin in bins if bin.count
            }
            strip = {(row["x"], row["x2"]): row["y2"] - row["y"] for row in rows if "x2" in row}
            assert list(strip) == [(bin.low, bin.high) for bin in bins if bin.count]
            most = max(bin.count for bin in bins)
            for bin in bins:
                if bin.count:
                    assert strip[bin.low, bin.high] / max(strip.values()) == pytest.approx(bin.count / most)


def test_the_smooth_curve_is_left_out_where_there_are_no_rows_or_no_curve(results):
    curve = results.main.reliability.smooth
    (drawing, _) = draw_reliability(results, results.main)
    rows = [row for data in drawing.page_specs("")[0]["datasets"].values() for row in data if "density" in row]
    assert 0 < len(rows) < len(curve.confidence)
    assert max(row["density"] for row in rows) == 1
    filled = [bin for bin in results.main.reliability.width if bin.count]
    assert all(filled[0].low <= row["x"] <= filled[-1].high for row in rows)
    bare = replace(results.main, temperature=None, reliability=replace(results.main.reliability, smooth=None))
    (drawing,) = draw_reliability(results, bare)
    assert len(drawing.series) == 1
    assert [panel.title for panel in drawing.panels] == ["Bins of equal width", "Bins of equal mass"]


def test_confidences_are_shares_of_the_right_and_of_the_wrong(results):
    drawing = draw_confidences(results)
    assert [panel.title for panel in drawing.panels] == ["resnet-smoothed", "resnet-hard"]
    rows = [row for data in drawing.page_specs("")[0]["datasets"].values() for row in data]
    for name in ("right", "wrong"):
        # the last step is there twice, since it ends at the last edge
        mine = {row["x"]: row["y"] for row in rows if row["series"] == name and row["x"] < 1}
        assert sum(mine.values()) == pytest.approx(1)


def test_long_names_of_panels_are_cut(results):
    models = tuple(replace(model, name=f"{letter * 40}") for model, letter in zip(results.models, "ab", strict=True))
    titles = [panel.title for panel in draw_confidences(replace(results, models=models)).panels]
    assert titles == ["a" * 27 + "…", "b" * 27 + "…"]


def test_the_risk_of_every_model_is_drawn(results):
    drawing = draw_risk(results)
    assert [series.label for series in drawing.series] == ["resnet-smoothed", "resnet-hard"]
    rows = [row for data in drawing.page_specs("")[0]["datasets"].values() for row in data]
    for model in results.models:
        mine = [(row["x"], row["y"]) for row in rows if row["series"] == model.name]
        assert mine == list(zip(model.risk_coverage.coverage, model.risk_coverage.risk, strict=True))


@pytest.mark.usefixtures("undrawn")
def test_every_measure_has_a_place_on_the_page():
    text = words_of(page_of(make(classes=7)))
    for measure in MEASURES.values():
        assert measure.label in text
        assert measure.describes.format(bins=15) in text
    assert "Top-5" not in words_of(page_of(make(classes=4)))


@pytest.mark.usefixtures("undrawn")
def test_a_bound_is_told_where_the_digits_shown_could_hide_it(results):
    def text(bound: float) -> str:
        return words_of(page_of(with_metrics(results, *(replace(m, bound=bound) for m in results.main.metrics))))

    assert text(0.00012).count("exact to 0.01") > 5  # percent, to two digits
    assert "exact to 0.000" not in text(0.00012)
    assert "exact to 0.012" in text(0.0121)  # of the Brier score


def test_numbers_as_text():
    assert text_of(None, "percent") == "—"
    assert (text_of(math.inf, "nats"), text_of(-math.inf, "nats")) == ("∞", "−∞")
    assert range_of(Interval(-0.01, 0.02), "percent") == "−1.00 to 2.00"
    assert range_of(None, "percent") == ""
    assert points_of(0.0123, "percent") == "+1.23 points"
    assert points_of(math.inf, "nats") == "∞"
    assert points_of(-0.5, "fraction") == "−0.500"


def test_files_are_replaced_and_others_are_left_alone(tmp_path, monkeypatch, results, built):
    monkeypatch.setattr(evaluation, "build", lambda given: built if given is results else {})
    for name in ("index.html", "mine.txt"):
        (tmp_path / name).write_text("mine")
    assert evaluation.write(results, tmp_path) == tmp_path / "index.html"
    assert list(built)[-1] == "index.html"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "mine.txt"} == built
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.browser
@pytest.mark.parametrize(
    "given",
    [{"others": 3, "zeros": 2, "temperature": False}, {"rows": 1000, "classes": 50, "named": False}],
    ids=["four", "many-classes"],
)
def test_the_page_fits_screens_and_paper(tmp_path, check_page, given):
    check_page(evaluation.write(make(**given), tmp_path))


@pytest.mark.browser
def test_the_page_with_hostile_and_long_names_fits(tmp_path, check_page):
    results = make(others=1, hostile=True)
    names = tuple(f"{'very_long_' * 6}{k}" for k in range(results.num_classes))
    long = tuple(replace(model, name="unbroken" * 12 + model.name) for model in results.models)
    against = tuple(replace(entry, against=long[1].name) for entry in results.differences)
    check_page(evaluation.write(replace(results, class_names=names, models=long, differences=against), tmp_path))


@pytest.mark.browser
def test_a_model_that_is_always_right_has_a_page_too(tmp_path, check_page):
    results = make()
    main = results.main
    histogram = replace(main.histogram, wrong=(0,) * len(main.histogram.wrong))
    risk = replace(main.risk_coverage, risk=(0.0,) * len(main.risk_coverage.risk))
    none = Metric("error_auroc", None, None, "No row is wrong.")
    results = with_metrics(results, none)
    main = replace(results.main, histogram=histogram, risk_coverage=risk)
    page = evaluation.write(replace(results, models=(main,)), tmp_path)
    assert "No row is wrong." in words_of(page.read_text())
    check_page(page)
