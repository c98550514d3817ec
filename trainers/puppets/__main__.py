"""Writes puppets to disk: `python -m trainers.puppets --layout LAYOUT --out DIR --count N`."""

import sys
from pathlib import Path
from typing import Literal

import tyro
from PIL import Image

from gan_models.commands import never_ended_by_a_letter
from gan_models.errors import UserError
from gan_models.images import written_whole
from trainers.puppets import contact_sheet, layouts

DEFAULT = layouts.Options()


def command(
    layout: Literal["fomm", "stargan_v2", "spade", "ganimation", "progan", "judge"] | None = None,
    out: Path | None = None,
    count: int = 1000,
    drawing: layouts.Options = DEFAULT,
    sheet: Path | None = None,
) -> None:
    """Write puppets in the folder layout that a trainer takes for real data, or a contact sheet.

    Args:
        layout: Whose layout; needs --out.
        out: A folder that does not exist yet, or is empty.
        count: Training pictures (fomm: clips).
        drawing: How they are drawn.
        sheet: Also (or only) write a contact sheet of puppets to this .png file.
    """
    if (layout is None) != (out is None):
        raise UserError("--layout and --out go together: give both.")
    if layout is None and sheet is None:
        raise UserError("there is nothing to write: give --layout and --out, or --sheet.")
    if layout:
        manifest = layouts.write_layout(layout, out, count, drawing)
        print(f"{out}: {count} for training, {manifest['val_count']} others", file=sys.stderr)
    if sheet:
        write_sheet(sheet)


def write_sheet(path: Path) -> None:
    """Write the contact sheet, without the label of generated pictures: no model drew it."""
    if path.suffix.lower() != ".png":
        raise UserError(f"--sheet {path} must end in .png.")
    try:
        with written_whole(path) as part:
            Image.fromarray(contact_sheet()).save(part, optimize=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--sheet {path} could not be written: {reason}.") from error
    print(path, file=sys.stderr)


def main(argv: list[str] | None = None) -> None:
    never_ended_by_a_letter()
    try:
        flat = (tyro.conf.OmitArgPrefixes,)
        tyro.cli(command, prog="python -m trainers.puppets", args=argv, config=flat)
    except UserError as error:
        raise SystemExit(f"trainers.puppets: {error}") from error


if __name__ == "__main__":
    main()
