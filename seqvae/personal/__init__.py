"""Personal models: a bundled model, and a dozen of one's own clips.

clips     windows of the clips, split by clip, and the report of what was met
base      the model to start from, and its data: the true ones, or dreamed by itself
tune      encoder and decoder trained on from the base's weights, with replay
slide     a few sliders in the frozen model's latent space (MidiMe: Dinculescu, Engel, Roberts 2019)
figures   how the personal model does beside its base
"""

from seqvae.personal.slide import Sliders, sliders
from seqvae.personal.tune import Personal, finetune

__all__ = ["Personal", "Sliders", "finetune", "sliders"]
