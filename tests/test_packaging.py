"""What is installed: a wheel that can run its studies, a library that needs torch alone."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from softtargets._native import build
from softtargets._native.build import compiler

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "softtargets/_native/_kernels.so"
LAB = (
    "altair",
    "datasets",
    "jinja2",
    "joblib",
    "numpy",
    "pydantic",
    "safetensors",
    "sklearn",
    "typer",
)
# what the extras figures and text install
APART = ("vl_convert", "sacrebleu", "lxml", "regex", "tabulate", "portalocker", "colorama", "tokenizers")


NUMBERS = (
    "import torch, softtargets\n"
    "from softtargets import nn\n"
    "from softtargets._native import library\n"
    "logits = torch.linspace(-3, 3, 200, dtype=torch.float64).sin().view(20, 10).requires_grad_()\n"
    "loss = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, torch.arange(20) % 10)\n"
    "loss.backward()\n"
    "print(softtargets.__file__)\n"
    "print(library.status())\n"
    "print(f'{loss.item():.12f} {logits.grad.norm().item():.12f}')\n"
)


def hatchling(target: str, folder: Path, root: Path = ROOT, **environment: str) -> tuple[Path | None, str]:
    """Return what was built, None if that failed, and what was printed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    around = {name: value for name, value in os.environ.items() if name not in ("CC", "SOFTTARGETS_BUILD")}
    done = subprocess.run(command, cwd=root, env=around | environment, capture_output=True, text=True)
    built = None if done.returncode else next(folder.glob("*.whl" if target == "wheel" else "*.tar.gz"))
    return built, done.stdout + done.stderr


def built_wheel(folder: Path, root: Path = ROOT, **environment: str) -> Path:
    wheel, printed = hatchling("wheel", folder, root, **environment)
    assert wheel is not None, printed
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def pure_wheel(tmp_path_factory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("pure"), CC="/nonexistent/cc")


def _names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def _sources() -> set[str]:
    """Return the files of the package, without the kernels: their C sources and the library."""
    source = ROOT / "src"
    return {
        str(path.relative_to(source))
        for path in (source / "softtargets").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".c", ".h", ".so")
    }


needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")


def test_the_wheel_holds_every_file_of_the_package(pure_wheel) -> None:
    names = _names(pure_wheel)
    assert _sources() <= names
    assert "softtargets/studies/lukasik2020/study.toml" in names
    assert "softtargets/py.typed" in names
    licences = {"LICENSE", "LICENSE-charts"}
    assert {name.partition(".dist-info/licenses/")[2] for name in names} >= licences
    assert not any(name.endswith((".c", ".h", ".so")) for name in names)
    assert pure_wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.parametrize("kind", ["wheel", "pure_wheel"])
def test_check_wheel_contents_finds_nothing(kind, request) -> None:
    command = [sys.executable, "-m", "check_wheel_contents", request.getfixturevalue(kind)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_compiler
def test_a_wheel_that_was_built_with_a_compiler_holds_the_library_and_no_c_sources(wheel) -> None:
    names = _names(wheel)
    assert _sources() <= names
    assert [name for name in names if name.endswith((".c", ".h", ".so"))] == [LIBRARY]
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    about = zipfile.ZipFile(wheel).read(f"{wheel.name.split('-py3')[0]}.dist-info/WHEEL").decode()
    assert "Root-Is-Purelib: false" in about


def test_the_source_archive_builds_the_same_wheel(wheel, tmp_path) -> None:
    archive, printed = hatchling("sdist", tmp_path)
    assert archive is not None, printed
    with tarfile.open(archive) as file:
        assert not [name for name in file.getnames() if name.endswith(".so")]
        file.extractall(tmp_path, filter="data")
    again = built_wheel(tmp_path, tmp_path / archive.name.removesuffix(".tar.gz"))
    assert (again.name, _names(again)) == (wheel.name, _names(wheel))


def test_building_a_wheel_does_not_touch_the_library_of_the_checkout(tmp_path) -> None:
    before = build.LIBRARY.stat() if build.LIBRARY.exists() else None
    built_wheel(tmp_path, SOFTTARGETS_BUILD="pure")
    assert (build.LIBRARY.stat() if build.LIBRARY.exists() else None) == before


def test_a_compiler_that_fails_gives_a_pure_wheel_and_is_reported(tmp_path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'fatal error: math.h: No such file or directory' >&2\nexit 1\n")
    broken.chmod(0o755)
    wheel, printed = hatchling("wheel", tmp_path, CC=str(broken))
    assert wheel is not None
    assert wheel.name.endswith("-any.whl")
    assert "without compiled kernels" in printed
    assert "math.h: No such file" in printed


def test_a_missing_compiler_is_reported(tmp_path) -> None:
    _, printed = hatchling("wheel", tmp_path, CC="/nonexistent/cc")
    assert "the C compiler that CC names, '/nonexistent/cc', was not found" in printed


@pytest.mark.parametrize(
    ("choice", "words"),
    [("require", "SOFTTARGETS_BUILD=require"), ("yes", "one of auto, require, pure; got 'yes'; unset it to use auto")],
)
def test_a_build_that_requires_the_kernels_fails_without_them(choice: str, words: str, tmp_path) -> None:
    wheel, printed = hatchling("wheel", tmp_path, CC="/nonexistent/cc", SOFTTARGETS_BUILD=choice)
    assert wheel is None
    assert words in printed


@needs_compiler
def test_both_wheels_compute_the_same_numbers(wheel, pure_wheel, tmp_path) -> None:
    results = []
    for built, expected in ((wheel, "compiled kernels"), (pure_wheel, "there is no _kernels.so")):
        site = tmp_path / built.stem
        zipfile.ZipFile(built).extractall(site)
        environment = {**os.environ, "PYTHONPATH": str(site)}
        environment.pop("SOFTTARGETS_NATIVE", None)
        command = [sys.executable, "-W", "error", "-c", NUMBERS]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        file, status, numbers = done.stdout.splitlines()
        assert file.startswith(str(site))
        assert expected in status
        results.append(numbers)
    assert results[0] == results[1]


def test_an_installed_wheel_runs_its_studies(wheel, tmp_path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = (
        "import softtargets, sys\n"
        f"assert softtargets.__file__.startswith({str(site)!r})\n"
        "from softtargets.cli import run_safely\n"
        "sys.exit(run_safely(['run', 'lukasik2020', 'figure1']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "lukasik2020-figure1" / "index.html").exists()


def test_the_lab_works_without_the_packages_of_figures_and_texts(tmp_path) -> None:
    script = (
        "import sys\n"
        f"for name in {APART!r}:\n    sys.modules[name] = None\n"
        "import numpy as np\n"
        "from softtargets.cli import run_safely\n"
        "np.savez('hand.npz', probs=np.tile([[0.7, 0.3], [0.4, 0.6]], (50, 1)), labels=np.arange(100) % 3 // 2)\n"
        "sys.exit(run_safely(['run', 'lukasik2020', 'figure1']) or run_safely(['evaluate', 'hand.npz']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("to get SVG and PNG files: pip install 'softtargets[figures]'") == 1
    assert not list(tmp_path.rglob("*.svg")) + list(tmp_path.rglob("*.png"))
    pages = sorted(tmp_path.rglob("index.html"))
    assert len(pages) == 2
    for page in pages:
        html = page.read_text(encoding="utf-8")
        assert "vegaEmbed" in html
        assert 'class="chart-spec"' in html
        assert "This chart needs JavaScript." in html
        assert 'class="still"' not in html


def test_the_library_works_with_torch_alone() -> None:
    script = (
        "import sys\n"
        f"for name in {LAB!r}:\n    sys.modules[name] = None\n"
        "import torch\n"
        "from softtargets import analysis, losses, matrices, metrics, nn, noise, targets\n"
        "labels = torch.arange(40) % 4\n"
        "noisy = noise.corrupt(labels, noise.symmetric(0.25, 4), generator=torch.Generator().manual_seed(0))\n"
        "logits = torch.randn(40, 4)\n"
        "loss = losses.cross_entropy(logits, targets.smooth(noisy.noisy_labels, 0.1)).mean()\n"
        "assert nn.CrossEntropyLoss(label_smoothing=0.1)(logits, noisy.noisy_labels).allclose(loss)\n"
        "metrics.ece(logits.softmax(-1), labels)\n"
        "analysis.logit_gap(logits, labels)\n"
        "print(noisy.noise_rate)\n"
    )
    # torch warns when numpy is not there, which is not ours to fix
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0.25"


def test_the_citation_and_the_changelog_have_the_version_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == package
    sections = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert sections[0].split()[1] == package


def test_the_page_on_installation_lists_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    page = (ROOT / "docs" / "installation.md").read_text()
    rows = page[page.index("| extra |") :].split("\n\n")[0].splitlines()[2:]
    table = [row.split("|")[1] for row in rows]
    listed = {name for cell in table for name in re.findall(r"`([\w-]+)`", cell)}
    assert listed == extras - {"dev"}
