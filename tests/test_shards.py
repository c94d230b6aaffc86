"""Shards: what was read stands, whatever cuts the reading off, and shares of the files make the dataset of all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_corpus import TOKENIZER, same_files, tune

from seqvae.cli.app import main
from seqvae.clip import Clip
from seqvae.corpus import Share, merge_shards, prepare, prepare_shard
from seqvae.corpus.reading import FileReading
from seqvae.corpus.shards import READINGS, SHARD, WINDOWS, Request, ShardWriter, readings_of
from seqvae.errors import ConfigError, DataError, WriteError
from seqvae.tokenizers import PartsTokenizer

preparing = sys.modules["seqvae.corpus.prepare"]


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Tunes in two folders, one twice, one that is none, one in another meter."""
    folder = tmp_path / "songs"
    for index in range(9):
        tune(index).save(folder / ("a" if index % 2 else "b") / f"{index:02d}.mid")
    shutil.copy(folder / "a" / "03.mid", folder / "b" / "again.mid")
    (folder / "broken.mid").write_bytes(b"MThd")
    tune(20, meter=(3, 4)).save(folder / "waltz.mid")
    return folder


def shards_of(songs: Path, place: Path, count: int) -> list[Path]:
    folders = [place / f"part-{index}" for index in range(count)]
    for index, folder in enumerate(folders):
        prepare_shard(songs, TOKENIZER, folder, share=Share(index, count), licence="ours", jobs=1)
    return folders


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_shards_make_the_dataset_that_one_reading_makes(songs: Path, tmp_path: Path, count: int) -> None:
    prepare(songs, TOKENIZER, tmp_path / "whole", licence="ours", jobs=1)
    folders = shards_of(songs, tmp_path, count)
    order = np.random.default_rng(count).permutation(count)  # in whatever order they are given
    report = merge_shards([folders[index] for index in order], tmp_path / "merged")
    assert same_files(tmp_path / "whole", tmp_path / "merged")
    assert report.files == 12 and report.duplicate_files.count == 1 and sum(report.windows.values()) > 10


def test_shards_of_parts_make_the_dataset_that_one_reading_makes(songs: Path, tmp_path: Path) -> None:
    kind = PartsTokenizer(bars=1, given=("key",), parts=("melody",))
    prepare(songs, kind, tmp_path / "whole", jobs=1)
    for index in range(2):
        prepare_shard(songs, kind, tmp_path / str(index), share=Share(index, 2), jobs=1)
    merge_shards([tmp_path / "0", tmp_path / "1"], tmp_path / "merged")
    assert same_files(tmp_path / "whole", tmp_path / "merged")


def cut_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """As a kill between two files would."""
    read_as = preparing.read_as

    def cut(*args: object, **kwargs: object) -> Iterator[FileReading]:
        for number, reading in enumerate(read_as(*args, **kwargs)):
            if number == files:
                raise KeyboardInterrupt
            yield reading

    monkeypatch.setattr(preparing, "read_as", cut)


@pytest.mark.parametrize("torn", ["", "line", "zeros", "windows"])
def test_a_reading_that_was_cut_goes_on_where_it_stood(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    prepare(songs, TOKENIZER, tmp_path / "whole", jobs=1)
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    monkeypatch.setattr(preparing, "CHUNK_FILES", 1)
    with monkeypatch.context() as patch:
        cut_after(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            prepare(songs, TOKENIZER, tmp_path / "set", jobs=1)
    left = tmp_path / ".set.part"
    assert left.is_dir() and not (tmp_path / "set").exists()
    if torn == "line":  # killed inside a write
        with (left / READINGS).open("a") as lines:
            lines.write('{"name": "half')
        with (left / WINDOWS).open("ab") as windows:
            windows.write(b"1234567")
    if torn == "zeros":
        with (left / READINGS).open("ab") as lines:
            lines.write(bytes(40) + b"\n")
    if torn == "windows":  # a machine that went down before all was on its disk
        os.truncate(left / WINDOWS, (left / WINDOWS).stat().st_size - 40)
    read: list[tuple[int, int]] = []
    prepare(songs, TOKENIZER, tmp_path / "set", jobs=1, progress=lambda done, total: read.append((done, total)))
    assert same_files(tmp_path / "whole", tmp_path / "set") and not left.exists()
    assert read[0] == ((7 if torn == "windows" else 8), 12) and read[-1] == (12, 12)


def test_a_file_that_changed_meanwhile_is_read_again(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one of the same size; what was read before it stands."""
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    with monkeypatch.context() as patch:
        cut_after(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            prepare(songs, TOKENIZER, tmp_path / "set", jobs=1)
    changed = preparing.find_files([songs], TOKENIZER.suffixes)[3][0]
    before = changed.stat()
    Clip.load(changed).transpose(1).save(changed)
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert changed.stat().st_size == before.st_size
    read: list[tuple[int, int]] = []
    prepare(songs, TOKENIZER, tmp_path / "set", jobs=1, progress=lambda done, total: read.append((done, total)))
    prepare(songs, TOKENIZER, tmp_path / "whole", jobs=1)
    assert same_files(tmp_path / "whole", tmp_path / "set") and read[0] == (4, 12)


def runs(process: int) -> bool:
    """Whether it is there, and not only waiting for someone to ask how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="where nothing is forked")
def test_after_a_kill_nothing_is_left_running_and_the_lock_is_free(tmp_path: Path) -> None:
    """The processes that read go with the one that writes, and the same command goes on."""
    for index in range(200):
        tune(index, bars=40).save(tmp_path / "songs" / f"{index}.mid")
    songs, data = str(tmp_path / "songs"), str(tmp_path / "set")
    line = [sys.executable, "-m", "seqvae", "prepare", songs, "-o", data, "--jobs", "2"]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    lines = tmp_path / ".set.part" / READINGS
    while not (lines.exists() and lines.stat().st_size) and process.poll() is None:
        time.sleep(0.005)
    children = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while any(map(runs, children)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(runs, children))
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    prepare(tmp_path / "songs", TOKENIZER, tmp_path / "whole", jobs=1)
    assert same_files(tmp_path / "whole", tmp_path / "set")


def test_a_folder_that_was_only_just_made_is_gone_on_with(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / WINDOWS).touch()  # killed before it said what it is of
    assert prepare_shard(songs, TOKENIZER, tmp_path / "part", share=Share(0, 1), jobs=1) == 12
    assert len(list(readings_of(tmp_path / "part", TOKENIZER))) == 12


@pytest.mark.skipif(os.name == "nt", reason="no locks of this sort")
def test_two_processes_do_not_write_one_shard(songs: Path, tmp_path: Path) -> None:
    files = preparing.find_files([songs], TOKENIZER.suffixes)
    request = Request.of(files, preparing.Reader(tokenizer=TOKENIZER))
    first = ShardWriter(tmp_path / "part", request, files)
    for force in (False, True):
        with pytest.raises(WriteError, match="another process is writing it"):
            ShardWriter(tmp_path / "part", request, files, force=force)
    first.close()
    ShardWriter(tmp_path / "part", request, files).close()


def test_what_was_left_of_another_command_is_not_gone_on_with(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(songs, TOKENIZER, tmp_path / "whole", meter="4/4", jobs=1)
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    for change in ("meter", "file"):
        with monkeypatch.context() as patch:
            cut_after(patch, 5)
            with pytest.raises(KeyboardInterrupt):
                prepare(songs, TOKENIZER, tmp_path / change, jobs=1, meter=None if change == "meter" else "4/4")
        if change == "file":
            tune(30, bars=9).save(songs / "b" / "00.mid")
            prepare(songs, TOKENIZER, tmp_path / "whole", meter="4/4", jobs=1, force=True)
        prepare(songs, TOKENIZER, tmp_path / change, meter="4/4", jobs=1)
        assert same_files(tmp_path / "whole", tmp_path / change)


def test_nothing_is_left_of_files_without_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "SMALL_CORPUS", 0)
    tune(1, meter=(3, 4)).save(tmp_path / "songs" / "waltz.mid")
    with pytest.raises(DataError, match="3/4"):
        prepare(tmp_path / "songs", TOKENIZER, tmp_path / "set", jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["songs"]


def test_readings_come_back_as_they_were(songs: Path, tmp_path: Path) -> None:
    reader = preparing.Reader(tokenizer=TOKENIZER)
    files = preparing.find_files([songs], TOKENIZER.suffixes)
    (folder,) = shards_of(songs, tmp_path, 1)
    for found, (path, name) in zip(readings_of(folder, TOKENIZER), files, strict=True):
        given = reader.read(path, name)
        assert (found.name, found.sha1, found.error) == (given.name, given.sha1, given.error)
        for ours, theirs in zip(found.items, given.items, strict=True):
            for field in ("tokens", "starts", "track"):
                mine, other = getattr(ours, field), getattr(theirs, field)
                assert np.array_equal(mine, other) and mine.dtype == other.dtype
            for field in ("name", "skipped", "facts", "error"):
                assert getattr(ours, field) == getattr(theirs, field)


def test_shards_that_do_not_go_together_are_one_clear_line(songs: Path, tmp_path: Path) -> None:
    first, second = shards_of(songs, tmp_path, 2)
    prepare_shard(songs, TOKENIZER, tmp_path / "other", share=Share(1, 2), licence="ours", meter="4/4", jobs=1)
    (tmp_path / "empty").mkdir()
    wrong = {
        "of 2 shards 2/2 are not given": [first],
        "are both shard 1/2": [first, shutil.copytree(first, tmp_path / "copy"), second],
        "other files or settings": [first, tmp_path / "other"],
        "is no shard": [first, tmp_path / "empty"],
    }
    lines = (second / READINGS).read_text().splitlines(keepends=True)
    cut = shutil.copytree(second, tmp_path / "cut")
    (cut / READINGS).write_text("".join(lines[:2]))
    wrong["2 of its 6 files are read; give the same command again"] = [first, cut]
    damaged = shutil.copytree(second, tmp_path / "damaged")
    (damaged / SHARD).write_text('{"format": 2}')
    wrong["is damaged .'meter'.; prepare this shard again"] = [first, damaged]
    older = shutil.copytree(second, tmp_path / "older")
    (older / SHARD).write_text((second / SHARD).read_text().replace('"format": 2', '"format": 1'))
    wrong["its format is 1 and this seqvae reads 2"] = [first, older]
    torn = shutil.copytree(second, tmp_path / "torn")
    (torn / WINDOWS).unlink()
    wrong["is damaged .*windows.raw"] = [first, torn]
    for message, folders in wrong.items():
        with pytest.raises(DataError, match=message) as error:
            merge_shards(folders, tmp_path / "set")
        assert "\n" not in str(error.value) and not (tmp_path / "set").exists()


def test_a_shard_replaces_no_other_unless_forced(songs: Path, tmp_path: Path) -> None:
    (first,) = shards_of(songs, tmp_path, 1)
    before = (first / READINGS).read_bytes()
    with pytest.raises(WriteError, match="shard of other files or settings"):
        prepare_shard(songs, TOKENIZER, first, share=Share(0, 2), jobs=1)
    assert (first / READINGS).read_bytes() == before
    prepare_shard(songs, TOKENIZER, first, share=Share(0, 2), jobs=1, force=True)
    assert (first / READINGS).read_bytes() != before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(WriteError, match="is no shard"):
        prepare_shard(songs, TOKENIZER, tmp_path / "full", share=Share(0, 2), jobs=1, force=True)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "-1/2", "1/2/3"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no share such as 1/4"):
        Share.parse(text)


def test_the_command_reads_shares_and_merges_them(
    songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(songs, TOKENIZER, tmp_path / "whole", jobs=1)
    parts = [str(tmp_path / f"part-{number}") for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        assert main(["prepare", str(songs), "--shard", f"{number}/2", "-o", part, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"shard": part, "files": 6}
    assert main(["prepare", "--merge", *parts, "-o", str(tmp_path / "set")]) == 0
    assert same_files(tmp_path / "whole", tmp_path / "set")
    assert main(["prepare", "--merge", *parts, "-o", str(tmp_path / "x"), "--meter", "3/4"]) == 2
    assert "--merge takes all from the shards" in capsys.readouterr().err
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    words = ["prepare", str(tmp_path / "lines.txt"), "--preset", "text-words", "--shard", "1/2"]
    assert main([*words, "-o", str(tmp_path / "y")]) == 1
    assert "lines of text are read at once" in capsys.readouterr().err
