"""The files of a corpus: found in folders, in an order that does not depend on the machine."""

from __future__ import annotations

import fnmatch
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from seqvae.errors import DataError, ReadError

File = tuple[Path, str]
"""Where a file lies and what it is called in the dataset."""


class Files(Sequence[File]):
    """Many files, as little more than their names: paths are made when they are asked for."""

    def __init__(self) -> None:
        self._tops: list[Path] = []  # each input
        self._top: array[int] = array("l")  # of each file, index in `_tops`
        self._names: list[str] = []

    def add(self, top: Path, names: Iterable[str]) -> None:
        """Adds the file `top`, or files below the folder `top`, by their names in the dataset."""
        before = len(self._names)
        self._names += names
        self._top.extend([len(self._tops)] * (len(self._names) - before))
        self._tops.append(top)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> File: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> File | Files:
        if isinstance(index, slice):
            some = Files()
            some._tops, some._top, some._names = self._tops, self._top[index], self._names[index]
            return some
        top, name = self._tops[self._top[index]], self._names[index]
        _, slash, below = name.partition("/")
        return (top / below if slash else top), name


def find_files(
    inputs: Iterable[Path], suffixes: Sequence[str], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Files:
    """The files to read, each input's in the order of their names; an input folder's name leads its files' names.

    Raises:
        ReadError: An input does not exist, or a folder cannot be listed.
        DataError: There is no file.
    """
    files, found = Files(), 0
    inputs = list(inputs)
    for path in inputs:
        if path.is_dir():
            names = _names_below(path, suffixes)
        elif path.is_file():
            names = [path.name]
        else:
            what = "is no file" if path.exists() else "does not exist"
            raise ReadError(f"{path}: {what}; give files ({' '.join(suffixes)}) or folders of them")
        found += len(names)
        files.add(path, [name for name in names if _is_wanted(name, include, exclude)])
    if not files:
        where = ", ".join(str(path) for path in inputs[:3]) or "nothing given"
        kind = "music" if ".mid" in suffixes else "text"
        why = f"none of {found} files matches --include and --exclude" if found else f"there is no file of {kind}"
        raise DataError(f"{where}: {why}; endings read are {' '.join(suffixes)}")
    return files


def _names_below(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """The files below a folder, each called by that folder's name and its way from there."""
    try:
        return list(_walk(str(folder), f"{folder.resolve().name}/", suffixes))
    except OSError as error:
        found = f"{error.filename}: cannot be listed ({error.strerror})"
        raise ReadError(f"{found}; change its permissions or leave it out") from None


def _walk(folder: str, called: str, suffixes: Sequence[str]) -> Iterator[str]:
    """Files and folders of a folder in the order of their names; hidden ones and links to folders are left out."""
    names, folders = [], set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if not entry.is_symlink():
                    folders.add(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                names.append(entry.name)
    for name in sorted([*names, *folders]):
        if name in folders:
            yield from _walk(os.path.join(folder, name), f"{called}{name}/", suffixes)
        else:
            yield called + name


def _is_wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    return (not include or _matches(name, include)) and not _matches(name, exclude)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
