"""Classes over the base classes of a library that is imported when the first of them is used."""

from collections.abc import Callable, Sequence
from types import new_class
from typing import Any


def late_classes(namespace: dict[str, Any], names: Sequence[str], bases: Callable[[], tuple[type, ...]]) -> Any:
    """Take classes that lack their bases out of a module, and return the `__getattr__` that gives them whole.

    The whole class is of the module's own name for it, so that its objects pickle.

    Args:
        namespace: the module's `globals()`.
        names: the classes.
        bases: imports the library, and returns what comes behind each class in the order of bases.
    """
    module = namespace["__name__"]
    without = {name: namespace.pop(name) for name in names}

    def get(name: str) -> type:
        if name not in without:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        ours = without[name]
        named = {"__module__": module, "__doc__": ours.__doc__}
        namespace[name] = new_class(name, (ours, *bases()), exec_body=lambda body: body.update(named))
        return namespace[name]

    return get
