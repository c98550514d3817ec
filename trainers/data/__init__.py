"""Training pictures from folders, .tar shards, .tfrecords or drawn puppets (see DATA_HELP)."""

from trainers.data.pictures import DATA_HELP, Batch, Pictures, open_data
from trainers.data.sources import DataError

__all__ = ["DATA_HELP", "Batch", "DataError", "Pictures", "open_data"]
