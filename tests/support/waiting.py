"""Waiting for another process to come to a state, with a limit."""

from collections.abc import Callable
from threading import Event
from time import monotonic


def wait_until(holds: Callable[[], bool], within_s: float, every_s: float = 0.1) -> bool:
    """Ask `holds` again and again until it is true; tell whether it became so within the limit."""
    deadline = monotonic() + within_s
    pause = Event()
    while not holds():
        if monotonic() >= deadline:
            return False
        pause.wait(every_s)
    return True
