"""Tiny Shakespeare: 32,777 lines of the plays, the field's usual text for models of characters.

Licence: public domain (the text); MIT (karpathy/char-rnn, where it is published).

The usual split by place: the first 90 % of the file for training; the rest is halved, for validation and for test.
Empty lines, which part the speeches, are left out; the names of the speakers are lines as any other.

    python data_scripts/shakespeare.py -o data/shakespeare
    python data_scripts/shakespeare.py --from input.txt -o data/shakespeare
"""

from __future__ import annotations

import fetch
import texts

from seqvae.dataset import Split

LICENCE = "public domain (Shakespeare), MIT (karpathy/char-rnn)"
COMMIT = "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
URL = f"https://raw.githubusercontent.com/karpathy/char-rnn/{COMMIT}/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def by_place(lines: list[str]) -> dict[Split, list[str]]:
    """Nine tenths, a twentieth and a twentieth of the lines, in their order; then the empty ones are left out."""
    first, second = len(lines) * 18 // 20, len(lines) * 19 // 20
    parts: dict[Split, list[str]] = {"train": lines[:first], "valid": lines[first:second], "test": lines[second:]}
    return {split: texts.clean(part) for split, part in parts.items()}


def main() -> None:
    """Builds the dataset."""
    args = texts.arguments(__doc__, "text-chars")
    fetch.say(f"licence: {LICENCE}")
    content = fetch.content(args.source, URL, SHA256)
    texts.build(args, by_place(texts.lines(content, "input.txt")), "shakespeare", LICENCE)


if __name__ == "__main__":
    fetch.run(main)
