"""Pictures: reading any file, picture <-> tensor, resize, crop, grids, writing with a label.

The only place that knows about 0..255. A picture is a (height, width, 3) uint8 numpy array, RGB.
Every picture written for a person goes through `save_picture`; `label_text` is what it stores, and
`gan_models.video` stores the same text in clips.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError
from pillow_heif import register_heif_opener

from gan_models.errors import Unreadable, UserError, unwritten

MADE_BY = "made by a model"
MAX_PIXELS = 100_000_000  # at most 400 MB while a picture is decoded
MAX_LABEL = 30_000  # characters; a JPEG segment holds 65,533 bytes, a Windows command line 32,767

# Only formats whose decoders live in this process (EPS, for one, would start Ghostscript).
READABLE = (
    "PNG", "JPEG", "HEIF", "WEBP", "AVIF", "BMP", "GIF", "ICO", "JPEG2000", "PPM", "TIFF",
)  # fmt: skip
register_heif_opener()
ANIMATED = ("PNG", "WEBP", "AVIF", "GIF")  # in others a second picture is no next frame
# Endings of their files, by which folders are searched; a single file is known by its content.
PICTURE_ENDINGS = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .jif .jfi .pjpeg .pjp .mpo .heic .heics .heif .heifs .hif "
    ".webp .avif .avifs .bmp .gif .ico .jp2 .j2k .jpc .jpf .jpx .j2c .ppm .pgm .pbm .pnm .tif "
    ".tiff".split()
)
WRITABLE = (".png", ".jpg", ".jpeg", ".webp")

ORIENTATION = 0x0112  # EXIF tags
IMAGE_DESCRIPTION = 0x010E
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# --- reading ----------------------------------------------------------------------------------


def read_picture(
    source: str | os.PathLike | bytes | np.ndarray | Image.Image, shorter: int | None = None
) -> np.ndarray:
    """Any picture as (height, width, 3) uint8 sRGB, upright, transparency over white.

    source: a path, the bytes of a file, a PIL image, or an array (H, W) or (H, W, 1 | 2 | 3 | 4)
    of uint8, uint16 (scaled to 8 bit) or bool. Animated and multi-page files give their first
    picture. shorter: pixels of the shorter side that are enough; of a large JPEG a half, quarter or
    eighth is decoded then, at a share of the memory and time. Raises Unreadable for anything that
    is missing, damaged, cut off, no picture, or above MAX_PIXELS.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(source, "the picture")
    name, opened = open_image(source)
    with opened as image:
        if shorter:
            image.draft(None, (shorter, shorter))
        return _decode(image, name)


def open_image(source: str | os.PathLike | bytes) -> tuple[str, Image.Image]:
    """(name for messages, the opened but not yet decoded picture)."""
    if isinstance(source, bytes):
        name, file = "the picture", io.BytesIO(source)
    else:
        name, file = str(source), a_file(source)
    try:
        return name, Image.open(file, formats=READABLE)
    except Image.DecompressionBombError as error:
        raise Unreadable(_too_large(name)) from error
    except PermissionError as error:
        raise Unreadable(f"{name} may not be read: {error.strerror}.") from error
    except UnidentifiedImageError as error:
        raise Unreadable(f"{name} is no picture that can be read: use PNG or JPEG.") from error
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise Unreadable(_damaged(name, error)) from error


def a_file(path: str | os.PathLike) -> Path:
    """The path of a file; Unreadable for anything else."""
    path = Path(path)
    if not path.exists():
        raise Unreadable(f"{path} does not exist.")
    if not path.is_file():  # a pipe or device would be waited for, for ever
        raise Unreadable(f"{path} is not a file.")
    return path


def _decode(image: Image.Image, name: str) -> np.ndarray:
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(_too_large(name))
    if image.width * image.height == 0:
        raise Unreadable(f"{name} has no pixels.")
    try:
        image.load()
        turn = UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image, name)
        return np.array(rgb if turn is None else rgb.transpose(turn))  # (H, W, 3)
    except Unreadable:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise Unreadable(_damaged(name, error)) from error


def _too_large(name: str) -> str:
    return f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels: make it smaller first."


def _damaged(name: str, error: Exception) -> str:
    return f"{name} is damaged or cut off ({error}): use another copy of it."


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 where there is no EXIF or a malformed one (pixels still good)."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise Unreadable(f"{name} has floating-point pixels: save it with 8 or 16 bits.")
    if image.mode == "I" or image.mode.startswith("I;16"):  # convert("RGB") would clip at 255
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise Unreadable(f"{name} has 32-bit pixels: save it with 8 or 16 bits.")
        image = Image.fromarray(_to_8_bit(deep))
    image = _to_srgb(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_srgb(image: Image.Image) -> Image.Image:
    """The colours as screens show them, where the file's profile says that they are others, such as
    Adobe RGB, Display P3 of phones or the inks of a press. A profile that is damaged, or is not one
    of such pixels, is passed over, as other programs do.
    """
    profile = image.info.get("icc_profile")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        if own is None or "sRGB" in ImageCms.getProfileDescription(own):
            return image
        if image.has_transparency_data:
            image = image.convert("RGBA")
        elif image.mode not in ("L", "RGB", "CMYK"):
            image = image.convert("RGB")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(
            image, own, ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError):
        return image


def _to_8_bit(deep: np.ndarray) -> np.ndarray:
    """0..65535 to the nearest of 0..255 (65535 = 255 * 257)."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:
        array = array[:, :, None]
    shown = array.ndim == 3 and array.shape[2] in (1, 2, 3, 4) and array.size > 0
    if not shown or array.dtype not in (np.uint8, np.uint16, bool):
        raise Unreadable(
            f"an array {array.shape} of {array.dtype} is no picture: use (height, width, 3) of "
            "uint8, 0 to 255."
        )
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = _to_8_bit(array)
    array = np.ascontiguousarray(array)
    if array.shape[2] == 3:
        return array
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    return np.array(_to_rgb(image, "the picture"))  # (H, W, 3)


# --- pictures and tensors ---------------------------------------------------------------------


def to_tensor(pictures: np.ndarray, value_range: tuple[float, float] = (-1, 1)) -> torch.Tensor:
    """(N, H, W, 3) or one (H, W, 3) uint8 -> (N, 3, H, W) float32 in `value_range`.

    x * (2 / 255) - 1 for (-1, 1), as in the official code (`adjust_dynamic_range`).
    """
    low, high = value_range
    pictures = np.ascontiguousarray(pictures)
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4) or pictures.shape[-1] != 3:
        raise Unreadable(
            f"pictures are (N, H, W, 3) of uint8, not {pictures.shape} of {pictures.dtype}."
        )
    pictures = pictures.reshape(-1, *pictures.shape[-3:])
    levels = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float()  # (N, 3, H, W)
    return levels * ((high - low) / 255) + low


def to_pictures(images: torch.Tensor, value_range: tuple[float, float] = (-1, 1)) -> np.ndarray:
    """(N, 3, H, W) or one (3, H, W), any float type and device -> (N, H, W, 3) uint8.

    round(x * 127.5 + 127.5) for (-1, 1), kept within 0..255, as in the official code.
    """
    low, high = value_range
    images = images.reshape(-1, *images.shape[-3:])
    scale = 255 / (high - low)
    levels = images.detach().float() * scale - low * scale
    levels = levels.round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()  # (N, H, W, 3)


# --- size and arrangement ---------------------------------------------------------------------


def resize(picture: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """(H, W, 3) -> (size, size, 3), or (height, width, 3) for a pair; antialiased reduction."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise Unreadable(f"a picture cannot be {width} x {height} pixels large.")
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    resized = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(resized)  # (height, width, 3)


def centre_square(picture: np.ndarray, size: int, fit: str = "crop") -> np.ndarray:
    """(H, W, 3) -> (size, size, 3), antialiased.

    fit: "crop" keeps the shape of things and the largest square in the middle; "stretch" keeps the
    whole picture and squeezes it into the square.
    """
    if fit == "crop":
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top : top + side, left : left + side]
    return resize(picture, size)


def grid(pictures: np.ndarray | Sequence[np.ndarray], columns: int, gap: int = 2) -> np.ndarray:
    """N pictures of one size, row by row on white, `gap` pixels apart -> one (H, W, 3) picture."""
    height, width, _ = pictures[0].shape
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    sheet_shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(sheet_shape, 255, np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


# --- writing, with the label ------------------------------------------------------------------


def save_picture(
    path: str | os.PathLike, picture: np.ndarray, *, weights: str, settings: dict
) -> None:
    """Write a (H, W, 3) uint8 picture as .png, .jpg or .webp, labelled as made by a model.

    The label (see `label_text`) is the PNG text "Description", or the EXIF ImageDescription of JPEG
    and WebP; `read_settings` gives it back. The file appears whole or not at all.
    Raises UserError for another ending, settings that are too long, or a disk that refuses.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in WRITABLE:
        raise UserError(f"{path} must end in .png, .jpg or .webp.")
    label = label_text(weights, settings)
    if ending == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Description", label)
        options = {"pnginfo": text}
    else:
        exif = Image.Exif()
        exif[IMAGE_DESCRIPTION] = label
        options = {"exif": exif, "quality": 95}
    image = Image.fromarray(_from_array(picture))
    try:
        with written_whole(path) as part:
            image.save(part, **options)
    except OSError as error:
        raise unwritten(path, error) from error


def read_settings(path: str | os.PathLike) -> dict | None:
    """The label inside a picture: {"note": "made by a model", "weights": name, "settings": {...}}.

    None for a picture that carries none; the pixels are not looked at. Raises Unreadable for
    what is no picture.
    """
    name, opened = open_image(path)
    with opened as image:
        try:
            if image.format == "PNG":
                return parse_label(image.info.get("Description"))
            return parse_label(image.getexif().get(IMAGE_DESCRIPTION))
        except Exception as error:  # damaged files make Pillow raise nearly anything
            raise Unreadable(_damaged(name, error)) from error


def label_text(weights: str, settings: dict) -> str:
    """The label of everything written for a person, as ASCII JSON that `parse_label` reads back.

    settings: what JSON can hold, numpy values and paths. Raises UserError above MAX_LABEL
    characters.
    """
    label = {"note": MADE_BY, "weights": weights, "settings": settings}
    text = json.dumps(label, default=_plain)
    if len(text) > MAX_LABEL:
        raise UserError(
            f"the settings of a result are stored in it: these take {len(text)} characters, and "
            f"{MAX_LABEL} is the most."
        )
    return text


def parse_label(text: str | None) -> dict | None:
    """The dict behind `label_text`, or None for any other text."""
    try:
        label = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return label if isinstance(label, dict) and label.get("note") == MADE_BY else None


def _plain(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else os.fspath(value)


def check_writable(path: str | os.PathLike) -> None:
    """UserError for a name that the disk does not take, and for a full one: found out before there
    is anything to lose. Makes the folder.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder: name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        try:
            part.write_bytes(bytes(2**16))
        finally:
            part.unlink(missing_ok=True)
        if not path.exists():
            path.touch()
            path.unlink()
    except OSError as error:
        raise unwritten(path, error) from error


def _part_of(path: Path) -> Path:
    return path.with_name(f".{uuid4().hex}.part{path.suffix}")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A hidden neighbour of `path` to write to: becomes `path` at the end, goes on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
