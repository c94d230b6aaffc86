"""The folk tunes that music21 carries: no download, and enough to train a first model on.

music21 reads some 20 ABC tunes a second, so they are written once as MIDI files into the user's cache. What its corpus
says of the rights (`corpus/license.txt` and the files themselves, music21 10.5):

- airdsAirs, oneills1850, ryansMammoth: tunes printed 1778-1903, public domain; ABC by Jack Campin, Norbert Paap, John
  Walsh, Ray Davies and others, "distributed with the permission of the encoders". Nothing more is stated, so they are
  read from the user's own music21 and not redistributed.
- essenFolksong: "permission for non-commercial distribution and use", legal status "unclear": only if asked for.
- palestrina (a licensing agreement), josquin (copyright notices): not read.
- nottingham-dataset (2 tunes), miscFolk (185): no terms stated: not read.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata, util
from pathlib import Path

from seqvae.corpus.prepare import prepare
from seqvae.corpus.workers import Died, in_order
from seqvae.dataset import FORMAT, Dataset, tokenizer_to_dict
from seqvae.errors import DataError, ReadError, WriteError
from seqvae.tokenizers import Tokenizer

PUBLIC_DOMAIN = ("airdsAirs", "oneills1850", "ryansMammoth")
NON_COMMERCIAL = ("essenFolksong",)

LICENCE = "tunes printed 1778-1903, public domain; ABC transcriptions as distributed with music21"
NON_COMMERCIAL_LICENCE = f"{LICENCE}; Essen folk songs: non-commercial use only"

Progress = Callable[[int, int], None]


def user_cache() -> Path:
    """Where seqvae keeps what it can make again: $XDG_CACHE_HOME/seqvae, or ~/.cache/seqvae."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "seqvae"


def music21_dataset(
    tokenizer: Tokenizer,
    *,
    non_commercial: bool = False,
    jobs: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Dataset:
    """The dataset of the folk tunes for this tokenizer, made at the first call and kept in the cache.

    Args:
        tokenizer: Makes the windows.
        non_commercial: Also the Essen folk songs.
        jobs: Worker processes; None for one a core.
        say: Told, in words, what takes long.

    Raises:
        ReadError: music21 or its corpus is not installed.
        DataError: No tune gives a window.
        WriteError: The cache cannot be written.
    """
    collections = PUBLIC_DOMAIN + (NON_COMMERCIAL if non_commercial else ())
    key = json.dumps([_music21_version(), FORMAT, collections, tokenizer_to_dict(tokenizer)], sort_keys=True)
    folder = user_cache() / "datasets" / f"folk-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    try:
        return Dataset.open(folder)
    except DataError:
        pass  # not there yet, or damaged: made (again) below
    if say is not None and not all(folder.is_dir() for folder in _cached(collections)):
        say("reading music21's folk tunes, this once; it takes some minutes")
    folders = music21_folders(collections, jobs=jobs, progress=_tenths(say) if say else None)
    shutil.rmtree(folder, ignore_errors=True)
    licence = NON_COMMERCIAL_LICENCE if non_commercial else LICENCE
    prepare(folders, tokenizer, folder, jobs=jobs, licence=licence)
    return Dataset.open(folder)


def _tenths(say: Callable[[str], None]) -> Progress:
    said = [0]

    def progress(done: int, total: int) -> None:
        if done * 10 // total > said[0]:
            said[0] = done * 10 // total
            say(f"reading music21's folk tunes: {said[0]}0 %")

    return progress


def music21_folders(
    collections: Sequence[str] = PUBLIC_DOMAIN, *, jobs: int | None = None, progress: Progress | None = None
) -> list[Path]:
    """A folder of MIDI files for each collection, written into the cache at the first call.

    A tune's file is called by its place in the collection and its title, such as `0000_The_Ranting_Highlandman.mid`.

    Raises:
        ReadError: music21 or its corpus is not installed, or a tune book in it cannot be read.
        WriteError: The cache cannot be written.
    """
    missing = [folder.name for folder in _cached(collections) if not folder.is_dir()]
    cache = user_cache() / f"music21-{_music21_version()}"
    books = [(name, book) for name in missing for book in _books(name)]
    try:
        _convert(books, cache, jobs or os.cpu_count() or 1, progress)
    except OSError as error:
        found = f"{cache}: cannot be written ({error.strerror or error})"
        raise WriteError(f"{found}; free space, or set XDG_CACHE_HOME to another place") from None
    return _cached(collections)


def _cached(collections: Sequence[str]) -> list[Path]:
    return [user_cache() / f"music21-{_music21_version()}" / name for name in collections]


def _convert(books: Sequence[tuple[str, Path]], cache: Path, jobs: int, progress: Progress | None) -> None:
    """Writes each collection aside and renames it when it is whole."""
    names = list(dict.fromkeys(name for name, _ in books))
    aside = {name: cache / f".{name}.{os.getpid()}" for name in names}
    counts = dict.fromkeys(names, 0)
    sizes = [len(re.findall(rb"^X:", book.read_bytes(), flags=re.MULTILINE)) for _, book in books]
    done = list(itertools.accumulate(sizes))
    try:
        for index, ((name, book), tunes) in enumerate(zip(books, _read_books(books, jobs), strict=True)):
            aside[name].mkdir(parents=True, exist_ok=True)
            for title, midi in tunes:
                (aside[name] / f"{counts[name]:04d}_{title}.mid").write_bytes(midi)
                counts[name] += 1
            if progress is not None:
                progress(done[index], done[-1])
            if book is [of for at, of in books if at == name][-1] and not (cache / name).exists():
                os.replace(aside[name], cache / name)
    finally:
        for folder in aside.values():
            shutil.rmtree(folder, ignore_errors=True)


def _read_books(books: Sequence[tuple[str, Path]], jobs: int) -> Iterator[list[tuple[str, bytes]]]:
    paths = [path for _, path in books]
    if jobs == 1 or len(paths) <= 1:
        yield from map(_read_book, paths)
        return
    for book in in_order(_read_book, paths, jobs):
        if isinstance(book, Died):
            raise DataError("a process that reads music21's corpus died; free memory, or give jobs=1")
        yield book


def _read_book(path: Path) -> list[tuple[str, bytes]]:
    """Every tune of an ABC file: title as it can stand in a file name, and a MIDI file's bytes."""
    from seqvae.midi.writer import midi_bytes
    from seqvae.score import read_clips

    try:
        clips = read_clips(path)
    except ReadError:
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    titles = [_title(tune) for tune in re.split(r"^(?=X:)", text, flags=re.MULTILINE) if tune.startswith("X:")]
    # A tune that cannot be read is missing among the clips; their names end in the tune's number from 1.
    numbers = [int(clip.name.rpartition("#")[2]) if "#" in clip.name else 1 for clip in clips]
    return [(titles[number - 1], midi_bytes(clip)) for number, clip in zip(numbers, clips, strict=True)]


def _title(tune: str) -> str:
    """The first title of an ABC tune, as it can stand in a file name."""
    found = re.search(r"^T:(.*)", tune, flags=re.MULTILINE)
    words = re.sub(r"^(.*),\s*(the|an?)$", r"\2 \1", found[1].strip() if found else "", flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_")[:60] or "untitled"


def _books(collection: str) -> list[Path]:
    found = util.find_spec("music21")
    places = list(found.submodule_search_locations or ()) if found else []
    books = sorted(Path(places[0], "corpus", collection).glob("*.abc")) if places else []
    if not books:
        what = f"its corpus has no {collection}" if places else "it is not installed"
        raise ReadError(f"music21: {what}; run pip install music21, or give files to seqvae prepare")
    return books


def _music21_version() -> str:
    try:
        return metadata.version("music21")
    except metadata.PackageNotFoundError:
        raise ReadError("music21: it is not installed; run pip install music21") from None
