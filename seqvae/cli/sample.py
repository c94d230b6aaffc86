"""The verb `sample`: new items from nothing but a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqvae.cli import common, control, validity, where
from seqvae.cli.common import DEFAULT_MODEL, UsageError, numbered, talk

if TYPE_CHECKING:
    from seqvae.model import Model
    from seqvae.ranking import Measure, Ranking
    from seqvae.tokenizers import Tokens

MUSIC_TEMPERATURE = 0.8
"""Of `sample`: as dense as the data, where the likeliest tokens are sparser. The model's own default is the same."""

LINE_TEMPERATURE = 0.0
"""Of `sample`: what varies is z; each line is the likeliest that its z can say."""

LANGUAGE_TEMPERATURE = 1.0
"""Of `sample` from a language model: there is no z to draw, and chance lies in the tokens alone."""


SHOWN = 16
"""Items in the picture."""

COUNTED_AT_ONCE = 1024
"""Items looked for among the training data at once, where they are not all in memory."""


class PriorChoice(StrEnum):
    """Where samples are drawn from."""

    aggregate = "aggregate"
    normal = "normal"


SampleTemperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0.0,
        help="Of samples: 0 takes the likeliest token at each step, 1 draws freely.",
        show_default=(
            f"{MUSIC_TEMPERATURE:g} for music, {LINE_TEMPERATURE:g} for texts and raw, "
            f"{LANGUAGE_TEMPERATURE:g} of a language model"
        ),
    ),
]

Rank = Annotated[
    list[str] | None,
    typer.Option(
        "--rank",
        metavar="KEY,KEY",
        help="Best first by novelty, likeness:FILE, likelihood, valid or an attribute such as density, -density, "
        "density*2; of several the mean of the ranks.",
    ),
]
Keep = Annotated[
    int | None,
    typer.Option("--keep", min=1, metavar="N", help="Of all that are drawn only the N best, no two the same."),
]
Diverse = Annotated[
    float | None,
    typer.Option(
        "--diverse",
        min=0.0,
        max=1.0,
        help="Of --keep: 0 the best by --rank alone, 1 those farthest apart.",
        show_default="0.3",
    ),
]
AllowCopies = Annotated[
    bool, typer.Option("--allow-copies", help="Keep also what is copied from the training data; see docs/ranking.md.")
]
Known = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DATASET|FILES",
        help="What novelty is measured against; of --where real items, whose quarters are then high and low.",
        show_default="windows that the model file carries",
    ),
]


def sample(
    n: common.Count = 16,
    prior: Annotated[
        PriorChoice, typer.Option("--prior", help="Draw where the training data lie, or from N(0, I).")
    ] = PriorChoice.aggregate,
    output: common.Output = None,
    temperature: SampleTemperature = None,
    top_k: common.TopK = None,
    top_p: common.TopP = None,
    beam: common.Beam = None,
    ban_unk: common.BanUnknown = False,
    valid: validity.Valid = None,
    only_valid: validity.OnlyValid = False,
    rank: Rank = None,
    keep: Keep = None,
    diverse: Diverse = None,
    allow_copies: AllowCopies = False,
    wheres: where.Wheres = None,
    by: where.By = None,
    data: Known = None,
    table: where.Table = None,
    chords: control.Chords = None,
    key: control.Key = None,
    labels: control.Labels = None,
    seed: common.Seed = None,
    model: common.ModelName = DEFAULT_MODEL,
    device: common.DeviceName = "auto",
    as_json: common.AsJson = False,
    force: common.Force = False,
) -> None:
    """Makes new items from nothing but a seed: files, or lines on stdout.

    With --chords, items are as long as the chords, each with one z for all its windows. With --rank or --keep, items
    are numbered best first, and what is copied from the training data is left out. With --where, items are looked for
    that meet conditions: each one returned does.

    \b
    Example:
      seqvae sample -n 16 --seed 1 -o new
      seqvae sample -n 500 --keep 10 --rank novelty,density,likeness:clip.mid -o best
      seqvae sample --where density=high --where key=C -n 8
      seqvae sample --model melody-chords-2bar --chords "C G Am F" --key C
      seqvae sample --model captions --temperature 0.7 --top-p 0.9
      seqvae sample --model equations --valid my_rules.py:parses --only-valid
    """
    check = validity.asked_check(valid, only_valid)
    sought = where.asked_wheres(wheres, by, data, table)
    apart = data if sought is None or "novelty" in ",".join(rank or ()) else None
    choice = asked_choice(rank, keep, diverse, allow_copies, apart, check)
    if keep is not None and keep > n:
        raise UsageError(f"--keep {keep} of -n {n} is more than are drawn; draw more with -n, or keep fewer")
    loaded = common.load_model(model, device)
    asked = control.asked_for(loaded, chords, key, labels)
    target = common.plan(loaded.tokenizer, output, "out-sample", numbered("sample", min(keep or n, n)), force)
    if temperature is None:
        temperature = 0.0 if beam else usual_temperature(loaded)
    decoding = common.decoding_of(
        loaded, temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, ban_unknown=ban_unk
    )
    seed = common.settle_seed(seed)

    settings: dict[str, Any] = {
        "prior": prior.value,
        "temperature": temperature,
        "control": asked,
        "decoding": decoding,
        "seed": seed,
    }
    search = None if sought is None else sought.search(loaded, settings)

    def draw(count: int) -> list[Any]:
        return loaded.sample(count, **settings) if search is None else [one.item for one in search.take(count)]

    if target.place and not target.is_file and choice is None and check is None and search is None:
        values = common.described("sample", loaded, seed, temperature, decoding) | {"prior": prior.value}
        files, copies = _write_as_drawn(loaded, target, loaded.samples(n, **settings))
        common.deliver(loaded, [], files, values | copies, as_json)
        return
    items, found = validity.draw_valid(draw, n, check, only_valid)
    if search is not None:
        found |= where.told(search)
    titles = target.names
    if choice is None:
        found |= count_copies(loaded, items)
    else:
        ranking = choice.of(loaded, items)
        items, target = ranking.items, replace(target, names=target.names[: len(ranking.items)])
        titles = [titled(name, ranking, place) for place, name in enumerate(target.names)]
        names = target.names if target.place and not target.is_file else [str(place + 1) for place in range(len(items))]
        tell_ranking(ranking, names, loaded)
        found |= told(ranking, names)
    files = target.write(items, list(zip(titles, items, strict=True))[:SHOWN], on_path=False)
    values = {**common.described("sample", loaded, seed, temperature, decoding), "prior": prior.value, **found}
    common.deliver(loaded, items, files, values, as_json)


def _write_as_drawn(model: Model, target: common.Target, items: Iterator[Any]) -> tuple[list[Path], dict[str, int]]:
    """Files of items that are not all in memory, and how many of them training had, if the model knows."""
    from seqvae.ranking import copied

    first = list(islice(items, SHOWN))
    copies: list[int] = []

    def counted() -> Iterator[Any]:
        rest = chain(first, items)
        while some := list(islice(rest, COUNTED_AT_ONCE)):
            if model.fingerprints is not None:
                copies.append(int(copied(model, some).sum()))
            yield from some

    files = target.write(counted(), list(zip(target.names, first, strict=False)), on_path=False)
    return files, {} if model.fingerprints is None else tell_copies(sum(copies), len(target.names))


# -- ranking -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is asked of what is drawn.

    Attributes:
        by: What ranks them.
        keep: How many, or None for all.
        diverse: As in `ranking.rank`; None for its default.
        allow_copies: Whether copies of the training data may be among them.
        data: What novelty is measured against, or None.
    """

    by: Sequence[str | Measure]
    keep: int | None
    diverse: float | None
    allow_copies: bool
    data: Path | None

    def of(self, model: Model, items: Sequence[Any]) -> Ranking:
        """The items as they rank. Raises `DataError`, `ReadError`."""
        from seqvae.ranking import DIVERSE
        from seqvae.ranking import rank as best

        diverse = DIVERSE if self.diverse is None else self.diverse
        known = None if self.data is None else known_windows(model, self.data)
        return best(model, items, self.by, self.keep, diverse=diverse, allow_copies=self.allow_copies, known=known)


def asked_choice(
    rank: Sequence[str] | None,
    keep: int | None,
    diverse: float | None,
    allow_copies: bool,
    data: Path | None,
    check: validity.Check | None,
) -> Choice | None:
    """What the options say; None where neither --rank nor --keep is given.

    Raises:
        UsageError: Options that only change how is ranked and kept, where nothing is; or `valid` without --valid.
    """
    keys = [key.strip() for given in rank or () for key in given.split(",") if key.strip()]
    if rank and not keys:
        raise UsageError("--rank is empty; give it something to rank by, such as novelty or density")
    if "valid" in keys and check is None:
        raise UsageError("--rank valid needs --valid MODULE:FUNCTION, which says what that is")
    if diverse is not None and keep is None:
        raise UsageError("--diverse says which of many to keep; add --keep N")
    if data is not None and not any(key.strip("-").startswith("novelty") for key in keys):
        raise UsageError("--data is what novelty is measured against; add --rank novelty, or leave it out")
    if not keys and keep is None:
        if allow_copies:
            raise UsageError("--allow-copies is for --rank and --keep, which leave copies out; add one of them")
        return None

    def valid(item: Any) -> float:
        return float(check is not None and check(item))

    by = [valid if key == "valid" else key for key in keys]
    return Choice(by=by, keep=keep, diverse=diverse, allow_copies=allow_copies, data=data)


def known_windows(model: Model, data: Path) -> Tokens:
    """The training windows of a dataset, or all windows of files. Raises `DataError`, `ReadError`."""
    from seqvae.cli.gather import collect

    found = collect(model.tokenizer, [data], None)
    windows: Tokens = found.tokens if found.train is None else found.train
    return windows


def count_copies(model: Model, items: Sequence[Any]) -> dict[str, int]:
    """How many items the training data have, said where there are any; nothing of a model that does not know."""
    from seqvae.ranking import copied

    return {} if model.fingerprints is None else tell_copies(int(copied(model, items).sum()), len(items))


def tell_copies(count: int, among: int) -> dict[str, int]:
    """How many of so many items are copies."""
    if count:
        talk(f"{count:,} of {among:,} {are(count)} copied from the training data (--keep N leaves such out)")
    return {"copied": count}


def tell_ranking(ranking: Ranking, names: Sequence[str], model: Model) -> None:
    """What was left out, and a table of the measures of what is kept."""
    if ranking.dropped:
        left = f"{ranking.dropped:,} of {len(ranking.score):,} {are(ranking.dropped)} copied from the training data"
        talk(f"{left} and left out (--allow-copies keeps them)")
    if model.fingerprints is None:
        talk(f"{model.name} does not know what it was trained on; copies are not looked for")
    if not ranking.measures:
        return
    heads = ["score", *map(short, ranking.measures)]
    wide = max(len(name) for name in names)
    talk(f"{'':{wide}s}  {'  '.join(f'{head:>10s}' for head in heads)}")
    for name, row in zip(names, ranking.rows, strict=True):
        values = [ranking.score[row], *(values[row] for values in ranking.measures.values())]
        cells = [f"{value:{max(10, len(head))}.3f}" for value, head in zip(values, heads, strict=True)]
        talk(f"{name:{wide}s}  {'  '.join(cells)}")


def told(ranking: Ranking, names: Sequence[str]) -> dict[str, Any]:
    """A ranking for --json: of what is kept, its place among what was drawn, from 1, its score and its measures."""
    kept = [
        {
            "name": name,
            "drawn_as": row + 1,
            "score": float(ranking.score[row]),
            "copied": bool(ranking.copied[row]),
            "measures": {key: number(values[row]) for key, values in ranking.measures.items()},
        }
        for name, row in zip(names, ranking.rows, strict=True)
    ]
    return {"ranked": len(ranking.score), "copied": int(ranking.copied.sum()), "kept": kept}


def titled(name: str, ranking: Ranking, place: int) -> str:
    """A name for the picture, with the first three measures under it; its ending, which is not drawn, comes last."""
    row = ranking.rows[place]
    measures = [f"{short(key)} {values[row]:.2f}" for key, values in ranking.measures.items()]
    return f"{Path(name).stem}\n{', '.join(measures[:3])}{Path(name).suffix}" if measures else name


def short(key: str) -> str:
    """The name of a measure without its file."""
    return key.partition(":")[0]


def number(value: float) -> float | None:
    """As JSON has it: None of what is not defined."""
    return float(value) if value == value else None


def are(count: int) -> str:
    """Is or are."""
    return "is" if count == 1 else "are"


# -- helpers -----------------------------------------------------------------------------------------------------------


def usual_temperature(model: Model) -> float:
    """Of samples, where none is given."""
    if not model.z_size:
        return LANGUAGE_TEMPERATURE
    return LINE_TEMPERATURE if common.is_lines(model.tokenizer) else MUSIC_TEMPERATURE
