"""The kinds of output, one file for each: its keys, the data that it gathers from runs, and how it is drawn."""

from importlib import import_module
from pkgutil import iter_modules

from softtargets.studies.outputs.kind import OutputKind, kinds_in

# All modules of this package are searched, so that a kind is registered by its definition.
KINDS: dict[str, type[OutputKind]] = {
    name: kind
    for found in iter_modules(__path__)
    for name, kind in kinds_in(import_module(f"{__name__}.{found.name}")).items()
}
