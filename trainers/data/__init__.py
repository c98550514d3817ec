"""Training pictures and clips from folders, shards or drawn puppets, as endless batches."""

from trainers.data.clips import FRAME_NAMES, Clips, open_clips
from trainers.data.domains import open_domains
from trainers.data.labelled import Framing, open_labelled
from trainers.data.pictures import open_data
from trainers.data.stream import Stream

__all__ = [
    "FRAME_NAMES",
    "Clips",
    "Framing",
    "Stream",
    "open_clips",
    "open_data",
    "open_domains",
    "open_labelled",
]
