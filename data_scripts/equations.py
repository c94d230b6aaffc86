"""100,000 arithmetic expressions in x, of up to 13 symbols, from the Grammar VAE (Kusner et al. 2017).

Licence: none stated; synthetic strings of a small grammar, which anyone could make again.

    python data_scripts/equations.py -o data/equations
    python data_scripts/equations.py --from equation2_15_dataset.txt -o data/equations

It also holds the grammar as a check for samples: --valid data_scripts/equations.py:parses
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import fetch

from seqvae.config import load_preset
from seqvae.corpus import prepare

LICENCE = "none stated by mkusner/grammarVAE: synthetic strings of a small grammar"
COMMIT = "ffffe272a8cf1772578dfc92254c55c224cddc02"
URL = f"https://raw.githubusercontent.com/mkusner/grammarVAE/{COMMIT}/data/equation2_15_dataset.txt"
SHA256 = "ae9850311e884f888491f56dca57ef3c2f9880899e63d26b5da3b71840591ca2"

CHAIN = r"[x123](?:[+*/][x123])*"
BRACKETS = re.compile(rf"(?:sin|exp)?\({CHAIN}\)")


def parses(expression: str) -> bool:
    """Whether the data's grammar makes an expression.

    That is, terms with + * / between them; a term is x, 1, 2, 3 or an expression in brackets, maybe behind sin or exp.

    >>> parses("x + sin( 1 / x )"), parses("x + + 1"), parses("( x"), parses("sin( )")
    (True, False, False, False)
    """
    rest = expression.replace(" ", "")
    before = ""
    while before != rest:  # the innermost brackets become a term, until none is left
        before, rest = rest, BRACKETS.sub("x", rest)
    return re.fullmatch(CHAIN, rest) is not None


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__, preset="equations")
    fetch.say(f"licence: {LICENCE}")
    with tempfile.TemporaryDirectory(prefix="seqvae-") as folder:
        path = Path(folder, "equations.txt")
        path.write_bytes(fetch.content(args.source, URL, SHA256))
        tokenizer = load_preset(args.preset).tokenizer
        fetch.finish(args.out, prepare(path, tokenizer, args.out, force=args.force, licence=LICENCE))


if __name__ == "__main__":
    fetch.run(main)
