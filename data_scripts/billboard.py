"""McGill Billboard: the chords of 890 songs from the American charts, 1958-1991, one phrase a line.

Licence: CC0-1.0. Cite Burgoyne, Wild, Fujinaga, "An expert ground-truth set for audio chord recognition", ISMIR 2011.

A line of the text is a phrase as the annotators wrote it, bars between `|`, in symbols of lead sheets:

    Am | Am | F | G . C G

The symbols of a bar share it evenly; a dot goes on with the symbol before it. What is made of the annotations:
- A chord has the one spelling of the `chords` preset: root, quality and bass (`G:13/3` is G7/B, Db is C#); extensions
  above the seventh are left out, as are changes of meter inside a phrase.
- Left out: phrases of one bar or of more than 8, without any chord, with a pause or a chord that nobody could name.
- Splits are by song (SHA-1 of its number, as everywhere). All is in the key it was sung in; training transposes.

    python data_scripts/billboard.py -o data/chords
    python data_scripts/billboard.py --from progressions.tsv.xz -o data/chords --text out/chords
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import fetch
import texts

from seqvae.chords import REPEAT_SYMBOLS, parse_chord
from seqvae.corpus.prepare import split_by_name
from seqvae.dataset import Split
from seqvae.errors import DataError
from seqvae.tokenizers.chordwords import BAR, NO_CHORD, spell

LICENCE = "CC0-1.0 (McGill Billboard chord annotations)"
COMMIT = "2234489f96e3cc69d4c000572011c7a717ed1ac5"
URL = f"https://github.com/boomerr1/The-McGill-Billboard-Project/archive/{COMMIT}.tar.gz"
TSV = "progressions.tsv"
TSV_SHA256 = "fca8d24d89a28688f09e7790e903e7beb9d832759bb56745732d71b2b125f580"

BARS = range(2, 9)
UNCLEAR = ("*", "&pause")


def song_lines(source: Path | None) -> Iterator[tuple[str, str]]:
    """Song and phrase as annotated, of a table made earlier or of the annotations themselves. Raises `ReadError`."""
    if source is not None and ((source.is_file() and ".tsv" in source.name) or any(source.rglob(f"{TSV}*"))):
        for line in texts.lines(fetch.content(source, TSV, TSV_SHA256), TSV):
            fields = line.split("\t")
            yield fields[0], fields[-1]
        return
    with fetch.opened(source, URL) as folder:
        files = sorted(folder.rglob("salami_chords.txt"))
        if not files:
            raise DataError(f"{source or URL}: there is no salami_chords.txt and no {TSV} in it; is it another corpus?")
        for path in files:
            for line in texts.lines(path.read_bytes(), str(path)):
                annotated = line.partition("\t")[2]
                if annotated.count("|") >= 2:  # else a silence, the end, or a name alone
                    yield path.parent.name, annotated[annotated.index("|") + 1 : annotated.rindex("|")]


def phrase(line: str) -> str | None:
    """A phrase in symbols of lead sheets; None for one to leave out.

    >>> phrase("A:min . C:maj/5 G:13 | (2/4) N")
    'Am . C/G G7 | N.C.'
    """
    bars = []
    for bar in line.split("|"):
        symbols = [symbol for symbol in bar.split() if not (symbol[0] == "(" and symbol[-1] == ")")]
        if not symbols or not all(map(_is_clear, symbols)):
            return None
        bars.append([symbol if symbol in REPEAT_SYMBOLS else spell(symbol) for symbol in symbols])
    sounds = any(symbol not in (*REPEAT_SYMBOLS, NO_CHORD) for bar in bars for symbol in bar)
    return f" {BAR} ".join(map(" ".join, bars)) if len(bars) in BARS and sounds else None


def _is_clear(symbol: str) -> bool:
    if symbol in REPEAT_SYMBOLS:
        return True
    try:
        parse_chord(symbol)
    except DataError:
        return False
    return symbol not in UNCLEAR


def progressions(lines: Iterable[tuple[str, str]]) -> dict[Split, list[str]]:
    """The distinct phrases of each split, in their order."""
    found: dict[Split, dict[str, None]] = {"train": {}, "valid": {}, "test": {}}
    left_out = count = 0
    for song, line in lines:
        count += 1
        text = phrase(line)
        left_out += text is None
        if text is not None:
            found[split_by_name(song)][text] = None
    fetch.say(f"{count} phrases, {left_out} left out; distinct: {', '.join(f'{len(v)} {k}' for k, v in found.items())}")
    return {split: list(of) for split, of in found.items()}


def main() -> None:
    """Builds the dataset."""
    args = texts.arguments(__doc__, "chords")
    fetch.say(f"licence: {LICENCE}")
    texts.build(args, progressions(song_lines(args.source)), "chords", LICENCE)


if __name__ == "__main__":
    fetch.run(main)
