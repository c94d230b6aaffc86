"""A trained network behind a door of numpy: posteriors of tokens, tokens of z, in batches on its device.

On the CPU z is decoded by `seqvae.inference`, in numpy alone, which takes less time than torch however many there are;
and a few items are encoded there, done before torch would have been imported. Many, beams and everything on a GPU go
through torch. Which of the two never depends on what was imported before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqvae.config import ModelSettings
from seqvae.cores import share_out
from seqvae.errors import ConfigError, DataError
from seqvae.inference import Reader, SegmentedReader, SegmentedWriter, Weights, Writer
from seqvae.inference.cells import ROWS, UNIT
from seqvae.inference.draws import Draw
from seqvae.latent import Z, check_space
from seqvae.passage import Decoding
from seqvae.tokenizers import Alphabet, Tokens

if TYPE_CHECKING:
    import torch

    from seqvae.vae import SequenceVAE

FEW = 256
"""Rows up to which numpy has encoded them sooner than torch is imported."""

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "C:/Windows/System32/nvcuda.dll")
"""Without one of these there is no GPU to ask torch for: NVIDIA's (Linux), WSL's, AMD's, NVIDIA's (Windows)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A `SequenceVAE` and where it runs.

    Attributes:
        weights: Its arrays by torch's names, float32.
        alphabet, length, settings: What else makes it.
        place: `auto`, `cpu`, `cuda` or `cuda:N`, as asked for.
    """

    weights: Weights
    alphabet: Alphabet
    length: int
    settings: ModelSettings
    place: str = "auto"

    @cached_property
    def vae(self) -> SequenceVAE:
        """The network of torch, on its device."""
        import torch

        from seqvae.vae import SequenceVAE

        vae = SequenceVAE(self.alphabet, self.length, self.settings)
        # Copies: a mapped file cannot be written to, and torch's weights can.
        vae.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in self.weights.items()})
        return vae.to(self.device).eval()

    @cached_property
    def device(self) -> torch.device:
        """Where it runs. Raises `ConfigError` if there is no such device."""
        from seqvae.runtime import choose_device

        return choose_device(self.place)

    @cached_property
    def is_on_cpu(self) -> bool:
        """Whether it runs on the CPU; does not ask torch unless there may be a GPU."""
        if self.place == "auto" and not any(Path(driver).exists() for driver in GPU_DRIVERS):
            return True
        return self.place == "cpu" or self.device.type == "cpu"

    def posterior(self, tokens: Tokens) -> tuple[Z, Z]:
        """Mean and standard deviation of q(z|x): int64 (n, time) or (n, time, part) → float32 (n, z) both.

        Raises:
            ModelError: It is a language model: there is no z.
        """
        check_space(self.settings.z_size)
        means, stds = np.zeros((2, len(tokens), self.settings.z_size), np.float32)
        if not len(tokens):
            return means, stds
        if len(tokens) <= FEW and self.is_on_cpu:
            return self._reader.posterior(tokens)
        import torch

        from seqvae.runtime import in_batches

        def encode(rows: slice) -> None:
            posterior = self.vae.encode(torch.from_numpy(tokens[rows]).to(self.device))
            means[rows] = posterior.mean.float().cpu().numpy()
            stds[rows] = posterior.std.float().cpu().numpy()

        in_batches(encode, len(tokens), self.device)
        return means, stds

    def generate(self, z: Z, controls: Tokens, temperature: float, seed: int, decoding: Decoding) -> Tokens:
        """Tokens of z, as the network has them, not canonical.

        Args:
            z: float32 (n, z).
            controls: int64 (n, time, controls).
            temperature: 0 takes the likeliest.
            seed: Row i draws with seed + i.
            decoding: What else decides a draw.

        Returns:
            int64 (n, time) or (n, time, part).

        Raises:
            DataError: The temperature is out of range.
            ConfigError: Beam search with a temperature, or of a model with several parts or segments.
        """
        if not (0.0 <= temperature < float("inf")):
            raise DataError(f"the temperature is {temperature:g}; give 0 (the likeliest) or more, such as 0.5")
        if decoding.beam and temperature:
            raise ConfigError("beam search takes the likeliest sequence and a temperature draws; give one of the two")
        shape = (self.length, *self.alphabet.shape)
        if not len(z):
            return np.zeros((0, *shape), np.int64)

        def uniform_of(rows: slice) -> Z | None:
            seeds = range(seed + rows.start, seed + rows.stop)
            return (
                np.stack([np.random.default_rng(s).random(shape, np.float32) for s in seeds]) if temperature else None
            )

        generate = self._generate_in_numpy if self.is_on_cpu and not decoding.beam else self._generate_in_torch
        return generate(z, controls, temperature, uniform_of, decoding)

    def _generate_in_numpy(
        self,
        z: Z,
        controls: Tokens,
        temperature: float,
        uniform_of: Callable[[slice], Z | None],
        decoding: Decoding,
    ) -> Tokens:
        """A few rows at a time, which a core has in its caches."""
        tokens = np.zeros((len(z), self.length, *self.alphabet.shape), np.int64)
        writer = self._writer

        def decode(rows: slice) -> None:
            how = Draw(
                temperature=temperature,
                uniform=uniform_of(rows),
                top_k=decoding.top_k,
                top_p=decoding.top_p,
                banned=decoding.banned,
            )
            tokens[rows] = writer.generate(z[rows], controls[rows] if controls.shape[-1] else None, how)

        share_out(decode, len(z), unit=writer.unit, most=ROWS // UNIT)
        return tokens

    def _generate_in_torch(
        self,
        z: Z,
        controls: Tokens,
        temperature: float,
        uniform_of: Callable[[slice], Z | None],
        decoding: Decoding,
    ) -> Tokens:
        """In batches on the device."""
        import torch

        from seqvae.decoder import Drawing
        from seqvae.runtime import in_batches

        tokens = np.zeros((len(z), self.length, *self.alphabet.shape), np.int64)
        banned = None
        if decoding.banned:
            banned = torch.zeros(self.alphabet.largest, dtype=torch.bool, device=self.device)
            banned[list(decoding.banned)] = True

        def decode(rows: slice) -> None:
            numbers, vectors = uniform_of(rows), torch.from_numpy(z[rows]).to(self.device)
            uniform = None if numbers is None else torch.from_numpy(numbers).to(self.device)
            given = torch.from_numpy(controls[rows]).to(self.device) if controls.shape[-1] else None
            how = Drawing(
                temperature=temperature, uniform=uniform, top_k=decoding.top_k, top_p=decoding.top_p, banned=banned
            )
            found = self._beam(vectors, decoding, banned) if decoding.beam else self.vae.generate(vectors, given, how)
            tokens[rows] = found.cpu().numpy()

        in_batches(decode, len(z), self.device)
        return tokens

    def _beam(self, z: torch.Tensor, decoding: Decoding, banned: torch.Tensor | None) -> torch.Tensor:
        from seqvae.beam import beam_search
        from seqvae.decoder import Decoder

        if not isinstance(self.vae.decoder, Decoder):
            raise ConfigError("beam search is for flat models, and this one decodes segments; leave --beam out")
        return beam_search(self.vae.decoder, z, decoding.beam, banned)

    @cached_property
    def _reader(self) -> Reader | SegmentedReader:
        kind = Reader if self.settings.segments == 1 else SegmentedReader
        return kind(self.weights, self.alphabet, self.length, self.settings)

    @cached_property
    def _writer(self) -> Writer | SegmentedWriter:
        kind = Writer if self.settings.segments == 1 else SegmentedWriter
        return kind(self.weights, self.alphabet, self.length, self.settings)
