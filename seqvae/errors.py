"""The errors a user can meet: what was found, what was expected, what to do.

The command line prints the message of a `SeqvaeError` as one line and exits 1; anything else is a bug of ours.
"""


class SeqvaeError(Exception):
    """Base of every error that seqvae raises on purpose. Its message is one line for the user."""


class ReadError(SeqvaeError):
    """A file could not be read as what it was given for."""


class WriteError(SeqvaeError):
    """A file could not be written; whatever stood there before is untouched."""


class ConfigError(SeqvaeError):
    """A preset or a setting is unknown or out of range."""


class DataError(SeqvaeError):
    """Inputs were readable, but nothing in them can be used as asked."""


class ModelError(SeqvaeError):
    """A model file is damaged, of another version, or of another kind than the input."""
