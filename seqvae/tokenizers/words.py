"""Words and punctuation: a text apart, and together again.

A word is a run of letters, digits, combining marks and underscores; an apostrophe or a hyphen inside it ("don't",
"well-known") and a point, comma or colon between digits ("3.5", "10:30") belong to it. Every other character that is
no white space is a word of its own.

Together again, words stand apart by a space, but none stands before `CLOSING` and none after `OPENING`; straight double
quotes open and close by turns. So `split_words(join_words(words)) == words`, for all words that `split_words` gives.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

UNKNOWN_WORD = "<unk>"

CLOSING = frozenset(".,;:!?%)]}…'’”»。、，．！？；：）」』】")
OPENING = frozenset("([{“‘«¿¡$£€#@（「『【")
QUOTE = '"'

_JOINERS = "\u200c\u200d"  # zero width, inside words of Persian or Hindi
_PLANES = 0x20000  # combining marks of all scripts in use lie below


def _pattern(letters: str) -> re.Pattern[str]:
    return re.compile(rf"{UNKNOWN_WORD}|{letters}+(?:(?:['’\-]|(?<=\d)[.,:](?=\d)){letters}+)*|\S")


_PLAIN = _pattern(r"\w")


@functools.cache
def _thorough() -> re.Pattern[str]:
    """Python's \\w leaves out combining marks, without which Hindi falls to pieces; eight times slower."""
    marks = "".join(chr(code) for code in range(0x300, _PLANES) if unicodedata.category(chr(code))[0] == "M")
    return _pattern(rf"[\w{_JOINERS}{marks}]")


def split_words(text: str) -> list[str]:
    """The words and punctuation marks of a text.

    >>> split_words("It's 3.5 m (or so).")
    ["It's", '3.5', 'm', '(', 'or', 'so', ')', '.']
    """
    plain = max(text, default="") < "\u0300"  # below lie letters of Europe, and no mark
    return (_PLAIN if plain else _thorough()).findall(text)


def join_words(words: Iterable[str]) -> str:
    """The text of words and punctuation marks.

    >>> join_words(['"', "Well", ",", "well", '"', "(", "he", "said", ")", "."])
    '"Well, well" (he said).'
    """
    parts: list[str] = []
    glued, in_quotes = True, False
    for word in words:
        closes = word in CLOSING or (word == QUOTE and in_quotes)
        if not (glued or closes):
            parts.append(" ")
        parts.append(word)
        glued = word in OPENING or (word == QUOTE and not in_quotes)
        in_quotes ^= word == QUOTE
    return "".join(parts)
