"""The site: its pages exist, the code on its first pages runs, and the library names in its tables exist."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from softtargets import calibration, distill, losses, metrics, nn, noise, targets
from softtargets.runs.spec import RunSpec
from softtargets.train.executors import EXECUTORS

DOCS = Path(__file__).resolve().parents[2] / "docs"
STARTS = sorted(DOCS.glob("start/*.md"))
ROOMS: dict[str, Any] = {
    "calibration": calibration,
    "distill": distill,
    "losses": losses,
    "metrics": metrics,
    "nn": nn,
    "noise": noise,
    "targets": targets,
}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def run(name: str) -> dict[str, Any]:
    """Run the Python blocks of a page one after the other and return their names."""
    path = DOCS / f"{name}.md"
    made: dict[str, Any] = {}
    for block in blocks(path, "python"):
        exec(compile(block, path.name, "exec"), made)
    return made


def test_first_page() -> None:
    made = run("index")
    assert made["loss"].shape == (8,)
    assert 0 <= float(made["error"]) <= 1


def test_training() -> None:
    made = run("start/training")
    assert all(loss.shape == (8,) for loss in made["per_example"].values())
    assert float(made["smoothing"]) == pytest.approx(0.1 * 10 / 9)
    assert made["logits"].grad is not None


def test_noisy_labels(capsys: pytest.CaptureFixture[str]) -> None:
    made = run("start/noisy-labels")
    assert made["found"].low < 0.2 < made["found"].high
    assert re.search(r"^\d+% to \d+% of the labels are wrong; \d+ suspects$", capsys.readouterr().out, re.MULTILINE)
    assert (made["transition"].to_dense().diagonal() > 0.5).all()
    assert made["corrected"].shape == made["robust"].shape == ()
    assert repr(made["issues"])


def test_calibration() -> None:
    made = run("start/calibration")
    logits, labels = made["logits"], made["labels"]
    assert made["scaling"].converged
    assert 1.5 < float(made["scaling"].temperature) < 2.5
    before, after = (metrics.ece(logits=z[1000:], labels=labels[1000:]) for z in (logits, made["scaling"](logits)))
    assert after < before
    assert torch.equal(made["gathered"].compute(), metrics.ece(logits=logits, labels=labels))
    assert 0.85 < float(made["found"].coverage) < 0.95


def test_distillation() -> None:
    made = run("start/distillation")
    assert made["loss"].shape == ()
    assert made["student_logits"].grad is not None
    # these logits are independent of the labels: nine tenths of the mass is on wrong classes, which is smoothing 1
    assert 0.9 < made["gamma"] < 1.1
    assert 0 < made["stability"] < 1
    assert losses.cross_entropy(made["teacher_logits"][[5, 7]], made["targets"]).shape == (2,)


def test_researchers(capsys: pytest.CaptureFixture[str]) -> None:
    run("start/researchers")
    assert "lukasik2020" in capsys.readouterr().out


def test_the_commands_in_python() -> None:
    made = run("command-line")
    found = made["audit"].noise.rate
    assert found.low < 0.2 < found.high
    assert made["evaluation"].main.metric("accuracy").value > 0.9


def test_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("clusters")["outcome"]
    assert outcome.failed == 0
    assert outcome.trained > 0
    text = (DOCS / "clusters.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(EXECUTORS)


def test_every_block_of_the_first_pages_is_run() -> None:
    tested = {"training", "noisy-labels", "calibration", "distillation", "researchers"}
    assert {path.stem for path in STARTS} == tested


def test_specifications_of_the_pages_are_valid() -> None:
    found = [block for path in [*STARTS, DOCS / "command-line.md"] for block in blocks(path, "toml")]
    assert len(found) == 3
    for block in found:
        RunSpec.parse(tomllib.loads(block))


@pytest.mark.parametrize("page", ["coming-from.md", "integrations.md"])
def test_the_names_of_a_page_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    cells = "\n".join(line.split(" | ")[1] for line in text.splitlines() if line.startswith("| ")) or text
    names = re.findall(rf"(?<!torch\.)\b({'|'.join(ROOMS)})\.(\w+)", cells)
    assert names
    missing = [f"{room}.{name}" for room, name in names if not hasattr(ROOMS[room], name)]
    assert not missing


NAMES = [
    "label smoothing",
    "find_label_issues",
    "TemperatureScaling",
    "kd_loss",
    "audit_labels",
    "labelled_per_class",
    "mutual_information",
    "smooth_ece",
    "compare_methods",
    "mixup",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does: a warning is an error."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    around = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=DOCS.parent, env=around, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_a_page_for_every_package_study_and_method(site: Path) -> None:
    pages = {path.parent.relative_to(site).as_posix() for path in site.rglob("index.html")}
    packages = {f"reference/{room}" for room in [*ROOMS, "audit", "compare", "evaluate", "train", "studies", "export"]}
    records = {f"results/{path.parent.name}" for path in DOCS.parent.glob("records/*/README.md")}
    methods = {f"methods/{path.stem}" for path in DOCS.glob("methods/*.md") if path.stem != "README"}
    assert packages | records | methods <= pages
    html = (site / "reference/targets/index.html").read_text(encoding="utf-8")
    assert 'id="softtargets.targets._smooth.smooth"' in html


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    broken = []
    for page in site.rglob("index.html"):
        for link in re.findall(r'href="([^"#?]+)', page.read_text(encoding="utf-8")):
            if "://" in link or link.startswith(("mailto:", "/")):
                continue
            target = (page.parent / link).resolve()
            if not (target.is_file() or (target / "index.html").is_file()):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken


def test_a_search_finds_names(site: Path, new_page: Any) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        page = new_page(offline=False)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        for name in NAMES:
            box = page.locator("input.md-search__input")
            box.fill(name)
            box.dispatch_event("keyup")
            results = page.locator(".md-search-result__item", has_text=re.compile(re.escape(name), re.IGNORECASE))
            results.first.wait_for(state="attached", timeout=240_000)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked), "nothing from another server"
