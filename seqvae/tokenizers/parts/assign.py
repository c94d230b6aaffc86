"""Which track plays which part: by name, program, pitch range and number of voices; or as the user says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import Clip, Track
from seqvae.errors import ConfigError, DataError
from seqvae.tokenizers.control import KEY_NAMES
from seqvae.tokenizers.grid import polyphony

Kind = Literal["voice", "drums", "chords", "mark"]

Cast = Mapping[str, tuple[int, ...]]
"""The tracks that play each part, from 0: none, one, or several drum tracks."""

BASS_PROGRAMS = range(32, 40)
LEAD_PROGRAMS = range(80, 88)
SPREAD, SURE_SPREAD = 0.3, 0.6
"""A track in which a larger share of the notes sounds together with others is chords, not a voice; the second where
its name or program says that it is one, and its notes are but held too long."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a part's name says of it.

    Attributes:
        kind: A voice (one note at a time), drums, chord symbols, or a mark: what is said of a window, by no track.
        low, high: A voice's pitch range; notes outside are folded in by octaves.
        centre: Where such voices lie on the whole, for choosing a track.
        highest: With neither its name nor its program, a track plays it only if its notes lie below this on the whole.
        words: What their tracks are called, in lower case.
        program: General MIDI program where no input gives one.
        values: What a mark can be.
    """

    kind: Kind = "voice"
    low: int = 21
    high: int = 108
    centre: float = 66.0
    highest: float = 128.0
    words: tuple[str, ...] = ()
    program: int = 0
    values: tuple[str, ...] = ()


LABEL = "label:"
"""What the name of a part begins with that is a label; after = stand its values, as soon as they are known."""

ROLES: dict[str, Role] = {
    "melody": Role(
        low=36, high=96, centre=70, words=("melody", "lead", "vocal", "voice", "sing", "solo", "soprano", "theme")
    ),
    "bass": Role(low=24, high=67, centre=40, highest=52, words=("bass", "bas", "bais", "base"), program=33),
    "soprano": Role(low=53, high=88, centre=71, words=("soprano", "sopran", "cantus", "descant"), program=52),
    "alto": Role(low=48, high=82, centre=65, words=("alto", "alt", "altus"), program=52),
    "tenor": Role(low=41, high=77, centre=58, words=("tenor",), program=52),
    "drums": Role(kind="drums", words=("drum", "perc", "kit")),
    "chords": Role(kind="chords", words=("chord", "harmony"), program=0),
    "key": Role(kind="mark", values=KEY_NAMES),
}
"""The names that parts can have. Any other name is a voice and states its range: `viola 48-91`."""


def role_of(part: str) -> tuple[str, Role]:
    """A part's name and role, from how it is written: `bass`, `viola 48-91`, `label:genre`, `label:genre=jazz|pop`.

    Raises:
        ConfigError: The name is not known and has no range, or the range is less than an octave.
    """
    if part.startswith(LABEL):
        name, _, values = part.removeprefix(LABEL).partition("=")
        return name.strip(), Role(kind="mark", values=tuple(values.split("|")) if values else ())
    name, _, span = part.strip().partition(" ")
    role = ROLES.get(name)
    if not span:
        if role is None:
            raise ConfigError(
                f"tokenizer: part {part!r}: known are {', '.join(ROLES)}; or give a range: '{name} 48-84'"
            )
        return name, role
    low, dash, high = span.strip().partition("-")
    if not (name and dash and low.isdigit() and high.isdigit() and int(low) + 11 <= int(high) <= 127):
        raise ConfigError(f"tokenizer: part {part!r} is not of the form '{name} 48-84', an octave or more within 0-127")
    if role is not None and role.kind != "voice":
        raise ConfigError(f"tokenizer: part {part!r}: {name} has no pitch range; write {name!r}")
    known = role or Role(words=(name.lower(),), centre=(int(low) + int(high)) / 2)
    return name, replace(known, low=int(low), high=int(high))


# -- choosing ----------------------------------------------------------------------------------------------------------


def cast(clip: Clip, roles: Mapping[str, Role], track: str | None = None) -> dict[str, tuple[int, ...]]:
    """The tracks that play each part, as likely together as can be; a part that no track can play has none.

    Drums are all drum tracks. Every other track plays one part at most.

    Args:
        clip: The music.
        roles: Part → its role.
        track: The user's word, such as "melody=2,bass=Bass"; parts not named there are chosen among the other tracks.

    Raises:
        DataError: `track` names a part or a track that is not there, or a track that cannot play it.
        ConfigError: `track` is not of that form.
    """
    chosen = parse_choice(clip, roles, track) if track is not None else {}
    taken = {index for indices in chosen.values() for index in indices}
    if "drums" not in chosen and any(role.kind == "drums" for role in roles.values()):
        chosen["drums"] = tuple(
            i
            for i, t in enumerate(clip.tracks)
            if t.is_drum and i not in taken and (len(t.notes) or is_called(t, "drums"))
        )
    chosen |= {part: () for part, role in roles.items() if role.kind == "mark"}
    open_parts = [part for part, role in roles.items() if part not in chosen and role.kind != "drums"]
    free = [i for i, t in enumerate(clip.tracks) if not t.is_drum and i not in taken]
    fitness = np.array([[fits(clip.tracks[i], part, roles[part]) for part in open_parts] for i in free])
    best = best_matching(fitness.reshape(len(free), len(open_parts)))
    for place, part in enumerate(open_parts):
        chosen[part] = (free[best[place]],) if best[place] >= 0 else ()
    return {part: chosen[part] for part in roles}


def fits(track: Track, part: str, role: Role) -> float:
    """How well a track plays a part; 0 not at all. A name counts most, then the program, then where the notes lie."""
    if is_called(track, part):
        return 1e6
    if not len(track.notes):
        return 0.0
    named = any(word in track.name.lower() for word in role.words)
    spread = polyphony(track.notes)
    if role.kind == "chords":
        return 2000.0 if named else 1000.0 * spread if spread > SPREAD else 0.0
    low_program = track.program in BASS_PROGRAMS
    if spread > (SURE_SPREAD if named or (part == "bass" and low_program) else SPREAD):
        return 0.0
    mean = float(track.notes["pitch"].mean())
    if part == "bass":
        if not (named or low_program or mean < role.highest):
            return 0.0
        bonus = 2000.0 * named + 2000.0 * low_program
    elif part == "melody":
        if low_program or any(word in track.name.lower() for word in ROLES["bass"].words):
            return 0.0
        # Many a "lead" doubles the bass.
        bonus = (2000.0 * named + 300.0 * (track.program in LEAD_PROGRAMS)) * bool(mean >= 48) + 200.0 * bool(
            mean >= 55
        )
    else:
        bonus = 2000.0 * named
    # A quadratic cost keeps unnamed voices in the order of their pitches.
    near = max(0.0, 1000.0 - 0.5 * (mean - role.centre) ** 2)
    return 1.0 + bonus + near + 50.0 * float(np.log1p(len(track.notes)))


def is_called(track: Track, part: str) -> bool:
    """Whether a track has exactly the part's name, as those that we write."""
    return track.name.strip().lower() == part.lower()


def best_matching(fitness: NDArray[np.float64]) -> list[int]:
    """The rows, each at most once, whose fitness for all columns together is highest; 0 is no match.

    Args:
        fitness: float64 (rows, columns) of few columns: all sets of columns are tried.

    Returns:
        The row of each column, -1 for none.

    >>> best_matching(np.array([[5.0, 4.0], [4.0, 0.0]]))
    [1, 0]
    """
    rows, columns = fitness.shape
    best: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}  # columns filled, as bits → value
    for row in range(rows):
        for filled, (value, pairs) in sorted(best.items()):
            for column in range(columns):
                more = filled | 1 << column
                gain = float(fitness[row, column])
                if more == filled or gain <= 0:
                    continue
                if more not in best or value + gain > best[more][0]:
                    best[more] = (value + gain, (*pairs, (row, column)))
    # More parts played go before better played ones.
    _, pairs = max(best.values(), key=lambda found: (len(found[1]), found[0]))
    of = {column: row for row, column in pairs}
    return [of.get(column, -1) for column in range(columns)]


# -- the user's word ---------------------------------------------------------------------------------------------------


def parse_choice(clip: Clip, roles: Mapping[str, Role], track: str) -> dict[str, tuple[int, ...]]:
    """From "melody=2,bass=Bass" to track numbers.

    Raises:
        DataError: A part or a track is not there, or a track cannot play the part.
        ConfigError: It is not of that form.
    """
    chosen: dict[str, tuple[int, ...]] = {}
    for choice in track.split(","):
        part, equals, which = (piece.strip() for piece in choice.partition("="))
        if not (equals and which):
            example = ",".join(f"{name}={number}" for number, name in enumerate(roles))
            raise ConfigError(
                f"--track {track!r}: the model has several parts; say which plays which: --track {example}"
            )
        if part not in roles:
            raise ConfigError(f"--track {choice.strip()!r}: there is no part {part!r}; there are {', '.join(roles)}")
        if roles[part].kind == "mark":
            raise ConfigError(f"--track {choice.strip()!r}: the {part} is played by no track; leave it out")
        index = find_track(clip, which)
        if clip.tracks[index].is_drum and roles[part].kind != "drums":
            raise DataError(
                f"{label(clip)}: track {which!r} is a drum track and cannot play the {part}; {listing(clip)}"
            )
        chosen[part] = (index,)
    return chosen


def find_track(clip: Clip, track: str) -> int:
    """The index of the track with that number (from 0) or name (case and spaces aside). Raises `DataError`."""
    named = [i for i, t in enumerate(clip.tracks) if is_called(t, track)]
    index = int(track) if track.isdigit() else (named[0] if named else -1)
    if not 0 <= index < len(clip.tracks):
        raise DataError(f"{label(clip)}: there is no track {track!r}; {listing(clip)}")
    return index


# -- in words ----------------------------------------------------------------------------------------------------------


def describe(clip: Clip, roles: Mapping[str, Role], chosen: Cast) -> list[str]:
    """One line a part, and one for the tracks that play none: what the command line shows.

    >>> from seqvae.clip import Clip
    >>> tune = Clip.from_notes([(0, 1, 72, 80)], program=80)
    >>> describe(tune, {"melody": ROLES["melody"], "bass": ROLES["bass"]}, {"melody": (0,), "bass": ()})
    ['melody: track 0 unnamed (program 80), 1 notes, pitches 72-72', 'bass: no track']
    """
    lines = []
    for part in (part for part, role in roles.items() if role.kind != "mark"):
        played = [in_words(clip, index) for index in chosen[part]]
        lines.append(f"{part}: " + ("; ".join(played) if played else "no track"))
    used = {index for indices in chosen.values() for index in indices}
    left = [f"{i} {t.name.strip() or 'unnamed'}" for i, t in enumerate(clip.tracks) if i not in used and len(t.notes)]
    return [*lines, f"not used: {', '.join(left)}"] if left else lines


def in_words(clip: Clip, index: int) -> str:
    """`track 0 Lead (program 80), 120 notes, pitches 60-84`."""
    track = clip.tracks[index]
    what = "drums" if track.is_drum else f"program {track.program}"
    pitches = f", pitches {track.notes['pitch'].min()}-{track.notes['pitch'].max()}" if len(track.notes) else ""
    return f"track {index} {track.name.strip() or 'unnamed'} ({what}), {len(track.notes)} notes{pitches}"


def missing(clip: Clip, parts: Sequence[str]) -> DataError:
    """The error for parts that no track plays: what was found, and what to do."""
    example = ",".join(f"{part}=N" for part in parts)
    found = f"{label(clip)}: no track plays the {' or the '.join(parts)} ({listing(clip)})"
    return DataError(f"{found}; choose with --track {example}, or add such a track")


def listing(clip: Clip) -> str:
    """The tracks that have notes, for messages."""
    tracks = [
        f"{i} {t.name.strip() or 'unnamed'} ({'drums' if t.is_drum else f'program {t.program}'})"
        for i, t in enumerate(clip.tracks)
        if len(t.notes)
    ]
    return f"it has: {', '.join(tracks[:8])}{', …' if len(tracks) > 8 else ''}" if tracks else "it has no notes"


def label(clip: Clip) -> str:
    """The clip's name in messages."""
    return clip.name or "clip"
