"""Faces with action units: which row belongs to which picture, parts, crops, what is refused."""

import logging
import pickle

import numpy as np
import pytest
from PIL import Image

from gan_models import faces
from gan_models.errors import UserError
from trainers.data import action_units
from trainers.data.action_units import CODES, Targets, open_action_units
from trainers.puppets import draw, puppet_seed, random_parameters

HEADER = ",".join(f"AU{code:02d}_r" for code in CODES)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(tmp_path / "cache"))


def pictures(root, *names, size=(32, 32)):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(root / name)


def row(value, *before):
    return ",".join([*map(str, before), *[str(value)] * len(CODES)])


def opened(root, **how):
    return open_action_units(root, **{"size": 32, "crop": "centre", "num_workers": 0, **how})


def found(stream):
    """The first action unit, 0 to 5, by picture."""
    values = 5 * stream.source.action_units[:, 0]
    return {name: round(float(v), 3) for name, v in zip(stream.names, values, strict=True)}


def test_rows_name_their_picture(tmp_path, caplog):
    """With and without its ending; what has no partner, a second face and faces that are not
    certain are counted.
    """
    pictures(tmp_path, "imgs/a.png", "imgs/b.png", "imgs/alone.png", "imgs/unsure.png")
    rows = [f"file,confidence,{HEADER}", row(1, "a.png", 0.9), row(2, "x/b", 0.9)]
    rows += [row(5, "b", 0.85), row(3, "unsure.png", 0.5), row(4, "nobody.png", 1)]
    (tmp_path / "aus.csv").write_text("\n".join(rows))
    with caplog.at_level(logging.WARNING):
        stream = opened(tmp_path)
    assert found(stream) == {"imgs/a.png": 1.0, "imgs/b.png": 2.0}
    said = caplog.text
    assert "2, such as imgs/alone.png (pictures without a row)" in said
    assert "1, such as nobody.png (rows without a picture)" in said
    assert "1, such as b (further faces" in said
    assert "1, such as unsure.png (faces that are less than 80% certain)" in said
    batch = stream.first(2)
    assert batch["images"].shape == (2, 3, 32, 32) and batch["action_units"].shape == (2, 17)


def test_tables_of_one_picture_and_of_films(tmp_path):
    """OpenFace names them as the picture, or as the film whose frames it cuts out."""
    pictures(tmp_path, "a.png", "film_aligned/frame_det_00_000002.png")
    (tmp_path / "a.csv").write_text(f"face, confidence, {HEADER}\n" + row(1, 0, 0.98))
    lines = [f"frame, face_id, timestamp, confidence, success, {HEADER}"]
    lines += [row(0.5, n, 0, n / 25, 0.98, 1) for n in (1, 2)]
    (tmp_path / "film.csv").write_text("\n".join(lines))
    expected = {"a.png": 1.0, "film_aligned/frame_det_00_000002.png": 0.5}
    assert found(opened(tmp_path)) == expected


def test_the_official_pickle_and_lists(tmp_path):
    pictures(tmp_path, *(f"imgs/{name}.jpg" for name in "abc"))
    table = {name: np.full(17, float(i)) for i, name in enumerate("abc")}
    (tmp_path / "aus_openface.pkl").write_bytes(pickle.dumps(table, protocol=2))
    (tmp_path / "train_ids.csv").write_text("a.jpg\nb.jpg\n")
    (tmp_path / "test_ids.csv").write_text("c.jpg")
    assert found(opened(tmp_path)) == {"imgs/a.jpg": 0.0, "imgs/b.jpg": 1.0}
    assert found(opened(tmp_path, part="held_out")) == {"imgs/c.jpg": 2.0}
    (tmp_path / "test_ids.csv").write_text("d.jpg")
    with pytest.raises(UserError, match=r"test_ids\.csv names no picture"):
        opened(tmp_path, part="held_out")


class Trap:
    def __reduce__(self):
        return eval, ("1 / 0",)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (Trap(), "asks for"),
        ([1, 2], "is a dictionary"),
        ({"a": np.zeros(16)}, "a does not have 17 numbers"),
        ({"a": np.full(17, 6.0)}, "0 to 5, and those of a are not"),
        ({"a": np.full(17, np.nan)}, "0 to 5, and those of a are not"),
        ({"a": "code"}, "a does not have 17 numbers"),
    ],
)
def test_bad_pickles_are_refused(tmp_path, table, sentence):
    pictures(tmp_path, "imgs/a.jpg")
    (tmp_path / "aus_openface.pkl").write_bytes(pickle.dumps(table))
    with pytest.raises(UserError, match=sentence):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no table of action units"),
        ("file,age\na.png,3", "no columns of action units"),
        (f"file,{HEADER}\n" + row("x", "a.png"), "is no number"),
        (f"file,{HEADER}\n" + row(70, "a.png"), "line 2.*0 to 5"),
        (f"file,{HEADER}\n" + row(-6, "a.png"), "line 2.*0 to 5"),
        (f"file,{HEADER}\n" + row(1, "b.png"), "No picture below .* has action units"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, sentence):
    pictures(tmp_path, "imgs/a.png")
    if text:
        (tmp_path / "aus.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        opened(tmp_path)


def test_faces_are_cut_as_in_use(tmp_path, monkeypatch, caplog):
    """By the square that weights see; found once; pictures without a face are named."""
    asked = []

    def frame(picture, kind, margin):
        asked.append((kind, margin))
        box = faces.Box(10, 10, 30, 30)
        return faces.Framing(box, [box] if picture.max() else [])

    monkeypatch.setattr(faces, "frame", frame)
    pictures(tmp_path, "dark.png", size=(60, 40))
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 10:30] = 200
    Image.fromarray(pixels).save(tmp_path / "lit.png")
    rows = [f"file,{HEADER}", row(1, "dark.png"), row(2, "lit.png")]
    (tmp_path / "aus.csv").write_text("\n".join(rows))
    with caplog.at_level(logging.WARNING):
        stream = opened(tmp_path, crop="face", margin=0.1, size=20)
    assert stream.names == ["lit.png"] and asked == [("face", 0.1)] * 2
    assert stream.first(1)["images"].min() == 200
    assert "1, such as dark.png (no face is found in them)" in caplog.text
    opened(tmp_path, crop="face", margin=0.1, size=20)
    assert len(asked) == 2
    with pytest.raises(UserError, match="needs puppets"):
        opened(tmp_path, targets=Targets(truth=True))


def test_puppets_with_their_truth():
    """The drawn picture with the wanted units."""
    targets = Targets(noise=0, clip=True, own=0.5, truth=True)
    stream = open_action_units("puppets:6", size=32, targets=targets, shuffle=False)
    batch = stream.first(6)
    for index in range(6):
        parameters = random_parameters(puppet_seed(0, index))
        assert batch["action_units"][index].tolist() == pytest.approx(parameters.action_units)
        wanted = dict(zip(CODES, batch["targets"][index].tolist(), strict=True))
        truth = draw(parameters.with_action_units(wanted), 32).picture
        assert np.array_equal(batch["truths"][index].numpy().transpose(1, 2, 0), truth)


def test_targets():
    """Those of others with noise, as officially; a picture's own but for up to three."""
    table, random = np.float32(np.random.default_rng(0).random((50, 17))), np.random.default_rng(1)
    officially = [Targets().draw(table, 0, random) for _ in range(200)]
    nearest = [np.abs(table - target).max(axis=1).min() for target in officially]
    assert max(nearest) <= 0.1 + 1e-6 and max(nearest) > 0.05
    assert min(t.min() for t in officially) < 0 and max(t.max() for t in officially) > 1
    clipped = [Targets(clip=True).draw(table, 0, random) for _ in range(50)]
    assert min(t.min() for t in clipped) >= 0 and max(t.max() for t in clipped) <= 1
    own = [(Targets(own=1).draw(table, 3, random) != table[3]).sum() for _ in range(200)]
    assert set(own) == {0, 1, 2, action_units.MOST_CHANGED}
