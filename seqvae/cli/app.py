"""The command `seqvae`: its verbs, and the one place where an error becomes a line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import seqvae
from seqvae.cli import (
    attribute,
    evaluate,
    export,
    finetune,
    generate,
    grid,
    groove,
    inspect,
    latent,
    neighbours,
    paths,
    plot,
    prepare,
    repair,
    sample,
    slide,
    train,
)
from seqvae.errors import SeqvaeError

VERBS = (
    prepare.prepare,
    train.train,
    finetune.finetune,
    sample.sample,
    slide.slide,
    paths.interpolate,
    grid.grid,
    paths.walk,
    generate.reconstruct,
    generate.vary,
    repair.repair,
    latent.encode,
    latent.decode,
    neighbours.neighbours,
    evaluate.evaluate,
    export.export,
    inspect.models,
    inspect.inspect,
)

# Without rich's markup a help page is plain text, and there is nothing to import for it.
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for verb in VERBS:
    app.command()(verb)
app.add_typer(attribute.attribute)
app.add_typer(plot.plot)
app.add_typer(groove.groove)


@app.callback(invoke_without_command=True)
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
    try:
        code = app(args=argv, prog_name="seqvae", standalone_mode=False)
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
