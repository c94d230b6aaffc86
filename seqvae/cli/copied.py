"""What `inspect` says of copies: which windows of a file a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvae.cli.inputs import Given
from seqvae.errors import DataError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqvae.checkpoint import SavedModel
    from seqvae.clip import Clip, Provenance
    from seqvae.tokenizers import Tokenizer, Tokens

SHOWN_LETTERS = 40


def copy_facts(path: Path, saved: SavedModel, name: str) -> dict[str, Any]:
    """Which windows of a file's items training had, and where they lie.

    Args:
        path: Of a kind that the model reads.
        saved: The model.
        name: What it is called.

    Raises:
        DataError, ReadError: The file cannot be read by it.
    """
    import numpy as np

    from seqvae.fingerprints import copies

    if saved.fingerprints is None:
        return {"model": name, "not_looked_for": "its file does not say what it was trained on; train it again"}
    tokenizer = saved.preset.tokenizer
    tokens, places = [], []
    for item in Given(word=str(path)).read_all(tokenizer):
        try:
            windows = tokenizer.windows(item)
        except DataError:  # a symbol that the model has not, so that training had it neither
            continue
        tokens.append(windows.tokens)
        places += places_of(tokenizer, item, windows.tokens, windows.starts, windows.track)
    looked_at = np.concatenate(tokens) if places else np.zeros((0, 1), np.int64)
    found = copies(tokenizer, saved.fingerprints, looked_at) if places else None
    variants = [] if found is None else found.variant.tolist()
    where = [
        f"{places[row]} {in_words(tokenizer, looked_at[row], variant)}"
        for row, variant in enumerate(variants)
        if variant >= 0
    ]
    return {
        "model": name,
        "windows": len(places),
        "as_they_are": variants.count(0),
        "transposed": len(where) - variants.count(0),
        "where": where,
        **({"false_alarms": f"at most {found.false_alarms:.2%} of windows"} if found is not None else {}),
    }


def copies_by_maker(path: Path, made: Provenance) -> dict[str, Any]:
    """As `copy_facts`, by the model that made a clip; why not, where that is not here."""
    from seqvae.checkpoint import find_model, load_model

    try:
        saved = load_model(find_model(made.model))
    except ModelError:
        return {"model": made.model, "not_looked_for": "that model is not here; give its file with --model"}
    if saved.hash != made.model_hash:
        found = f"made by version {made.model_hash} of it, and here is {saved.hash}"
        return {"model": made.model, "not_looked_for": f"{found}; give the file of that one with --model"}
    return copy_facts(path, saved, made.model)


def places_of(
    tokenizer: Tokenizer, item: Any, tokens: Tokens, starts: NDArray[np.float64], tracks: NDArray[np.int64]
) -> list[str]:
    """Where each window of an item lies: its bars, and its track where several are read; a line itself."""
    from seqvae.clip import Clip

    if not isinstance(item, Clip):
        shown = tokenizer.show(item)
        short = shown if len(shown) <= SHOWN_LETTERS else f"{shown[:SHOWN_LETTERS]}…"
        return [repr(short)] * len(tokens)
    several = len(set(tracks.tolist())) > 1
    placed = []
    for window, start, track in zip(tokens, starts.tolist(), tracks.tolist(), strict=True):
        bars = bars_between(item, start, start + tokenizer.decode(window).length_beats)
        placed.append(f"track {track} {bars}" if several else bars)
    return placed


def bars_between(clip: Clip, start_beats: float, end_beats: float) -> str:
    """The bars that begin in a span of a clip, from 1: "bars 5-6"."""
    within = [n for n, bar in enumerate(clip.bars(), 1) if start_beats - 1e-6 <= bar.start_beats < end_beats - 1e-6]
    if not within:
        return f"beats {start_beats:g}-{end_beats:g}"
    return f"bar {within[0]}" if len(within) == 1 else f"bars {within[0]}-{within[-1]}"


def in_words(tokenizer: Tokenizer, window: Tokens, variant: int) -> str:
    """How training had a window: in which of the tokenizer's variants."""
    import numpy as np

    from seqvae.dataset import vary

    if not variant:
        return "as it is"
    there = vary(window[None], np.array([variant]), tokenizer.augmentations)[0]
    heights = [pitch_sum(tokenizer.decode(one)) for one in (window, there)]
    if not heights[0][1] or heights[0][1] != heights[1][1]:
        return "in another key"
    semitones = round((heights[1][0] - heights[0][0]) / heights[0][1])
    return f"{abs(semitones)} semitone{'s' * (abs(semitones) != 1)} {'higher' if semitones > 0 else 'lower'}"


def pitch_sum(item: Any) -> tuple[int, int]:
    """The sum of a clip's pitches and how many there are, drums aside; of other items nothing."""
    tracks: Sequence[Any] = getattr(item, "tracks", ())
    pitches = [int(pitch) for track in tracks if not track.is_drum for pitch in track.notes["pitch"]]
    return sum(pitches), len(pitches)
