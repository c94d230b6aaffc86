"""McGill Billboard: the chords of 890 songs from the American charts, 1958-1991, one phrase a line.

Licence: CC0-1.0. Cite Burgoyne, Wild, Fujinaga, "An expert ground-truth set for audio chord recognition", ISMIR 2011.

A line of the text is a phrase as the annotators wrote it, bars between `|`, in symbols of lead sheets:

    Am | Am | F | G . C G

The symbols of a bar share it evenly; a dot goes on with the symbol before it. What is made of the annotations:
- A chord is reduced to the qualities of seqvae/chords.py: extensions above the seventh and the bass are left out
  (`G:13/3` is G7), as are changes of meter inside a phrase. Roots are spelled one way (C# and not Db).
- Left out: phrases of one bar or of more than 8, without any chord, with a pause or a chord that nobody could name.
- Splits are by song (SHA-1 of its number, as everywhere). Train has each phrase in all twelve keys; valid and test have
  it as sung.

    python data_scripts/billboard.py -o data/chords
    python data_scripts/billboard.py --from progressions.tsv.xz -o data/chords --text out/chords
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fetch
import texts

from seqvae.chords import PITCH_CLASSES, REPEAT_SYMBOLS, Chord, parse_chord
from seqvae.corpus.prepare import split_by_name
from seqvae.dataset import Split
from seqvae.errors import DataError

LICENCE = "CC0-1.0 (McGill Billboard chord annotations)"
COMMIT = "2234489f96e3cc69d4c000572011c7a717ed1ac5"
URL = f"https://github.com/boomerr1/The-McGill-Billboard-Project/archive/{COMMIT}.tar.gz"
TSV = "progressions.tsv"
TSV_SHA256 = "fca8d24d89a28688f09e7790e903e7beb9d832759bb56745732d71b2b125f580"

BARS = range(2, 9)
NO_CHORD = "N"
UNCLEAR = ("*", "&pause")

Phrase = list[list[Chord | str | None]]
"""Bars of chords; None is no chord, a dot goes on."""


def song_lines(source: Path | None) -> Iterator[tuple[str, str]]:
    """Song and phrase as annotated, of a table made earlier or of the annotations themselves. Raises `ReadError`."""
    if source is not None and ((source.is_file() and ".tsv" in source.name) or any(source.rglob(f"{TSV}*"))):
        for line in texts.lines(fetch.content(source, TSV, TSV_SHA256)):
            fields = line.split("\t")
            yield fields[0], fields[-1]
        return
    with fetch.opened(source, URL) as folder:
        files = sorted(folder.rglob("salami_chords.txt"))
        if not files:
            raise DataError(f"{source or URL}: there is no salami_chords.txt and no {TSV} in it; is it another corpus?")
        for path in files:
            for line in texts.lines(path.read_bytes()):
                annotated = line.partition("\t")[2]
                if annotated.count("|") >= 2:  # else a silence, the end, or a name alone
                    yield path.parent.name, annotated[annotated.index("|") + 1 : annotated.rindex("|")]


def phrase(line: str) -> Phrase | None:
    """The chords of a phrase, None for one to leave out.

    >>> phrase("A:min . C:maj/5 G:13 | (2/4) N")[1]
    [None]
    """
    bars: Phrase = []
    for bar in line.split("|"):
        symbols = [symbol for symbol in bar.split() if not (symbol[0] == "(" and symbol[-1] == ")")]
        if not symbols or any(symbol in UNCLEAR for symbol in symbols):
            return None
        try:
            bars.append([symbol if symbol in REPEAT_SYMBOLS else parse_chord(symbol) for symbol in symbols])
        except DataError:
            return None
    sounds = any(isinstance(chord, Chord) for bar in bars for chord in bar)
    return bars if len(bars) in BARS and sounds else None


def text(bars: Phrase, semitones: int = 0) -> str:
    """A phrase in symbols of lead sheets, transposed.

    >>> text(phrase("A:min . C:maj/5 G:13 | (2/4) N"), 2)
    'Bm . D A7 | N'
    """

    def symbol(chord: Chord | str | None) -> str:
        if isinstance(chord, Chord):
            return PITCH_CLASSES[(chord.root + semitones) % 12] + chord.quality
        return chord or NO_CHORD

    return " | ".join(" ".join(map(symbol, bar)) for bar in bars)


def progressions(lines: Iterator[tuple[str, str]]) -> dict[Split, list[str]]:
    """The distinct lines of each split, in their order; train's in every key. Raises `DataError`."""
    found: dict[Split, dict[str, None]] = {"train": {}, "valid": {}, "test": {}}
    left_out = count = 0
    for song, line in lines:
        count += 1
        bars = phrase(line)
        if bars is None:
            left_out += 1
            continue
        split = split_by_name(song)
        found[split] |= dict.fromkeys(text(bars, semitones) for semitones in range(12 if split == "train" else 1))
    fetch.say(f"{count} phrases, {left_out} left out; distinct: {', '.join(f'{len(v)} {k}' for k, v in found.items())}")
    return {split: list(of) for split, of in found.items()}


def main() -> None:
    """Builds the dataset."""
    args = texts.arguments(__doc__, "text-words")
    fetch.say(f"licence: {LICENCE}")
    texts.build(args, progressions(song_lines(args.source)), "chords", LICENCE)


if __name__ == "__main__":
    fetch.run(main)
