"""Build hook: compile the C kernels, if there is a working C compiler.

The environment variable ``SOFTTARGETS_BUILD`` says what to do: ``auto`` (default) installs without the kernels where
they cannot be compiled, ``require`` makes that an error, and ``pure`` does not compile them.
"""

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

VARIABLE = "SOFTTARGETS_BUILD"
CHOICES = ("auto", "require", "pure")
WITHOUT = "softtargets is installed without compiled kernels and will use torch operations, which are slower"


class CompileKernels(BuildHookInterface):
    """Compile ``_native/_kernels.so``.

    The library contains no code of Python or torch, so one wheel serves every version of both on its platform. A wheel
    without it serves every platform. An editable installation gets the library in the checkout.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        kernels = _build_module(Path(self.root))
        if version == "editable":
            if not self._compile(kernels, kernels.LIBRARY):
                kernels.LIBRARY.unlink(missing_ok=True)
            return
        self._folder = tempfile.TemporaryDirectory()
        library = Path(self._folder.name) / kernels.LIBRARY.name
        if self._compile(kernels, library):
            build_data["force_include"][str(library)] = f"softtargets/_native/{library.name}"
            build_data["tag"] = f"py3-none-{_platform()}"
            build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()

    def _compile(self, kernels: Any, output: Path) -> bool:
        """Write the library and return whether there is one.

        Raises:
            RuntimeError: if there is none and the environment requires one.
            ValueError: if the environment variable has another value.
        """
        choice = os.environ.get(VARIABLE, "auto")
        if choice not in CHOICES:
            raise ValueError(f"{VARIABLE}: one of {', '.join(CHOICES)}; got {choice!r}; unset it to use auto")
        if choice == "pure":
            return False
        try:
            if kernels.build(output) is not None:
                return True
            named = os.environ.get("CC")
            reason = f"the C compiler that CC names, {named!r}, was not found" if named else "no C compiler was found"
        except RuntimeError as error:
            reason = "\n".join(str(error).splitlines()[:10])
        if choice == "require":
            raise RuntimeError(f"{VARIABLE}=require, but the kernels cannot be compiled: {reason}")
        self.app.display_warning(f"{WITHOUT}: {reason}")
        return False


def _platform() -> str:
    """Return the platform of a wheel that was built on this machine, for installation on such machines."""
    return next(tag for tag in platform_tags() if "manylinux" not in tag and "musllinux" not in tag)


def _build_module(root: Path) -> Any:
    """Return ``_native/build.py``, which cannot be imported as part of the package before torch is installed."""
    path = root / "src" / "softtargets" / "_native" / "build.py"
    spec = importlib.util.spec_from_file_location("softtargets_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
