"""Attributes: measured on items, turned into vectors of latent space, and what these do.

base      what an attribute is
music     of clips with pitched notes
table     which attributes a kind of sequence has
vectors   directions of latent space, by name
fit       from items and their attributes to a vector
effect    what vectors do when they are applied: effect, monotonicity, leakage
"""

from seqvae.attributes.base import Attribute, measured
from seqvae.attributes.table import attribute_named, attributes_of
from seqvae.attributes.vectors import AttributeVector, AttributeVectors

__all__ = ["Attribute", "AttributeVector", "AttributeVectors", "attribute_named", "attributes_of", "measured"]
