"""The code on the page on integrations runs, where the library of its section is installed."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
WITH_CODE = [title for title, text in SECTIONS.items() if "```python" in text]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def run(title: str) -> dict[str, Any]:
    """Run the Python blocks of a section and return their names."""
    made: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", SECTIONS[title], re.DOTALL):
        try:
            exec(compile(block, f"integrations.md, {title}", "exec"), made)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("softtargets"):
                raise
            pytest.skip(f"{error.name} is not installed")
    return made


@pytest.mark.parametrize("title", WITH_CODE)
def test_the_code_of_a_section_runs(title: str) -> None:
    made = run(title)
    inputs, labels = torch.randn(8, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    match title:
        case "scikit-learn":
            assert made["probs"].shape == (150, 3)
        case "skorch":
            assert made["net"].predict_proba(made["X"][:2].astype("float32")).shape == (2, 3)
        case "Lightning":
            loss = made["net"].training_loss(made["net"](inputs), labels, None)
            assert loss.shape == ()
            assert made["callback"].observers == {"smoothing": made["net"].smoothing}
        case "Keras":
            history = made["model"].fit(inputs.numpy(), labels.numpy(), verbose=0).history
            assert float(history["loss"][0]) > 0
        case "Everything else":
            assert made["value"].shape == ()


def test_the_sections_are_found() -> None:
    assert len(WITH_CODE) >= 8
    assert PAGE.count("```python") == sum(SECTIONS[title].count("```python") for title in WITH_CODE)
