"""32,033 given names from the United States' social security, in small letters: what makemore is trained on.

Licence: MIT (karpathy/makemore); the names themselves are of the US government and in the public domain.

    python data_scripts/names.py -o data/names
    python data_scripts/names.py --from names.txt -o data/names
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare

LICENCE = "MIT (karpathy/makemore); names of the US social security, public domain"
COMMIT = "988aa59e4d8fefa526d06f3b453ad116258398d4"
URL = f"https://raw.githubusercontent.com/karpathy/makemore/{COMMIT}/names.txt"
SHA256 = "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d"


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__, preset="names")
    fetch.say(f"licence: {LICENCE}")
    with tempfile.TemporaryDirectory(prefix="seqvae-") as folder:
        path = Path(folder, "names.txt")
        path.write_bytes(fetch.content(args.source, URL, SHA256))
        tokenizer = load_preset(args.preset).tokenizer
        fetch.finish(args.out, prepare(path, tokenizer, args.out, force=args.force, licence=LICENCE))


if __name__ == "__main__":
    fetch.run(main)
