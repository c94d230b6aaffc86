"""Constraints: items of a model that meet conditions, which it was never trained for.

where       conditions as people write them
conditions  what they ask of items, and how that is read
critic      small networks on z: critics, gradient ascent, actors
search      draws, moves, decodes, measures, checks
"""

from seqvae.constraint.conditions import Condition, Examples
from seqvae.constraint.search import How, Search, sample_where
from seqvae.constraint.where import Where, parse_where

__all__ = ["Condition", "Examples", "How", "Search", "Where", "parse_where", "sample_where"]
