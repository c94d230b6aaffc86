"""Processes that train one model together, started by torchrun; a process alone is a team of one.

Every member has all weights and makes every batch; it computes its parts of it, and what is summed over the parts is
summed over the members. So a step is the same whatever the team, but for the order in which numbers are added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

from seqvae.errors import ConfigError, SeqvaeError


@dataclass(frozen=True, kw_only=True)
class Team:
    """This process among its team: the first, `rank` 0, is the one that writes and talks."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def join(device: torch.device) -> Team:
        """The team that torchrun's environment variables tell of; gloo between CPUs, NCCL between GPUs.

        Raises:
            ConfigError: The variables are incomplete, or the others cannot be reached.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return Team()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            if not torch.distributed.is_initialized():
                torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            found = f"WORLD_SIZE is {size}, and the {size} processes do not find each other ({reason})"
            raise ConfigError(f"{found}; start them with torchrun, or unset WORLD_SIZE") from None
        return Team(rank=torch.distributed.get_rank(), size=size)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and talks."""
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sums over all members, in one message; what each gives stays as it is."""
        if self.size == 1:
            return list(tensors)
        together = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        with _one_clear_message():
            torch.distributed.all_reduce(together)
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True)]

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it is true of any member."""
        if self.size == 1:
            return flag
        (found,) = self.sum([torch.tensor([float(flag)], device=device)])
        return bool(found > 0)

    def agree(self, value: float, device: torch.device) -> float:
        """The first member's value, for all: what decides how the run goes on must not differ by a last bit."""
        if self.size == 1:
            return value
        kept = torch.tensor([value], dtype=torch.float64, device=device)
        with _one_clear_message():
            torch.distributed.broadcast(kept, 0)
        return float(kept)

    def leave(self) -> None:
        """Ends the team."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def _one_clear_message() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        reason = " ".join(str(error).split())[:120]
        found = f"another process of this training has ended ({reason})"
        raise SeqvaeError(f"{found}; its own message says why; go on with the same command and --resume") from None
