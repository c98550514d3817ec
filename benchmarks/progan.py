"""ProGAN's speed and memory: `python -m benchmarks.progan [--only sampling]`.

    sampling   256 px at the paper's widths: one by one as the reference scripts do (enlarge, then
               convolve, every weight scaled at every call), against the pipeline
    training   the trainer's step at 64 px in a plain float32 loop with such layers, against ours
    page       from `python app.py` to a served page
    clip       the most memory that writing 10 s and 60 s clips at 30 fps takes

Both sides alternate in one run; `spread` is how far the median round lies above the fastest.
"""

import copy
import dataclasses
import tempfile
import time
from typing import Literal

import numpy as np
import torch
import tyro
from torch import nn

from benchmarks.timing import (
    alternate,
    compare_pictures,
    compared,
    has_bfloat16,
    memory_rows,
    row,
    served,
    table,
)
from gan_models import images
from gan_models.progan import Generator, ProGANPipeline, channel_widths
from gan_models.progan.networks import Conv, Equalized, downsample, upsample

PICTURES = 4  # sampled in a round
STEPS = 4  # trained in a round, the first with its R1 penalty


def main(
    only: Literal["all", "sampling", "training", "page", "clip"] = "all",
    rounds: int = 7,
    threads: int = 0,
) -> None:
    """Measure ProGAN's speed and memory and print one table.

    Args:
        only: One part instead of all.
        rounds: Of the alternating sides; 7 or more tell something.
        threads: For torch on the processor; 0: its default.
    """
    parts = {
        "sampling": lambda: sampling(rounds),
        "training": lambda: training(rounds),
        "page": page,
        "clip": clip,
    }
    table(parts, only, rounds, threads)


# ---------------------------------------------------------------- sampling


class Enlarging(nn.Module):
    """An `UpConv` as the reference scripts write it: nearest-neighbour enlargement, then 3x3."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return Conv.forward(self.layer, upsample(x))


class Reducing(nn.Module):
    """A `DownConv` as the reference scripts write it: 3x3, then the mean of each 2x2 block."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return downsample(Conv.forward(self.layer, x))


def plain_generator(generator):
    plain = copy.deepcopy(generator)
    plain.conv1 = nn.ModuleList(Enlarging(layer) for layer in plain.conv1)
    return plain


def sampling(rounds):
    torch.manual_seed(0)
    generator = Generator(256, 512, channel_widths(256))
    for layer in generator.modules():
        if isinstance(layer, Equalized):
            nn.init.normal_(layer.bias, std=0.1)  # so that they take part in the comparison
    plain = plain_generator(generator)
    pipelines = {
        precision: ProGANPipeline(generator, {}, device="cpu", precision=precision)
        for precision in ("float32", "bfloat16")
    }
    latents = pipelines["float32"].latents(seed=0, count=PICTURES)

    @torch.no_grad()
    def one_by_one():
        outputs = [plain(z[None]) for z in torch.from_numpy(latents)]
        return np.concatenate([images.to_pictures(output) for output in outputs])

    ways = {"one by one, float32, plain layers": one_by_one}
    for precision, pipeline in pipelines.items():
        ways[f"pipeline, {precision}"] = lambda pipeline=pipeline: pipeline.sample(latents)
    targets = ("", ">= 1.45", ">= 2.6" if has_bfloat16() else "no bf16")
    compare_pictures("sampling at 256 px", ways, targets, rounds, PICTURES)


# ---------------------------------------------------------------- training


def training(rounds):
    from trainers.progan.config import PRESETS
    from trainers.progan.train import build

    config = dataclasses.replace(PRESETS["puppets"], precision="float32")
    plain = build(config, 0, torch.device("cpu"))
    for network in (plain.generator, plain.discriminator):
        network.to(memory_format=torch.contiguous_format)
    plain.generator.conv1 = nn.ModuleList(map(Enlarging, plain.generator.conv1))
    plain.discriminator.conv2 = nn.ModuleList(map(Reducing, plain.discriminator.conv2))
    ours = build(config, 0, torch.device("cpu"))
    mixed_config = dataclasses.replace(config, precision="bfloat16")
    mixed = build(mixed_config, 0, torch.device("cpu"))
    sides = {
        "plain loop, float32": (config, plain),
        "ours, float32": (config, ours),
        "ours, bfloat16": (mixed_config, mixed),
    }
    first = {name: steps(*side) for name, side in sides.items()}
    results = compared(
        alternate({name: lambda side=side: steps(*side) for name, side in sides.items()}, rounds)
    )
    truth = first["plain loop, float32"]
    for name, (fastest, spread, ratio) in results.items():
        rate = STEPS * config.batch_sizes[-1] / fastest
        remarks = f"first losses D {first[name][0]:.6f}, G {first[name][1]:.6f}"
        if name == "ours, float32":
            difference = max(abs(a - b) / abs(b) for a, b in zip(first[name], truth, strict=True))
            remarks += f": equal to {difference:.0e}"
        title = f"training at {config.resolution} px, {name}"
        row(title, f"{rate:.1f} img/s", f"{spread:.0%}", f"{ratio:.2f}", remarks=remarks)


def steps(config, parts):
    """STEPS of the trainer's loop on drawn noise; (D, G) losses of the first."""
    from trainers import optim
    from trainers.progan import train

    generator, discriminator = parts.generator, parts.discriminator
    size, batch, rate = config.resolution, config.batch_sizes[-1], config.learning_rates[-1]
    source = torch.Generator().manual_seed(0)
    losses = []
    for optimizer in (parts.optimizer_d, parts.optimizer_g):
        optimizer.set_rate(rate)
    for number in range(STEPS):
        real = torch.randn(batch, 3, size, size, generator=source)
        latents = torch.randn(batch, config.latent_size, generator=source)
        with optim.autocast(config, real.device):
            loss_d, _ = train.discriminator_loss(
                *(config, generator, discriminator, real, None, latents, None, None),
                *(size, 1.0, number == 0),
            )
        optim.update([discriminator], [parts.optimizer_d], loss_d)
        optim.average(parts.generator_ema, generator, config.ema_decay)
        discriminator.requires_grad_(False)
        with optim.autocast(config, real.device):
            loss_g, _ = train.generator_loss(
                config, generator, discriminator, latents, None, size, 1.0
            )
        optim.update([generator], [parts.optimizer_g], loss_g)
        discriminator.requires_grad_(True)
        losses.append((loss_d.item(), loss_g.item()))
    return losses[0]


# ---------------------------------------------------------------- page and clip


def page(tries=3):
    seconds = []
    for _ in range(tries):
        start = time.perf_counter()
        with served():
            seconds.append(time.perf_counter() - start)
    fastest, spread, _ = compared({"page": seconds})["page"]
    row("page, from `python app.py` to served", f"{fastest:.1f} s", f"{spread:.0%}", "", "< 8 s")


def clip(lengths=(10, 60)):
    with tempfile.TemporaryDirectory() as folder:
        command = ["gan_models.progan", "interpolate", "--weights", "progan-puppets"]
        command += ["--device", "cpu", "--out", f"{folder}/clip.mp4"]
        for mode, seeds in (("spherical", "1,2,3,4"), ("walk", "1")):
            how = ["--seeds", seeds, "--mode", mode, "--seconds"]
            commands = {length: [*command, *how, str(length)] for length in lengths}
            memory_rows("clip of {} s at 30 fps, " + mode + ", largest process", commands)


if __name__ == "__main__":
    tyro.cli(main)
