"""Writing a file or a folder so that it is there whole or not at all, and reading the lines of a text."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqvae.errors import ReadError, WriteError


def write_atomic(path: Path, content: bytes, *, overwrite: bool = True) -> Path:
    """Writes aside in the same folder, then renames. The folder is made if it is missing.

    Raises:
        WriteError: `path` stands already and `overwrite` is False, is a folder, or cannot be written.
    """
    if path.is_dir():
        raise WriteError(f"{path}: a folder stands there and a file is to be written; give another name")
    if path.exists() and not overwrite:
        raise WriteError(f"{path}: exists already; give another name, or --force to overwrite")
    aside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{path}: cannot be written ({reason}); make room or give another place with -o") from None
    finally:
        if aside is not None:
            with contextlib.suppress(OSError):
                os.unlink(aside)  # gone already if the rename went well
    return path


@contextlib.contextmanager
def replacing_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """A new folder beside `target` that takes its place if the block succeeds, and is removed if not.

    Raises:
        WriteError: `target` stands already and `force` is False, or it is no dataset, or the place cannot be written.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        if not (target / "dataset.json").is_file():
            raise WriteError(f"{target}: stands already and is no dataset; give another place with -o")
        if not force:
            raise WriteError(f"{target}: stands already; give another place with -o, or --force to replace it")
    target = target.absolute()
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        yield aside
        if target.exists():
            os.replace(target, old)
        os.replace(aside, target)
    except OSError as error:
        raise WriteError(f"{target}: cannot be written ({one_line(error)}); free space or give another -o") from None
    finally:
        if old.exists() and not target.exists():  # stopped between the two renames
            os.replace(old, target)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def one_line(error: BaseException) -> str:
    """An exception as one short line."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text, with or without a byte order mark, whatever its line ends; at least one.

    Raises:
        ReadError: It is missing, empty, or in another encoding.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # also turns every line end into \n
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"{path}: is no UTF-8 text (line {line}, byte {error.start} is 0x{error.object[error.start]:02x})"
        raise ReadError(f"{found}; save it as UTF-8") from None
    except OSError as error:
        raise ReadError(f"{path}: cannot be opened ({error.strerror or error}); give a file that exists") from None
    lines = text.split("\n")
    if lines[-1] == "":
        del lines[-1]
    if not lines:
        raise ReadError(f"{path}: is empty; give a file with something in it")
    return lines


def _umask() -> int:
    """The process's umask, which mkstemp ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
