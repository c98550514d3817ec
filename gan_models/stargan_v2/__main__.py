"""StarGAN v2 from the command line.

    python -m gan_models.stargan_v2 sample faces/ --domain male --references men/ --out grid.jpg
    python -m gan_models.stargan_v2 sample cat.jpg --domain wild --seeds 0-7 --out wild.png
    python -m gan_models.stargan_v2 interpolate cat.jpg --domain dog --seeds 1,2,3 --out dog.mp4
    python -m gan_models.stargan_v2 align photos/ --out aligned/

Files that are made carry their settings, the weights' name and the words "made by a model".
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from gan_models import images, published, video
from gan_models.checkpoints import DAMAGE, landmark_network
from gan_models.commands import AS_USUAL, RunningOptions, ended_by_a_sentence, listed, names, tell
from gan_models.devices import choose_device
from gan_models.errors import Unreadable, UserError, unwritten
from gan_models.seeds import parse_seeds
from gan_models.stargan_v2 import alignment
from gan_models.stargan_v2.landmarks import LANDMARKS, SIZE
from gan_models.stargan_v2.pipeline import StarGANv2Pipeline, path

WHITE = 255
Files = Annotated[tuple[Path, ...], tyro.conf.Positional]


def sample(
    sources: Files,
    domain: str,
    references: tuple[Path, ...] = (),
    seeds: str = "0",
    strength: float = 1.0,
    out: Path = Path("grid.png"),
    running: RunningOptions = AS_USUAL,
) -> None:
    """Translate each source into each style: a grid with the sources above, a row for each style.

    Args:
        sources: Pictures, or folders of them.
        domain: The name of the domain to translate into.
        references: Pictures (or folders) whose styles are taken; they stand left of their rows.
        seeds: Without references: whole numbers and ranges, such as 0-7 or 3,5.
        strength: 1 the style itself, less the nearer to the domain's usual one, 0 that one.
        out: The grid to write: .png, .jpg or .webp.
    """
    if out.suffix.lower() not in images.WRITABLE:
        raise UserError(f"--out {out} must end in {', '.join(images.WRITABLE)}.")
    images.check_writable(out)
    pipeline = running.open(StarGANv2Pipeline, "stargan_v2")
    crops = opened(pipeline, "The source", sources)
    styles, shown = styles_of(pipeline, domain, references, seeds, strength)
    rows = [list(crops.values())]
    translated = [
        list(pipeline.translations(crop, styles)) for crop in tqdm(rows[0], unit="source")
    ]
    rows += map(list, zip(*translated, strict=True))
    if shown:
        corner = np.full_like(rows[0][0], WHITE)
        rows = [[first, *row] for first, row in zip([corner, *shown], rows, strict=True)]
    sheet = images.grid([picture for row in rows for picture in row], len(rows[0]))
    images.save_picture(
        out, sheet, weights=pipeline.name,
        settings={
            "sources": [file.name for file in crops], "domain": domain, "strength": strength,
            "precision": running.precision,
        } | told_of(references, seeds),
    )  # fmt: skip
    tell([pipeline.notice])
    print(f"{out}: {len(crops)} sources in {len(styles)} styles")


def interpolate(
    source: Annotated[Path, tyro.conf.Positional],
    domain: str,
    references: tuple[Path, ...] = (),
    seeds: str = "0,1",
    strength: float = 1.0,
    seconds: float = 4.0,
    fps: float = 25.0,
    loop: bool = False,
    out: Path = Path("clip.mp4"),
    running: RunningOptions = AS_USUAL,
) -> None:
    """Write a clip in which a picture goes from style to style.

    Args:
        domain: The name of the domain to translate into.
        references: Pictures (or folders) whose styles are the stops, at least two.
        seeds: Without references: the stops, such as 1,2,3.
        strength: 1 the style itself, less the nearer to the domain's usual one, 0 that one.
        seconds: Length of the whole clip.
        fps: Frames per second.
        loop: Go on from the last stop to the first.
        out: The clip to write: .mp4 or .gif.
    """
    if not 2 <= seconds * fps <= 10**6:
        raise UserError(f"--seconds {seconds} at --fps {fps} make no clip: give other ones.")
    images.check_writable(out)
    pipeline = running.open(StarGANv2Pipeline, "stargan_v2")
    crop = next(iter(opened(pipeline, "The source", [source]).values()))
    stops, _ = styles_of(pipeline, domain, references, seeds, strength)
    if len(stops) < 2:
        raise UserError("A clip goes between two styles: give two --references, or --seeds 1,2.")
    count = round(seconds * fps)
    frames = tqdm(pipeline.translations(crop, path(stops, count, loop)), total=count, unit="frame")
    about = {"source": source.name, "domain": domain, "strength": strength, "loop": loop}
    about |= told_of(references, seeds) | {"precision": running.precision}
    info = video.write_clip(out, frames, fps, weights=pipeline.name, settings=about)
    tell([pipeline.notice])
    print(f"{out}: {info.frames} frames, {info.seconds:.2f} s, {info.width} x {info.height} pixels")


def align(
    sources: Files,
    landmarks: Path | None = None,
    mean: Path | None = None,
    out: Path = Path("aligned"),
    size: int = SIZE,
    device: str = "auto",
) -> None:
    """Turn, scale and move the largest face of each photograph to where the mean face is, as the
    official code does for CelebA-HQ: what weights of such faces want to see.

    Args:
        sources: Pictures, or folders of them.
        landmarks: The official wing.ckpt, or a checkpoint with the landmark network in it; else
            what `python -m gan_models.published fetch wing` got.
        mean: The official celeba_lm_mean.npz, or a folder of faces that are framed as you want
            yours, whose mean is taken; else what `fetch celeba-landmarks` got.
        out: The folder to which each is written as .png.
        size: Of the results' sides, in pixels.
        device: auto, cpu, cuda or cuda:N.
    """
    if not 32 <= size <= 1024:  # CelebA-HQ's; the mirrored surroundings take gigabytes beyond
        raise UserError(f"--size {size}: give 32 to 1024 pixels.")
    files = found_in("The source", sources)
    targets = {file: out / f"{name}.png" for file, name in names(files).items()}
    for file, target in targets.items():
        if target.resolve() == file.resolve():
            raise UserError(f"{target} would replace what the result is made from.")
    images.check_writable(max(targets.values(), key=lambda target: len(os.fsencode(target.name))))
    landmarks = landmarks or got("--landmarks", "wing")
    mean = mean or got("--mean", "celeba-landmarks")
    network = landmark_network(landmarks).to(choose_device(device))
    face, failed = mean_face(mean, network), 0
    for file, target in tqdm(targets.items(), unit="picture", disable=None):
        try:
            made, notice = alignment.align(network, images.read_picture(file), face, size)
        except Unreadable as error:
            if len(files) == 1:
                raise
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
            continue
        write_plain(target, made)
        tell([notice and f"{file}: {notice}"])
    print(f"{out}: {len(files) - failed} faces of {size} x {size} pixels")
    if failed:
        raise UserError(f"{failed} of {len(files)} could not be aligned, see above.")


def got(option: str, name: str) -> Path:
    """Where the published file of that name was fetched to; UserError where it was not."""
    entry = published.named(name)
    if not entry.is_here():
        raise UserError(
            f"There is no {entry.file} here: give {option}, or get it by "
            f"`python -m gan_models.published fetch {name}`."
        )
    return entry.folder() / entry.file


def mean_face(path: Path, network) -> np.ndarray:
    """(98, 2) as (x, y) in pixels of a square of 256. Raises UserError."""
    if path.is_dir():
        files = listed("--mean", path, images.PICTURE_ENDINGS)
        squares = (images.centre_square(images.read_picture(file), SIZE) for file in files)
        return np.mean([alignment.landmarks_of(network, square) for square in squares], axis=0)
    try:
        mean = np.asarray(np.load(path)["mean"], np.float32)
        if mean.shape != (LANDMARKS, 2) or not np.isfinite(mean).all():
            raise ValueError(f"its mean has the shape {mean.shape}")
    except DAMAGE as error:
        raise UserError(
            f"--mean {path} holds no mean face ({error!s:.100}): give celeba_lm_mean.npz, or a "
            "folder of faces that are framed as you want yours."
        ) from error
    return mean


def write_plain(path: Path, picture: np.ndarray) -> None:
    """Without a label: it is a photograph, and no model made it."""
    try:
        with images.written_whole(path) as part:
            Image.fromarray(picture).save(part)
    except OSError as error:
        raise unwritten(path, error) from error


def found_in(what, paths) -> list[Path]:
    files = [file for path in paths for file in listed(what, path, images.PICTURE_ENDINGS)]
    if not files:
        raise UserError(f"{what} is missing: give pictures, or folders of them.")
    return files


def opened(pipeline, what, paths) -> dict[Path, np.ndarray]:
    """The crops (size, size, 3) uint8 that the networks see, by file."""
    found = {}
    for file in found_in(what, paths):
        picture = images.read_picture(file)
        framing = pipeline.frame(picture)
        tell([framing.notice and f"{file}: {framing.notice}"])
        found[file] = pipeline.crop(picture, framing.box)
    return found


def styles_of(pipeline, domain, references, seeds, strength) -> tuple[list, list]:
    """(styles (style_dim,), the crops of the references that they are of, if any)."""
    if not references:
        numbers = parse_seeds(seeds)
        return [pipeline.style(domain, seed, strength) for seed in numbers], []
    crops = list(opened(pipeline, "The reference", references).values())
    return [pipeline.style_of(crop, domain, strength) for crop in crops], crops


def told_of(references, seeds) -> dict:
    return {"references": [path.name for path in references]} if references else {"seeds": seeds}


def main(args: list[str] | None = None) -> None:
    commands = {"sample": sample, "interpolate": interpolate, "align": align}
    prog = "python -m gan_models.stargan_v2"
    with ended_by_a_sentence():
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args, description=__doc__)


if __name__ == "__main__":
    main()
