"""Folk tunes from music21's corpus: Aird 1778-1801, O'Neill 1903, Ryan 1883; 4,246 tunes of one voice.

Licence: the tunes are public domain; the ABC transcriptions come with music21 "with the permission of the encoders" and
state no terms of their own. So they are read from the music21 that is installed, not downloaded. --non-commercial
adds the Essen folk songs, which music21 may distribute for non-commercial use only.

    python data_scripts/music21_folk.py -o data/folk
    python data_scripts/music21_folk.py --from folk-tunes.tar.xz -o data/folk
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import fetch

from seqvae.config import load_preset
from seqvae.corpus import folk, prepare

LICENCE = folk.LICENCE
CHECKSUM = "123cf0b166884a91"


@contextlib.contextmanager
def corpus(source: Path | None, *, non_commercial: bool = False, jobs: int | None = None) -> Iterator[list[Path]]:
    """Folders of MIDI files: of a local copy, or of music21's corpus."""
    if source is None:
        collections = folk.PUBLIC_DOMAIN + (folk.NON_COMMERCIAL if non_commercial else ())
        fetch.say("reading music21's corpus; some minutes the first time")
        yield folk.music21_folders(collections, jobs=jobs, progress=fetch.progress("tunes"))
    else:
        with fetch.opened(source, "") as folder:
            fetch.check_tree(folder, "*.mid", CHECKSUM)
            yield [folder]


def main() -> None:
    """Builds the dataset."""
    non_commercial = "--non-commercial" in sys.argv
    args = fetch.arguments(__doc__, [arg for arg in sys.argv[1:] if arg != "--non-commercial"])
    licence = folk.NON_COMMERCIAL_LICENCE if non_commercial else LICENCE
    fetch.say(f"licence: {licence}")
    with corpus(args.source, non_commercial=non_commercial, jobs=args.jobs) as folders:
        tokenizer = load_preset(args.preset).tokenizer
        fetch.finish(args.out, prepare(folders, tokenizer, args.out, jobs=args.jobs, force=args.force, licence=licence))


if __name__ == "__main__":
    fetch.run(main)
