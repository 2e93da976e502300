"""What is installed: a wheel that can run its studies, a library that needs torch alone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    expected = {
        str(path.relative_to(source))
        for path in (source / "softtargets").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert expected <= names
    assert "softtargets/studies/lukasik2020/study.toml" in names
    assert "softtargets/py.typed" in names


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
