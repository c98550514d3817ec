"""gan_models/faces: found where they are, framed as the weights say, pasted back unseen."""

import sys
import time
import tracemalloc

import numpy as np
import pytest
from skimage import data

from gan_models import faces, images
from gan_models.faces import Box, Paster, crop, find_faces, finding, frame, framing

FACE = (222, 118)  # x, y of the astronaut's nose


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    """An empty hub folder, and a network that must not be asked."""
    import torch

    def refused(*_, **__):
        raise AssertionError("something was to be downloaded")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setattr("socket.create_connection", refused)
    finding._loaded.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    finding._loaded.cache_clear()


@pytest.fixture(scope="module")
def astronaut():
    picture = data.astronaut()[:300, 90:390]
    return np.ascontiguousarray(picture)  # the face is at (132, 118) of it


def waves(height, width):
    """A smooth picture, different everywhere."""
    y, x = np.mgrid[:height, :width] / 40
    channels = [np.sin(x + y), np.cos(x - y / 2), np.sin(y) * np.cos(x / 3)]
    return np.rint(127 + 100 * np.stack(channels, -1)).astype(np.uint8)


# --- boxes and finding ------------------------------------------------------------------------


def test_boxes():
    box = Box(10, 20, 40, 60)
    assert (box.width, box.height, box.side, box.centre) == (30, 40, 40, (25, 40))
    assert box.holds(10, 60) and not box.holds(9, 60)
    assert box.scaled(0.5) == Box(5, 10, 20, 30)
    assert box.joined(Box(0, 30, 20, 90)) == Box(0, 20, 40, 90)
    assert Box.around(25, 40, 10) == Box(20, 35, 30, 45)
    for wrong in ((40, 20, 10, 60), (10, 20, 10, 60), (0, 0, float("inf"), 1)):
        with pytest.raises(ValueError, match="a box"):
            Box(*wrong)


def test_a_face_is_found_at_every_size_and_mirrored(astronaut):
    found = find_faces(astronaut)
    assert found[0].holds(132, 118) and 80 < found[0].side < 130
    assert [box.side for box in found] == sorted((box.side for box in found), reverse=True)

    mirrored = find_faces(astronaut[:, ::-1])[0]
    assert abs(300 - mirrored.centre[0] - found[0].centre[0]) < 8
    assert abs(mirrored.side / found[0].side - 1) < 0.1

    large = find_faces(images.resize(astronaut, 1500))[0].scaled(1 / 5)  # shrunk for detection
    quick = find_faces(astronaut, quick=True)[0]
    for other in (large, quick):
        assert np.hypot(*np.subtract(other.centre, found[0].centre)) < 12
        assert abs(other.side / found[0].side - 1) < 0.15


def test_pictures_without_a_face():
    noise = np.random.default_rng(0).integers(0, 256, (200, 150, 3), np.uint8)
    flat = np.full((100, 300, 3), 90, np.uint8)
    for picture in (noise, flat, waves(20, 400), waves(1, 1), noise[:0]):
        assert find_faces(picture) == []


def test_single_windows_and_windows_of_one_view_are_no_face():
    def elected(*windows):
        return finding._elected(np.array(windows, float).reshape(-1, 4), 4, 2)

    face = [(100 + shift, 100, 50, view) for shift in (0, 2) for view in (0, 1)]
    (box,) = elected(*face, (300, 100, 50, 0))
    assert box == Box.around(101, 100, 50)
    assert elected(*[(x, y, side, 0) for x, y, side, _ in face]) == []
    eye = [(90, 95, 14, view) for view in (0, 1) for _ in range(3)]
    assert elected(*face, *eye) == [box]  # not one face inside another
    assert len(elected(*face, *[(300, *rest) for _, *rest in face])) == 2
    assert elected() == []


def test_face_alignment_is_used_only_when_its_weights_are_there(astronaut, no_weights, monkeypatch):
    from face_alignment.detection.sfd import sfd_detector

    class Detector:
        def __init__(self, device, path_to_detector):
            assert device == "cpu" and path_to_detector == str(no_weights / finding.SFD)

        def detect_from_image(self, picture):
            assert picture.shape == (640, 640, 3)
            broken = [50, 50, 40, 60, 0.9]
            return [[10, 20, 30, 50, 0.9], [100, 100, 200, 240, 0.8], broken]

    monkeypatch.setattr(sfd_detector, "SFDDetector", Detector)
    no_weights.mkdir(parents=True)
    (no_weights / finding.SFD).touch()
    large = images.resize(astronaut, 1280)
    assert find_faces(large) == [Box(200, 200, 400, 480), Box(20, 40, 60, 100)]


def test_damaged_weights_fall_back_to_the_cascade(astronaut, no_weights, caplog):
    no_weights.mkdir(parents=True)
    for name in (finding.SFD, finding.FAN):
        (no_weights / name).write_bytes(b"half a file")
    assert find_faces(astronaut)[0].holds(132, 118)
    assert faces.find_landmarks(astronaut) is None
    for name in (finding.SFD, finding.FAN):
        assert f"{name} is damaged" in caplog.text
    assert caplog.text.count("s3fd") == 1


def test_landmarks_come_from_the_largest_face(astronaut, monkeypatch):
    assert faces.find_landmarks(astronaut) is None  # no weights, and no download

    class Aligner:
        def get_landmarks_from_image(self, picture, detected_faces):
            (corners,) = detected_faces
            return [np.tile(corners[:2], (68, 1))]

    network = finding._network
    monkeypatch.setattr(
        finding, "_network", lambda name: Aligner() if name == finding.FAN else network(name)
    )
    found = find_faces(astronaut, quick=True)[0]
    points = faces.find_landmarks(astronaut)
    assert points.shape == (68, 2) and points.dtype == np.float32
    assert np.allclose(points[0], (found.left, found.top))
    assert faces.find_landmarks(waves(64, 64)) is None


def test_nothing_heavy_is_imported_before_it_is_needed():
    import subprocess

    code = (
        "import sys, gan_models.faces; "
        "print([m for m in ('skimage', 'face_alignment', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


# --- framing ----------------------------------------------------------------------------------


def test_centre_weights_take_the_middle_without_looking(monkeypatch):
    monkeypatch.setattr(framing, "find_faces", None)
    picture = waves(100, 160)
    assert frame(picture, "centre", click=(1, 1), margin=0.3) == faces.Framing(
        Box(30, 0, 130, 100), [], ""
    )


def test_the_face_is_framed_with_hair_and_shoulders(astronaut):
    result = frame(astronaut, "face")
    face, box = result.faces[0], result.box
    assert result.notice == ""
    assert box.width == pytest.approx(box.height) and box.side == pytest.approx(1.8 * face.side)
    assert box.left >= 0 and box.top >= 0 and box.right <= 300 and box.bottom <= 300
    assert box.top < face.top - 0.4 * face.side and box.bottom > face.bottom
    wider = frame(astronaut, "face", margin=0.1).box
    assert wider.side == pytest.approx(1.2 * box.side)


def test_without_a_face_the_middle_and_a_notice(monkeypatch):
    result = frame(np.full((80, 120, 3), 90, np.uint8), "face")
    assert (result.box, result.faces) == (Box(20, 0, 100, 80), [])
    assert "No face was found" in result.notice
    with pytest.raises(ValueError, match='"face" or "centre", not \'middle\''):
        frame(waves(8, 8), "middle")
    with pytest.raises(ValueError, match="margin"):
        frame(waves(8, 8), "face", margin=float("nan"))


def test_a_click_chooses_among_faces(monkeypatch):
    small, large = Box.around(60, 100, 40), Box.around(240, 100, 80)
    monkeypatch.setattr(framing, "find_faces", lambda picture, quick: [large, small])
    picture = waves(200, 400)
    assert frame(picture, "face").box.centre == (240, 92)
    assert frame(picture, "face", click=(50, 110)).box == Box.around(60, 96, 72)
    assert frame(picture, "face", click=(85, 125)).box.centre == (60, 96)  # just beside it
    away = frame(picture, "face", click=(390, 10))
    assert away.box == Box(256, 0, 400, 144) and "where you clicked" in away.notice
    monkeypatch.setattr(framing, "find_faces", lambda picture, quick: [])
    alone = frame(picture, "face", click=(390, -10))
    assert alone.box == Box(300, 0, 400, 100) and alone.faces == []


def test_a_large_face_needs_no_second_look(monkeypatch):
    looks = []

    def found(picture, quick):
        looks.append(quick)
        return [Box.around(100, 100, 60 if quick else 20)] if large or not quick else []

    monkeypatch.setattr(framing, "find_faces", found)
    large = True
    assert frame(waves(200, 200), "face").faces[0].side == 60 and looks == [True]
    large = False
    assert frame(waves(200, 200), "face").faces[0].side == 20 and looks == [True, True, False]
    assert not frame(waves(200, 200), "face", quick=True).faces and looks[3:] == [True]


def test_a_large_face_shrinks_its_frame_before_reaching_outside(monkeypatch):
    def framed(side):
        face = Box.around(100, 110, side)
        monkeypatch.setattr(framing, "find_faces", lambda picture, quick: [face])
        return frame(waves(200, 240), "face").box

    assert framed(100) == Box(10, 10, 190, 190)
    assert framed(130) == Box(0, 0, 200, 200)
    assert framed(190).side == pytest.approx(1.35 * 190)
    assert framed(190).top == pytest.approx(100 - 1.35 * 95)  # as much on either end


# --- cropping ---------------------------------------------------------------------------------


def test_crops_show_what_the_box_holds():
    picture = waves(60, 80)
    assert np.array_equal(crop(picture, Box(10, 5, 42, 37), 32), picture[5:37, 10:42])
    assert np.array_equal(crop(picture, Box(0, 0, 80, 60), (60, 80)), picture)
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 50, 0).repeat(3, 2)
    shown = crop(ramp, Box(20.25, 5, 84.25, 37), 16)[4, :, 0]
    assert abs(shown - (20.25 + 4 * (np.arange(16) + 0.5) - 0.5)).max() <= 1
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(crop(stripes, Box(0, 0, 64, 64), 16).astype(int) - 127).max() < 20  # antialiased


def test_crops_repeat_the_edge_outside():
    picture = waves(40, 50)
    padded = np.pad(picture, ((8, 8), (8, 8), (0, 0)), mode="edge")
    assert np.array_equal(crop(picture, Box(-8, -8, 32, 32), 40), padded[:40, :40])
    assert np.array_equal(crop(picture, Box(20, 10, 58, 48), 38), padded[18:56, 28:66])
    shown = crop(picture, Box(-225, -230, 275, 270), 100)
    assert shown.shape == (100, 100, 3) and np.array_equal(shown[0, 0], shown[40, 30])
    assert len(np.unique(shown[60, 60:], axis=0)) == 1
    assert crop(picture, Box(49.5, 39.5, 80, 70), 7).shape == (7, 7, 3)
    for box, words in ((Box(50, 0, 60, 10), "beside"), (Box(-600, 0, 0.5, 600), "smaller")):
        with pytest.raises(ValueError, match=words):
            crop(picture, box, 8)


# --- pasting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("box", [Box(30.3, 20.6, 130.3, 120.6), Box(-20, 40, 100, 160)])
def test_a_patch_goes_where_it_came_from(box):
    picture = waves(150, 200)
    pasted = Paster(picture, box).paste(crop(picture, box, 64))
    assert abs(pasted.astype(int) - picture).max() <= 6  # enlarged, so a little smoother
    assert abs(pasted.astype(int) - picture).mean() < 0.5
    tiny = Box(50.5, 60.25, 70.5, 80.25)  # smaller than its patch
    pasted = Paster(picture, tiny).paste(crop(picture, tiny, 64))
    assert abs(pasted.astype(int) - picture).max() <= 6


def test_only_the_box_changes_and_its_border_fades():
    picture = waves(200, 300)
    original = picture.copy()
    paster = Paster(picture, Box(100, 50, 200, 150))
    white = np.full((32, 32, 3), 255, np.uint8)
    pasted = paster.paste(white)
    assert np.array_equal(picture, original)
    changed = (pasted != picture).any(2)
    assert not changed[:50].any() and not changed[150:].any()
    assert not changed[:, :100].any() and not changed[:, 200:].any()
    assert (pasted[60:140, 110:190] == 255).all()  # a tenth on each side is blended
    share = (pasted.astype(float) - picture)[100, 100:111, 0] / (255.0 - picture[100, 100:111, 0])
    assert share[0] < 0.02 and share[-1] == 1 and (np.diff(share) > -0.01).all()
    assert abs(share[5] - 0.575) < 0.02


def test_the_pictures_own_edge_is_not_blended():
    picture = waves(60, 60)
    white = np.full((16, 16, 3), 255, np.uint8)
    assert (Paster(picture, Box(0, 0, 60, 60)).paste(white) == 255).all()
    assert (Paster(picture, Box(-9, -9, 80, 80)).paste(white) == 255).all()
    corner = Paster(picture, Box(-10, -10, 30, 30)).paste(white)
    assert (corner[:26, :26] == 255).all() and (corner[29, :26] < 255).any()


def test_boxes_beside_the_picture():
    picture = waves(40, 40)
    with pytest.raises(ValueError, match="beside"):
        Paster(picture, Box(40, 40, 50, 50))


def test_24_megapixels_need_little_memory():
    picture = np.zeros((4000, 6000, 3), np.uint8)
    picture[::50] = 200
    paster = Paster(picture, Box(1000.5, 300, 4500.5, 3800))
    tracemalloc.start()
    began = time.process_time()
    pasted = paster.paste(np.full((256, 256, 3), 60, np.uint8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 10  # 0.2 s
    assert peak < 220e6  # the picture is 72 MB
    assert pasted.shape == picture.shape and (pasted[2000, 2000] == 60).all()
    assert np.array_equal(pasted[:300], picture[:300])
    assert np.array_equal(pasted[:, 4501:], picture[:, 4501:])
