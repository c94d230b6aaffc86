"""A trained network behind a door of numpy: posteriors of tokens, tokens of z, in batches on its device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from seqvae.beam import beam_search
from seqvae.decoder import Decoder, Drawing
from seqvae.errors import ConfigError, DataError
from seqvae.latent import Z, check_space
from seqvae.passage import Decoding
from seqvae.runtime import in_batches
from seqvae.tokenizers import Tokens
from seqvae.vae import SequenceVAE


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A `SequenceVAE` and where it runs."""

    vae: SequenceVAE
    device: torch.device

    def posterior(self, tokens: Tokens) -> tuple[Z, Z]:
        """Mean and standard deviation of q(z|x): int64 (n, time) or (n, time, part) → float32 (n, z) both.

        Raises:
            ModelError: It is a language model: there is no z.
        """
        check_space(self.vae.settings.z_size)
        means, stds = np.zeros((2, len(tokens), self.vae.settings.z_size), np.float32)

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
        shape = (self.vae.length, *self.vae.alphabet.shape)
        tokens = np.zeros((len(z), *shape), np.int64)
        banned = self._banned(decoding)

        def decode(rows: slice) -> None:
            uniform = None
            if temperature:
                seeds = range(seed + rows.start, seed + rows.stop)
                numbers = [np.random.default_rng(s).random(shape, np.float32) for s in seeds]
                uniform = torch.from_numpy(np.stack(numbers)).to(self.device)
            vectors = torch.from_numpy(z[rows]).to(self.device)
            given = torch.from_numpy(controls[rows]).to(self.device) if controls.shape[-1] else None
            how = Drawing(
                temperature=temperature, uniform=uniform, top_k=decoding.top_k, top_p=decoding.top_p, banned=banned
            )
            found = self._beam(vectors, decoding, banned) if decoding.beam else self.vae.generate(vectors, given, how)
            tokens[rows] = found.cpu().numpy()

        if decoding.beam and temperature:
            raise ConfigError("beam search takes the likeliest sequence and a temperature draws; give one of the two")
        in_batches(decode, len(z), self.device)
        return tokens

    def _banned(self, decoding: Decoding) -> torch.Tensor | None:
        if not decoding.banned:
            return None
        banned = torch.zeros(self.vae.alphabet.largest, dtype=torch.bool, device=self.device)
        banned[list(decoding.banned)] = True
        return banned

    def _beam(self, z: torch.Tensor, decoding: Decoding, banned: torch.Tensor | None) -> torch.Tensor:
        if not isinstance(self.vae.decoder, Decoder):
            raise ConfigError("beam search is for flat models, and this one decodes segments; leave --beam out")
        return beam_search(self.vae.decoder, z, decoding.beam, banned)
