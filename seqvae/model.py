"""A model: a tokenizer and its SequenceVAE. Items in, z out, and back; numpy at the door, torch inside.

Functions on lists (`encode`, `decode`, `sample`) see one window an item. An item of any length goes through a
`Passage`, its consecutive windows; `interpolate`, `vary` and `reconstruct` do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seqvae import latent
from seqvae.attributes import AttributeVectors
from seqvae.clip import Clip, Provenance
from seqvae.config import Preset
from seqvae.errors import DataError
from seqvae.fingerprints import Fingerprints
from seqvae.latent import AggregatePosterior, Z
from seqvae.passage import PLAIN, Decoding, Fit, Passage, carried_z, content_hash, fit_passages
from seqvae.tokenizers import Tokenizer, Tokens, onsets
from seqvae.tokenizers.control import control_tokens

if TYPE_CHECKING:
    import torch

    from seqvae.network import Network
    from seqvae.vae import SequenceVAE

Prior = Literal["aggregate", "normal"]

SAMPLE_TEMPERATURE = 0.8
"""Of `sample` alone: its onsets are about as dense as the data's, while the likeliest tokens are sparser."""

REDRAWS = 8
"""How often an empty sample is drawn again before it is left so."""

SAMPLED_AT_ONCE = 1024
"""Samples that are in memory together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A trained model. Made by `load`.

    Attributes:
        name: Its name: of the bundled model, the file or the run folder.
        hash: First 16 hex digits of the SHA-256 of its weights.
        preset: Tokenizer, model and training settings.
        card: Measured figures, by name.
        licence: Of the model and the data it was trained on.
        training: How it was trained: data, steps, machine, versions.
        aggregate: The Gaussian that the training data's posteriors make.
        attributes: Directions of its latent space, by name.
        held_out: A sample of windows that training did not see, int64 (n, time) or (n, time, part); may be empty.
        fingerprints: Of the windows that training saw; None if the file has none.
        network: Where torch is.
    """

    name: str
    hash: str
    preset: Preset
    card: dict[str, Any]
    licence: str
    training: dict[str, Any]
    aggregate: AggregatePosterior
    attributes: AttributeVectors
    held_out: Tokens
    fingerprints: Fingerprints | None
    network: Network

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns items into tokens and back."""
        return self.preset.tokenizer

    @property
    def vae(self) -> SequenceVAE:
        """The network itself, for those who know torch."""
        return self.network.vae

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.network.device

    @property
    def z_size(self) -> int:
        """Numbers in a latent vector."""
        return self.preset.model.z_size

    # -- windows -------------------------------------------------------------------------------------------------------

    def encode(self, items: Sequence[Any] | Tokens, *, re_encode: bool = False) -> Z:
        """The latent vector of each item's first window: the posterior mean, float32 (n, z).

        A one-window clip that this model made, unchanged since, gives the z it was made from; `passage` encodes longer
        items.

        Args:
            items: A list of items, or tokens int64 (n, time).
            re_encode: Ignore the z that a clip carries, and encode its notes.

        Raises:
            DataError: Tokens of the wrong length or out of range, or a single item instead of a list.

        Example:
            >>> model = load("melody-2bar")  # doctest: +SKIP
            >>> model.encode([Clip.load("a.mid")]).shape  # doctest: +SKIP
            (1, 128)
        """
        tokens = self._tokens(items)
        z, _ = self.network.posterior(tokens)
        if not re_encode and not isinstance(items, np.ndarray):
            for row, item in enumerate(items):
                carried = carried_z(item, tokens[row : row + 1], self.hash, self.z_size)
                z[row] = z[row] if carried is None else carried[0]
        return z

    def posterior(self, items: Sequence[Any] | Tokens) -> tuple[Z, Z]:
        """Mean and standard deviation of q(z|x) for each item's first window: float32 (n, z) both."""
        return self.network.posterior(self._tokens(items))

    def decode(
        self,
        z: Z,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        style: Any = None,
        control: Tokens | None = None,
        decoding: Decoding = PLAIN,
    ) -> list[Any]:
        """One item, a window long, for each row of z: float32 (n, z) or (z,).

        Args:
            z: Latent vectors.
            temperature: 0 takes the likeliest token at each step, 1 draws from the model's own distribution.
            seed: Row i is drawn with seed + i, so that it does not change with the rows around it (but for rounding in
                the network's matrix products, which may depend on the number of rows).
            style: What tokens leave out (tempo, instrument, dynamics): one for all rows, or a list.
            control: What a conditional model is given beside z, int64 (time, controls) or (n, time, controls); 0s
                (nothing) if left out.
            decoding: How tokens are drawn, beside the temperature.

        Raises:
            DataError: z is of another size than the model's, or not finite; a control does not fit.
        """
        rows = latent.checked(np.atleast_2d(np.asarray(z)), self.z_size, self.name)
        styles = style if isinstance(style, list) else [style] * len(rows)
        if len(styles) != len(rows):
            raise DataError(f"there are {len(styles)} styles for {len(rows)} z; give one, or one each")
        passages = self.render(
            rows[:, None],
            [[one] for one in styles],
            self._controls(control, len(rows))[:, None],
            temperature=temperature,
            seed=seed,
            decoding=decoding,
            verb="decode",
        )
        return [passage.item for passage in passages]

    def sample(self, n: int = 1, **how: Any) -> list[Any]:
        """n new items, a window long each: all of `samples`, which has the arguments."""
        return list(self.samples(n, **how))

    def samples(
        self,
        n: int,
        *,
        prior: Prior = "aggregate",
        temperature: float = SAMPLE_TEMPERATURE,
        seed: int = 0,
        style: Any = None,
        control: Tokens | None = None,
        decoding: Decoding = PLAIN,
    ) -> Iterator[Any]:
        """n new items one after another, in memory that does not grow with n; one with no event is drawn again.

        Args:
            n: How many.
            prior: `aggregate` draws z where the training data lie, `normal` from N(0, I).
            temperature, seed, style, decoding: As in `decode`. Item i is the same whatever n is.
            control: Of every item, int64 (time, controls) or (windows, time, controls), as `control` makes them: an
                item has as many windows, all of one z.
        """
        windows = len(control) if control is not None and control.ndim == 3 else 1
        controls = self._controls(control, windows)
        rng, cloud = self._rng(seed), self._prior(prior)

        def render(first: int, vectors: Z) -> list[Passage]:
            return self.render(
                np.repeat(vectors[:, None], windows, axis=1),
                [[style] * windows] * len(vectors),
                [controls] * len(vectors),
                temperature=temperature,
                seed=seed + first * windows,
                decoding=decoding,
                verb="sample",
            )

        if n < 1:
            raise DataError(f"{n} samples are asked for; ask for 1 or more")
        for first in range(0, n, SAMPLED_AT_ONCE):
            drawn = render(first, cloud.sample(min(SAMPLED_AT_ONCE, n - first), rng))
            for row, passage in enumerate(drawn, start=first):
                for attempt in range(REDRAWS if self.tokenizer.alphabet.judged.any() else 0):
                    if self.happens(passage.tokens):
                        break
                    (passage,) = render(row, cloud.sample(1, np.random.default_rng((seed, 2, row, attempt))))
                yield passage.item

    def happens(self, tokens: Tokens) -> bool:
        """Whether anything does in these tokens, (…, time) or (…, time, part)."""
        return bool(onsets(self.tokenizer.onset_mask, tokens).any())

    def draw(self, n: int, *, prior: Prior = "aggregate", seed: int = 0) -> Z:
        """n latent vectors of a prior, float32 (n, z)."""
        if n < 1:
            raise DataError(f"{n} samples are asked for; ask for 1 or more")
        return self._prior(prior).sample(n, self._rng(seed))

    # -- items of any length -------------------------------------------------------------------------------------------

    def interpolate(
        self,
        a: Any,
        b: Any,
        steps: int = 8,
        *,
        path: Callable[[Z, Z, int], Z] = latent.slerp,
        fit: Fit = "loop",
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Any]:
        """Items on the way from `a` to `b`, both ends among them, decoded.

        Args:
            a, b: Items of any length; window by window, the shorter made to `fit` (see `fit_passages`).
            steps: How many, at least 2.
            path: `seqvae.slerp` or `seqvae.lerp`.
            fit, temperature, seed: See `fit_passages` and `decode`.
        """
        start, end = self.fit(self.passage(a), self.passage(b), fit)
        return [found.item for found in self.between(start, end, steps, path=path, temperature=temperature, seed=seed)]

    def vary(self, item: Any, amount: float = 0.5, n: int = 6, *, temperature: float = 0.0, seed: int = 0) -> list[Any]:
        """n neighbours of an item: amount 0 is the item decoded, 1 unrelated (see `latent.neighbours`)."""
        passages = self.around(self.passage(item), amount, n, temperature=temperature, seed=seed)
        return [found.item for found in passages]

    def reconstruct(self, item: Any, *, temperature: float = 0.0, seed: int = 0) -> Any:
        """The item, encoded and decoded."""
        return self.again(self.passage(item), temperature=temperature, seed=seed).item

    def distance(self, a: Tokens, b: Tokens) -> float:
        """How far two items lie apart: edit distance over length, 0 equal to 1; tokens (time,) or (windows, time).

        Steps are the same if their symbols are: a velocity counts only in a model of nothing but numbers.
        """
        return latent.edit_distance(self._line(a), self._line(b))

    def _line(self, tokens: Tokens) -> Tokens:
        """The steps and parts that count of one window or several, one after another: (steps,) or (steps, part)."""
        alphabet = self.tokenizer.alphabet
        windows = np.asarray(tokens).reshape(-1, *self._window_shape)
        lengths = alphabet.lengths(windows)
        line = np.concatenate([window[:length] for window, length in zip(windows, lengths, strict=True)])
        return line[:, alphabet.judged] if alphabet.shape and alphabet.judged.any() else line

    # -- passages ------------------------------------------------------------------------------------------------------

    def passage(self, item: Any, track: str | None = None, *, re_encode: bool = False) -> Passage:
        """An item cut into consecutive windows, each encoded.

        Args:
            item: Of any length.
            track: Which track, where an item has several; the likeliest if left out.
            re_encode: Ignore the z that a clip carries.

        Raises:
            DataError: There is nothing in it that this kind of model can read.
        """
        windows = self._split(item, track)
        tokens = np.stack([self.tokenizer.encode(window) for window in windows])
        carried = None if re_encode else carried_z(item, tokens, self.hash, self.z_size)
        return Passage(
            item=self.tokenizer.join(windows) if carried is None else item,
            windows=windows,
            tokens=tokens,
            z=self.network.posterior(tokens)[0] if carried is None else carried,
            styles=[self.tokenizer.style(window) for window in windows],
            restored=carried is not None,
        )

    def fit(self, a: Passage, b: Passage, how: Fit = "loop") -> tuple[Passage, Passage]:
        """Two passages of equally many windows; see `fit_passages`."""
        silence = self._silence()
        tokens = self.tokenizer.encode(silence)[None]
        rest = Passage(
            item=silence,
            windows=[silence],
            tokens=tokens,
            z=self.network.posterior(tokens)[0],
            styles=[self.tokenizer.style(silence)],
        )
        return fit_passages(a, b, how, rest, self.tokenizer.join)

    def between(
        self,
        a: Passage,
        b: Passage,
        steps: int,
        *,
        path: Callable[[Z, Z, int], Z] = latent.slerp,
        control: Tokens | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        decoding: Decoding = PLAIN,
    ) -> list[Passage]:
        """Passages on the way between two of equally many windows; styles travel along.

        `control`, int64 (windows, time, controls), holds all the way; without it a's holds for the first half of the
        steps and b's from there.
        """
        z = path(a.z, b.z, steps)
        styles = [
            [here and here.blend(there, float(amount)) for here, there in zip(a.styles, b.styles, strict=True)]
            for amount in np.linspace(0.0, 1.0, steps)
        ]
        nearer = [a if amount < 0.5 else b for amount in np.linspace(0.0, 1.0, steps)]
        controls = [self.control_of(near.tokens) if control is None else control for near in nearer]
        return self.render(
            z, styles, controls, temperature=temperature, seed=seed, decoding=decoding, verb="interpolate"
        )

    def around(
        self,
        a: Passage,
        amount: float,
        n: int,
        *,
        control: Tokens | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        decoding: Decoding = PLAIN,
    ) -> list[Passage]:
        """n neighbours of a passage, in its style, under `control` (windows, time, controls) or its own."""
        z = latent.neighbours(a.z, amount, n, self._rng(seed), self.aggregate)
        controls = [self.control_of(a.tokens) if control is None else control] * n
        return self.render(
            z, [a.styles] * n, controls, temperature=temperature, seed=seed, decoding=decoding, verb="vary"
        )

    def again(self, a: Passage, *, temperature: float = 0.0, seed: int = 0, decoding: Decoding = PLAIN) -> Passage:
        """The passage decoded from its z, in its style and under its controls."""
        return self.render(
            a.z[None],
            [a.styles],
            [self.control_of(a.tokens)],
            temperature=temperature,
            seed=seed,
            decoding=decoding,
            verb="reconstruct",
        )[0]

    def control(
        self,
        *,
        chords: str | None = None,
        key: str | None = None,
        labels: Mapping[str, str] | None = None,
        own: Tokens | None = None,
    ) -> Tokens:
        """Controls from words, int64 (windows, time, controls), for a model that has such (see `control_tokens`).

        Example:
            >>> model = load("melody-chords-2bar")  # doctest: +SKIP
            >>> tunes = model.sample(4, control=model.control(chords="C G Am F", key="C"))  # doctest: +SKIP
        """
        return control_tokens(self.tokenizer, chords=chords, key=key, labels=labels, own=own, model=self.name)

    def control_of(self, tokens: Tokens) -> Tokens:
        """The controls among tokens (…, time, part): (…, time, controls); controls is 0 for most models."""
        return self.tokenizer.alphabet.controls_of(tokens)

    def render(
        self,
        z: Sequence[Z] | Z,
        styles: Sequence[Sequence[Any]],
        controls: Sequence[Tokens] | Tokens | None = None,
        *,
        temperature: float,
        seed: int,
        verb: str,
        decoding: Decoding = PLAIN,
    ) -> list[Passage]:
        """Decodes whole items, all their windows in one batch.

        Args:
            z: The latent vectors of each item, float32 (windows, z).
            styles: One for each window of each item.
            controls: Of each item, int64 (windows, time, controls); None for nothing.
            decoding: How tokens are drawn, beside the temperature.
            temperature, seed: As in `decode`; the windows of all items, one after another, are its rows.
            verb: What the items' provenance says made them.

        Returns:
            A passage for each; `item` carries its provenance.
        """
        if not len(z):
            return []
        ends = np.cumsum([len(one) for one in z])
        rows = latent.checked(np.concatenate(list(z)), self.z_size, self.name)
        given = self._controls(None, len(rows)) if controls is None else np.concatenate(list(controls))
        tokens_of_all = self.network.generate(rows, given, temperature, seed, decoding)
        made = []
        for tokens, vectors, end, dress in zip(
            np.split(self.tokenizer.canonical(tokens_of_all), ends[:-1]),
            np.split(rows, ends[:-1]),
            ends,
            styles,
            strict=True,
        ):
            windows = [self.tokenizer.decode(line, style) for line, style in zip(tokens, dress, strict=True)]
            first = seed + int(end) - len(tokens)
            item = self._signed(windows, tokens, vectors, temperature=temperature, seed=first, verb=verb)
            made.append(Passage(item=item, windows=windows, tokens=tokens, z=vectors, styles=list(dress)))
        return made

    def join(self, passages: Sequence[Passage], *, temperature: float, seed: int, verb: str) -> Any:
        """One item of several passages, one after another; it carries the z of all of them."""
        windows = [window for passage in passages for window in passage.windows]
        tokens = np.concatenate([passage.tokens for passage in passages])
        z = np.concatenate([passage.z for passage in passages])
        return self._signed(windows, tokens, z, temperature=temperature, seed=seed, verb=verb)

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _window_shape(self) -> tuple[int, ...]:
        return (self.tokenizer.length, *self.tokenizer.alphabet.shape)

    def _controls(self, control: Tokens | None, n: int) -> Tokens:
        """A control for each of n windows, int64 (n, time, controls): the one given for all, or zeros."""
        return self.tokenizer.alphabet.controls_for(control, n, self.tokenizer.length)

    def _prior(self, prior: Prior) -> AggregatePosterior:
        return self.aggregate if prior == "aggregate" else AggregatePosterior.standard(self.z_size)

    def _rng(self, seed: int) -> np.random.Generator:
        """For z. Row i of a decoding draws from `default_rng(seed + i)`, which must not be the same numbers."""
        return np.random.default_rng((seed, 1))

    def _signed(self, windows: list[Any], tokens: Tokens, z: Z, *, temperature: float, seed: int, verb: str) -> Any:
        """Windows joined to an item that says how it was made, if it is of a kind that can."""
        item = self.tokenizer.join(windows)
        if not isinstance(item, Clip):
            return item
        provenance = Provenance(
            model=self.name,
            model_hash=self.hash,
            verb=verb,
            seed=seed,
            temperature=temperature,
            z=z,
            length_beats=item.length_beats,
            content=content_hash(tokens),
        )
        return replace(item, provenance=provenance)

    def _split(self, item: Any, track: str | None) -> list[Any]:
        try:
            return self.tokenizer.split(item, track)
        except DataError:
            # A clip of ours may be silent, and is then no melody; but it is still the clip that its z says.
            provenance = getattr(item, "provenance", None)
            if provenance is None or provenance.model_hash != self.hash or item.note_count:
                raise
            return [self._silence()] * len(provenance.z)

    def _silence(self) -> Any:
        """A window in which nothing happens: token 0 in every kind of sequence."""
        return self.tokenizer.decode(np.zeros(self._window_shape, np.int64))

    def _tokens(self, items: Sequence[Any] | Tokens) -> Tokens:
        """Items or tokens → checked tokens int64 (n, time)."""
        if isinstance(items, np.ndarray):
            self.tokenizer.alphabet.check(items, self.tokenizer.length)
            return items.astype(np.int64)
        if isinstance(items, (Clip, str)):
            raise DataError(f"encode takes a list and was given one {type(items).__name__}; put it in brackets")
        rows = [self.tokenizer.encode(item) for item in items]
        return np.stack(rows) if rows else np.zeros((0, *self._window_shape), np.int64)
