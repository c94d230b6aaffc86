"""Whether a control is obeyed: notes that belong to the chord or the key given, beside what chance would give.

The same z is decoded under its own control and under that of another item. A model that ignores its control fits
another's no better than what it says under its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqvae.chords import chord_tones
from seqvae.evaluate.bench import Bench
from seqvae.keys import key_tones
from seqvae.tokenizers import MelodyTokenizer, PartsTokenizer, Tokens
from seqvae.tokenizers.control import CHORDS, KEY
from seqvae.tokenizers.melody import FIRST_ONSET


def measure_control(bench: Bench) -> None:
    """Notes that fit the chords or the key given; nothing for models without such controls."""
    tokenizer = bench.model.tokenizer
    if not isinstance(tokenizer, PartsTokenizer):
        return
    tables = {CHORDS: chord_tones(), KEY: key_tones()}
    names = [part.name for part in bench.alphabet.parts]
    controls = [name for name, part in zip(names, bench.alphabet.parts, strict=True) if part.given and name in tables]
    count = len(bench.windows)
    if not controls or count < 2:
        return
    rng = bench.rng("control")
    # A shift of a random order: no item keeps its own control.
    order = rng.permutation(count)
    others = np.empty(count, np.int64)
    others[order] = np.roll(order, 1)
    own, moved = (bench.decode(bench.means, given) for given in (bench.windows, bench.windows[others]))
    z = bench.model.draw(count, prior="aggregate", seed=bench.seed)
    drawn = bench.decode(z, bench.windows)
    for name in controls:
        given, table = bench.windows[..., names.index(name)], tables[name]
        what = "chord tones" if name == CHORDS else "notes of the scale"
        for key, tokens, control, how in (
            ("data", bench.windows, given, "the data"),
            ("kept", own, given, "decoded under their own"),
            ("followed", moved, given[others], "decoded under another item's, against that"),
            ("chance", own, given[others], "decoded under their own, against another item's"),
            ("sampled", drawn, given, "prior samples under it"),
            ("sampled_chance", drawn, given[others], "prior samples, against another item's"),
        ):
            value = fitting_share(voice_pitch_classes(tokenizer, tokens), control, table)
            bench.note("control", f"{name}_{key}", value, "share", f"{name}: {what}, {how}")


def voice_pitch_classes(tokenizer: PartsTokenizer, tokens: Tokens) -> NDArray[np.int64]:
    """Pitch classes that voices strike: tokens (n, time, part) → int64 (n, time, voices), -1 where none does."""
    found = []
    for place, reader in enumerate(tokenizer.readers.values()):
        if isinstance(reader, MelodyTokenizer):
            part = tokens[..., place]
            found.append(np.where(part >= FIRST_ONSET, (part - FIRST_ONSET + reader.min_pitch) % 12, -1))
    return np.stack(found, axis=-1)


def fitting_share(struck: NDArray[np.int64], control: Tokens, table: NDArray[np.bool_]) -> float:
    """The share of notes that their control holds, where it is known; NaN where there is no such note.

    Args:
        struck: Pitch classes (n, time, voices), -1 for none.
        control: Tokens (n, time).
        table: bool (size, 12); what each control's token holds.
    """
    counted = (struck >= 0) & (control > 0)[..., None]
    fits = table[np.broadcast_to(control[..., None], struck.shape)[counted], struck[counted]]
    return float(fits.mean()) if len(fits) else float("nan")
