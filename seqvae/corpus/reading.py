"""One file → items → windows → tokens: what a worker process does."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.align import Fit, align, grid_fit, grid_shift, pickup_shift, with_whole_pickup
from seqvae.clip import Clip, MeterChange
from seqvae.errors import SeqvaeError
from seqvae.tokenizers import Tokenizer, Windows
from seqvae.tokenizers.control import with_marks


@dataclass(frozen=True, kw_only=True)
class MusicFacts:
    """What the report says of one clip.

    Attributes:
        meters: Bars of each meter.
        tempo_qpm: At the beginning.
        tempo_changes: Changes after the beginning.
        tracks: Names of the tracks that gave windows, with their parts where there are several.
        grid: How its notes lie to the tokenizer's grid.
    """

    meters: dict[str, int]
    tempo_qpm: float
    tempo_changes: int
    tracks: list[str]
    grid: Fit


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemReading:
    """One item of a file. `tokens` is uint8 or uint16 (windows, time); `error` says why an item gave none."""

    name: str
    tokens: NDArray[np.integer[Any]]
    starts: NDArray[np.float64]
    track: NDArray[np.int64]
    skipped: dict[str, int]
    facts: MusicFacts | None
    error: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileReading:
    """One file; `error` says why it could not be read. `mtime_ns` is when it was changed last, 0 if nothing tells."""

    name: str
    sha1: str = ""
    mtime_ns: int = 0
    items: tuple[ItemReading, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How files are read; the same for all, sent to each worker once.

    Attributes:
        tokenizer: Makes the tokens.
        track: Which track of each file, by name or number; "all"; None for those that qualify.
        meter: Counts every clip's beats in this meter, whatever it states.
        align: Moves the notes of clips that lie off the grid onto it.
        labels: Of each file, column → value, for models that are given labels.
    """

    tokenizer: Tokenizer
    track: str | None = None
    meter: MeterChange | None = None
    align: bool = False
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def read(self, path: Path, name: str) -> FileReading:
        """Reads a file; whatever is wrong with it is an `error`, never an exception."""
        mtime_ns = changed_at(path)  # before it is read: a change meanwhile is seen when the reading goes on
        try:
            sha1 = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
            items = self.tokenizer.read_all(path)
        except OSError as error:
            return FileReading(name=name, mtime_ns=mtime_ns, error=f"cannot be opened: {error.strerror or error}")
        except SeqvaeError as error:
            return FileReading(name=name, mtime_ns=mtime_ns, error=reason(error, path))
        except Exception as error:  # a fault of a parser costs its file, not the corpus
            failed = f"the reader failed: {type(error).__name__}: {error}"
            return FileReading(name=name, mtime_ns=mtime_ns, error=failed)
        if name in self.labels:
            items = [with_marks(item, self.labels[name]) for item in items]
        names = [name] if len(items) == 1 else [f"{name}#{index:04d}" for index in range(1, len(items) + 1)]
        readings = tuple(self._item(item, of, path) for item, of in zip(items, names, strict=True))
        return FileReading(name=name, sha1=sha1, mtime_ns=mtime_ns, items=readings)

    def _item(self, item: Any, name: str, path: Path) -> ItemReading:
        dtype = np.uint8 if self.tokenizer.alphabet.largest <= 256 else np.uint16
        try:
            is_music = isinstance(item, Clip)
            fitted, shift = self._fit(item) if is_music else (item, 0.0)
            windows = self.tokenizer.windows(fitted, self.track)
            return ItemReading(
                name=name,
                tokens=windows.tokens.astype(dtype),
                starts=windows.starts - shift,
                track=windows.track,
                skipped=windows.skipped,
                facts=self._facts(fitted, windows) if is_music else None,
            )
        except SeqvaeError as error:
            why = reason(error, path)
        except Exception as error:  # the same
            why = f"the tokenizer failed: {type(error).__name__}: {error}"
        return ItemReading(
            name=name,
            tokens=np.zeros((0, self.tokenizer.length, *self.tokenizer.alphabet.shape), dtype),
            starts=np.zeros(0),
            track=np.zeros(0, np.int64),
            skipped={},
            facts=None,
            error=why,
        )

    def _fit(self, clip: Clip) -> tuple[Clip, float]:
        """The clip as it is cut into windows, and how many beats later than in the file that is.

        Bars are the file's own, unless another meter is given or the notes lie off the grid.
        """
        if self.meter is not None:
            clip = replace(clip, meters=(self.meter,))
        if self.align and (self.meter is not None or grid_fit(clip, self._steps_per_beat) == "shifted"):
            return align(clip, self._steps_per_beat), grid_shift(clip, self._steps_per_beat) or 0.0
        return with_whole_pickup(clip), pickup_shift(clip)

    def _facts(self, clip: Clip, windows: Windows) -> MusicFacts:
        names = [clip.tracks[index].name.strip() or "unnamed" for index in np.unique(windows.track)]
        return MusicFacts(
            meters=count_bars(clip),
            tempo_qpm=clip.tempo_at(0.0),
            tempo_changes=len(clip.tempos) - 1,
            tracks=list(windows.played) or names,
            grid=grid_fit(clip, self._steps_per_beat),
        )

    @property
    def _steps_per_beat(self) -> int:
        return int(getattr(self.tokenizer, "steps_per_beat", 4))


def changed_at(path: Path) -> int:
    """When a file was changed last, in nanoseconds; 0 if that cannot be told."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def count_bars(clip: Clip) -> dict[str, int]:
    """Bars of each meter, as `Clip.bars` has them."""
    bars: Counter[str] = Counter()
    ends = [min(change.beat, clip.length_beats) for change in clip.meters[1:]] + [clip.length_beats]
    for meter, end in zip(clip.meters, ends, strict=True):
        count = int(np.ceil((end - meter.beat) / meter.bar_beats - 1e-6))
        if count > 0:
            bars[f"{meter.numerator}/{meter.denominator}"] += count
    return dict(bars)


def reason(error: SeqvaeError, path: Path) -> str:
    """The error's message without the file's name in front of it."""
    text = str(error)
    for prefix in (f"{path}: ", f"{path.name}: ", f"{path.stem}: "):
        text = text.removeprefix(prefix)
    return text
