"""GANimation (Pumarola et al., "GANimation: Anatomically-aware Facial Animation from a Single
Image", ECCV 2018).

networks.py      generator with colour and attention, critic that also measures action units
action_units.py  the 17 action units, named expressions
tables.py        action units from OpenFace, py-feat and LibreFace
official.py      the layouts of published checkpoints
folded.py        the generator as the pipeline runs it, faster
full_size.py     the edited face at its own size
pipeline.py      GANimationPipeline: picture and action units in, picture out
following.py     the faces of a film from frame to frame
__main__.py      python -m gan_models.ganimation edit, sweep, animate
"""

from gan_models.ganimation.action_units import CODES, EMOTIONS, UNITS, emotion, parse
from gan_models.ganimation.networks import Critic, Generator
from gan_models.ganimation.pipeline import Edit, GANimationPipeline, NoFace, between

__all__ = [
    "CODES", "EMOTIONS", "UNITS", "Critic", "Edit", "GANimationPipeline", "Generator", "NoFace",
    "between", "emotion", "parse",
]  # fmt: skip
