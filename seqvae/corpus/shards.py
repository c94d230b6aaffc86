"""What reading the files of a corpus gave, kept on disk file by file.

So a reading that was cut goes on where it stood, and the readings of several machines become one dataset. A shard is a
folder:

shard.json      what was asked for: tokenizer and other settings, which files, which share of them
readings.jsonl  a line for each file that was read, in order: all of a `FileReading` but its windows
windows.raw     the tokens of all windows, one after another
origins.raw     the track and the start of each, `PLACE_DTYPE`
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import MeterChange
from seqvae.corpus.finding import File
from seqvae.corpus.reading import FileReading, ItemReading, MusicFacts, Reader, changed_at
from seqvae.dataset import tokenizer_from_dict, tokenizer_to_dict
from seqvae.errors import ConfigError, DataError, WriteError
from seqvae.files import write_atomic
from seqvae.tokenizers import Tokenizer

SHARD, READINGS, WINDOWS, ORIGINS = "shard.json", "readings.jsonl", "windows.raw", "origins.raw"
FORMAT = 2
GROWING = (READINGS, WINDOWS, ORIGINS)
PLACE_DTYPE = np.dtype([("track", "i2"), ("start", "f8")])


@dataclass(frozen=True)
class Share:
    """Every so-many-th file: the one at `index` and each `count` after it."""

    index: int = 0
    count: int = 1

    @staticmethod
    def parse(text: str) -> Share:
        """From "2/5", the second of five. Raises `ConfigError`.

        >>> Share.parse("2/5")
        Share(index=1, count=5)
        """
        number, _, count = text.partition("/")
        if not (number.strip().isdecimal() and count.strip().isdecimal() and 1 <= int(number) <= int(count)):
            raise ConfigError(f"--shard {text!r} is no share such as 1/4, the first of four")
        return Share(int(number) - 1, int(count))

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a shard is of.

    Attributes:
        reader: How files are read.
        files: How many there are, over all shares. digest: Of their names and sizes, and of their labels.
        share: Which of them.
        licence: A note on the licence of the data.
        notes: What the report shall say.
    """

    reader: Reader
    files: int
    digest: str
    share: Share = Share()
    licence: str = ""
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(files: Sequence[File], reader: Reader, **more: Any) -> Request:
        """For (path, name) of all files."""
        digest = hashlib.sha256()
        for path, name in files:
            try:
                size = path.stat().st_size
            except OSError:
                size = -1
            digest.update(json.dumps([name, size, dict(reader.labels.get(name, {}))]).encode())
        return Request(reader=reader, files=len(files), digest=digest.hexdigest()[:16], **more)

    @property
    def in_share(self) -> int:
        """Files of the share."""
        return len(range(self.share.index, self.files, self.share.count))

    def to_dict(self) -> dict[str, Any]:
        """For shard.json; labels are only in the digest."""
        reader, meter = self.reader, self.reader.meter
        return {
            "format": FORMAT,
            "tokenizer": tokenizer_to_dict(reader.tokenizer),
            "track": reader.track,
            "meter": None if meter is None else list(meter),
            "align": reader.align,
            "files": self.files,
            "digest": self.digest,
            "share": asdict(self.share),
            "licence": self.licence,
            "notes": list(self.notes),
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Request:
        """Raises KeyError, TypeError or ValueError if it is none of ours."""
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']} and this seqvae reads {FORMAT}")
        meter = values["meter"]
        reader = Reader(
            tokenizer=tokenizer_from_dict(values["tokenizer"]),
            track=values["track"],
            meter=None if meter is None else MeterChange(*meter),
            align=values["align"],
        )
        kept = {name: values[name] for name in ("files", "digest", "licence")}
        return Request(reader=reader, share=Share(**values["share"]), notes=tuple(values["notes"]), **kept)


class Kept(NamedTuple):
    """What a shard keeps of a file: bytes of each of its files."""

    line: bytes
    windows: bytes
    origins: bytes


def kept(reading: FileReading) -> Kept:
    """A reading as bytes: made by the process that read the file, so that one process can write for many."""
    values = {**vars(reading), "items": [_item_to_dict(item) for item in reading.items]}
    return Kept(
        json.dumps(values).encode() + b"\n",
        b"".join(item.tokens.tobytes() for item in reading.items),
        b"".join(_places(item).tobytes() for item in reading.items),
    )


class ShardWriter:
    """A shard that grows. What was read before it was cut stands; a line half written is written again.

    Raises:
        WriteError: Its folder cannot be written, or is no shard of this request.
    """

    def __init__(self, folder: Path, request: Request, files: Sequence[File], *, force: bool = False) -> None:
        """Of the share's `files` those stand that have not changed since; `force` begins anew where another is."""
        self.done = 0
        asked = json.loads(json.dumps(request.to_dict()))
        there = _json_of(folder / SHARD)
        if there is None and folder.exists() and {path.name for path in folder.iterdir()} - set(GROWING):
            raise WriteError(f"{folder}: stands already and is no shard; give another place with -o")
        if there not in (None, asked) and not force:
            raise WriteError(f"{folder}: is a shard of other files or settings; give another -o, or --force")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._windows: IO[bytes] = (folder / WINDOWS).open("ab")
            _lock(self._windows, folder)
            self._origins: IO[bytes] = (folder / ORIGINS).open("ab")
            self._lines: IO[bytes] = (folder / READINGS).open("ab")
            if there == asked:
                self.done = _cut_to_whole(folder, request, files)
            else:
                for name in GROWING:
                    os.truncate(folder / name, 0)
                write_atomic(folder / SHARD, json.dumps(asked).encode(), overwrite=True)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be written ({error.strerror or error}); give another -o") from None

    def add(self, found: Kept) -> None:
        """Keeps what the next file gave."""
        for file, data in ((self._windows, found.windows), (self._origins, found.origins), (self._lines, found.line)):
            file.write(data)
            file.flush()  # a line that stands says that its windows do
        self.done += 1

    def close(self) -> None:
        """Closes its files."""
        for file in (self._windows, self._origins, self._lines):
            file.close()


def open_shard(folder: Path) -> Request:
    """What a shard is of. Raises `DataError` if it is none, or not whole."""
    values = _json_of(folder / SHARD)
    if values is None:
        raise DataError(f"{folder}: is no shard; give folders that `seqvae prepare --shard` wrote")
    try:
        request = Request.from_dict(values)
        done = sum(1 for _ in _whole_lines(folder, request.reader.tokenizer))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{folder}: is damaged ({error}); prepare this shard again") from None
    if done < request.in_share:
        found = f"{folder}: {done:,} of its {request.in_share:,} files are read"
        raise DataError(f"{found}; give the same command again, and it goes on")
    return request


def readings_of(folder: Path, tokenizer: Tokenizer) -> Iterator[FileReading]:
    """Everything that a shard holds, in its order."""
    dtype, shape = _window(tokenizer)
    with (folder / WINDOWS).open("rb") as windows, (folder / ORIGINS).open("rb") as origins:
        for values, _ in _whole_lines(folder, tokenizer):
            items = []
            for item in values["items"]:
                count = item.pop("windows")
                tokens = _next_rows(windows, count * int(np.prod(shape)), dtype).reshape(count, *shape)
                items.append(_item(item, tokens, _next_rows(origins, count, PLACE_DTYPE)))
            yield FileReading(**{**values, "items": tuple(items)})


def merged(folders: Sequence[Path]) -> tuple[Request, Iterator[FileReading]]:
    """The readings of all shards of one request, in the order of the files: as one process would have read them.

    Raises:
        DataError: A shard is missing, twice there, not whole, or of other files or settings.
    """
    requests = [open_shard(folder) for folder in folders]
    whole, count = replace(requests[0], share=Share()), requests[0].share.count
    place: dict[int, Path] = {}
    for folder, request in zip(folders, requests, strict=True):
        if replace(request, share=Share()).to_dict() != whole.to_dict() or request.share.count != count:
            found = f"{folder} and {folders[0]} are shards of other files or settings"
            raise DataError(f"{found}; prepare both with the same inputs and options")
        if place.setdefault(request.share.index, folder) != folder:
            raise DataError(f"{folder} and {place[request.share.index]} are both shard {request.share}; give one")
    missing = [str(Share(index, count)) for index in range(count) if index not in place]
    if missing:
        raise DataError(f"of {count} shards {', '.join(missing)} are not given; give all folders")
    tokenizer = whole.reader.tokenizer

    def in_order() -> Iterator[FileReading]:
        streams = [readings_of(place[index], tokenizer) for index in range(count)]
        for number in range(whole.files):
            yield next(streams[number % count])

    return whole, in_order()


# -- lines -------------------------------------------------------------------------------------------------------------


def _item_to_dict(item: ItemReading) -> dict[str, Any]:
    return {
        "name": item.name,
        "windows": len(item.tokens),
        "skipped": item.skipped,
        "facts": None if item.facts is None else vars(item.facts),
        "error": item.error,
    }


def _places(item: ItemReading) -> NDArray[np.void]:
    places = np.empty(len(item.tokens), PLACE_DTYPE)
    places["track"], places["start"] = item.track, item.starts
    return places


def _item(values: dict[str, Any], tokens: NDArray[np.integer[Any]], places: NDArray[np.void]) -> ItemReading:
    facts = values["facts"]
    return ItemReading(
        **{
            **values,
            "tokens": tokens,
            "starts": np.ascontiguousarray(places["start"]),
            "track": places["track"].astype(np.int64),
            "facts": None if facts is None else MusicFacts(**facts),
        }
    )


def _next_rows(file: IO[bytes], count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    # Read and not mapped: a mapped file counts as this process's memory as long as it is open.
    return np.frombuffer(file.read(count * dtype.itemsize), dtype)


class _Ends(NamedTuple):
    """How long each file of a shard is, in bytes, up to the end of a line."""

    line: int = 0
    windows: int = 0
    origins: int = 0


def _whole_lines(folder: Path, tokenizer: Tokenizer) -> Iterator[tuple[dict[str, Any], _Ends]]:
    """Each line whose windows stand too, with where it ends."""
    dtype, shape = _window(tokenizer)
    size = dtype.itemsize * int(np.prod(shape))
    windows, origins = ((folder / name).stat().st_size for name in (WINDOWS, ORIGINS))
    ends = _Ends()
    with (folder / READINGS).open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            try:
                values = json.loads(line)
            except ValueError:  # a machine that went down may leave zeros: what follows is read again
                return
            count = sum(item["windows"] for item in values["items"])
            ends = _Ends(
                ends.line + len(line), ends.windows + count * size, ends.origins + count * PLACE_DTYPE.itemsize
            )
            if ends.windows > windows or ends.origins > origins:
                return
            yield values, ends


def _cut_to_whole(folder: Path, request: Request, files: Sequence[File]) -> int:
    """Cuts off what a kill left half written, and all from the first file on that has changed; how many stand."""
    done, ends = 0, _Ends()
    for (values, end), (path, _) in zip(_whole_lines(folder, request.reader.tokenizer), files, strict=False):
        if values["mtime_ns"] != changed_at(path):
            break
        done, ends = done + 1, end
    for name, size in ((READINGS, ends.line), (WINDOWS, ends.windows), (ORIGINS, ends.origins)):
        os.truncate(folder / name, size)
    return done


def _lock(file: IO[bytes], folder: Path) -> None:
    """Keeps a second process from writing between our lines; the lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise WriteError(f"{folder}: another process is writing it; wait for that, or give another -o") from None


def _window(tokenizer: Tokenizer) -> tuple[np.dtype[Any], tuple[int, ...]]:
    dtype = np.dtype(np.uint8 if tokenizer.alphabet.largest <= 256 else np.uint16)
    return dtype, (tokenizer.length, *tokenizer.alphabet.shape)


def _json_of(path: Path) -> dict[str, Any] | None:
    """None if there is none, or it cannot be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
