"""Clips of the tab "Motion transfer": handlers, called as the page calls them, on tiny weights."""

import functools
import subprocess
import threading

import numpy as np
import pytest

from gan_models import faces, images, video
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import motion
from tabs.kit import clips as kit
from tabs.kit import jobs
from tabs.kit import texts as words
from tabs.motion import clips, handlers, texts
from tests import motion_given, tiny_fomm
from tests.motion_given import (
    COUNT,
    FPS,
    clip_of,
    finished,
    last,
    saved_motion,
    stops_after,
    visitor,
)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return motion.system(motion_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return FOMMPipeline.from_weights(system.folder("drawn"), device="cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


def test_a_clip_has_the_length_and_the_sound_of_the_driving(system, given, tmp_path):
    answer, clip, driving = finished(clip_of(system, given, size=64), tmp_path)
    made, beside = video.open_clip(clip), video.open_clip(driving)
    assert (made.frame_count, made.fps, made.width, made.height) == (COUNT, FPS, 64, 64)
    assert made.has_sound and not beside.has_sound
    assert (beside.frame_count, beside.fps, beside.width) == (COUNT, FPS, clips.BESIDE)
    label = video.clip_info(clip).label
    assert label["weights"] == "drawn" and label["settings"]["strength"] == 1
    told = "9 frames, 0.9 s, 64 x 64 px (enlarged from 32 px), with sound."
    assert answer["clip_caption"] == told and answer["preview"] == answer["clip_notice"] == ""
    for line in (
        "portrait: portrait.png (90 x 60 px)", "driving: drive.mp4 (64 x 48 px, 9 frames)",
        "portrait_crop: 15, 0, 75, 60", "driving_crop: 8, 0, 56, 48", "size: 64",
    ):  # fmt: skip
        assert line in answer["text"]
    assert answer["shown"]["visible"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert answer["get_clip"]["interactive"]


@pytest.fixture
def started(monkeypatch):
    """The commands of all processes that were started since."""
    commands, popen = [], subprocess.Popen

    def start(command, *arguments, **options):
        commands.append([str(part) for part in command])
        return popen(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    return commands


@pytest.mark.parametrize("name", ["drawn", "filmed"])
def test_a_clip_is_decoded_once_and_starts_ffmpeg_three_times(system, given, started, name):
    box = handlers.show_driving(system, name, given.clip, 0)["driving_crop"]["value"]
    started.clear()
    answer = last(clip_of(system, given, weights=name, driving_crop=box))
    assert "with sound" in answer["clip_caption"]
    assert len(started) == 3
    reads = [command for command in started if f"file:{given.clip}" in command]
    assert sum("rawvideo" in command and "pipe:1" in command for command in reads) == 1
    assert len(reads) == 2  # its frames, and its sound beside the result's


def test_the_settings_reach_the_network(system, given, pipeline, tmp_path, monkeypatch):
    asked = {}
    original = FOMMPipeline.animate

    def noted(self, source, driving, **how):
        asked.update(how)
        return original(self, source, driving, **how)

    monkeypatch.setattr(FOMMPipeline, "animate", noted)
    answer, *_ = finished(
        clip_of(
            system, given, portrait_crop={"box": [0, 0, 40, 40]},
            driving_crop={"box": [4, 4, 40, 40]}, strength=1.5, mode="absolute", adapt=False,
            reference="chosen", frame=3, smoothing=1,
        ),
        tmp_path,
    )  # fmt: skip
    assert asked.pop("box") == faces.Box(0, 0, 40, 40)
    assert "driving_crop: 4, 4, 40, 40" in answer["text"] and "paste_back" in answer["text"]
    assert asked.pop("driving_box") == faces.Box(0, 0, clips.BESIDE, clips.BESIDE)  # cut by then
    assert asked.pop("notices") == []
    assert asked == {
        "relative": False, "adapt_scale": False, "reference": 3, "smoothing": 1.0,
        "strength": 1.5, "paste_back": False, "size": 32,
    }  # fmt: skip


def test_weights_that_blend_make_frames_of_the_clips_size(given, tmp_path):
    folder = tiny_fomm.save_fomm(tmp_path / "sharp")
    sharp = motion.system(jobs.Settings(device="cpu", weights=(("sharp", str(folder)),)))
    made = functools.partial(clip_of, sharp, given, weights="sharp")
    answer, clip, _ = finished(made(size=64), tmp_path)
    assert answer["clip_caption"] == "9 frames, 0.9 s, 64 x 64 px, with sound."
    pipeline, portrait = sharp.open("sharp"), images.read_picture(given.portrait)
    expected = next(pipeline.animate(portrait, given.clip, size=64))
    assert np.abs(next(video.open_clip(clip).frames()) - 1.0 * expected).mean() < 6
    answer, clip, _ = finished(made(size=0), tmp_path)
    assert "32 x 32 px, with" in answer["clip_caption"]
    answer, *_ = finished(made(size=120, paste=True), tmp_path)
    assert "180 x 120 px (enlarged from 60 px), with" in answer["clip_caption"]


def test_pasting_back_keeps_the_full_picture(system, given, tmp_path):
    _, clip, _ = finished(clip_of(system, given, paste=True), tmp_path)
    made = video.open_clip(clip)
    assert (made.width, made.height) == (90, 60)


def test_the_best_reference_is_found_while_others_get_their_turn(
    system, given, tmp_path, monkeypatch
):
    monkeypatch.setattr(clips, "TURN", 2)
    turns = []
    monkeypatch.setattr(jobs.device, "give_way", lambda: turns.append(1))
    answer, clip, _ = finished(clip_of(system, given, reference="best"), tmp_path)
    assert "reference: best" in answer["text"] and video.open_clip(clip).frame_count == COUNT
    assert len(turns) == COUNT // 2


def test_a_picture_drives_for_one_frame_without_a_sound(system, given, tmp_path):
    answer, clip, driving = finished(clip_of(system, given, replay=given.photo), tmp_path)
    assert video.open_clip(clip).frame_count == 1 and driving is None
    assert "without sound" in answer["clip_caption"] and answer["shown"]["visible"] is False


def test_a_saved_motion_replays_as_the_clip_moved(system, given, tmp_path):
    file = saved_motion(system, given, tmp_path)
    kept = Motion.load(file)
    assert len(kept) == COUNT and kept.fps == FPS and kept.weights == "drawn"
    answer, clip, driving = finished(clip_of(system, given, replay=str(file)), tmp_path)
    assert driving is None and "kept.safetensors" in answer["text"]
    replayed = [frame.astype(int) for frame in video.open_clip(clip).frames()]
    _, clip, _ = finished(clip_of(system, given), tmp_path)
    for ours, theirs in zip(replayed, video.open_clip(clip).frames(), strict=True):
        assert np.abs(ours - theirs).max() <= 3


def test_stop_leaves_the_part_that_was_made(system, given, tmp_path, monkeypatch):
    visit = visitor("stopper")
    kit.begin(system, visit)
    stops_after(clips, 4, system, visit, monkeypatch)
    answer, clip, driving = finished(clip_of(system, given, visit), tmp_path)
    made = video.open_clip(clip)
    assert made.frame_count == 4 and video.open_clip(driving).frame_count == 4 and made.has_sound
    assert answer["clip_caption"].startswith("Stopped at frame 4 of 9.")
    assert answer["clip_notice"] == ""


def test_stop_before_the_first_frame_is_said(system, given):
    visit = visitor("early")
    kit.begin(system, visit)
    kit.stop(system, visit)
    answer = last(clip_of(system, given, visit, reference="best"))
    assert "clip" not in answer and words.STOPPED_EARLY in answer["clip_notice"]
    kit.begin(system, visit)  # the next one is not stopped
    assert last(clip_of(system, given, visit))["clip_notice"] == ""


def test_progress_and_the_newest_frame_are_shown(system, given, monkeypatch):
    original, go_on = clips.frames, threading.Event()

    def slow(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == 4:
                assert go_on.wait(20)
            yield picture

    monkeypatch.setattr(clips, "frames", slow)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    for answer in clip_of(system, given):
        if " of 9 frames, " in answer["progress"]:
            assert "progressbar" in answer["progress"] and "data:image/jpeg" in answer["preview"]
            assert "clip" not in answer and "stage" not in answer, "the old result stays"
            go_on.set()
    assert go_on.is_set() and answer["progress"] == clips.IDLE["progress"]


def test_a_visitor_who_leaves_ends_the_work(system, given, monkeypatch):
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    original, ended = clips.frames, threading.Event()

    def endless(*inputs):
        try:
            while True:
                yield from original(*inputs)
        finally:
            ended.set()

    monkeypatch.setattr(clips, "frames", endless)
    visit = visitor("leaver")
    answers = clip_of(system, given, visit)
    next(answer for answer in answers if "data:image" in answer["preview"])
    answers.close()
    assert ended.wait(20) and not list(jobs.visitor_folder(visit).iterdir())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"portrait": None}, texts.NO_PORTRAIT),
        ({"driving": None}, texts.NO_DRIVING),
        ({"strength": 3}, texts.BAD_STRENGTH),
        ({"strength": None}, texts.BAD_STRENGTH),
        ({"reference": "chosen", "frame": 9}, "from 0 to 8"),
        ({"reference": "chosen", "frame": 1.5}, "whole number"),
        ({"portrait_crop": {"box": [1]}}, words.BAD_CROP),
        ({"weights": None}, "no weights yet"),
        ({"replay": __file__}, "test_motion_clips.py"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why(system, given, wrong, told, caplog):
    answer = last(clip_of(system, given, **wrong))
    assert set(answer) == {*clips.IDLE, "clip_notice"} and told in answer["clip_notice"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert answer["preview"] == "" and not caplog.records


def test_a_motion_of_other_weights_is_a_sentence(system, given, tmp_path, caplog):
    Motion(np.zeros((3, 7, 2))).save(tmp_path / "other.safetensors")
    notice = last(clip_of(system, given, replay=str(tmp_path / "other.safetensors")))["clip_notice"]
    assert "error" in notice and "7" in notice and not caplog.records


# --- a clip or a saved motion: one of them


def test_it_is_said_which_of_the_two_is_in_use(given):
    told = handlers.say_in_use("/tmp/nod-motion.safetensors", given.clip)["in_use"]
    assert "nod-motion.safetensors" in told and texts.USE_CLIP in told
    assert handlers.say_in_use(None, given.clip) == {"in_use": ""}
    assert handlers.say_in_use("/tmp/nod-motion.safetensors", None) == {"in_use": ""}
