"""StarGAN v2's speed: `python -m benchmarks.stargan_v2 [--only picture]`.

    picture    one translation by a reference: style encoder, generator
    style      another style of a source that is known
    grid       each picture of a grid of 4 sources by 6 references: the official code runs the whole
               generator for each, and the style encoder once for a reference (counted so); here the
               half of the generator that knows no style runs once for a source

The official networks for AFHQ at 256 px, random weights; from pictures in memory to pictures. All
ways alternate in one run; `spread` is how far the median round lies above the fastest. Reduced
precision runs where the processor has units for it: imitated, it is slower than float32.
"""

from functools import partial

import numpy as np
import torch

from benchmarks import timing
from gan_models import images
from gan_models.stargan_v2.networks import Generator, MappingNetwork, StyleEncoder, channels_of
from gan_models.stargan_v2.pipeline import StarGANv2Pipeline

SIZE, CHANNELS = 256, channels_of(256)
SOURCES, REFERENCES = 4, 6


def networks():
    torch.manual_seed(0)
    trunk = {"image_size": SIZE, "channels": CHANNELS}
    made = {
        "generator": Generator(**trunk), "mapping_network": MappingNetwork(num_domains=3),
        "style_encoder": StyleEncoder(**trunk, num_domains=3),
    }  # fmt: skip
    return {name: network.requires_grad_(False).eval() for name, network in made.items()}


def pictures(count, seed):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def compared(title, rounds, targets, sources=1, references=1, known=False):
    """Rows of each way to make a grid."""
    plain = networks()
    config = {"size": SIZE, "domains": ["cat", "dog", "wild"]}
    ours = {name: StarGANv2Pipeline(plain, config, "cpu", name) for name in timing.precisions()}
    given, styled = pictures(sources, 0), pictures(references, 1)
    domain = torch.tensor([1])

    @torch.inference_mode()
    def official():
        made = []
        for reference in styled:
            style = plain["style_encoder"](images.to_tensor(reference), domain)
            for source in given:
                made.append(plain["generator"](images.to_tensor(source), style))
        return images.to_pictures(torch.cat(made))

    def with_pipeline(pipeline):
        if not known:  # so that each round works as if it were the first
            pipeline._encoded.cache_clear()
            pipeline._style_of.cache_clear()
        styles = [pipeline.style_of(reference, "dog") for reference in styled]
        rows = [list(pipeline.translations(source, styles)) for source in given]
        return np.stack([row[index] for index in range(references) for row in rows])

    ways = {"official way, float32": official}
    ways |= {f"ours, {name}": partial(with_pipeline, one) for name, one in ours.items()}
    timing.compare_pictures(title, ways, targets, rounds, sources * references)


def picture(rounds):
    compared(f"one picture at {SIZE} px", rounds, ("", ">= 1.25", ">= 2.3"))


def style(rounds):
    compared("another style of a known source", rounds, ("", "", ""), known=True)


def grid(rounds):
    title = f"each of a grid of {SOURCES} by {REFERENCES}"
    compared(title, rounds, ("", ">= 2", ">= 4"), SOURCES, REFERENCES)


if __name__ == "__main__":
    timing.table(__doc__, {"picture": picture, "style": style, "grid": grid})
