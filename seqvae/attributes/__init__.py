"""Attributes: measured on items, turned into vectors of latent space, and what these do.

base      what an attribute is
music     of pitched notes
tonality  keys
drums     of drums
groove    of how drums are played
text      of texts and raw sequences
labels    what is known of items: tables, folders
table     which attributes a kind of sequence has
vectors   directions of latent space, by name
probe     from items and their attributes to what reads an attribute from z
fit       from probes to vectors, by what these do
effect    what vectors do when they are applied: effect, monotonicity, leakage
"""

from seqvae.attributes.base import Attribute, measured
from seqvae.attributes.table import attribute_named, attributes_of
from seqvae.attributes.vectors import AttributeVector, AttributeVectors

__all__ = ["Attribute", "AttributeVector", "AttributeVectors", "attribute_named", "attributes_of", "measured"]
