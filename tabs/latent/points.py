"""Points of the latent space, as they travel through the page.

A point is a dict with a "name" that a visitor reads, and how it is made again with any weights:

    {"seed": 7}
    {"mix": [point, point], "amount": 0.4, "way": "spherical"}
    {"map": [seed, seed, seed, seed], "x": 0.2, "y": 0.7}    corners row by row, as one reads
    {"latent": [...]}                                        kept or loaded: its numbers
"""

import numpy as np

from gan_models.errors import UserError
from gan_models.progan.pipeline import ProGANPipeline
from gan_models.seeds import check_seed
from tabs.kit.seeds import checked
from tabs.latent import texts

LONGEST_NAME = 90  # characters; what would need more is known by its numbers only


def of_mix(start: dict, end: dict, position: float, way: str) -> dict:
    """The point at `position` percent of the path from start to end."""
    if position in (0, 100):
        return end if position else start
    linear = ", linear" if way == "linear" else ""
    name = f"{_part(start)} to {_part(end)}, {position:g} %{linear}"
    return {"name": named(name), "mix": [start, end], "amount": position / 100, "way": way}


def of_map(corners: list, x: float, y: float) -> dict:
    """A place of the map; raises UserError unless the corners are seeds and x, y in [0, 1]."""
    if not isinstance(corners, list) or len(corners) != 4:
        raise UserError(texts.BAD_PLACE)
    seeds = [check_seed(seed) for seed in corners]
    x, y = (round(checked(value, 1, texts.BAD_PLACE), 3) for value in (x, y))
    place = f"{100 * x:g} % across, {100 * y:g} % down"
    name = "map of seeds {} {} / {} {}, {}".format(*seeds, place)
    return {"name": name, "map": seeds, "x": x, "y": y}


def of_walk(pipeline: ProGANPipeline, start: dict, seed: int, place: float) -> dict:
    """A place of the endless walk from `start`; whole places after 0 are the pictures of `seed`,
    `seed` + 1, ...
    """
    seed, place = check_seed(seed), round(checked(place, 1e6, texts.BAD_PLACE), 3)

    def waypoint(index):
        if index <= 0:
            return latent_of(pipeline, start)
        return pipeline.latents((seed + index - 1) % 2**32)[0]

    around = np.stack([waypoint(int(place) + step) for step in (-1, 0, 1, 2)])
    name = named(f"walk {seed} from {_part(start)}, {place:g} pictures on")
    return {"name": name, "latent": pipeline.glide(around, 1 + place % 1).tolist()}


def kept(pipeline: ProGANPipeline, point: dict) -> dict:
    """`point` by its numbers, so that what it was made of is no longer needed."""
    if "seed" in point:
        return point
    return {"name": point["name"], "latent": latent_of(pipeline, point).tolist()}


def latent_of(pipeline: ProGANPipeline, point: dict) -> np.ndarray:
    """(latent_size,) float32 of a point. Raises UserError for numbers of other weights."""
    if "seed" in point:
        return pipeline.latents(point["seed"])[0]
    if "mix" in point:
        ends = (latent_of(pipeline, one) for one in point["mix"])
        return pipeline.mix(*ends, point["amount"], point["way"])
    if "map" in point:
        corners = [pipeline.latents(seed)[0] for seed in point["map"]]
        rows = (pipeline.mix(*corners[row : row + 2], point["x"]) for row in (0, 2))
        return pipeline.mix(*rows, point["y"])
    here, there = len(point["latent"]), pipeline.latent_size
    if here != there:
        sentence = texts.OTHER_SIZE.format(name=point["name"], here=here, there=there)
        raise UserError(as_sentence(sentence))
    return np.asarray(point["latent"], np.float32)


def as_sentence(text: str) -> str:
    """`text` with a capital letter at its beginning, and no other letter changed."""
    return text[:1].upper() + text[1:]


def named(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else texts.KEPT


def _part(point: dict) -> str:
    """Its name within another's."""
    return point["name"] if "seed" in point else f"({point['name']})"
