"""The architecture, held by the syntax trees: imports go up the list of rooms, and the library needs torch alone."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "softtargets"

LIBRARY = (
    "_errors",
    "_packages",
    "_exports",
    "_results",
    "_arrays",
    "_checks",
    "_memory",
    "_numerics",
    "_rows",
    "_storage",
    "_interruption",
    "_version",
    "_native",
    "matrices",
    "targets",
    "noise",
    "metrics",
    "losses",
    "calibration",
    "distill",
    "analysis",
    "nn",
    "integrations",
)
LAB = (
    "_spec_errors",
    "_spec",
    "data",
    "models",
    "objectives",
    "runs",
    "measures",
    "train",
    "report",
    "studies",
    "audit",
    "evaluate",
    "ensembles",
    "export",
    "doctor",
    "compare",
    "tune",
    "cli",
)
ORDER = {room: place for place, room in enumerate((*LIBRARY, *LAB))}
# the lazy front door may name every room
EXEMPT = {"__init__"}
# imported on first use, where Triton is installed
OPTIONAL = {"_native/triton_kernels.py": {"triton"}}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def _internal(tree: ast.AST) -> Iterator[str]:
    """Yield the rooms that a module imports, wherever in it the import stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module="softtargets", names=names):
                modules = [f"softtargets.{alias.name}" for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case ast.ImportFrom(level=level) if level > 0:
                pytest.fail("relative imports hide the room they come from")
            case _:
                continue
        yield from (name.split(".")[1] for name in modules if name.startswith("softtargets."))


def _at_module_level(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level packages that importing the module imports."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pending.extend(node.orelse)
            case ast.If() | ast.Try() | ast.With() | ast.ClassDef():
                pending.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_up_only(path: Path) -> None:
    room = _room(path)
    if room in EXEMPT:
        return
    assert room in ORDER, f"{room} is not a room of the architecture: give it a place in the list"
    below = {other for other in _internal(ast.parse(path.read_text())) if ORDER[other] > ORDER[room]}
    assert not below, f"{path.name} in {room} imports {sorted(below)}, which lie below it"


@pytest.mark.parametrize("path", [path for path in _files() if _room(path) in LIBRARY], ids=lambda path: path.name)
def test_the_library_needs_torch_alone(path: Path) -> None:
    allowed = {"torch", "softtargets", *sys.stdlib_module_names}
    allowed |= OPTIONAL.get(path.relative_to(SOURCE).as_posix(), set())
    foreign = set(_at_module_level(ast.parse(path.read_text()))) - allowed
    assert not foreign, f"import {sorted(foreign)} inside the function that needs it"


def test_no_file_waits_for_itself() -> None:
    """Files import in one order, within rooms too."""
    modules = {_module(path): path for path in _files() if path.name != "__init__.py"}
    graph = {name: _modules(path) & (modules.keys() - {name}) for name, path in modules.items()}
    assert list(TopologicalSorter(graph).static_order())


def _module(path: Path) -> str:
    return ".".join(("softtargets", *path.relative_to(SOURCE).with_suffix("").parts))


def _modules(path: Path) -> set[str]:
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    named = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    return {str(node.module) for node in imports} | named


def _private(tree: ast.Module, room: str) -> Iterator[str]:
    """Yield the private names of other rooms that a file of `room` imports, or takes from a module of theirs."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported = [(alias.name, alias.asname) for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                imported = [(f"{module}.{alias.name}", alias.asname or alias.name) for alias in node.names]
            case _:
                continue
        for name, bound in imported:
            package, *parts = name.split(".")
            if package == "softtargets" and parts and parts[0] != room:
                modules[bound or name] = name
                if any(part.startswith("_") for part in parts[1:]):
                    yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            if modules.get(owner, "").count(".") == 1 and not modules[owner].startswith("softtargets._"):
                yield f"{modules[owner]}.{node.attr}"


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_private_import_across_rooms(path: Path) -> None:
    found = set(_private(ast.parse(path.read_text()), _room(path)))
    assert not found, f"{path.name} uses {sorted(found)}: import it from a public module of that room"


def test_the_test_finds_private_names() -> None:
    tree = ast.parse(
        "from softtargets import losses, _checks\nfrom softtargets._errors import fail\n"
        "from softtargets.losses import focal, _focal\nfrom softtargets.losses._engine import kernel\n"
        "import softtargets.targets._rules\ndef f():\n    losses._linear, _checks._x, losses.__all__, focal._y"
    )
    assert set(_private(tree, "nn")) == {
        "softtargets.losses._focal",
        "softtargets.losses._engine.kernel",
        "softtargets.targets._rules",
        "softtargets.losses._linear",
    }
    assert set(_private(tree, "losses")) == {"softtargets.targets._rules"}


def test_the_test_finds_what_it_looks_for() -> None:
    tree = ast.parse(
        "import softtargets.cli\nfrom softtargets import runs\ndef f():\n    from softtargets.data import x"
    )
    assert list(_internal(tree)) == ["cli", "runs", "data"]
    assert set(_at_module_level(ast.parse("import numpy as np\ntry:\n    import scipy\nexcept E:\n    pass"))) == {
        "numpy",
        "scipy",
    }
