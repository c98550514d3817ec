"""The full training state: written so that a kill at any moment leaves the last one whole, and read
back safely.
"""

import os
from pathlib import Path

import torch

from gan_models.errors import UserError


def average(averaged, trained, decay):
    """Move the averaged network towards the trained one: a <- decay * a + (1 - decay) * t.

    Batch norm's statistics are averaged alike; whole numbers are copied.
    """
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.parameters()), list(trained.parameters()), 1 - decay)
        for mine, theirs in zip(averaged.buffers(), trained.buffers(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


def save_state(path, state):
    """Write `state` (nested dicts, lists, numbers, strings, tensors) under a temporary name, then
    rename it.

    UserError when the disk is full or not writable; the previous file stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError to torch's zip writer
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path} could not be written ({error}); the last state is intact. Make room on the "
            "disk and give the same command again."
        ) from error


def load_state(path, device="cpu"):
    """The state written by `save_state`, or None where there is none. UserError for a damaged
    file.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises half a dozen unrelated types for a damaged file
        raise UserError(
            f"{path} can't be read as a training state ({type(error).__name__}: {error}); "
            "use --fresh to start over beside it."
        ) from error
