"""A browser for tests that look at pages, and the order of the files."""

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (390, 1280)
# A4 between margins, in CSS pixels.
PAPER = 680
# For each step of a page, in milliseconds: charts take long on a busy machine.
PATIENCE = 120_000

CheckPage = Callable[[Path], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first: a worker that began one last would be waited for."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def find_chromium() -> str | None:
    """Return the browser: the one that SOFTTARGETS_CHROMIUM names, else the first on the path."""
    named = os.environ.get("SOFTTARGETS_CHROMIUM")
    return named or next((found for name in CHROMIUM if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium():
    """Start Chromium once; skip where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium: install it, or name it in SOFTTARGETS_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium):
    """Return a function that opens a page in a context of its own, offline unless asked, with long time limits.

    Its arguments are a `width`, and those of Playwright's ``new_context``.
    """
    contexts = []

    def new(**options: Any) -> Any:
        viewport = {"width": options.pop("width", 1280), "height": 900}
        contexts.append(chromium.new_context(**{"viewport": viewport, "offline": True, **options}))
        contexts[-1].set_default_timeout(PATIENCE)
        return contexts[-1].new_page()

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def check_page(chromium) -> CheckPage:
    """Return a function that opens a page offline at both widths and in both colour schemes, and prints it.

    It fails on a console error, on any request but the page itself, on a chart that is not drawn and on a page that
    scrolls sideways.
    """

    def check(path: Path) -> None:
        # drawing takes the time: each scheme is the one of opening at one width, and is changed to at the other
        for width, schemes in zip(WIDTHS, (("light", "dark"), ("dark", "light")), strict=True):
            _check(chromium, path, width, schemes)

    return check


@pytest.fixture
def check_without_scripts(chromium) -> CheckPage:
    """Return a function that opens a page without JavaScript at both widths.

    It fails on a figure that shows neither an image nor a sentence, or an empty place for a chart, and on a page that
    scrolls sideways.
    """

    def check(path: Path) -> None:
        for width in WIDTHS:
            size = {"width": width, "height": 900}
            context = chromium.new_context(viewport=size, java_script_enabled=False, offline=True)
            try:
                context.set_default_timeout(PATIENCE)
                page = context.new_page()
                page.goto(path.resolve().as_uri())
                assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
                figures = page.locator("figure")
                assert figures.count()
                for figure in figures.all():
                    shown = figure.locator("noscript > *")
                    assert shown.count() == 1
                    assert shown.evaluate("one => one.naturalWidth ?? one.innerText.length") > 0
                    assert shown.evaluate("one => one.clientHeight") > 0
                    assert figure.locator(".panels").evaluate("one => one.clientHeight") == 0
            finally:
                context.close()

    return check


def _check(browser, path: Path, width: int, schemes: tuple[str, str]) -> None:
    address = path.resolve().as_uri()
    problems: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=schemes[0], offline=True)
    try:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on(
            "console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith("data:") or request.url == address else problems.append(request.url)
            ),
        )
        page.goto(address)
        page.wait_for_function("document.documentElement.dataset.charts === 'drawn'")
        marks = ", ".join(f"svg .mark-{kind} path" for kind in ("line", "area", "rect", "symbol"))
        drawn = page.eval_on_selector_all(".chart", f"all => all.map(c => c.querySelectorAll('{marks}').length)")
        assert len(drawn) == page.locator("script.chart-spec").count()
        assert all(drawn), f"a chart without marks: {drawn}"
        for (medium, window), scheme in product((("screen", width), ("print", PAPER)), schemes):
            page.emulate_media(media=medium, color_scheme=scheme)
            page.set_viewport_size({"width": window, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{medium}, {scheme}: the page is {wide} px wider than its window of {window} px"
        assert not problems, problems
    finally:
        context.close()
