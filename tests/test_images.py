"""gan_models/images.py: every kind of picture is read or refused in a sentence; labels survive."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from gan_models import images, video
from gan_models.errors import Unreadable, UserError
from gan_models.images import (
    centre_square,
    grid,
    label_text,
    parse_label,
    read_picture,
    read_settings,
    resize,
    save_picture,
    to_pictures,
    to_tensor,
)
from tests.commands import disk_full_after

# Upright: red, green above blue, white; large blocks, so that JPEG keeps them recognisable.
CORNERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
UPRIGHT = CORNERS.repeat(32, 0).repeat(48, 1)  # (64, 96, 3)


def file_bytes(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", images.READABLE)
def test_every_readable_format_is_known_to_pillow(file_format):
    # an unknown name in READABLE would break every format that comes after it
    image = Image.fromarray(UPRIGHT)
    if file_format == "ICO":
        image = image.resize((32, 32))
    try:
        data = file_bytes(image, file_format)
    except (KeyError, OSError) as error:
        pytest.skip(f"this Pillow writes no {file_format}: {error}")
    assert read_picture(data).shape == np.asarray(image).shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    stored = {  # how a camera held that way stores the upright picture
        1: UPRIGHT,
        2: UPRIGHT[:, ::-1],
        3: UPRIGHT[::-1, ::-1],
        4: UPRIGHT[::-1],
        5: UPRIGHT.transpose(1, 0, 2),
        6: UPRIGHT.transpose(1, 0, 2)[::-1],
        7: UPRIGHT.transpose(1, 0, 2)[::-1, ::-1],
        8: UPRIGHT.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(file_bytes(Image.fromarray(stored), "PNG", exif=exif))
    np.testing.assert_array_equal(picture, UPRIGHT)


def test_a_large_jpeg_is_decoded_as_small_as_is_enough():
    colours = noise(3, 4).repeat(100, 0).repeat(100, 1)  # (300, 400, 3)
    file = file_bytes(Image.fromarray(colours), "JPEG", quality=95)
    for enough, shape in ((37, (38, 50)), (70, (75, 100)), (151, (300, 400)), (999, (300, 400))):
        small = read_picture(file, enough)
        assert small.shape == (*shape, 3)
        assert np.abs(small.astype(int) - resize(colours, shape)).mean() <= 6
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = file_bytes(Image.fromarray(colours), "JPEG", exif=exif)
    assert read_picture(turned, 75).shape == (100, 75, 3)
    assert read_picture(file_bytes(Image.fromarray(colours), "PNG"), 37).shape == (300, 400, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_malformed_exif_leaves_the_pixels():
    data = file_bytes(Image.fromarray(UPRIGHT), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_picture(data), UPRIGHT)


def test_alpha_lies_over_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (255, 0, 0, 255)
    rgba[1, 1] = (0, 0, 0, 128)
    picture = read_picture(file_bytes(Image.fromarray(rgba), "PNG"))
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[0, 1].tolist() == [255, 255, 255]
    assert picture[1, 1].tolist() == [127, 127, 127]
    np.testing.assert_array_equal(read_picture(rgba), picture)


def test_palette_transparency_lies_over_white():
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    for file_format in ("PNG", "GIF"):
        picture = read_picture(file_bytes(image, file_format, transparency=0))
        assert picture.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bits_are_scaled_and_not_clipped():
    deep = np.array([[0, 300, 32768, 60000, 65535]], np.uint16)
    expected = [[[level] * 3 for level in (0, 1, 128, 233, 255)]]
    assert read_picture(deep).tolist() == expected
    for file_format in ("PNG", "TIFF"):
        assert read_picture(file_bytes(Image.fromarray(deep), file_format)).tolist() == expected
    pgm = b"P5 5 1 65535\n" + deep.astype(">u2").tobytes()
    assert read_picture(pgm).tolist() == expected


def test_one_bit_grey_and_cmyk():
    checks = np.array([[0, 255], [255, 0]], np.uint8)
    for data in (
        file_bytes(Image.fromarray(checks).convert("1"), "PNG"),
        file_bytes(Image.fromarray(checks), "PNG"),
    ):
        np.testing.assert_array_equal(read_picture(data), checks[:, :, None].repeat(3, 2))
    np.testing.assert_array_equal(read_picture(checks > 0), checks[:, :, None].repeat(3, 2))
    cmyk = Image.fromarray(UPRIGHT).convert("CMYK")
    difference = read_picture(file_bytes(cmyk, "JPEG", quality=95)).astype(int) - UPRIGHT
    assert abs(difference).mean() < 3


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_first_picture_of_many(file_format):
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = file_bytes(pages[0], file_format, save_all=True, append_images=pages[1:], **options)
    assert read_picture(data)[0, 0].tolist() == [255, 0, 0]


def test_a_photograph_of_a_phone_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(UPRIGHT.transpose(1, 0, 2)[::-1])
    stored.info["exif"] = exif.tobytes()
    data = file_bytes(stored, "HEIF", quality=95)
    assert b"irot" in data  # turned by its own format, too, as phones write it
    (tmp_path / "IMG_0001.HEIC").write_bytes(data)
    assert abs(read_picture(tmp_path / "IMG_0001.HEIC").astype(int) - UPRIGHT).mean() < 4
    assert ".heic" in images.PICTURE_ENDINGS
    assert video.open_clip(tmp_path / "IMG_0001.HEIC").frame_count == 1


@pytest.mark.parametrize("file_format", ["MPO", "HEIF", "TIFF"])
def test_a_second_picture_inside_a_photograph_is_no_next_frame(tmp_path, file_format):
    pages = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    path = tmp_path / "IMG_0002.jpg"
    path.write_bytes(file_bytes(pages[0], file_format, save_all=True, append_images=pages[1:]))
    assert read_picture(path)[0, 0, 0] > 250
    clip = video.open_clip(path)
    assert clip.frame_count == 1 and next(clip.frames())[0, 0, 0] > 250


def icc_profile(primaries, gamma):
    """A display's profile: three colours (X, Y, Z), adapted to D50, and the power of its levels."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\0\0"
    text = b"desc" + struct.pack(">II", 0, 5) + b"mine\0" + bytes(78)
    xyz = [b"XYZ " + struct.pack(">I3i", 0, *(round(x * 65536) for x in one))
           for one in [*primaries, (0.9642, 1.0, 0.8249)]]  # fmt: skip
    names = (b"desc", b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"rTRC", b"gTRC", b"bTRC")
    table, body, start = b"", b"", 128 + 4 + 12 * len(names)
    for name, data in zip(names, (text, *xyz, curve, curve, curve), strict=True):
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0")
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(names)) + table + body


ADOBE_RGB = icc_profile(
    [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)], 2.19922
)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "HEIF"])
def test_colours_are_those_of_the_profile(file_format):
    """Adobe RGB's half red is a stronger red; its greys are greys."""
    picture = np.full((64, 64, 3), (128, 64, 64), np.uint8)
    picture[32:] = 128
    options = {"quality": 98} if file_format in ("JPEG", "HEIF") else {}
    plain, profiled = (
        read_picture(file_bytes(Image.fromarray(picture), file_format, **options, **profile))
        for profile in ({}, {"icc_profile": ADOBE_RGB})
    )
    assert abs(plain[10, 10].astype(int) - (128, 64, 64)).max() < 8
    assert abs(profiled[10, 10].astype(int) - (148, 63, 65)).max() < 9
    assert abs(profiled[50, 50].astype(int) - 128).max() < 4


def test_transparency_and_palettes_keep_to_their_profile():
    rgba = np.array([[(128, 64, 64, 255), (128, 64, 64, 0)]], np.uint8)
    image = Image.fromarray(rgba)
    for made in (image, image.convert("P", palette=Image.Palette.ADAPTIVE)):
        picture = read_picture(file_bytes(made, "PNG", icc_profile=ADOBE_RGB))
        assert picture[0, 0, 0] > 140 and picture[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("profile", [b"nothing", ADOBE_RGB[:200], ADOBE_RGB])
def test_a_profile_that_is_none_of_these_pixels_is_passed_over(profile):
    grey = np.full((8, 8), 100, np.uint8)  # of three colours it is none of ADOBE_RGB's
    assert read_picture(file_bytes(Image.fromarray(grey), "PNG", icc_profile=profile)).max() == 100


def test_paths_bytes_images_and_arrays_agree(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(file_bytes(Image.fromarray(UPRIGHT), "PNG"))
    sources = [path, str(path), path.read_bytes(), Image.open(path), UPRIGHT, UPRIGHT[::-1][::-1]]
    for source in sources:
        picture = read_picture(source)
        assert picture.dtype == np.uint8 and picture.flags.c_contiguous
        np.testing.assert_array_equal(picture, UPRIGHT)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_cut_off_and_damaged_files_are_refused_in_a_sentence(tmp_path, file_format):
    whole = file_bytes(Image.fromarray(noise(40, 40)), file_format)
    rng = np.random.default_rng(1)
    for trial in range(30):
        data = bytearray(whole[: int(len(whole) * trial / 30)] if trial % 2 else whole)
        for place in rng.integers(0, max(len(data), 1), 5 if trial % 2 == 0 else 0):
            data[place] ^= 1 << (trial % 8)
        path = tmp_path / "hurt.img"
        path.write_bytes(data)
        try:
            assert read_picture(path).shape[2] == 3  # a flipped bit may leave a good picture
        except Unreadable as error:
            assert "hurt.img" in str(error)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unreadable, match=r"hurt\.img"):
        read_picture(path)


def huge_png(width, height):
    def chunk(kind, body):
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 60_000])
def test_huge_pictures_are_refused_before_they_are_decoded(side):
    with pytest.raises(Unreadable, match="100 million pixels"):
        read_picture(huge_png(side, side))


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(Unreadable, match="does not exist"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(Unreadable, match="is not a file"):
        read_picture(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(Unreadable, match="is not a file"):
            read_picture(tmp_path / "pipe.png")
    for data in (b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(Unreadable, match="the picture"):
            read_picture(data)
    for array in (
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros(4, np.uint8),
    ):
        with pytest.raises(Unreadable, match="no picture"):
            read_picture(array)
    with pytest.raises(Unreadable, match="no pixels"):
        read_picture(Image.new("RGB", (0, 5)))
    with pytest.raises(Unreadable, match="floating-point"):
        read_picture(file_bytes(Image.new("F", (4, 4)), "TIFF"))


# --- tensors, sizes, grids --------------------------------------------------------------------


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 1), (0, 255)])
def test_levels_survive_the_way_to_tensors_and_back(value_range):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    tensor = to_tensor(levels, value_range)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == value_range
    np.testing.assert_array_equal(to_pictures(tensor, value_range), levels)


def test_numbers_of_the_official_code():
    picture = noise(5, 7)
    tensor = to_tensor(picture)
    assert tensor.shape == (1, 3, 5, 7) and tensor.is_contiguous()
    expected = picture.astype(np.float32).transpose(2, 0, 1)[None] * np.float32(2 / 255) - 1
    np.testing.assert_array_equal(tensor.numpy(), expected)
    values = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.0039, 1.0, 9.0])
    values = values.reshape(1, 1, 7).expand(3, 1, 7)
    # 63.75 -> 64, 127.5 -> 128 (to even), 127.99725 -> 128
    assert to_pictures(values)[0, 0, :, 0].tolist() == [0, 0, 64, 128, 128, 255, 255]
    half = values.to(torch.bfloat16)
    assert to_pictures(half).dtype == np.uint8
    with pytest.raises(Unreadable, match="uint8"):
        to_tensor(picture.astype(np.float32))


def test_reduction_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, 16)
    assert abs(small.astype(int) - 127).max() <= 16  # picking single pixels would give 0 or 255
    assert resize(stripes, (5, 9)).shape == (5, 9, 3)
    assert resize(stripes, 64) is stripes
    assert resize(stripes[:, :1], 3).shape == (3, 3, 3)


def test_centre_square():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert (centre_square(wide, 10) == 200).all()
    assert (centre_square(wide.transpose(1, 0, 2), 5) == 200).all()
    stretched = centre_square(wide, 30, "stretch")
    assert stretched.shape == (30, 30, 3) and not stretched[:, :8].any()
    with pytest.raises(Unreadable, match="0 x 0"):
        centre_square(wide, 0)


def test_grid():
    pictures = np.stack([np.full((4, 6, 3), level, np.uint8) for level in (10, 20, 30)])
    sheet = grid(pictures, columns=2, gap=1)
    assert sheet.shape == (9, 13, 3)
    assert (sheet[:4, :6] == 10).all() and (sheet[:4, 7:] == 20).all()
    assert (sheet[5:, :6] == 30).all()
    assert (sheet[4] == 255).all() and (sheet[5:, 7:] == 255).all()
    assert grid(list(pictures), columns=9).shape == (4, 22, 3)


# --- labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".png", ".jpg", ".JPEG", ".webp"])
def test_the_label_is_in_the_file(tmp_path, ending):
    picture = resize(UPRIGHT, 24)
    note = 'é "quoted" \n'
    settings = {"seed": np.int64(3), "note": note, "latents": np.ones(2), "from": tmp_path}
    path = tmp_path / "new" / f"a{ending}"
    save_picture(path, picture, weights="progan-puppets", settings=settings)
    assert read_settings(path) == {
        "note": "made by a model",
        "weights": "progan-puppets",
        "settings": {"seed": 3, "note": note, "latents": [1, 1], "from": str(tmp_path)},
    }
    assert b"made by a model" in path.read_bytes()
    assert os.listdir(path.parent) == [path.name]
    difference = abs(read_picture(path).astype(int) - picture)
    assert difference.max() == 0 if ending == ".png" else difference.mean() < 12


def test_files_without_our_label(tmp_path):
    for name, options in (("a.png", {}), ("b.jpg", {}), ("c.gif", {"comment": b"hello"})):
        Image.fromarray(UPRIGHT).save(tmp_path / name, **options)
        assert read_settings(tmp_path / name) is None
    for text in (None, "", "{", "[1]", '"made by a model"', "[" * 100_000):
        assert parse_label(text) is None
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    with pytest.raises(Unreadable, match=r"a\.png"):
        read_settings(tmp_path / "a.png")


def test_what_cannot_be_written_is_refused(tmp_path):
    def save(name, settings=None):
        save_picture(tmp_path / name, UPRIGHT, weights="w", settings=settings or {})

    with pytest.raises(UserError, match=r"a\.bmp must end in"):
        save("a.bmp")
    with pytest.raises(UserError, match="30000 is the most"):
        save("a.jpg", {"latents": [0.123456789] * 5000})
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(UserError, match=r"taken\.png could not be written"):
        save("taken.png")
    assert os.listdir(tmp_path) == ["taken.png"]
    assert label_text("w", {}).isascii()


def test_a_full_disk_leaves_the_old_picture(tmp_path):
    path = tmp_path / "a.png"
    save_picture(path, UPRIGHT, weights="old", settings={})
    with disk_full_after(5000), pytest.raises(UserError, match=r"a\.png could not be written"):
        save_picture(path, noise(90, 90), weights="new", settings={})
    assert os.listdir(tmp_path) == ["a.png"] and read_settings(path)["weights"] == "old"
