"""Exit codes, and errors as one readable paragraph."""

import errno
import sys

from softtargets._errors import InputError, InputTypeError
from softtargets._storage import bad_path

DONE = 0
UNEXPECTED = 1
BAD_INPUT = 2
RUNS_FAILED = 3
MACHINE = 4
INTERRUPTED = 130

# torch's memory of a GPU; a worker that the system ended, most often for its memory
EXHAUSTED = ("OutOfMemoryError", "TerminatedWorkerError")

EXIT_CODES = (
    "Exit codes: 0 done; 1 an error of the program; 2 bad input; 3 some runs failed; "
    "4 the machine (disk, memory, permission); 130 interrupted."
)


def explain(error: Exception) -> tuple[str, int]:
    """Return the paragraph and the exit code of an error."""
    if isinstance(error, InputError | InputTypeError):
        return str(error), BAD_INPUT
    # usage errors of the command-line library, whichever module it keeps them in
    describe = getattr(error, "format_message", None)
    if describe is not None:
        return f"{describe()} (see softtargets --help)", BAD_INPUT
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("softtargets"):
        return f"'{error.name}' is not installed; install the lab: pip install 'softtargets[lab]'", BAD_INPUT
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return str(bad_path("path", error.filename, error)), BAD_INPUT
    # By name: importing what defines them costs more than help may; a failed CPU allocation has no class at all.
    exhausted = type(error).__name__ in EXHAUSTED or "can't allocate memory" in str(error)
    if isinstance(error, MemoryError | OSError) or exhausted:
        return f"{type(error).__name__}: {error}; what was finished is kept; fix it and run the same command", MACHINE
    return f"{type(error).__name__}: {error}; internal error; rerun with --debug and report it", UNEXPECTED


def say(message: str, code: int) -> int:
    """Print a paragraph to the standard error and return the exit code."""
    print(f"softtargets: {' '.join(message.split())}", file=sys.stderr)
    return code
