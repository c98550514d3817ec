"""Training pictures and clips from folders, shards or drawn puppets (see DATA_HELP, CLIPS_HELP)."""

from trainers.data.clips import CLIPS_HELP, Clips, PairBatch, open_clips
from trainers.data.pictures import DATA_HELP, Batch, Pictures, open_data

__all__ = [
    "CLIPS_HELP",
    "DATA_HELP",
    "Batch",
    "Clips",
    "PairBatch",
    "Pictures",
    "open_clips",
    "open_data",
]
