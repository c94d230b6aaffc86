"""The verb `prepare`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli.common import AsJson, UsageError, talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seqvae.corpus import Report
    from seqvae.corpus.report import LineFacts

SHOWN = 8
"""Tracks, meters and reasons that the table shows; report.json has all."""


def prepare(
    inputs: Annotated[list[Path], typer.Argument(metavar="FILES|FOLDERS", help="MIDI, MusicXML, ABC or kern; texts.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATASET", help="Folder to write.")],
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME|FILE", help="Whose tokenizer to use.", show_default="melody-2bar"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Changes one setting of the preset.")
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(
            "--track",
            metavar="N|NAME|PART=N|all",
            help="This track of each file, by number from 0 or name; of parts melody=2,bass=0; all: every pitched one.",
            show_default="those that fit the kind",
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option("--meter", metavar="4/4", help="Count all beats in this meter, whatever the files say."),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Move the notes of files that lie off the grid onto it.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", help="Labels of files, for presets given one: file,genre,…"),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--column",
            "--field",
            metavar="NAME|N",
            help="Which column of .csv and .tsv, or field of .jsonl, is the text.",
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option("--include", metavar="PATTERN", help="Only files whose name matches.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="No files whose name matches.")
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Kept in the dataset, and in models trained on it.")
    ] = "",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Worker processes.", show_default="one a core")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="1/4", help="Read only this share of the files, for --merge: on any machine."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="The dataset of all shards: give their folders instead of files.")
    ] = False,
    as_json: AsJson = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a dataset that stands there.")] = False,
) -> None:
    """Makes a dataset from music files or texts, and says what was met, what was left out, and how to keep more.

    A file of music goes to train, valid or test by its name (90, 5 and 5 in 100); of texts each line, by itself, unless
    the file's name says where it belongs (train.txt, test.txt). Cut off, the same command goes on where it stood.

    \b
    Example:
      seqvae prepare my-songs -o my-dataset
      seqvae prepare POP909 --exclude "*/versions/*" --track MELODY --meter 4/4 --align -o pop
      seqvae prepare waltzes --set tokenizer.meter=3/4 -o waltzes-dataset
      seqvae prepare reviews.csv --preset text-words --column review -o reviews
      seqvae prepare lakh --shard 1/4 -o part-1
      seqvae prepare --merge part-1 part-2 part-3 part-4 -o lakh-dataset
    """
    from seqvae.config import DEFAULT_PRESET, load_preset
    from seqvae.corpus import Share, merge_shards, prepare_shard
    from seqvae.corpus import prepare as prepare_corpus

    if merge:
        if any((preset, settings, track, meter, align, labels, column, include, exclude, licence, jobs, shard)):
            raise UsageError("--merge takes all from the shards; give their folders, -o, and nothing else")
        _tell(merge_shards(inputs, output, force=force), output, as_json)
        return
    column_setting = [] if column is None else [f"tokenizer.column={json.dumps(column)}"]
    chosen = load_preset(preset or DEFAULT_PRESET, [*(settings or ()), *column_setting])
    asked: dict[str, Any] = {
        "track": track,
        "meter": meter,
        "align": align,
        "labels": labels,
        "licence": licence,
        "jobs": jobs,
        "include": include or (),
        "exclude": exclude or (),
        "force": force,
    }
    share = None if shard is None else Share.parse(shard)
    with _bar() as progress:
        if share is None:
            report = prepare_corpus(inputs, chosen.tokenizer, output, progress=progress, **asked)
        else:
            count = prepare_shard(inputs, chosen.tokenizer, output, share=share, progress=progress, **asked)
    if share is None:
        _tell(report, output, as_json)
        return
    talk(f"{count:,} files read: shard {share}; with all of them: seqvae prepare --merge FOLDERS -o DATASET")
    print(json.dumps({"shard": str(output), "files": count}, ensure_ascii=False) if as_json else output)


def _tell(report: Report, output: Path, as_json: bool) -> None:
    """The table on stderr, the result on stdout."""
    for label, line in table(report):
        talk(f"{label:<11}{line}")
    print(json.dumps({"dataset": str(output), **report.to_dict()}, ensure_ascii=False) if as_json else output)


def table(report: Report) -> Iterator[tuple[str, str]]:
    """The report as lines, each with a label or none."""
    rejected = sum(group.count for group in report.rejected.values())
    twice = report.duplicate_files.count
    yield "files", f"{report.files:,}: {report.read:,} read, {rejected:,} rejected, {twice:,} the same as another"
    yield from _groups(report.rejected)
    yield from _of_music(report) if report.lines is None else _of_lines(report, report.lines)
    for note in report.notes:
        yield "note", note
    for advice in report.advice:
        yield "advice", advice


def _of_music(report: Report) -> Iterator[tuple[str, str]]:
    yield "pieces", f"{report.items:,}: {report.sources:,} gave windows, {report.items - report.sources:,} gave none"
    yield from _groups(report.unused)
    yield "windows", _counted((split, count) for split, count in report.windows.items())
    least, median, most = report.windows_per_source
    yield "", f"a piece gave {least:,} to {most:,}, half of them {median:g} or more"
    yield "", _repeated(report)
    if report.skipped:
        yield "left out", _counted(report.skipped.items())
    if report.tracks:
        yield "tracks", _counted(report.tracks.items())
    if report.meters:
        yield "bars", _counted((meter, bars) for meter, (_, bars) in report.meters.items())
    if report.tempo_qpm is not None:
        low, middle, high = report.tempo_qpm
        yield "tempo", f"{low:.0f} to {high:.0f}, half of them {middle:.0f} or more; {report.tempo_changes:,} change it"
    if report.grid:
        yield "off grid", _counted((kind, group.count) for kind, group in report.grid.items())


def _of_lines(report: Report, lines: LineFacts) -> Iterator[tuple[str, str]]:
    """A vocabulary and lengths where music has bars and tempo."""
    yield "lines", f"{report.items:,}: {report.sources:,} are used, {report.items - report.sources:,} are not"
    yield from _groups(report.unused)
    yield "of them", _counted((split, count) for split, count in report.windows.items())
    yield "", _repeated(report)
    least, median, most = lines.lengths
    yield "tokens", f"{lines.tokens:,}; a line has {least:,} to {most:,} with its end, half of them {median:g} or more"
    yield "vocabulary", f"{lines.vocabulary:,} tokens"
    if lines.unknown:
        yield "", "unknown: " + ", ".join(f"{share:.1%} of {split}'s" for split, share in lines.unknown.items())


def _repeated(report: Report) -> str:
    seen = ", ".join(f"{count:,} of {split}'s" for split, count in report.also_in_train.items())
    return f"{sum(report.duplicate_windows.values()):,} repeated ones left out; {seen} are in train too"


def _groups(groups: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for reason, group in list(groups.items())[:SHOWN]:
        more = ", …" if group.count > len(group.examples) else ""
        yield "", f"{group.count:>7,}  {reason}: {', '.join(group.examples)}{more}"
    if len(groups) > SHOWN:
        rest = sum(group.count for group in list(groups.values())[SHOWN:])
        yield "", f"{rest:>7,}  other reasons, see report.json"


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    pairs = list(counts)
    rest = f", {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return ", ".join(f"{name} {count:,}" for name, count in pairs[:SHOWN]) + rest


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr if someone is watching: a function of files done and their number."""
    if not sys.stderr.isatty():
        yield None
        return
    with typer.progressbar(length=1, label="files", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
