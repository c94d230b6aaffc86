"""The corpus scripts: safe unpacking, resumed downloads, the pairing of POP909's two editions, the bundled dataset."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib
import io
import json
import lzma
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.clip import Clip, MeterChange, Track, notes_array
from seqvae.config import preset_names
from seqvae.dataset import Dataset
from seqvae.errors import DataError, ReadError

SCRIPTS = Path(__file__).resolve().parent.parent / "data_scripts"
SHARED = {"fetch", "texts", "bundle", "furnish", "try_preset"}
OFFLINE = {"chorales", "digits", "music21_folk"}  # they come with a library
CORPORA = sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem not in SHARED)


def load(name: str) -> ModuleType:
    if str(SCRIPTS) not in sys.path:
        sys.path.insert(0, str(SCRIPTS))
    return importlib.import_module(name)


fetch = load("fetch")
pop909 = load("pop909")


def run(name: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a script's main as its command would, in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    sys.argv = [f"{name}.py", *map(str, args)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            fetch.run(load(name).main)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(name, code, out.getvalue(), err.getvalue())


def tune(seed: int, name: str = "") -> Clip:
    rng = np.random.default_rng(seed)
    notes = [(beat / 2, beat / 2 + 0.5, int(rng.integers(55, 80)), int(rng.integers(60, 90))) for beat in range(48)]
    track = Track(notes=notes_array(notes), name=name)
    return replace(Clip.from_notes(notes), tracks=(track,))


# -- each script -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORPORA)
def test_help_and_errors(name: str, tmp_path: Path) -> None:
    told = run(name, "--help")
    assert told.returncode == 0 and "icence" in told.stdout and "{" not in told.stdout
    for flag in ("--from LOCAL", "-o DATASET", "--preset", "--force"):
        assert flag in told.stdout
    wrong = run(name, "--from", tmp_path / "nowhere.tar.xz", "-o", tmp_path / "set")
    lines = wrong.stderr.splitlines()
    assert wrong.returncode == 1 and lines[-1].startswith("Error: ") and "Traceback" not in wrong.stderr
    assert not (tmp_path / "set").exists()
    assert run(name).returncode == 2  # nowhere to write


@pytest.mark.parametrize("name", CORPORA)
def test_address_checksum_and_licence_are_stated(name: str) -> None:
    """Of those that download, each address has its commit or version in it, and what comes is compared."""
    module = load(name)
    assert isinstance(module.LICENCE, str) and module.LICENCE
    addresses = [value for key, value in vars(module).items() if key.endswith("URL")]
    assert all(address.startswith("https://") for address in addresses)
    checksums = [key for key in vars(module) if key.endswith(("SHA256", "CHECKSUM", "HASH"))]
    assert checksums or not addresses
    assert re.search(rf"python data_scripts/{name}\.py .*-o data/", module.__doc__ or "")


def test_every_script_is_documented() -> None:
    page = (SCRIPTS.parent / "docs" / "data.md").read_text(encoding="utf-8")
    assert [name for name in [*CORPORA, *SHARED] if f"`{name}.py`" not in page] == []


def test_a_script_is_a_program(tmp_path: Path) -> None:
    line = [sys.executable, str(SCRIPTS / "nottingham.py"), "--from", str(tmp_path / "none"), "-o", str(tmp_path / "x")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPTS.parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(line, capture_output=True, text=True, timeout=250, check=False, env=environment)
    assert done.returncode == 1 and done.stderr.startswith("licence: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("pop909", "pop909-aligned"),
        ("openscore_lieder", "openscore-lieder"),
        ("music21_folk", "folk-tunes"),
        ("nottingham", "nottingham/MIDI/melody"),
    ],
)
def test_a_local_copy_is_read(name: str, folder: str, tmp_path: Path) -> None:
    for index in range(3):
        tune(index, "MELODY").save(tmp_path / folder / f"{index:03d}.mid")
    done = run(name, "--from", tmp_path / folder.split("/")[0], "-o", tmp_path / "set", "--preset", "melody-2bar-tiny")
    assert done.returncode == 0 and done.stdout == f"{tmp_path / 'set'}\n"
    assert "licence: " in done.stderr and "3 files, checksum " in done.stderr and "NOT the expected" in done.stderr
    dataset = Dataset.open(tmp_path / "set")
    assert dataset.licence and len(dataset.tokens) == 15
    assert f"hash {dataset.hash}" in done.stderr
    again = run(name, "--from", tmp_path / folder.split("/")[0], "-o", tmp_path / "set")
    assert again.returncode == 1 and "--force" in again.stderr


def test_the_three_parts_of_the_bundled_model(tmp_path: Path) -> None:
    for index in range(3):
        tune(index, "MELODY").save(tmp_path / "all" / "pop909-aligned" / f"{index:03d}.mid")
        tune(index + 3).save(tmp_path / "all" / "folk-tunes" / "airdsAirs" / f"{index:04d}_A.mid")
        tune(index + 6).save(tmp_path / "lieder" / "openscore-lieder" / "Abt" / f"lc{index}.mid")
    archive = tmp_path / "all" / "openscore-lieder-midi.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        file.add(tmp_path / "lieder" / "openscore-lieder", "openscore-lieder")
    done = run("melody_2bar", "--from", tmp_path / "all", "-o", tmp_path / "set")
    assert done.returncode == 0 and "this is not the bundled model's dataset" in done.stderr
    names = [source.name for source in Dataset.open(tmp_path / "set").source_list()]
    assert names == [
        *(f"pop909-aligned/{index:03d}.mid" for index in range(3)),
        *(f"openscore-lieder/Abt/lc{index}.mid" for index in range(3)),
        *(f"folk-tunes/airdsAirs/{index:04d}_A.mid" for index in range(3)),
    ]
    archive.unlink()
    short = run("melody_2bar", "--from", tmp_path / "all", "-o", tmp_path / "other")
    assert short.returncode == 1 and "there is no openscore-lieder" in short.stderr


@pytest.mark.slow
def test_the_bundled_models_dataset_to_the_byte(shared_data: Path, tmp_path: Path) -> None:
    done = run("melody_2bar", "--from", shared_data / "music", "-o", tmp_path / "set")
    assert done.returncode == 0 and "NOT" not in done.stderr and "this is not" not in done.stderr
    dataset = Dataset.open(tmp_path / "set")
    assert {split: len(dataset.windows(split)) for split in ("train", "valid", "test")} == {
        "train": 103_880,
        "valid": 4_670,
        "test": 5_754,
    }
    assert dataset.hash == load("melody_2bar").HASH


def test_a_score_keeps_the_split_of_its_midi_file() -> None:
    lieder = load("openscore_lieder")
    for number in range(50):
        assert lieder.split(f"scores/Abt/_/lc{number}.mxl") == lieder.split_by_name(f"Abt/lc{number}.mid")


# -- trying a preset ---------------------------------------------------------------------------------------------------


def test_every_preset_has_a_corpus() -> None:
    scripts = load("try_preset").SCRIPTS
    assert sorted(scripts) == preset_names()
    assert set(scripts.values()) <= set(CORPORA)


@pytest.mark.slow
def test_a_preset_is_tried_from_end_to_end(tmp_path: Path) -> None:
    for index in range(12):
        tune(index).save(tmp_path / "folk-tunes" / f"{index:03d}.mid")
    line = ["melody-2bar-tiny", "--from", tmp_path / "folk-tunes", "--time", "5s", "-o", tmp_path / "try"]
    done = run("try_preset", *line)
    out = tmp_path / "try" / "melody-2bar-tiny"
    assert done.returncode == 0 and (out / "path" / "joined.mid").exists() and (out / "a.mid").exists(), done.stderr
    assert [word for word in ("train", "evaluate", "interpolate") if f" -m seqvae {word} " not in done.stderr] == []
    wrong = run("try_preset", "melody-2bar-tiny", "--from", tmp_path / "none", "-o", tmp_path / "try")
    assert wrong.returncode == 1


# -- other meters ------------------------------------------------------------------------------------------------------


def test_a_meter_of_ones_own(tmp_path: Path) -> None:
    for numerator, denominator in [(3, 4), (6, 8), (4, 4)]:
        for seed, folder in enumerate(("pop909-aligned", "openscore-lieder", "folk-tunes")):
            clip = replace(tune(seed), meters=(MeterChange(0.0, numerator, denominator),))
            clip.save(tmp_path / "all" / folder / f"{numerator}.mid")
    for preset, bar in [("melody-2bar-3-4", 3), ("melody-2bar-6-8", 3)]:
        done = run("folk_meters", "--from", tmp_path / "all", "-o", tmp_path / preset, "--preset", preset)
        assert done.returncode == 0, done.stderr
        dataset = Dataset.open(tmp_path / preset)
        assert dataset.tokens.shape[1] == 4 * 2 * bar and len(dataset.source_list()) == 3
    assert (
        run("folk_meters", "--from", tmp_path / "all", "-o", tmp_path / "x", "--preset", "drums-2bar").returncode == 1
    )


def test_only_what_the_triplet_grid_can_say(tmp_path: Path) -> None:
    """Four bars in eighths, two with a sixteenth each, four in triplets: windows of the first and the last only."""
    eighths = [(beat / 2, beat / 2 + 0.5, 60 + beat % 7, 80) for beat in range(32)]
    sixteenths = [(beat + extra, beat + extra + 0.25, 62, 80) for beat in (17, 22) for extra in (0, 0.25)]
    triplets = [(24 + third / 3, 24 + third / 3 + 1 / 3, 70 + third % 5, 80) for third in range(48)]
    clip = Clip.from_notes([*eighths, *sixteenths, *triplets])
    for folder in ("pop909-aligned", "openscore-lieder", "folk-tunes"):
        clip.save(tmp_path / "all" / folder / f"{folder}.mid")
        clip = clip.transpose(1)  # another file
    done = run("folk_meters", "--from", tmp_path / "all", "-o", tmp_path / "set", "--preset", "melody-2bar-triplets")
    assert done.returncode == 0, done.stderr
    dataset = Dataset.open(tmp_path / "set")
    first = [source for source in dataset.source_list() if "folk" in source.name]
    assert len({source.split for source in first}) == 1  # however many stretches, one split
    assert sorted(set(dataset.sources(first[0].split)["start"])) == [0.0, 4.0, 8.0]
    assert type(dataset.tokenizer).__name__ == "MelodyTokenizer" and dataset.tokens.shape[1] == 48


@given(st.integers(0, 99), st.sampled_from([(6, 8), (12, 8), (9, 8)]))
def test_compound_meters_are_heard_as_triplets(seed: int, meter: tuple[int, int]) -> None:
    """Every bar keeps its notes at the same share of its length, and the dotted quarter becomes the beat."""
    folk_meters = load("folk_meters")
    clip = replace(tune(seed), meters=(MeterChange(0.0, *meter),))
    simple = folk_meters.counted_simply(clip)
    assert (simple.meters[0].numerator * 3, simple.meters[0].denominator) == (meter[0], 4)
    assert simple.tempo_at(0) * 1.5 == pytest.approx(clip.tempo_at(0))
    for note, bar in ((clip, clip.meters[0].bar_beats), (simple, simple.meters[0].bar_beats)):
        at = note.tracks[0].notes["start_beats"] / bar
        np.testing.assert_allclose(at, clip.tracks[0].notes["start_beats"] / clip.meters[0].bar_beats)
    mixed = replace(clip, meters=(MeterChange(0.0, *meter), MeterChange(9.0, 4, 4)))
    assert folk_meters.counted_simply(mixed) is mixed


# -- POP909 ------------------------------------------------------------------------------------------------------------


def two_editions(seed: int, late: float) -> tuple[Clip, Clip, Clip]:
    """A song on two tracks as it should come out, as the first edition has it, and as the second has it."""
    melody, bridge = tune(seed).tracks[0], tune(seed + 1).tracks[0]
    right = replace(tune(seed), tracks=(replace(melody, name="MELODY"), replace(bridge, name="BRIDGE")))
    shifted = []
    for track in right.tracks:
        notes = track.notes.copy()
        notes["start_beats"] += late
        notes["end_beats"] += late * 1.5  # durations differ between the two as well
        shifted.append(replace(track, notes=notes))
    raw = replace(right, tracks=tuple(shifted), meters=(MeterChange(0.0, 1, 4),))
    merged = np.sort(np.concatenate([track.notes for track in right.tracks]), order=("start_beats", "pitch"))
    chords = Track(notes=notes_array([(0, 4, 40, 60)]))
    return right, raw, replace(right, tracks=(Track(notes=merged), chords))


@given(st.integers(0, 99), st.floats(0, 3))
def test_pairing_puts_each_note_where_the_corrected_edition_has_it(seed: int, late: float) -> None:
    right, raw, grid = two_editions(seed, late)
    paired, share = pop909.pair(raw, grid)
    assert share == 1.0 and paired.meters == right.meters
    assert [track.name for track in paired.tracks] == ["MELODY", "BRIDGE"]
    for got, expected in zip(paired.tracks, right.tracks, strict=True):
        np.testing.assert_array_equal(got.notes, expected.notes)


def test_notes_without_a_partner_are_dropped() -> None:
    _, raw, grid = two_editions(0, 0.3)
    less = replace(grid, tracks=(replace(grid.tracks[0], notes=grid.tracks[0].notes[:-3]), grid.tracks[1]))
    paired, share = pop909.pair(raw, less)
    assert paired.note_count == raw.note_count - 3 and share == pytest.approx(1 - 3 / raw.note_count)
    assert pop909.pair(raw, replace(grid, tracks=(Track(notes=notes_array()),)))[1] == 0.0


def test_folders_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, same in [(1, True), (2, False), (43, True)]:
        _, raw, _ = two_editions(number, 0.2)
        _, _, grid = two_editions(number if same else number + 50, 0.2)
        raw.save(tmp_path / "raw" / f"{number:03d}" / f"{number:03d}.mid")
        raw.save(tmp_path / "raw" / f"{number:03d}" / "versions" / "x.mid")
        grid.save(tmp_path / "grid" / f"{number:03d}.mid")
    assert pop909.pair_folders(tmp_path / "raw", tmp_path / "grid", tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["001.mid"]
    assert "002.mid" in capsys.readouterr().err
    with pytest.raises(DataError, match="are they POP909"):
        pop909.pair_folders(tmp_path / "grid", tmp_path / "raw", tmp_path / "none")


@pytest.mark.slow
def test_pairing_on_real_songs(shared_data: Path, tmp_path: Path) -> None:
    """The real first edition, and a second made of the aligned copy's tracks merged, give the aligned melodies."""
    names = [f"{number:03d}" for number in range(1, 910, 100)]
    for archive, pattern in [("pop909-raw", "/{0}/{0}.mid"), ("pop909-aligned", "/{0}.mid")]:
        with tarfile.open(shared_data / "music" / archive / f"{archive}.tar.xz") as file:
            wanted = {archive + pattern.format(name) for name in names}
            file.extractall(tmp_path, [member for member in file if member.name in wanted], filter="data")
    for name in names:
        raw = Clip.load(next((tmp_path / "pop909-raw").rglob(f"{name}.mid")))
        aligned = Clip.load(tmp_path / "pop909-aligned" / f"{name}.mid")
        score = [track.notes for track in aligned.tracks if track.name != "CHORDS"]
        merged = Track(notes=np.sort(np.concatenate(score), order=("start_beats", "pitch")))
        paired, share = pop909.pair(raw, replace(aligned, tracks=(merged,)))
        assert share == 1.0
        got, expected = (
            next(track.notes for track in clip.tracks if track.name == "MELODY") for clip in (paired, aligned)
        )
        np.testing.assert_array_equal(got["start_beats"], expected["start_beats"])
        np.testing.assert_array_equal(got["pitch"], expected["pitch"])


# -- texts -------------------------------------------------------------------------------------------------------------

CAPTIONS = [
    f"a {colour} {animal} on a {place} ."
    for colour in ("red", "big", "wet")
    for animal in ("dog", "cat", "owl", "cow", "hen")
    for place in ("bed", "bus", "boat", "hill", "roof", "chair", "street")
]


def corpus_text(folder: Path) -> dict[str, list[str]]:
    return {split: (folder / f"{split}.txt").read_text().splitlines() for split in ("train", "valid", "test")}


def test_captions_of_a_local_copy(tmp_path: Path) -> None:
    (tmp_path / "coco" / "deep").mkdir(parents=True)
    (tmp_path / "coco" / "train.txt").write_bytes("\r\n".join([*CAPTIONS, "  red   owl.", "", "."]).encode())
    (tmp_path / "coco" / "deep" / "test.txt.xz").write_bytes(
        lzma.compress(b"a wet owl on a bed , a hill.\na red dog on a bed .\n")
    )
    done = run("captions", "--from", tmp_path / "coco", "-o", tmp_path / "set", "--text", tmp_path / "text")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("licence: CC BY 4.0") and done.stderr.count("NOT the expected") == 2
    text = corpus_text(tmp_path / "text")
    assert sorted(text["train"] + text["valid"]) == sorted([line.rstrip(" .") for line in CAPTIONS] + ["red owl"])
    assert text["valid"] and text["test"] == ["a wet owl on a bed , a hill", "a red dog on a bed"]
    dataset = Dataset.open(tmp_path / "set")
    assert [len(dataset.windows(split)) for split in ("train", "valid", "test")] == [
        len(text["train"]), len(text["valid"]), 2]  # fmt: skip
    assert dataset.unseen("test").tolist() == [True, "a red dog on a bed" in text["valid"]]
    (tmp_path / "coco" / "train.txt").unlink()
    short = run("captions", "--from", tmp_path / "coco", "-o", tmp_path / "other")
    assert short.returncode == 1 and "there is no train.txt" in short.stderr.splitlines()[-1]


def test_captions_are_downloaded_and_checked(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = load("captions")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = {"train": "\n".join(CAPTIONS).encode(), "test": b"a cow\n"}
    for name, content in files.items():
        Server.files[f"/{name}.txt"] = content
        monkeypatch.setattr(captions, f"{name.upper()}_URL", f"{url}/{name}.txt")
    wrong = run("captions", "-o", tmp_path / "set")
    assert wrong.returncode == 1 and "SHA-256" in wrong.stderr
    for name, content in files.items():
        monkeypatch.setattr(captions, f"{name.upper()}_SHA256", hashlib.sha256(content).hexdigest())
    for _ in range(2):
        done = run("captions", "-o", tmp_path / "set", "--force")
        assert done.returncode == 0 and done.stderr.count("as expected") == 2
    assert len(Server.ranges) == 3  # the wrong one, and each once


def test_billboard_from_annotations_and_from_the_table(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same phrases whichever way; a repeated one, one with a pause, one bar alone and a silence are left out."""
    billboard = load("billboard")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    songs = {f"{number:04d}": 1 + number % 5 for number in range(60)}
    table, members = [], {}
    for song, bars in songs.items():
        phrase = " | ".join(["A:min . C:maj/5 G:13", *["F:maj"] * bars, f"{'CDEFGAB'[int(song) % 7]}:min7"])
        table += [f"{song}\t4/4\tC\tverse\t{phrase}"] * 2 + [f"{song}\t4/4\tC\tverse\tN | N"]
        table += [f"{song}\t4/4\tC\tverse\tA:min | &pause", f"{song}\t4/4\tC\tverse\tA:min"]
        lines = ["# title: X | Y", "# metre: 4/4", "# tonic: C", "", "0.0\tsilence", f"0.1\tA, intro, | {phrase} |",
                 f"7.5\t| {phrase} |, (voice", "9\t| N | N |", "10\t| A:min | &pause |", "11\tB, | A:min |, voice)",
                 "22.346\tsilence", "23.1\tend"]  # fmt: skip
        members[f"Project-1/salami/{song}/salami_chords.txt"] = "\n".join(lines).encode()
    (tmp_path / "progressions.tsv").write_text("\n".join(table))
    Server.files["/a.tar.gz"] = make_tar(tmp_path / "a.tar.gz", members).read_bytes()
    monkeypatch.setattr(billboard, "URL", f"{url}/a.tar.gz")
    first = run("billboard", "--from", tmp_path / "progressions.tsv", "-o", tmp_path / "1", "--text", tmp_path / "t1")
    assert first.returncode == 0 and "300 phrases, 180 left out" in first.stderr, first.stderr
    second = run("billboard", "-o", tmp_path / "2", "--text", tmp_path / "t2")
    assert second.returncode == 0 and "300 phrases, 180 left out" in second.stderr, second.stderr
    text = corpus_text(tmp_path / "t1")
    assert text == corpus_text(tmp_path / "t2")
    assert text["train"][0].startswith("Am . C/G G7 | F ")
    assert Dataset.open(tmp_path / "1").hash == Dataset.open(tmp_path / "2").hash
    nothing = run("billboard", "--from", tmp_path / "t1", "-o", tmp_path / "3")
    assert nothing.returncode == 1 and "no salami_chords.txt" in nothing.stderr.splitlines()[-1]


def test_ptb_keeps_its_splits_and_its_unk(tmp_path: Path) -> None:
    content = {"train": " a <unk> of N men \n plain \n", "valid": " plain N \n", "test": " a <unk> \n"}
    members = {f"ptb/{split}.txt": text.encode() for split, text in content.items()}
    archive = make_zip(tmp_path / "ptb.zip", {**members, "ptb/readme": b""})
    done = run("ptb", "--from", archive, "-o", tmp_path / "set", "--text", tmp_path / "text")
    assert done.returncode == 0 and "not open" in done.stderr, done.stderr
    assert corpus_text(tmp_path / "text")["train"] == ["a <unk> of N men", "plain"]
    dataset = Dataset.open(tmp_path / "set")
    tokenizer = dataset.tokenizer
    assert tokenizer.decode(np.asarray(dataset.windows("test")[0], np.int64)) == "a <unk>"
    assert [len(dataset.windows(split)) for split in ("train", "valid", "test")] == [2, 1, 1]


def test_shakespeare_is_split_by_place(tmp_path: Path) -> None:
    lines = [f"Line {number}" if number % 4 else "" for number in range(100)]
    (tmp_path / "input.txt").write_text("\n".join(lines))
    done = run("shakespeare", "--from", tmp_path / "input.txt", "-o", tmp_path / "set", "--text", tmp_path / "text")
    assert done.returncode == 0, done.stderr
    text = corpus_text(tmp_path / "text")
    assert text["train"][-1] == "Line 89" and text["valid"] == ["Line 90", "Line 91", "Line 93", "Line 94"]
    assert text["test"][0] == "Line 95" and len(text["train"]) == 67
    (tmp_path / "input.txt").write_bytes(b"caf\xe9\n")
    wrong = run("shakespeare", "--from", tmp_path / "input.txt", "-o", tmp_path / "set")
    assert wrong.returncode == 1 and "input.txt: byte 3 is no UTF-8" in wrong.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "counts"),
    [
        ("captions", "image_coco", (9_425, 495, 9_837)),
        ("billboard", "billboard_chords", (4_608, 383, 363)),
        ("ptb", "ptb", (41_088, 3_354, 3_751)),
        ("shakespeare", "tinyshakespeare", (23_383, 1_187, 1_175)),
    ],
)
def test_the_real_texts(shared_data: Path, name: str, folder: str, counts: tuple[int, ...], tmp_path: Path) -> None:
    done = run(name, "--from", shared_data / "text" / folder, "-o", tmp_path / "set")
    assert done.returncode == 0 and "NOT" not in done.stderr, done.stderr
    dataset = Dataset.open(tmp_path / "set")
    assert tuple(len(dataset.windows(split)) for split in ("train", "valid", "test")) == counts


# -- archives ----------------------------------------------------------------------------------------------------------


def make_zip(path: Path, members: dict[str, bytes], link: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            file.writestr(info, "/etc/passwd")
    return path


def make_tar(path: Path, members: dict[str, bytes], link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            file.addfile(info)
    return path


MAKERS = [(make_zip, "a.zip"), (make_tar, "a.tar.gz")]


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_unpacking(make: type, name: str, tmp_path: Path) -> None:
    content = {"top/a/1.mid": b"one", "top/2.mid": b"two"}
    folder = fetch.unpack(make(tmp_path / name, content), tmp_path / "out")
    assert folder == tmp_path / "out" / "top"
    assert {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in folder.rglob("*.mid")
    } == content


@pytest.mark.parametrize(("make", "name"), MAKERS)
@pytest.mark.parametrize("evil", ["../out.mid", "/out.mid", "a/../../out.mid", "..\\out.mid", "C:\\out.mid"])
def test_nothing_lands_outside(make: type, name: str, evil: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not safe"):
        fetch.unpack(make(tmp_path / name, {evil: b"x"}), tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("out.mid"))


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_links_and_bombs_are_refused(make: type, name: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"link|plain file"):
        fetch.unpack(make(tmp_path / name, {}, link="passwd"), tmp_path / "out")
    bomb = make(tmp_path / name, {"1": bytes(60_000), "2": bytes(60_000)})
    with pytest.raises(ReadError, match="too large"):
        fetch.unpack(bomb, tmp_path / "out", max_bytes=100_000)


@settings(max_examples=30)
@given(st.binary(max_size=40), st.integers(0, 400))
def test_damaged_archives(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    for make, name in MAKERS:
        whole = make(folder / name, {"a.mid": b"content" * 30}).read_bytes()
        (folder / name).write_bytes(whole[: cut % len(whole)] + junk)
        with contextlib.suppress(ReadError):  # or it is still whole enough to unpack
            fetch.unpack(folder / name, folder / f"{name}-out")


def test_what_is_no_archive_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ReadError) as error:
        fetch.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert "\n" not in str(error.value) and ".tar.xz" in str(error.value)


def test_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="does not exist"):
        fetch.unpack(tmp_path / "nowhere.zip", tmp_path / "out")


# -- downloads ---------------------------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 400


class Server(http.server.BaseHTTPRequestHandler):
    """Answers ranges of its files; stops halfway when told to."""

    stop_after: int | None = None
    ranges: list[str]
    files: dict[str, bytes]

    def do_GET(self) -> None:
        if self.path not in self.files:
            self.send_error(404)
            return
        content = self.files[self.path]
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.ranges.append(self.headers.get("Range", ""))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.stop_after])

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Server.stop_after, Server.ranges, Server.files = None, [], {"/file": CONTENT}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_goes_on_where_it_stopped(url: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    Server.stop_after = 30_000
    with pytest.raises(ReadError, match="30000 of 102400"):
        fetch.download(f"{url}/file", path, block=1_000)
    assert not path.exists()
    Server.stop_after = None
    assert fetch.download(f"{url}/file", path, hashlib.sha256(CONTENT).hexdigest()).read_bytes() == CONTENT
    assert Server.ranges == ["", "bytes=30000-"]
    fetch.download(f"{url}/file", path)
    assert len(Server.ranges) == 2  # what stands is not fetched again
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]


def test_a_download_is_seen_by_someone_who_watches(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch.download(f"{url}/file", tmp_path / "a")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch.download(f"{url}/file", tmp_path / "file.bin", block=25_600)
    shown = capsys.readouterr().err.split("\r")[1:]
    assert [line.split()[1].count("#") for line in shown] == [5, 10, 15, 20]
    assert shown[-1] == "file.bin [####################] 0.1 of 0.1 MB\n"


@pytest.mark.parametrize("name", [name for name in CORPORA if name not in OFFLINE])
def test_every_script_asks_its_address(name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a server that has nothing: one line says so, with the address and what else there is to do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "user_cache", lambda: tmp_path / "cache")
    for module in map(load, CORPORA):
        for key in [key for key in vars(module) if key.endswith("URL")]:
            monkeypatch.setattr(module, key, f"{url}/{module.__name__}/{key}.zip")
    done = run(name, "-o", tmp_path / "set")
    *_, last = done.stderr.splitlines()
    assert done.returncode == 1 and last.startswith(f"Error: {url}/") and "404" in last and "--from" in last
    assert done.stderr.startswith("licence: ") and not (tmp_path / "set").exists()


def test_another_file_than_expected(url: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="SHA-256"):
        fetch.download(f"{url}/file", tmp_path / "file.bin", "0" * 64)
    assert not list(tmp_path.iterdir())


def test_no_such_file_no_such_server(url: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="404"):
        fetch.download(f"{url}/none", tmp_path / "a")
    with pytest.raises(ReadError, match="cannot be downloaded"):
        fetch.download("http://127.0.0.1:9/a", tmp_path / "a")
    assert not list(tmp_path.iterdir())


# -- single files ------------------------------------------------------------------------------------------------------


def test_a_single_file_is_found_at_any_depth_and_compressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a b.txt.xz").write_bytes(lzma.compress(b"content"))
    right = hashlib.sha256(b"content").hexdigest()
    address = "https://example.org/x/a%20b.txt"
    for source in (tmp_path, tmp_path / "deep" / "a b.txt.xz"):
        assert fetch.content(source, address, right) == b"content"
        assert capsys.readouterr().err == "a b.txt: checksum as expected\n"
    assert fetch.content(tmp_path, "https://example.org/y", "0" * 64, name="a b.txt") == b"content"
    assert "NOT the expected" in capsys.readouterr().err
    (tmp_path / "a b.txt").write_bytes(b"nearer")
    assert fetch.content(tmp_path, address, right) == b"nearer"


@pytest.mark.parametrize(("made", "said"), [(b"no xz", "cannot be read"), (None, "there is no a.txt in it")])
def test_a_single_file_that_is_none(made: bytes | None, said: str, tmp_path: Path) -> None:
    if made is not None:
        (tmp_path / "a.txt.xz").write_bytes(made)
    with pytest.raises(ReadError, match=said) as error:
        fetch.content(tmp_path, "https://example.org/a.txt", "0" * 64)
    assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)


# -- checksums ---------------------------------------------------------------------------------------------------------


def test_checksums_see_names_and_contents(tmp_path: Path) -> None:
    def checksum(files: dict[str, bytes]) -> tuple[int, str]:
        folder = tmp_path / hashlib.sha1(repr(files).encode()).hexdigest()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        found: tuple[int, str] = fetch.tree_checksum(folder, "*.mid")
        return found

    base = checksum({"a.mid": b"1", "b/c.mid": b"2"})
    assert base[0] == 2
    assert checksum({"a.mid": b"1", "b/c.mid": b"2", "notes.txt": b"3"}) == base
    others = [{"a.mid": b"1", "b/c.mid": b"3"}, {"a.mid": b"1", "b/d.mid": b"2"}, {"a.mid": b"2", "b/c.mid": b"1"}]
    assert len({base, *map(checksum, others)}) == 4
    with pytest.raises(DataError, match="another corpus"):
        fetch.check_tree(tmp_path, "*.xyz", "")


# -- several parts -----------------------------------------------------------------------------------------------------


def test_a_chorale_from_its_json() -> None:
    """Equal neighbours are one note, -1 is a rest."""
    chorales = load("chorales")
    clip = chorales.chorale(np.array([[72, 64, 60, 48]] * 3 + [[74, 64, -1, 48]]))
    found = [[tuple(note)[:3] for note in track.notes.tolist()] for track in clip.tracks]
    assert found == [[(0, 0.75, 72), (0.75, 1, 74)], [(0, 1, 64)], [(0, 0.75, 60)], [(0, 1, 48)]]
    assert [track.name for track in clip.tracks] == ["soprano", "alto", "tenor", "bass"]


def test_chorales_keep_the_splits_of_their_json(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    pieces = {
        split: [np.repeat(rng.integers(50, 70, (16, 4)), 4, axis=0).tolist() for _ in range(count)]
        for split, count in {"train": 3, "valid": 2, "test": 1}.items()
    }
    source = tmp_path / "Jsb16thSeparated.json"
    source.write_text(json.dumps(pieces), encoding="utf-8")
    for given_source, out in ((source, tmp_path / "set"), (tmp_path, tmp_path / "other")):
        done = run("chorales", "--from", given_source, "-o", out)
        assert done.returncode == 0, done.stderr
        dataset = Dataset.open(out)
        assert {split: len(dataset.windows(split)) for split in dataset.splits} == {"train": 9, "valid": 6, "test": 3}
        assert dataset.tokens.shape[1:] == (32, 4)
    source.write_text("{}", encoding="utf-8")
    broken = run("chorales", "--from", source, "-o", tmp_path / "third")
    assert broken.returncode == 1 and "cannot be read as Jsb16thSeparated.json" in broken.stderr


def test_music21_has_its_bach() -> None:
    chorales = load("chorales")
    assert len(list(chorales.music21_folder().glob(chorales.PATTERN))) > 300


def test_lead_sheets_and_bands_from_local_copies(tmp_path: Path) -> None:
    for index in range(3):
        melody = tune(index, "MELODY")
        block = notes_array((beat, beat + 4, pitch, 70) for beat in range(0, 24, 4) for pitch in (60, 64, 67))
        sheet = replace(melody, tracks=(*melody.tracks, Track(notes=block, name="CHORDS")))
        sheet.save(tmp_path / "pop909-aligned" / f"{index:03d}.mid")
        low = Track(notes=notes_array((beat, beat + 1, 40, 80) for beat in range(72)), program=33)
        kit = Track(notes=notes_array((beat, beat + 0.1, 36, 80) for beat in range(72)), is_drum=True)
        lead = Track(notes=notes_array((beat, beat + 1, 60 + beat % 7, 80) for beat in range(72)), program=80)
        for name in ("simutrans", "openmsx"):
            Clip(tracks=(lead, low, kit), length_beats=72.0 + 4 * index).save(tmp_path / "band" / name / f"{index}.mid")
    done = run("leadsheets", "--from", tmp_path / "pop909-aligned", "-o", tmp_path / "sheets")
    assert done.returncode == 0 and Dataset.open(tmp_path / "sheets").tokens.shape[1:] == (64, 2)
    done = run("band_trio", "--from", tmp_path / "band", "-o", tmp_path / "trios")
    assert done.returncode == 0, done.stderr
    trios = Dataset.open(tmp_path / "trios")
    assert trios.tokens.shape[1:] == (256, 3)
    assert all("simutrans" in source.name for source in trios.source_list())
    assert (
        "GPL"
        in Dataset.open(
            Path(run("band_trio", "--openmsx", "--from", tmp_path / "band", "-o", tmp_path / "all").stdout.strip())
        ).licence
    )
