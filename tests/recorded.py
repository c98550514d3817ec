"""Cases whose numbers were recorded from the official codes: parity/SYSTEM/NAME.json and .npz."""

import json
from pathlib import Path

import numpy as np

PARITY = Path(__file__).resolve().parent / "parity"


def case(system, name):
    """(description, recorded arrays by name) of a case."""
    place = PARITY / system
    return json.loads((place / f"{name}.json").read_text()), dict(np.load(place / f"{name}.npz"))
