"""Attribute vectors: directions of a model's latent space along which one attribute changes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvae.errors import DataError
from seqvae.latent import Z


@dataclass(frozen=True, kw_only=True, eq=False)
class AttributeVector:
    """A direction. Added once to a z, it raises the attribute by one standard deviation of the data.

    It stands for its array in sums: `z + 1.5 * model.attributes["density"]`.

    Attributes:
        name: Of the attribute.
        what: In words, with the unit.
        vector: float32 (z,).
        mean, deviation: Of the attribute in the data it was fitted on, in its own unit.
        method: How it was found (see `attributes.fit`): `normal`, `quartiles`, `probe`, `response`, each perhaps
            `+corrected`; or `pair`.
        against: The attributes that it was made not to move.
        items: How many it was fitted on.
        effect: What one unit was measured to do on items that it was not fitted on, in deviations of the data.
        spearman: Rank correlation of amount and attribute there, over −2 to 2 units, mean over items.
        leakage: The largest |effect| there on what it was made not to move, or on all that was fitted with it.
        data: What it was fitted on, in words.
        model_hash: Of the model whose latent space it belongs to.
        probe: float32 (z,), and `offset`: the attribute read from a z, (value − mean) / deviation ≈ probe·z + offset.
            An attribute that is only a label has no other measure.
    """

    name: str
    what: str
    vector: Z
    mean: float
    deviation: float
    method: str
    against: tuple[str, ...]
    items: int
    effect: float
    spearman: float
    leakage: float
    data: str
    model_hash: str
    probe: Z
    offset: float

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.vector, dtype=dtype)

    def __mul__(self, amount: float) -> Z:
        return (np.float32(amount) * self.vector).astype(np.float32)

    __rmul__ = __mul__

    def read(self, z: Z) -> NDArray[np.float64]:
        """The attribute as the probe sees it, in deviations from the data's mean: (…, z) → float64 (…)."""
        seen: NDArray[np.float64] = np.asarray(z, np.float64) @ self.probe.astype(np.float64) + self.offset
        return seen


class AttributeVectors(Mapping[str, AttributeVector]):
    """The vectors of one model by name, in the order in which they were fitted.

    Example:
        >>> model = load("melody-2bar")  # doctest: +SKIP
        >>> denser = model.decode(z + 1.5 * model.attributes["density"])  # doctest: +SKIP
    """

    def __init__(self, vectors: Iterable[AttributeVector] = (), *, model: str = "the model") -> None:
        self._vectors = {vector.name: vector for vector in vectors}
        self._model = model

    def __getitem__(self, name: str) -> AttributeVector:
        """Raises `DataError` if there is none of that name, with those that there are."""
        if name not in self._vectors:
            known = ", ".join(self._vectors) or "none"
            found = f"{self._model} has no vector of the attribute {name!r}; it has {known}"
            near = difflib.get_close_matches(name, self._vectors, n=1)
            hint = f"did you mean {near[0]}? Otherwise fit one with" if near else "fit one with"
            raise DataError(f"{found}; {hint}: seqvae attribute fit")
        return self._vectors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, name: object) -> bool:
        return name in self._vectors

    def with_vectors(self, *vectors: AttributeVector) -> AttributeVectors:
        """These and some more; one of the same name is replaced."""
        return AttributeVectors([*{**self._vectors, **{v.name: v for v in vectors}}.values()], model=self._model)

    def offset(self, amounts: Mapping[str, float]) -> Z:
        """Σ amount · vector, float32 (z,). Raises `DataError` of an unknown name or an amount that is not finite."""
        bad = [name for name, amount in amounts.items() if not np.isfinite(amount)]
        if bad:
            raise DataError(f"the amount of {bad[0]} is {amounts[bad[0]]}; give a number such as 1.5")
        total: Z = np.sum([self[name] * amount for name, amount in amounts.items()], axis=0, dtype=np.float32)
        return total
