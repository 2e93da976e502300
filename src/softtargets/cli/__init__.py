"""The command line: arguments, progress and messages. The work is done by the jobs that it calls.

Torch is imported only when a command needs it, so that ``--help`` answers at once.
"""

import signal
import sys
import threading
import warnings
from types import FrameType
from typing import Any


def main() -> None:
    """Run the command line. An error caused by the input is printed as one paragraph."""
    # loky replaces a worker whose memory has grown, for example by a second data set; no run is lost
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)
    try:
        code: int | str = run_safely(sys.argv[1:])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("softtargets"):
            raise
        required = f"softtargets: the command line requires the package '{error.name}'"
        code = f"{required}; install it with: pip install 'softtargets[lab]'"
    sys.exit(code)


def run_safely(arguments: list[str]) -> int:
    """Run a command and return its exit code. With `--debug`, errors are raised with their traceback."""
    import typer

    from softtargets.cli.commands import app
    from softtargets.cli.errors import DONE, INTERRUPTED, explain, is_usage_error, say

    debug = "--debug" in arguments
    words = [word for word in arguments if word != "--debug"] or ["--help"]
    command = typer.main.get_command(app)
    before = _interruptible()
    try:
        code = command.main(words, prog_name="softtargets", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        if debug:
            raise
        code = INTERRUPTED
    except Exception as error:
        if debug and not is_usage_error(error):
            raise
        return say(*explain(error))
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if code == INTERRUPTED:  # typer itself returns this code for an interruption
        return say("interrupted: finished runs are kept; run the same command to resume", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _interruptible() -> Any:
    """Record interruptions in a flag, and return the previous handler (None outside the main thread).

    A KeyboardInterrupt raised in a destructor, or inside another library's ``except``, is lost. Long jobs therefore
    check the flag between their steps.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    from softtargets._interruption import interruption

    def interrupt(number: int, frame: FrameType | None) -> None:
        interruption.set()
        raise KeyboardInterrupt

    interruption.clear()
    return signal.signal(signal.SIGINT, interrupt)
