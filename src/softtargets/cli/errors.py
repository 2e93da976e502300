"""Exit codes, and errors as one readable paragraph."""

import sys

from softtargets._errors import InputError, InputTypeError

DONE = 0
UNEXPECTED = 1
BAD_INPUT = 2
RUNS_FAILED = 3
MACHINE = 4
INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 done; 1 an error of the program; 2 bad input; 3 some runs failed; "
    "4 the machine (disk, memory, permission); 130 interrupted."
)


def run_safely(arguments: list[str]) -> int:
    """Run a command and return its exit code; `--debug` lets errors through with their traceback."""
    import typer

    from softtargets.cli.commands import app

    debug = "--debug" in arguments
    command = typer.main.get_command(app)
    try:
        code = command.main([a for a in arguments if a != "--debug"], prog_name="softtargets", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        if debug:
            raise
        code = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        return say(*explain(error))
    if code == INTERRUPTED:  # typer turns an interruption into this code itself
        return say("interrupted: finished runs are kept; the same command goes on from there", INTERRUPTED)
    return code if isinstance(code, int) else DONE


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
    if isinstance(error, MemoryError | OSError):
        return f"{type(error).__name__}: {error}; finished runs are kept; mend it and run the same command", MACHINE
    return f"{type(error).__name__}: {error}; this is a fault of the program: --debug shows where", UNEXPECTED


def say(message: str, code: int) -> int:
    """Print a paragraph to the standard error and return the exit code."""
    print(f"softtargets: {message}", file=sys.stderr)
    return code
