"""A table of labels: what is known of each file beside its notes, for models that are given it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqvae.clip import Clip
from seqvae.errors import ConfigError, DataError, ReadError
from seqvae.tokenizers import PartsTokenizer, Tokenizer
from seqvae.tokenizers.control import with_marks
from seqvae.tokenizers.parts.assign import LABEL, role_of

FILE = "file"

Labels = Mapping[str, Mapping[str, str]]
"""Of each file, by its name in the dataset, column → value."""


def read_labels(path: Path) -> dict[str, dict[str, str]]:
    """A .csv with a column `file` and others: file → column → value, empty values left out.

    Raises:
        ReadError: It cannot be read.
        DataError: It has no column `file`, or no other, or a row of another length.
    """
    header, rows = read_table(path)
    if FILE not in header or len(header) < 2:
        found = f"{path}: its first line is {','.join(header) or 'empty'}"
        raise DataError(f"{found}; the columns {FILE} and one or more labels are expected, such as file,genre")
    table: dict[str, dict[str, str]] = {}
    for row in rows:
        values = dict(zip(header, row, strict=True))
        table[values.pop(FILE)] = {column: value for column, value in values.items() if value}
    return table


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """A .csv in UTF-8: its first row, and the others, without the spaces around cells.

    Raises:
        ReadError: It cannot be read.
        DataError: A row is of another length than the first.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    except UnicodeDecodeError:
        raise ReadError(f"{path}: is not in UTF-8; save it in UTF-8") from None
    except (OSError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ReadError(f"{path}: cannot be read as a table ({why}); give a .csv of file,label,…") from None
    header = rows[0] if rows else []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} has {len(row)} columns and {len(header)} are expected; correct it")
    return header, rows[1:]


def labelled(
    tokenizer: Tokenizer, names: Sequence[str], path: Path | None, notes: list[str]
) -> tuple[Tokenizer, dict[str, dict[str, str]]]:
    """The tokenizer with the values of its labels, and the labels of each file.

    Args:
        tokenizer: Perhaps not yet fitted.
        names: Of the files, in the dataset.
        path: The table; its rows name files with or without folders.
        notes: Is told of files without a row.

    Raises:
        ReadError, DataError: See `read_labels`; also if no row is about any of the files, or a column is missing.
        ConfigError: The tokenizer has no label.
    """
    columns = [role_of(part)[0] for part in getattr(tokenizer, "given", ()) if part.startswith(LABEL)]
    if path is None:
        return tokenizer.fit([]), {}
    if not columns or not isinstance(tokenizer, PartsTokenizer):
        raise ConfigError(f"--labels {path}: this preset is given no label; name a column: {EXAMPLE}")
    table = read_labels(path)
    found = {name: row for name in names if (row := table.get(name, table.get(name.rsplit("/", 1)[-1])))}
    if not found:
        raise DataError(
            f"{path}: none of its {len(table)} rows is about one of the {len(names)} files; check the names"
        )
    if len(found) < len(names):
        notes.append(f"{len(names) - len(found)} of {len(names)} files have no labels; they count as unknown")
    kept = {name: {column: row[column] for column in columns if column in row} for name, row in found.items()}
    for name, row in kept.items():
        for column, value in row.items():
            if "|" in value or value == "unknown":
                raise DataError(f"{path}: {name} has the {column} {value!r}; | and 'unknown' are not for labels")
    return tokenizer.fit(with_marks(Clip(), row) for row in kept.values()), kept


EXAMPLE = '--preset melody-chords-2bar --set \'tokenizer.given=["chords","label:genre"]\''
