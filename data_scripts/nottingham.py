"""The Nottingham Music Database as published by Jukedeck: 1,034 British and American folk tunes, melody tracks.

Licence: GPL-3.0 as published (the original: E. Foxley; ABC by S. Shlien). For benchmarks on your own machine: the
models that come with seqvae are not trained on it.

    python data_scripts/nottingham.py -o data/nottingham
    python data_scripts/nottingham.py --from nottingham.tar.xz -o data/nottingham
"""

from __future__ import annotations

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare

LICENCE = "GPL-3.0 as published by jukedeck/nottingham-dataset: benchmarks only"
COMMIT = "0992bb6cd864f6d4b90d6663e08c0ef53ffaa08f"
URL = f"https://github.com/jukedeck/nottingham-dataset/archive/{COMMIT}.tar.gz"
CHECKSUM = "51d55157f332d48b"


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__)
    fetch.say(f"licence: {LICENCE}")
    with fetch.opened(args.source, URL) as folder:
        melodies = fetch.folder_named(folder, "melody")
        fetch.check_tree(melodies, "*.mid", CHECKSUM)
        tokenizer = load_preset(args.preset).tokenizer
        fetch.finish(
            args.out, prepare(melodies, tokenizer, args.out, jobs=args.jobs, force=args.force, licence=LICENCE)
        )


if __name__ == "__main__":
    fetch.run(main)
