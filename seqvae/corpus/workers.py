"""Worker processes: results in the order of the inputs, and a process that dies costs only the input it had."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seqvae.errors import DataError

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

Input = TypeVar("Input")
Result = TypeVar("Result")

AHEAD = 4
"""Inputs for each process that may be computed before the reader wants them: what is held in memory."""

AT_HAND = 2
"""Inputs that a process has: the one that it computes, and the next, so that it never waits."""

MOST_STILLBORN = 8
"""Processes in a row that may die before they have begun: one may be killed, but so many cannot be started."""

STDERR = 2


class Died:
    """In place of a result: a process died of this input, or with it."""


@dataclass(frozen=True)
class _Raised:
    """In place of a result: the function raised this."""

    error: Exception


@dataclass(kw_only=True, eq=False)
class _Worker:
    """A process, our end of its pipe, and the numbers of the inputs that it was given, in order."""

    process: BaseProcess
    pipe: Connection
    given: deque[int] = field(default_factory=deque)
    started: bool = False


def in_order(function: Callable[[Input], Result], inputs: Sequence[Input], jobs: int) -> Iterator[Result | Died]:
    """`function` of each input, computed in `jobs` processes, a few inputs ahead of the reader.

    A process that dies is replaced; what it was computing gives `Died`, and all other inputs their results.

    Raises:
        DataError: No process could be started.
    """
    pool = _Pool(function, inputs, jobs)
    try:
        for number in range(len(inputs)):
            yield pool.result(number)
    finally:
        pool.close()


class _Pool(Generic[Input, Result]):
    """The processes of one `in_order`."""

    def __init__(self, function: Callable[[Input], Result], inputs: Sequence[Input], jobs: int) -> None:
        self.function, self.inputs, self.jobs = function, inputs, min(jobs, len(inputs))
        self.workers: list[_Worker] = []
        self.again: deque[int] = deque()  # inputs that a process had at hand when it died
        self.following = 0  # the first input that was given to none
        self.results: dict[int, Result | Died | _Raised] = {}
        self.stillborn = 0  # processes in a row that died before they said that they were there

    def result(self, due: int) -> Result | Died:
        """The result of the input `due`; those before it were asked for."""
        while due not in self.results:
            while len(self.workers) < self.jobs and self._next(due) is not None:
                self.workers.append(_start(self.function))
            for at_hand in range(1, AT_HAND + 1):
                for worker in self.workers:
                    self._give(worker, at_hand, due)
            for pipe in wait([worker.pipe for worker in self.workers]):
                self._hear(next(worker for worker in self.workers if worker.pipe is pipe))
        found = self.results.pop(due)
        if isinstance(found, _Raised):
            raise found.error
        return found

    def close(self) -> None:
        """Ends all processes, whatever they are at: they write nothing."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.pipe.close()
            worker.process.join()
            worker.process.close()

    def _next(self, due: int) -> int | None:
        if self.again:
            return self.again[0]
        return self.following if self.following < min(len(self.inputs), due + AHEAD * self.jobs) else None

    def _give(self, worker: _Worker, at_hand: int, due: int) -> None:
        """Gives the worker inputs until it has so many."""
        while len(worker.given) < at_hand and (number := self._next(due)) is not None:
            with contextlib.suppress(OSError):  # it is dead, as we shall hear
                worker.pipe.send(self.inputs[number])
            worker.given.append(number)
            if self.again:
                self.again.popleft()
            else:
                self.following += 1

    def _hear(self, worker: _Worker) -> None:
        """Takes what a worker sent: that it is there, and then one result after another; or nothing if it died."""
        try:
            answer: Any = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if worker.started:
            self.results[worker.given.popleft()] = answer
        worker.started, self.stillborn = True, 0

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        worker.process.close()
        self.stillborn += not worker.started
        if self.stillborn > MOST_STILLBORN:
            found = "no worker process could be started"
            raise DataError(f"{found}; in a script, make the call under `if __name__ == '__main__':`, or give jobs=1")
        if worker.given and worker.started:
            self.results[worker.given.popleft()] = Died()
        self.again.extendleft(reversed(worker.given))


def _start(function: Callable[[Input], Result]) -> _Worker:
    context = _context()
    ours, theirs = context.Pipe()
    forked = context.get_start_method() == "fork"
    process = context.Process(target=_work, args=(function, theirs, forked), daemon=True)
    with _ctrl_c_later():
        process.start()
    theirs.close()
    return _Worker(process=process, pipe=ours)


def _context() -> ForkContext | SpawnContext:
    """Forked where nothing else runs here, which takes no time; else started anew, importing everything.

    A forked process has a copy of every lock; one that another thread holds at that moment would never be released.
    """
    threads = Path("/proc/self/task")  # also those that are not Python's
    alone = sys.platform == "linux" and threads.is_dir() and len(os.listdir(threads)) == 1
    return get_context("fork") if alone else get_context("spawn")


# -- in the process ----------------------------------------------------------------------------------------------------


def _work(function: Callable[[Input], Result], pipe: Connection, forked: bool) -> None:
    """Says that it is there, and answers every input until the other end of the pipe is closed."""
    _let_signals_kill()
    if forked:
        _close_all_but(pipe)
    with contextlib.suppress(EOFError, OSError):  # the other process is gone
        pipe.send(None)
        while True:
            given = pipe.recv()
            pipe.send(_answer(function, given))


def _answer(function: Callable[[Input], Result], given: Input) -> Result | _Raised:
    try:
        return function(given)
    except Exception as error:
        return _Raised(error)


def _close_all_but(pipe: Connection) -> None:
    """Closes what a fork has copied: the pipes of others, and the lock on a shard, must go with their own process."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > STDERR and int(name) != pipe.fileno():
            with contextlib.suppress(OSError):
                os.close(int(name))


def _let_signals_kill() -> None:
    """Ctrl-C and SIGTERM end a worker at once, without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
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
