"""Styles, as they travel through the page: a dict with a "name" that a visitor reads, and "seed",
or the "numbers" that were found in a picture.
"""

import numpy as np


def of_picture(pipeline, name: str, picture: np.ndarray) -> dict:
    numbers = pipeline.style_of(picture)
    return {"name": f"style of {name}"[:90], "numbers": np.round(numbers, 5).tolist()}


def fits(pipeline, style: dict) -> bool:
    """Whether a style is one of these weights'."""
    return "seed" in style or len(style["numbers"]) == pipeline.latent_size


def numbers_of(pipeline, style: dict) -> np.ndarray:
    """(latent_size,) float32."""
    return pipeline.style(style["seed"]) if "seed" in style else np.float32(style["numbers"])


def mixed(pipeline, first: dict, second: dict, share: float) -> np.ndarray | None:
    """The style `share` percent of the way from first to second; None where there are no styles."""
    if not pipeline.latent_size:
        return None
    start = numbers_of(pipeline, first)
    return pipeline.mix(start, numbers_of(pipeline, second), share / 100) if share else start
