"""The command line: arguments, progress and messages; what is done lies in `workflows`.

Nothing here imports torch before a command needs it, so that help answers at once.
"""

import sys


def main() -> None:
    """Run the command line; errors of the user's become one readable paragraph."""
    from softtargets.cli.errors import run_safely

    sys.exit(run_safely(sys.argv[1:]))
