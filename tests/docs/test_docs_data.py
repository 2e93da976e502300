"""The page about data sets: its examples are valid specifications."""

import re
import tomllib
from pathlib import Path

from softtargets.data import DataSpec
from softtargets.data.spec import AugmentationSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_examples_are_valid() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        content = tomllib.loads(block)
        assert DataSpec.parse(content["data"]).name
        assert AugmentationSpec.parse(content.get("augmentation", {})).active == ("augmentation" in content)


def test_every_field_about_images_and_subsets_is_described() -> None:
    page = PAGE.read_text(encoding="utf-8")
    described = set(DataSpec.model_fields) - {"text", "features", "num_classes", "limit", "fold"}
    assert {name for name in described if name not in page} == set()
    assert {name for name in AugmentationSpec.model_fields if name not in page} == set()
