"""How good a model is: the measures of docs/measures.md, and the report card that takes them all.

reconstruction   shares of tokens, onsets and items that come back
likelihood       NLL, importance-weighted NLL (torch)
scoring          the same of many z of one sequence, as fast as the machine multiplies (torch)
space            use of the latent space, continuity, completeness, paths
ngram            an independent judge of sequences
music            notes, statistics of melodies and drums
text             words
amounts          how many sequences are looked at
figures          a card and its numbers
bench            what the measures of a card share
holes            places where a prior draws and no posterior is
samples          samples of the priors against the data
interpolation    paths between items, beside their controls
control          whether chords and keys that are given are followed
card             all of them as one card
"""

from seqvae.evaluate.amounts import ITEMS, IW_ITEMS, SAMPLES
from seqvae.evaluate.card import report_card
from seqvae.evaluate.figures import Card, Figure

__all__ = ["ITEMS", "IW_ITEMS", "SAMPLES", "Card", "Figure", "report_card"]
