"""Labelled pictures: the layouts of the data sets, what is refused, what an item holds."""

import numpy as np
import pytest
from PIL import Image

from gan_models.errors import UserError
from trainers.data import Framing, open_labelled
from trainers.data.companions import companion, recoloured
from trainers.data.labelled import labels_in
from trainers.puppets import random_parameters

FRAMING = Framing((32, 32))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(tmp_path / "cache"))


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


PICTURE = np.zeros((32, 32, 3), np.uint8)


def label(number):
    return np.full((32, 32), number, np.uint8)


def opened(root, layout, **how):
    how = {"classes": 10, "unknown": None, "framing": FRAMING, "num_workers": 0} | how
    return open_labelled(root, layout=layout, **how)


def labels_of(stream):
    batch = stream.first(stream.length)
    return sorted(batch["label_maps"][:, 0, 0].tolist())


def test_coco_with_instances_and_portraits(tmp_path):
    for place, number in (("train", 1), ("val", 2)):
        write(tmp_path / f"{place}_img" / "a.jpg", PICTURE)
        write(tmp_path / f"{place}_label" / "a.png", label(number))
        write(tmp_path / f"{place}_inst" / "a.png", label(3))
    for kind, array in (("img", PICTURE), ("label", label(4)), ("inst", label(5))):
        write(tmp_path / f"train_{kind}_portrait" / "a.png", array)
    assert labels_of(opened(tmp_path, "coco")) == [1, 4]
    assert labels_of(opened(tmp_path, "coco", part="held_out")) == [2]
    batch = opened(tmp_path, "coco", instances=True).first(2)
    assert sorted(batch["instances"][:, 0, 0].tolist()) == [3, 5]
    (tmp_path / "train_inst" / "a.png").unlink()
    with pytest.raises(UserError, match="a.jpg has no instance map"):
        opened(tmp_path, "coco", instances=True)


def test_facades_without_instances_take_the_labels_for_them(tmp_path):
    write(tmp_path / "train_img" / "a.jpg", PICTURE)
    write(tmp_path / "train_label" / "a.png", label(1))
    assert opened(tmp_path, "facades", instances=True).first(1)["instances"][0, 0, 0] == 1


def test_ade20k(tmp_path):
    for place, number in (("train", 150), ("val", 2)):
        name = f"ADE_{place}_00000001"
        write(tmp_path / "images" / "training" / f"{name}.jpg", PICTURE)
        write(tmp_path / "annotations" / "training" / f"{name}.png", label(number))
    assert labels_of(opened(tmp_path, "ade20k", classes=151)) == [150]
    assert labels_of(opened(tmp_path, "ade20k", part="held_out")) == [2]


def test_cityscapes(tmp_path):
    for place, number in (("train", 1), ("val", 2)):
        name = "bonn_000001_000019"
        write(tmp_path / "leftImg8bit" / place / "bonn" / f"{name}_leftImg8bit.png", PICTURE)
        home = tmp_path / "gtFine" / place / "bonn"
        write(home / f"{name}_gtFine_labelIds.png", label(number))
        write(home / f"{name}_gtFine_color.png", PICTURE)
        write(home / f"{name}_gtFine_instanceIds.png", np.full((32, 32), 26001, np.uint16))
    assert labels_of(opened(tmp_path, "cityscapes")) == [1]
    batch = opened(tmp_path, "cityscapes", instances=True, part="held_out").first(1)
    assert batch["instances"][0, 0, 0] == 26001 and batch["label_maps"][0, 0, 0] == 2


def test_custom_folders_anywhere_and_pictures_without_a_map(tmp_path, caplog):
    for number in range(8):
        write(tmp_path / "pictures" / "below" / f"{number}.jpg", PICTURE)
        write(tmp_path / "else" / "maps" / "below" / f"{number}.png", label(number))
    (tmp_path / "pictures" / "below" / "3.jpg").unlink()
    folders = ("pictures", str(tmp_path / "else" / "maps"), "")
    assert labels_of(opened(tmp_path, "custom", folders=folders)) == [0, 1, 2, 4, 5, 6, 7]
    assert "1 without a partner" in caplog.text
    parts = [
        labels_of(opened(tmp_path, "custom", folders=folders, holdout=0.4, part=part))
        for part in ("train", "held_out")
    ]
    assert sorted(sum(parts, [])) == [0, 1, 2, 4, 5, 6, 7] and all(parts)


def test_pixels_without_a_label_are_the_unknown_class(tmp_path):
    write(tmp_path / "train_img" / "a.png", PICTURE)
    write(tmp_path / "train_label" / "a.png", label(255))
    assert labels_of(opened(tmp_path, "facades", unknown=9)) == [9]
    with pytest.raises(UserError, match=r"a\.png has the label 255.*--dont-care"):
        opened(tmp_path, "facades")
    with pytest.raises(UserError, match="train_img/ and train_label/"):
        opened(tmp_path / "train_img", "facades")


def test_labels_are_read_once(tmp_path, monkeypatch):
    write(tmp_path / "a.png", label(3))
    assert labels_in(tmp_path, ["a.png"]) == {3: "a.png"}
    monkeypatch.setattr("trainers.data.labelled.read_ids", lambda path: 1 / 0)
    assert labels_in(tmp_path, ["a.png"]) == {3: "a.png"}


def test_pictures_and_maps_are_mirrored_and_cut_alike(tmp_path):
    ramp = np.arange(40, dtype=np.uint8)[None].repeat(40, 0)
    for number in range(6):
        write(tmp_path / "images" / f"{number}.png", np.stack([ramp] * 3, axis=2))
        write(tmp_path / "labels" / f"{number}.png", ramp)
    framing = Framing((32, 32), "crop", crop_size=32)
    stream = opened(tmp_path, "custom", classes=40, framing=framing, mirror=True, seed=1)
    batch = stream.first(6)
    assert (batch["images"][:, 0] == batch["label_maps"]).all()
    first, last = batch["label_maps"][:, 0, 0], batch["label_maps"][:, 0, -1]
    assert (first < last).any() and (first > last).any() and len(set(first.tolist())) > 2


def test_puppets_are_drawn_with_their_maps():
    stream = opened("puppets:3", "puppets", classes=16, instances=True)
    batch = stream.first(3)
    assert batch["images"].shape == (3, 3, 32, 32) and len(batch["label_maps"].unique()) > 5
    again = opened("puppets:4", "puppets", classes=16)
    assert again.length == 4 and again.names[:3] == stream.names


def test_companions_have_the_puppets_colours_and_another_face():
    batch = opened("puppets:3", "puppets", classes=16, companions=True).first(3)
    assert batch["companions"].shape == batch["images"].shape
    assert (batch["companions"] != batch["images"]).flatten(1).any(dim=1).all()
    own = random_parameters(7)
    other = companion(own, np.random.default_rng(0))
    assert (other.domain, other.style, other.background) == (own.domain, own.style, own.background)
    assert other.identity.cloth_hue == own.identity.cloth_hue
    assert other.pose != own.pose and other.identity.jaw != own.identity.jaw


def test_a_recoloured_puppet_keeps_its_face():
    own = random_parameters(7)
    other = recoloured(own, np.random.default_rng(0))
    for name in ("domain", "pose", "action_units"):
        assert getattr(other, name) == getattr(own, name)
    assert other.identity.jaw == own.identity.jaw
    assert other.style != own.style and other.background != own.background
