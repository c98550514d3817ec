"""Label maps: the classes that weights know, and reading any map as their ids.

A map is a picture of class ids (8 bits, grey or indexed), or of colours that stand for classes: the
sets' own (labels.txt; for COCO-Stuff those of GauGAN's demo, whose red is the id), or those that
the official code paints its maps with.
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from gan_models import images
from gan_models.errors import UserError

# How a map may be read: by itself; ids; the set's colours; the official code's; GauGAN's red bytes.
READINGS = ("auto", "ids", "colours", "official colours", "red bytes")
NEAR = 6  # of 255 in each channel, by which a colour may be off: JPEG, colour management
MOST_COLOURS = 2**16  # in a map, blurred borders included; photographs have more
VOID = 255  # the id that data sets give to pixels without a label


@dataclass(frozen=True)
class Labels:
    """What the channels of the semantics mean."""

    kind: str  # "puppets", "ade20k", "coco", "cityscapes", "facades" or "custom"
    names: tuple[str, ...]  # of the one-hot classes in order
    colours: np.ndarray = field(compare=False)  # (classes, 3) uint8 RGB
    dont_care: bool = False  # whether the last class is "unknown", the one of pixels without label
    edges: bool = False  # whether one more channel holds the edges of instances

    @property
    def classes(self):
        return len(self.names)

    @property
    def semantics(self):
        """Channels that the networks take."""
        return self.classes + self.edges

    @property
    def unknown(self):
        """The class of pixels without a label, None where there is none. ADE20K's is the first:

        As in the official code: it means to shift ADE20K's ids down by one, and does not.
        """
        return self.names.index("unknown") if "unknown" in self.names else None


def colour_map(count):
    """(count, 3) uint8: the official code's colours of the classes (PASCAL VOC's, from its 1 on):
    the lowest three bits of a number are the highest of red, green and blue, and so on.
    """
    numbers = np.arange(1, count + 1)
    bits = numbers[:, None] >> np.arange(8) & 1  # (count, 8), the lowest first
    levels = [bits[:, channel::3] for channel in range(3)]
    channels = [level @ (128 >> np.arange(level.shape[1])) for level in levels]
    return np.stack(channels, axis=1).astype(np.uint8)


@functools.cache
def known_sets():
    """The sets of labels.txt by their kind."""
    sections = {}
    for line in Path(__file__).with_name("labels.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            rows = sections[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            rows.append(line.split(" ", 1))
    options = {"coco": {"dont_care": True, "edges": True}, "cityscapes": {"edges": True}}
    return {
        kind: Labels(
            kind, tuple(name for _, name in rows),
            np.array([list(bytes.fromhex(colour)) for colour, _ in rows], np.uint8),
            **options.get(kind, {}),
        )
        for kind, rows in sections.items()
    }  # fmt: skip


LABELS = known_sets()


def custom(names, dont_care=False, edges=False):
    """The labels of somebody's own data."""
    return Labels("custom", tuple(names), colour_map(len(names)), dont_care, edges)


def labels_of(config):
    """The labels that a description of weights names: its `classes`, and its `labels`, a dict with
    kind, dont_care and edges. UserError where it has none.
    """
    names, about = tuple(config.get("classes") or ()), config.get("labels")
    if not names or not isinstance(about, dict):
        raise UserError(
            f"{config.get('name', 'This file')} does not say which classes its label maps have: "
            "its description needs classes and labels."
        )
    known = LABELS.get(about.get("kind"))
    flags = {name: bool(about.get(name)) for name in ("dont_care", "edges")}
    if known is None or known.names != names:
        return custom(names, **flags)
    return Labels(known.kind, names, known.colours, **flags)


def read_map(source, labels, kind="auto"):
    """(label map (H, W) uint8 of classes, sentences about what was not plain) of any map.

    Args:
        source: A file, its bytes, a PIL image, or an array: ids (H, W) or colours (H, W, 3).
        labels: The `Labels` to read it as.
        kind: One of `READINGS`.

    UserError for a picture that is none of them, and for ids out of range.
    """
    if kind not in READINGS:
        raise UserError(f"A map is read as {', '.join(READINGS)}, not as {kind!r}.")
    ids, colours = opened(source)
    if kind == "auto":
        kind = guessed(ids, colours, labels)
    if kind == "ids":
        if ids is None:
            raise UserError(
                "This map has colours, and ids are grey or indexed: read it by its colours."
            )
        return checked(ids, labels)
    if kind == "red bytes":
        if labels.kind != "coco":
            raise UserError("Red bytes are ids of COCO-Stuff, which these weights do not know.")
        return checked(colours[..., 0], labels)
    return from_colours(colours, palette(labels, kind), labels)


def opened(source):
    """(ids (H, W) uint8 or None, colours (H, W, 3) uint8) of what `read_map` takes."""
    if not isinstance(source, np.ndarray):
        image = source if isinstance(source, Image.Image) else images.open_image(source)[1]
        colours, deep = images.read_picture(image), image.mode.startswith("I")
        if image.mode in ("P", "1") or deep:
            ids = in_a_byte(np.asarray(image).astype(np.int64))
            return ids, np.repeat(ids[..., None], 3, axis=2) if deep else colours
    elif source.ndim == 2 and source.dtype.kind in "iub":
        ids = in_a_byte(source.astype(np.int64))
        return ids, np.repeat(ids[..., None], 3, axis=2)
    else:
        colours = images.read_picture(source)
    grey = (colours == colours[..., :1]).all()
    return (colours[..., 0] if grey else None), colours


def in_a_byte(ids):
    if ids.size == 0:
        raise UserError("The map has no pixels.")
    if ids.min() < 0 or ids.max() > VOID:
        raise UserError(
            f"The map has ids from {ids.min()} to {ids.max()}, and classes go up to 255 only: an "
            "instance map, or 16-bit grey? Save the label map with 8 bits."
        )
    return ids.astype(np.uint8)


def guessed(ids, colours, labels):
    """The reading under which the map means most."""
    if ids is not None and (colours == ids[..., None]).all():
        return "ids"
    shares = {kind: known_share(colours, palette(labels, kind)) for kind in READINGS[2:4]}
    best = max(shares, key=shares.get)
    if ids is not None:  # indexed: painting programs number colours as they come
        sound = (ids < labels.classes) | ((ids == VOID) & (labels.unknown is not None))
        shown = palette(labels, best)[np.minimum(ids, labels.classes - 1)]
        if sound.all() and (shares[best] < 1 or (shown == colours).all()) or shares[best] < 0.5:
            return "ids"
    if labels.kind == "coco" and shares[best] < 0.5 and (colours[..., 0] < labels.classes).all():
        if len(counted(colours)[0]) <= labels.classes:  # a photograph may be dark, too
            return "red bytes"
    return best


def palette(labels, kind):
    return labels.colours if kind == "colours" else colour_map(labels.classes)


def packed(colours):
    """(H, W) of one number a colour."""
    return colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def nearest(colours, wanted):
    """(class, largest difference of a channel) of the palette's colour nearest to each (n, 3)."""
    classes, off = [], []
    for part in np.array_split(colours.astype(np.int16), len(colours) // 4096 + 1):
        apart = np.abs(part[:, None] - wanted.astype(np.int16)).max(axis=2)  # (n, classes)
        classes.append(apart.argmin(axis=1))
        off.append(apart.min(axis=1))
    return np.concatenate(classes), np.concatenate(off)


def counted(colours):
    """(different colours (n, 3), which of them each pixel has (H W,), pixels of each (n,))."""
    values, places, counts = np.unique(packed(colours), return_inverse=True, return_counts=True)
    if len(values) > MOST_COLOURS:
        raise UserError(NO_MAP.format(f"{len(values):,} different colours"))
    rows = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    return rows, places.reshape(-1), counts


NO_MAP = (
    "This looks like a picture, not a label map: it has {}. Give a map, in which each pixel's id "
    "or colour stands for a class."
)


def known_share(colours, wanted):
    """How much of the map has colours of this palette, 0 to 1."""
    rows, _, counts = counted(colours)
    return counts[nearest(rows, wanted)[1] <= NEAR].sum() / counts.sum()


def from_colours(colours, wanted, labels):
    """`read_map` by the colours `wanted` (classes, 3)."""
    rows, places, counts = counted(colours)
    classes, off = nearest(rows, wanted)
    strange = off > NEAR
    pixels, notices = counts[strange].sum(), []
    if 2 * pixels > counts.sum():
        share = f"{pixels / counts.sum():.0%} of its pixels in colours that stand for no class"
        raise UserError(NO_MAP.format(share))
    if pixels:
        order = np.argsort(-counts * strange)[: min(strange.sum(), 3)]
        most = ", ".join(f"#{hexadecimal(rows[i])} on {counts[i]:,} pixels" for i in order)
        notices.append(
            f"{strange.sum():,} unknown colour{'s'[: strange.sum() - 1]} on {pixels:,} pixels "
            f"(most: {most}): each was read as the class with the nearest colour."
        )
    for number in np.unique(classes):
        same = np.flatnonzero((wanted == wanted[number]).all(axis=1))
        if len(same) > 1:
            names = [labels.names[i] for i in same]
            notices.append(
                f"#{hexadecimal(wanted[number])} is the colour of {' and '.join(names)}: it was "
                f"read as {names[0]}."
            )
    return classes.astype(np.uint8)[places].reshape(colours.shape[:2]), notices


def hexadecimal(colour):
    return bytes(int(level) for level in colour).hex()


def checked(ids, labels):
    """`read_map` of ids (H, W) uint8."""
    counts = np.bincount(ids.reshape(-1), minlength=256)
    if counts[VOID] and labels.classes <= VOID and labels.unknown is not None:
        ids = np.where(ids == VOID, labels.unknown, ids).astype(np.uint8)
        counts[VOID] = 0
    wrong = np.flatnonzero(counts[labels.classes :]) + labels.classes
    if len(wrong):
        listed = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        raise UserError(
            f"The map has ids that these weights do not know ({listed}, on "
            f"{counts[wrong].sum():,} pixels): their {labels.classes} classes are 0 to "
            f"{labels.classes - 1}. A map of another data set, or a grey picture?"
        )
    return ids, []
