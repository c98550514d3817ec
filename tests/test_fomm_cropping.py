"""gan_models/fomm/cropping.py: as the official crop-video where it should be, and really cut."""

import json
import os
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_models import faces
from gan_models.errors import UserError
from gan_models.faces import Box
from gan_models.fomm.cropping import (
    Track,
    crop_clips,
    official_box,
    square_box,
    track_faces,
)
from gan_models.fomm.motion import pose_distance
from gan_models.video import clip_info, ffmpeg, open_clip, write_clip

RECORDED = json.loads(
    (Path(__file__).parent / "parity" / "fomm" / "procedures.json").read_text(encoding="utf-8")
)["data"]


# --- as recorded from the official code -------------------------------------------------------


def command(name, track, fps, frame_shape, increase, image_shape=(256, 256)):
    """The command that the official code prints for a track."""
    height, width = frame_shape[:2]
    box = official_box(track.union, width, height, increase)
    area = f"crop={box.width}:{box.height}:{box.left}:{box.top}"
    scale = f"scale={image_shape[0]}:{image_shape[1]}"
    start, end = track.start / fps, track.end / fps
    return f'ffmpeg -i {name} -ss {start} -t {end - start} -filter:v "{area}, {scale}" crop.mp4'


def test_official_boxes():
    for case in RECORDED["crop_command"]:
        union = Box(*case["tube_bbox"])
        track = Track(union, union, case["start"], case["end"])
        printed = command(
            case["inp"],
            track,
            case["fps"],
            case["frame_shape"],
            case["increase_area"],
            case["image_shape"],
        )
        assert printed == case["command"]
    assert len(RECORDED["crop_command"]) == 6


def test_official_tracks():
    case = RECORDED["crop_video"]
    found = [[Box(*row[:4]) for row in rows] for rows in case["detections_per_frame"]]
    tracks = track_faces(enumerate(found), iou_with_initial=case["iou_with_initial"])
    printed = [
        command("clip.mp4", track, case["fps"], case["frame_shape"], case["increase"])
        for track in tracks
        if track.end - track.start > case["min_frames"]
    ]
    assert printed == case["commands"] and len(printed) == 3


def test_official_best_frame():
    case = RECORDED["best_frame"]
    source, frames = (np.array(case[f"landmarks_{part}"]) for part in ("source", "frames"))
    distances = [pose_distance(source, frame) for frame in frames]
    assert np.argmin(distances) == case["result"] == 3
    assert pose_distance(source * 3 + 7, frames[3]) == pytest.approx(distances[3], rel=1e-4)


# --- ours -------------------------------------------------------------------------------------


def tracks_of(numbers, tolerance):
    box = Box(0, 0, 10, 10)
    last = max(numbers) + 5
    found = [(number, [box] if number in numbers else []) for number in range(last)]
    return [(t.start, t.end) for t in track_faces(found, tolerance=tolerance)]


def test_a_missed_detection_ends_no_track():
    seen = set(range(10)) | set(range(13, 20))
    assert tracks_of(seen, 0) == [(0, 9), (13, 19)]
    assert tracks_of(seen, 2) == [(0, 9), (13, 19)]
    assert tracks_of(seen, 3) == [(0, 19)]


def test_two_faces_and_one_that_walks():
    still = Box(0, 0, 40, 40)
    found = [(n, [still, Box.around(200 + 2 * n, 50, 40)]) for n in range(0, 40, 2)]
    one, *walked = sorted(track_faces(found), key=lambda track: track.first.left)
    assert one == Track(still, still, 0, 38)
    assert len(walked) == 3 and walked[0].start == 0 and walked[0].union.width > 55
    ends = [track.end for track in walked]
    assert [track.start for track in walked[1:]] == [end + 2 for end in ends[:-1]]


def test_our_boxes_stay_square():
    face = Box(20, 5, 120, 105)
    track = Track(face, face, 0, 9)
    box = square_box(track, 640, 480, 0.4)
    assert box == Box(0, 0, 180, 180)  # moved inside
    assert not np.isclose(*((lambda b: (b.width, b.height))(official_box(face, 640, 480, 0.4))))
    wide = Track(face, Box(0, 100, 600, 200), 0, 9)
    assert square_box(wide, 640, 480, 0.4).side == 600  # all of it, over the picture's edge
    assert square_box(Track(face, Box(0, 0, 400, 300), 0, 9), 640, 480, 0.4).side == 480


# --- cutting ----------------------------------------------------------------------------------

FACES = [*range(4, 14), *range(15, 30)]  # the frames of `clip` with a face


def sides(number):
    """(left, top, side) of the face in that frame."""
    return 60 + number // 4, 30, 24


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """40 frames at 20 per second: red squares for a face; a tone that starts at 1.0 s."""
    folder = tmp_path_factory.mktemp("clip")
    tone = np.sin(np.arange(32_000) / 16_000 * 2 * np.pi * 440) * 20_000
    tone[:16_000] = 0
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone.astype("<i2").tobytes())

    def frames():
        for number in range(40):
            frame = np.full((96, 160, 3), 40, np.uint8)
            if number in FACES:
                left, top, side = sides(number)
                frame[top : top + side, left : left + side] = (230, 30, 30)
            yield frame

    path = folder / "talk.mp4"
    write_clip(path, frames(), 20, weights="w", settings={}, audio=folder / "tone.wav")
    return path


@pytest.fixture(autouse=True)
def red_is_a_face(monkeypatch):
    def found(picture, quick=False):
        rows, columns = np.nonzero(picture[:, :, 0] > 150)
        if not len(rows):
            return []
        return [Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]

    monkeypatch.setattr(faces, "find_faces", found)


def loudness(path, start, seconds):
    """The root mean square of that part's sound, -1 to 1."""
    command = [ffmpeg.executable(), "-v", "error", "-i", path, "-ss", str(start)]
    command += ["-t", str(seconds), "-f", "s16le", "-ac", "1", "-"]
    sound = np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE).stdout, "<i2") / 32768
    return np.sqrt(np.mean(sound**2))


def test_clips_are_cut_with_their_sound(clip, tmp_path):
    cut = list(
        crop_clips(
            clip,
            tmp_path / "out",
            image_shape=(64, 64),
            min_frames=5,
        )
    )
    (one,) = cut  # the missing frame 14 does not end it
    assert one.path == tmp_path / "out" / "talk#001.mp4" and os.listdir(one.path.parent) == [
        one.path.name
    ]
    assert (one.start, one.seconds, one.frames) == (0.2, 1.3, 26)
    assert one.box.width == pytest.approx(one.box.height)
    assert one.box.top < 30 and one.box.bottom > 54

    written = open_clip(one.path)
    frames = list(written.frames())
    assert len(frames) == 26 and frames[0].shape == (64, 64, 3) and written.fps == 20
    centre = np.array(sides(4)[:2]) + 12
    x, y = ((centre - (one.box.left, one.box.top)) / one.box.side * 64).astype(int)
    assert abs(frames[0][y, x].astype(int) - (230, 30, 30)).max() < 30
    assert frames[10].max() < 100  # the frame without a face is in the clip

    assert loudness(one.path, 0, 0.7) < 0.01 and loudness(one.path, 0.85, 0.4) > 0.1
    assert clip_info(one.path).label is None  # it was filmed, and not made by a model


def test_the_official_way_of_cutting(clip, tmp_path):
    cut = list(crop_clips(clip, tmp_path, image_shape=(64, 48), min_frames=5, official=True))
    assert [path.path.name for path in cut] == ["talk#001.mp4", "talk#002.mp4"]
    assert [(c.start, c.frames) for c in cut] == [(0.2, 9), (0.75, 14)]
    info = clip_info(cut[1].path)
    assert (info.width, info.height) == (64, 48)
    assert list(crop_clips(clip, tmp_path / "none", min_frames=14, official=True)) == []


def test_every_nth_frame(clip, tmp_path):
    (one,) = crop_clips(clip, tmp_path, image_shape=(32, 32), min_frames=5, every=4)
    assert (one.start, one.frames) == (0.2, 25)


def test_stopping_early_leaves_whole_clips_only(clip, tmp_path):
    cuts = crop_clips(clip, tmp_path, image_shape=(32, 32), min_frames=5, tolerance=0)
    next(cuts)
    cuts.close()
    assert os.listdir(tmp_path) == ["talk#001.mp4"]


def test_wrong_options_are_sentences(clip, tmp_path):
    for options, words in (
        ({"image_shape": (8, 256)}, "image_shape is two sizes"),
        ({"increase": -1}, "increase is from 0 to 10, not -1"),
        ({"iou_with_initial": 1}, "iou_with_initial is from 0 to 1"),
        ({"min_frames": -1}, "min_frames"),
        ({"tolerance": -1}, "tolerance"),
        ({"every": 0}, "every is 1 or more"),
    ):
        with pytest.raises(UserError, match=words):
            crop_clips(clip, tmp_path, **options)  # at once, not when the first clip is asked for
    with pytest.raises(UserError, match="missing.mp4"):
        crop_clips(tmp_path / "missing.mp4", tmp_path / "out")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="a.png is a single picture"):
        crop_clips(tmp_path / "a.png", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.png"]
