"""Compile the kernels: ``python build.py``, and the build hook when softtargets is installed.

This file is run on its own, before the package and torch are installed, so it imports neither.
"""

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "kernels"
LIBRARY = HERE / "_kernels.so"

# The instruction sets that every kernel is compiled for, with the compiler's flags for each; the loader chooses. They
# are those of x86-64-v3 and v4 that the kernels use, by names that compilers before GCC 11 know too. `best_level` in
# kernels/about.c checks each of them.
V3 = ("-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2")
V4 = (*V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl")
LEVELS = {"base": (), "v3": V3, "v4": V4}
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-fno-math-errno", "-fvisibility=default", "-Wall", "-Wextra")

# The kernels share torch's OpenMP runtime: the library is not linked to one, and finds the functions of the one that
# torch has loaded. All such runtimes have the functions that GCC calls on Linux. Elsewhere, and with other compilers,
# the kernels run in one thread, as two runtimes in one process can abort it.
OPENMP = "-fopenmp"
_HAS_OPENMP = """
#if !defined(__linux__) || !defined(__GNUC__) || defined(__clang__)
#error "no OpenMP runtime to share with torch"
#endif
void run(int *x) {
#pragma omp parallel
    (*x)++;
}
"""


def fingerprint() -> str:
    """Return a hash of the sources, which the library carries, so that an outdated library is noticed."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def levels() -> dict[str, tuple[str, ...]]:
    """Return the instruction sets of this processor family, the best one last."""
    return LEVELS if platform.machine().lower() in ("x86_64", "amd64") else {"base": ()}


def compiler() -> list[str] | None:
    """Return the command of the C compiler that ``CC`` names, or the first one found; None if there is none."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in [named] if named else [["gcc"], ["cc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    return None


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
        threads = [OPENMP] if _has_openmp(found, Path(folder)) else []
        sources = f'-DST_SOURCES="{fingerprint()}"'
        objects = []
        for level, flags in levels().items():
            for source in sorted(SOURCES.glob("*.c")):
                made = Path(folder) / f"{source.stem}_{level}.o"
                command = [*found, *FLAGS, *flags, *threads, *extra, f"-DST_LEVEL={level}", sources]
                _run(*command, "-c", str(source), "-o", str(made))
                objects.append(str(made))
        made = Path(folder) / LIBRARY.name
        _run(*found, "-shared", *extra, *objects, "-lm", "-o", str(made))
        beside = output.with_suffix(f".{os.getpid()}")
        shutil.copy2(made, beside)
        os.replace(beside, output)
    return output


def _has_openmp(found: list[str], folder: Path) -> bool:
    source = folder / "openmp.c"
    source.write_text(_HAS_OPENMP)
    command = [*found, OPENMP, "-c", str(source), "-o", str(folder / "openmp.o")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")


if __name__ == "__main__":
    result = build(LIBRARY, *sys.argv[1:])
    print(f"Wrote {result}" if result else "No C compiler was found: softtargets will use torch operations.")
    sys.exit(0 if result else 1)
