"""Scores and clips: MusicXML, ABC and kern by music21, and the one place that tells formats apart.

music21 takes most of a second to load, so it is imported inside.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import DEFAULT_TEMPO_QPM, DEFAULT_VELOCITY, Clip, MeterChange, TempoChange, Track, notes_array
from seqvae.errors import ReadError
from seqvae.midi import clip_from_bytes, end_of_bar, read_bytes

if TYPE_CHECKING:
    import music21

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
SCORE_FORMATS = {".musicxml": "musicxml", ".xml": "musicxml", ".mxl": "musicxml", ".abc": "abc", ".krn": "humdrum"}
SUFFIXES = MIDI_SUFFIXES + tuple(SCORE_FORMATS)

MAX_SCORE_BYTES = 32 * 1024 * 1024
"""The largest score text, unpacked: some hundred pages of full orchestra have half as much."""

DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)
DRUM_CHANNEL = 9
SAME_BEAT = 1e-6

# The lines and spaces of a drum staff, as the pitches of a treble clef, and the drums that stand there (Weinberg, Guide
# to Standardized Drumset Notation, 1998) as General MIDI has them.
DRUM_STAFF = {62: 44, 64: 35, 65: 36, 67: 41, 69: 43, 71: 45, 72: 38, 74: 47, 76: 50, 77: 51, 79: 42, 81: 49, 83: 57}

SoundingNote = tuple[float, float, int, int]
"""start_beats, end_beats, pitch, velocity."""


# -- files -------------------------------------------------------------------------------------------------------------


def read_clip(path: Path) -> Clip:
    """Reads a music file of any kind in `SUFFIXES`; of a file with many tunes, the first.

    Raises:
        ReadError: It is missing, of another kind, or damaged beyond salvage.

    Example:
        >>> clip = read_clip(Path("examples/a.mid"))  # doctest: +SKIP
    """
    return read_clips(path)[0]


def read_clips(path: Path) -> list[Clip]:
    """Reads every tune of a music file: many of an ABC file, one of any other. MIDI is known by its first bytes.

    Raises:
        ReadError: It is missing, of another kind, or damaged beyond salvage.
    """
    suffix = path.suffix.lower()
    data = read_bytes(path)
    if suffix in MIDI_SUFFIXES or data[:4] == b"MThd" or data[8:12] == b"RMID":
        return [clip_from_bytes(data, path.name, where=str(path))]
    if suffix not in SCORE_FORMATS:
        found = f"its suffix is {suffix!r}" if suffix else "it has no suffix"
        raise ReadError(f"{path}: {found} and one of {' '.join(SUFFIXES)} is expected; convert or rename it")
    if SCORE_FORMATS[suffix] == "musicxml":
        return [parse(musicxml_text(data, path), "musicxml", path, path.name)]
    text = decode(within_limit(data, path))
    tunes = abc_tunes(text) if suffix == ".abc" else [text]
    if len(tunes) == 1:
        return [parse(tunes[0], SCORE_FORMATS[suffix], path, path.name)]
    clips, failures = [], []
    for number, tune in enumerate(tunes, 1):
        try:
            clips.append(parse(tune, "abc", path, f"{path.name}#{number}"))
        except ReadError as error:
            failures.append(error)
    if not clips:
        raise failures[0]
    return clips


def parse(text: str, kind: str, path: Path, name: str) -> Clip:
    """Lets music21 read one score, quietly.

    Raises:
        ReadError: It cannot.
    """
    import music21

    with quietly():
        try:
            stream = music21.converter.parseData(text, format=kind)
            if needs_transposing(stream):
                stream.toSoundingPitch(inPlace=True)  # it is ours: a copy would take longer than all the rest
            return clip_from_stream(stream, name, abc_meters(text) if kind == "abc" else None)
        except ReadError:
            raise
        except Exception as error:  # music21 raises whatever Python raises on what it did not foresee
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise ReadError(
                f"{path}: music21 cannot read it as {kind} ({reason}); export it again from a notation program"
            ) from None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps music21's warnings, of both kinds, from the user's terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def decode(data: bytes) -> str:
    """Bytes as text: by the byte order mark, else UTF-8, else Latin-1, which always works."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def within_limit(data: bytes, path: Path) -> bytes:
    """The data, unless there is more than any score has.

    Raises:
        ReadError: There is.
    """
    if len(data) > MAX_SCORE_BYTES:
        limit = f"at most {MAX_SCORE_BYTES // 2**20} MB are read"
        raise ReadError(f"{path}: the score is {len(data) / 2**20:.0f} MB large and {limit}; split it")
    return data


def abc_tunes(text: str) -> list[str]:
    """Each tune of an ABC file with the file's header before it; a broken tune then spoils no other.

    >>> len(abc_tunes("X:1\\nK:C\\nC|\\n\\nX:2\\nK:G\\nG|\\n"))
    2
    """
    header, *tunes = re.split(r"^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE)
    fields = "".join(line + "\n" for line in header.splitlines() if re.match(r"[A-Zm]:", line))
    numbered = [tune.split("\n", 1) for tune in tunes]
    return [f"{number}\n{fields}{''.join(rest)}" for number, *rest in numbered] or [text]


def abc_meters(text: str) -> set[tuple[int, int]] | None:
    """The meters that an ABC tune says; music21 gives each partial bar one of its own, such as 1/8.

    >>> sorted(abc_meters("X:1\\nM:C|\\nK:C\\nC2[M:3/4]C3|"))
    [(2, 2), (3, 4)]
    """
    found = re.findall(r"(?:^|\[)M:\s*(C\||C|\d+/\d+)", text, flags=re.MULTILINE)
    named = {"C": "4/4", "C|": "2/2"}
    pairs = [named.get(meter, meter).split("/") for meter in found]
    return {(int(numerator), int(denominator)) for numerator, denominator in pairs} or None


# -- MusicXML ----------------------------------------------------------------------------------------------------------


def musicxml_text(data: bytes, path: Path) -> str:
    """The MusicXML in a .musicxml, .xml or .mxl file.

    Raises:
        ReadError: There is none, or it declares entities or is larger than any score.
    """
    if data[:2] == b"PK":
        data = unpack_mxl(data, path)
    text = decode(within_limit(data, path))
    if not any(root in text for root in ("<score-partwise", "<score-timewise")):
        raise ReadError(f"{path}: it holds no <score-partwise> and MusicXML is expected; export it as MusicXML")
    if "<!ENTITY" in text:
        raise ReadError(f"{path}: it declares XML entities, which scores do not need; export it again")
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)  # its encoding is that of the bytes, no longer of the text


def unpack_mxl(data: bytes, path: Path) -> bytes:
    """The score inside a compressed MusicXML file: the first that is one, since many a container.xml names another.

    Raises:
        ReadError: The archive is damaged or holds no score of a sensible size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.filename.startswith("META-INF") or not entry.filename.lower().endswith((".xml", ".musicxml")):
                    continue
                with archive.open(entry) as file:
                    content = within_limit(file.read(MAX_SCORE_BYTES + 1), path)
                if b"<score-" in content or "<score-" in decode(content):
                    return content
    except ReadError:
        raise
    except Exception as error:  # a damaged archive raises BadZipFile, zlib.error, OSError, struct.error, …
        raise ReadError(f"{path}: its zip archive is damaged ({error}); export or download it again") from None
    raise ReadError(f"{path}: no MusicXML is in the archive; export it again as .mxl or .musicxml")


# -- from music21 ------------------------------------------------------------------------------------------------------


def from_music21(stream: music21.stream.Stream[Any], name: str = "") -> Clip:
    """A clip from any `music21` stream, one track a part.

    Ties are merged, grace notes and chord symbols left out, repeats not expanded, transposing instruments sounded.
    A bar that is shorter than its meter says, such as a pickup, stays short: the next bar line gets a change to the
    same meter. Of an `Opus`, the first score.
    """
    return clip_from_stream(stream, name, None)


def clip_from_stream(stream: Any, name: str, meters_said: set[tuple[int, int]] | None) -> Clip:
    """As `from_music21`; meters that are not in `meters_said` (None: all are) are music21's own and not believed."""
    from music21 import stream as streams

    if isinstance(stream, streams.Opus):
        stream = next(iter(stream.scores), streams.Score())
    if needs_transposing(stream):
        stream = stream.toSoundingPitch()
    parts = list(stream.parts) if isinstance(stream, streams.Score) and stream.parts else [stream]
    flats = [part.flatten() for part in parts]
    meters = meter_changes(parts, meters_said)
    end = max((float(flat.highestTime) for flat in flats), default=0.0)
    return Clip(
        tracks=tuple(part_track(part, flat) for part, flat in zip(parts, flats, strict=True)),
        length_beats=end_of_bar(meters, end),
        tempos=tempo_changes([stream.flatten()] if len(parts) > 1 else flats),
        meters=meters,
        name=name,
    )


def needs_transposing(stream: music21.stream.Stream[Any]) -> bool:
    """Whether what is written is not what sounds."""
    if stream.atSoundingPitch is True:
        return False
    instruments = stream.recurse().getElementsByClass("Instrument")
    return any(i.transposition is not None for i in instruments) or bool(stream.recurse().getElementsByClass("Ottava"))


def part_track(part: Any, flat: Any) -> Track:
    """One part's notes, program and name."""
    instrument = next(iter(flat.getElementsByClass("Instrument")), None)
    unpitched = bool(flat.getElementsByClass(("Unpitched", "PercussionChord")))
    is_drum = unpitched or getattr(instrument, "midiChannel", None) == DRUM_CHANNEL
    name = getattr(part, "partName", None) or getattr(instrument, "partName", None) or ""
    return Track(
        notes=notes_array(merge_ties(sounding_notes(flat, drum_staff(flat, instrument)))),
        program=0 if is_drum else find_program(instrument, name),
        is_drum=is_drum,
        name=name,
    )


def find_program(instrument: Any, part_name: str) -> int:
    """The General MIDI program: the instrument's own, else that of the part's name (Flute is 73), else the piano."""
    from music21 import instrument as instruments

    if (program := getattr(instrument, "midiProgram", None)) is not None:
        return int(program) % 128
    with contextlib.suppress(Exception):  # it raises more than its own exception on odd names
        return int(instruments.fromString(part_name).midiProgram or 0)
    return 0


def drum_staff(flat: Any, instrument: Any) -> dict[int, int]:
    """Where a drum is written → its MIDI pitch. A part of one line is its one instrument, if MIDI has it."""
    singles = [single for element in flat.notes for single in getattr(element, "notes", (element,))]
    lines = {single.displayPitch().midi for single in singles if not hasattr(single, "pitch")}
    mapped = getattr(instrument, "percMapPitch", None)
    return {lines.pop(): int(mapped)} if len(lines) == 1 and mapped is not None else DRUM_STAFF


def sounding_notes(flat: Any, drums: dict[int, int]) -> Iterator[tuple[SoundingNote, str]]:
    """Each single note of a flat stream, chords taken apart, with its tie: "", start, continue or stop."""
    for element in flat.notes:
        start = float(element.offset)
        end = float(Fraction(element.offset) + Fraction(element.quarterLength))  # thirds are exact, until now
        if element.duration.isGrace or end <= start or "Harmony" in element.classes:
            continue
        for single in getattr(element, "notes", (element,)):
            if hasattr(single, "pitch"):
                pitch = min(max(int(single.pitch.midi), 0), 127)
            else:
                pitch = drums.get(single.displayPitch().midi, single.displayPitch().midi)
            velocity = single.volume.velocity or element.volume.velocity or DEFAULT_VELOCITY
            tie = single.tie or element.tie
            yield (start, end, pitch, min(max(int(velocity), 1), 127)), tie.type if tie else ""


def merge_ties(notes: Iterable[tuple[SoundingNote, str]]) -> list[SoundingNote]:
    """Joins each note that ends a tie to the note of that pitch before it."""
    found: list[SoundingNote] = []
    tied: dict[int, list[int]] = {}  # pitch → indices of the notes whose tie goes on
    for (start, end, pitch, velocity), tie in notes:
        index = len(found)
        if tie in ("continue", "stop"):
            ending = [i for i in tied.get(pitch, []) if abs(found[i][1] - start) < SAME_BEAT]
            if ending:
                index = ending[0]
                tied[pitch].remove(index)
                found[index] = (found[index][0], end, pitch, found[index][3])
        if index == len(found):
            found.append((start, end, pitch, velocity))
        if tie in ("start", "continue"):
            tied.setdefault(pitch, []).append(index)
    return found


def tempo_changes(flats: Iterable[Any]) -> tuple[TempoChange, ...]:
    """The metronome marks of all parts; 120 from the start where there is none."""
    found = {0.0: DEFAULT_TEMPO_QPM}
    for flat in flats:
        for mark in flat.getElementsByClass("MetronomeMark"):
            tempo_qpm = mark.getQuarterBPM()
            if tempo_qpm and 4 <= tempo_qpm < 100_000:
                found[float(mark.offset)] = float(tempo_qpm)
    return tuple(TempoChange(beat, tempo_qpm) for beat, tempo_qpm in sorted(found.items()))


def meter_changes(parts: Iterable[Any], meters_said: set[tuple[int, int]] | None) -> tuple[MeterChange, ...]:
    """Meters by the first part that has any, with a change wherever a bar line is not where the meter alone has it."""
    signatures: list[tuple[float, int, int]] = []
    lines: list[float] = []
    for part in parts:
        measures = list(part.getElementsByClass("Measure"))
        lines = lines or [float(measure.offset) for measure in measures]
        # Not from the flat stream: music21 puts one object at two places, and there only the last one is seen.
        signatures = signatures or [
            (float(beat), signature.numerator, signature.denominator)
            for holder in (part, *measures)
            for signature in holder.getElementsByClass("TimeSignature")
            for beat in [holder.elementOffset(signature) + (holder.offset if holder is not part else 0)]
            if is_meter(signature, meters_said)
        ]
    signatures.sort(reverse=True)

    def meter_at(beat: float) -> tuple[int, int]:
        return next((s[1:] for s in signatures if s[0] <= beat + SAME_BEAT), (4, 4))

    lines = without_repeat_signs(lines, meter_at)
    meters = [MeterChange(0.0, 4, 4)]
    for beat in sorted({*lines, *(signature[0] for signature in signatures)}):
        now = meter_at(beat)
        if beat < SAME_BEAT:
            meters = [MeterChange(0.0, *now)]
        elif now != meters[-1][1:] or not meters[-1].has_bar_line(beat):
            meters.append(MeterChange(beat, *now))
    return tuple(meters)


def without_repeat_signs(lines: list[float], meter_at: Callable[[float], tuple[int, int]]) -> list[float]:
    """The bar lines but those where a repeat sign cuts a bar in two: a short bar, then the pickup that completes it.

    >>> without_repeat_signs([0.0, 4.0, 7.0, 8.0, 12.0], lambda beat: (4, 4))
    [0.0, 4.0, 8.0, 12.0]
    """
    kept = lines[:1]
    for line, after in itertools.pairwise([*lines[1:], float("inf")]):
        numerator, denominator = meter_at(kept[-1])
        bar_beats = 4 * numerator / denominator
        cut = line - kept[-1] < bar_beats - SAME_BEAT and abs(after - kept[-1] - bar_beats) < SAME_BEAT
        if not cut or meter_at(line) != (numerator, denominator):
            kept.append(line)
    return kept


def is_meter(signature: Any, meters_said: set[tuple[int, int]] | None) -> bool:
    """Whether a clip can hold the signature, and it is the score's own."""
    meter = (signature.numerator, signature.denominator)
    return 0 < meter[0] < 256 and meter[1] in DENOMINATORS and (meters_said is None or meter in meters_said)


# -- to music21 --------------------------------------------------------------------------------------------------------


def to_music21(clip: Clip) -> music21.stream.Score:
    """The clip as a `music21.stream.Score`, one part a track; notes that start and end together are chords.

    Bar lines are left to music21, which makes them from the meters when the score is shown or written.
    """
    from music21 import meter, stream, tempo

    score = stream.Score()
    for index, track in enumerate(clip.tracks):
        part: Any = stream.Part(  # type: ignore[no-untyped-call]
            id=f"track-{index}"
        )
        part.partName = track.name
        part.insert(0, music21_instrument(track))
        for change in clip.meters:
            part.insert(change.beat, meter.TimeSignature(f"{change.numerator}/{change.denominator}"))
        if index == 0:
            for mark in clip.tempos:
                part.insert(mark.beat, tempo.MetronomeMark(number=mark.tempo_qpm))
        for element, beat in music21_notes(track.notes):
            part.insert(beat, element)
        score.insert(0, part)
    return score


def music21_instrument(track: Track) -> Any:
    """The instrument of a track's program, or drums."""
    from music21 import instrument

    found: Any
    if track.is_drum:
        found = instrument.UnpitchedPercussion()  # type: ignore[no-untyped-call]  # music21 has some annotations only
        found.midiChannel = DRUM_CHANNEL
    else:
        found = instrument.Instrument()
        found.midiProgram = track.program
    found.partName = track.name
    return found


def music21_notes(notes: NDArray[np.void]) -> Iterator[tuple[Any, float]]:
    """Each note or chord and the beat it starts on."""
    from music21 import chord, note
    from music21 import pitch as music21_pitch

    order = np.lexsort((notes["pitch"], notes["end_beats"], notes["start_beats"]))
    for (start, end), group in itertools.groupby(notes[order].tolist(), key=lambda single: single[:2]):
        singles = []
        for _, _, pitch, velocity in group:
            single = note.Note(music21_pitch.Pitch(midi=pitch))  # Note(0) would be any C
            single.volume.velocity = velocity
            singles.append(single)
        element = singles[0] if len(singles) == 1 else chord.Chord(singles)
        element.quarterLength = end - start
        yield element, start
