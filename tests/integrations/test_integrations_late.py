"""Classes whose base classes are imported on first use."""

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from softtargets import integrations
from softtargets.integrations import timm, torchmetrics, ultralytics
from softtargets.integrations._late import WITHOUT_BASES, late_classes

# modules with such classes whose library is installed
LATE = {name.split(".")[2] for name in WITHOUT_BASES}
MODULES = [getattr(integrations, name) for name in sorted(LATE) if importlib.util.find_spec(name) is not None]


def test_importing_the_modules_imports_no_library() -> None:
    code = """
import sys
import torch

before = set(sys.modules)
from softtargets import integrations

assert all(f"softtargets.integrations.{name}" in sys.modules for name in integrations.__all__)
integrations.timm.loss("focal_loss", gamma=2.0)
assert not set(integrations.__all__) & (sys.modules.keys() - before)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


@pytest.mark.parametrize("module", MODULES)
def test_a_class_is_made_once_and_is_of_its_module(module) -> None:
    late = [name for name in module.__all__ if f"{module.__name__}.{name}" in WITHOUT_BASES]
    assert late
    for name in late:
        made = getattr(module, name)
        assert made is getattr(module, name)
        assert (made.__module__, made.__qualname__) == (module.__name__, name)
        assert made.__doc__
        assert pickle.loads(pickle.dumps(made)) is made
        ours = WITHOUT_BASES[f"{module.__name__}.{name}"]
        assert issubclass(made, ours)
        assert ours.__doc__ == made.__doc__


@pytest.mark.parametrize("module", [*MODULES, integrations])
def test_an_unknown_name_is_an_attribute_error(module) -> None:
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


def test_the_rooms_say_what_they_hold() -> None:
    files = {path.stem for path in Path(str(integrations.__file__)).parent.iterdir() if not path.name.startswith("_")}
    assert sorted(files) == integrations.__all__
    assert files <= set(dir(integrations))


def test_ours_comes_before_the_bases() -> None:
    class Ours:
        """What it is."""

        def says(self) -> str:
            return f"ours, then {super().says()}"  # pyright: ignore[reportAttributeAccessIssue]

    class Theirs:
        def says(self) -> str:
            return "theirs"

    namespace = {"__name__": "here", "Ours": Ours}
    get = late_classes(namespace, ["Ours"], lambda: (Theirs,))
    assert "Ours" not in namespace
    assert get("Ours")().says() == "ours, then theirs"
    assert issubclass(namespace["Ours"], Theirs)  # pyright: ignore[reportArgumentType]


def test_a_missing_library_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    for name in torchmetrics.__all__:
        monkeypatch.delitem(vars(torchmetrics), name, raising=False)
    with pytest.raises(ModuleNotFoundError, match="torchmetrics"):
        torchmetrics.ECEMetric  # noqa: B018
    for name, make in (
        ("timm", lambda: timm.distillation_task("kd_loss")),
        ("ultralytics", lambda: ultralytics.classification_trainer("focal_loss", gamma=2.0)),
    ):
        for imported in [key for key in sys.modules if key.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, imported)
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ModuleNotFoundError, match=name):
            make()
