"""The machine: device, precision, threads and noise. What the trainer needs and the model must not know."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch

from seqvae.cores import core_count
from seqvae.errors import ConfigError

Result = TypeVar("Result")

CPU_BATCH = 64
GPU_BATCH = 4096
"""Rows that `in_batches` runs at once."""


def choose_device(name: str) -> torch.device:
    """`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`; under torchrun each process has its own GPU.

    Raises:
        ConfigError: The device is unknown or not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"--device {name!r} is unknown; use auto, cpu or cuda") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices"
        raise ConfigError(f"{found}; use --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name!r} is not supported; use auto, cpu or cuda")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bfloat16 products where asked for; `auto` asks where the hardware multiplies bfloat16 itself."""
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself."""
    return torch.cuda.is_bf16_supported() if device.type == "cuda" else bool(torch.cpu._is_avx512_bf16_supported())


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had no room for what was asked of it: a GPU's error, or that of torch's allocator on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def is_device_failure(error: Exception) -> bool:
    """Whether a GPU has stopped answering; no more can be had of it in this process."""
    return not is_out_of_memory(error) and isinstance(error, RuntimeError) and "CUDA error" in str(error)


def generator(device: torch.device, *key: int) -> torch.Generator:
    """A generator whose stream is a pure function of the key: (seed, step, part) needs no state to resume."""
    mixed = 0
    for part in key:  # splitmix64: neighbouring keys give unrelated streams
        mixed = (mixed + part + 0x9E3779B97F4A7C15) % 2**64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        mixed ^= mixed >> 31
    return torch.Generator(device).manual_seed(mixed)


def new_seed() -> int:
    """A seed for when the user gave none; small enough to type again."""
    return secrets.randbelow(10**9)


class Workers:
    """Threads that each compute a part of a batch with single-thread operations.

    Two single-thread halves are faster on two cores than one two-thread batch, and much faster beside other work, where
    a team of threads waits for its slowest at every product.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def map(self, function: Callable[..., Result], *arguments: Sequence[Any]) -> list[Result]:
        """function over the arguments, in order, in the threads."""
        return list(self._pool.map(function, *arguments))

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Operations inside use one thread each; after, as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_batches(run: Callable[[slice], None], rows: int, device: torch.device, size: int | None = None) -> None:
    """Runs inference over so many rows, a slice of `size` of them at a time; on a CPU the slices share the cores.

    Each slice has one thread (see `Workers`): the products are small, and on a busy machine a team of threads that wait
    for each other was measured fifty times slower than one.
    """
    if size is None:
        size = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    slices = [slice(left, min(left + size, rows)) for left in range(0, rows, size)]

    def run_one(part: slice) -> None:
        with torch.inference_mode():  # a setting of the thread, not of the process
            run(part)

    with single_threaded():
        if device.type != "cpu" or len(slices) < 2:
            for part in slices:
                run_one(part)
            return
        workers = Workers(min(core_count(), len(slices)))
        try:
            workers.map(run_one, slices)
        finally:
            workers.close()


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Inside, Ctrl-C and SIGTERM do not break off but make the yielded function True. A second Ctrl-C breaks off."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    names = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {name: signal.signal(name, ask) for name in names}
    except ValueError:  # not in the main thread: a notebook or a server; nothing to catch there
        before = {}
    try:
        yield lambda: asked
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
