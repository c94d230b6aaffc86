"""What a command line is given: files, or sequences typed in place of them; and the bundled model that fits them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvae.cli.common import DEFAULT_MODEL, UsageError, talk
from seqvae.errors import DataError, ReadError

if TYPE_CHECKING:
    from seqvae.clip import Clip
    from seqvae.model import Model
    from seqvae.passage import Passage
    from seqvae.tokenizers import Tokenizer

DRUM_MODEL = "drums-2bar"
PREFERRED = (DEFAULT_MODEL, "melody-2bar-3-4", "melody-2bar-6-8", DRUM_MODEL, "chords", "captions")
"""The bundled models that are chosen without being asked for: the first that fits."""

FILE_SUFFIXES = (
    *(".mid", ".midi", ".kar", ".rmi", ".musicxml", ".xml", ".mxl", ".abc", ".krn"),
    *(".txt", ".csv", ".tsv", ".jsonl", ".npy", ".npz", ".safetensors"),
)
"""A word that ends so is a file, whether it stands or not."""

SHOWN_LETTERS = 32


@dataclass(frozen=True, kw_only=True)
class Given:
    """One input as it was typed.

    Attributes:
        word: The path of a file, or a sequence in place of one.
        track: Which track is meant, where there are several (see `Tokenizer.split`).
        bars: Only these bars of a clip, "5:7".
        meter: Count a clip's beats in this meter, "4/4".
    """

    word: str
    track: str | None = None
    bars: str | None = None
    meter: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether something stands there."""
        return os.path.exists(self.word)  # unlike Path.exists, it has no trouble with 10,000 letters

    @property
    def stem(self) -> str:
        """For the names of results."""
        return Path(self.word).stem if self.is_file else "typed"

    def __str__(self) -> str:
        """For messages: a path as it is, a long sequence shortened."""
        if self.is_file or len(self.word) <= SHOWN_LETTERS:
            return self.word if self.is_file else repr(self.word)
        return repr(f"{self.word[:SHOWN_LETTERS]}…")

    def read(self, tokenizer: Tokenizer) -> Any:
        """The item: of a file with several, the first. Raises `ReadError`, `DataError`, `UsageError`."""
        return self.read_all(tokenizer)[0]

    def read_all(self, tokenizer: Tokenizer) -> list[Any]:
        """The items: of a file of lines all that are not empty, of music the first tune.

        Raises:
            ReadError: There is no such file, or it cannot be read.
            DataError: It is of another kind than the tokenizer's, or has nothing in it.
            UsageError: Bars or a meter are asked for, and it is no music.
        """
        from seqvae.tokenizers.lines import LineReader

        if not self.is_file:
            if looks_like_a_file(self.word):
                raise ReadError(f"{self.word}: no such file; check the path")
            items = [tokenizer.parse(self.word)]
        elif isinstance(tokenizer, LineReader):
            items = self._lines(tokenizer)
        else:
            items = [tokenizer.read(Path(self.word))]
        return [self._part(item) for item in items]

    def _lines(self, tokenizer: Tokenizer) -> list[Any]:
        path = Path(self.word)
        if path.is_dir() or path.suffix.lower() not in tokenizer.suffixes:
            what = (
                "a folder" if path.is_dir() else f"a {path.suffix} file" if path.suffix else "a file of no known kind"
            )
            wanted = f"{tokenizer.kind} models read {' '.join(tokenizer.suffixes)}"
            raise DataError(f"{path}: is {what}, and {wanted}; choose another model with --model")
        items = [item for item in tokenizer.read_all(path) if len(item)]
        if not items:
            raise DataError(f"{path}: every line is empty; give a file with something in it")
        return items

    def _part(self, item: Any) -> Any:
        from seqvae.clip import Clip

        if not isinstance(item, Clip):
            wrong = "--bars" if self.bars is not None else "--meter" if self.meter is not None else ""
            if wrong:
                raise UsageError(f"{wrong} is for music, and {self} is none; leave it out")
            return item
        item = item if self.meter is None else count_in(item, self.meter)
        return item if self.bars is None else choose_bars(item, self.bars)

    def passage(self, model: Model, *, re_encode: bool = False) -> Passage:
        """What is meant of it as windows of the model's kind; says where its z comes from, and what is not read."""
        items = self.read_all(model.tokenizer)
        if len(items) > 1:
            talk(f"{self}: the first of its {len(items):,} lines is used")
        passage = self.passage_of(items[0], model, re_encode=re_encode)
        self._tell_unknown([passage], model)
        return passage

    def passages(self, model: Model, *, re_encode: bool = False) -> list[Passage]:
        """One for each of its items."""
        found = [self.passage_of(item, model, re_encode=re_encode) for item in self.read_all(model.tokenizer)]
        self._tell_unknown(found, model)
        return found

    def passage_of(self, item: Any, model: Model, *, re_encode: bool) -> Passage:
        """One of its items as windows; says which track plays which part, and where its z comes from."""
        from seqvae.tokenizers import PartsTokenizer

        passage = model.passage(item, self.track, re_encode=re_encode)
        if isinstance(model.tokenizer, PartsTokenizer) and not passage.restored and item.note_count:
            for line in model.tokenizer.describe(item, self.track):
                talk(f"{self}: {line}")
        if passage.restored:
            provenance = item.provenance
            made = f"seqvae {provenance.verb} made it with {provenance.model}, seed {provenance.seed}"
            talk(f"{self}: {made}; its exact z is read from the file (--re-encode encodes its notes)")
        return passage

    def _tell_unknown(self, passages: Sequence[Passage], model: Model) -> None:
        found = [unknown_tokens(model.tokenizer, passage.tokens) for passage in passages]
        unknown, steps = (sum(counts) for counts in zip(*found, strict=True))
        if unknown:
            are = "token is" if unknown == 1 else "tokens are"
            talk(f"{self}: {unknown:,} {are} not in {model.name}'s vocabulary, of {steps:,}")


def looks_like_a_file(word: str) -> bool:
    """Whether a word that is no file was meant as one: by its ending, or by how it begins.

    >>> looks_like_a_file("song.mid"), looks_like_a_file("x/2"), looks_like_a_file("The end.")
    (True, False, False)
    """
    if word.lower().endswith(FILE_SUFFIXES) or word.startswith(("/", "./", "../", "~")):
        return True
    return re.fullmatch(r"[\w./\\-]+\.[A-Za-z][A-Za-z0-9]{1,4}", word) is not None


def unknown_tokens(tokenizer: Tokenizer, tokens: Any) -> tuple[int, int]:
    """How many tokens of a text stand for what its vocabulary has not, and how many there are without the end."""
    unknown = getattr(tokenizer, "unknown", None)
    if unknown is None:
        return 0, 0
    return int((tokens == unknown).sum()), int((tokens != tokenizer.alphabet.end).sum())


def several(words: Sequence[str], tracks: Sequence[str], bars: Sequence[str], meter: str | None) -> list[Given]:
    """Many inputs, with options that are given once for all or once for each. Raises `UsageError`."""
    track_of = for_each_input(tracks, "--track", len(words))
    bars_of = for_each_input(bars, "--bars", len(words))
    return [Given(word=word, track=track_of[i], bars=bars_of[i], meter=meter) for i, word in enumerate(words)]


# -- the model that fits -----------------------------------------------------------------------------------------------


def settle_model(name: str | None, given: Sequence[Given] = ()) -> str:
    """The model asked for; else the bundled one that fits the inputs, said on stderr if it is not the usual one.

    A clip that a bundled model made goes to that model. A model fits if it can read every input; one of chords only
    if it knows each symbol.

    Raises:
        ReadError: An input is no file, or cannot be read.
        DataError: No bundled model reads sequences that are typed, or reads two inputs of different kinds.
    """
    if name is not None or not given:
        return name or DEFAULT_MODEL
    from seqvae.checkpoint import bundled_models, load_preset_of

    bundled = bundled_models()
    maker = _maker(given)
    for candidate in (maker, *PREFERRED):
        if candidate not in bundled:
            continue
        tokenizer = load_preset_of(bundled[candidate]).tokenizer
        if all(_fits(tokenizer, one, every_word=getattr(tokenizer, "chords", False)) for one in given):
            if candidate != DEFAULT_MODEL:
                why = "it made the input" if candidate == maker else _reason(tokenizer)
                talk(f"model {candidate} ({why})")
            return candidate
    typed = next((one for one in given if not one.is_file), None)
    if typed is not None:
        raise DataError(f"{typed}: no file, and no bundled model reads it as a sequence; choose one with --model")
    _refuse_mixture(given, bundled)
    return _to_blame(given, bundled)


def _refuse_mixture(given: Sequence[Given], bundled: Mapping[str, Path]) -> None:
    """Says what each of two inputs is if models read the one or the other. Raises `DataError`."""
    from seqvae.checkpoint import load_preset_of

    tokenizers = {name: load_preset_of(bundled[name]).tokenizer for name in PREFERRED if name in bundled}
    fitting = [
        next((name for name in tokenizers if _fits(tokenizers[name], one, every_word=False)), None) for one in given
    ]
    other = next((index for index, name in enumerate(fitting) if name != fitting[0]), 0)
    first, second = fitting[0], fitting[other]
    if first is None or second is None or not other:
        return
    sides = (f"{given[index]} {_what_is(tokenizers[name])} ({name})" for index, name in ((0, first), (other, second)))
    found = f"{' and '.join(sides)}: no bundled model reads both"
    raise DataError(f"{found}; give inputs of one kind, tracks of one kind with --track, or another --model")


def _what_is(tokenizer: Tokenizer) -> str:
    """Of an input that the model reads, in words."""
    if tokenizer.kind == "melody":
        return f"has a melody in {getattr(tokenizer, 'meter', 'another meter')}"
    if getattr(tokenizer, "chords", False):
        return "is a chord progression"
    return {"drums": "has only drums", "text": "is a text"}[tokenizer.kind]


def _to_blame(given: Sequence[Given], bundled: Mapping[str, Path]) -> str:
    """The model that says, when it reads the files, what is wrong with them: of texts one of texts, of drums drums."""
    from seqvae.clip import Clip
    from seqvae.texts import SUFFIXES

    if all(Path(one.word).suffix.lower() in SUFFIXES for one in given):
        return PREFERRED[-1] if PREFERRED[-1] in bundled else DEFAULT_MODEL
    sounding = [track for one in given for track in Clip.load(one.word).tracks if len(track.notes)]
    drums = bool(sounding) and all(track.is_drum for track in sounding)
    return DRUM_MODEL if drums and DRUM_MODEL in bundled else DEFAULT_MODEL


def _maker(given: Sequence[Given]) -> str | None:
    """The model that made the first input, if it is a clip of ours."""
    path = Path(given[0].word)
    if not given[0].is_file or path.suffix.lower() != ".mid":
        return None
    from seqvae.clip import Clip

    provenance = Clip.load(path).provenance
    return None if provenance is None else provenance.model


def _fits(tokenizer: Tokenizer, given: Given, *, every_word: bool) -> bool:
    if given.is_file and Path(given.word).suffix.lower() not in tokenizer.suffixes:
        return False
    try:
        windows = tokenizer.split(given.read(tokenizer), given.track)
        unknown = [unknown_tokens(tokenizer, tokenizer.encode(window))[0] for window in windows]
    except DataError:
        return False
    return not (every_word and any(unknown))


def _reason(tokenizer: Tokenizer) -> str:
    if getattr(tokenizer, "chords", False):
        return "the input is a chord progression"
    if tokenizer.kind == "melody":
        return f"the input is in {getattr(tokenizer, 'meter', 'another meter')}"
    return {"drums": "the input has only drums", "text": "the input is a text"}[tokenizer.kind]


# -- parts of a clip ---------------------------------------------------------------------------------------------------


def choose_bars(clip: Clip, bars: str) -> Clip:
    """The bars "5:7" of a clip, counted from 1, both included; "5" is one bar.

    Raises:
        UsageError: `bars` is not of that form.
        DataError: The clip has no such bars.
    """
    from seqvae.tokenizers.percussion import struck_within

    first_text, colon, last_text = bars.partition(":")
    last_text = last_text if colon else first_text
    if not (first_text.isdecimal() and last_text.isdecimal() and 1 <= int(first_text) <= int(last_text)):
        raise UsageError(f"--bars {bars!r} is not of the form 5:7, from 1, the first not after the last")
    first, last, found = int(first_text), int(last_text), clip.bars()
    if last > len(found):
        bars_found = f"there {'is 1 bar' if len(found) == 1 else f'are {len(found)} bars'}"
        raise DataError(f"{clip.name or 'clip'}: {bars_found} and --bars {bars} asks for bar {last}")
    end = found[last - 1].start_beats + found[last - 1].length_beats
    start = found[first - 1].start_beats
    return struck_within(clip, start, end).cut(start, end)


def count_in(clip: Clip, meter: str) -> Clip:
    """The clip with its beats counted in one meter, such as "4/4".

    Raises:
        UsageError: `meter` is not of that form.
    """
    from seqvae.clip import MeterChange

    numerator, _, denominator = meter.partition("/")
    if not (numerator.isdecimal() and denominator.isdecimal() and int(numerator) and int(denominator)):
        raise UsageError(f"--meter {meter!r} is not of the form 4/4")
    return replace(clip, meters=(MeterChange(0.0, int(numerator), int(denominator)),))


def for_each_input(values: Sequence[str], option: str, inputs: int) -> list[str | None]:
    """An option that may be given once for all inputs, or once for each."""
    if len(values) not in (0, 1, inputs):
        raise UsageError(
            f"{option} is given {len(values)} times; give it once, or once for each of the {inputs} inputs"
        )
    if not values:
        return [None] * inputs
    return [*values] * inputs if len(values) == 1 else [*values]
