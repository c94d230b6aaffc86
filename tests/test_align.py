"""The grid's phase and the bar lines are found again after a clip was moved off them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvae.align import align, grid_fit, grid_shift, later, metrical_pattern, pickup_shift, with_whole_pickup
from seqvae.clip import Clip, MeterChange, TempoChange

FOUR = MeterChange(0.0, 4, 4)


def march(bars: int = 8, seed: int = 0) -> Clip:
    """Long notes on the bar lines, shorter ones on the beats, some sixteenths: nobody doubts where a bar begins."""
    rng = np.random.default_rng(seed)
    notes = []
    for bar in range(bars):
        notes += [(4.0 * bar, 4.0 * bar + 2, 48, 90), (4.0 * bar + 2, 4.0 * bar + 3, 55, 80)]
        notes += [
            (4.0 * bar + 3 + step / 4, 4.0 * bar + 3.25 + step / 4, int(rng.integers(60, 72)), 70) for step in (0, 2)
        ]
    return Clip.from_notes(notes)


def starts(clip: Clip) -> list[float]:
    return [round(float(beat), 6) for beat in clip.tracks[0].notes["start_beats"]]


@given(st.floats(0, 1.9), st.integers(0, 5))
def test_a_moved_clip_comes_back(beats: float, seed: int) -> None:
    clip = march(seed=seed)
    back = align(later(clip, beats, clip.meters), 4)
    moved = np.array(starts(back)) - starts(clip)
    np.testing.assert_allclose(moved, moved[0], atol=1e-5)
    assert moved[0] % 4 == pytest.approx(0, abs=1e-5) or moved[0] % 4 == pytest.approx(4, abs=1e-5)
    assert min(starts(back)) >= 0 and back.length_beats % 4 == 0


@given(st.floats(0, 4, exclude_max=True))
def test_aligning_is_a_projection(beats: float) -> None:
    once = align(later(march(), beats, (FOUR,)), 4)
    twice = align(once, 4)
    np.testing.assert_allclose(starts(once), starts(twice), atol=1e-5)


def test_free_timing_stays_as_it_is() -> None:
    rng = np.random.default_rng(1)
    clip = Clip.from_notes([(beat, beat + 0.3, 60, 80) for beat in np.sort(rng.uniform(0, 64, 200))])
    assert grid_shift(clip, 4) is None and align(clip, 4) is clip
    assert grid_fit(clip, 4) == "free"


def test_fits() -> None:
    assert grid_fit(march(), 4) == "on"
    assert grid_fit(later(march(), 0.1, (FOUR,)), 4) == "shifted"
    triplets = Clip.from_notes([(n / 3, (n + 1) / 3, 60 + n % 5, 80) for n in range(48)])
    assert grid_fit(triplets, 4) == "triplets"
    assert grid_fit(triplets, 12) == "on"
    assert grid_fit(Clip(), 4) == "on" and grid_fit(Clip.from_notes([]), 4) == "on"


def test_no_notes_no_shift() -> None:
    assert grid_shift(Clip(), 4) is None


def test_a_shift_by_less_than_half_a_bar_is_not_a_bar_too_late() -> None:
    # Moved 0.6 beats later, the clip's bar lines are at 0.6, 4.6, ...: 0.6 beats earlier puts all right.
    assert grid_shift(later(march(), 0.6, (FOUR,)), 4) == pytest.approx(-0.6)


def test_notes_never_come_before_the_beginning() -> None:
    early = replace(march(), meters=(FOUR,))
    cut = early.cut(3.0, 32.0)  # its first bar line is at 1; the two notes before it need a bar of their own
    back = align(cut, 4)
    assert starts(back)[0] == 3.0 and starts(back)[2] == 4.0


@pytest.mark.parametrize(
    ("meter", "expected"),
    [
        ((4, 4), [4, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0]),
        ((3, 4), [4, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0]),
        ((6, 8), [4, 0, 2, 0, 2, 0, 3, 0, 2, 0, 2, 0]),
        ((2, 4), [4, 0, 1, 0, 2, 0, 1, 0]),
    ],
)
def test_metrical_pattern(meter: tuple[int, int], expected: list[float]) -> None:
    assert metrical_pattern(MeterChange(0.0, *meter), 4).tolist() == expected


def test_pickups_get_a_whole_bar() -> None:
    clip = replace(
        Clip.from_notes([(0, 1, 60, 80), (1, 3, 62, 80), (3, 5, 64, 80)]),
        length_beats=5.0,
        meters=(FOUR, MeterChange(1.0, 4, 4), MeterChange(5.0, 3, 4)),
        tempos=(TempoChange(0.0, 90.0), TempoChange(2.0, 100.0)),
    )
    assert pickup_shift(clip) == 3.0
    whole = with_whole_pickup(clip)
    assert starts(whole) == [3.0, 4.0, 6.0]
    assert whole.meters == (FOUR, MeterChange(8.0, 3, 4)) and whole.length_beats == 8.0
    assert whole.tempos == (TempoChange(0.0, 90.0), TempoChange(5.0, 100.0))
    assert with_whole_pickup(whole) is whole


@pytest.mark.parametrize("meters", [(FOUR,), (FOUR, MeterChange(4.0, 4, 4)), (FOUR, MeterChange(1.0, 3, 4))])
def test_what_is_no_pickup(meters: tuple[MeterChange, ...]) -> None:
    clip = replace(march(), meters=meters)
    assert pickup_shift(clip) == 0.0 and with_whole_pickup(clip) is clip


def test_a_tempo_at_the_beginning_is_not_told_twice() -> None:
    moved = later(march(), 1.5, (FOUR,))
    assert moved.tempos == (TempoChange(0.0, 120.0),)
