"""Repair: the steps of an item that a model finds wrong, and what it would have in their place; the others stay.

A model is an account of what is usual: the loss it was trained on, −ln p(x|z) + β·KL, says how many nats an item costs.
A wrong note makes its window dearer than the right one did, so a step is changed where another token there makes it
cheaper by more than a price: ln V nats, what it takes to name one of V tokens by chance. So the likeliest item is
found, if a wrong token is any token. Encoding and decoding alone repairs little: a good autoencoder has a code for
wrong notes too (docs/repair.md has figures).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.clip import grid_steps
from seqvae.errors import DataError
from seqvae.latent import Z
from seqvae.passage import Passage
from seqvae.tokenizers import DrumTokenizer, MelodyTokenizer, Tokenizer, Tokens, onsets
from seqvae.tokenizers.percussion import classes_of

if TYPE_CHECKING:
    from torch import Tensor

    from seqvae.model import Model

STRENGTH = 1.0
"""How many times ln V nats a change must save, V the tokens of its part."""

REMOVAL = 0.5
"""Nats more for taking an event away: fewer events are always cheaper to say, also where all of them are right."""

DRAWS = 4
"""Of z, in pairs mean ± noise, the same noise for every sequence: what differs between two costs is the sequences."""

FINALISTS, PROPOSALS = 6, 8
"""Positions that are looked at, those most in doubt; and tokens that are tried at each."""

LEAST = 0.01
"""Nats that count: less than that is the rounding of the network's products."""

ROWS = 512
"""Sequences that go through the decoder at once."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One token that a repair changed.

    Attributes:
        window: Which window, from 0. step: which step of it. part: which part of the step, 0 where it has one.
        was, now: The tokens.
        where: The place in words, such as `bar 2 beat 1.5`; of a step with several parts also the part's name.
        was_named, now_named: The tokens in words.
        nats: How much dearer the repaired window would be with the old token there.
    """

    window: int
    step: int
    part: int
    was: int
    now: int
    where: str
    was_named: str
    now_named: str
    nats: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Repair:
    """A repaired item.

    Attributes:
        item: The item; the very one that was given where nothing was changed.
        changes: What was changed, in time order.
        given: The passage before. made: and after.
    """

    item: Any
    changes: list[Change]
    given: Passage
    made: Passage


def repair(model: Model, item: Any, *, strength: float = STRENGTH, track: str | None = None) -> Repair:
    """Changes the steps of an item that the model finds wrong, and leaves the others.

    Args:
        model: Of any kind of sequence.
        item: Of any length, repaired window by window.
        strength: How many times ln V nats a change must save, where its part has V tokens (of melodies 90, so that 1 is
            4.5 nats); less changes more.
        track: Which track, as in `Model.passage`.

    Raises:
        DataError: The strength is not above 0, or the model's kind cannot read the item.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> found = repair(model, Clip.load("a.mid"))  # doctest: +SKIP
        >>> found.item.save("repaired.mid"), [change.where for change in found.changes]  # doctest: +SKIP
    """
    return repair_passage(model, model.passage(item, track, re_encode=True), strength=strength)


def repair_passage(model: Model, given: Passage, *, strength: float = STRENGTH) -> Repair:
    """`repair` of an item that is cut into windows already."""
    made = repair_tokens(model, given.tokens, strength=strength)
    changed = (made != given.tokens).reshape(len(made), -1).any(axis=1)
    if not changed.any():
        return Repair(item=given.item, changes=[], given=given, made=given)
    windows = [
        _in_place(model.tokenizer, window, model.tokenizer.decode(tokens, style), tokens) if new else window
        for tokens, style, window, new in zip(made, given.styles, given.windows, changed, strict=True)
    ]
    passage = replace(given, windows=windows, tokens=made, z=model.network.posterior(made)[0])
    item = model.join([passage], temperature=0.0, seed=0, verb="repair")
    return Repair(
        item=item, changes=changes_of(model, given.tokens, made), given=given, made=replace(passage, item=item)
    )


def repair_tokens(model: Model, tokens: Tokens, *, strength: float = STRENGTH) -> Tokens:
    """`repair` of windows: int64 (windows, time) or (windows, time, part), canonical, to the same.

    Raises:
        DataError: The strength is not above 0.
    """
    if not 0.0 < strength < float("inf"):
        raise DataError(f"the strength is {strength:g}; give a number above 0, such as {STRENGTH:g}; less changes more")
    found = [_repaired(model, window, strength * prices(model)) for window in tokens]
    return np.stack(found) if found else tokens


def prices(model: Model) -> NDArray[np.float64]:
    """The nats that name a token of each part by chance, ln V: float64 () or (parts,)."""
    alphabet = model.tokenizer.alphabet
    return np.log([part.size for part in alphabet.parts]).reshape(alphabet.shape)


def changes_of(model: Model, before: Tokens, after: Tokens) -> list[Change]:
    """Every token that counts and differs: (windows, time) or (windows, time, part) both."""
    tokenizer = model.tokenizer
    alphabet = tokenizer.alphabet
    lengths = alphabet.lengths(before)
    if alphabet.end is not None:
        lengths -= (before == alphabet.end).any(axis=1)
    firsts = np.cumsum(lengths) - lengths  # where each window begins in the whole
    places = np.argwhere((before != after) & alphabet.counted(before))
    undone = after[places[:, 0]]
    undone[(np.arange(len(places)), *places.T[1:])] = before[tuple(places.T)]
    dearer = cost(model, undone) - cost(model, after)[places[:, 0]] if len(places) else np.zeros(0)
    found = []
    for at, nats in zip(places.tolist(), dearer, strict=True):
        window, step, *rest = at
        part = rest[0] if rest else 0
        where, (was, now) = (
            tokenizer.step_name(int(firsts[window]) + step),
            (int(t[tuple(at)]) for t in (before, after)),
        )
        found.append(
            Change(
                window=window,
                step=step,
                part=part,
                was=was,
                now=now,
                where=f"{where} {alphabet.parts[part].name}" if rest else where,
                was_named=tokenizer.token_name(was, part),
                now_named=tokenizer.token_name(now, part),
                nats=float(nats),
            )
        )
    return found


def cost(model: Model, tokens: Tokens) -> NDArray[np.float64]:
    """What the model was trained to make small: −ln p(x|z) + β·KL in nats, the first a mean over draws of z.

    int64 (n, time) or (n, time, part) → float64 (n,).
    """
    mean, std = model.network.posterior(tokens)
    half = np.random.default_rng(0).standard_normal((DRAWS // 2, model.z_size)).astype(np.float32)
    noise = np.concatenate([half, -half])
    nll = np.zeros(len(tokens))

    def read(rows: slice, logits: Tensor, target: Tensor) -> None:
        each = model.vae.head.nll(logits, target).sum(1).double().cpu().numpy()
        nll[rows.start // DRAWS : rows.stop // DRAWS] = each.reshape(-1, DRAWS).mean(axis=1)

    z = (mean[:, None] + std[:, None] * noise).reshape(-1, model.z_size)
    _forced(model, z, np.repeat(tokens, DRAWS, axis=0), read)
    return nll + model.preset.objective.beta * _divergence(mean, std)


# -- inside ------------------------------------------------------------------------------------------------------------


def _in_place(tokenizer: Tokenizer, played: Any, written: Any, tokens: Tokens) -> Any:
    """The window `written` of `tokens`, but with notes that are in `played` too as they were played, off the grid."""
    if (
        not isinstance(tokenizer, (MelodyTokenizer, DrumTokenizer))
        or sum(bool(len(t.notes)) for t in played.tracks) != 1
    ):
        return written
    (line,) = (track.notes for track in played.tracks if len(track.notes))
    drums = tokenizer.kind == "drums"

    def on_grid(notes: NDArray[np.void]) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
        starts, ends = grid_steps(notes, tokenizer.steps_per_beat)
        heights = classes_of(notes["pitch"]) if drums else notes["pitch"]
        return list(zip(starts.tolist(), heights.tolist(), strict=True)), ends

    places, ends = on_grid(line)
    index_of = {place: index for index, place in enumerate(places)}
    notes = written.tracks[0].notes.copy()
    for row, (place, end) in enumerate(zip(*on_grid(notes), strict=True)):
        index = index_of.get(place)
        if index is not None:
            until = notes[row]["end_beats"]
            notes[row] = line[index]
            if not drums and ends[index] != end:  # the note after it came or went
                notes[row]["end_beats"] = until
    kept = written.with_notes([notes])
    return kept if np.array_equal(tokenizer.encode(kept), tokens) else written


def _repaired(model: Model, given: Tokens, price: NDArray[np.float64]) -> Tokens:
    """One window, (time,) or (time, part): greedy descent on its cost plus the price of what is not as given.

    It ends where no edit that is tried helps, so that a repaired window stays as it is when it is repaired again.
    """
    now = given
    while True:
        edits = _edits(model, now)
        before = now
        while len(edits):
            gains = _gains(model, now, edits, given, price)
            best = int(gains.argmax())
            if gains[best] < LEAST:
                break
            now = _edited(model, now, edits[[best]])[0]
            elsewhere = (edits[:, :2] != edits[best, :2]).any(axis=1)
            edits = edits[elsewhere & (gains > -price.max())]
        if np.array_equal(before, now):
            return now


def _edits(model: Model, window: Tokens) -> NDArray[np.int64]:
    """Edits worth a try, (edits, 3) of step, part and token: the likeliest tokens at the positions most in doubt.

    A position is in doubt by what its token costs: the window's cost, less what the others cost when it is blank. A
    token is likely by what the decoder says there then. Where nothing happens nothing is in doubt, and no event is put
    there.
    """
    alphabet, beta = model.tokenizer.alphabet, model.preset.objective.beta
    blanks = _blanks(model, window, _positions(model, window))
    if alphabet.end is None:
        steps, parts, tokens = blanks.T
        blanks = blanks[window[(steps, parts)[: window.ndim]] != tokens]
    if not len(blanks):
        return np.zeros((0, 3), np.int64)
    rows = _edited(model, window, blanks)
    mean, std = model.network.posterior(rows)
    nll, scores = _around(model, mean, rows, blanks[:, :2])
    order = np.argsort(nll + beta * _divergence(mean, std), kind="stable")[:FINALISTS]
    found = []
    for place in order:
        step, part, blank = blanks[place].tolist()
        kept = (alphabet.end, getattr(model.tokenizer, "unknown", None), int(window[(step, part)[: window.ndim]]))
        likeliest = [token for token in np.argsort(-scores[place], kind="stable").tolist() if token not in kept]
        tokens = [*([blank] if alphabet.end is None else []), *likeliest]
        found += [(step, part, token) for token in dict.fromkeys(tokens[:PROPOSALS])]
    return np.array(found, np.int64)


def _positions(model: Model, window: Tokens) -> NDArray[np.int64]:
    """Where a token may change, (positions, 2): each step and part that counts, but no end."""
    alphabet = model.tokenizer.alphabet
    counted = alphabet.counted(window[None])[0]
    if alphabet.end is not None:
        counted = counted & (window != alphabet.end)
    places = np.argwhere(counted)
    return places if alphabet.shape else np.column_stack([places, np.zeros_like(places)])


def _blanks(model: Model, window: Tokens, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """At each place what says least, as edits: nothing; in a text an unknown word, or the likeliest other letter."""
    blank = 0 if model.tokenizer.alphabet.end is None else getattr(model.tokenizer, "unknown", None)
    if blank is not None or not len(places):
        return np.column_stack([places, np.full(len(places), blank or 0)])
    mean, _ = model.network.posterior(window[None])
    rows = np.repeat(window[None], len(places), axis=0)
    scores = np.stack(_around(model, np.repeat(mean, len(places), axis=0), rows, places)[1])
    scores[np.arange(len(places)), window[places[:, 0]]] = -np.inf
    scores[:, model.tokenizer.alphabet.end] = -np.inf
    return np.column_stack([places, scores.argmax(axis=1)])


def _edited(model: Model, window: Tokens, edits: NDArray[np.int64]) -> Tokens:
    """The window with each edit alone, canonical: (edits, time) or (edits, time, part)."""
    rows = np.repeat(window[None], len(edits), axis=0)
    steps, parts, tokens = edits.T
    rows[(np.arange(len(edits)), steps, parts)[: rows.ndim]] = tokens
    return model.tokenizer.canonical(rows)


def _gains(
    model: Model, now: Tokens, edits: NDArray[np.int64], given: Tokens, price: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each edit saves, less the price of what it changes of `given`; −inf if controls or length would differ."""
    rows = np.concatenate([now[None], _edited(model, now, edits)])
    alphabet, mask = model.tokenizer.alphabet, model.tokenizer.onset_mask
    differs = (rows != given) & alphabet.counted(given[None])
    removed = differs & onsets(mask, given) & ~onsets(mask, rows)
    other = (alphabet.controls_of(rows) != alphabet.controls_of(given)).reshape(len(rows), -1).any(axis=1)
    other |= alphabet.lengths(rows) != alphabet.lengths(given[None])
    total = cost(model, rows) + (differs * price + removed * REMOVAL).reshape(len(rows), -1).sum(axis=1)
    total[other] = np.inf
    return np.asarray(total[0] - total[1:])


def _divergence(mean: Z, std: Z) -> NDArray[np.float64]:
    """KL(q(z|x) ‖ N(0, I)) in nats: float32 (n, z) both → float64 (n,)."""
    variance = np.square(np.float64(std))
    return np.asarray(0.5 * (np.square(np.float64(mean)) + variance - np.log(variance) - 1.0).sum(axis=1))


def _around(
    model: Model, z: Z, rows: Tokens, places: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
    """What the decoder says of rows, each without one place, (rows, 2) of step and part.

    −ln p(x|z) of all other steps, float64 (rows,), and the logits at the place, float32 (size of the part,) each.
    """
    columns = {}
    for block in model.vae.head.blocks:
        for index in range(0 if block.number else block.width):
            left = block.columns.start + index * block.size
            columns[block.first + index] = slice(left, left + block.size)
    nll, scores = np.zeros(len(rows)), list[NDArray[np.float32]]()

    def read(chunk: slice, logits: Tensor, target: Tensor) -> None:
        each = model.vae.head.nll(logits, target).double().cpu().numpy()
        said = logits.float().cpu().numpy()
        for row, (step, part) in enumerate(places[chunk].tolist()):
            each[row, step] = 0.0
            scores.append(said[row, step, columns[part]])
        nll[chunk] = each.sum(axis=1)

    _forced(model, z, rows, read)
    return nll, scores


def _forced(model: Model, z: Z, tokens: Tokens, read: Callable[[slice, Tensor, Tensor], None]) -> None:
    """Gives `read` what the decoder says of true tokens given z (n, z), some rows at a time, up to the last end."""
    import torch

    from seqvae.runtime import single_threaded

    steps = int(model.tokenizer.alphabet.lengths(tokens).max(initial=1))
    with torch.inference_mode(), single_threaded():
        for left in range(0, len(tokens), ROWS):
            rows = slice(left, min(left + ROWS, len(tokens)))
            target = torch.from_numpy(tokens[rows, :steps]).to(model.device)
            read(rows, model.vae.logits(torch.from_numpy(z[rows]).to(model.device), target), target)
