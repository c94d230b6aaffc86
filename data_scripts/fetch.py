"""What the corpus scripts share: downloading, unpacking safely, checksums, their command line."""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import lzma
import os
import stat
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from seqvae.corpus import Report
from seqvae.corpus.folk import user_cache
from seqvae.dataset import Dataset
from seqvae.errors import DataError, ReadError, SeqvaeError
from seqvae.files import one_line

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
# What Python's readers of archives raise on damaged ones; OSError also when the disk is full.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, ValueError, RuntimeError, OSError)
MAX_BYTES = 4 << 30
BLOCK = 1 << 18

Member = tuple[str, int, Callable[[], bytes]]
"""A file in an archive: name, size unpacked, and how to read it."""


def arguments(
    description: str | None, argv: list[str] | None = None, *, preset: str = "melody-2bar"
) -> argparse.Namespace:
    """The flags that all corpus scripts have; `source` is None unless --from is given, `preset` is the usual one."""
    return parser(description, preset).parse_args(argv)


def parser(description: str | None, preset: str) -> argparse.ArgumentParser:
    """Of those flags, for scripts that have more."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--from", dest="source", type=Path, metavar="LOCAL", help="a folder or archive, not the network")
    made.add_argument("-o", dest="out", type=Path, required=True, metavar="DATASET", help="folder to write")
    made.add_argument("--preset", default=preset, help="whose tokenizer to use (default: %(default)s)")
    made.add_argument("--jobs", type=int, help="worker processes (default: one a core)")
    made.add_argument("--force", action="store_true", help="replace a dataset that stands there")
    return made


def run(main: Callable[[], None]) -> None:
    """Runs a script; an error is one line and exit code 1."""
    try:
        main()
    except SeqvaeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"Error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def say(message: str) -> None:
    """A line for the person, on stderr."""
    print(message, file=sys.stderr)


def progress(label: str) -> Callable[[int, int], None]:
    """Shows how far something is, on stderr, if someone is watching."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{label}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr)

    return show


def finish(out: Path, report: Report) -> None:
    """Says what was made; the dataset's path goes to stdout."""
    counts = ", ".join(f"{count} {split}" for split, count in report.windows.items())
    say(f"{report.sources} sources, distinct windows: {counts}; hash {Dataset.open(out).hash}")
    print(out)


# -- inputs ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened_if(source: Path | None) -> Iterator[Path | None]:
    """A local copy as a folder, unpacked if it is an archive; None without one. Raises `ReadError`."""
    if source is None:
        yield None
    else:
        with opened(source, "") as folder:
            yield folder


@contextlib.contextmanager
def opened(source: Path | None, url: str, sha256: str = "") -> Iterator[Path]:
    """A folder with the corpus: `source` itself, or unpacked from it, or downloaded from `url` and unpacked.

    Raises:
        ReadError: `source` is missing or no archive, or the download fails or has another checksum.
    """
    if source is not None and source.is_dir():
        yield source
        return
    archive = source or download(url, cached(url), sha256)
    with tempfile.TemporaryDirectory(prefix="seqvae-") as folder:
        yield unpack(archive, Path(folder))


def content(source: Path | None, url: str, sha256: str, *, name: str = "") -> bytes:
    """One file of a corpus, for corpora that are a few plain files; says whether it is the one expected.

    Args:
        source: The file, or a folder that has it at any depth; also compressed, as .xz. None: it is downloaded, and
            must be the one expected.
        url: Its public address.
        sha256: Of the plain file.
        name: Its name in the folder; the one in `url` by default.

    Raises:
        ReadError: It is not there, cannot be read or downloaded.
    """
    name = name or unquote(url.rsplit("/", 1)[-1])
    path = _found(source, name) if source is not None else download(url, cached(url), sha256)
    try:
        found = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except DAMAGE as error:
        raise ReadError(
            f"{path}: cannot be read ({one_line(error)}); give another copy of {name} with --from"
        ) from None
    same = hashlib.sha256(found).hexdigest() == sha256
    say(f"{name}: checksum {'as expected' if same else f'NOT the expected {sha256[:16]}: figures will differ'}")
    return found


def _found(source: Path, name: str) -> Path:
    """The file of that name, or that name and .xz, at or below `source`."""
    if source.is_file():
        return source
    for wanted in (name, f"{name}.xz"):
        found = min(source.rglob(wanted), key=lambda path: (len(path.parts), path), default=None)
        if found is not None:
            return found
    raise ReadError(f"{source}: there is no {name} in it; give a folder that has it with --from, or leave --from out")


def cached(url: str) -> Path:
    """Where a download is kept: below the user's cache, in the folders of its address."""
    place = urlsplit(url)
    return user_cache() / "downloads" / place.netloc.replace(":", "_") / unquote(place.path).lstrip("/")


def download(url: str, path: Path, sha256: str = "", *, block: int = BLOCK) -> Path:
    """Downloads to `path`, going on where an earlier try stopped; a file that stands already is taken as it is.

    Raises:
        ReadError: The server cannot be reached, says no, or sends another file than expected.
    """
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            resumed = answer.status == 206
            total = int(answer.headers.get("Content-Length") or 0) + (have if resumed else 0)
            with part.open("ab" if resumed else "wb") as file:
                _copy(answer.read, file.write, file.tell(), total, path.name, block)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the part does not belong to this file
            part.unlink()
        raise ReadError(f"{url}: the server answers {error.code} {error.reason}; try again, or give --from") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ReadError(
            f"{url}: cannot be downloaded ({reason}); try again, or give a local copy with --from"
        ) from None
    found = hashlib.sha256(part.read_bytes()).hexdigest()
    if sha256 and found != sha256:
        part.unlink()
        raise ReadError(f"{url}: the file has SHA-256 {found} and {sha256} is expected; try again, or give --from")
    os.replace(part, path)
    return path


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], int], done: int, total: int, name: str, block: int
) -> None:
    show = sys.stderr.isatty()
    while content := read(block):
        write(content)
        done += len(content)
        if show:
            print(f"\r{name} {_bar(done, total)}", end="", file=sys.stderr)
    if show:
        print(file=sys.stderr)
    if total and done != total:
        raise OSError(f"the connection ended at {done} of {total} bytes")


def _bar(done: int, total: int) -> str:
    """How far a download is, as a bar where its length is known."""
    if not total:
        return f"{done / 1e6:.1f} MB"
    filled = 20 * done // total
    return f"[{'#' * filled}{'.' * (20 - filled)}] {done / 1e6:.1f} of {total / 1e6:.1f} MB"


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> Path:
    """Unpacks the plain files of a .zip or .tar.*, and returns the folder in which they lie.

    Links, devices and whatever would land outside `folder` are refused.

    Raises:
        ReadError: It is missing, no archive, damaged, unsafe, or larger than `max_bytes` unpacked.
    """
    if not archive.is_file():
        raise ReadError(f"{archive}: does not exist; give a folder or an archive ({' '.join(ARCHIVES)}) with --from")
    try:
        members = _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)
        for name, size, read in members:
            if size > max_bytes:
                raise ReadError(f"{archive}: too large unpacked; unpack it by hand and give the folder")
            max_bytes -= _place(name, folder, archive).write_bytes(read())
    except DAMAGE as error:
        found = f"{archive}: cannot be unpacked ({one_line(error)})"
        raise ReadError(f"{found}; give a folder or one of {' '.join(ARCHIVES)}") from None
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ReadError(f"{archive}: {info.filename!r} is a link; unpack it by hand and give the folder")
            if not info.is_dir():
                yield info.filename, info.file_size, functools.partial(file.read, info)


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as file:
        for info in file:
            if not (info.isreg() or info.isdir()):
                raise ReadError(f"{archive}: {info.name!r} is no plain file; unpack it by hand and give the folder")
            content = file.extractfile(info) if info.isreg() else None
            if content is not None:
                yield info.name, info.size, content.read


def _place(name: str, folder: Path, archive: Path) -> Path:
    """Where a member goes, its folder made."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise ReadError(f"{archive}: {name!r} points out of the archive; it is not safe to unpack")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def tree_checksum(folder: Path, pattern: str) -> tuple[int, str]:
    """Number and checksum of the files below a folder that match: SHA-256 over their names and contents, 16 digits."""
    digest, count = hashlib.sha256(), 0
    for path in sorted(folder.rglob(pattern), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_file():
            count += 1
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{content} {path.relative_to(folder).as_posix()}\n".encode())
    return count, digest.hexdigest()[:16]


def check_tree(folder: Path, pattern: str, expected: str) -> None:
    """Prints the checksum of a corpus, and whether it is the one its script was written for.

    Raises:
        DataError: No file matches.
    """
    count, found = tree_checksum(folder, pattern)
    if not count:
        raise DataError(f"{folder}: there is no {pattern} in it; is it another corpus?")
    same = "as expected" if found == expected else f"NOT the expected {expected}: figures will differ"
    say(f"{count} files, checksum {found}, {same}")


def folder_named(root: Path, name: str) -> Path:
    """The folder of that name at or below `root`.

    Raises:
        DataError: There is none.
    """
    if root.name == name:
        return root
    found = min((path for path in root.rglob(name) if path.is_dir()), key=lambda path: len(path.parts), default=None)
    if found is None:
        raise DataError(f"{root}: there is no folder {name} in it; is it another corpus?")
    return found
