"""First Order Motion Model (Siarohin et al., "First Order Motion Model for Image Animation", 2019).

networks.py   KeypointDetector and Generator, as they are trained
discriminator.py   their adversary in training
folded.py     detector and generator as the pipeline runs them, faster
motion.py     keypoints over time: transfer from one face to another, smoothing, motion files
retargeting.py   controls that pose a still portrait without any clip
pipeline.py   FOMMPipeline: a picture and a clip in, frames out
sources.py, reference.py, explain.py   its cache, its reference frame, its explaining pictures
cropping.py   cuts the faces of a long video into training or driving clips
__main__.py   python -m gan_models.fomm
"""

from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.motion import Motion
from gan_models.fomm.networks import Generator, KeypointDetector, Keypoints
from gan_models.fomm.pipeline import FOMMPipeline

__all__ = [
    "Discriminator",
    "FOMMPipeline",
    "Generator",
    "KeypointDetector",
    "Keypoints",
    "Motion",
]
