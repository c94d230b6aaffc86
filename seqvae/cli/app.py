"""The command `seqvae`: its verbs, and the one place where an error becomes a line on stderr and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

import seqvae
from seqvae.errors import SeqvaeError

VERBS = {
    "prepare": "prepare",
    "train": "train",
    "finetune": "finetune",
    "sample": "sample",
    "slide": "slide",
    "interpolate": "paths",
    "grid": "grid",
    "walk": "paths",
    "reconstruct": "generate",
    "vary": "generate",
    "repair": "repair",
    "encode": "latent",
    "decode": "latent",
    "neighbours": "neighbours",
    "evaluate": "evaluate",
    "export": "export",
    "models": "inspect",
    "inspect": "inspect",
}
"""Each verb and the module that has it, in the order of the help page."""

GROUPS = ("attribute", "plot", "groove")
"""Verbs of several words; a module each."""


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """The program with all its verbs, or with that alone which `words` begin with: the others need not be loaded."""
    # Without rich's markup a help page is plain text, and there is nothing to import for it.
    program = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    program.callback(invoke_without_command=True)(seqvae_command)
    known = [*VERBS, *GROUPS]
    for name in words[:1] if words and words[0] in known else known:
        verb = getattr(import_module(f"seqvae.cli.{VERBS.get(name, name)}"), name)
        if name in GROUPS:
            program.add_typer(verb)
        else:
            program.command()(verb)
    return program


def seqvae_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Turns music into vectors and vectors into music: LSTM variational autoencoders of short sequences.

    Results go to stdout, one path a line; everything else to stderr. Exit codes: 0 done, 1 an error, 2 wrong usage.

    \b
    Example:
      seqvae interpolate a.mid b.mid --steps 8
      seqvae sample -n 16 --temperature 0.5
    """
    if version:
        print(f"seqvae {seqvae.__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def main(argv: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    # Before numpy is imported: its products are small here, and a second thread for each waits more than it works.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What imports make stays: looking through it for garbage every few hundred objects is for nothing.
    gc.set_threshold(20_000, 20, 20)
    for name in ("stdout", "stderr"):  # closed by who started it, as a daemon may: what is said goes nowhere
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 — until the process ends
    try:
        program = command_line(sys.argv[1:] if argv is None else argv)
        code = program(args=argv, prog_name="seqvae", standalone_mode=False)
        sys.stdout.flush()  # so that a closed pipe shows here and not at the interpreter's end
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        return _fail(_usage_message(error), error.exit_code)
    except SeqvaeError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except typer.Abort:
        return _fail("stopped: the input ended")
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter would complain when it flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        return _fail(f"out of memory ({error or 'no more to be had'}); ask for less at a time")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}; check the path and its permissions")


def _usage_message(error: typer.TyperException) -> str:
    """The message in one line, with where to read more."""
    context = getattr(error, "ctx", None)
    hint = f" (see '{context.command_path} --help')" if context is not None else ""
    return error.format_message().rstrip(".") + hint


def _fail(message: str, code: int = 1) -> int:
    """Says what went wrong, in one line on stderr."""
    print("Error: " + " ".join(message.split()), file=sys.stderr)
    return code
