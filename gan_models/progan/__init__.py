"""ProGAN (Karras et al., "Progressive Growing of GANs", ICLR 2018).

networks.py   Generator and Discriminator, as they are trained
folded.py     the generator as the pipeline runs it, faster
pipeline.py   ProGANPipeline: latents in, pictures out; paths between latents
__main__.py   python -m gan_models.progan sample | interpolate
"""

from gan_models.progan.networks import Discriminator, Generator, channel_widths
from gan_models.progan.pipeline import ProGANPipeline

__all__ = ["Discriminator", "Generator", "ProGANPipeline", "channel_widths"]
