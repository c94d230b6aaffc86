"""Bands with melody, bass and drums: the MIDI music of two free games, Freedoom and Simutrans; 165 files.

Licence: Freedoom BSD-3-Clause (its COPYING.adoc; composers in CREDITS-MUSIC), Simutrans Artistic License 1.0 (its
LICENSE.txt; composers in music/readme.txt). OpenMSX (31 files, GPL-2.0) is only read from a local copy, with --openmsx,
for benchmarks: no bundled model is trained on it.

    python data_scripts/band_trio.py -o data/band-trio                             downloads both
    python data_scripts/band_trio.py --from band-trio.tar.xz -o data/band-trio     a copy made earlier
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare

LICENCE = "Freedoom: BSD-3-Clause; Simutrans: Artistic-1.0"
OPENMSX_LICENCE = f"{LICENCE}; OpenMSX: GPL-2.0"
FREEDOOM_URL = "https://github.com/freedoom/freedoom/archive/d14dbbee3b6fbfb2c11cdb65eb61216e86d4ee85.tar.gz"
SIMUTRANS_URL = "https://github.com/simutrans/simutrans/archive/d8c00ef15b8918a2dd749ea0f10a5d22215b3dca.tar.gz"
CHECKSUM = "2b68ca73685048b6"


@contextlib.contextmanager
def corpus(source: Path | None) -> Iterator[list[Path]]:
    """Folders of MIDI files: of a local copy, or of the two games' repositories."""
    if source is not None:
        with fetch.opened(source, "") as folder:
            fetch.check_tree(folder, "*.mid", CHECKSUM)
            yield [folder]
        return
    with fetch.opened(None, FREEDOOM_URL) as freedoom, fetch.opened(None, SIMUTRANS_URL) as simutrans:
        yield [fetch.folder_named(freedoom, "musics"), fetch.folder_named(simutrans, "music")]


def main() -> None:
    """Builds the dataset."""
    with_openmsx = "--openmsx" in sys.argv
    args = fetch.arguments(__doc__, [arg for arg in sys.argv[1:] if arg != "--openmsx"], preset="trio-16bar")
    licence = OPENMSX_LICENCE if with_openmsx else LICENCE
    fetch.say(f"licence: {licence}")
    with corpus(args.source) as folders:
        report = prepare(
            folders,
            load_preset(args.preset).tokenizer,
            args.out,
            exclude=[] if with_openmsx else ["*/openmsx/*", "openmsx/*"],
            jobs=args.jobs,
            force=args.force,
            licence=licence,
        )
        fetch.finish(args.out, report)


if __name__ == "__main__":
    fetch.run(main)
