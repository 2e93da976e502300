"""The command line: arguments, progress and messages. What is done lies in the jobs that it calls.

Nothing here imports torch before a command needs it, so that help answers at once.
"""

import signal
import sys
import threading
from types import FrameType
from typing import Any


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
    before = _interruptible()
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
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if code == INTERRUPTED:  # typer turns an interruption into this code itself
        return say("interrupted: what was finished is kept; run the same command to resume", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _interruptible() -> Any:
    """Make an interruption one that cannot be lost; return the handler there was, or None outside the main thread.

    A KeyboardInterrupt that is raised in a destructor or inside another library's ``except`` goes no further. Work in
    several parts therefore looks between them whether one came.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    from softtargets._interruption import interruption

    def interrupt(number: int, frame: FrameType | None) -> None:
        interruption.set()
        raise KeyboardInterrupt

    interruption.clear()
    return signal.signal(signal.SIGINT, interrupt)
