"""SPADE from the command line.

    python -m gan_models.spade paint map.png --out picture.png
    python -m gan_models.spade paint map.png --seeds 0-7 --out variations.png
    python -m gan_models.spade paint maps/ --style sunset.jpg --out pictures/
    python -m gan_models.spade paint map.png --style sunset.jpg noon.jpg --mix 0.3 --out mixed.png
    python -m gan_models.spade paint puppet.png --read picture --out another.png

Files carry their settings, the weights' name and the words "made by a model".
"""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from gan_models import images
from gan_models.commands import AS_USUAL, RunningOptions, ended_by_a_sentence
from gan_models.errors import UserError
from gan_models.seeds import parse_seeds
from gan_models.spade.labels import READINGS, read_map
from gan_models.spade.pipeline import SPADEPipeline
from gan_models.spade.segmenting import map_of_picture

PICTURE = "picture"  # one more way to read a map: first it is made


def paint(
    maps: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path = Path("picture.png"),
    seeds: str = "0",
    style: tuple[Path, ...] = (),
    mix: float | None = None,
    read: Literal[(*READINGS, PICTURE)] = "auto",
    segmenter: str = "",
    running: RunningOptions = AS_USUAL,
) -> None:
    """Paint the pictures that label maps mean.

    Args:
        maps: Files of label maps (ids or colours), or folders of them.
        out: A picture to write (.png, .jpg or .webp), of several a grid: a row for each map, a
            column for each style. Without ending: a folder, to which each is written on its own.
        seeds: Styles: whole numbers and ranges, such as 0-7 or 3,5,8-10.
        style: Pictures whose styles are taken instead (weights with an encoder).
        mix: Of two styles only the mix, this share (0 to 1) of the way to the second one.
        read: What the maps hold; auto finds it out. picture: they are pictures, and become maps
            first.
        segmenter: For pictures that are no puppets: a segmentation model of the Hugging Face Hub
            that knows the weights' classes, such as nvidia/segformer-b0-finetuned-ade-512-512;
            it is fetched once (needs transformers).
    """
    folder = not out.suffix
    if not folder and out.suffix.lower() not in images.WRITABLE:
        raise UserError(f"--out {out} must end in {', '.join(images.WRITABLE)}, or in nothing.")
    files, numbers = found(maps), [] if style else parse_seeds(seeds)
    if mix is not None and len(style or numbers) != 2:
        raise UserError(f"--mix {mix} is of two styles: give two seeds, or two --style pictures.")
    images.check_writable(out / "picture.png" if folder else out)
    pipeline = running.open(SPADEPipeline, "spade")
    styles = styles_of(pipeline, style, numbers, mix)
    label_maps = {file: opened(file, pipeline, read, segmenter) for file in files}
    rows = []
    for label_map in tqdm(label_maps.values(), unit="map"):
        rows.append([pipeline.paint(label_map, latents) for latents in styles.values()])
    about = {"precision": running.precision}
    if folder:
        for file, row in zip(files, rows, strict=True):
            for name, picture in zip(styles, row, strict=True):
                path = out / f"{file.stem}{'-' * bool(name)}{name}.png"
                settings = {"map": file.name, "style": name} | about
                images.save_picture(path, picture, weights=pipeline.name, settings=settings)
        print(f"{out}: {len(files) * len(styles)} files")
        return
    sheet = images.grid([picture for row in rows for picture in row], columns=len(styles))
    settings = {"maps": [file.name for file in files], "styles": list(styles)} | about
    images.save_picture(out, sheet, weights=pipeline.name, settings=settings)
    print(f"{out}: {len(files) * len(styles)} pictures, {sheet.shape[1]} x {sheet.shape[0]} pixels")


def found(maps):
    """The files, and those in the folders."""
    files = []
    for path in maps:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        files += [x for x in inside if x is path or x.suffix.lower() in images.PICTURE_ENDINGS]
    if not files:
        raise UserError("There is no map: give files of label maps, or folders of them.")
    return files


def opened(file, pipeline, reading, segmenter):
    """The map at the pipeline's size; what is to be told about it is printed."""
    try:
        if reading == PICTURE:
            given = pipeline.labels, pipeline.size, segmenter, pipeline.device
            label_map, told = map_of_picture(file, *given)
        else:
            label_map, told = read_map(file, pipeline.labels, reading)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    label_map, scaled = pipeline.fitted(label_map)
    for sentence in told + scaled:
        print(f"{file}: {sentence}")
    return label_map


def styles_of(pipeline, pictures, seeds, mix):
    """Styles (latent_size,) by name; one without a name for weights that know no styles."""
    if not pipeline.latent_size and not pictures:
        return {"": None}
    styles = {path.stem: pipeline.style_of(images.read_picture(path)) for path in pictures}
    styles |= {f"seed-{seed:06d}": pipeline.style(seed) for seed in seeds}
    if mix is not None:
        name = f"{mix:.2f}-from-{'-to-'.join(styles)}"
        return {name: pipeline.mix(*styles.values(), mix)}
    return styles


def main(args: list[str] | None = None) -> None:
    commands, prog = {"paint": paint}, "python -m gan_models.spade"
    with ended_by_a_sentence():
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args, description=__doc__)


if __name__ == "__main__":
    main()
