"""What a report card is made of: measured numbers, each with unit, count, split and seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Section = Literal[
    "reconstruction", "likelihood", "latent use", "prior samples", "continuity", "interpolation", "control"
]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        name: Its key in JSON. After a colon the part it is of, where a step has several.
        section: Where it stands in the table.
        what: What it is, in words.
        value: The number.
        unit: `share`, `nats`, `bits`, `perplexity`, `BLEU` (0 to 100), `dimensions`, `ratio`, `correlation` or
            `distance`; of numbers that go with an event, their own (`velocity`, `steps`).
        n: Over how many items.
        split: Of which set they are.
        seed: Of all that was drawn for it.
    """

    name: str
    section: Section
    what: str
    value: float
    unit: str
    n: int
    split: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """A report card.

    Attributes:
        model, model_hash: Which model.
        data: What it was measured on, in words.
        temperature: Of the prior samples.
        figures: The numbers, in the order of the table.
        verdicts: What they mean, in words, with what to do where something is wrong.
    """

    model: str
    model_hash: str
    data: str
    temperature: float
    figures: tuple[Figure, ...]
    verdicts: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        """The value of a figure by its name."""
        return {figure.name: figure.value for figure in self.figures}[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` gives the same card back."""
        figures = {figure.name: asdict(figure) for figure in self.figures}
        for values in figures.values():
            del values["name"]
        about = {key: getattr(self, key) for key in ("model", "model_hash", "data", "temperature")}
        return {**about, "figures": figures, "verdicts": list(self.verdicts)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Card:
        """A card from what `to_dict` gave."""
        figures = tuple(Figure(name=name, **figure) for name, figure in values["figures"].items())
        about = {key: values[key] for key in ("model", "model_hash", "data", "temperature")}
        return Card(figures=figures, verdicts=tuple(values["verdicts"]), **about)

    def table(self) -> str:
        """The card as text: a line a figure, the verdicts below."""
        width = max((len(figure.what) for figure in self.figures), default=0)
        found = [f"{self.model} ({self.model_hash}) on {self.data}"]
        section = ""
        for figure in self.figures:
            if figure.section != section:
                section = figure.section
                found += ["", f"{section.upper():{width}}  {'value':>9}  {'unit':11}  {'n':>7}"]
            value = f"{figure.value:#.4g}" if abs(figure.value) < 1000 and figure.value % 1 else f"{figure.value:,.0f}"
            found.append(f"{figure.what:{width}}  {value:>9}  {figure.unit:11}  {figure.n:>7,}")
        if self.figures:
            found += [
                "",
                f"{self.figures[0].split}, seed {self.figures[0].seed}; samples at temperature {self.temperature:g}",
            ]
        return "\n".join(found + [f"! {verdict}" for verdict in self.verdicts])
