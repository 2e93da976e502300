"""The page and its files: numbers, escaping, replacement in one step, determinism."""

import csv
import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from softtargets.report import frame
from softtargets.studies.outputs.density import DensityOutput
from softtargets.studies.page import files, page, provenance
from softtargets.studies.page.files import write
from softtargets.studies.records import CellKey

FIGURES = ("figure1", "figure2", "figure3")


class Reader(HTMLParser):
    """Collects what a browser would see: tags, attributes, texts, and the numbers in data elements."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.values: list[float] = []
        self.text = ""
        self.scripts: list[str] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "data":
            self.values.append(float(dict(attrs)["value"] or "nan"))
        if tag in ("script", "style"):
            self._within = tag
            self.scripts += [""] if tag == "script" else []

    def handle_endtag(self, tag):
        self._within = "" if tag == self._within else self._within

    def handle_data(self, data):
        if self._within == "script":
            self.scripts[-1] += data
        elif not self._within:
            self.text += data


@pytest.fixture
def reader(built) -> Reader:
    """Return the page on ordinary results, read."""
    return Reader(built["index.html"].decode())


def test_numbers_on_the_page_are_the_numbers_of_the_results(reader, results):
    shown = set(reader.values)
    for record in results.cells:
        assert set(record.metrics.values()) <= shown
    for name in ("figure2", "table3", "table4"):
        metrics = results.study.outputs[name].metrics
        for key in {record.key for record in results.cells if record.key.noise in results.study.outputs[name].noise}:
            summary = results.summary(key, metrics[0])
            if summary is not None and key.arm in ("base", "ls") and (name != "table4" or key.level <= 0.2):
                assert summary.mean in shown
    assert {reported.mean for reported in results.reported} <= shown
    assert {verdict.estimate for verdict in results.verdicts if verdict.estimate is not None} <= shown


def test_the_page_says_what_a_reader_must_know(reader, results):
    text = re.sub(r"\s+", " ", reader.text)
    assert "1 reproduced · 1 contradicted · 2 inconclusive · 1 not run" in text
    assert "1 run failed." in text
    assert "NaN loss at step 12" in text
    assert "leans towards the claim" in text
    assert "98.33 % interval, n = 5, p = 0.012" in text
    assert "1,437 train · 180 validation · 180 test" in text
    for words in (results.study.question, results.command, *results.study.differs, "Simulated CPU, 2 cores"):
        assert words in text
    for claim in results.study.claims:
        assert claim.quote in text


def test_the_page_says_which_family_a_claim_is_in_and_why_a_secondary_one_is_not_tested(results) -> None:
    reason = "not tested, because the primary claim 'high' is inconclusive"
    ls, high, *others = results.verdicts
    gated = (
        replace(ls, name="exploratory", family="secondary", confidence=0.95, reason=reason),
        replace(high, family="primary"),
        *others,
    )
    text = re.sub(r"\s+", " ", Reader(files.build(replace(results, verdicts=gated))["index.html"].decode()).text)
    assert "0 reproduced · 1 contradicted · 2 inconclusive · 1 exploratory · 1 not run" in text
    assert f"1 secondary claim is exploratory: {reason}." in text
    assert "95 % interval, not adjusted, n = 5" in text
    assert "3 claims were tested" in text
    assert "primary inconclusive leans towards the claim" in text
    assert "secondary exploratory" in text
    plain = re.sub(r"\s+", " ", Reader(files.build(results)["index.html"].decode()).text)
    assert "exploratory" not in plain


def test_what_did_not_hold_is_told_first_and_open(reader):
    details = [(name, value) for tag, name, value in reader.attributes if tag == "details"]
    assert details[:2] == [("class", "told contradicted"), ("open", None)]
    lists = reader.text[reader.text.index("contradicted.") :]
    assert lists.index("Contradicted (") < lists.index("Reproduced (")


def test_names_of_the_user_are_text_and_never_markup(hostile_page):
    reader = Reader(hostile_page)
    assert not [a for a in reader.attributes if a[1].startswith("on")]
    sources = [value for tag, name, value in reader.attributes if tag == "img" and name == "src"]
    assert all(str(source).startswith("data:image/svg+xml;base64,") for source in sources)
    assert not [v for _, name, v in reader.attributes if name == "href" and str(v).startswith("javascript")]
    assert "<img src=x onerror=alert(1)>" in reader.text
    for script in reader.scripts:
        assert "<img src=x" not in script


def test_nothing_on_the_page_leads_to_a_request(reader):
    for tag, name, value in reader.attributes:
        if name in ("src", "href", "srcset", "poster", "action") and tag != "a":
            assert str(value).startswith("data:"), (tag, name, value)
    policy = next(v for t, n, v in reader.attributes if t == "meta" and n == "content" and "default-src" in str(v))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy


def test_json_inside_a_script_cannot_end_it():
    data = {"name": "</script><!--&\u2028\u2029"}
    text = str(frame.inline_json(data))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == data


def test_equal_results_give_equal_files(make_results, built):
    assert files.build(make_results()) == built


def test_files_lie_beside_the_page_and_others_stay(results, built, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "build", lambda results: built)
    (tmp_path / "notes.txt").write_text("mine")
    path = write(results, tmp_path)
    assert path == tmp_path / "index.html"
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    figures_ = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    assert found == {"index.html", "results.json", "results.csv", "notes.txt", *figures_}
    for name in FIGURES:
        image = Image.open(tmp_path / "figures" / f"{name}.png")
        image.load()
        assert image.width > 800
        assert image.height > 400
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 50
        assert (tmp_path / "figures" / f"{name}.svg").read_text(encoding="utf-8").count("<path") > 5


def test_without_vl_convert_there_are_no_files_of_figures(results, built, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    made = files.build(results)
    assert set(made) == {"results.json", "results.csv", "index.html"}
    assert made == files.build(results)
    html = made["index.html"].decode()
    assert html.count("This chart needs JavaScript.") == html.count("<figure>") == 3
    # the third one is a density, which has no table
    assert html.count("Its numbers are in the table below.") == 2
    assert not [name for name in ("still", "downloads") if f'class="{name}"' in html]
    # the charts are the same
    specs = [
        re.findall(r"<script type=.application/json.*?</script>", page) for page in (html, built["index.html"].decode())
    ]
    assert specs[0]
    assert specs[0] == specs[1]


@pytest.mark.parametrize("where", ["render", "replace"])
def test_an_interruption_leaves_the_former_page_whole(results, built, tmp_path, monkeypatch, where):
    monkeypatch.setattr(files, "build", lambda results: built)
    before = write(results, tmp_path).read_bytes()
    if where == "render":
        monkeypatch.undo()
        monkeypatch.setattr(page, "render", _interrupt)
    else:
        monkeypatch.setattr("os.replace", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(replace(results, command="another"), tmp_path)
    assert (tmp_path / "index.html").read_bytes() == before
    assert not [p for p in tmp_path.rglob(".*") if p.is_file()]


def _interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_json_and_csv_agree_with_the_results(results):
    data = json.loads(json.dumps(results.to_dict()))
    rows = list(csv.DictReader(io.StringIO(files.as_csv(results))))
    runs = {run["run_id"]: run for cell in data["cells"] for run in cell["runs"]}
    assert len(rows) == len(runs) == len(results.cells)
    for row, record in zip(rows, results.cells, strict=True):
        assert CellKey(row["arm"], float(row["level"]), float(row["noise"])) == record.key
        assert runs[row["run_id"]]["metrics"] == record.metrics
        assert {name: float(row[name]) for name in record.metrics} == record.metrics
        assert row["status"] == runs[row["run_id"]]["status"] == record.status
    assert [v["verdict"] for v in data["verdicts"]] == [v.name for v in results.verdicts]
    summary = results.summary(CellKey("ls", 0.1, 0.2), "test.accuracy")
    (cell,) = [c for c in data["cells"] if (c["arm"], c["level"], c["noise"]) == ("ls", 0.1, 0.2)]
    values = [record.metrics["test.accuracy"] for record in results.records(CellKey("ls", 0.1, 0.2))]
    spread = {"mean": summary.mean, "sd": summary.sd, "n": 5, "low": min(values), "high": max(values)}
    assert cell["summaries"]["test.accuracy"] == spread


def test_values_that_are_not_finite_do_not_break_the_page(results):
    broken = replace(results.cells[0], metrics=dict.fromkeys(results.cells[0].metrics, float("nan")))
    built = files.build(replace(results, cells=(broken, *results.cells[1:])))
    assert b"not finite" in built["index.html"]
    assert json.loads(built["results.json"])


def test_a_study_without_runs_has_a_page(results):
    empty = replace(results, cells=(), verdicts=(), shown={**results.shown, "figure3": DensityOutput()}, reported=())
    html = files.build(empty)["index.html"].decode()
    assert "No data yet" in html or "no runs recorded" in html


def test_one_output_alone_has_a_page(results):
    built = files.build(replace(results, outputs=("table4",)))
    assert not [name for name in built if name.startswith("figures/")]
    assert b"Table 4" in built["index.html"]


def test_the_contents_tell_sections_apart_that_begin_alike(results) -> None:
    study = results.study
    outputs = dict(study.outputs)
    for name, whom in (("table3", "students"), ("table4", "teachers")):
        outputs[name] = outputs[name].model_copy(update={"title": f"Table 9: {whom}"})
    renamed = replace(results, study=study.model_copy(update={"outputs": outputs}), outputs=("table3", "table4"))
    html = files.build(renamed)["index.html"].decode()
    contents = html[html.index("<nav") : html.index("</nav>")]
    assert "Table 9: students</a>" in contents
    assert "Table 9: teachers</a>" in contents


def test_an_output_name_cannot_leave_the_folder():
    assert page.stem("figure2") == "figure2"
    assert "/" not in page.stem("../../figure2")
    assert page.stem("a/b") != page.stem("a:b")


def test_a_table_is_not_drawn(results):
    assert files.draw(results, "table4") is None


def test_the_specification_is_split_into_what_runs_share_and_what_sets_them_apart(results):
    told = provenance.trace(results)
    assert json.loads(told.common) == {
        "data": {"name": "digits"},
        "model": {"name": "mlp", "widths": [64, 64]},
        "noise": {"name": "symmetric"},
    }
    assert told.per_seed == ("seeds.init", "seeds.order")
    (cell,) = [c for c in told.cells if c.key == ("ls", 0.1, 0.2)]
    assert cell.changes == (("objective.name", '"ls"'), ("objective.level", "0.1"), ("noise.rate", "0.2"))
    assert told.environments[0][1] == told.runs == 134


@pytest.mark.browser
def test_the_page_in_a_browser(hostile_page, check_page, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(hostile_page, encoding="utf-8")
    check_page(path)


@pytest.mark.browser
def test_the_legend_brings_a_series_to_the_front_and_the_theme_changes(built, new_page, tmp_path: Path):
    path = tmp_path / "index.html"
    path.write_bytes(built["index.html"])
    tab = new_page(color_scheme="light")
    tab.goto(path.as_uri())
    tab.wait_for_function("document.documentElement.dataset.charts === 'drawn'")
    figure = tab.locator("figure").nth(1)
    lines = figure.locator("svg .mark-line path")
    assert lines.evaluate_all("all => all.filter(p => p.getAttribute('opacity') === '0.12').length") == 0
    entry = figure.get_by_role("button", name="Label smoothing")
    entry.click()
    assert entry.get_attribute("aria-pressed") == "true"
    tab.wait_for_function(
        "document.querySelectorAll('figure')[1].querySelectorAll('.mark-line path[opacity=\"0.12\"]').length === 2"
    )
    ground = "getComputedStyle(document.body).backgroundColor"
    stroke = "getComputedStyle(document.querySelectorAll('figure')[1].querySelector('.mark-line path')).stroke"
    light = [tab.evaluate(ground), tab.evaluate(stroke)]
    button = tab.locator("#theme")
    button.click()
    button.click()
    assert button.inner_text() == "Colours: dark"
    dark = [tab.evaluate(ground), tab.evaluate(stroke)]
    assert all(a != b for a, b in zip(light, dark, strict=True))
    tab.emulate_media(media="print")
    assert tab.evaluate(stroke) == light[1]
