"""Seeds: random numbers that are the same on every machine, and lists of seeds in text."""

import itertools

import numpy as np

from gan_models.errors import UserError

MOST_SEEDS = 10_000
BAD_SEED = "A seed is a whole number from 0 to 4,294,967,295."


def check_seed(seed: object) -> int:
    """UserError for what is not a seed."""
    try:
        if seed == int(seed) and 0 <= seed < 2**32:
            return int(seed)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(BAD_SEED)


def random_state(seed):
    """NumPy's RandomState: as in the official code, and its numbers are frozen for all versions."""
    return np.random.RandomState(check_seed(seed))


def parse_seeds(text: str) -> list[int]:
    """ "3,5,8-10" -> [3, 5, 8, 9, 10]; UserError for anything else."""
    seeds = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"--seeds {text}: give whole numbers and ranges, such as 0-63 or 3,5.")
        numbers = range(int(first), int(last if dash else first) + 1)
        if not numbers or numbers[-1] >= 2**32:
            raise UserError(f"--seeds {part}: seeds go upwards, from 0 to {2**32 - 1}.")
        seeds += itertools.islice(numbers, MOST_SEEDS + 1)
        if len(seeds) > MOST_SEEDS:
            raise UserError(f"--seeds {text}: {MOST_SEEDS} at a time are the most.")
    return seeds
