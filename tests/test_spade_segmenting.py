"""Label maps of pictures: puppets by the judge, photographs by a segmenter that is named."""

import sys

import numpy as np
import pytest
from PIL import Image

from gan_models.errors import UserError
from gan_models.spade import segmenting
from gan_models.spade.labels import LABELS
from gan_models.spade.segmenting import map_of_picture
from trainers.puppets import draw, random_parameters

PUPPETS, ADE = LABELS["puppets"], LABELS["ade20k"]


def test_a_puppet_becomes_its_map_at_any_size():
    drawing = draw(random_parameters(1), 128)
    framed = np.pad(drawing.picture, ((0, 0), (40, 40), (0, 0)))  # what is beyond is cut off
    for picture, side in ((drawing.picture, 128), (framed, 64)):
        label_map, told = map_of_picture(picture, PUPPETS, (side, side))
        truth = drawing.label_map[:: 128 // side, :: 128 // side]
        assert label_map.dtype == np.uint8 and told == []
        assert (label_map == truth).mean() > 0.9
    assert map_of_picture(drawing.picture, PUPPETS, (64, 128))[0].shape == (64, 128)


def seen(**parts):
    """A segmenter that sees these parts, each a share of the picture's rows from the top."""

    def segment(image, subtask):
        made, top = [], 0
        for name, share in parts.items():
            mask = np.zeros((image.height, image.width), np.uint8)
            mask[top : (top := top + round(share * image.height))] = 255
            made.append({"label": name.replace("_", "-"), "mask": Image.fromarray(mask)})
        return made

    return lambda name, device: segment


def test_a_segmenter_tells_classes_by_their_names(monkeypatch):
    photograph = np.zeros((40, 60, 3), np.uint8)
    monkeypatch.setattr(segmenting, "opened", seen(sky=0.5, Wall=0.3, unicorn=0.2))
    label_map, told = map_of_picture(photograph, ADE, (20, 30), "org/segmenter")
    names = [ADE.names[label_map[row, 3]] for row in (0, 12, 19)]
    assert label_map.shape == (20, 30) and names == ["sky", "wall", "unknown"]
    assert told == ["No class is called so, read as unknown: unicorn on 480 pixels."]
    monkeypatch.setattr(segmenting, "opened", seen(sky_other_merged=0.5, ceiling_merged=0.5))
    label_map, _ = map_of_picture(photograph, LABELS["coco"], (20, 30), "org/segmenter")
    assert [LABELS["coco"].names[label_map[row, 0]] for row in (0, 19)] == [
        "sky-other", "ceiling-other",
    ]  # fmt: skip
    with pytest.raises(UserError, match="choose a segmenter of the set"):
        map_of_picture(photograph, LABELS["facades"], (20, 30), "org/segmenter")


def test_nothing_is_fetched_unless_it_is_named(monkeypatch):
    photograph = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(UserError, match="Name one.*such as nvidia/segformer-b0-finetuned-ade"):
        map_of_picture(photograph, ADE, (64, 64))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="pip install transformers"):
        map_of_picture(photograph, ADE, (64, 64), "org/segmenter")
