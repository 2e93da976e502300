"""The page for people who review labels: what it shows, its keys, what it keeps, and the file that it downloads."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audit.reviewed_audits import CLASSES, audit_images, audit_table, audit_texts
from pages import Reader

from softtargets.audit import export_review, import_review
from softtargets.audit.review.folder import read_audit
from softtargets.audit.review.formats.page import PageFormat
from softtargets.audit.review.items import ReviewBatch, ReviewItem

HOSTILE = "</script><img src=x onerror=alert(1)>"


def batch_of(html: str) -> dict:
    start = html.index('id="batch">') + len('id="batch">')
    return json.loads(html[start : html.index("</script>", start)])


def batch(texts: list[str], classes: tuple[str, ...] = ("cat", "dog", "=owl")) -> ReviewBatch:
    items = tuple(
        ReviewItem(10 * place, place + 1, place % 3, (place + 1) % 3, 0.9, text=text)
        for place, text in enumerate(texts)
    )
    return ReviewBatch(items, classes, "pets", len(items), "reports/pets")


def page_of(made: ReviewBatch, folder: Path) -> Path:
    path = folder / "review.html"
    path.write_bytes(PageFormat().files(made)["review.html"])
    return path


def test_the_page_holds_what_is_reviewed(tmp_path):
    folder = audit_texts(tmp_path)
    (path,) = export_review(folder, first=4, random=1)
    content, audit = batch_of(path.read_text()), read_audit(folder)
    assert [item["row"] for item in content["items"][:4]] == audit.suspects[:4].tolist()
    assert [item["drawn"] for item in content["items"]] == ["suspect"] * 4 + ["random"]
    assert content["classes"] == list(CLASSES)
    assert content["items"][0]["text"] == f"=text <b>{content['items'][0]['row']}</b>"
    assert path.read_bytes() == export_review(folder, first=4, random=1)[0].read_bytes()


def test_pictures_and_columns_are_shown(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shown = batch_of(export_review(audit_images(tmp_path / "a"), first=2)[0].read_text())["items"][0]
    assert shown["picture"].startswith("data:image/png;base64,")
    assert shown["small"]
    shown = batch_of(export_review(audit_table(tmp_path / "b"), first=2)[0].read_text())["items"][0]
    assert shown["numbers"] == [["=width", f"{shown['row'] / 2:g}"], ["row", f"{-shown['row']}"]]


def test_nothing_on_the_page_leads_to_a_request_and_texts_are_never_markup(tmp_path):
    html = page_of(batch([HOSTILE], (HOSTILE, "b", "c")), tmp_path).read_text()
    reader = Reader(html)
    for tag, name, value in reader.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "poster", "action") and not str(value).startswith("#"):
            assert str(value).startswith("data:"), (tag, name, value)
    assert HOSTILE not in html
    assert batch_of(html)["items"][0]["text"] == HOSTILE


Opened = Callable[..., "object"]


@pytest.fixture
def opened(new_page) -> Iterator[Opened]:
    """Return a function that opens a page at a width; it fails on errors and requests."""
    problems = []

    def open_page(path: Path, width: int = 1280):
        page = new_page(width=width, accept_downloads=True)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(path.resolve().as_uri())
        return page

    yield open_page
    assert not problems, problems


def downloaded(page, folder: Path) -> Path:
    with page.expect_download() as started:
        page.click("#download")
    target = folder / started.value.suggested_filename
    started.value.save_as(target)
    return target


@pytest.mark.browser
def test_labels_are_decided_by_keys_and_the_file_is_imported(tmp_path, opened):
    folder = audit_texts(tmp_path)
    path = export_review(folder, first=6)[0]
    items = batch_of(path.read_text())["items"]
    page = opened(path)
    assert page.text_content("#which") == "Label 1 of 6"
    assert page.text_content("#given") == CLASSES[items[0]["given"]]
    assert page.text_content("#shown") == items[0]["text"]
    for key in ("s", "k", "t", "c"):
        page.keyboard.press(key)
    # another class is found by a part of its name, in any case
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("OO")
    page.keyboard.press("Enter")
    assert page.text_content("#which") == "Label 5 of 6"
    assert page.evaluate("document.activeElement.id") != "search"
    page.keyboard.press("s")
    page.keyboard.press("u")
    assert page.text_content("#which") == "Label 5 of 6"
    assert page.text_content("#decided") == "none yet"
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#decided") == "tool"
    page.keyboard.press("n")
    assert page.text_content("#which") == "Label 5 of 6"
    assert page.text_content("#counted").startswith("4 of 6, ")
    page.fill("#reviewer", "Ann Bee")
    page.keyboard.press("s")  # a letter of the name, no decision
    assert page.text_content("#counted").startswith("4 of 6, ")
    page.fill("#reviewer", "=Ann Bee")
    file = downloaded(page, tmp_path)
    assert file.name == "decisions-Ann-Bee.csv"
    with file.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    guarded = ["'=sum", "fruit", "tool"]
    assert [int(line["row"]) for line in lines] == [item["row"] for item in items[:4]]
    expected = [guarded[items[0]["suggested"]], guarded[items[1]["given"]], "?", "tool"]
    assert [line["label"] for line in lines] == expected
    outcome = import_review(folder, file, audit_again=False)
    assert (outcome.decided, outcome.unsure) == (3, 1)
    assert outcome.changed == 1 + (items[3]["given"] != 2)
    assert outcome.suspects is not None
    # decisions are there when the page is opened again
    page.reload()
    assert page.text_content("#which") == "Label 5 of 6"
    assert page.text_content("#counted").startswith("4 of 6, ")
    assert page.input_value("#reviewer") == "=Ann Bee"


@pytest.mark.browser
def test_labels_are_decided_by_buttons_on_a_phone(tmp_path, opened):
    page = opened(page_of(batch(["a cat", "a dog", "an owl", "a text without end " * 60]), tmp_path), 390)
    for button in ("keep", "accept", "unsure"):
        page.click(f"#{button}")
    page.click("#other")
    page.click("#matches >> text=dog")
    assert page.text_content("#decided") == "dog"
    assert page.is_disabled("#next")
    assert page.is_disabled("#open")
    assert page.get_attribute("#other", "aria-pressed") == "false"  # the suggestion
    assert page.get_attribute("#accept", "aria-pressed") == "true"
    page.click("#undo")
    assert page.text_content("#decided") == "none yet"
    page.uncheck("#keys")
    page.keyboard.press("k")
    assert page.text_content("#decided") == "none yet"
    assert page.text_content("#counted") == "3 of 4, 1 changed"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_without_storage_the_page_says_so_and_still_works(tmp_path, new_page):
    page = new_page()
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } });")
    page.goto(page_of(batch(["a cat", "a dog"]), tmp_path).resolve().as_uri())
    assert "does not keep the decisions" in page.text_content("#kept")
    page.keyboard.press("k")
    assert page.text_content("#counted") == "1 of 2, 0 changed"


@pytest.mark.browser
@pytest.mark.parametrize("texts", [[HOSTILE, "Unbroken" * 90], ["short"]])
def test_the_page_fits_screens_and_paper(tmp_path, check_page, texts):
    names = ("very_long_name_of_a_class_" * 4, HOSTILE, "c")
    check_page(page_of(batch(texts, names), tmp_path))


@pytest.mark.browser
def test_every_control_has_a_name_and_colours_have_contrast(tmp_path, opened):
    page = opened(page_of(batch(["a cat", "a dog"]), tmp_path))
    page.click("#other")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, progress, [role=listbox]')].filter((one) =>
        !one.hidden && !one.getAttribute('aria-label') && !one.labels?.length && !one.textContent.trim()).length"""
    )
    assert nameless == 0
    luminance = """(css) => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; }"""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for selector in ("#keep", "#evidence", "#given", "#matches li", "kbd", "#kept"):
            text, ground = page.evaluate(
                f"""(selector) => {{ const one = document.querySelector(selector); let back = one;
                while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
                const light = {luminance};
                return [light(getComputedStyle(one).color), light(getComputedStyle(back).backgroundColor)]; }}""",
                selector,
            )
            high, low = max(text, ground), min(text, ground)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, selector)
