"""What a study adds in Python: the module ``study.py`` beside its ``study.toml``.

The module is run when the study is loaded to be run, reported or shown. It may define

- ``EXACT``, a dictionary from names to functions without arguments: numbers that claims name as `exact`;
- output kinds of its own: subclasses of :class:`softtargets.studies.outputs.kind.OutputKind` that carry
  :func:`softtargets.studies.outputs.kind.output_kind`, defined there or imported. A kind takes the place of a shipped
  one of the same name, for this study alone.

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
    """The exact numbers and the output kinds that a study may name."""

    exact: Mapping[str, Callable[[], float]] = field(default_factory=dict)
    kinds: Mapping[str, type[OutputKind]] = field(default_factory=lambda: KINDS)


def load_extension(folder: Path) -> Extension:
    """Run the module of a study, if it has one.

    Raises:
        InputError: naming the file, where it cannot be run.
    """
    path = folder / MODULE
    if not path.is_file():
        return Extension()
    name = f"softtargets_study_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    try:
        # a package, so that it can import the modules beside it: `from .curves import ...`
        spec = spec_from_file_location(name, path, submodule_search_locations=[str(folder)])
        if spec is None or spec.loader is None:
            raise ImportError(str(path))
        module = module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
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
    """Require exact numbers that can be called and kinds that can show nothing, before anything is trained."""
    for name, compute in extension.exact.items():
        if not callable(compute):
            raise TypeError(f"EXACT['{name}'] is not a function")
    for kind in extension.kinds.values():
        kind()
