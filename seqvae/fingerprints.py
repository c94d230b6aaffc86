"""Fingerprints: which windows a model was trained on, in 16 bits a window, to see what is copied from them.

The windows' hashes are reduced to the range 0 … n · 2^b − 1, sorted, and coded as by Elias (1974) and Fano (1971): the
b low bits of each as they are, the high bits as the gaps of a sequence of 2n bits in which there is a one a window.
That is b + 2 bits a window, from which the reduced hashes come back exactly. A window that is not among the n has the
hash of one with a probability of at most 2^-b: with b = 14 and 13 transpositions looked up, one false alarm in 1,260.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.tokenizers import Alphabet, Tokenizer, Tokens

LOW_BITS = 14
"""b: a false alarm in 2^14 = 16,384 look-ups."""

NOT_FOUND = -1

_HEADER = np.dtype([("count", "<u4"), ("low_bits", "<u4")])
_CHUNK = 1 << 16
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True, kw_only=True, eq=False)
class HashSet:
    """A set of 64-bit hashes, reduced to as many bits as its size asks for. False alarms, but nothing overlooked.

    Attributes:
        count: n, hashes put in (two may have become one value).
        low_bits: b.
        values: Reduced to 0 … n · 2^b − 1 and sorted, uint64 (n,).
    """

    count: int
    low_bits: int
    values: NDArray[np.uint64]

    @staticmethod
    def of(hashes: NDArray[np.uint64], low_bits: int = LOW_BITS) -> HashSet:
        """The set of hashes uint64 (n,). Raises `DataError` if there are 2^32 or more, or b is not 1 to 20."""
        if not 1 <= low_bits <= 20 or len(hashes) >= 1 << 32:
            raise DataError(f"{len(hashes):,} hashes at {low_bits} low bits; give fewer than 2^32, and 1 to 20 bits")
        reduced = np.sort(_reduced(hashes, len(hashes), low_bits))
        return HashSet(count=len(hashes), low_bits=low_bits, values=reduced)

    def has(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which hashes, uint64 (n,), are in it: True for each that was put in, and for one in 2^b of the others."""
        if not self.count:
            return np.zeros(len(hashes), bool)
        wanted = _reduced(hashes, self.count, self.low_bits)
        place = np.minimum(np.searchsorted(self.values, wanted), self.count - 1)
        return np.asarray(self.values[place] == wanted)

    def packed(self) -> NDArray[np.uint8]:
        """As bytes: 8 of header (count and b, little-endian), the low bits, then the high bits as gaps."""
        header = np.array([(self.count, self.low_bits)], _HEADER)
        low = (self.values[:, None] >> np.arange(self.low_bits, dtype=np.uint64)) & np.uint64(1)
        high = np.zeros(2 * self.count, np.uint8)
        high[(self.values >> np.uint64(self.low_bits)).astype(np.int64) + np.arange(self.count)] = 1
        packed = [np.packbits(bits.astype(np.uint8), bitorder="little") for bits in (low.ravel(), high)]
        return np.concatenate([header.view(np.uint8), *packed])

    @staticmethod
    def unpacked(content: NDArray[np.uint8]) -> tuple[HashSet, NDArray[np.uint8]]:
        """The first set that was packed into bytes uint8 (n,), and the bytes after it. Raises ValueError if cut."""
        if len(content) < _HEADER.itemsize:
            raise ValueError("fingerprints are cut off")
        count, low_bits = (int(value) for value in content[: _HEADER.itemsize].view(_HEADER)[0])
        middle = _HEADER.itemsize + -(-count * low_bits // 8)
        end = middle + -(-2 * count // 8)
        if len(content) < end or not 1 <= low_bits <= 20:
            raise ValueError("fingerprints are cut off")
        bits = np.unpackbits(content[_HEADER.itemsize : middle], count=count * low_bits, bitorder="little")
        wide = np.zeros((count, 32), np.uint8)
        wide[:, :low_bits] = bits.reshape(count, low_bits)
        low = np.packbits(wide, axis=1, bitorder="little").view("<u4")[:, 0].astype(np.uint64)
        ones = np.flatnonzero(np.unpackbits(content[middle:end], bitorder="little"))
        if len(ones) != count:
            raise ValueError("fingerprints are damaged")
        high = (ones - np.arange(count)).astype(np.uint64)
        return HashSet(count=count, low_bits=low_bits, values=(high << np.uint64(low_bits)) | low), content[end:]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fingerprints:
    """What a model was trained on, as sets of hashes: one of each training that went into it.

    Example:
        >>> windows = np.arange(64).reshape(2, 32)
        >>> known = Fingerprints(sets=(HashSet.of(window_hashes(windows)),))
        >>> known.has(window_hashes(windows)).all(), len(known)
        (np.True_, 2)
    """

    sets: tuple[HashSet, ...] = ()

    def __len__(self) -> int:
        """Windows put in."""
        return sum(one.count for one in self.sets)

    def __or__(self, other: Fingerprints) -> Fingerprints:
        """Those of both: of a model that was trained on, after other data."""
        return Fingerprints(sets=self.sets + other.sets)

    def has(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which hashes, uint64 (n,), are in any of them."""
        return np.asarray(np.any([np.zeros(len(hashes), bool), *(one.has(hashes) for one in self.sets)], axis=0))

    def packed(self) -> NDArray[np.uint8]:
        """As bytes uint8 (n,), for a file; the same on every machine."""
        return np.concatenate([np.zeros(0, np.uint8), *(one.packed() for one in self.sets)])

    @staticmethod
    def unpacked(content: NDArray[np.uint8]) -> Fingerprints:
        """From bytes uint8 (n,). Raises ValueError if they are cut off or damaged."""
        sets = []
        while len(content):
            found, content = HashSet.unpacked(np.ascontiguousarray(content))
            sets.append(found)
        return Fingerprints(sets=tuple(sets))


# -- of windows --------------------------------------------------------------------------------------------------------


def fingerprints_of(tokenizer: Tokenizer, windows: NDArray[np.integer[Any]]) -> Fingerprints:
    """Of the windows that a model is trained on, (n, time) or (n, time, part)."""
    parts, several = compared_parts(tokenizer.alphabet), bool(tokenizer.alphabet.shape)
    hashes = []
    for first in range(0, len(windows), _CHUNK):
        chunk = np.asarray(windows[first : first + _CHUNK])
        hashes.append(window_hashes(chunk[..., parts] if several else chunk))
    return Fingerprints(sets=(HashSet.of(np.concatenate(hashes)),) if hashes else ())


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """What of some windows training had.

    Attributes:
        variant: Row of the tokenizer's augmentations in which training has a window: 0 as it is, −1 not at all; int64
            (n,).
        false_alarms: The share of windows that are not known and are yet found, at most.
    """

    variant: NDArray[np.int64]
    false_alarms: float

    @property
    def found(self) -> NDArray[np.bool_]:
        """bool (n,)."""
        return np.asarray(self.variant != NOT_FOUND)


def copies(tokenizer: Tokenizer, known: Fingerprints, windows: Tokens) -> Copies:
    """Which windows, int64 (n, time) or (n, time, part), training had, as they are or in a variant (a transposition).

    Compared is what a step says: of models with several parts neither the controls that they are given nor numbers
    (velocities, timing), so a drum pattern is copied whoever plays it; of models of nothing but numbers the numbers.
    """
    alphabet = tokenizer.alphabet
    variants, said = tokenizer.augmentations, windows
    if alphabet.shape:
        parts = compared_parts(alphabet)
        variants, said = variants[:, parts], windows[..., parts]
    first = np.sort(np.unique(variants, axis=0, return_index=True)[1])  # with and without controls they are the same
    found = np.full(len(windows), NOT_FOUND, np.int64)
    for row in first[::-1]:  # the first, which changes nothing, has the last word
        table = variants[row]
        varied = table[np.arange(len(table)), said] if alphabet.shape else table[said]
        found[known.has(window_hashes(varied))] = row
    rate = sum(2.0**-one.low_bits for one in known.sets)
    return Copies(variant=found, false_alarms=min(1.0, len(first) * rate))


def window_hashes(windows: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """A 64-bit hash of each window (n, …), the same on every machine and with every version of numpy: uint64 (n,).

    The sum of tokens times fixed numbers modulo 2^64, mixed (Steele, Lea and Flood 2014, SplitMix).
    """
    rows = windows.reshape(len(windows), int(np.prod(windows.shape[1:])))
    factors = _mixed(np.arange(1, rows.shape[1] + 1, dtype=np.uint64) * np.uint64(_GOLDEN)) | np.uint64(1)
    return _mixed((rows.astype(np.uint64) + np.uint64(1)) @ factors)


def compared_parts(alphabet: Alphabet) -> NDArray[np.int64]:
    """The parts that are compared, int64 (parts,): symbols that are drawn; where there are none, all that is drawn."""
    if alphabet.judged.any():
        return np.flatnonzero(alphabet.judged)
    return np.flatnonzero([not part.given for part in alphabet.parts])


# -- helpers -----------------------------------------------------------------------------------------------------------


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A one-to-one map of 64 bits in which every bit depends on all."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return np.asarray(values ^ (values >> np.uint64(31)))


def _reduced(hashes: NDArray[np.uint64], count: int, low_bits: int) -> NDArray[np.uint64]:
    """Hashes to 0 … count · 2^b − 1, keeping their order: the high word of hash · count · 2^b, of which 2^b fits."""
    # 64 bits by 52 are 116: the product of the upper 32 bits, and what the lower ones carry into it.
    count64, shift = np.uint64(count), np.uint64(32)
    upper, lower = (hashes >> shift) * count64, (hashes & np.uint64(0xFFFFFFFF)) * count64
    top = upper + (lower >> shift)  # hash · count / 2^32, below 2^64
    return np.asarray(top >> np.uint64(32 - low_bits))
