"""The command line: arguments, progress and messages; what is done lies in `workflows`.

Nothing here imports torch before a command needs it, so that help answers at once.
"""

import sys


def main() -> None:
    """Run the command line; errors of the user's become one readable paragraph."""
    sys.exit(run_safely(sys.argv[1:]))


def run_safely(arguments: list[str]) -> int:
    """Run a command and return its exit code; `--debug` lets errors through with their traceback."""
    import typer

    from softtargets.cli.commands import app
    from softtargets.cli.errors import DONE, INTERRUPTED, explain, say

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
