"""Writes puppets to disk: `python -m trainers.puppets --layout LAYOUT --out DIR --count N`."""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from PIL import Image

from gan_models.errors import UserError
from gan_models.images import grid, written_whole
from trainers.puppets import contact_sheet, draw, layouts, random_parameters

DEFAULT = layouts.Options()
# Seeds of the large puppets on top of the sheet: the domains take turns.
HEROES = (79, 109, 71, 34, 64, 78, 65, 76, 89, 21, 9, 39, 108, 90, 32, 113, 25, 91)


def command(
    layout: Literal["fomm", "stargan_v2", "spade", "ganimation", "progan", "judge"] | None = None,
    out: Path | None = None,
    count: int = 1000,
    size: int = DEFAULT.size,
    seed: int = DEFAULT.seed,
    style: Literal["training", "held_out"] = DEFAULT.style,
    val_count: int | None = DEFAULT.val_count,
    clips: Literal["mp4", "frames", "strips"] = DEFAULT.clips,
    num_frames: int = DEFAULT.num_frames,
    class_folders: bool = DEFAULT.class_folders,
    sheet: Path | None = None,
) -> None:
    """Write puppets in the folder layout that a trainer takes for real data, or a contact sheet.

    Args:
        layout: Whose layout; needs --out.
        out: A folder that does not exist yet, or is empty.
        count: Training pictures (fomm: clips).
        size: Side of a picture in pixels, 32 to 256.
        seed: Another number gives other training puppets; the others are always the same.
        style: held_out is a second drawing style, for scoring what was trained on the first.
        val_count: Pictures that are not for training (val or test); default a tenth of --count.
        clips: fomm: .mp4 files, or without loss: folders of PNG frames, or strips of all frames.
        num_frames: fomm: frames of each clip, at 25 a second.
        class_folders: progan: a folder per domain, for training with labels.
        sheet: Also (or only) write a contact sheet of puppets to this .png file.
    """
    if (layout is None) != (out is None):
        raise UserError("--layout and --out go together: give both.")
    if layout is None and sheet is None:
        raise UserError("there is nothing to write: give --layout and --out, or --sheet.")
    if layout:
        options = layouts.Options(size, seed, style, val_count, clips, num_frames, class_folders)
        manifest = layouts.write_layout(layout, out, count, options)
        print(f"{out}: {count} for training, {manifest['val_count']} others", file=sys.stderr)
    if sheet:
        write_sheet(sheet)


def readme_sheet() -> np.ndarray:
    """(724, 1186, 3) uint8: large puppets, the contact sheet's rows on action units, motion and
    labels, and the large puppets once more in the held-out style.
    """
    # Nine pictures of 130 pixels are as wide as eighteen of 64, with gaps of 2.
    heroes = [random_parameters(seed) for seed in HEROES]
    large = grid([draw(hero, 130).picture for hero in heroes], 9)
    held_out = grid([draw(hero, 64, "held_out").picture for hero in heroes], 18)
    gap = np.full((2, large.shape[1], 3), 255, np.uint8)
    return np.concatenate([large, gap, contact_sheet(64)[3 * 66 : -64], held_out])


def write_sheet(path: Path) -> None:
    """Write `readme_sheet`; without the label of generated pictures, because no model drew it."""
    if path.suffix.lower() != ".png":
        raise UserError(f"--sheet {path} must end in .png.")
    try:
        with written_whole(path) as part:
            Image.fromarray(readme_sheet()).save(part, optimize=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--sheet {path} could not be written: {reason}.") from error
    print(path, file=sys.stderr)


def main(argv: list[str] | None = None) -> None:
    try:
        tyro.cli(command, prog="python -m trainers.puppets", args=argv)
    except UserError as error:
        raise SystemExit(f"trainers.puppets: {error}") from error


if __name__ == "__main__":
    main()
