"""ProGAN from the command line.

    python -m gan_models.progan sample --seeds 0-63 --out grid.png
    python -m gan_models.progan interpolate --seeds 1,2,3 --seconds 6 --out path.mp4
    python -m gan_models.progan interpolate --seeds 1 --mode walk --seconds 10 --out walk.gif

Files carry their settings, the weights' name and the words "made by a model".
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from tqdm import tqdm

from gan_models import images, video
from gan_models.commands import AS_USUAL, RunningOptions, ended_by_a_sentence
from gan_models.errors import UserError
from gan_models.progan.pipeline import ProGANPipeline
from gan_models.seeds import parse_seeds


def sample(
    out: Path = Path("grid.png"),
    seeds: str = "0-31",
    columns: int = 8,
    label: str | None = None,
    resolution: int | None = None,
    alpha: float = 1.0,
    matched: bool = False,
    truncation: float = 1.0,
    separate: Path | None = None,
    running: RunningOptions = AS_USUAL,
) -> None:
    """Draw a picture for each seed, and arrange them in a grid.

    Args:
        out: The grid to write: .png, .jpg or .webp.
        seeds: Whole numbers and ranges, such as 0-63 or 3,5,8-10.
        columns: Pictures in a row of the grid.
        label: For weights with classes: the name or number of one.
        resolution: Pixels of a picture: 4, 8, ... up to the weights' own size, the default.
        alpha: How far that resolution is faded in: 0 shows the previous one enlarged, 1 this one.
        matched: Give lower resolutions the colours of the last one.
        truncation: 1 draws whatever the network can, less draws more usual pictures, 0 the average.
        separate: A folder to which each picture is written on its own, too.
    """
    if out.suffix.lower() not in images.WRITABLE:
        raise UserError(f"--out {out} must end in {', '.join(images.WRITABLE)}.")
    if columns < 1:
        raise UserError(f"--columns {columns}: a grid has at least 1.")
    numbers = parse_seeds(seeds)
    images.check_writable(out)
    pipeline = running.open(ProGANPipeline, "progan")
    latents = np.concatenate([pipeline.latents(seed) for seed in numbers])
    look = {"truncation": truncation, "matched": matched}
    frames = pipeline.frames(latents, label, resolution, alpha, **look)
    pictures = list(tqdm(frames, total=len(numbers), unit="picture"))
    about = {"label": label, "resolution": len(pictures[0]), "alpha": alpha}
    about |= look | {"precision": running.precision}
    sheet = images.grid(pictures, columns)
    images.save_picture(out, sheet, weights=pipeline.name, settings={"seeds": seeds} | about)
    print(f"{out}: {len(pictures)} pictures, {sheet.shape[1]} x {sheet.shape[0]} pixels")
    if separate is not None:
        for seed, picture in zip(numbers, pictures, strict=True):
            file, settings = separate / f"seed-{seed:06d}.png", {"seeds": str(seed)} | about
            images.save_picture(file, picture, weights=pipeline.name, settings=settings)
        print(f"{separate}: {len(pictures)} files")


def interpolate(
    out: Path = Path("clip.mp4"),
    seeds: str = "0,1",
    mode: Literal["spherical", "linear", "walk"] = "spherical",
    seconds: float = 4.0,
    fps: float = 30.0,
    loop: bool = False,
    smoothing: float = 1.0,
    scale: int = 4,
    label: str | None = None,
    truncation: float = 1.0,
    running: RunningOptions = AS_USUAL,
) -> None:
    """Write a clip that moves from seed to seed, or walks at random and ends where it began.

    Args:
        out: The clip to write: .mp4 or .gif.
        seeds: The stops of the path, such as 1,2,3. One seed with --mode walk.
        mode: The path between two seeds, or a random walk that loops.
        seconds: Length of the whole clip.
        fps: Frames per second.
        loop: Let the path go on from the last seed to the first.
        smoothing: With walk: seconds over which the noise is smoothed; more is slower.
        scale: Enlarge every pixel this many times.
        label: For weights with classes: the name or number of one.
        truncation: 1 draws whatever the network can, less draws more usual pictures, 0 the average.
    """
    numbers = parse_seeds(seeds)
    if mode == "walk" and len(numbers) != 1:
        raise UserError(f"--mode walk takes one seed, not --seeds {seeds}.")
    if mode != "walk" and len(numbers) < 2:
        raise UserError(f"--seeds {seeds}: a path needs two; give more, or --mode walk.")
    if not 1 <= seconds * fps <= 10**7:
        raise UserError(f"--seconds {seconds} at --fps {fps} make no clip: give other ones.")
    if not 1 <= scale <= 64:
        raise UserError(f"--scale {scale}: give a whole number from 1 to 64.")
    images.check_writable(out)
    pipeline = running.open(ProGANPipeline, "progan")
    num_frames = round(seconds * fps)
    if mode == "walk":
        latents = pipeline.random_walk(numbers[0], num_frames, smoothing * fps)
    else:
        waypoints = np.concatenate([pipeline.latents(seed) for seed in numbers])
        latents = pipeline.path(waypoints, num_frames, mode, loop)
    frames = pipeline.frames(latents, label, truncation=truncation)
    settings = {"seeds": seeds, "mode": mode, "seconds": seconds, "fps": fps, "label": label}
    settings |= {"smoothing": smoothing} if mode == "walk" else {"loop": loop}
    settings |= {"truncation": truncation, "precision": running.precision}
    shown = enlarged(tqdm(frames, total=num_frames, unit="frame"), scale)
    info = video.write_clip(out, shown, fps, weights=pipeline.name, settings=settings)
    print(f"{out}: {info.frames} frames, {info.seconds:.2f} s, {info.width} x {info.height} pixels")


def enlarged(frames: Iterable[np.ndarray], scale: int) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) -> (scale H, scale W, 3): each pixel becomes a square, sharp as it is."""
    for frame in frames:
        yield frame.repeat(scale, axis=0).repeat(scale, axis=1)


def main(args: list[str] | None = None) -> None:
    commands, prog = {"sample": sample, "interpolate": interpolate}, "python -m gan_models.progan"
    with ended_by_a_sentence():
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args, description=__doc__)


if __name__ == "__main__":
    main()
