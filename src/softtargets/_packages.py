"""Optional packages: whether they are installed, and the error where one is missing."""

import importlib
import importlib.util
from types import ModuleType

from softtargets._errors import InputError, sentence


class MissingPackageError(InputError, ModuleNotFoundError):
    """A package that is not installed: the message names what needs it, and the command that installs it."""


def is_installed(package: str) -> bool:
    """Return whether a package can be imported. A folder of its name, such as the ``wandb`` of a store, cannot."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


def load(module: str, argument: str, install: str) -> ModuleType:
    """Import a package, or a module of it.

    Args:
        module: full name.
        argument: what needs the package, for the message.
        install: what pip installs, such as "softtargets[tune]".

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module.partition(".")[0], argument, install) from error


def missing(package: str, argument: str, install: str) -> MissingPackageError:
    """Return the error for a package that is not installed."""
    wanted = f"'{install}'" if "[" in install else install
    found = MissingPackageError(
        sentence(argument, f"the package {package}", "no such package", f"run pip install {wanted}")
    )
    found.name = package
    return found
