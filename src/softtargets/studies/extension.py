"""Python code of a study: the optional module ``study.py`` beside its ``study.toml``.

The module is executed when the study is run, reported or shown. It can define

- ``EXACT``, a dictionary from names to functions without arguments: numbers that claims refer to as `exact`;
- output kinds: subclasses of :class:`softtargets.studies.outputs.kind.OutputKind` decorated with
  :func:`softtargets.studies.outputs.kind.output_kind`, defined or imported there. For this study, such a kind replaces
  a built-in kind of the same name.

Other modules of the folder are imported relatively: ``from .curves import ...``.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from softtargets._errors import InputError
from softtargets.studies.outputs import KINDS
from softtargets.studies.outputs.kind import OutputKind, kinds_in

MODULE = "study.py"


@dataclass(frozen=True)
class Extension:
    """The exact numbers and the output kinds that a study can use."""

    exact: Mapping[str, Callable[[], float]] = field(default_factory=dict)
    kinds: Mapping[str, type[OutputKind]] = field(default_factory=lambda: KINDS)


def load_extension(folder: Path) -> Extension:
    """Execute the module of a study, if it has one.

    Raises:
        InputError: the module cannot be executed, with the file.
    """
    path = folder / MODULE
    if not path.is_file():
        return Extension()
    name = f"softtargets_study_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    try:
        # loaded as a package, so that it can import modules of its folder: `from .curves import ...`
        spec = spec_from_file_location(name, path, submodule_search_locations=[str(folder)])
        if spec is None or spec.loader is None:
            raise ImportError(str(path))
        module = module_from_spec(spec)
        sys.modules[name] = module  # required by dataclasses
        spec.loader.exec_module(module)
        extension = Extension(dict(getattr(module, "EXACT", {})), {**KINDS, **kinds_in(module)})
        _check(extension)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise InputError(
            f"{path}: a module that can be imported; got {type(error).__name__}: {error}; fix it"
        ) from error
    return extension


def _check(extension: Extension) -> None:
    """Require that exact numbers are functions and that kinds have defaults for all fields."""
    for name, compute in extension.exact.items():
        if not callable(compute):
            raise TypeError(f"EXACT['{name}'] is not a function")
    for kind in extension.kinds.values():
        kind()
