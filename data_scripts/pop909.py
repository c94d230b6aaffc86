"""POP909: melody and bridge of 906 pop songs, with the bar lines of POP909-CL.

Licence: MIT twice: POP909 (c) 2020 Music X Lab; POP909-CL (c) 2025 AndyWeasley2004. The grant covers the annotation
work; the songs beneath are commercial: train on them, do not redistribute them. Cite ISMIR 2020 POP909 (arXiv
2008.07142) and BACHI (arXiv 2510.06528).

POP909 keeps MELODY, BRIDGE and PIANO on tracks of their own, but off the grid and mostly under the meter 1/4 (617 of
909 files). POP909-CL's POP909_processed has the right grid, bar lines and meter, but one track for all. The same notes
are in both: each note of the first takes the time of its partner in the second, the n-th of a pitch and velocity in the
one being the n-th in the other. 043, 553 and 658 are left out: there the two hold different versions of the song.

    python data_scripts/pop909.py -o data/pop909                                  downloads both
    python data_scripts/pop909.py --from pop909-aligned.tar.xz -o data/pop909     a copy made earlier
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fetch
import numpy as np

from seqvae.clip import Clip, Track
from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.errors import DataError, ReadError

LICENCE = "MIT (POP909, Music X Lab; POP909-CL, AndyWeasley2004)"
RAW_COMMIT = "d83e6edba6872a704f5d3b8b32f5cb540088dae6"
RAW_URL = f"https://github.com/music-x-lab/POP909-Dataset/archive/{RAW_COMMIT}.tar.gz"
GRID_COMMIT = "be9094392903c471a930519e1c0bacf8b6be5d62"
GRID_URL = f"https://github.com/AndyWeasley2004/POP909-CL-Dataset/archive/{GRID_COMMIT}.tar.gz"
CHECKSUM = "1fef39c68885c53e"

LEFT_OUT = ("043", "553", "658")
LEAST_PAIRED = 0.9


@contextlib.contextmanager
def corpus(source: Path | None) -> Iterator[list[Path]]:
    """A folder of MIDI files: of a local copy, or made from the two repositories."""
    if source is not None:
        with fetch.opened(source, "") as folder:
            fetch.check_tree(folder, "*.mid", CHECKSUM)
            yield [folder]
        return
    with (
        fetch.opened(None, RAW_URL) as raw,
        fetch.opened(None, GRID_URL) as grid,
        tempfile.TemporaryDirectory(prefix="seqvae-") as made,
    ):
        folder = Path(made, "pop909-aligned")
        pair_folders(fetch.folder_named(raw, "POP909"), fetch.folder_named(grid, "POP909_processed"), folder)
        yield [folder]


def pair_folders(raw: Path, grid: Path, out: Path) -> int:
    """Writes NNN.mid for each song that both have and whose notes pair; returns their number."""
    count = 0
    for path in sorted(raw.glob("[0-9][0-9][0-9]/[0-9][0-9][0-9].mid")):
        partner = grid / path.name
        if path.stem in LEFT_OUT or path.stem != path.parent.name or not partner.is_file():
            continue
        try:
            paired, share = pair(Clip.load(path), Clip.load(partner))
        except ReadError as error:
            fetch.say(f"left out: {error}")
            continue
        if share < LEAST_PAIRED:
            fetch.say(f"left out: {path.name}: only {share:.0%} of its notes pair")
            continue
        paired.save(out / path.name)
        count += 1
    if not count:
        raise DataError(f"{raw}: no song in it pairs with one in {grid}; are they POP909 and POP909-CL?")
    return count


def pair(raw: Clip, grid: Clip) -> tuple[Clip, float]:
    """The tracks of `raw` at the times of `grid`, and the share of notes that found a partner; the others are dropped.

    Only `grid`'s first track, the score, is looked at; its second holds chords.
    """
    scored = grid.tracks[0].notes
    ours = [track for track in raw.tracks if not track.is_drum]
    notes = np.concatenate([track.notes for track in ours])
    partner = np.full(len(notes), -1)
    kind = notes["pitch"].astype(int) * 128 + notes["velocity"]
    scored_kind = scored["pitch"].astype(int) * 128 + scored["velocity"]
    for value in np.unique(kind):
        mine, theirs = np.flatnonzero(kind == value), np.flatnonzero(scored_kind == value)
        mine = mine[np.argsort(notes["start_beats"][mine], kind="stable")]
        paired = min(len(mine), len(theirs))
        partner[mine[:paired]] = theirs[:paired]
    found = partner >= 0
    notes["start_beats"][found] = scored["start_beats"][partner[found]]
    notes["end_beats"][found] = scored["end_beats"][partner[found]]
    tracks, first = [], 0
    for track in ours:
        last = first + len(track.notes)
        kept = np.sort(notes[first:last][found[first:last]], order=("start_beats", "pitch", "end_beats"))
        tracks.append(Track(notes=kept, program=track.program, name=track.name))
        first = last
    return replace(grid, tracks=tuple(tracks), provenance=None), float(found.mean()) if len(found) else 0.0


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__)
    fetch.say(f"licence: {LICENCE}")
    with corpus(args.source) as folders:
        tokenizer = load_preset(args.preset).tokenizer
        fetch.finish(args.out, prepare(folders, tokenizer, args.out, jobs=args.jobs, force=args.force, licence=LICENCE))


if __name__ == "__main__":
    fetch.run(main)
