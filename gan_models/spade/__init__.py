"""SPADE, also known as GauGAN (Park et al., "Semantic Image Synthesis with Spatially-Adaptive
Normalization", CVPR 2019).

networks.py   generator, image encoder, patch discriminators; pix2pixHD's generator
labels.py     the classes of the known data sets, and reading any label map
segmenting.py label maps of pictures
official.py   the official checkpoints' layouts
folded.py     the generator as the pipeline runs it, faster
pipeline.py   SPADEPipeline: label map and style in, picture out
__main__.py   python -m gan_models.spade paint
"""

from gan_models.spade.labels import LABELS, Labels, labels_of, read_map
from gan_models.spade.networks import Discriminator, Encoder, Generator, GlobalGenerator
from gan_models.spade.pipeline import SPADEPipeline

__all__ = [
    "LABELS", "Discriminator", "Encoder", "Generator", "GlobalGenerator", "Labels",
    "SPADEPipeline", "labels_of", "read_map",
]  # fmt: skip
