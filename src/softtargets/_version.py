"""The version of this package, also where it runs from a checkout that is not installed."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return the installed version, or "not installed"."""
    try:
        return version("softtargets")
    except PackageNotFoundError:
        return "not installed"
