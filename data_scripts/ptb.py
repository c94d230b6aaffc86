"""Penn Treebank in Mikolov's preparation: 49,199 sentences of the Wall Street Journal, 1989, the usual benchmark.

Licence: none open. The text is (c) Dow Jones, Linguistic Data Consortium (LDC99T42): benchmarks on your own machine.
No bundled model is trained on it, and a model that is must not be passed on as if it were free.

The splits are the usual ones: 42,068 for training, 3,370 for validation, 3,761 for test. Words are in lower case,
numbers are N, and rare words are <unk> in the files themselves; both are kept, so that figures compare.

    python data_scripts/ptb.py -o data/ptb
    python data_scripts/ptb.py --from ptb -o data/ptb
"""

from __future__ import annotations

import fetch
import texts

from seqvae.dataset import Split

LICENCE = "not open: (c) Dow Jones, LDC99T42, benchmarks only; do not pass on models trained on it"
COMMIT = "6459c62c3e6003187d88e5907a2b6e20cf915892"
URL = f"https://github.com/jiacheng-xu/vmf_vae_nlp/raw/{COMMIT}/data/ptb.zip"
SHA256: dict[Split, str] = {
    "train": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    "valid": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    "test": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
}
SETTINGS = ("tokenizer.breaks=spaces", "tokenizer.max_length=82", "tokenizer.limit=10000")
"""The files are in tokens already; the longest line has 82, and there are 9,999 words."""


def main() -> None:
    """Builds the dataset."""
    args = texts.arguments(__doc__, "text-words")
    fetch.say(f"licence: {LICENCE}")
    with fetch.opened(args.source, URL) as folder:
        contents = {split: fetch.content(folder, f"{split}.txt", sha256) for split, sha256 in SHA256.items()}
    splits = {split: texts.clean(texts.lines(content, f"{split}.txt")) for split, content in contents.items()}
    texts.build(args, splits, "ptb", LICENCE, SETTINGS)


if __name__ == "__main__":
    fetch.run(main)
