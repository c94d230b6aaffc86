"""The datasets of the melody presets in other meters and grids, of the corpora of melody-2bar.

Licences: MIT (POP909, POP909-CL), CC0-1.0 (OpenScore Lieder), public domain (folk tunes from music21's corpus).

--preset melody-2bar-3-4 and melody-2bar-6-8 take the bars in their meter: waltzes and minuets; jigs and slip songs.

--preset melody-2bar-triplets takes what its grid of six steps a beat can say: stretches of 4/4 without sixteenths, and
6/8, 9/8 and 12/8 counted as 2/4, 3/4 and 4/4 with triplets, as one hears them: a dotted quarter is then a beat.

--from is a folder that holds the three, each as a folder or an archive; without, each is fetched or built.

    python data_scripts/folk_meters.py --preset melody-2bar-3-4 -o data/melody-2bar-3-4
    python data_scripts/folk_meters.py --preset melody-2bar-triplets --from FOLDER -o data/melody-2bar-triplets
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fetch
import melody_2bar
import numpy as np
import openscore_lieder
from numpy.typing import NDArray

from seqvae.clip import Clip, MeterChange, TempoChange
from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.dataset import Dataset, Split
from seqvae.errors import DataError
from seqvae.tokenizers import MelodyTokenizer

LICENCE = melody_2bar.LICENCE

TOLERANCE_BEATS = 0.03
"""An onset this near to a step is on it: POP909 and the Lieder are exact to 1/24 of a beat or better."""

COMPOUND = {6: 2, 9: 3, 12: 4}


@dataclass(frozen=True, kw_only=True)
class TripletTokenizer(MelodyTokenizer):
    """A melody tokenizer that reads of a file only the stretches that its grid can say."""

    def read_all(self, path: Path) -> list[Clip]:
        """Of each melody of the file, the stretches of bars whose onsets are on the grid. Raises `ReadError`."""
        found: list[Clip] = []
        for clip in super().read_all(path):
            try:
                tracks = self.melody_tracks(clip)
            except DataError:
                found.append(clip)  # `windows` says what it lacks
                continue
            for track in sorted(tracks):
                found += stretches(counted_simply(clip.select(track)), self.steps_per_beat)
        return found


def counted_simply(clip: Clip) -> Clip:
    """A clip all in compound meters with a dotted quarter for the beat: 6/8 as 2/4, its eighths as triplets.

    >>> jig = Clip.from_notes([(0, 0.5, 60, 80), (1.5, 3, 62, 80)], meter=(6, 8))
    >>> counted_simply(jig).tracks[0].notes["start_beats"].tolist(), counted_simply(jig).meters[0].denominator
    ([0.0, 1.0], 4)
    """
    if any(meter.denominator != 8 or meter.numerator not in COMPOUND for meter in clip.meters):
        return clip
    tracks = []
    for track in clip.tracks:
        notes = track.notes.copy()
        for edge in ("start_beats", "end_beats"):
            notes[edge] *= 2 / 3
        tracks.append(dataclasses.replace(track, notes=notes))
    return dataclasses.replace(
        clip,
        tracks=tuple(tracks),
        length_beats=clip.length_beats * 2 / 3,
        tempos=tuple(TempoChange(beat * 2 / 3, tempo * 2 / 3) for beat, tempo in clip.tempos),
        meters=tuple(MeterChange(beat * 2 / 3, COMPOUND[numerator], 4) for beat, numerator, _ in clip.meters),
        provenance=None,
    )


def stretches(clip: Clip, steps_per_beat: int) -> list[Clip]:
    """The longest runs of whole bars whose onsets all lie on the grid, each a clip that begins at its first bar."""
    onsets = np.concatenate([track.notes["start_beats"] for track in clip.tracks])
    off = onsets[np.abs(onsets - np.round(onsets * steps_per_beat) / steps_per_beat) > TOLERANCE_BEATS]
    return [clip.cut(*run) for run in _runs(clip, off)]


def _runs(clip: Clip, off: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    start = end = 0.0
    for bar in clip.bars():
        bar_end = bar.start_beats + bar.length_beats
        reach = (off >= bar.start_beats - TOLERANCE_BEATS) & (off < bar_end - TOLERANCE_BEATS)
        if reach.any():
            if end > start:
                yield start, end
            start = bar_end
        end = bar_end
    if end > start:
        yield start, end


def triplet_share(dataset: Dataset) -> float:
    """The share of the windows in which an onset lies on neither a beat nor half a beat."""
    tokens = np.concatenate([dataset.windows(split) for split in ("train", "valid", "test")])
    steps = dataset.tokenizer.onset_mask[tokens]
    return float(steps[:, np.arange(tokens.shape[1]) % 3 != 0].any(axis=1).mean())


def split(name: str) -> Split:
    """All stretches of a file are in its split."""
    return openscore_lieder.split(name.partition("#")[0])


def main() -> None:
    """Builds the dataset."""
    args = fetch.parser(__doc__, "melody-2bar-3-4").parse_args()
    fetch.say(f"licence: {LICENCE}")
    tokenizer = load_preset(args.preset).tokenizer
    if not isinstance(tokenizer, MelodyTokenizer):
        raise DataError(f"{args.preset}: its sequences are {tokenizer.kind} and melodies are asked for")
    triplets = tokenizer.steps_per_beat % 3 == 0 and tokenizer.steps_per_beat % 4 != 0
    reader = TripletTokenizer(**dataclasses.asdict(tokenizer)) if triplets else tokenizer
    with melody_2bar.corpora(args.source) as folders:
        report = prepare(folders, reader, args.out, split=split, jobs=args.jobs, force=args.force, licence=LICENCE)
    if triplets:
        fetch.say(f"windows with triplets: {triplet_share(Dataset.open(args.out)):.1%}")
    fetch.finish(args.out, report)


if __name__ == "__main__":
    fetch.run(main)
