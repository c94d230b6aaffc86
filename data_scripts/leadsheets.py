"""Lead sheets: melody and chord symbols of 906 pop songs, from POP909 with the bar lines of POP909-CL.

The corpus of pop909.py, read for two of its tracks: MELODY, and CHORDS (block chords, reviewed by experts), whose notes
become chord symbols. Two files have no CHORDS; they are left out.

Licence: MIT twice; see pop909.py. The songs beneath are commercial: train on them, do not redistribute them.

    python data_scripts/leadsheets.py -o data/leadsheets                                       downloads both sets
    python data_scripts/leadsheets.py --from pop909-aligned.tar.xz -o data/leadsheets          a copy made earlier
"""

from __future__ import annotations

import fetch
from pop909 import LICENCE, corpus

from seqvae.config import load_preset
from seqvae.corpus import prepare

TRACKS = "melody=MELODY,chords=CHORDS"


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__, preset="leadsheet-4bar")
    fetch.say(f"licence: {LICENCE}")
    with corpus(args.source) as folders:
        tokenizer = load_preset(args.preset).tokenizer
        report = prepare(folders, tokenizer, args.out, track=TRACKS, jobs=args.jobs, force=args.force, licence=LICENCE)
        fetch.finish(args.out, report)


if __name__ == "__main__":
    fetch.run(main)
