"""Faces: finding them, choosing the crop that a network sees, pasting its result back.

finding.py   find_faces, find_landmarks: where the faces of a picture are
framing.py   frame: the square to crop; crop: that square as a small picture
pasting.py   Paster: the animated square back in the full picture
"""

from gan_models.faces.finding import Box, find_faces, find_landmarks
from gan_models.faces.framing import Framing, crop, fit_inside, frame
from gan_models.faces.pasting import Paster

__all__ = [
    "Box",
    "Framing",
    "Paster",
    "crop",
    "find_faces",
    "find_landmarks",
    "fit_inside",
    "frame",
]
