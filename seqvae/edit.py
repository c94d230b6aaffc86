"""Edits of items along a model's attribute vectors: fitting the vectors, applying them, and what they do.

An item that the model made starts from the very z that it was made of, which its file carries (`passage.restored`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqvae.attributes import Attribute, AttributeVector, AttributeVectors, attribute_named, attributes_of, measured
from seqvae.attributes.base import MIN_SIDE, check_values
from seqvae.attributes.effect import EffectReport, Respond, Values, measure_effects
from seqvae.attributes.fit import Fitted, fit_vectors
from seqvae.attributes.labels import Labelled
from seqvae.attributes.probe import Column, Probe, fit_probe
from seqvae.checkpoint import load_model, save_model
from seqvae.dataset import window_keys
from seqvae.errors import DataError, ModelError
from seqvae.latent import Z
from seqvae.passage import PLAIN, Decoding, Passage
from seqvae.tokenizers import Tokenizer, Tokens

if TYPE_CHECKING:
    from seqvae.model import Model

STARTS = 48
"""Held-out items that the length of a vector is measured on."""

REPORTED = 128
"""Held-out items that a report moves."""

FOLLOWED = 0.3
"""Spearman that a vector must have to be kept where nobody asked for it by name."""

Tell = Callable[[str], None]


# -- applying ----------------------------------------------------------------------------------------------------------


def apply(
    model: Model,
    passage: Passage,
    amounts: Mapping[str, float],
    *,
    vectors: AttributeVectors | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    decoding: Decoding = PLAIN,
) -> Passage:
    """The passage with attributes changed: Σ amount · vector is added to the z of all its windows.

    Style and controls stay. Of an item that the model made, z is the one that it was made of; it is decoded as it was
    then, so that amounts of 0 give it again.

    Args:
        model: The model.
        passage: From `model.passage`.
        amounts: In standard deviations of the data, by attribute: `{"density": 1.5, "pitch": -1}`.
        vectors: The model's own if left out.
        temperature, seed: As in `Model.decode`; if left out as the item was made, or 0.
        decoding: How tokens are drawn, beside the temperature.

    Returns:
        The edited passage; its item carries its z.

    Raises:
        DataError: There is no such vector, or an amount is not finite.
        ModelError: A vector belongs to another model.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> denser = apply(model, model.passage(Clip.load("a.mid")), {"density": 1.5})  # doctest: +SKIP
        >>> denser.item.save("denser.mid")  # doctest: +SKIP
    """
    known = own_vectors(model, vectors)
    z = passage.z + known.offset(amounts) if amounts else passage.z
    made = getattr(passage.item, "provenance", None) if passage.restored else None
    return model.render(
        z[None],
        [passage.styles],
        [model.control_of(passage.tokens)],
        temperature=(0.0 if made is None else made.temperature) if temperature is None else temperature,
        seed=(0 if made is None else made.seed) if seed is None else seed,
        decoding=decoding,
        verb="attribute",
    )[0]


def sweep(
    model: Model,
    passage: Passage,
    name: str,
    amounts: Sequence[float] | Values,
    *,
    vectors: AttributeVectors | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    decoding: Decoding = PLAIN,
) -> list[Passage]:
    """The passage with one attribute changed by each of several amounts. Arguments and errors as of `apply`."""
    return [
        apply(
            model,
            passage,
            {name: float(amount)},
            vectors=vectors,
            temperature=temperature,
            seed=seed,
            decoding=decoding,
        )
        for amount in amounts
    ]


def own_vectors(model: Model, vectors: AttributeVectors | None = None) -> AttributeVectors:
    """Those vectors, or the model's. Raises `ModelError` if one belongs to another model."""
    found = model.attributes if vectors is None else vectors
    for vector in found.values():
        if vector.model_hash != model.hash:
            said = f"the attribute vector {vector.name!r} was fitted for model {vector.model_hash}"
            raise ModelError(f"{said} and {model.name} is {model.hash}; fit it again with: seqvae attribute fit")
    return found


def attribute_values(model: Model, passage: Passage, names: Sequence[str], vectors: AttributeVectors) -> list[float]:
    """Attributes of a passage in their own units: measured, or read by the vectors' probes from its notes' z."""
    found = [(name, known_attribute(model.tokenizer, name)) for name in names]
    labels = [name for name, attribute in found if attribute is None]
    z = model.encode(passage.tokens) if labels else passage.z
    return [
        vectors[name].mean + vectors[name].deviation * float(vectors[name].read(z).mean())
        if attribute is None
        else attribute.measure(passage.item)
        for name, attribute in found
    ]


# -- measuring ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """How one attribute of decoded items is taken, in deviations of the data.

    Attributes:
        name: Of the attribute.
        mean, deviation: Of the data.
        attribute: What measures it; None for what is only a label, which a probe reads from the item encoded again.
        probe: float64 (z,), and `offset`: the reading is probe·z + offset.
    """

    name: str
    mean: float
    deviation: float
    attribute: Attribute | None
    probe: NDArray[np.float64]
    offset: float


def readings(tokenizer: Tokenizer, found: Sequence[AttributeVector | Probe]) -> list[Reading]:
    """How the attributes of vectors or probes are taken: measured where the kind can measure them."""
    return [
        Reading(
            name=one.name,
            mean=one.mean,
            deviation=one.deviation,
            attribute=known_attribute(tokenizer, one.name),
            probe=np.asarray(one.weights if isinstance(one, Probe) else one.probe, np.float64),
            offset=one.offset,
        )
        for one in found
    ]


def known_attribute(tokenizer: Tokenizer, name: str) -> Attribute | None:
    """The attribute of that name, if the kind has one."""
    try:
        return attribute_named(tokenizer, name)
    except DataError:
        return None


def responses(model: Model, found: Sequence[Reading], control: Tokens | None = None) -> Respond:
    """A function that decodes z and takes attributes (see `attributes.effect.Respond`).

    Args:
        model: The model.
        found: What is taken.
        control: Of each item, int64 (items, time, controls); nothing if left out.
    """
    attributes = [one.attribute for one in found if one.attribute is not None]
    measurable = np.array([one.attribute is not None for one in found], bool)
    centres, deviations = (np.array([getattr(one, name) for one in found]) for name in ("mean", "deviation"))
    probes, offsets = np.array([one.probe for one in found]).T, np.array([one.offset for one in found])

    def respond(z: Z) -> Values:
        rows = np.ascontiguousarray(z, np.float32).reshape(-1, model.z_size)
        given = np.zeros((len(rows), model.tokenizer.length, 0), np.int64)
        if control is not None:
            given = np.tile(control, (len(rows) // len(control), 1, 1))
        tokens = model.tokenizer.canonical(model.network.generate(rows, given, 0.0, 0, PLAIN))
        # Many z say the same: a code's neighbours. Each item is measured once.
        _, first, place = np.unique(window_keys(tokens), return_index=True, return_inverse=True)
        distinct = tokens[first]
        values = np.zeros((len(distinct), len(found)))
        values[:, measurable] = measured(attributes, (model.tokenizer.decode(row) for row in distinct))
        values = (values - centres) / deviations
        if not measurable.all():
            again = model.network.posterior(distinct)[0].astype(np.float64)
            values[:, ~measurable] = (again @ probes + offsets)[:, ~measurable]
        seen: Values = values[place.reshape(-1)].reshape(*z.shape[:-1], len(found))
        return seen

    return respond


def effect_report(
    model: Model,
    tokens: Tokens | None = None,
    *,
    names: Sequence[str] = (),
    vectors: AttributeVectors | None = None,
    items: int = REPORTED,
    seed: int = 0,
    tell: Tell | None = None,
) -> EffectReport:
    """What every vector of a model does to every attribute that it has a vector of, beside random directions.

    Args:
        model: The model.
        tokens: Held-out windows, int64 (n, time) or (n, time, part); the model's own sample if left out.
        names: Of the vectors that are applied; all if left out.
        vectors: The model's own if left out.
        items: So many windows are moved at most, drawn by `seed`.
        seed: Of the random directions too.
        tell: Is given each vector's name when it is its turn.

    Raises:
        DataError: There are no vectors, no such vector, or no windows.
        ModelError: A vector belongs to another model.
    """
    known = own_vectors(model, vectors)
    if not len(known):
        raise DataError(f"{model.name} has no attribute vectors; fit some with: seqvae attribute fit")
    windows = model.held_out if tokens is None else tokens
    if not len(windows):
        raise DataError(f"{model.name}: its file carries no windows to look at; give a dataset, files or folders")
    chosen = {name: known[name] for name in names or known}
    rows = _drawn(len(windows), items, seed)
    all_vectors = list(known.values())
    return measure_effects(
        responses(model, readings(model.tokenizer, all_vectors), model.control_of(windows[rows])),
        model.encode(windows[rows]),
        {name: vector.vector for name, vector in chosen.items()},
        [vector.name for vector in all_vectors],
        against={name: vector.against for name, vector in chosen.items()},
        seed=seed,
        tell=tell,
    )


# -- fitting -----------------------------------------------------------------------------------------------------------


def fit_attributes(
    model: Model,
    tokens: Tokens,
    attributes: Sequence[str] = (),
    *,
    labels: Sequence[Labelled] = (),
    against: Sequence[str] = (),
    valid: Tokens | None = None,
    data: str = "",
    seed: int = 0,
    tell: Tell | None = None,
) -> AttributeVectors:
    """The model's vectors with newly fitted ones among them (see `attributes.fit` for how).

    Args:
        model: The model.
        tokens: Windows to fit on, int64 (n, time) or (n, time, part).
        attributes: Names of what is measured on items; with neither names nor labels, all that the kind has, that vary
            in the windows, and that the decoder follows.
        labels: What is known of the windows.
        against: Names of attributes that each vector is to spare, itself aside. Those that are not asked for are fitted
            alongside and not kept.
        valid: Other windows, on which effects are measured; a quarter of `tokens` if left out.
        data: What the windows are, in words.
        seed: Decides on the quarter and on the windows drawn.
        tell: Is given a line on what is being done and what was found.

    Raises:
        DataError: There is no such attribute, one is the same everywhere, or there are too few items on its sides.

    Example:
        >>> from dataclasses import replace
        >>> windows = Dataset.open("my-data").windows("train")[:4000].astype("int64")  # doctest: +SKIP
        >>> model = replace(model, attributes=fit_attributes(model, windows, ["density", "pitch"]))  # doctest: +SKIP
    """
    columns = columns_of(model.tokenizer, tokens, attributes, labels, against)
    fit_rows, starts = np.arange(len(tokens)), tokens if valid is None else valid
    if valid is None and len(tokens) >= 4 * 4 * MIN_SIDE:
        order = np.random.default_rng((seed, 13)).permutation(len(tokens))
        fit_rows, starts = np.sort(order[len(tokens) // 4 :]), tokens[np.sort(order[: len(tokens) // 4])]
    elif valid is None and tell is not None:
        tell(f"effects are measured on the {len(tokens)} windows fitted on: there are too few to set some aside")
    z = model.encode(tokens[fit_rows])
    probes = [
        fit_probe(replace(column, values=column.values[fit_rows]), z, model.aggregate, seed=seed) for column in columns
    ]
    starts = starts[_drawn(len(starts), STARTS, seed)]
    found = fit_vectors(
        probes,
        model.aggregate,
        responses(model, readings(model.tokenizer, probes), model.control_of(starts)),
        model.encode(starts),
        against={column.name: [name for name in against if name != column.name] for column in columns},
        seed=seed,
        tell=tell,
    )
    asked = list(attributes) or [column.name for column in columns if not labels]
    kept = [one for one in found if one.probe.name in {*asked, *(label.name for label in labels)}]
    for one in kept:
        if tell is not None:
            tell(str(one))
    if not attributes and not labels:
        kept = _followed(kept, tell)
    return model.attributes.with_vectors(
        *(
            AttributeVector(
                name=one.probe.name,
                what=one.probe.what,
                vector=one.vector,
                mean=one.probe.mean,
                deviation=one.probe.deviation,
                method=one.method,
                against=one.against,
                items=one.probe.items,
                effect=one.effect,
                spearman=one.spearman,
                leakage=one.leakage,
                data=data,
                model_hash=model.hash,
                probe=one.probe.weights.astype(np.float32),
                offset=one.probe.offset,
            )
            for one in kept
        )
    )


def _followed(found: Sequence[Fitted], tell: Tell | None) -> list[Fitted]:
    """Of everything that was tried unasked, what the decoder follows."""
    weak = [one.probe.name for one in found if one.spearman < FOLLOWED]
    if weak and tell is not None:
        tell(f"left out, because the decoder does not follow them (Spearman below {FOLLOWED}): {', '.join(weak)}")
    return [one for one in found if one.spearman >= FOLLOWED]


def columns_of(
    tokenizer: Tokenizer,
    tokens: Tokens,
    attributes: Sequence[str],
    labels: Sequence[Labelled],
    against: Sequence[str],
) -> list[Column]:
    """The attributes of windows: those asked for, the labels, and what is to be spared. Raises as `fit_attributes`."""
    called = {label.name for label in labels}
    taken = [name for name in called if known_attribute(tokenizer, name) is not None]
    if taken:
        raise DataError(f"the label {taken[0]!r} has the name of what is measured on a {tokenizer.kind}; rename it")
    chosen = dict.fromkeys(attributes if attributes or labels else attributes_of(tokenizer))
    chosen |= dict.fromkeys(name for name in against if name not in called)
    if not chosen and not labels:
        raise DataError(f"a {tokenizer.kind} item has no attributes that are measured; give labels")
    asked = [attribute_named(tokenizer, name) for name in chosen if name not in called]
    values = measured(asked, (tokenizer.decode(row) for row in tokens))
    found = [
        Column(name=one.name, what=one.what, values=values[:, place])
        for place, one in enumerate(asked)
        # Of all that there are, those that say something; of those named, each, or the fit says what is wrong.
        if attributes or labels or one.name in against or _learnable(one.name, values[:, place])
    ]
    return found + [Column(name=label.name, what=label.what, values=label.values) for label in labels]


def _learnable(name: str, values: Values) -> bool:
    try:
        check_values(name, values)
    except DataError:
        return False
    return True


def fit_pair(
    model: Model, name: str, having: Any, lacking: Any, *, tokens: Tokens | None = None, seed: int = 0
) -> AttributeVectors:
    """The model's vectors with the difference of two items among them: one unit leads from one to the other.

    The attribute is how far along that line an item lies, 0 at the item that lacks it and 1 at the one that has it.

    Args:
        model: The model.
        name: What the difference is called.
        having, lacking: Items; of longer ones the mean of their windows counts.
        tokens: Held-out windows on which its effect is measured; the model's own sample, or draws of its prior, if left
            out.
        seed: Of what is drawn.

    Raises:
        DataError: The model sees no difference between the two.
    """
    ends = [model.passage(item).z.mean(axis=0, dtype=np.float64) for item in (having, lacking)]
    vector = ends[0] - ends[1]
    size = float(vector @ vector)
    if size < 1e-12:
        raise DataError(f"{name}: the model sees no difference between the two items; give two that differ")
    probe = vector / size
    known = AttributeVector(
        name=name,
        what=f"{name} (0 to 1, of a pair)",
        vector=vector.astype(np.float32),
        mean=0.0,
        deviation=1.0,
        method="pair",
        against=(),
        items=2,
        effect=0.0,
        spearman=0.0,
        leakage=0.0,
        data="two items",
        model_hash=model.hash,
        probe=probe.astype(np.float32),
        offset=float(-(probe @ ends[1])),
    )
    windows = model.held_out if tokens is None else tokens
    z = model.encode(windows[_drawn(len(windows), STARTS, seed)]) if len(windows) else model.draw(STARTS, seed=seed)
    control = model.control_of(windows[_drawn(len(windows), STARTS, seed)]) if len(windows) else None
    respond = responses(model, [replace(one, attribute=None) for one in readings(model.tokenizer, [known])], control)
    effect = measure_effects(respond, z, {name: known.vector}, [name], seed=seed).of(name)
    return model.attributes.with_vectors(replace(known, effect=effect.effect, spearman=effect.spearman))


def store_attributes(source: Path, vectors: AttributeVectors, output: Path, *, overwrite: bool = True) -> Path:
    """Writes the model file with these vectors in place of its own; nothing else of it changes.

    Raises:
        ModelError: `source` is no model file, or a vector belongs to another model.
        WriteError: `output` cannot be written.
    """
    saved = load_model(source)
    foreign = [vector for vector in vectors.values() if vector.model_hash != saved.hash]
    if foreign:
        found = f"{source}: the attribute vector {foreign[0].name!r} was fitted for model {foreign[0].model_hash}"
        raise ModelError(f"{found} and this is {saved.hash}; fit it again with: seqvae attribute fit")
    return save_model(output, replace(saved, attributes=tuple(vectors.values())), overwrite=overwrite)


def _drawn(count: int, items: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows, in order."""
    return np.sort(np.random.default_rng((seed, 14)).permutation(count)[:items])
