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
from functools import partial

import torch
from torch import nn

from benchmarks import timing
from gan_models import images
from gan_models.progan import Generator, ProGANPipeline, channel_widths
from gan_models.progan.networks import Conv, Equalized, downsample, upsample

PICTURES = 4  # sampled in a round
STEPS = 4  # trained in a round, the first with its R1 penalty


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


def sampling(rounds):
    torch.manual_seed(0)
    generator = Generator(256, 512, channel_widths(256))
    for layer in generator.modules():
        if isinstance(layer, Equalized):
            nn.init.normal_(layer.bias, std=0.1)  # so that they take part in the comparison
    plain = copy.deepcopy(generator)
    plain.conv1 = nn.ModuleList(map(Enlarging, plain.conv1))
    pipelines = {
        precision: ProGANPipeline(generator, {}, device="cpu", precision=precision)
        for precision in ("float32", "bfloat16")
    }
    latents = pipelines["float32"].latents(seed=0, count=PICTURES)

    @torch.no_grad()
    def one_by_one():
        outputs = [plain(z[None]) for z in torch.from_numpy(latents)]
        return images.to_pictures(torch.cat(outputs))

    ways = {"one by one, float32, plain layers": one_by_one}
    for precision, pipeline in pipelines.items():
        ways[f"pipeline, {precision}"] = partial(pipeline.sample, latents)
    targets = ("", ">= 1.45", ">= 2.6" if timing.has_bfloat16() else "no bf16")
    timing.compare_pictures("sampling at 256 px", ways, targets, rounds, PICTURES)


# ---------------------------------------------------------------- training


def training(rounds):
    from trainers.progan.config import PRESETS
    from trainers.progan.train import build

    config = dataclasses.replace(PRESETS["puppets"], precision="float32")
    mixed = dataclasses.replace(config, precision="bfloat16")
    plain, ours, ours_mixed = (build(config, 0, torch.device("cpu")) for _ in range(3))
    for network in (plain.generator, plain.discriminator):
        network.to(memory_format=torch.contiguous_format)
    plain.generator.conv1 = nn.ModuleList(map(Enlarging, plain.generator.conv1))
    plain.discriminator.conv2 = nn.ModuleList(map(Reducing, plain.discriminator.conv2))
    losses = {"plain loop, float32": [], "ours, float32": [], "ours, bfloat16": []}
    sides = ((config, plain), (config, ours), (mixed, ours_mixed))
    ways = {
        name: partial(steps, *side, losses[name]) for name, side in zip(losses, sides, strict=True)
    }
    for name, (fastest, spread, ratio) in timing.compared(timing.alternate(ways, rounds)).items():
        rate = STEPS * config.batch_sizes[-1] / fastest
        loss_d, loss_g = losses[name][0]
        timing.row(
            f"training at {config.resolution} px, {name}", f"{rate:.1f} img/s", f"{spread:.0%}",
            f"{ratio:.2f}", remarks=f"first losses D {loss_d:.6f}, G {loss_g:.6f}",
        )  # fmt: skip


def steps(config, parts, losses):
    """STEPS of the trainer's loop on drawn noise, whose losses (D, G) it adds to `losses`."""
    from trainers import optim
    from trainers.progan.train import discriminator_loss, generator_loss

    networks = parts.generator, parts.discriminator
    size, batch = config.resolution, config.batch_sizes[-1]
    source = torch.Generator().manual_seed(0)
    for optimizer in (parts.optimizer_d, parts.optimizer_g):
        optimizer.set_rate(config.learning_rates[-1])
    for number in range(STEPS):
        real = torch.randn(batch, 3, size, size, generator=source)
        latents = torch.randn(batch, config.latent_size, generator=source)
        given = (real, None, latents, None, None, size, 1.0, number == 0)
        with optim.autocast(config, real.device):
            loss_d, _ = discriminator_loss(config, *networks, *given)
        optim.update([parts.discriminator], [parts.optimizer_d], loss_d)
        optim.average(parts.generator_ema, parts.generator, config.ema_decay)
        parts.discriminator.requires_grad_(False)
        with optim.autocast(config, real.device):
            loss_g, _ = generator_loss(config, *networks, latents, None, size, 1.0)
        optim.update([parts.generator], [parts.optimizer_g], loss_g)
        parts.discriminator.requires_grad_(True)
        losses.append((loss_d.item(), loss_g.item()))


# ---------------------------------------------------------------- page and clip


def page(tries=3):
    seconds = []
    for _ in range(tries):
        start = time.perf_counter()
        with timing.served():
            seconds.append(time.perf_counter() - start)
    fastest, spread, _ = timing.compared({"page": seconds})["page"]
    title = "page, from `python app.py` to served"
    timing.row(title, f"{fastest:.1f} s", f"{spread:.0%}", target="< 8 s")


def clip(lengths=(10, 60)):
    with tempfile.TemporaryDirectory() as folder:
        command = ["gan_models.progan", "interpolate", "--weights", "progan-puppets"]
        command += ["--device", "cpu", "--out", f"{folder}/clip.mp4"]
        for mode, seeds in (("spherical", "1,2,3,4"), ("walk", "1")):
            how = ["--seeds", seeds, "--mode", mode, "--seconds"]
            commands = {length: [*command, *how, str(length)] for length in lengths}
            timing.memory_rows("clip of {} s at 30 fps, " + mode + ", largest process", commands)


if __name__ == "__main__":
    parts = {"page": lambda rounds: page(), "clip": lambda rounds: clip()}
    timing.table(__doc__, {"sampling": sampling, "training": training, **parts})
