"""Worker processes: results in the order of the inputs, and a clean end whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from seqvae.errors import DataError

Input = TypeVar("Input")
Result = TypeVar("Result")


def in_order(function: Callable[[Input], Result], inputs: Sequence[Input], jobs: int) -> Iterator[Result]:
    """`function` of each input, computed in `jobs` processes, a few inputs ahead of the reader.

    The processes are spawned, not forked: they share no locks with this one, which may run threads.

    Raises:
        BrokenProcessPool: A process died. With one job it died of the input whose result is due.
        DataError: No process could be started.
    """
    pool = ProcessPoolExecutor(min(jobs, len(inputs)), mp_context=get_context("spawn"), initializer=_let_ctrl_c_kill)
    ahead = 4 * jobs if jobs > 1 else 1
    waiting: deque[Future[Result]] = deque()
    try:
        with _ctrl_c_later():
            started = pool.submit(os.getpid)
        for given in inputs:
            with _ctrl_c_later():
                waiting.append(pool.submit(function, given))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        if started.exception() is None:
            raise
        found = "no worker process could be started"
        raise DataError(
            f"{found}; in a script, make the call under `if __name__ == '__main__':`, or give jobs=1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _let_ctrl_c_kill() -> None:
    """In a worker: Ctrl-C ends it at once, without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Ctrl-C waits until the block ends; a process that starts in it inherits that, and imports undisturbed."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
