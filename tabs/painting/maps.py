"""Label maps on their way between the page and the pipeline: (H, W) uint8 of class ids."""

import base64
import binascii
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from gan_models.errors import UserError
from gan_models.images import label_text
from gan_models.spade.labels import Labels, read_map
from tabs.painting import texts

EXAMPLES = Path(__file__).parent.parent.parent / "assets" / "examples" / "painting"
EXAMPLES_OF = "puppets"  # the kind of labels that the examples have
NOISE_CLASSES = 7  # of a random map
# What a landscape is begun with, by the first of these names that a set has.
ABOVE, BELOW = ("sky-other", "sky"), ("grass", "road", "background")


def encoded(label_map: np.ndarray) -> str:
    return base64.b64encode(label_map.astype(np.uint8).tobytes()).decode()


def decoded(text: object, shape: tuple[int, int], classes: int) -> np.ndarray:
    """The map that a browser sent as base64 of its ids. Raises UserError unless it has exactly
    `shape`, and ids below `classes`.
    """
    count = shape[0] * shape[1]
    if not isinstance(text, str) or len(text) != 4 * -(-count // 3):
        raise UserError(texts.BAD_IDS)
    try:
        ids = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise UserError(texts.BAD_IDS) from error
    if len(ids) != count:
        raise UserError(texts.BAD_IDS)
    if ids.max() >= classes:
        raise UserError(texts.BAD_CLASSES)
    return ids.reshape(shape)


def example_files() -> list[Path]:
    """In the order in which they are shown."""
    return [EXAMPLES / name for name in texts.NAMES if (EXAMPLES / name).is_file()]


def start(labels: Labels, size: tuple[int, int]) -> np.ndarray:
    """What the canvas opens on: an example of puppets; else a horizon, or the first class."""
    files = example_files()
    if labels.kind == EXAMPLES_OF and files:
        return read_map(files[0], labels)[0]
    above, below = (
        next((labels.names.index(name) for name in names if name in labels.names), 0)
        for names in (ABOVE, BELOW)
    )
    label_map = np.full(size, above, np.uint8)
    label_map[size[0] * 3 // 5 :] = below
    return label_map


def noise(labels: Labels, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Blobs of some random classes: at each pixel, the class whose own smooth noise is highest."""
    classes = random.choice(labels.classes, min(NOISE_CLASSES, labels.classes), replace=False)
    fields = [
        Image.fromarray(random.standard_normal((6, 6)).astype(np.float32)).resize(
            size[::-1], Image.Resampling.BICUBIC
        )
        for _ in classes
    ]
    return classes[np.stack(fields).argmax(axis=0)].astype(np.uint8)


def write_index_png(path: Path, label_map: np.ndarray, labels: Labels, **about) -> None:
    """The ids as an indexed PNG in the colours of the labels; about: what its text says."""
    image = Image.fromarray(label_map, "P")
    image.putpalette(labels.colours.tobytes())
    text = PngImagePlugin.PngInfo()
    if about:
        text.add_text("Description", label_text(**about))
    image.save(path, "PNG", pnginfo=text)
