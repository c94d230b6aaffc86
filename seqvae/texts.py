"""Texts in files: one a line or one a paragraph of a .txt, one a row of a .csv or .tsv, one an object of a .jsonl."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

from seqvae.errors import DataError, ReadError
from seqvae.files import read_lines

SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")
"""What the names of text files end in."""

QUOTED_LETTERS = 40


def read_texts(path: Path, *, column: str = "text", paragraphs: bool = False) -> list[str]:
    """Every text of a file, in order; "" where a line, a cell or a field is empty.

    Args:
        path: A .txt, .csv, .tsv or .jsonl in UTF-8, with or without a byte order mark, whatever its line ends.
        column: Of a .csv or .tsv its column: a name that stands in the first row, or a number from 1 where no row of
            names leads. Of a .jsonl its field; a line that is a JSON string by itself needs none.
        paragraphs: Of a .txt, a text is all lines up to an empty one; without, each line.

    Raises:
        ReadError: It is missing, empty, of another encoding or damaged.
        DataError: It has no such column or field.
    """
    lines = read_lines(path)
    match path.suffix.lower():
        case ".csv" | ".tsv":
            return _cells(path, lines, column)
        case ".jsonl":
            return [_field(path, number, line, column) for number, line in enumerate(lines, 1)]
        case _ if paragraphs:
            blocks = itertools.groupby(lines, key=lambda line: bool(line.strip()))
            return [" ".join(block) for full, block in blocks if full]
        case _:
            return lines


def _cells(path: Path, lines: list[str], column: str) -> list[str]:
    table = io.StringIO("\n".join(lines) + "\n", newline="")
    tabs = path.suffix.lower() == ".tsv"
    reader = csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(table)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise ReadError(f"{path}: line {reader.line_num} is no row of a table ({error}); mend or remove it") from None
    if not rows:
        raise ReadError(f"{path}: is empty; give a file with something in it")
    if column.isdecimal() and column not in rows[0]:
        index = int(column) - 1
        if not 0 <= index < len(rows[0]):
            found = f"{path}: has {len(rows[0])} columns and number {column} is asked for"
            raise DataError(f"{found}; choose one with prepare --column")
    else:
        names = [name.strip() for name in rows[0]]
        if column not in names:
            listing = ", ".join(quoted(name) for name in names[:8])
            found = f"{path}: has no column {column!r}; its first row is {listing}"
            raise DataError(f"{found}; rename one, or choose it with prepare --column")
        index, rows = names.index(column), rows[1:]
    return [row[index] if index < len(row) else "" for row in rows]


def _field(path: Path, number: int, line: str, column: str) -> str:
    if not line.strip():
        return ""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        found = f"{path}: line {number} is no JSON ({str(error)[:60]})"
        raise ReadError(f"{found}; one object a line is expected") from None
    if isinstance(value, dict):
        if column not in value:
            listing = ", ".join(quoted(str(name)) for name in list(value)[:8])
            found = f"{path}: line {number} has no field {column!r}; it has {listing or 'none'}"
            raise DataError(f"{found}; rename one, or choose it with prepare --column")
        value = value[column]
    if not isinstance(value, str):
        kind = type(value).__name__
        raise DataError(f"{path}: line {number} holds a {kind} and a text is expected; choose another tokenizer.column")
    return value


def quoted(text: str) -> str:
    """The beginning of a text in quotes, as one line, for messages.

    >>> quoted("a man on a bicycle rides down a very long street")
    "'a man on a bicycle rides down a very lon…'"
    """
    line = " ".join(text[: 2 * QUOTED_LETTERS].split())
    return repr(line if len(line) <= QUOTED_LETTERS and len(text) < 2 * QUOTED_LETTERS else line[:QUOTED_LETTERS] + "…")
