"""Checkpoints that others published, read into this project's networks: `read(file)`.

    files.py     opens a checkpoint as plain data; nothing in it is executed
    progan.py    ProGAN; progan_layouts.py holds one table of names for each layout
    fomm.py      First Order Motion Model

A system's file offers `convert(content, file_name)`: what `read` returns, or None if the content is
none of its layouts.
"""

from pathlib import Path

from gan_models.errors import UserError
from gan_models.official import files, fomm, progan


def read(path):
    """The networks of a published checkpoint, whose layout is recognised.

    Returns a dict:
        system     "progan" or "fomm"
        networks   state dict (float32, this project's names) by network: of ProGAN the averaged
                   "generator" where the file has one, and the "discriminator"; of FOMM "detector",
                   "generator" and, where the file has one, "discriminator"
        arguments  constructor arguments by network
        config     fields of a weights folder's config.json: size (pixels), classes, licence, ...

    Raises:
        UserError: The file is missing, damaged, of an unknown layout, made with settings that
            this project's networks lack, or asks to run code.
    """
    path = Path(path).expanduser()
    content = files.load(path)
    try:
        for system in (progan, fomm):
            found = system.convert(content, path.name)
            if found is not None:
                return found
    except files.Unsuitable as error:
        raise UserError(f"{path} cannot be imported: {error}.") from error
    raise UserError(
        f"{path} has none of the known layouts (ProGAN: official TensorFlow pickle, akanimax .bin "
        "or .pth, pytorch_GAN_zoo, genforce; first-order-model: .pth.tar): import the file that "
        "its project published."
    )
