"""1,797 handwritten digits of 8 × 8 pixels in 17 greys, from scikit-learn: the field's classic first exercise.

A row of tokens is an image, pixel after pixel; token 0 is the paper. Equal images stay in one split.

Licence: CC BY 4.0 (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, doi.org/10.24432/C50P49); the copy in scikit-learn, which must be installed: pip install "seqvae[digits]"

    python data_scripts/digits.py -o data/digits
    python data_scripts/digits.py --from digits.npy -o data/digits
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import fetch
import numpy as np
from numpy.typing import NDArray

from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.errors import ReadError
from seqvae.tokenizers.raw import read_rows

LICENCE = "CC BY 4.0 (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI)"
CHECKSUM = "8f26b2bd9d135c25"


def images(source: Path | None) -> NDArray[np.uint8]:
    """The images of a local .npy, or of scikit-learn: uint8 (n, 64), row after row of each.

    Raises:
        ReadError: The file is no .npy of integers, or scikit-learn is not installed.
    """
    if source is not None:
        return read_rows(source).astype(np.uint8)
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ReadError(
            "scikit-learn is not installed; pip install scikit-learn, or give an .npy with --from"
        ) from None
    rows: NDArray[np.uint8] = load_digits().data.astype(np.uint8)
    return rows


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__, preset="digits")
    fetch.say(f"licence: {LICENCE}")
    rows = images(args.source)
    found = hashlib.sha256(rows.tobytes()).hexdigest()[:16]
    same = "as expected" if found == CHECKSUM else f"NOT the expected {CHECKSUM}: figures will differ"
    fetch.say(f"{len(rows)} images, checksum {found}, {same}")
    with tempfile.TemporaryDirectory(prefix="seqvae-") as folder:
        path = Path(folder, "digits.npy")
        np.save(path, rows, allow_pickle=False)
        tokenizer = load_preset(args.preset).tokenizer
        fetch.finish(args.out, prepare(path, tokenizer, args.out, force=args.force, licence=LICENCE))


if __name__ == "__main__":
    fetch.run(main)
