"""Files that a kill or a power cut leaves whole, and the full training state among them."""

import os

import torch

from gan_models.errors import UserError


def replace_file(path, write):
    """Write a file under a temporary name by `write(binary file)`, then rename it: what stands
    under `path` is always the old file or the new one, also when the power fails.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError to torch's zip writer
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path} could not be written ({error}); the last state is intact. Make room on the "
            "disk and give the same command again."
        ) from error


def save_state(path, state):
    """Write `state` (nested dicts, lists, numbers, strings, tensors). UserError on a full disk."""
    replace_file(path, lambda file: torch.save(state, file))


def load_state(path):
    """The state written by `save_state`, on the CPU and read as it is needed; None where there is
    none. UserError for a damaged file.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch.load raises half a dozen unrelated types for a damaged file
        raise UserError(
            f"{path} can't be read as a training state ({type(error).__name__}: {error}); "
            "use --fresh to start over beside it."
        ) from error
