"""What models of grooves are for: playing a straight drum pattern, and putting a kit to a rhythm.

Both are models whose decoder is told a part of the pattern (`tokenizers.groove`). At the mean of all training data's z
it plays in the usual way; the further z is from there, the more it is one drummer's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from seqvae.clip import Clip, Track
from seqvae.errors import DataError
from seqvae.passage import Passage
from seqvae.tokenizers import GrooveTokenizer
from seqvae.tokenizers.grid import find_track
from seqvae.tokenizers.percussion import WRITTEN

if TYPE_CHECKING:
    from seqvae.model import Model

Control = Literal["hits", "tap"]
PRESET_OF: dict[Control, str] = {"hits": "groove-2bar-humanize", "tap": "groove-2bar-drumify"}
TAP_PITCH = int(WRITTEN[1])


def humanize(
    model: Model,
    clip: Clip,
    n: int = 1,
    *,
    amount: float = 0.5,
    temperature: float = 0.0,
    seed: int = 0,
    track: str | None = None,
) -> list[Passage]:
    """n performances of a drum pattern: its hits, with velocity and timing of the model's.

    Args:
        model: One whose control is `hits`.
        clip: Drums of any length; how loud and how exactly they are played does not matter.
        n: How many.
        amount: 0 is the usual way to play it, each time the same; 1 a drummer drawn from all there were.
        temperature: 0 plays exactly what z says, above there is chance in every hit.
        seed: Decides what is drawn.
        track: Which track, by number or name; all drum tracks without.

    Raises:
        DataError: The clip has no drums, or the model is of another kind.

    Example:
        >>> model = load("groove-2bar-humanize")  # doctest: +SKIP
        >>> humanize(model, Clip.load("pattern.mid"))[0].item.save("played.mid")  # doctest: +SKIP
    """
    _check(model, "hits", "humanize")
    passage = model.passage(clip, track)
    made = _performances(model, passage, n, amount=amount, temperature=temperature, seed=seed, verb="humanize")
    return [_with_pitches_of(passage, one, model) for one in made]


def drumify(
    model: Model,
    clip: Clip,
    n: int = 1,
    *,
    amount: float = 0.5,
    temperature: float = 0.0,
    seed: int = 0,
    track: str | None = None,
) -> list[Passage]:
    """n performances of a whole kit to a rhythm: the onsets of any track.

    Args:
        model: One whose control is `tap`.
        clip: Of any length.
        n, amount, temperature, seed: As in `humanize`.
        track: Whose onsets; "all" for those of every track. Without it the drum tracks, or the one track there is.

    Raises:
        DataError: There are several tracks to choose from, or no notes, or the model is of another kind.
    """
    _check(model, "tap", "drumify")
    passage = model.passage(tapped(clip, track))
    return _performances(model, passage, n, amount=amount, temperature=temperature, seed=seed, verb="drumify")


def tapped(clip: Clip, track: str | None = None) -> Clip:
    """The rhythm of a clip as one hand would tap it: one drum track, one pitch. `track` as in `drumify`.

    Raises:
        DataError: There are several tracks to choose from, or no notes.
    """
    sounding = [index for index, found in enumerate(clip.tracks) if len(found.notes)]
    if not sounding:
        raise DataError(f"{clip.name or 'clip'}: it has no notes, and a rhythm is asked for; give another file")
    drums = [index for index in sounding if clip.tracks[index].is_drum]
    if track is not None and track != "all":
        chosen = [find_track(clip, track, "rhythm", drums=True)]
    else:
        chosen = sounding if track == "all" else drums or sounding
    if track is None and not drums and len(sounding) > 1:
        listing = ", ".join(f"{index} {clip.tracks[index].name or 'unnamed'}" for index in sounding)
        found = f"{clip.name or 'clip'}: any of {len(sounding)} tracks could be the rhythm ({listing})"
        raise DataError(f'{found}; choose one with --track, or "all"')
    notes = np.concatenate([clip.tracks[index].notes for index in chosen])
    notes = notes[np.argsort(notes["start_beats"], kind="stable")]
    notes["pitch"] = TAP_PITCH
    return replace(clip, tracks=(Track(notes=notes, is_drum=True, name="drums"),), provenance=None)


def refuse_alone(model: Model) -> None:
    """Raises `DataError` if the model plays to a pattern: out of nothing it plays nothing."""
    if isinstance(model.tokenizer, GrooveTokenizer) and model.tokenizer.control != "none":
        verb = {"hits": "humanize", "tap": "drumify"}[model.tokenizer.control]
        found = f"{model.name}: it plays to a pattern that it is given, and draws none"
        raise DataError(f"{found}; give it one with `seqvae groove {verb}`, or choose another --model")


def _check(model: Model, control: Control, verb: str) -> None:
    tokenizer = model.tokenizer
    if isinstance(tokenizer, GrooveTokenizer) and tokenizer.control == control:
        return
    kind = f"{tokenizer.kind} without that control" if isinstance(tokenizer, GrooveTokenizer) else tokenizer.kind
    found = f"{model.name}: it is a model of {kind} and cannot {verb}"
    raise DataError(f"{found}; choose one of the preset {PRESET_OF[control]} with --model")


def _performances(
    model: Model, passage: Passage, n: int, *, amount: float, temperature: float, seed: int, verb: str
) -> list[Passage]:
    """n passages under the passage's controls; one z a performance, so that its windows are of one drummer."""
    if n < 1 or not 0.0 <= amount <= 1.0:
        raise DataError(f"{n} performances by an amount of {amount:g} are asked for; give 1 or more, and 0 to 1")
    mean = model.aggregate.mean
    drawn = mean + amount * (model.draw(n, seed=seed).astype(np.float64) - mean)
    z = np.repeat(drawn[:, None].astype(np.float32), len(passage.tokens), axis=1)
    controls = [model.control_of(passage.tokens)] * n
    return model.render(z, [passage.styles] * n, controls, temperature=temperature, seed=seed, verb=verb)


def _with_pitches_of(source: Passage, made: Passage, model: Model) -> Passage:
    """The performance on the very drums that the source has: a rim shot stays one, and is not any snare."""
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, GrooveTokenizer)
    windows = [_repitched(tokenizer, *pair) for pair in zip(source.windows, made.windows, strict=True)]
    item = replace(tokenizer.join(windows), provenance=made.item.provenance)
    return replace(made, windows=windows, item=item)


def _repitched(tokenizer: GrooveTokenizer, source: Clip, made: Clip) -> Clip:
    there, steps = tokenizer.notes_on_grid(source)
    pitches = np.zeros((tokenizer.length, len(WRITTEN)), np.int64)
    loudest_last = np.argsort(there.notes["velocity"], kind="stable")
    pitches[steps[loudest_last], there.classes[loudest_last]] = there.notes["pitch"][loudest_last]
    here, steps = tokenizer.notes_on_grid(made)
    notes = here.notes.copy()
    notes["pitch"] = pitches[steps, here.classes]
    return made.with_notes([notes])
