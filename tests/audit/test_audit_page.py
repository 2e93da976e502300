"""The page of an audit and its files: numbers, pictures, escaping, determinism, and what fits on a screen."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
import torch

from softtargets.audit import page as audit
from softtargets.audit.figures import draw_cuts, heat_map
from softtargets.audit.results import (
    AuditResults,
    ClassRow,
    Confusion,
    Cut,
    Estimate,
    Exhibit,
    Interval,
    Model,
    Recommendation,
    Reference,
    Score,
    Suspects,
)
from softtargets.matrices import Transition

HOSTILE = "<img src=x onerror=alert(1)>"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


class Reader(HTMLParser):
    """Collects tags, attributes, texts, and the numbers in data elements."""

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


def make(*, classes: int = 3, judged: bool = True, hostile: bool = False, exhibit: Exhibit | None = None):
    """Return an audit of 1,000 labels that found 70 suspects."""
    evil = HOSTILE if hostile else ""
    names = tuple(f"class {k}{evil}" for k in range(classes))
    transition = Transition.symmetric(0.15, classes)
    size = 70
    rows = torch.arange(size) * 7
    given, suggested = rows % classes, (rows + 1) % classes
    reference = torch.where(torch.arange(size) % 5 == 0, given, suggested)
    score = torch.linspace(0, 0.3, size)
    distance = tuple(0.01 * (k + 1) for k in range(classes)) if judged else None
    return AuditResults(
        name=f"simulated{evil}",
        labels=f"simulated, labels of a file{evil}",
        predictions="given as probabilities in held.npz",
        command=f"softtargets audit --predictions held.npz{evil}",
        row_order="of the predictions",
        num_rows=1000,
        class_names=names,
        accuracy=0.8125,
        noise_rate=Interval(0.15, 0.14, 0.17),
        confidence=0.95,
        estimates=(
            Estimate("confident_joint", "the confident joint", transition, 0.15, 1.5, distance),
            Estimate("dual_t", "dual-T", Transition.symmetric(0.2, classes), 0.2, torch.inf, distance),
        ),
        chosen="confident_joint",
        chosen_because="it was there first.",
        confusions=(Confusion(0, 1, Interval(41.0, 33.0, 52.0)),),
        scores=(
            Score("label_posterior", "label posterior", "What it is.", *((0.9312, 0.875) if judged else ())),
            Score("self_confidence", "self-confidence", "What it is.", *((None, 0.5) if judged else ())),
        ),
        ranking="label_posterior",
        precision_at=200,
        classes=tuple(ClassRow(333, 340.5, 0.15, 0.16 - 0.001 * k, 23) for k in range(classes)),
        suspects=Suspects(
            rows=rows,
            given=given,
            suggested=suggested,
            wrong=torch.linspace(0.999, 0.51, size),
            scores={"label_posterior": score, "self_confidence": score / 2},
            reference=reference if judged else None,
        ),
        exhibits=(exhibit or Exhibit(),) * 50,
        cuts=tuple(
            Cut(first, Interval(0.9 * first, 0.8 * first, 0.95 * first), first // 2 if judged else None)
            for first in (1, 10, 20, 50, 64, 100, 1000)
        ),
        recommendation=Recommendation("smooth", ("The reason.", "What to do."), {"Noise rate": 0.15}, "The rule."),
        reference=Reference(0.1234, Transition.symmetric(0.1234, classes)) if judged else None,
        model=None if judged else Model(5, f"a model{evil}, 8 epochs", '{"epochs": 8}'),
        notes=(f"A note.{evil}",),
        versions={"softtargets": "0.0"},
    )


@pytest.fixture(scope="module")
def built() -> dict[str, bytes]:
    return audit.build(make())


def words_of(html: bytes) -> str:
    return re.sub(r"\s+", " ", Reader(html.decode()).text)


def test_numbers_on_the_page_are_those_of_the_results(built):
    results, shown = make(), Reader(built["index.html"].decode()).values
    assert set(results.estimate.transition.to_dense().flatten().tolist()) <= shown
    assert results.reference is not None
    assert set(results.reference.transition.to_dense().flatten().tolist()) <= shown
    assert {estimate.noise_rate for estimate in results.estimates} <= shown
    assert {0.01, 0.02, 0.03, 0.9312, 0.875, 0.5, 41.0} <= shown
    # on the page stand the cuts that are round and the last
    assert {0.9 * first for first in (10, 20, 50, 100, 1000)} <= shown
    assert not {0.9, 0.9 * 64} & shown


def test_the_page_says_what_a_reader_must_know(built):
    text = words_of(built["index.html"])
    for said in (
        "15.0 % estimated wrong",
        "95 % interval 14.0 % to 17.0 %",
        "70 suspects",
        "Smooth.",
        "The reason.",
        "By the reference labels 12.3 % are wrong",
        "Shown are the first 50 of 70",
        "10 more suspects",
        "They must be held out",
        "class 0 → class 1",
        "over 99 % likely wrong",
        "wrong by the reference",
        "right by the reference",
        "beyond 10,000",
        "Rows count from 0, a header left out, in the order of the predictions.",
        "How many are estimated to be wrong",
        "Near the top the estimate tends to be too sure, where the model is wrongly sure.",
        "The rule.",
        "A note.",
        "softtargets audit --predictions held.npz",
    ):
        assert said in text, said


def test_without_a_reference_nothing_is_judged():
    text = words_of(audit.build(make(judged=False))["index.html"])
    for said in ("by the reference", "AUROC", "istance"):
        assert said not in text, said
    assert "5 models were trained (a model, 8 epochs)" in text


def test_suspects_as_files_are_the_suspects(built):
    results = make()
    table = pq.read_table(io.BytesIO(built["suspects.parquet"]))
    lines = list(csv.DictReader(io.StringIO(built["suspects.csv"].decode())))
    assert table.column_names == list(lines[0])
    assert table["row"].to_pylist() == results.suspects.rows.tolist() == [int(line["row"]) for line in lines]
    assert [line["suggested_name"] for line in lines[:3]] == ["class 1", "class 2", "class 0"]
    assert [line["reference_name"] for line in lines[:3]] == ["class 0", "class 2", "class 0"]
    torch.testing.assert_close(torch.tensor(table["probability_wrong"].to_pylist()), results.suspects.wrong)
    assert float(lines[-1]["self_confidence"]) == pytest.approx(0.15)


def test_names_that_a_spreadsheet_takes_for_formulas_are_quoted_in_text_alone():
    names = ("=1+1", "@SUM(A1)", "plain")
    files = audit.build(replace(make(), class_names=names))
    lines = list(csv.DictReader(io.StringIO(files["suspects.csv"].decode())))
    assert {line["given_name"] for line in lines} == {"'=1+1", "'@SUM(A1)", "plain"}
    assert {line["reference_name"] for line in lines} == {"'=1+1", "'@SUM(A1)", "plain"}
    header, *rows = csv.reader(io.StringIO(files["transition.csv"].decode()))
    assert header[1:] == [row[0] for row in rows] == ["'=1+1", "'@SUM(A1)", "plain"]
    table = pq.read_table(io.BytesIO(files["suspects.parquet"]))
    assert set(table["given_name"].to_pylist()) == set(names)


def test_none_of_the_suspects_shown_is_said():
    text = words_of(audit.build(replace(make(), exhibits=()))["index.html"])
    assert "None of the 70 is shown; suspects.csv" in text
    assert "the first 0" not in text


def test_a_prediction_that_knows_nothing_is_the_headline():
    results = make()
    advice = replace(results.recommendation, action="get better predictions")
    text = words_of(audit.build(replace(results, recommendation=advice))["index.html"])
    assert "No finding · the held-out prediction is not shown to know anything of the labels" in text
    assert "15.0 % estimated wrong" not in text
    assert "No finding" not in words_of(audit.build(results)["index.html"])


def test_the_transition_as_a_file_has_clean_classes_in_its_rows(built):
    header, *rows = csv.reader(io.StringIO(built["transition.csv"].decode()))
    assert header == ["clean", "class 0", "class 1", "class 2"]
    assert [row[0] for row in rows] == header[1:]
    assert [[float(value) for value in row[1:]] for row in rows] == make().estimate.transition.to_dense().tolist()


def test_the_data_hold_everything_and_no_number_that_json_does_not_know(built):
    said = json.loads(built["audit.json"], parse_constant=lambda name: pytest.fail(name))
    assert said["estimates"][1]["condition"] is None
    assert said["recommendation"]["action"] == "smooth"
    assert said["reference"]["noise_rate"] == 0.1234
    assert said["confusions"] == [
        {"clean": "class 0", "observed": "class 1", "estimate": 41.0, "low": 33.0, "high": 52.0}
    ]
    assert [cut["first"] for cut in said["cuts"]] == [1, 10, 20, 50, 64, 100, 1000]


def test_equal_results_give_equal_files(built):
    assert audit.build(make()) == built


@pytest.mark.parametrize("exhibit", [Exhibit(text=f"a text {HOSTILE}"), Exhibit(PIXEL, 1), Exhibit()])
def test_names_and_texts_of_the_user_are_text_and_never_markup(exhibit):
    for judged in (True, False):
        html = audit.build(make(hostile=True, judged=judged, exhibit=exhibit))["index.html"].decode()
        reader = Reader(html)
        assert not [a for a in reader.attributes if a[1].startswith("on")]
        sources = [str(value) for tag, name, value in reader.attributes if tag == "img" and name == "src"]
        assert all(source.startswith("data:image/") for source in sources)
        assert HOSTILE in reader.text
        assert HOSTILE not in html.replace("&lt;", "").replace("&gt;", "")


def test_suspects_are_shown_as_what_they_are():
    def page(exhibit: Exhibit) -> str:
        return audit.build(make(exhibit=exhibit))["index.html"].decode()

    small, large = page(Exhibit(PIXEL, 64)), page(Exhibit(PIXEL, 65))
    assert small.count('class="pixels"') == 50
    assert large.count("data:image/png;base64,") == 50
    assert 'class="pixels"' not in large
    assert 'alt="Row 7, labelled class 1"' in small
    assert page(Exhibit(text="a text")).count("<blockquote>a text</blockquote>") == 50
    assert page(Exhibit(numbers=(0.5, -2.0))).count("0.5 · -2") == 50


def test_nothing_on_the_page_leads_to_a_request(built):
    reader = Reader(built["index.html"].decode())
    for tag, name, value in reader.attributes:
        if name in ("src", "href", "srcset", "poster", "action") and not str(value).startswith("#"):
            assert str(value).startswith("data:"), (tag, name, value)


def test_of_many_classes_the_heat_map_shows_those_with_the_most_errors():
    results = make(classes=80)
    heat = heat_map(results)
    assert heat.names == tuple(f"class {k}" for k in range(30))  # of class k a share of 0.16 - k / 1000 is lost
    assert (heat.left_out, heat.fine, len(heat.rows)) == (50, True, 30)
    assert "Shown are the 30 classes with the most estimated errors" in words_of(audit.build(results)["index.html"])
    assert heat_map(make()).left_out == 0


def test_the_curve_shows_the_estimate_its_interval_and_the_reference():
    drawing = draw_cuts(make())
    assert [series.label for series in drawing.series] == ["estimated wrong", "wrong by the reference"]
    assert len(draw_cuts(make(judged=False)).series) == 1
    (spec,) = drawing.page_specs("")
    rows = [row for data in spec["datasets"].values() for row in data]
    assert {(row["x"], row["low"], row["y"], row["high"]) for row in rows if "low" in row} == {
        (cut.first, cut.wrong.low, cut.wrong.estimate, cut.wrong.high) for cut in make().cuts
    }
    assert {(row["x"], row["y"]) for row in rows if row.get("series") == "wrong by the reference"} == {
        (cut.first, cut.true) for cut in make().cuts
    }


@pytest.mark.browser
def test_labels_without_noise_have_a_page_too(tmp_path, check_page):
    results = make(judged=False)
    cuts = tuple(Cut(cut.first, Interval(0.0, 0.0, 0.0)) for cut in results.cuts)
    check_page(audit.write(replace(results, cuts=cuts, noise_rate=Interval(0.0, 0.0, 0.0)), tmp_path))


def test_files_are_replaced_and_others_are_left_alone(tmp_path, built):
    (tmp_path / "mine.txt").write_text("mine")
    page = audit.write(make(judged=False), tmp_path)
    audit.write(make(), tmp_path)
    assert page == tmp_path / "index.html"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "mine.txt"} == built
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_no_suspect_is_said():
    results = make()
    none = {name: values[:0] for name, values in results.suspects.scores.items()}
    empty = torch.zeros(0, dtype=torch.int64)
    nobody = replace(results.suspects, rows=empty, given=empty, suggested=empty, wrong=torch.zeros(0), scores=none)
    nobody = replace(nobody, reference=empty)
    files = audit.build(replace(results, suspects=nobody, exhibits=(), confusions=()))
    text = words_of(files["index.html"])
    assert "No label is more likely wrong than right." in text
    assert "No pair of classes is estimated to be confused." in text
    assert len(files["suspects.csv"].decode().splitlines()) == 1


@pytest.mark.browser
def test_the_page_without_a_finding_fits(tmp_path, check_page):
    results = make()
    advice = replace(results.recommendation, action="get better predictions")
    check_page(audit.write(replace(results, recommendation=advice), tmp_path))


@pytest.mark.browser
@pytest.mark.parametrize(
    "exhibit", [Exhibit(PIXEL, 1), Exhibit(text="A text without end " * 40), Exhibit(numbers=(0.125,) * 8)]
)
def test_the_page_fits_screens_and_paper(tmp_path, check_page, exhibit):
    check_page(audit.write(make(exhibit=exhibit), tmp_path / "few"))


@pytest.mark.browser
def test_the_page_of_many_classes_with_long_names_fits(tmp_path, check_page):
    results = make(classes=80, exhibit=Exhibit(text="Unbroken" * 60))
    names = tuple(f"{'very_long_' * 6}{k}" for k in range(80))
    check_page(audit.write(replace(results, class_names=names), tmp_path / "many"))
