"""Which attributes a kind of sequence has, by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from seqvae.attributes.base import Attribute
from seqvae.attributes.drums import DRUMS, SWING, strokes_on_grid
from seqvae.attributes.groove import playing
from seqvae.attributes.music import MELODIC, lines_of_part
from seqvae.attributes.text import INTEGERS, PROGRESSIONS, REGEX, WORDS, matches, symbols
from seqvae.errors import DataError
from seqvae.tokenizers import (
    DrumTokenizer,
    GrooveTokenizer,
    MelodyTokenizer,
    PartsTokenizer,
    RawTokenizer,
    TextTokenizer,
    Tokenizer,
)
from seqvae.tokenizers.lines import LineReader


def attributes_of(tokenizer: Tokenizer) -> dict[str, Attribute]:
    """The attributes that are measured on items of a kind, by name; none that what the model is given already fixes.

    Of parts, those of all lines together; of their drums as `drums.kick` (see `attribute_named` for one line alone).

    >>> from seqvae.tokenizers import MelodyTokenizer
    >>> list(attributes_of(MelodyTokenizer()))[:3]
    ['density', 'pitch', 'range']
    """
    match tokenizer:
        case MelodyTokenizer():
            found: Iterable[Attribute] = MELODIC
        case DrumTokenizer():
            found = DRUMS
        case GrooveTokenizer(control="hits"):
            found = (SWING, *playing(tokenizer.steps_per_beat))
        case GrooveTokenizer():
            on_grid = strokes_on_grid(tokenizer.steps_per_beat)
            patterns = (one if one is SWING else replace(one, view=on_grid) for one in DRUMS)
            found = (*patterns, *playing(tokenizer.steps_per_beat))
        case PartsTokenizer():
            kinds = _drawn(tokenizer)
            voices = MELODIC if "voice" in kinds.values() else ()
            drums = [name for name, kind in kinds.items() if kind == "drums"]
            found = (*voices, *(one for name in drums for one in _of_part(tokenizer, name)))
        case TextTokenizer():
            found = PROGRESSIONS if tokenizer.chords else WORDS
        case RawTokenizer(symbols="integers"):
            found = INTEGERS
        case RawTokenizer():
            found = symbols("characters", list) if tokenizer.symbols == "characters" else symbols("symbols", str.split)
        case _:
            found = ()
    return {attribute.name: attribute for attribute in found}


def attribute_named(tokenizer: Tokenizer, name: str) -> Attribute:
    """One attribute: by its name; of parts also of one alone, as `bass.pitch`; of texts also `regex:PATTERN`.

    Raises:
        DataError: The kind has none of that name, or the pattern is no regular expression.
    """
    if name.startswith(REGEX):
        if not isinstance(tokenizer, LineReader):
            raise DataError(f"{name}: a regular expression is of texts, and a {tokenizer.kind} is none")
        return matches(name.removeprefix(REGEX), tokenizer.show)
    known = attributes_of(tokenizer)
    if isinstance(tokenizer, PartsTokenizer) and (part := name.partition(".")[0]) in tokenizer.roles:
        known = {one.name: one for one in _of_part(tokenizer, part)}
    if name not in known:
        # What is left out of a long list, people find by a near miss.
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        lines = f", and {REGEX}PATTERN" if isinstance(tokenizer, LineReader) else ""
        have = f"it has {', '.join(known)}{lines}" if known else "it has none"
        raise DataError(f"a {tokenizer.kind} item has no attribute {name!r}; {have}{hint}")
    return known[name]


def _drawn(tokenizer: PartsTokenizer) -> dict[str, str]:
    """The parts that are drawn, each with what it is."""
    return {name: role.kind for name, role in list(tokenizer.roles.items())[len(tokenizer.given) :]}


def _of_part(tokenizer: PartsTokenizer, part: str) -> list[Attribute]:
    """The attributes of one part alone; none of chords and of what is given."""
    match _drawn(tokenizer).get(part):
        case "voice":
            return [replace(one, name=f"{part}.{one.name}", view=lines_of_part(part)) for one in MELODIC]
        case "drums":
            return [replace(one, name=f"{part}.{one.name}") for one in DRUMS]
        case _:
            return []
