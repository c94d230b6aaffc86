"""Corpora: from files to a dataset folder and a report of what was met on the way.

reading   one file → items → windows → tokens, in a worker process
workers   processes whose results come in order, and a clean end
prepare   all files: finding, reading, splits, writing
report    what the import met, and what to change to keep more
folk      the folk tunes that music21 carries, as MIDI files in the user's cache
"""

from seqvae.corpus.folk import music21_dataset
from seqvae.corpus.prepare import prepare
from seqvae.corpus.report import Report

__all__ = ["Report", "music21_dataset", "prepare"]
