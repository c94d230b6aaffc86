"""k simultaneous parts on one grid: voices, drums, chord symbols. Tokens are (time, part).

Each part is a tokenizer of one part, on a clip of the tracks that play it; this one casts the tracks, and puts the
parts' tokens side by side. All pitched parts are transposed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqvae import clip as clips
from seqvae.clip import Clip, TempoChange, Track
from seqvae.errors import ConfigError, DataError
from seqvae.tokenizers.base import Alphabet, Part, Tokens, Windows
from seqvae.tokenizers.control import MarkTokenizer, join_marks, marks_of
from seqvae.tokenizers.drums import DrumTokenizer
from seqvae.tokenizers.grid import Grid
from seqvae.tokenizers.melody import MelodyTokenizer
from seqvae.tokenizers.parts.assign import LABEL, Cast, Role, cast, describe, fits, is_called, missing, role_of
from seqvae.tokenizers.parts.symbols import ChordsTokenizer

Reader = MelodyTokenizer | DrumTokenizer | ChordsTokenizer | MarkTokenizer
"""What reads and writes one part."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PartsStyle:
    """What the tokens of several parts do not say: of each part what its own style says, and the tempo of all.

    Attributes:
        tempo_qpm: Quarter notes a minute.
        parts: The style of each part, in the order of the parts.
    """

    tempo_qpm: float
    parts: tuple[Any, ...]

    def blend(self, other: PartsStyle, amount: float) -> PartsStyle:
        """Moves from this style (amount 0) to `other` (1), part by part."""
        tempo = float(np.exp((1 - amount) * np.log(self.tempo_qpm) + amount * np.log(other.tempo_qpm)))
        parts = tuple(mine.blend(its, amount) for mine, its in zip(self.parts, other.parts, strict=True))
        return PartsStyle(tempo_qpm=tempo, parts=parts)


@dataclass(frozen=True, kw_only=True)
class PartsTokenizer(Grid):
    """Several parts of `bars` bars, such as melody, bass and drums.

    Attributes:
        bars, meter, steps_per_beat, hop_bars: See `Grid`.
        min_onsets: A training window needs as many in all its parts together, chord symbols apart.
        parts: What the model draws, in the order in which a step is drawn: `melody`, `bass`, `drums`, `soprano`,
            `alto`, `tenor`, `chords`, or any other voice with its pitch range, such as `viola 48-91`.
        given: Parts that are put in beside z and never drawn: `chords`, `key`, or a label as `label:genre`, whose
            values (`label:genre=jazz|pop`) are learned from the data. A third of the training goes without.
        silent_parts: So many parts may be silent in a training window, or be missing from a file.
        max_transpose: Training transposes all pitched parts together, by -max … +max semitones.
    """

    kind: Literal["parts"] = "parts"
    parts: tuple[str, ...] = ("melody", "bass", "drums")
    given: tuple[str, ...] = ()
    silent_parts: int = 0
    max_transpose: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [role_of(part)[0] for part in (*self.given, *self.parts)]
        if not self.parts or len(names) < 2:
            raise ConfigError("tokenizer: a model of parts has at least two, one of them drawn; or use kind = 'melody'")
        marks = [part for part in self.parts if role_of(part)[1].kind == "mark"]
        if marks:
            raise ConfigError(f"tokenizer: {marks[0]!r} is said of a whole window and not drawn; put it into `given`")
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise ConfigError(f"tokenizer: part {doubled[0]!r} is there twice; call one of them otherwise")

    # -- shape ---------------------------------------------------------------------------------------------------------

    @property
    def fitted(self) -> bool:
        """Whether the values of all labels are known."""
        return all(role.values for role in self.roles.values() if role.kind == "mark")

    def fit(self, items: Iterable[Clip]) -> PartsTokenizer:
        """With the values that the items' labels have; itself where none is missing."""
        open_labels = [name for name, role in self.roles.items() if role.kind == "mark" and not role.values]
        if not open_labels:
            return self
        found: dict[str, set[str]] = {name: set() for name in open_labels}
        for item in items:
            for name, value in marks_of(item).items():
                if name in found:
                    found[name].add(value)
        return replace(self, given=tuple(_with_values(part, found) for part in self.given))

    @cached_property
    def roles(self) -> dict[str, Role]:
        """The parts' names, the given ones first, and what each is."""
        roles = dict(role_of(part) for part in (*self.given, *self.parts))
        if "bass" in roles and "tenor" in roles:  # the lowest voice of a choir, however high it is
            roles["bass"] = replace(roles["bass"], highest=128.0)
        return roles

    @cached_property
    def readers(self) -> dict[str, Reader]:
        """What reads and writes each part."""
        shape = {
            "bars": self.bars,
            "meter": self.meter,
            "steps_per_beat": self.steps_per_beat,
            "min_onsets": 0,
            "hop_bars": self.hop_bars,
        }
        return {name: _reader(name, role, self.max_transpose, shape) for name, role in self.roles.items()}

    @cached_property
    def alphabet(self) -> Alphabet:
        """One part each, the given ones first."""
        sizes = {name: reader.alphabet.largest for name, reader in self.readers.items()}
        count = len(self.given)
        return Alphabet(parts=tuple(Part(name, size, given=i < count) for i, (name, size) in enumerate(sizes.items())))

    @cached_property
    def onset_mask(self) -> NDArray[np.bool_]:
        """bool (parts, largest): onsets of voices, any stroke, any chord; False for parts that are given."""
        mask = np.zeros((len(self.readers), self.alphabet.largest), bool)
        for row, reader, part in zip(mask, self.readers.values(), self.alphabet.parts, strict=True):
            row[: part.size] = reader.onset_mask & (not part.given)
        return mask

    @cached_property
    def augmentations(self) -> NDArray[np.int64]:
        """int64 (2·max_transpose + 1, parts, largest): 0, +1, -1, +2, … semitones; drums stay as they are."""
        count = 2 * self.max_transpose + 1
        table = np.tile(np.arange(self.alphabet.largest), (count, len(self.readers), 1))
        for place, (reader, part) in enumerate(zip(self.readers.values(), self.alphabet.parts, strict=True)):
            if not isinstance(reader, DrumTokenizer):
                table[:, place, : part.size] = reader.augmentations
        return np.concatenate([table, *self._without_controls(table)])

    def _without_controls(self, table: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """More variants, so that a third lacks one control or all, and a model knows what to do without them."""
        count = len(self.given)
        lacking = [[place] for place in range(count)] + ([list(range(count))] if count > 1 else [])
        found = [table] * (2 * len(lacking) - 1) if lacking else []
        for places in lacking:
            variants = table.copy()
            variants[:, places] = 0
            found.append(variants)
        return found

    def token_name(self, token: int, part: int = 0) -> str:
        """As the part's own tokenizer says it: `C4`, `kick+hat`, `Am`."""
        return list(self.readers.values())[part].token_name(token)

    # -- which track plays what ----------------------------------------------------------------------------------------

    def cast(self, item: Clip, track: str | None = None) -> dict[str, tuple[int, ...]]:
        """The tracks that play each part, by name, program, range and number of voices, or as `track` says.

        Args:
            item: The music.
            track: Such as "melody=2,bass=Bass"; parts that it leaves out are chosen.

        Raises:
            DataError: More parts than `silent_parts` have no track (controls aside), or `track` names none.
        """
        chosen = cast(item, self.roles, track)
        absent = [part for part, tracks in chosen.items() if not tracks and part not in self._given_names]
        if len(absent) > self.silent_parts or len(absent) == len(self.parts):
            raise missing(item, absent)
        return chosen

    def describe(self, item: Clip, track: str | None = None) -> list[str]:
        """Which track plays which part, in words, one line each. Raises `DataError` as `cast` does."""
        return describe(item, self.roles, self.cast(item, track))

    @property
    def _given_names(self) -> set[str]:
        return set(list(self.roles)[: len(self.given)])

    def _part(self, item: Clip, name: str, tracks: tuple[int, ...]) -> Clip:
        """The clip of the one track that plays a part, under the part's name; without notes if there is none."""
        role = self.roles[name]
        if role.kind == "mark":
            return item
        played = [item.tracks[index] for index in tracks]
        if len(played) == 1:
            track = replace(played[0], name=name, is_drum=role.kind == "drums")
        else:
            notes = np.concatenate([clips.notes_array(), *(each.notes for each in played)])
            notes = np.sort(notes, order=("start_beats", "pitch", "end_beats"))
            track = Track(notes=notes, program=role.program, is_drum=role.kind == "drums", name=name)
        return replace(item, tracks=(track,), provenance=None)

    # -- windows -------------------------------------------------------------------------------------------------------

    def windows(self, item: Clip, track: str | None = None) -> Windows:
        """Every window in which the parts sound, one every `hop_bars` bars.

        A file with several tracks that could be the melody gives windows with each of them, unless `track` or the name
        says which one it is.

        Raises:
            DataError: A part has no track.
        """
        starts = self.starts(item)
        found = self.gather(item, starts, self._lines(item, track, len(starts)), self._struck)
        sounding = np.stack(
            [mask[found.tokens[..., part]].any(axis=1) for part, mask in enumerate(self._sounding)], axis=1
        )
        enough = (~sounding).sum(axis=1) <= self.silent_parts
        skipped = dict(found.skipped)
        if not enough.all():
            skipped["a part is silent"] = int((~enough).sum())
        tracks = found.track[enough]
        return Windows(
            tokens=found.tokens[enough],
            starts=found.starts[enough],
            track=tracks,
            skipped=skipped,
            played=self._played(item, track, tracks) if len(tracks) else (),
        )

    def _lead(self, chosen: Cast) -> str:
        """The part by whose track windows are named: the melody, or the first that is drawn and has one."""
        drawn = [part for part in list(self.roles)[len(self.given) :] if chosen[part]]
        return "melody" if "melody" in drawn else drawn[0]

    def _played(self, item: Clip, track: str | None, leads: NDArray[np.int64]) -> tuple[str, ...]:
        """`bass: Fingered` for every part and track that gave windows; `leads` are those of the part that leads."""
        chosen = self.cast(item, track)
        lead = self._lead(chosen)
        pairs = [(lead, int(index)) for index in np.unique(leads)]
        pairs += [(part, index) for part, tracks in chosen.items() if part != lead for index in tracks]
        return tuple(f"{part}: {item.tracks[index].name.strip() or 'unnamed'}" for part, index in pairs)

    def _lines(self, item: Clip, track: str | None, count: int) -> list[tuple[int, NDArray[np.int64]]]:
        """For each choice of a melody: a track to name it by, and its windows, int64 (count, length, parts)."""
        first = self.cast(item, track)
        if not count:
            return []
        read: dict[tuple[str, tuple[int, ...]], NDArray[np.int64]] = {}
        lines = []
        for chosen in self._casts(item, track, first):
            for part, tracks in chosen.items():
                if (part, tracks) not in read:
                    alone = self._part(item, part, tracks)
                    silent = not alone.note_count
                    read[part, tracks] = (
                        np.zeros((count, self.length), np.int64)
                        if silent
                        else self.readers[part].windows(alone, "0").tokens
                    )
            lines.append((chosen[self._lead(chosen)][0], np.stack([read[each] for each in chosen.items()], axis=-1)))
        return lines

    def _casts(self, item: Clip, track: str | None, first: Cast) -> list[Cast]:
        """The cast, and where nobody says which track is the melody, one with each other that may be."""
        melody = first.get("melody", ())
        said = track is not None and "melody" in track
        if not melody or said or is_called(item.tracks[melody[0]], "melody"):
            return [first]
        used = {index for indices in first.values() for index in indices}
        others = [
            index
            for index, each in enumerate(item.tracks)
            if index not in used and not each.is_drum and fits(each, "melody", self.roles["melody"]) > 0
        ]
        return [first, *({**first, "melody": (index,)} for index in others)]

    @cached_property
    def _struck(self) -> NDArray[np.bool_]:
        """bool (parts, largest): what `min_onsets` counts."""
        counts = np.array([role.kind in ("voice", "drums") for role in self.roles.values()])
        struck: NDArray[np.bool_] = self.onset_mask & counts[:, None]
        return struck

    @cached_property
    def _sounding(self) -> list[NDArray[np.bool_]]:
        """For each part, the tokens by which it sounds; for a control all, since it may be unknown."""
        return [
            np.ones(part.size, bool) if part.given else reader.onset_mask
            for reader, part in zip(self.readers.values(), self.alphabet.parts, strict=True)
        ]

    def split(self, item: Clip, track: str | None = None) -> list[Clip]:
        """Consecutive windows with one track a part; the last of a stretch is padded with silence.

        Raises:
            DataError: A part has no track, or no bar is in this meter.
        """
        columns = []
        for part, tracks in self.cast(item, track).items():
            alone = self._part(item, part, tracks)
            if alone.note_count or self.roles[part].kind == "mark":
                columns.append([window.tracks for window in self.readers[part].split(alone, "0")])
            else:
                columns.append([alone.tracks] * sum(-(-bars // self.bars) for _, bars in self.runs(item)))
        frames = self.split_by(item, lambda left: self.cut_window(replace(item, tracks=()), left))
        return [
            replace(
                frame,
                tracks=tuple(
                    replace(each[0], name=self._track_name(part, each[0]))
                    for part, each in zip(self.roles, tracks, strict=True)
                ),
            )
            for frame, tracks in zip(frames, zip(*columns, strict=True), strict=True)
        ]

    def join(self, items: Sequence[Clip]) -> Clip:
        """Plays windows one after another; marks that differ are said window by window."""
        return join_marks(super().join(items), items)

    # -- tokens --------------------------------------------------------------------------------------------------------

    def encode(self, item: Clip) -> Tokens:
        """The clip's first `bars` bars as tokens: int64 (length, parts). A clip without notes is silence.

        Raises:
            DataError: A part has no track.
        """
        chosen = self.cast(item) if item.note_count else dict.fromkeys(self.roles, ())
        lines = [self.readers[part].encode(self._part(item, part, tracks)) for part, tracks in chosen.items()]
        return np.stack(lines, axis=-1)

    def decode(self, tokens: Tokens, style: PartsStyle | None = None) -> Clip:
        """Tokens (length, parts) as a clip with one track a part, called as the part, in the style given."""
        tokens = np.asarray(tokens, np.int64)
        tracks = []
        for place, (part, reader) in enumerate(self.readers.items()):
            track = reader.decode(tokens[:, place], style.parts[place] if style else None).tracks[0]
            program = track.program if style else self.roles[part].program
            tracks.append(replace(track, name=self._track_name(part, track), program=program))
        return Clip(
            tracks=tuple(tracks),
            length_beats=self.window_beats,
            tempos=(TempoChange(0.0, style.tempo_qpm if style else clips.DEFAULT_TEMPO_QPM),),
            meters=(self.meter_change,),
        )

    def _track_name(self, part: str, track: Track) -> str:
        """The part's; a mark says itself."""
        return track.name if self.roles[part].kind == "mark" else part

    def canonical(self, tokens: Tokens) -> Tokens:
        """Each part's own one way: (…, length, parts) → (…, length, parts)."""
        tokens = np.asarray(tokens, np.int64)
        columns = [reader.canonical(tokens[..., place]) for place, reader in enumerate(self.readers.values())]
        return np.stack(columns, axis=-1)

    def style(self, item: Clip) -> PartsStyle:
        """The tempo, and of each part what its own style says; a part without a track has its usual program."""
        nobody: Mapping[str, tuple[int, ...]] = dict.fromkeys(self.roles, ())
        chosen = cast(item, self.roles) if item.note_count else nobody
        styles = [self.readers[part].style(self._part(item, part, chosen[part])) for part in self.roles]
        return PartsStyle(tempo_qpm=item.tempo_at(0.0), parts=tuple(styles))


def _reader(name: str, role: Role, max_transpose: int, shape: Mapping[str, Any]) -> Reader:
    """The tokenizer of one part."""
    match role.kind:
        case "drums":
            return DrumTokenizer(**shape)
        case "chords":
            return ChordsTokenizer(**shape, max_transpose=max_transpose)
        case "mark":
            return MarkTokenizer(**shape, max_transpose=max_transpose, name=name, values=role.values)
        case _:
            return MelodyTokenizer(
                **shape, max_transpose=max_transpose, min_pitch=role.low, max_pitch=role.high, max_polyphony=1.0
            )


def _with_values(part: str, found: Mapping[str, set[str]]) -> str:
    """A label's part with the values found for it. Raises `DataError`: there is none."""
    name, role = role_of(part)
    if role.kind != "mark" or role.values:
        return part
    values = sorted(value for value in found[name] if value != "unknown")
    if not values:
        raise DataError(f"no file has the label {name!r}; give a table that has such a column with --labels")
    return f"{LABEL}{name}={'|'.join(values)}"
