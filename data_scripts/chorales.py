"""Bach's four-part chorales: soprano, alto, tenor and bass, from the music21 that is installed.

Licence: the music is public domain. music21's encodings (Margaret Greentree's, and others') come with it "with the
permission of the encoders" and state no terms of their own, so they are read from the user's music21, not downloaded.

    python data_scripts/chorales.py -o data/chorales                                      reads music21's corpus
    python data_scripts/chorales.py --from Jsb16thSeparated.json -o data/chorales         or JSB-Chorales-dataset's file

The json (C.-Z. A. Huang's, of the 382 chorales of Boulanger-Lewandowski 2012, with that paper's splits) has one pitch
a sixteenth and voice: a repeated note and a held one are the same there, so music21's are better to train on.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import fetch
import numpy as np

from seqvae.clip import NOTE_DTYPE, Clip, Track
from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.corpus.prepare import split_by_name
from seqvae.dataset import Split
from seqvae.errors import DataError, ReadError

LICENCE = "Bach: public domain; encodings as distributed with music21"
JSON_LICENCE = "Bach: public domain; czhuang/JSB-Chorales-dataset"
CHECKSUM = "62700b2eb3155ffd"
JSON_COMMIT = "9a7f733ddb4ed91f48da64ac7f0f621c34aadd4d"
PATTERN = "bwv*.mxl"
VOICES = ("soprano", "alto", "tenor", "bass")
STEPS_PER_BEAT = 4
SPLITS: dict[str, Split] = {"train": "train", "valid": "valid", "test": "test"}


@contextlib.contextmanager
def corpus(source: Path | None) -> Iterator[tuple[Path, str]]:
    """The folder of chorales and the note on their licence: music21's, or made of the json."""
    if source is None:
        folder = music21_folder()
        fetch.check_tree(folder, PATTERN, CHECKSUM)
        yield folder, LICENCE
        return
    if source.suffix != ".json":
        with fetch.opened(source, "") as folder:
            found = sorted(folder.rglob("Jsb16thSeparated.json"))
            if not found:
                raise DataError(f"{source}: there is no Jsb16thSeparated.json in it; is it another corpus?")
            source = found[0]
            yield from _from_json(source)
    else:
        yield from _from_json(source)


def _from_json(path: Path) -> Iterator[tuple[Path, str]]:
    with tempfile.TemporaryDirectory(prefix="seqvae-") as made:
        folder = Path(made, "jsb-chorales")
        write_chorales(path, folder)
        yield folder, JSON_LICENCE


def music21_folder() -> Path:
    """Where the installed music21 has its Bach."""
    found = util.find_spec("music21")
    places = list(found.submodule_search_locations or ()) if found else []
    folder = Path(places[0], "corpus", "bach") if places else Path()
    if not places or not folder.is_dir():
        raise ReadError("music21: it or its corpus is not installed; run pip install music21, or give --from")
    return folder


def write_chorales(path: Path, folder: Path) -> int:
    """Writes each chorale of the json as a MIDI file whose name says its split; returns their number.

    Raises:
        ReadError: It is no such json.
    """
    try:
        chorales = json.loads(path.read_text(encoding="utf-8"))
        count = 0
        for split in SPLITS:
            for number, steps in enumerate(chorales[split]):
                chorale(np.array(steps, np.int64)).save(folder / f"{split}-{number:03d}.mid")
                count += 1
        return count
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ReadError(f"{path}: cannot be read as Jsb16thSeparated.json ({error}); get it again") from None


def chorale(pitches: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Clip:
    """From pitches a sixteenth, int64 (steps, voices), -1 for a rest, to a clip; equal neighbours are one note."""
    tracks = []
    for voice, name in enumerate(VOICES):
        line = pitches[:, voice]
        edges = np.flatnonzero(np.diff(line, prepend=-2))
        ends = np.append(edges[1:], len(line))
        sounds = line[edges] >= 0
        notes = np.zeros(int(sounds.sum()), NOTE_DTYPE)
        notes["start_beats"] = edges[sounds] / STEPS_PER_BEAT
        notes["end_beats"] = ends[sounds] / STEPS_PER_BEAT
        notes["pitch"] = line[edges[sounds]]
        notes["velocity"] = 80
        tracks.append(Track(notes=notes, program=52, name=name))
    return Clip(tracks=tuple(tracks), length_beats=len(pitches) / STEPS_PER_BEAT)


def split_of(name: str) -> Split:
    """The json's own split, which the file's name says; of others by name, as everywhere."""
    return SPLITS.get(name.rsplit("/", 1)[-1].partition("-")[0]) or split_by_name(name)


def main() -> None:
    """Builds the dataset."""
    args = fetch.arguments(__doc__, preset="chorale-2bar")
    with corpus(args.source) as (folder, licence):
        fetch.say(f"licence: {licence}")
        tokenizer = load_preset(args.preset).tokenizer
        report = prepare(
            [folder],
            tokenizer,
            args.out,
            include=["*.mid", f"*/{PATTERN}"],
            split=split_of,
            jobs=args.jobs,
            force=args.force,
            licence=licence,
        )
        fetch.finish(args.out, report)


if __name__ == "__main__":
    fetch.run(main)
