"""Motion transfer's speed and memory: `python -m benchmarks.fomm [--only speed]`.

    speed    256 px, vox configuration: the official way (frame by frame, the source encoded each
             time, plain layers, float32) against the pipeline
    live     one frame of the live view at 64 px, the puppets preset's networks, the same two ways
    size     one frame of the shipped weights, keypoints known, at the networks' size and larger
    gpu      as speed, on a GPU; nothing without one
    memory   the most memory that animating 200 and 2,000 frames at 512 px takes, clip to clip

Both sides alternate in one run; `spread` is how far the median round lies above the fastest. The
networks' numbers are random, and such that nothing saturates; the pictures are smooth.
"""

import tempfile
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.timing import (
    alternate,
    compare_pictures,
    compared,
    has_bfloat16,
    memory_rows,
    row,
    table,
)
from gan_models import images, video
from gan_models.fomm import FOMMPipeline, Generator, KeypointDetector
from gan_models.names import find_weights

FRAMES = 4  # moved in a round, which is also the batch
GPU_FRAMES = 64


# ---------------------------------------------------------------- speed


def smooth_pictures(count, size, seed):
    """(count, size, size, 3) uint8: soft random patches of colour."""
    source = torch.Generator().manual_seed(seed)
    patches = torch.rand(count, 3, 6, 6, generator=source)
    soft = F.interpolate(patches, size=(size, size), mode="bicubic", align_corners=True)
    return images.to_pictures(soft.clamp(0, 1), (0, 1))


@torch.no_grad()
def random_networks(detector_arguments, generator_arguments, size):
    """(detector, generator) whose batch norms have seen a few smooth pictures."""
    torch.manual_seed(0)
    detector = KeypointDetector(**detector_arguments)
    generator = Generator(**generator_arguments)
    nn.init.normal_(detector.jacobian.weight, std=0.002)
    for layer in [*detector.modules(), *generator.modules()]:
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean of all that is seen
            nn.init.uniform_(layer.weight, 0.7, 1.3)
            nn.init.normal_(layer.bias, std=0.2)
    for seed in range(3):
        pictures = images.to_tensor(smooth_pictures(4, size, 100 + seed), (0, 1))
        source, driving = pictures.split(2)
        generator(source, detector(driving), detector(source))
    return detector.eval(), generator.eval()


def official_way(detector, generator, source, frames, device="cpu"):
    """A function that moves the source as the official demo does; (n, size, size, 3) uint8."""

    @torch.no_grad()
    def move():
        picture = images.to_tensor(source[None], (0, 1)).to(device)
        at_rest = detector(picture)
        moved = []
        for frame in frames:
            driving = images.to_tensor(frame[None], (0, 1)).to(device)
            moved.append(generator(picture, detector(driving), at_rest).prediction.cpu())
        return images.to_pictures(torch.cat(moved), (0, 1))

    return move


def our_way(networks, source, frames, precision, batch, device="cpu"):
    """The same by the pipeline, whose cache has met the source."""
    size = source.shape[0]
    pipeline = FOMMPipeline(*networks, {"size": size}, device=device, precision=precision)
    how = {"relative": False, "batch_size": batch}
    return lambda: np.stack(list(pipeline.animate(source, iter(frames), **how)))


def speed(rounds, size=256, detector_arguments=None, generator_arguments=None):
    networks = random_networks(detector_arguments or {}, generator_arguments or {}, size)
    source, frames = smooth_pictures(1, size, 0)[0], smooth_pictures(FRAMES, size, 1)
    ways = {
        "official way": official_way(*networks, source, frames),
        "float32, one by one": our_way(networks, source, frames, "float32", 1),
        f"float32, batches of {FRAMES}": our_way(networks, source, frames, "float32", FRAMES),
        f"bfloat16, batches of {FRAMES}": our_way(networks, source, frames, "bfloat16", FRAMES),
    }
    targets = ("", ">= 1.45", ">= 1.45", ">= 2.8" if has_bfloat16() else "no bf16")
    compare_pictures(f"{size} px", ways, targets, rounds, FRAMES)


def live(rounds, frames=20):
    from trainers.fomm.config import PRESETS, network_arguments

    config = PRESETS["puppets"]
    size, arguments = config.size, network_arguments(config)
    networks = random_networks(arguments["detector"], arguments["generator"], size)
    source, drivings = smooth_pictures(1, size, 0)[0], smooth_pictures(frames, size, 1)
    ways = {"official way": official_way(*networks, source, drivings)}
    for precision in ("float32", "bfloat16"):
        ways[f"{precision}, one by one"] = live_way(networks, source, drivings, precision)
    compare_pictures(f"live frame, {size} px", ways, ("", "< 50 ms", ""), rounds, frames)


def live_way(networks, source, frames, precision):
    """As the live view calls the pipeline, picture by picture."""
    size = source.shape[0]
    pipeline = FOMMPipeline(*networks, {"size": size}, device="cpu", precision=precision)
    prepared = pipeline.encode(source)
    return lambda: np.concatenate(
        [pipeline.render(prepared, pipeline.detect(frame), relative=False) for frame in frames]
    )


def full_size(rounds):
    pipeline = FOMMPipeline.from_weights(find_weights("fomm-puppets"), device="cpu")
    source, frame = smooth_pictures(1, 512, 0)[0], smooth_pictures(1, pipeline.size, 1)[0]
    motion = pipeline.detect(frame)
    ways = {
        size: partial(pipeline.render, pipeline.encode(source, size), motion)
        for size in (pipeline.size, 256, 512, 1024)
    }
    for size, (fastest, spread, ratio) in compared(alternate(ways, rounds)).items():
        row(f"frame of {size} px", f"{fastest * 1000:.1f} ms", f"{spread:.0%}", f"{ratio:.2f}")


def gpu(rounds, size=256):
    if not torch.cuda.is_available():
        row("256 px on a GPU", "none here", target=">= 6")
        return
    networks = [network.cuda() for network in random_networks({}, {}, size)]
    source, frames = smooth_pictures(1, size, 0)[0], smooth_pictures(GPU_FRAMES, size, 1)
    ways = {"official way": official_way(*networks, source, frames, "cuda")}
    for precision in ("float32", "bfloat16", "float16"):
        ways[precision] = our_way(networks, source, frames, precision, None, "cuda")
    ways["float32 with TF32"] = with_tf32(ways["float32"])
    name = torch.cuda.get_device_name()
    compare_pictures(f"{size} px, {name}", ways, ("", "", ">= 6", ">= 6", ""), rounds, GPU_FRAMES)


def with_tf32(way):
    def move():
        before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        moved = way()
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
        return moved

    return move


# ---------------------------------------------------------------- memory


def memory(lengths=(200, 2000)):
    with tempfile.TemporaryDirectory() as folder:
        picture = smooth_pictures(1, 64, 0)[0]
        images.save_picture(f"{folder}/source.png", picture, weights="none", settings={})
        command = ["gan_models.fomm", "--weights", "fomm-puppets", "--device", "cpu", "--size"]
        command += [
            "512",
            "--source",
            f"{folder}/source.png",
            "--out",
            f"{folder}/result.mp4",
            "--driving",
        ]
        commands = {}
        for length in lengths:
            driving = f"{folder}/driving-{length}.mp4"
            video.write_clip(driving, swaying(length), 25, weights=None, settings={})
            commands[length] = [*command, driving]
        memory_rows("clip of {} frames, largest process", commands)


def swaying(count, size=64):
    """Yield `count` frames of one smooth picture that moves from side to side."""
    wide = smooth_pictures(1, 2 * size, 2)[0]
    for number in range(count):
        shift = round(size / 2 * (1 + np.sin(number / 10)))
        yield np.ascontiguousarray(wide[size // 2 : size // 2 + size, shift : shift + size])


if __name__ == "__main__":
    parts = {"speed": speed, "live": live, "size": full_size, "gpu": gpu}
    parts["memory"] = lambda rounds: memory()
    table(__doc__, parts)
