"""Grooves: velocity and timing on the grid, what is given to the decoder, the corpus, the verbs, the errors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.config import load_preset, with_settings
from seqvae.corpus import prepare
from seqvae.dataset import Dataset
from seqvae.errors import ConfigError, DataError
from seqvae.evaluate.groove import groove_errors, nearest, nearest_rhythm, quantised, usual
from seqvae.loading import load
from seqvae.model import Model
from seqvae.perform import drumify, humanize, tapped
from seqvae.tokenizers import GrooveTokenizer, Tokens
from seqvae.train import train

SCRIPTS = Path(__file__).resolve().parent.parent / "data_scripts"
GROOVES = [
    GrooveTokenizer(),
    GrooveTokenizer(bars=1, meter="6/8"),
    GrooveTokenizer(bars=1, steps_per_beat=12),
    GrooveTokenizer(bars=1, control="hits"),
    GrooveTokenizer(bars=1, control="tap"),
]
each_groove = pytest.mark.parametrize("tokenizer", GROOVES, ids=lambda t: f"{t.meter} /{t.steps_per_beat} {t.control}")


def kit(*notes: tuple[float, float, int, int], beats: float = 8.0) -> Clip:
    """A clip with one drum track."""
    return Clip(tracks=(Track(notes=notes_array(notes), is_drum=True),), length_beats=beats, name="a.mid")


def tokens_of(tokenizer: GrooveTokenizer, seed: int, density: float = 0.3) -> Tokens:
    """Any tokens, canonical or not."""
    rng = np.random.default_rng(seed)
    sizes = [part.size for part in tokenizer.alphabet.parts]
    tokens = rng.integers(sizes, size=(tokenizer.length, len(sizes)))
    tokens[:, tokenizer.hits] = rng.random((tokenizer.length, 9)) < density
    return tokens


# -- laws --------------------------------------------------------------------------------------------------------------


@each_groove
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.0, 0.1, 0.9]))
def test_encode_undoes_decode(tokenizer: GrooveTokenizer, seed: int, density: float) -> None:
    tokens = tokens_of(tokenizer, seed, density)
    canonical = tokenizer.canonical(tokens)
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.decode(tokens)), canonical)
    np.testing.assert_array_equal(tokenizer.canonical(canonical), canonical)
    struck = canonical[:, tokenizer.hits] > 0
    assert (canonical[:, tokenizer.loudness] > 0).tolist() == struck.tolist()


@each_groove
def test_reads_back_what_it_writes(tokenizer: GrooveTokenizer, tmp_path: Path) -> None:
    """To the tick: a file has 480 to the beat, and so has the timing."""
    for seed in range(4):
        tokens = tokens_of(tokenizer, seed)
        tokenizer.write(tokenizer.decode(tokens), tmp_path / "a.mid", overwrite=True)
        np.testing.assert_array_equal(tokenizer.encode(tokenizer.read(tmp_path / "a.mid")), tokenizer.canonical(tokens))


@given(
    st.lists(
        st.tuples(st.integers(0, 3839), st.sampled_from([36, 38, 42, 40, 88]), st.integers(1, 127)),
        min_size=1,
        max_size=40,
    )
)
def test_a_performance_on_ticks_comes_back_to_the_tick(played: list[tuple[int, int, int]]) -> None:
    """Worked the slow way: of each cell (step, class) the loudest, of equals the first; its tick but for the edges."""
    tokenizer = GrooveTokenizer()
    clip = kit(*((tick / 480, tick / 480 + 0.1, pitch, velocity) for tick, pitch, velocity in played))
    class_of = {36: 0, 38: 1, 40: 1, 42: 2}
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    for tick, pitch, velocity in played:
        step = (tick + 60) // 120
        if pitch in class_of and step < 32:
            late = min(max(tick - 120 * step, -59 if step else 0), 59)
            best = cells.get((step, class_of[pitch]), (0, 0))
            cells[step, class_of[pitch]] = max(best, (velocity, -late))
    tokens = tokenizer.encode(clip)
    found = {
        (int(step), int(of)): (int(tokens[step, 9 + of]), 59 - int(tokens[step, 18 + of]))
        for step, of in zip(*np.nonzero(tokens[:, :9]), strict=True)
    }
    assert found == cells


@given(seed=st.integers(0, 2**32 - 1))
def test_windows_are_the_pieces_encoded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 24, 40)
    clip = kit(
        *(
            (s, s + 0.2, int(p), int(v))
            for s, p, v in zip(starts, rng.integers(35, 52, 40), rng.integers(1, 128, 40), strict=True)
        ),
        beats=24.0,
    )
    for control in ("none", "tap"):
        tokenizer = GrooveTokenizer(min_onsets=0, hop_bars=2, control=control)
        found, pieces = tokenizer.windows(clip), tokenizer.split(clip)
        np.testing.assert_array_equal(found.tokens, np.stack([tokenizer.encode(piece) for piece in pieces]))


# -- worked cases ------------------------------------------------------------------------------------------------------


def test_velocity_and_timing_of_a_hit() -> None:
    """Beat 1 is tick 480, step 4; 12 ticks late of 120 is a tenth of a step."""
    tokenizer = GrooveTokenizer(bars=1)
    tokens = tokenizer.encode(kit((1 + 12 / 480, 2, 38, 99), (1, 2, 40, 20), (2 - 30 / 480, 3, 36, 5)))
    assert tokens.shape == (16, 27)
    assert np.argwhere(tokens).tolist() == [[4, 1], [4, 10], [4, 19], [8, 0], [8, 9], [8, 18]]
    assert tokens[4, [1, 10, 19]].tolist() == [1, 99, 59 + 12]
    assert tokens[8, [0, 9, 18]].tolist() == [1, 5, 59 - 30]
    names = [tokenizer.token_name(int(tokens[8, part]), part) for part in (0, 9, 18)]
    assert names == ["kick", "velocity 5", "early 30"] and tokenizer.token_name(59, 18) == "on time"


def test_the_alphabet_says_what_is_given_and_what_gates_what() -> None:
    for control, given_parts, first in (("none", 0, 0), ("hits", 9, 0), ("tap", 1, 1)):
        tokenizer = GrooveTokenizer(control=control)
        parts = tokenizer.alphabet.parts
        assert [part.given for part in parts] == [True] * given_parts + [False] * (len(parts) - given_parts)
        assert [part.gate for part in parts[first:]] == [None] * 9 + [*range(first, first + 9)] * 2
        assert [part.size for part in parts[first:]] == [2] * 9 + [128] * 9 + [119] * 9
        mask = tokenizer.onset_mask
        assert np.argwhere(mask).tolist() == [[first + part, 1] for part in range(9)]


def test_a_tap_is_the_rhythm_of_the_loudest() -> None:
    tokenizer = GrooveTokenizer(bars=1, control="tap")
    tokens = tokenizer.encode(kit((1, 2, 36, 50), (1 + 50 / 480, 2, 42, 90), (2, 3, 42, 9)))
    assert np.flatnonzero(tokens[:, 0]).tolist() == [4, 8]
    assert tokens[8, 0] == 1 + 8  # on the grid: the middle of 17
    assert tokens[4, 0] == 1 + int((59 + 50) / 119 * 17)
    assert tokenizer.token_name(int(tokens[8, 0])) == "tap +0" and tokenizer.token_name(0) == "rest"


def test_straight_has_the_hits_alone() -> None:
    tokenizer = GrooveTokenizer(bars=1)
    played = tokenizer.encode(kit((0, 1, 36, 99), (1.06, 2, 38, 20)))
    straight = tokenizer.straight(played, velocity=70)
    np.testing.assert_array_equal(straight[:, :9], played[:, :9])
    assert set(straight[:, 9:18][played[:, :9] > 0]) == {70} and set(straight[:, 18:][played[:, :9] > 0]) == {59}


def test_a_grid_that_ticks_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps_per_beat is 7 and timing needs a divisor of 240"):
        GrooveTokenizer(steps_per_beat=7)


# -- errors and baselines ----------------------------------------------------------------------------------------------


def test_errors_of_a_hand_made_pair() -> None:
    """One shared hit: 10 softer, 12 ticks (a tenth of a step) later; at 60 qpm a step is 250 ms. F1 2·1 / (2 + 2)."""
    tokenizer = GrooveTokenizer(bars=1)
    played = tokenizer.encode(kit((1, 2, 36, 90), (2, 3, 38, 90)))[None]
    made = tokenizer.encode(kit((1 + 12 / 480, 2, 36, 80), (3, 4, 38, 90)))[None]
    errors = groove_errors(tokenizer, made, played, np.array([60.0]))
    assert (errors.velocity, errors.cells, errors.hit_f1) == (10.0, 1, 0.5)
    assert errors.timing_steps == pytest.approx(0.1) and errors.timing_ms == pytest.approx(25.0)
    assert groove_errors(tokenizer, played, played).hit_f1 == 1.0
    nothing = groove_errors(tokenizer, np.zeros_like(played), played)
    assert nothing.cells == 0 and np.isnan(nothing.velocity)


def test_baselines_know_train_alone() -> None:
    tokenizer = GrooveTokenizer(bars=1)
    train_windows = np.stack(
        [
            tokenizer.encode(kit((1 + 24 / 480, 2, 36, 100), (2, 3, 38, 60))),
            tokenizer.encode(kit((1, 2, 36, 20), (3, 4, 38, 20), (3.5, 4, 42, 20))),
        ]
    )
    played = tokenizer.encode(kit((1, 2, 36, 1), (2, 3, 38, 2)))[None]
    flat = quantised(tokenizer, train_windows, played)
    assert set(flat[..., 9:18][flat[..., :9] > 0]) == {44}  # (100 + 60 + 20 + 20 + 20) / 5
    assert set(flat[..., 18:][flat[..., :9] > 0]) == {59}
    near = nearest(tokenizer, train_windows, played)
    np.testing.assert_array_equal(near[0], train_windows[0])
    np.testing.assert_array_equal(nearest_rhythm(tokenizer, train_windows, played)[0], train_windows[0])
    mean = usual(tokenizer, np.repeat(train_windows[:1], 1000, axis=0), played)
    np.testing.assert_array_equal(mean[0], train_windows[0])


# -- models ------------------------------------------------------------------------------------------------------------


def pattern(seed: int) -> Clip:
    """Four bars of a rock beat in which the drummer leans back and accents the second and fourth beat."""
    rng = np.random.default_rng(seed)
    notes = []
    for eighth in range(32):
        beat = eighth / 2
        late = 24 / 480 if eighth % 4 == 2 else 0.0
        notes.append((beat + late, beat + late + 0.2, 42, 100 if eighth % 2 == 0 else 40))
        if eighth % 4 == 2:
            notes.append((beat + late, beat + late + 0.2, 37, 120))
        if eighth % 8 == 0 or rng.random() < 0.2:
            notes.append((beat + late, beat + late + 0.2, 36, 90))
    return kit(*notes, beats=16.0)


@pytest.fixture(scope="module")
def grooves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files of the beat."""
    folder = tmp_path_factory.mktemp("grooves")
    for seed in range(12):
        pattern(seed).save(folder / f"{seed:02d}_rock_90_beat_4-4.mid")
    return folder


def trained(grooves: Path, control: str, out: Path, steps: int) -> Path:
    """A small model of them."""
    small = ["model.embedding_size=16", "model.encoder_size=16", "model.pooling_size=8", "model.z_size=8"]
    brief = [f"train.steps={steps}", "train.batch_size=16", "train.weight_average=0.9", "train.learning_rate=2e-2"]
    preset = load_preset({"hits": "groove-2bar-humanize", "tap": "groove-2bar-drumify"}[control])
    preset = with_settings(preset, [*small, *brief, "model.decoder_sizes=[32]", "train.validate_every=1000"])
    prepare(grooves, preset.tokenizer, out / "data", jobs=1)
    train(preset, Dataset.open(out / "data"), out / "run", seed=0, device="cpu")
    return out / "run"


@pytest.fixture(scope="module")
def humanizer(grooves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    return trained(grooves, "hits", tmp_path_factory.mktemp("hits"), 90)


@pytest.fixture(scope="module")
def drummer(grooves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    return trained(grooves, "tap", tmp_path_factory.mktemp("tap"), 40)


def straight_pattern() -> Clip:
    """The beat as a machine plays it, with a rim shot for the snare."""
    notes = [(e / 2, e / 2 + 0.1, 42, 80) for e in range(32)]
    notes += [(e / 2, e / 2 + 0.1, 37, 80) for e in range(2, 32, 4)]
    return kit(*notes, beats=16.0)


def test_humanize_keeps_every_hit_and_learns_how_it_is_played(humanizer: Path) -> None:
    model: Model = load(humanizer, device="cpu")
    source = straight_pattern()
    made = humanize(model, source, amount=0.0)[0].item
    before, after = source.tracks[0].notes, made.tracks[0].notes
    order = np.lexsort((after["pitch"], np.rint(after["start_beats"] * 4)))
    assert after["pitch"][order].tolist() == before["pitch"].tolist()  # the rim shots are there
    assert np.rint(after["start_beats"][order] * 4).tolist() == (before["start_beats"] * 4).tolist()
    # What the drummer does: rim shots louder than the hats between beats, and late.
    rims = after[after["pitch"] == 37]
    between = after[(after["pitch"] == 42) & (np.rint(after["start_beats"] * 2) % 2 == 1)]
    assert rims["velocity"].mean() > 90 > 70 > between["velocity"].mean()
    assert 0.02 < (rims["start_beats"] - np.rint(rims["start_beats"] * 4) / 4).mean() < 0.08
    assert made.length_beats == 16.0 and made.tempos == source.tempos and made.provenance.verb == "humanize"


def test_what_was_played_before_does_not_matter(humanizer: Path) -> None:
    model = load(humanizer, device="cpu")
    source = straight_pattern()
    other = source.tracks[0].notes.copy()
    other["velocity"] = np.arange(len(other)) % 127 + 1
    other["start_beats"][8:] += 0.05
    a, b = (humanize(model, clip, 2, seed=5)[1].item for clip in (source, source.with_notes([other])))
    assert a.tracks == b.tracks


def test_performances_differ_by_seed_and_not_at_amount_0(humanizer: Path) -> None:
    model = load(humanizer, device="cpu")
    source = straight_pattern()
    first, second = humanize(model, source, 2, amount=1.0, seed=1)
    assert first.item.tracks != second.item.tracks
    assert humanize(model, source, amount=1.0, seed=1)[0].item.tracks == first.item.tracks
    flat = [humanize(model, source, amount=0.0, seed=seed)[0].item.tracks for seed in (1, 2)]
    assert flat[0] == flat[1]


def test_drumify_takes_the_rhythm_of_any_track(drummer: Path) -> None:
    model = load(drummer, device="cpu")
    tune = Clip.from_notes([(e / 2, e / 2 + 0.4, 60 + e % 5, 70) for e in range(32)], tempo_qpm=93.0)
    made = drumify(model, tune, 2, amount=0.0)
    assert len(made) == 2 and made[0].item.tracks[0].is_drum and made[0].item.tempos[0].tempo_qpm == 93.0
    tokens = model.tokenizer.encode(model.tokenizer.split(tapped(tune))[0])
    np.testing.assert_array_equal(np.flatnonzero(tokens[:, 0]), np.arange(0, 32, 2))
    assert made[0].item.note_count > 8
    assert (np.rint(made[0].item.tracks[0].notes["start_beats"] * 4) % 2 == 0).mean() > 0.9  # on the taps


def test_whose_rhythm_it_is_must_be_clear() -> None:
    piano, bass = Clip.from_notes([(0, 1, 60, 80)]).tracks[0], Clip.from_notes([(1, 2, 40, 80)]).tracks[0]
    clip = Clip(tracks=(piano, bass), length_beats=4.0, name="a.mid")
    with pytest.raises(DataError, match=r'a\.mid: any of 2 tracks could be .* choose one with --track, or "all"'):
        tapped(clip)
    assert tapped(clip, "1").tracks[0].notes["start_beats"].tolist() == [1.0]
    assert tapped(clip, "all").tracks[0].notes["start_beats"].tolist() == [0.0, 1.0]
    with_drums = Clip(tracks=(piano, bass, *kit((2, 3, 36, 80)).tracks), length_beats=4.0)
    assert tapped(with_drums).tracks[0].notes["start_beats"].tolist() == [2.0]
    with pytest.raises(DataError, match=r"b\.mid: it has no notes"):
        tapped(Clip(name="b.mid"))


def test_a_model_of_another_kind_is_refused(humanizer: Path, drummer: Path) -> None:
    with pytest.raises(DataError, match="is a model of groove without that control and cannot drumify; choose one of"):
        drumify(load(humanizer, device="cpu"), straight_pattern())
    with pytest.raises(DataError, match=r"cannot humanize; .* preset groove-2bar-humanize with --model"):
        humanize(load(drummer, device="cpu"), straight_pattern())


# -- the verbs ---------------------------------------------------------------------------------------------------------


def test_groove_humanize_writes_files(humanizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    straight_pattern().save(tmp_path / "beat.mid")
    command = ["groove", "humanize", str(tmp_path / "beat.mid"), "--model", str(humanizer), "-n", "2", "--seed", "4"]
    assert main([*command, "--bars", "1:2", "-o", str(tmp_path / "a"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in said["files"]] == ["humanize-01.mid", "humanize-02.mid", "strip.png"]
    assert (said["verb"], said["seed"], said["amount"], said["hits"]) == ("humanize", 4, 0.5, [20, 20])
    assert main([*command, "--bars", "1:2", "-o", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a/humanize-02.mid").read_bytes() == (tmp_path / "b/humanize-02.mid").read_bytes()
    assert Clip.load(tmp_path / "a/humanize-01.mid").length_beats == 8.0
    assert main([*command, "-o", str(tmp_path / "a")]) == 1
    assert "exists already; give --force" in capsys.readouterr().err


def test_groove_verbs_refuse_in_one_line(
    humanizer: Path, drummer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Clip.from_notes([(0, 1, 60, 80)]).save(tmp_path / "tune.mid")
    tune = str(tmp_path / "tune.mid")
    for command, expected in [
        (["humanize", tune, "--model", str(humanizer)], "it has no drum track and drums are asked for"),
        (["drumify", tune, "--model", str(humanizer)], "cannot drumify"),
        (["drumify", tune, "--model", str(drummer), "--track", "7"], "there is no track '7'"),
        (["humanize", str(tmp_path / "none.mid"), "--model", str(humanizer)], "no such file"),
    ]:
        assert main(["groove", *command, "-o", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("Error: ") and expected in error
        assert not (tmp_path / "out").exists()


def test_groove_drumify_of_a_tune(drummer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Clip.from_notes([(e / 2, e / 2 + 0.4, 60, 70) for e in range(16)]).save(tmp_path / "tune.mid")
    command = ["groove", "drumify", str(tmp_path / "tune.mid"), "--model", str(drummer), "--seed", "1"]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("drumify-01.mid")
    assert Clip.load(tmp_path / "out/drumify-01.mid").tracks[0].is_drum


# -- the corpus --------------------------------------------------------------------------------------------------------


def corpus_script(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs data_scripts/groove.py."""
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "groove.py"), *map(str, words)], capture_output=True, text=True, check=False
    )


def test_the_corpus_is_split_by_its_own_table(grooves: Path, tmp_path: Path) -> None:
    root = tmp_path / "local" / "groove"
    (root / "drummer1").mkdir(parents=True)
    splits = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    with (root / "info.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["drummer", "midi_filename", "split"])
        for path, split in zip(sorted(grooves.iterdir()), splits, strict=True):
            (root / "drummer1" / path.name).write_bytes(path.read_bytes())
            table.writerow(["drummer1", f"drummer1/{path.name}", split])
    done = corpus_script("--from", tmp_path / "local", "-o", tmp_path / "set")
    assert done.returncode == 0, done.stderr
    assert "licence: CC BY 4.0" in done.stderr and "12 files, checksum " in done.stderr
    found = Dataset.open(tmp_path / "set")
    assert found.tokenizer.kind == "drums" and found.licence.startswith("CC BY 4.0 (Groove MIDI Dataset, Google LLC")
    expected = {f"groove/drummer1/{p.name}": s for p, s in zip(sorted(grooves.iterdir()), splits, strict=True)}
    names = {"train": "train", "valid": "validation", "test": "test"}
    assert {source.name: names[source.split] for source in found.source_list()} == expected

    (root / "info.csv").write_text("file,split\na,train\n")
    wrong = corpus_script("--from", root, "-o", tmp_path / "other")
    assert wrong.returncode == 1 and "it needs the columns midi_filename and split" in wrong.stderr
    (root / "info.csv").unlink()
    none = corpus_script("--from", root, "-o", tmp_path / "other")
    assert none.returncode == 1 and "there is no info.csv" in none.stderr and len(none.stderr.splitlines()) == 2


def test_the_corpus_is_the_one_of_the_presets(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "music/groove/groove-midionly.tar.xz"
    done = corpus_script("--from", archive, "-o", tmp_path / "set", "--jobs", "1")
    assert done.returncode == 0 and "1150 files, checksum 648c86a02d4b3120, as expected" in done.stderr
    found = Dataset.open(tmp_path / "set")
    assert found.hash == "d5e9eb8c7f218b80"
    assert [len(found.windows(split)) for split in ("train", "valid", "test")] == [15924, 1957, 1845]


def test_sample_needs_a_pattern(humanizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one the files would be silent."""
    assert main(["sample", "--model", str(humanizer), "-n", "1", "-o", str(tmp_path / "out")]) == 1
    assert "give it one with `seqvae groove humanize`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
