"""The page of an evaluation and its files: numbers, answers, escaping, determinism, and what fits on a screen."""

import csv
import io
import json
import re
import sys
from dataclasses import replace

import pytest
from evaluate.evaluation_examples import HOSTILE, make, with_metrics
from pages import Reader, words_of

from softtargets.evaluate import page as evaluation
from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.page import ChartFigure
from softtargets.evaluate.results import ClassEvaluation, EvaluationResults, Finding
from softtargets.evaluate.values import IntervalEnds, MetricValue


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    return make(others=1, zeros=3)


@pytest.fixture(scope="module")
def built(results) -> dict[str, bytes]:
    return evaluation.build(results)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the charts out: their specifications take long to make, and words and tables do not depend on them."""
    monkeypatch.setattr(
        evaluation, "_figure", lambda anchor, title, drawing: ChartFigure(anchor, title, drawing, [], "")
    )


def page_of(results: EvaluationResults) -> str:
    return evaluation.build(results)["index.html"].decode()


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
        "Temperature scaling helps, but may not be enough.",
        "T = 1.98 to 2.03 (5 folds, each scaled by a T fitted on the other folds).",
        "3 rows give their own label the probability 0.",
        "∞",
        "if its p-value, Holm-adjusted over all 7 differences on this page, is below 0.05",
        "error ≤ 0.02",
        "15 bins of equal width, l1",
        "Sorted by the upper end of the interval of the recall",
        "A class is called significantly worse if an exact test finds it below all other rows.",
        "Bootstrap over rows, 1,000 draws.",
        "Rows were read in one pass.",
        "softtargets evaluate resnet-smoothed.npz --logits logits",
        "resnet-smoothed-0.npz and 1 more",
    ):
        assert said in text, said
    assert "not finite" not in text
    assert "None" not in text


@pytest.mark.usefixtures("undrawn")
def test_why_no_temperature_was_fitted_is_said():
    text = words_of(page_of(make(temperature=False)))
    assert "No temperature was fitted. A temperature needs at least 10 rows." in text
    assert "after temperature" not in text


@pytest.mark.usefixtures("undrawn")
def test_arrays_have_neither_files_nor_a_command():
    results = make()
    html = page_of(replace(results, command="", models=(replace(results.main, files=()),)))
    text = words_of(html)
    assert "passed to the function softtargets.evaluate.evaluate_predictions" in text
    assert "This command" not in text
    assert "File " not in text.split("Evaluation of predictions")[-1].split("accurate")[0]


@pytest.mark.usefixtures("undrawn")
def test_findings_are_shown_as_they_are_in_the_results():
    results = replace(make(), findings=(Finding("inconclusive", "A title.", ("A sentence.",)),))
    text = words_of(page_of(results))
    assert "A title. A sentence." in text
    assert "alibrated: over" not in text


@pytest.mark.usefixtures("undrawn")
def test_of_one_model_nothing_is_compared():
    html = page_of(make())
    assert "Which is better" not in words_of(html)
    assert 'data-label="resnet-smoothed"' not in html


@pytest.mark.usefixtures("undrawn")
def test_a_class_with_few_rows_is_not_the_worst():
    results = make(classes=3)
    few = ClassEvaluation(3, 1, 0, 0.0, IntervalEnds(0.0, 0.56), None, 0.01)
    many = ClassEvaluation(300, 100, 90, 0.3, IntervalEnds(0.25, 0.35), 0.8, 0.02, significantly_worse=True)
    absent = ClassEvaluation(0, 0, 0, None, None, None, 0.0)
    main = replace(results.main, classes=(few, absent, many))
    html = page_of(replace(results, models=(main,), class_names=("few", "absent", "many")))
    assert re.findall(r'data-label="Class">(\w+)', html) == ["many", "few", "absent"]
    text = words_of(html)
    assert re.search(r"Significantly worse than the rest \(all rows: [\d.]+ %\): many \(30.0 %\)\. A class", text)


@pytest.mark.usefixtures("undrawn")
def test_no_class_below_is_said():
    results = make()
    classes = tuple(replace(row, significantly_worse=False) for row in results.main.classes)
    text = words_of(page_of(replace(results, models=(replace(results.main, classes=classes),))))
    assert "No class is significantly worse than the rest." in text


@pytest.mark.usefixtures("undrawn")
def test_of_many_classes_the_page_shows_the_worst_and_the_file_all():
    results = make(rows=2000, classes=50, others=1, named=False)
    files = evaluation.build(results)
    html = files["index.html"].decode()
    shown = [int(index) for index in re.findall(r'data-label="Class">(\d+)', html)]
    upper = [row.recall_interval.high if row.recall_interval else 1.0 for row in results.main.classes]
    assert shown == sorted(range(50), key=lambda k: (upper[k], k))[:20]
    assert "The 20 worst of 50 classes of resnet-smoothed; classes.csv lists all." in words_of(html)
    lines = list(csv.DictReader(io.StringIO(files["classes.csv"].decode())))
    assert [(line["model"], int(line["class"])) for line in lines] == [
        (model.name, k) for model in results.models for k in range(50)
    ]
    first = results.main.classes[0]
    assert first.recall_interval is not None
    assert float(lines[0]["recall"]) == first.recall
    assert float(lines[0]["recall_high"]) == first.recall_interval.high
    assert float(lines[0]["precision"]) == first.right / first.predicted
    assert lines[0]["significantly_worse"] in ("true", "false")


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


@pytest.mark.usefixtures("undrawn")
def test_every_metric_has_a_place_on_the_page():
    text = words_of(page_of(make(classes=7)))
    # the floored NLL is listed only if a label has probability 0
    for metric in (one for name, one in METRICS.items() if not one.of_tokens and name != "nll_floored"):
        assert metric.label in text
        assert metric.describes.format(bins=15) in text
    assert "Top-5" not in words_of(page_of(make(classes=4)))


@pytest.mark.usefixtures("undrawn")
def test_a_bound_is_told_where_the_digits_shown_could_hide_it(results):
    def text(bound: float) -> str:
        return words_of(page_of(with_metrics(results, *(replace(m, bound=bound) for m in results.main.metrics))))

    assert text(0.00012).count("error ≤ 0.01") > 5  # percent, to two digits
    assert "error ≤ 0.000" not in text(0.00012)
    assert "error ≤ 0.012" in text(0.0121)  # of the Brier score


@pytest.mark.usefixtures("undrawn")
def test_p_values_that_are_upper_bounds_are_marked():
    results = make(others=1)
    first, second, *others = results.differences
    marked = replace(first, adjusted=0.017, at_floor=True), replace(second, adjusted=0.013)
    text = words_of(page_of(replace(results, differences=(*marked, *others))))
    assert "< 0.017" in text
    assert "< 0.013" not in text
    assert "0.013" in text
    scaled = tuple(replace(one, scaled=True) for one in others)
    both = words_of(page_of(replace(results, differences=(*marked, *scaled))))
    assert "after temperature scaling of both" in both
    assert "after temperature scaling of both" not in text


def test_files_are_replaced_and_others_are_left_alone(tmp_path, monkeypatch, results, built):
    monkeypatch.setattr(evaluation, "build", lambda given: built if given is results else {})
    for name in ("index.html", "mine.txt"):
        (tmp_path / name).write_text("mine")
    assert evaluation.write_page(results, tmp_path) == tmp_path / "index.html"
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
    check_page(evaluation.write_page(make(**given), tmp_path))


@pytest.mark.browser
def test_the_page_with_hostile_and_long_names_fits(tmp_path, check_page):
    results = make(others=1, hostile=True)
    names = tuple(f"{'very_long_' * 6}{k}" for k in range(results.num_classes))
    long = tuple(replace(model, name="unbroken" * 12 + model.name) for model in results.models)
    against = tuple(replace(entry, against=long[1].name) for entry in results.differences)
    check_page(evaluation.write_page(replace(results, class_names=names, models=long, differences=against), tmp_path))


@pytest.mark.browser
def test_a_model_that_is_always_right_has_a_page_too(tmp_path, check_page):
    results = make()
    main = results.main
    histogram = replace(main.histogram, wrong=(0,) * len(main.histogram.wrong))
    risk = replace(main.risk_coverage, risk=(0.0,) * len(main.risk_coverage.risk))
    none = MetricValue("misclassification_auroc", None, None, "No row is wrong.")
    results = with_metrics(results, none)
    main = replace(results.main, histogram=histogram, risk_coverage=risk)
    page = evaluation.write_page(replace(results, models=(main,)), tmp_path)
    assert "No row is wrong." in words_of(page.read_text())
    check_page(page)


@pytest.mark.browser
def test_without_vl_convert_the_page_says_where_the_numbers_are(results, monkeypatch, tmp_path, check_without_scripts):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    html = page_of(results)
    assert html == page_of(results)
    assert 'class="still"' not in html
    assert html.count("This chart needs JavaScript.") == html.count("<figure")
    # every figure but those of confidences has a table
    assert html.count("Its numbers are in evaluation.json.") == 2
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    check_without_scripts(tmp_path / "index.html")


@pytest.mark.browser
def test_with_vl_convert_figures_are_images_without_javascript(built, tmp_path, check_without_scripts):
    (tmp_path / "index.html").write_bytes(built["index.html"])
    assert "This chart needs JavaScript." not in built["index.html"].decode()
    check_without_scripts(tmp_path / "index.html")
