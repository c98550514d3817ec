"""SPADE's speed and memory: `python -m benchmarks.spade [--only first]`.

    first      the first picture of a painted map: the networks as the official code runs them,
               against the pipeline
    style      another style on a map that was painted before
    memory     what the generator holds, and what a painted map and a map of noise are kept as

The ADE20K configuration at 256 px (151 classes, 64 channels, a VAE's latents), random weights. Both
sides alternate in one run; `spread` is how far the median round lies above the fastest.
"""

import time
from functools import partial

import numpy as np
import torch

from benchmarks import timing
from gan_models import images
from gan_models.spade import LABELS, Generator, SPADEPipeline
from gan_models.spade.networks import Spectral

SIZE = 256


def generator():
    """Random numbers of a trained one's size, whose statistics and spectral norms are found."""
    torch.manual_seed(0)
    made = Generator(151, (SIZE, SIZE), latent_size=256).requires_grad_(False)
    for name, tensor in made.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(std=0.1)
    for layer in made.modules():
        if isinstance(layer, Spectral):
            for _ in range(5):
                layer.normalised()
    made.conv_img.weight.mul_(4)
    return made.eval()


def painted():
    """(SIZE, SIZE) uint8: sky, mountains, trees, water and a house, with wavy borders, as somebody
    may have painted them.
    """
    names = LABELS["ade20k"].names
    y, x = np.mgrid[:SIZE, :SIZE] * (256 / SIZE)
    label_map = np.full((SIZE, SIZE), names.index("sky"), np.uint8)
    label_map[y > 110 + 25 * np.sin(x / 31)] = names.index("mountain")
    label_map[y > 150 + 6 * np.sin(x / 9)] = names.index("grass")
    label_map[y > 205 + 4 * np.sin(x / 15)] = names.index("water")
    for across in range(20, 256, 70):
        crown = (x - across) ** 2 + (y - 140) ** 2 < 420
        label_map[crown] = names.index("tree")
    label_map[(abs(x - 170) < 26) & (abs(y - 165) < 22)] = names.index("house")
    label_map[(abs(x - 170) < 6) & (abs(y - 170) < 8)] = names.index("windowpane")
    return label_map


def sides():
    """(official way of painting, pipelines by precision, the plain generator)."""
    plain, labels = generator(), LABELS["ade20k"]
    config = {
        "name": "ADE20K", "classes": list(labels.names),
        "labels": {"kind": "ade20k", "dont_care": False, "edges": False},
    }  # fmt: skip
    pipelines = {
        precision: SPADEPipeline(plain, None, config, "cpu", precision)
        for precision in timing.precisions()
    }

    @torch.inference_mode()
    def official(label_map, style):
        semantics = pipelines["float32"].semantics(label_map.astype(np.int64), label_map)
        return images.to_pictures(plain(semantics, torch.from_numpy(style)[None]))[0]

    return official, pipelines, plain


def compared(title, rounds, targets, forget):
    """Rows of each way to paint one picture, the map forgotten before each or not."""
    official, pipelines, _ = sides()
    style, label_map = pipelines["float32"].style(1), painted()

    def ours(pipeline):
        if forget:
            pipeline._prepared.clear()
        return pipeline.paint(label_map, style)

    ways = {"official way, float32": partial(official, label_map, style)}
    for precision, pipeline in pipelines.items():
        ways[f"ours, {precision}"] = partial(ours, pipeline)
    timing.compare_pictures(title, ways, targets, rounds, 1)


def first(rounds):
    compared("first picture at 256 px", rounds, ("", ">= 2.5", ">= 4.5"), forget=True)


def style(rounds):
    compared("another style at 256 px", rounds, ("", ">= 5", ">= 9"), forget=False)


def memory():
    _, pipelines, plain = sides()
    pipeline = pipelines["float32"]
    for name, network in (("plain", plain), ("folded", pipeline.folded)):
        megabytes = sum(tensor.nbytes for tensor in network.state_dict().values()) / 1e6
        timing.row(f"the {name} generator, float32", f"{megabytes:.0f} MB")
    noise = np.random.default_rng(0).integers(0, 151, (SIZE, SIZE), np.uint8)
    for name, label_map in (("painted", painted()), ("noise", noise)):
        start = time.perf_counter()
        label_map = label_map.astype(np.int64)
        megabytes = pipeline.prepared(label_map, label_map).bytes / 1e6
        seconds = time.perf_counter() - start
        timing.row(f"a map of {name}", f"{megabytes:.0f} MB", remarks=f"{seconds:.2f} s to prepare")


if __name__ == "__main__":
    timing.table(__doc__, {"first": first, "style": style, "memory": lambda rounds: memory()})
