"""Exit codes, and errors as one paragraph."""

import errno

from softtargets._errors import InputError, InputTypeError
from softtargets._storage import bad_path
from softtargets.cli.terminal import write

DONE = 0
UNEXPECTED = 1
BAD_INPUT = 2
RUNS_FAILED = 3
MACHINE = 4
INTERRUPTED = 130

# Out of GPU memory (torch); a worker process killed by the system, usually for its memory use (joblib).
EXHAUSTED = ("OutOfMemoryError", "TerminatedWorkerError")

EXIT_CODES = (
    "Exit codes: 0 success; 1 internal error; 2 invalid input; 3 some runs failed; "
    "4 disk, memory or permission error; 130 interrupted."
)


def explain(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    if isinstance(error, InputError | InputTypeError):
        return str(error), BAD_INPUT
    if is_usage_error(error):
        return f"{error.format_message()} (see softtargets --help)", BAD_INPUT  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("softtargets"):
        return f"'{error.name}' is not installed; install the lab: pip install 'softtargets[lab]'", BAD_INPUT
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return str(bad_path("path", error.filename, error)), BAD_INPUT
    # Compared by name, because importing their modules is slow. A failed CPU allocation has no class of its own.
    exhausted = type(error).__name__ in EXHAUSTED or "can't allocate memory" in str(error)
    if isinstance(error, MemoryError | OSError) or exhausted:
        return (
            f"{type(error).__name__}: {error}; finished runs are kept; fix the cause and run the same command again",
            MACHINE,
        )
    return f"{type(error).__name__}: {error}; internal error; rerun with --debug and report it", UNEXPECTED


def is_usage_error(error: Exception) -> bool:
    """Return whether the command-line library raised the error; in which of its modules varies by version."""
    return hasattr(error, "format_message")


def say(message: str, code: int) -> int:
    """Print a message as one line to the standard error and return the exit code."""
    write(f"softtargets: {' '.join(message.split())}", error=True)
    return code
