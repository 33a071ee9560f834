"""Ctrl-C or SIGTERM -> the unit in training is finished first; a second one stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
SAID = b"\nstopping when the unit in training is finished; once more stops at once\n"


@contextmanager
def unit_by_unit() -> Iterator[Callable[[], bool]]:
    """Between units, ask what this yields whether to stop, and leave the block: KeyboardInterrupt is raised there.

    So no signal is lost, whenever it came. A second one raises KeyboardInterrupt at once.
    Signals are left to whoever handles them already, and to the main thread: elsewhere this changes nothing.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(2, SAID)  # unlike print, this may interrupt a print

    main = threading.current_thread() is threading.main_thread()
    taken = {number: own for number, own in DEFAULTS.items() if main and signal.getsignal(number) == own}
    for number in taken:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, own in taken.items():
            signal.signal(number, own)
    if asked:
        raise KeyboardInterrupt
