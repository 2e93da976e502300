"""Whether the user has asked to stop."""

import threading

interruption = threading.Event()


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt where one was asked for, and perhaps lost on its way."""
    if interruption.is_set():
        raise KeyboardInterrupt
