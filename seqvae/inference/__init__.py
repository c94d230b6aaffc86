"""A trained network in numpy alone: for a few items at a time it is done before torch would have been imported.

The same arithmetic in float32 as `encoder`, `decoder` and `hierarchy`, and the same tokens for the same numbers
(tests/test_inference.py).

shapes     what arrays a network of given settings is made of
cells      LSTM layers, step by step
reader     tokens to a posterior
draws      logits and numbers to a token
writer     z to tokens
"""

from seqvae.inference.reader import Reader, SegmentedReader
from seqvae.inference.shapes import Weights, check_weights, weight_shapes
from seqvae.inference.writer import SegmentedWriter, Writer

__all__ = ["Reader", "SegmentedReader", "SegmentedWriter", "Weights", "Writer", "check_weights", "weight_shapes"]
