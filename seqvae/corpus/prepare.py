"""All files of a corpus: finding them, reading them in parallel, splitting, writing the dataset folder."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import MeterChange
from seqvae.corpus.labels import Labels, labelled
from seqvae.corpus.lines import Coded, gather
from seqvae.corpus.reading import FileReading, ItemReading, Reader
from seqvae.corpus.report import Report, Tally
from seqvae.corpus.shards import Request, ShardWriter, Share, merged, readings_of
from seqvae.corpus.workers import in_order
from seqvae.dataset import ORIGIN_DTYPE, SPLITS, Split, replacing_folder, write_dataset
from seqvae.errors import ConfigError, DataError, ReadError, WriteError
from seqvae.tokenizers import Tokenizer
from seqvae.tokenizers.lines import LineReader

File = tuple[Path, str]
"""Where a file lies and what it is called in the dataset."""

CHUNK_FILES = 32
RAW = "windows.raw"
"""Where windows of music gather, in the folder that becomes the dataset; gone when it is one."""

UNFINISHED = ".part"
"""What is read of a corpus lies under this name until the dataset is whole; the same command goes on from there."""

SMALL_CORPUS = 64
"""So many files are read before worker processes would have started."""

GIVERS: dict[Split, tuple[tuple[Split, int], ...]] = {
    "train": (("test", 1), ("valid", 1)),
    "valid": (("train", 2), ("test", 1)),
    "test": (("train", 10),),
}
"""A split that no source falls to takes one from the first of these that has so many."""


def split_by_name(name: str) -> Split:
    """The split of a source: by its name without folders, so that a file keeps its split in every corpus.

    >>> split_by_name("any/folder/a.mid") == split_by_name("a.mid")
    True
    """
    percent = int(hashlib.sha1(name.rsplit("/", 1)[-1].encode(), usedforsecurity=False).hexdigest(), 16) % 100
    return "test" if percent < 5 else "valid" if percent < 10 else "train"


def prepare(
    inputs: str | Path | Sequence[str | Path],
    tokenizer: Tokenizer,
    out: str | Path,
    *,
    track: str | None = None,
    meter: str | None = None,
    align: bool = False,
    labels: str | Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    split: Callable[[str], Split] = split_by_name,
    licence: str = "",
    jobs: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Makes a dataset folder from files and folders.

    In a script that is run as a program, call it under `if __name__ == "__main__":`, since it starts processes.

    Args:
        inputs: Files, and folders that are searched through; hidden files are left out.
        tokenizer: Makes windows and tokens.
        out: The dataset folder.
        track: Which track of each file, by name or number (from 0); "all"; None for those that qualify.
        meter: Counts all beats in this meter, such as "4/4", whatever the files state.
        align: Moves notes onto the grid where a file has them off it.
        labels: A .csv whose column `file` names files and whose others are labels (see `labelled`).
        include, exclude: Patterns on names, such as "*/versions/*": files that match an `include` and no `exclude`.
        split: From a source's name to its split; of kinds whose items are lines, from a line.
        licence: A note on the licence of the data, kept in the dataset and in the models trained on it.
        jobs: Worker processes; None for one a core. The result does not depend on it.
        force: Replaces a dataset that stands at `out`.
        progress: Called with the files done and their number.

    Returns:
        What was met; also in report.json.

    Raises:
        ReadError: An input does not exist.
        DataError: No file gives a window; the message says why.
        WriteError: `out` cannot be written, or stands already.

    Example:
        >>> report = prepare("songs", load_preset("melody-2bar").tokenizer, "dataset")     # doctest: +SKIP
    """
    asked = _ask(
        *(inputs, tokenizer, track, meter, align, labels),
        include=include,
        exclude=exclude,
        share=None,
    )
    out, tally = Path(out), Tally(notes=list(asked.notes))
    with replacing_folder(out, force=force) as aside:
        if isinstance(asked.reader.tokenizer, LineReader):
            coded = gather(asked.files, asked.reader.tokenizer, split, tally, progress)
            return _write(aside, coded, asked.reader, tally, asked.where, licence)
        if len(asked.files) <= SMALL_CORPUS:
            readings = read_all(asked.files, asked.reader, jobs=jobs, progress=progress)
            return _write_music(aside, readings, asked.reader, split, tally, asked.where, licence)
        # What a kill must not cost: it stands beside the dataset until that is whole.
        unfinished = out.with_name(f".{out.name}{UNFINISHED}")
        _read_into(unfinished, asked, licence, Share(), jobs, progress, force=True)
        readings = readings_of(unfinished, asked.reader.tokenizer)
        try:
            report = _write_music(aside, readings, asked.reader, split, tally, asked.where, licence)
        except DataError:  # to go on from there would not help
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    shutil.rmtree(unfinished, ignore_errors=True)
    return report


def prepare_shard(
    inputs: str | Path | Sequence[str | Path],
    tokenizer: Tokenizer,
    out: str | Path,
    *,
    share: Share,
    track: str | None = None,
    meter: str | None = None,
    align: bool = False,
    labels: str | Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    licence: str = "",
    jobs: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Reads a share of the files, for `merge_shards`: each share may be read by another machine.

    Args:
        inputs, tokenizer, track, meter, align, labels, include, exclude, licence, jobs, progress: As in `prepare`, and
            the same for all shares.
        out: The shard's folder. One of the same request that was cut goes on where it stood.
        share: Which files.
        force: Begins anew where another shard stands.

    Returns:
        How many files were read.

    Raises:
        ReadError, WriteError: As `prepare`.
        DataError: There is no file; or the kind is of lines, which need no shards.
    """
    asked = _ask(
        *(inputs, tokenizer, track, meter, align, labels),
        include=include,
        exclude=exclude,
        share=share,
    )
    return _read_into(Path(out), asked, licence, share, jobs, progress, force=force).in_share


def merge_shards(
    shards: Sequence[str | Path],
    out: str | Path,
    *,
    split: Callable[[str], Split] = split_by_name,
    force: bool = False,
) -> Report:
    """The dataset that `prepare` would have made of all files, from the folders of all shares.

    Raises:
        DataError: A shard is missing, twice there, not whole, or of other files or settings.
        WriteError: As `prepare`.
    """
    folders = [Path(shard) for shard in shards]
    request, readings = merged(folders)
    tally = Tally(notes=list(request.notes))
    with replacing_folder(Path(out), force=force) as aside:
        where = ", ".join(str(folder) for folder in folders[:3])
        return _write_music(aside, readings, request.reader, split, tally, where, request.licence)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is to be read, and how. `where` names the inputs in a message."""

    files: list[File]
    reader: Reader
    notes: list[str]
    where: str


def _ask(
    inputs: str | Path | Sequence[str | Path],
    tokenizer: Tokenizer,
    track: str | None,
    meter: str | None,
    align: bool,
    labels: str | Path | None,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    share: Share | None,
) -> _Asked:
    """Finds the files; raises what `prepare` and `prepare_shard` say."""
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    files = find_files(paths, tokenizer.suffixes, include, exclude)
    notes: list[str] = []
    marks: Labels = {}
    if isinstance(tokenizer, LineReader):
        if track or meter or align or labels:
            raise ConfigError("--track, --meter, --align and --labels are of music; leave them out for lines of text")
        if share is not None:
            raise DataError("--shard is for files of music; lines of text are read at once: leave it out")
    else:
        tokenizer, marks = labelled(tokenizer, [name for _, name in files], Path(labels) if labels else None, notes)
    reader = Reader(
        tokenizer=tokenizer, track=track, meter=parse_meter(meter) if meter else None, align=align, labels=marks
    )
    return _Asked(files=files, reader=reader, notes=notes, where=", ".join(str(path) for path in paths[:3]))


def _read_into(
    folder: Path,
    asked: _Asked,
    licence: str,
    share: Share,
    jobs: int | None,
    progress: Callable[[int, int], None] | None,
    *,
    force: bool,
) -> Request:
    """Reads into a shard what it does not have yet."""
    request = Request.of(asked.files, asked.reader, share=share, licence=licence, notes=tuple(asked.notes))
    shard = ShardWriter(folder, request, force=force)
    try:
        done, files = shard.done, asked.files[share.index :: share.count]
        for reading in read_all(files[done:], asked.reader, jobs=jobs):
            shard.add(reading)
            if progress is not None:
                progress(shard.done, len(files))
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror or error}); free space, go on then") from None
    finally:
        shard.close()
    return request


def _write_music(
    aside: Path,
    readings: Iterable[FileReading],
    reader: Reader,
    split: Callable[[str], Split],
    tally: Tally,
    where: str,
    licence: str,
) -> Report:
    """The dataset of the readings, in the empty folder `aside`."""
    coded = _gather_music(readings, aside / RAW, reader.tokenizer, split, tally)
    report = _write(aside, coded, reader, tally, where, licence)
    del coded  # Windows removes no file that is mapped
    (aside / RAW).unlink(missing_ok=True)
    return report


def _write(aside: Path, coded: Coded, reader: Reader, tally: Tally, where: str, licence: str) -> Report:
    if not len(coded.tokens):
        raise DataError(tally.nothing_left(where, reader))
    arrangement = coded.arrange()
    report = tally.report(arrangement, coded.sources, reader)
    write_dataset(
        aside,
        tokenizer=coded.tokenizer,
        tokens=coded.tokens,
        origins=coded.origins,
        arrangement=arrangement,
        sources=coded.sources,
        report=report.to_dict(),
        licence=licence,
    )
    return report


def parse_meter(meter: str) -> MeterChange:
    """From "6/8" to a meter. Raises `ConfigError`."""
    numerator, _, denominator = meter.strip().partition("/")
    if not (numerator.isdigit() and denominator in ("1", "2", "4", "8", "16", "32") and 0 < int(numerator) <= 64):
        raise ConfigError(f"--meter {meter!r} is not of the form 4/4")
    return MeterChange(0.0, int(numerator), int(denominator))


# -- files ---------------------------------------------------------------------------------------------------------


def find_files(
    inputs: Iterable[Path], suffixes: Sequence[str], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[File]:
    """The files to read, each input's in the order of their names; an input folder's name leads its files' names.

    Raises:
        ReadError: An input does not exist, or a folder cannot be listed.
        DataError: There is no file.
    """
    found: list[File] = []
    inputs = list(inputs)
    for path in inputs:
        if path.is_dir():
            found += _files_below(path, suffixes)
        elif path.is_file():
            found.append((path, path.name))
        else:
            what = "is no file" if path.exists() else "does not exist"
            raise ReadError(f"{path}: {what}; give files ({' '.join(suffixes)}) or folders of them")
    kept = [
        (path, name) for path, name in found if (not include or _matches(name, include)) and not _matches(name, exclude)
    ]
    if not kept:
        where = ", ".join(str(path) for path in inputs[:3]) or "nothing given"
        kind = "music" if ".mid" in suffixes else "text"
        why = f"none of {len(found)} files matches --include and --exclude" if found else f"there is no file of {kind}"
        raise DataError(f"{where}: {why}; endings read are {' '.join(suffixes)}")
    return kept


def _files_below(folder: Path, suffixes: Sequence[str]) -> list[File]:
    def refuse(error: OSError) -> None:
        found = f"{error.filename}: cannot be listed ({error.strerror})"
        raise ReadError(f"{found}; change its permissions or leave it out")

    top = folder.resolve().name
    found = []
    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes and path.is_file():
                found.append((path, f"{top}/{path.relative_to(folder).as_posix()}"))
    return sorted(found, key=lambda file: file[1].split("/"))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


# -- workers -------------------------------------------------------------------------------------------------------


def read_all(
    files: Sequence[File],
    reader: Reader,
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[FileReading]:
    """Reads the files, in their order, whatever the number of processes.

    A file that kills its process (a parser's fault in C) is found by reading its chunk again file by file, and is an
    error of that file alone.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(files) <= SMALL_CORPUS:
        readings: Iterator[FileReading] = (reader.read(path, name) for path, name in files)
    else:
        chunks = [files[first : first + CHUNK_FILES] for first in range(0, len(files), CHUNK_FILES)]
        readings = _read_chunks(chunks, reader, jobs)
    for done, reading in enumerate(readings, 1):
        if progress is not None:
            progress(done, len(files))
        yield reading


def _read_chunks(chunks: Sequence[Sequence[File]], reader: Reader, jobs: int) -> Iterator[FileReading]:
    done = 0
    while done < len(chunks):
        try:
            for readings in in_order(partial(_read_chunk, reader), chunks[done:], jobs):
                done += 1
                yield from readings
        except BrokenProcessPool:
            yield from _read_singly(chunks[done], reader)
            done += 1


def _read_chunk(reader: Reader, files: Sequence[File]) -> list[FileReading]:
    return [reader.read(path, name) for path, name in files]


def _read_singly(files: Sequence[File], reader: Reader) -> Iterator[FileReading]:
    left = deque(files)
    while left:
        try:
            for readings in in_order(partial(_read_chunk, reader), [[file] for file in left], 1):
                left.popleft()
                yield from readings
        except BrokenProcessPool:
            yield FileReading(name=left.popleft()[1], error="the reader crashed on it, or ran out of memory")


# -- gathering and splitting ---------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Collected:
    """Everything but the tokens, which go to a file as they come."""

    sources: list[tuple[str, str]] = field(default_factory=list)  # name, sha1
    origins: list[NDArray[np.void]] = field(default_factory=list)
    count: int = 0


def _gather_music(
    readings: Iterable[FileReading], raw: Path, tokenizer: Tokenizer, split: Callable[[str], Split], tally: Tally
) -> Coded:
    """All windows of the readings, their tokens in the file `raw`."""
    dtype = np.dtype(np.uint8 if tokenizer.alphabet.largest <= 256 else np.uint16)
    collected = _collect(readings, raw, tally)
    splits, window_splits = _splits(collected, split, tally) if collected.count else ([], np.zeros(0, np.int8))
    shape = (collected.count, tokenizer.length, *tokenizer.alphabet.shape)
    return Coded(
        tokenizer=tokenizer,
        tokens=np.memmap(raw, mode="r", dtype=dtype, shape=shape) if collected.count else np.zeros(shape, dtype),
        origins=np.concatenate(collected.origins) if collected.count else np.zeros(0, ORIGIN_DTYPE),
        splits=window_splits,
        sources=[(name, of, sha1) for (name, sha1), of in zip(collected.sources, splits, strict=True)],
    )


def _collect(readings: Iterable[FileReading], raw: Path, tally: Tally) -> _Collected:
    collected = _Collected()
    first_of: dict[str, str] = {}
    with raw.open("wb") as file:
        for reading in readings:
            if reading.sha1 and first_of.setdefault(reading.sha1, reading.name) != reading.name:
                tally.add_duplicate(reading, first_of[reading.sha1])
                continue
            tally.add(reading)
            for item in reading.items:
                if len(item.tokens):
                    file.write(np.ascontiguousarray(item.tokens).data)
                    collected.origins.append(_origins(item, len(collected.sources)))
                    collected.sources.append((item.name, reading.sha1))
                    collected.count += len(item.tokens)
    return collected


def _origins(item: ItemReading, source: int) -> NDArray[np.void]:
    origins = np.zeros(len(item.tokens), ORIGIN_DTYPE)
    origins["source"] = source
    origins["track"] = item.track
    origins["start"] = item.starts
    return origins


def _splits(collected: _Collected, split: Callable[[str], Split], tally: Tally) -> tuple[list[Split], NDArray[np.int8]]:
    """The split of each source and of each window. Sources move only where a split would be empty."""
    names = [name for name, _ in collected.sources]
    splits = [split(name) for name in names]
    rank = sorted(range(len(names)), key=lambda i: hashlib.sha1(names[i].encode(), usedforsecurity=False).digest())
    for wanted, givers in GIVERS.items():
        giving = next((of for of, least in givers if splits.count(of) >= least), None)
        if wanted not in splits and giving is not None:
            moved = next(i for i in rank if splits[i] == giving)
            tally.notes.append(f"no source falls to {wanted} by its name: {names[moved]} was put there")
            splits[moved] = wanted
    windows = np.repeat(np.array([SPLITS.index(of) for of in splits], np.int8), [len(o) for o in collected.origins])
    held_out = -(-collected.count // 10)
    if splits == ["train"] and collected.count > 1:
        windows[-held_out:] = SPLITS.index("valid")
        tally.notes.append(f"there is one source: the last {held_out} of its windows are for validation")
    return splits, windows
