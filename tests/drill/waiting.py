from __future__ import annotations

import time
from collections.abc import Callable


def eventually(what: str, probe: Callable[[], object], seconds: float, why: Callable[[], str] = str) -> None:
    """Returns when `probe` is true; `why` tells more when it is not in time."""
    ends = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < ends, f"{what}: not within {seconds:g} s\n{why()}"
        time.sleep(0.2)
