"""Training pictures and clips from folders, shards or drawn puppets (see DATA_HELP, CLIPS_HELP)."""

from trainers.data.clips import CLIPS_HELP, Clips, open_clips
from trainers.data.pictures import DATA_HELP, open_pictures
from trainers.data.stream import Stream

__all__ = ["CLIPS_HELP", "DATA_HELP", "Clips", "Stream", "open_clips", "open_pictures"]
