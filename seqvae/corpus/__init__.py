"""Corpora: from files to a dataset folder and a report of what was met on the way.

finding   the files, in an order that does not depend on the machine
reading   one file → items → windows → tokens, in a worker process
workers   processes whose results come in order, and a clean end
shards    what was read, kept on disk: to go on after a kill, and to read on several machines
windows   all windows on disk, each kept once a split
prepare   all of it: reading, splits, writing
report    what the import met, and what to change to keep more
folk      the folk tunes that music21 carries, as MIDI files in the user's cache
"""

from seqvae.corpus.folk import music21_dataset
from seqvae.corpus.prepare import merge_shards, prepare, prepare_shard
from seqvae.corpus.report import Report
from seqvae.corpus.shards import Share

__all__ = ["Report", "Share", "merge_shards", "music21_dataset", "prepare", "prepare_shard"]
