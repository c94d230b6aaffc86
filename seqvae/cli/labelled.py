"""What is known of gathered windows: from a table of labels, or from where they come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from seqvae.cli.common import is_lines, talk
from seqvae.cli.gather import Gathered, gather
from seqvae.errors import DataError, SeqvaeError

if TYPE_CHECKING:
    from seqvae.attributes.labels import Labelled
    from seqvae.tokenizers import Tokenizer


def labels_of(tokenizer: Tokenizer, windows: Gathered, path: Path) -> list[Labelled]:
    """The columns of a table as attributes of windows (see `attributes.labels`); says how many windows it knows.

    Raises:
        ReadError, DataError: See `read_labels`.
    """
    import numpy as np

    from seqvae.attributes.labels import read_labels

    def as_read(text: str) -> str:
        return _as_read(tokenizer, text)

    labels = read_labels(path, names_of(tokenizer, windows), as_read=as_read if is_lines(tokenizer) else None)
    known = int(np.any([np.isfinite(label.values) for label in labels], axis=0).sum())
    if known < len(windows.tokens):
        talk(f"{path}: {known:,} of {len(windows.tokens):,} windows have labels; the others are left out")
    return labels


def names_of(tokenizer: Tokenizer, windows: Gathered) -> list[tuple[str, ...]]:
    """What each window goes by, the surest first: of music its file; of lines `names.txt:7`, the text, and its file."""
    if not is_lines(tokenizer):
        return [(source,) for source in windows.sources]
    found: list[tuple[str, ...]] = []
    for source, start, row in zip(windows.sources, windows.starts.tolist(), windows.tokens, strict=True):
        file, hash_sign, number = source.rpartition("#")  # as files of many lines are read
        file, number = (file, number.lstrip("0")) if hash_sign else (source, f"{start:.0f}")
        found.append((f"{file}:{number}", tokenizer.show(tokenizer.decode(row)), file))
    return found


def _as_read(tokenizer: Tokenizer, text: str) -> str:
    """A text in the letters and words of the model; one that it cannot read, as it is."""
    try:
        return tokenizer.show(tokenizer.decode(tokenizer.encode(tokenizer.parse(text)))) if text else text
    except SeqvaeError:
        return text


def gather_sides(
    tokenizer: Tokenizer, having: Path, lacking: Path, split: str, items: int | None, seed: int, track: str | None
) -> tuple[Gathered, Labelled]:
    """The windows of two folders, files or datasets, and the attribute that the first have and the second have not.

    It is called by the first one's name. Windows that both hold are left out. At most `items` of each are drawn.

    Raises:
        DataError, ReadError: See `gather`; also if one has no window of its own.
    """
    import numpy as np

    from seqvae.attributes.labels import two_sides
    from seqvae.dataset import window_keys

    sides = [gather(tokenizer, [path], split, items, seed, track) for path in (having, lacking)]
    keys = [window_keys(side.tokens) for side in sides]
    own = [np.flatnonzero(~np.isin(mine, other)) for mine, other in (keys, keys[::-1])]
    if not (len(own[0]) and len(own[1])):
        empty, other = (having, lacking) if not len(own[0]) else (lacking, having)
        raise DataError(f"{empty}: all its windows are in {other} too; give two that differ")
    if (shared := len(keys[0]) - len(own[0])) > 0:
        talk(f"{shared:,} windows are in {having} and in {lacking}, and are left out")
    both = Gathered(
        tokens=np.concatenate([side.tokens[rows] for side, rows in zip(sides, own, strict=True)]),
        sources=[side.sources[row] for side, rows in zip(sides, own, strict=True) for row in rows],
        starts=np.concatenate([side.starts[rows] for side, rows in zip(sides, own, strict=True)]),
        train=None,
        data=f"{sides[0].data}, against {sides[1].data}",
        split=sides[0].split,
    )
    name = re.sub(r"[\s=]+", "-", having.resolve().stem) or "it"
    return both, two_sides(name, len(own[0]), len(own[1]))
