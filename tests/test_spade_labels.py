"""Label maps of every kind are read as ids, and what cannot be read is refused in a sentence."""

import io

import numpy as np
import pytest
from PIL import Image

from gan_models.errors import UserError
from gan_models.spade import labels
from gan_models.spade.labels import LABELS, colour_map, custom, labels_of, read_map
from trainers import puppets

SIZES = {"puppets": 16, "ade20k": 151, "coco": 183, "cityscapes": 35, "facades": 13}


def scene(classes, ids=(1, 2, 3)):
    """A map (48, 64): three areas."""
    made = np.full((48, 64), ids[0], np.uint8)
    made[20:, :40], made[30:, 30:] = ids[1], ids[2]
    return made % classes


def stored(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_the_sets_and_the_description_of_weights():
    assert {kind: known.classes for kind, known in LABELS.items()} == SIZES
    assert {kind: known.semantics for kind, known in LABELS.items()} == {
        "puppets": 16, "ade20k": 151, "coco": 184, "cityscapes": 36, "facades": 13,
    }  # fmt: skip
    assert LABELS["puppets"].names == puppets.LABELS
    assert LABELS["coco"].unknown == 182 and LABELS["ade20k"].unknown == 0
    coco = LABELS["coco"]
    assert [coco.names[i] for i in (0, 123, 134, 154, 156, 168)] == [
        "person", "grass", "mountain", "sea", "sky-other", "tree",
    ]  # fmt: skip
    about = {"kind": "coco", "dont_care": True, "edges": True}
    assert labels_of({"classes": list(coco.names), "labels": about}) == coco
    ours = labels_of({"classes": ["a", "b"], "labels": about | {"edges": False}})
    assert (ours.kind, ours.names, ours.semantics) == ("custom", ("a", "b"), 2)
    with pytest.raises(UserError, match="which classes"):
        labels_of({"classes": ["a"], "name": "these"})


@pytest.mark.parametrize("kind", LABELS)
def test_every_form_of_a_map_gives_its_ids(kind):
    known = LABELS[kind]
    ids = scene(known.classes, (9, 11, 12))
    colours, official = known.colours[ids], colour_map(known.classes)[ids]
    indexed = Image.fromarray(ids)
    indexed.putpalette(known.colours.tobytes())
    forms = {
        "grey": Image.fromarray(ids),
        "grey in RGB": Image.fromarray(ids).convert("RGB"),
        "16 bits": Image.fromarray(ids.astype(np.uint16)),
        "indexed": indexed,
        "colours": Image.fromarray(colours),
        "transparent": Image.fromarray(colours).convert("RGBA"),
        "official": Image.fromarray(official),
        "requantised": Image.fromarray(colours).quantize(8),
    }
    for name, image in forms.items():
        found, notices = read_map(stored(image), known)
        assert found.dtype == np.uint8 and np.array_equal(found, ids), name
        assert notices == [], name
    assert np.array_equal(read_map(ids.astype(np.int64), known)[0], ids)
    assert np.array_equal(read_map(colours, known)[0], ids)


def test_gaugan_maps_are_read_by_their_red_byte_even_where_a_program_shifted_the_rest():
    coco = LABELS["coco"]
    ids = scene(182, (156, 123, 154))
    shifted = coco.colours[ids]
    shifted[..., 1:] ^= 64
    assert np.array_equal(read_map(shifted, coco)[0], ids)
    assert np.array_equal(read_map(shifted, coco, "red bytes")[0], ids)
    with pytest.raises(UserError, match="COCO-Stuff"):
        read_map(shifted, LABELS["ade20k"], "red bytes")


def test_unknown_colours_and_shared_ones_are_told_with_counts():
    known = LABELS["ade20k"]
    ids = scene(151, (3, 7, 22))  # sky, road, car: road shares its colour with skyscraper
    colours = known.colours[ids]
    colours[:2, :5] = known.colours[3] - [0, 20, 0]
    found, (unknown, shared) = read_map(colours, known)
    assert np.array_equal(found, ids)
    assert "1 unknown colour on 10 pixels (most: #06d2e6 on 10 pixels)" in unknown
    assert "#8c8c8c is the colour of road and skyscraper: it was read as road" in shared
    jpeg = stored(Image.fromarray(known.colours[ids]), "JPEG", quality=90)
    assert (read_map(jpeg, known)[0] == ids).mean() > 0.95


def test_pixels_without_a_label_are_the_unknown_class_where_there_is_one():
    ids = scene(182)
    ids[:3] = 255
    assert (read_map(ids, LABELS["coco"])[0][:3] == 182).all()
    assert (read_map(ids, LABELS["ade20k"])[0][:3] == 0).all()
    with pytest.raises(UserError, match="do not know .255, on 192 pixels.*0 to 34"):
        read_map(ids, LABELS["cityscapes"])


def test_indexed_colours_in_another_order_are_read_by_colour_unless_told_otherwise():
    known = LABELS["facades"]
    image = Image.fromarray((scene(13) == 2).astype(np.uint8))
    image.putpalette(known.colours[[5, 9]].tobytes())
    found = read_map(stored(image), known)[0]
    assert sorted(np.unique(found)) == [5, 9]
    assert sorted(np.unique(read_map(stored(image), known, "ids")[0])) == [0, 1]


@pytest.mark.parametrize(
    ("source", "kind", "sentence"),
    [
        (np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8), "auto", "looks like"),
        (np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8), "auto", "differ"),
        (scene(200, (20, 40, 180)), "auto", r"20, 40, 180, on 3,072 pixels.*0 to 12"),
        (np.full((4, 4), 300), "auto", "300 to 300"),
        (np.full((4, 4), -1), "auto", "-1 to -1"),
        (np.zeros((0, 4), int), "auto", "no pixels"),
        (np.zeros((4, 4)), "auto", "is no picture"),
        (np.zeros((4, 4, 5), np.uint8), "auto", "is no picture"),
        (stored(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "auto", "floating-point"),
        (b"no map", "auto", "no picture that can be read"),
        (np.full((4, 4, 3), (1, 2, 3), np.uint8), "ids", "read it by its colours"),
        (np.zeros((4, 4), int), "guess", "not as 'guess'"),
    ],
)
def test_what_is_no_map_is_refused_in_a_sentence(source, kind, sentence):
    with pytest.raises(UserError, match=sentence):
        read_map(source, LABELS["facades"], kind)


def test_custom_sets_have_the_official_colours():
    ours = custom(["a", "b", "c"], edges=True)
    assert ours.semantics == 4 and labels.hexadecimal(ours.colours[2]) == "808000"
