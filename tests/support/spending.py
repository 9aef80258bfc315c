"""The processor's time of a piece of work: how much a test may hold against it."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .loops import slowness


@dataclass(slots=True)
class Spent:
    """Seconds of this thread, as of a processor that nobody else burdens."""

    seconds: float = 0.0


@contextmanager
def spending() -> Iterator[Spent]:
    """Known at its end. Garbage of earlier tests is not collected meanwhile: that takes seconds, and is not the work's."""
    spent, collected = Spent(), gc.isenabled()
    gc.disable()
    began = time.thread_time()
    try:
        yield spent
    finally:
        spent.seconds = (time.thread_time() - began) / slowness()
        if collected:
            gc.enable()


def least_spent(work: Callable[[], object], enough: float) -> float:
    """Seconds of the quickest of up to three runs, or of the first that takes less than `enough`.

    What is slow is slow each time; what else happens on the machine is not.
    """
    least = math.inf
    for _ in range(3):
        with spending() as spent:
            work()
        least = min(least, spent.seconds)
        if least < enough:
            break
    return least
