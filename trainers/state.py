"""Files that a kill or a power cut leaves whole, the full training state among them; and starting
from finished weights.
"""

import os
import sys

import torch

from gan_models.errors import UserError
from gan_models.names import find_weights
from gan_models.weights import load_weights


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


def start_from(name, system, networks, option):
    """Start networks (by role) from finished weights of a system, which `option` names.

    A discriminator of another kind starts afresh, as from vox to vox-adv; FOMM's official code does
    so too, without a word. UserError for weights that are not there, or built otherwise.
    """
    states = load_weights(find_weights(name), system=system).states
    for role, network in networks.items():
        theirs = {key: value.shape for key, value in states.get(role, {}).items()}
        if theirs == {key: value.shape for key, value in network.state_dict().items()}:
            network.load_state_dict(states[role])
            print(f"The {role} starts from {name}.", file=sys.stderr)
        elif role == "discriminator":
            print(f"{name} has no discriminator like ours: it starts afresh.", file=sys.stderr)
        else:
            raise UserError(
                f"{option} {name}: its {role} is built otherwise. Give the options of the networks "
                "(widths and the like) that it was trained with."
            )
