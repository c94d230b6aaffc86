"""The cores that this process may use, and rows shared out among them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def core_count() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def share_out(run: Callable[[slice], None], rows: int, *, unit: int, most: int) -> None:
    """Runs over so many rows, a slice at a time, in as many threads as there are cores.

    Args:
        run: Called with each slice; lets go of the interpreter while it computes, as numpy does.
        rows: How many there are.
        unit: Slices are so many rows or a multiple; a thread that would have less than two stays out.
        most: Units of a slice at most.
    """
    threads = max(1, min(core_count(), rows // (2 * unit)))
    size = unit * min(most, -(-rows // (threads * unit)))
    slices = [slice(left, min(left + size, rows)) for left in range(0, rows, size)]
    if threads == 1:
        for part in slices:
            run(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, slices))  # a list, so that what a thread raises is raised here
