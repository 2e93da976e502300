"""Build hook: compile the C kernels into the wheel, if there is a C compiler."""

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileKernels(BuildHookInterface):
    """Compile ``_native/_kernels.so``.

    The library contains no code of Python or torch, so one wheel serves every version of both on its platform. Without
    a compiler the wheel is pure Python, and torch operations are used instead of the kernels.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build = _build_module(Path(self.root))
        built = build.build()
        if built is None:
            self.app.display_warning(
                "No C compiler was found: softtargets will use torch operations, which are slower."
            )
            build.LIBRARY.unlink(missing_ok=True)
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
        build_data["artifacts"].append(str(built.relative_to(self.root)))


def _build_module(root: Path) -> Any:
    """Return ``_native/build.py``, which cannot be imported as part of the package before torch is installed."""
    path = root / "src" / "softtargets" / "_native" / "build.py"
    spec = importlib.util.spec_from_file_location("softtargets_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
