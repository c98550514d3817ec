"""StarGAN v2 (Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains", CVPR 2020).

networks.py   generator, mapping network, style encoder, discriminator
landmarks.py  the landmark network FAN and the masks for the high-pass skip
alignment.py  faces where CelebA-HQ has them
official.py   the official checkpoints' layouts
folded.py     the generator as the pipeline runs it, faster
pipeline.py   StarGANv2Pipeline: picture, domain and style in, picture out
__main__.py   python -m gan_models.stargan_v2 sample, interpolate, align
"""

from gan_models.stargan_v2.networks import Discriminator, Generator, MappingNetwork, StyleEncoder
from gan_models.stargan_v2.pipeline import StarGANv2Pipeline

__all__ = ["Discriminator", "Generator", "MappingNetwork", "StarGANv2Pipeline", "StyleEncoder"]
