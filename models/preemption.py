"""Being told to stop: a machine that is taken away sends SIGTERM some time before."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Whether the process has been asked to stop.

    Attributes:
        received: whether it has been.
    """

    received = False


@contextlib.contextmanager
def sigterm_as_request() -> Iterator[StopRequest]:
    """Inside, SIGTERM ends nothing: it is noted, for the work to end at a good place.

    Outside the main thread, which alone receives signals, nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(signum: int, frame: FrameType | None) -> None:
        request.received = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
