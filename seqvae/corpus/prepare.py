"""All files of a corpus: reading them in parallel, splitting, writing the dataset folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import MeterChange
from seqvae.corpus.finding import File, Files, find_files
from seqvae.corpus.labels import Labels, labelled
from seqvae.corpus.lines import Coded, gather
from seqvae.corpus.reading import FileReading, Reader, changed_at
from seqvae.corpus.report import EXAMPLES, Report, Tally
from seqvae.corpus.shards import Request, ShardWriter, Share, kept, merged, readings_of
from seqvae.corpus.windows import Checksums, State, WindowFiles
from seqvae.corpus.workers import Died, in_order
from seqvae.dataset import SPLITS, Split, write_blocks, write_dataset
from seqvae.errors import ConfigError, DataError, WriteError
from seqvae.files import replacing_folder
from seqvae.tokenizers import Tokenizer
from seqvae.tokenizers.lines import LineReader

__all__ = ["find_files", "merge_shards", "parse_meter", "prepare", "prepare_shard", "read_all", "split_by_name"]

Form = TypeVar("Form")
"""What a process makes of a reading before it sends it."""

CHUNK_FILES = 32
"""So many files are given to a process at a time."""

RAW = "raw"
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
    percent = (
        int(
            hashlib.sha1(name.rsplit("/", 1)[-1].encode(errors="surrogateescape"), usedforsecurity=False).hexdigest(),
            16,
        )
        % 100
    )
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
    out, tally = Path(out).absolute(), Tally(notes=list(asked.notes))  # "." has no name to put another beside
    with replacing_folder(out, force=force) as aside:
        if isinstance(asked.reader.tokenizer, LineReader):
            coded = gather(asked.files, asked.reader.tokenizer, split, tally, progress)
            return _write_lines(aside, coded, asked.reader, tally, asked.where, licence)
        if len(asked.files) <= SMALL_CORPUS:
            readings = read_all(asked.files, asked.reader, jobs=jobs, progress=progress)
            return _write_music(aside, readings, len(asked.files), asked.reader, split, tally, asked.where, licence)
        # What a kill must not cost: it stands beside the dataset until that is whole.
        unfinished = out.with_name(f".{out.name}{UNFINISHED}")
        _read_into(unfinished, asked, licence, Share(), jobs, progress, force=True)
        readings = readings_of(unfinished, asked.reader.tokenizer)
        try:
            report = _write_music(aside, readings, len(asked.files), asked.reader, split, tally, asked.where, licence)
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
        return _write_music(aside, readings, request.files, request.reader, split, tally, where, request.licence)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is to be read, and how. `where` names the inputs in a message."""

    files: Files
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
    files = asked.files[share.index :: share.count]
    shard = ShardWriter(folder, request, files, force=force)
    try:
        for found in read_as(kept, files[shard.done :], asked.reader, jobs=jobs):
            shard.add(found)
            if progress is not None:
                progress(shard.done, len(files))
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror or error}); free space, go on then") from None
    finally:
        shard.close()
    return request


def _write_lines(aside: Path, coded: Coded, reader: Reader, tally: Tally, where: str, licence: str) -> Report:
    """The dataset of the lines, in the empty folder `aside`."""
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


def _write_music(
    aside: Path,
    readings: Iterable[FileReading],
    files: int,
    reader: Reader,
    split: Callable[[str], Split],
    tally: Tally,
    where: str,
    licence: str,
) -> Report:
    """The dataset of the readings of so many files, in the empty folder `aside`."""
    windows = WindowFiles(aside / RAW, reader.tokenizer)
    try:
        _collect(readings, files, windows, tally)
        if not windows.count:
            raise DataError(tally.nothing_left(where, reader))
        splits, state = _splits(windows, split, tally)
        once = windows.keep_once(state)
        report = tally.report(once, range(len(splits)), reader)
        write_blocks(
            aside,
            tokenizer=reader.tokenizer,
            tokens=windows.tokens(state),
            origins=windows.origins(state),
            splits=once.splits,
            sources=((name, SPLITS[of], sha1) for (name, sha1), of in zip(windows.sources(), splits, strict=True)),
            source_count=len(splits),
            report=report.to_dict(),
            licence=licence,
        )
    finally:
        windows.close()
    shutil.rmtree(aside / RAW)
    return report


def parse_meter(meter: str) -> MeterChange:
    """From "6/8" to a meter. Raises `ConfigError`."""
    numerator, _, denominator = meter.strip().partition("/")
    if not (numerator.isdigit() and denominator in ("1", "2", "4", "8", "16", "32") and 0 < int(numerator) <= 64):
        raise ConfigError(f"--meter {meter!r} is not of the form 4/4")
    return MeterChange(0.0, int(numerator), int(denominator))


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
    for done, reading in enumerate(read_as(_itself, files, reader, jobs=jobs), 1):
        if progress is not None:
            progress(done, len(files))
        yield reading


def _itself(reading: FileReading) -> FileReading:
    return reading


def read_as(
    form: Callable[[FileReading], Form], files: Sequence[File], reader: Reader, *, jobs: int | None = None
) -> Iterator[Form]:
    """What `form` makes of each reading, in the process that read it. As `read_all`."""
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(files) <= SMALL_CORPUS:
        for path, name in files:
            yield form(reader.read(path, name))
        return
    chunks = _Chunks(files, CHUNK_FILES)
    for number, found in enumerate(in_order(partial(_read_chunk, form, reader), chunks, jobs)):
        yield from _read_singly(form, chunks[number], reader) if isinstance(found, Died) else found


@dataclass(frozen=True)
class _Chunks(Sequence[list[File]]):
    """The files, so many at a time."""

    files: Sequence[File]
    size: int

    def __len__(self) -> int:
        return len(range(0, len(self.files), self.size))

    def __getitem__(self, number: int) -> list[File]:  # type: ignore[override]  # no slices are wanted
        return list(self.files[number * self.size : (number + 1) * self.size])


def _read_chunk(form: Callable[[FileReading], Form], reader: Reader, files: Sequence[File]) -> list[Form]:
    return [form(reader.read(path, name)) for path, name in files]


def _read_singly(form: Callable[[FileReading], Form], files: Sequence[File], reader: Reader) -> Iterator[Form]:
    alone = _Chunks(files, 1)
    for (path, name), found in zip(files, in_order(partial(_read_chunk, form, reader), alone, 1), strict=True):
        if isinstance(found, Died):
            why = "the reader crashed on it, or ran out of memory"
            yield form(FileReading(name=name, mtime_ns=changed_at(path), error=why))
        else:
            yield from found


# -- gathering and splitting ---------------------------------------------------------------------------------------


def _collect(readings: Iterable[FileReading], files: int, windows: WindowFiles, tally: Tally) -> None:
    """Adds the windows of all readings but of files that are the same as one before; the tally counts what is met."""
    sums = Checksums(files)
    for number, reading in enumerate(readings):
        windows.name(reading.name)
        first = sums.first(reading.sha1, number) if reading.sha1 else number
        if first != number:
            tally.add_duplicate(reading, windows.named(first) if len(tally.duplicates) < EXAMPLES else "")
            continue
        tally.add(reading)
        for item in reading.items:
            if len(item.tokens):
                windows.add(item, reading.sha1)


def _splits(windows: WindowFiles, split: Callable[[str], Split], tally: Tally) -> tuple[NDArray[np.int8], State]:
    """The split of each source and of each window. Sources move only where a split would be empty."""
    count = len(windows.per_source)
    splits = np.fromiter((SPLITS.index(split(name)) for name, _ in windows.sources()), np.int8, count)
    for wanted, givers in GIVERS.items():
        giving = next((of for of, least in givers if (splits == SPLITS.index(of)).sum() >= least), None)
        if SPLITS.index(wanted) not in splits and giving is not None:
            name, moved = _first_by_hash(windows, splits == SPLITS.index(giving))
            tally.notes.append(f"no source falls to {wanted} by its name: {name} was put there")
            splits[moved] = SPLITS.index(wanted)
    state: State = np.repeat(splits, np.array(windows.per_source, np.int64))
    held_out = -(-windows.count // 10)
    if splits.tolist() == [SPLITS.index("train")] and windows.count > 1:
        state[-held_out:] = SPLITS.index("valid")
        tally.notes.append(f"there is one source: the last {held_out} of its windows are for validation")
    return splits, state


def _first_by_hash(windows: WindowFiles, wanted: NDArray[np.bool_]) -> tuple[str, int]:
    """Name and number of one of the wanted sources, by a hash of their names."""
    names = ((name, number) for number, (name, _) in enumerate(windows.sources()) if wanted[number])
    return min(
        names,
        key=lambda source: hashlib.sha1(source[0].encode(errors="surrogateescape"), usedforsecurity=False).digest(),
    )
