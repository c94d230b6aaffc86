"""What a repair changed, in one picture: wrong notes struck out, new ones in colour, all others grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip, Track, notes_array
from seqvae.errors import DataError
from seqvae.plot.canvas import FROM_COLOUR, MUTED, TO_COLOUR
from seqvae.plot.drums import MARK_BEATS
from seqvae.plot.roll import Look, pitch_range, thickness
from seqvae.plot.sheet import Panel, Sheet
from seqvae.plot.strip import (
    CHORDS,
    DRUM_HEIGHT,
    LEFT,
    LEFT_OF_DRUMS,
    LEGEND,
    TITLE,
    Layout,
    contents,
    draw_cell,
    name_rows,
    say_in_colours,
)
from seqvae.tokenizers.percussion import OUTSIDE, classes_of

ROW_BARS = 8
ROLL_HEIGHT = 1.9
KEPT = np.array([0.66, 0.66, 0.68])
SAID = (("struck out: what was there", TO_COLOUR), ("new", FROM_COLOUR), ("left as it is", MUTED))
TICKS_A_BEAT = 480
"""Notes are the same if they begin on the same tick and have the same pitch."""


def changes_strip(before: Clip, after: Clip, path: str | Path, *, overwrite: bool = True) -> Path:
    """Draws a clip and what became of it on one roll, eight bars a row, drums in nine rows beneath.

    Args:
        before: The clip.
        after: The same clip with some notes changed.
        path: A .png file.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        DataError: The clips are of different length.
        WriteError: The place cannot be written, or stands already and `overwrite` is False.

    Example:
        >>> wrong, right = (Clip.from_notes([(0, 1, pitch, 80)]) for pitch in (61, 60))
        >>> changes_strip(wrong, right, "changes.png")  # doctest: +SKIP
    """
    if abs(before.length_beats - after.length_beats) > 1e-6:
        found = f"the clips are {before.length_beats:g} and {after.length_beats:g} beats long"
        raise DataError(f"{found}; give a clip and the same clip with some notes changed")
    rows = list(zip(_rows(before), _rows(after), strict=True))
    has_pitches, has_drums, has_chords = contents([before, after])
    layout = Layout(
        rows=len(rows),
        columns=1,
        left=LEFT_OF_DRUMS if has_drums else LEFT,
        above=CHORDS * has_chords + TITLE / 3,
        rolls=ROLL_HEIGHT if has_pitches or not has_drums else 0.0,
        drums=DRUM_HEIGHT if has_drums else 0.0,
        legend=LEGEND,
    )
    low, high = pitch_range([before, after])
    longest = max(one.length_beats for one, _ in rows)
    look = Look(colour=KEPT, parts=False, length_beats=longest, low=low, high=high)
    sheet = Sheet(layout.height)
    for index, (was, now) in enumerate(rows):
        roll, hits = layout.panels(sheet, index, look)
        draw_cell(roll, hits, now, look, first_bar=index * ROW_BARS + 1)
        if roll is not None:
            _mark(roll, _melodic(was), _melodic(now))
        if hits is not None:
            _mark(hits, _struck(was), _struck(now))
        name_rows(roll, hits)
    say_in_colours(sheet, SAID, layout, 0.24)
    return sheet.save(path, overwrite=overwrite)


def changed_notes(before: NDArray[np.void], after: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The notes of the first that the second has not, and the other way about: by where they begin, and pitch."""
    keys = [np.stack([np.rint(n["start_beats"] * TICKS_A_BEAT), n["pitch"]], axis=1) for n in (before, after)]
    there, here = ([tuple(row) for row in key.tolist()] for key in keys)
    gone = np.array([key not in set(here) for key in there], bool)
    new = np.array([key not in set(there) for key in here], bool)
    return before[gone], after[new]


def _rows(clip: Clip) -> list[Clip]:
    bars = clip.bars()
    lefts = [bar.start_beats for bar in bars[::ROW_BARS]] or [0.0]
    ends = [*lefts[1:], max(clip.length_beats, lefts[-1] + 1.0)]
    return [clip.cut(left, end) for left, end in zip(lefts, ends, strict=True)]


def _melodic(clip: Clip) -> NDArray[np.void]:
    return _of([track for track in clip.tracks if not track.is_drum])


def _struck(clip: Clip) -> NDArray[np.void]:
    """The hits, with their row in place of their pitch."""
    notes = _of([track for track in clip.tracks if track.is_drum]).copy()
    rows = classes_of(notes["pitch"])
    notes["pitch"] = np.where(rows == OUTSIDE, 127, rows)
    notes["end_beats"] = notes["start_beats"] + MARK_BEATS
    found: NDArray[np.void] = notes[rows != OUTSIDE]
    return found


def _of(tracks: list[Track]) -> NDArray[np.void]:
    return np.concatenate([*(track.notes for track in tracks), notes_array()])


def _mark(panel: Panel, before: NDArray[np.void], after: NDArray[np.void]) -> None:
    """New notes filled, gone ones as an outline with a line through it."""
    gone, new = changed_notes(before, after)
    half = 0.5 * thickness(panel)
    start, end, pitch = (gone[name].astype(np.float64) for name in ("start_beats", "end_beats", "pitch"))
    panel.frames(start, end, pitch - half, pitch + half, TO_COLOUR, 1.0)
    low, high = new["pitch"] - half, new["pitch"] + half
    panel.boxes(new["start_beats"], new["end_beats"], low, high, [FROM_COLOUR] * len(new))
    panel.levels(pitch, start - 0.08, end + 0.08, TO_COLOUR, 1.4)
