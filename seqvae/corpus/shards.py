"""What reading the files of a corpus gave, kept on disk file by file.

So a reading that was cut goes on where it stood, and the readings of several machines become one dataset. A shard is a
folder:

shard.json      what was asked for: tokenizer and other settings, which files, which share of them
readings.jsonl  a line for each file that was read, in order: all of a `FileReading` but its tokens
windows.raw     the tokens of all windows, one after another
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import MeterChange
from seqvae.corpus.reading import FileReading, ItemReading, MusicFacts, Reader
from seqvae.dataset import tokenizer_from_dict, tokenizer_to_dict
from seqvae.errors import ConfigError, DataError, WriteError
from seqvae.files import write_atomic
from seqvae.tokenizers import Tokenizer

SHARD, READINGS, WINDOWS = "shard.json", "readings.jsonl", "windows.raw"
FORMAT = 1


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
    def of(files: Sequence[tuple[Path, str]], reader: Reader, **more: Any) -> Request:
        """For (path, name) of all files."""
        digest = hashlib.sha256()
        for path, name in files:
            size = path.stat().st_size if path.exists() else -1
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
        """Raises KeyError or TypeError if it is none of ours."""
        meter = values["meter"]
        reader = Reader(
            tokenizer=tokenizer_from_dict(values["tokenizer"]),
            track=values["track"],
            meter=None if meter is None else MeterChange(*meter),
            align=values["align"],
        )
        kept = {name: values[name] for name in ("files", "digest", "licence")}
        return Request(reader=reader, share=Share(**values["share"]), notes=tuple(values["notes"]), **kept)


class ShardWriter:
    """A shard that grows. What was read before it was cut stands; a line half written is written again.

    Raises:
        WriteError: Its folder cannot be written, or is no shard of this request.
    """

    def __init__(self, folder: Path, request: Request, *, force: bool = False) -> None:
        """`force` begins anew where another shard stands."""
        self.done = 0
        asked = json.loads(json.dumps(request.to_dict()))
        there = _json_of(folder / SHARD)
        if there is None and folder.exists() and {path.name for path in folder.iterdir()} - {READINGS, WINDOWS}:
            raise WriteError(f"{folder}: stands already and is no shard; give another place with -o")
        if there not in (None, asked) and not force:
            raise WriteError(f"{folder}: is a shard of other files or settings; give another -o, or --force")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._windows: IO[bytes] = (folder / WINDOWS).open("ab")
            _lock(self._windows, folder)
            self._lines: IO[str] = (folder / READINGS).open("a", encoding="utf-8")
            if there == asked:
                self.done = _cut_to_whole(folder, request)
            else:
                os.truncate(folder / READINGS, 0)
                os.truncate(folder / WINDOWS, 0)
                write_atomic(folder / SHARD, json.dumps(asked).encode(), overwrite=True)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be written ({error.strerror or error}); give another -o") from None

    def add(self, reading: FileReading) -> None:
        """Keeps what the next file gave."""
        for item in reading.items:
            self._windows.write(np.ascontiguousarray(item.tokens).data)
        self._windows.flush()  # a line that stands says that its windows do
        self._lines.write(json.dumps(_without_tokens(reading)) + "\n")
        self._lines.flush()
        self.done += 1

    def close(self) -> None:
        """Closes its files."""
        self._windows.close()
        self._lines.close()


def open_shard(folder: Path) -> Request:
    """What a shard is of. Raises `DataError` if it is none, or not whole."""
    values = _json_of(folder / SHARD)
    if values is None:
        raise DataError(f"{folder}: is no shard; give folders that `seqvae prepare --shard` wrote")
    try:
        request = Request.from_dict(values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: its {SHARD} is damaged ({error}); prepare this shard again") from None
    done = sum(1 for _ in _whole_lines(folder, request.reader.tokenizer))
    if done < request.in_share:
        found = f"{folder}: {done:,} of its {request.in_share:,} files are read"
        raise DataError(f"{found}; give the same command again, and it goes on")
    return request


def readings_of(folder: Path, tokenizer: Tokenizer) -> Iterator[FileReading]:
    """Everything that a shard holds, in its order; tokens are mapped, not read."""
    dtype, shape = _window(tokenizer)
    size, first = dtype.itemsize * int(np.prod(shape)), 0
    mapped = np.memmap(folder / WINDOWS, mode="r", dtype=dtype) if (folder / WINDOWS).stat().st_size else None
    for values, _ in _whole_lines(folder, tokenizer):
        items = []
        for item in values["items"]:
            count = item.pop("windows")
            tokens = np.zeros((0, *shape), dtype)
            if count and mapped is not None:
                numbers = size // dtype.itemsize
                tokens = mapped[first * numbers : (first + count) * numbers].reshape(count, *shape)
            first += count
            items.append(_item(item, tokens))
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


def _without_tokens(reading: FileReading) -> dict[str, Any]:
    values = {field.name: getattr(reading, field.name) for field in fields(reading)}
    return {**values, "items": [_item_to_dict(item) for item in reading.items]}


def _item_to_dict(item: ItemReading) -> dict[str, Any]:
    return {
        "name": item.name,
        "windows": len(item.tokens),
        "starts": item.starts.tolist(),
        "track": item.track.tolist(),
        "skipped": dict(item.skipped),
        "facts": None if item.facts is None else asdict(item.facts),
        "error": item.error,
    }


def _item(values: dict[str, Any], tokens: NDArray[np.integer[Any]]) -> ItemReading:
    facts = values["facts"]
    return ItemReading(
        **{
            **values,
            "tokens": tokens,
            "starts": np.array(values["starts"], np.float64),
            "track": np.array(values["track"], np.int64),
            "facts": None if facts is None else MusicFacts(**facts),
        }
    )


def _whole_lines(folder: Path, tokenizer: Tokenizer) -> Iterator[tuple[dict[str, Any], tuple[int, int]]]:
    """Each line whose windows stand too, with the bytes of lines and of windows up to its end."""
    dtype, shape = _window(tokenizer)
    size = dtype.itemsize * int(np.prod(shape))
    there = (folder / WINDOWS).stat().st_size
    text = windows = 0
    with (folder / READINGS).open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            try:
                values = json.loads(line)
            except ValueError:  # a machine that went down may leave zeros: what follows is read again
                return
            text, windows = text + len(line), windows + size * sum(item["windows"] for item in values["items"])
            if windows > there:
                return
            yield values, (text, windows)


def _cut_to_whole(folder: Path, request: Request) -> int:
    """Cuts off what a kill left half written; how many files are whole."""
    done, text, windows = 0, 0, 0
    for _, (text, windows) in _whole_lines(folder, request.reader.tokenizer):  # noqa: B007 (the last is wanted)
        done += 1
    os.truncate(folder / READINGS, text)
    os.truncate(folder / WINDOWS, windows)
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
