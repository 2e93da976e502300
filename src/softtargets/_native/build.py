"""Compile the kernels: ``python build.py``, and the build hook when a wheel is built.

This file is run on its own, before the package and torch are installed, so it imports neither.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "kernels"
LIBRARY = HERE / "_kernels.so"

# The instruction sets that every kernel is compiled for, with the compiler's name for each; the loader chooses.
LEVELS = {"base": "", "v3": "-march=x86-64-v3", "v4": "-march=x86-64-v4"}
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-fno-math-errno", "-fvisibility=default", "-Wall", "-Wextra")
OPENMP = ("-fopenmp",)


def fingerprint() -> str:
    """Return a hash of the sources, which the library carries, so that an outdated library is noticed."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def levels() -> dict[str, str]:
    """Return the instruction sets of this processor family."""
    return LEVELS if platform.machine().lower() in ("x86_64", "amd64") else {"base": ""}


def compiler() -> str | None:
    """Return the C compiler that ``CC`` names, or the first one found; None if there is none."""
    named = os.environ.get("CC")
    return next(
        (found for name in ([named] if named else ["cc", "gcc", "clang"]) if (found := shutil.which(name))), None
    )


def build(output: Path = LIBRARY, *extra: str) -> Path | None:
    """Compile the library.

    Args:
        output: the file to write. It is replaced only by a complete library.
        extra: more compiler flags, for example those of a sanitizer.

    Returns:
        The path, or None if there is no compiler.

    Raises:
        RuntimeError: if the compiler fails, with what it printed.
    """
    found = compiler()
    if found is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        openmp = OPENMP if _compiles(found, Path(folder), *OPENMP) else ()
        objects = []
        for level, flag in levels().items():
            flags = [*FLAGS, *filter(None, [flag]), *openmp, *extra, f"-DST_LEVEL={level}"]
            for source in sorted(SOURCES.glob("*.c")):
                made = Path(folder) / f"{source.stem}_{level}.o"
                _run(found, *flags, f'-DST_SOURCES="{fingerprint()}"', "-c", str(source), "-o", str(made))
                objects.append(str(made))
        made = Path(folder) / LIBRARY.name
        _run(found, "-shared", *openmp, *extra, *objects, "-lm", "-o", str(made))
        beside = output.with_suffix(f".{os.getpid()}")
        shutil.copy2(made, beside)
        os.replace(beside, output)
    return output


def _compiles(found: str, folder: Path, *flags: str) -> bool:
    source = folder / "try.c"
    source.write_text("int one(void) { return 1; }\n")
    command = [found, "-shared", "-fPIC", *flags, str(source), "-o", str(folder / "try.so")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")


if __name__ == "__main__":
    result = build(LIBRARY, *sys.argv[1:])
    print(f"Wrote {result}" if result else "No C compiler was found: softtargets will use torch's operations.")
    sys.exit(0 if result else 1)
