"""Whether the user has asked to stop."""

import threading

interruption = threading.Event()


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt if the user has asked to stop.

    Call it between pieces of work: a KeyboardInterrupt that was raised inside another library may have been swallowed.
    """
    if interruption.is_set():
        raise KeyboardInterrupt
