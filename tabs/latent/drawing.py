"""The pictures of the tab "Latent space": one at a time, or those of a clip."""

import math
from collections.abc import Iterator

import numpy as np

from tabs.kit import jobs


@jobs.lease
def sample(system, weights, latents, label, truncation, resolution=None, alpha=1.0) -> np.ndarray:
    """Lower resolutions come in the colours of the last one."""
    pipeline, how = system.open(weights), {"truncation": truncation, "matched": True}
    with jobs.device:
        return pipeline.sample(latents, label or None, resolution, alpha, **how)


@jobs.lease
def frames(system, weights, latents, label, truncation) -> Iterator[np.ndarray]:
    """The picture of each latent, one after the other, made batch by batch."""
    pipeline = system.open(weights)
    batches = pipeline.batches(latents, label or None, truncation=truncation)
    for batch in jobs.batches(batches):
        yield from batch


def grown(resolutions: list[int], growth: float) -> tuple[int, float]:
    """(resolution, alpha) at `growth` percent of the way from the first size to the last."""
    level = round(growth / 100 * (len(resolutions) - 1), 3)
    return resolutions[math.ceil(level)], round(level % 1, 3) or 1.0
