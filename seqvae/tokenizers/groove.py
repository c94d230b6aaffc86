"""Performed drums: at each step of the grid and for each class whether it is struck, how loud, and how early or late.

Gillick et al. 2019 (GrooVAE, "Learning to Groove with Inverse Sequence Transformations") use the same three; the
loudest note wins a cell. With a control the decoder is told a part of the pattern and gives the rest: all hits
(`control = "hits"`, to humanize a straight pattern) or a rhythm tapped by one hand (`control = "tap"`, to drumify it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqvae import clip as clips
from seqvae.clip import Clip, Style
from seqvae.errors import ConfigError
from seqvae.tokenizers.base import Alphabet, Part, Tokens
from seqvae.tokenizers.drums import TICKS_PER_BEAT, DrumGrid
from seqvae.tokenizers.percussion import CLASSES, WRITTEN, DrumNotes

LOUDNESS = 128
TAP_LEVELS = 17
"""How finely the timing of a tapped rhythm is told; odd, the middle is on the grid."""


@dataclass(frozen=True, kw_only=True)
class GrooveTokenizer(DrumGrid):
    """A drum performance of `bars` bars.

    Timing is told in ticks of 1/480 beat, less than half a step to either side. What would sound before a window's
    first step is moved onto it.

    Attributes:
        bars, meter, steps_per_beat, min_onsets, hop_bars: See `Grid`; an onset is a hit of one class.
        control: What the decoder is told: nothing, all `hits`, or a `tap` wherever something is struck.
    """

    kind: Literal["groove"] = "groove"
    control: Literal["none", "hits", "tap"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if TICKS_PER_BEAT % (2 * self.steps_per_beat):
            found = f"tokenizer: steps_per_beat is {self.steps_per_beat}"
            raise ConfigError(f"{found} and timing needs a divisor of {TICKS_PER_BEAT // 2}, such as 4, 6 or 12")

    # -- shape ---------------------------------------------------------------------------------------------------------

    @property
    def ticks_per_step(self) -> int:
        """480ths of a beat in a step."""
        return TICKS_PER_BEAT // self.steps_per_beat

    @property
    def middle(self) -> int:
        """The timing token of a hit on the grid."""
        return self.ticks_per_step // 2 - 1

    @cached_property
    def alphabet(self) -> Alphabet:
        """[tap] · 9 hits · 9 velocities · 9 timings."""
        tap = [Part("tap", 1 + TAP_LEVELS, given=True)] if self.control == "tap" else []
        first = len(tap)
        hits = [Part(name, 2, given=self.control == "hits") for name in CLASSES]
        loud = [Part(f"{name} velocity", LOUDNESS, gate=first + i) for i, name in enumerate(CLASSES)]
        timing = [Part(f"{name} timing", 2 * self.middle + 1, gate=first + i) for i, name in enumerate(CLASSES)]
        return Alphabet(parts=(*tap, *hits, *loud, *timing))

    @property
    def hits(self) -> slice:
        """Where the hits lie among the parts."""
        first = int(self.control == "tap")
        return slice(first, first + len(CLASSES))

    @property
    def loudness(self) -> slice:
        """Where the velocities lie among the parts."""
        return slice(self.hits.stop, self.hits.stop + len(CLASSES))

    @property
    def timing(self) -> slice:
        """Where the timings lie among the parts."""
        return slice(self.loudness.stop, self.loudness.stop + len(CLASSES))

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (part, largest): True for hits."""
        mask = np.zeros((len(self.alphabet.parts), self.alphabet.largest), bool)
        mask[self.hits, 1] = True
        return mask

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (1, part, largest): as they are."""
        return np.broadcast_to(np.arange(self.alphabet.largest), self.onset_mask.shape)[None].copy()

    def token_name(self, token: int, part: int = 0) -> str:
        """`kick`, `velocity 90`, `early 12` (in 480ths of a beat)."""
        if part < self.hits.start:
            return f"tap {token - 1 - TAP_LEVELS // 2:+d}" if token else "rest"
        if part < self.hits.stop:
            return CLASSES[part - self.hits.start] if token else "rest"
        if part < self.loudness.stop:
            return f"velocity {token}"
        late = token - self.middle
        return "on time" if late == 0 else f"{'late' if late > 0 else 'early'} {abs(late)}"

    # -- tokens --------------------------------------------------------------------------------------------------------

    def encode(self, item: Clip) -> Tokens:
        """The clip's first `bars` bars as tokens: int64 (length, part). A clip without notes is silence.

        Raises:
            DataError: It has notes, and none on a drum track.
        """
        if not item.note_count:
            return np.zeros((self.length, len(self.alphabet.parts)), np.int64)
        window: Tokens = self.cut_tokens(*self.notes_on_grid(item), np.zeros(1))[0]
        return window

    def cut_tokens(
        self, found: DrumNotes, steps: NDArray[np.int64], starts_beats: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """The kit, cut at each start: int64 (windows, length, part)."""
        left = self.left_steps(starts_beats)
        line = np.zeros((int(left.max()) + self.length, len(self.alphabet.parts)), np.int64)
        inside = (steps >= 0) & (steps < len(line))
        notes, classes, steps = found.notes[inside], found.classes[inside], steps[inside]
        late = np.rint(notes["start_beats"] * TICKS_PER_BEAT).astype(np.int64) - steps * self.ticks_per_step
        order = np.lexsort((-late, notes["velocity"]))  # the loudest of a cell is written last; of equals the first
        steps, classes, late, loud = steps[order], classes[order], late[order], notes["velocity"][order]
        line[steps, self.hits.start + classes] = 1
        line[steps, self.loudness.start + classes] = loud
        line[steps, self.timing.start + classes] = np.clip(late, -self.middle, self.middle) + self.middle
        return self.canonical(line.take(left[:, None] + np.arange(self.length), axis=0))

    def decode(self, tokens: Tokens, style: Style | None = None) -> Clip:
        """Tokens (length, part) as performed drums of `bars` bars; of the style, only tempo, kit and name are used."""
        tokens = self.canonical(np.asarray(tokens, np.int64))
        classes, steps = np.nonzero(tokens[:, self.hits].T)  # each class in the order of time
        late = tokens[steps, self.timing.start + classes] - self.middle
        starts = steps * self.ticks_per_step + late
        # A class's note ends where its next begins, so that it does not cut that one short.
        follows = np.append(np.where(np.diff(classes) == 0, starts[1:], np.iinfo(np.int64).max), np.iinfo(np.int64).max)
        ends = np.minimum(starts + self.ticks_per_step, follows[: len(starts)])
        notes = np.zeros(len(steps), clips.NOTE_DTYPE)
        notes["start_beats"] = starts / TICKS_PER_BEAT
        notes["end_beats"] = np.minimum(ends, round(self.window_beats * TICKS_PER_BEAT)) / TICKS_PER_BEAT
        notes["pitch"] = WRITTEN[classes]
        notes["velocity"] = tokens[steps, self.loudness.start + classes]
        return self.clip_of(notes, style)

    def canonical(self, tokens: Tokens) -> Tokens:
        """Numbers only where there is a hit, no velocity 0, nothing before the first step, the tap that the hits make.

        Args:
            tokens: int64 (…, length, part).
        """
        tokens = np.array(tokens, np.int64)
        struck = tokens[..., self.hits] > 0
        tokens[..., self.loudness] = np.where(struck, np.maximum(tokens[..., self.loudness], 1), 0)
        tokens[..., self.timing] = np.where(struck, tokens[..., self.timing], 0)
        first = tokens[..., 0, self.timing]
        tokens[..., 0, self.timing] = np.where(struck[..., 0, :], np.maximum(first, self.middle), 0)
        if self.control == "tap":
            tokens[..., 0] = self.tap(tokens)
        return tokens

    # -- controls ------------------------------------------------------------------------------------------------------

    def tap(self, tokens: Tokens) -> NDArray[np.int64]:
        """The rhythm of a performance as one hand would tap it: 0, or 1 + the timing level of the loudest hit.

        int64 (…, length, part) → (…, length).
        """
        loud = tokens[..., self.loudness]
        loudest = loud.argmax(axis=-1)[..., None]
        late = np.take_along_axis(tokens[..., self.timing], loudest, axis=-1)[..., 0]
        level = np.floor(late / (2 * self.middle + 1) * TAP_LEVELS).astype(np.int64)
        return np.where(loud.any(axis=-1), 1 + level, 0)

    def straight(self, tokens: Tokens, velocity: int = clips.DEFAULT_VELOCITY) -> Tokens:
        """The performance without its life: every hit on the grid, all equally loud. The shape of `tokens`."""
        struck = tokens[..., self.hits] > 0
        plain = np.array(tokens, np.int64)
        plain[..., self.loudness] = np.where(struck, velocity, 0)
        plain[..., self.timing] = np.where(struck, self.middle, 0)
        return self.canonical(plain)
