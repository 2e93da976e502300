"""The kinds of output, a file for each: what it may name, what it gathers from runs, how it is drawn."""

from importlib import import_module
from pkgutil import iter_modules

from softtargets.studies.outputs.kind import OutputKind, kinds_in

# Every module of this package is searched: a kind is listed by being defined here.
KINDS: dict[str, type[OutputKind]] = {
    name: kind
    for found in iter_modules(__path__)
    for name, kind in kinds_in(import_module(f"{__name__}.{found.name}")).items()
}
