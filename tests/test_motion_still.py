"""The still of the tab "Motion transfer", and its explanation: handlers, called as the page calls
them, on tiny weights."""

import base64

import numpy as np
import pytest

from gan_models import images, video
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import motion
from tabs.motion import handlers, still, texts
from tests import motion_given
from tests.motion_given import clip_of, finished, last, saved_motion


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return motion.system(motion_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


# --- the still


def show_still(system, given, **other):
    chosen = {
        "weights": "drawn", "portrait": given.portrait, "portrait_crop": None,
        "driving": given.clip, "driving_crop": None, "replay": None, "strength": 1.0,
        "mode": "relative", "adapt": True, "reference": "first", "frame": 0, "paste": False,
        "moment": 50, "moment_of": given.clip, "on_stage": "clip",
    } | other  # fmt: skip
    return last(still.show(system, *chosen.values()))


def pictures_of(answer):
    """(the still, the driving beside it) as arrays."""
    for key in ("still", "still_driving"):
        yield images.read_picture(base64.b64decode(answer[key].split('"')[1].partition(",")[2]))


def test_a_still_is_a_frame_of_the_clip_to_come(system, given, tmp_path):
    """At `moment`: frame 4 of 9."""
    answer = show_still(system, given)
    shown, beside = pictures_of(answer)
    _, clip, driving = finished(clip_of(system, given, size=still.SHOWN), tmp_path)
    made, drive = (video.open_clip(path) for path in (clip, driving))
    assert np.abs(list(made.frames())[4].astype(int) - shown).mean() < 3
    assert np.abs(list(drive.frames())[4].astype(int) - beside).mean() < 3
    assert "moment" not in answer and answer["clip_notice"] == ""


@pytest.mark.parametrize(
    "other",
    [{"strength": 0}, {"mode": "absolute"}, {"moment": 100}, {"reference": "chosen", "frame": 3},
     {"portrait_crop": {"box": [0, 0, 40, 40]}}, {"driving_crop": {"box": [4, 4, 40, 40]}},
     {"paste": True}, {"weights": "filmed"}],
)  # fmt: skip
def test_every_choice_shows_in_the_still(system, given, other, monkeypatch):
    """Tiny weights draw nearly the same each time: what they are asked for tells the choices."""
    asked, render = [], FOMMPipeline.render

    def noted(self, source, motion, initial, **how):
        poses = [motion.value.tobytes(), initial.value.tobytes()]
        asked.append((source.crop.tobytes(), *poses, tuple(how.items())))
        return render(self, source, motion, initial, **how)

    monkeypatch.setattr(FOMMPipeline, "render", noted)
    first, shown = (next(pictures_of(show_still(system, given, **one))) for one in ({}, other))
    assert asked[0] != asked[1] or shown.shape != first.shape


def test_a_new_driving_is_shown_where_it_moves_most(system, given, tmp_path):
    frames = list(video.open_clip(given.clip).frames())
    still_then = [frames[0]] * 40 + [frames[8]] * 9
    video.write_clip(tmp_path / "nod.mp4", still_then, 10, weights="puppets", settings={})
    nod = str(tmp_path / "nod.mp4")
    answer = show_still(system, given, driving=nod, moment=3)
    assert answer["moment_of"] == nod and answer["moment"] > 80
    answer = show_still(system, given, driving=nod, moment=3, moment_of=nod)
    assert "moment" not in answer
    assert show_still(system, given, driving=nod, reference="best")["moment_of"] == nod


def test_a_clip_is_looked_through_once_for_all_stills(system, given, monkeypatch):
    """And that happens when the page opens. Frames that were looked at are not detected again."""
    monkeypatch.setattr(still, "LOOKS", 2)
    still.looks.cache_clear()
    still.pose.cache_clear()
    still.warm(system, "drawn", given.portrait, given.clip)
    detected, detect = [], FOMMPipeline._detect
    monkeypatch.setattr(FOMMPipeline, "_detect", lambda *a: detected.append(1) or detect(*a))
    decoded, open_clip = [], video.open_clip
    monkeypatch.setattr(video, "open_clip", lambda *a, **k: decoded.append(1) or open_clip(*a, **k))
    for other in ({"strength": 0.5}, {"portrait_crop": {"box": [0, 0, 40, 40]}}):
        assert "<img" in show_still(system, given, moment_of=None, **other)["still"]
    assert not detected and not decoded
    assert "<img" in show_still(system, given, moment=0)["still"] and not detected
    assert "<img" in show_still(system, given, moment=12)["still"] and detected


def test_a_saved_motion_has_a_still_without_a_driving_frame(system, given, tmp_path):
    answer = show_still(system, given, replay=str(saved_motion(system, given, tmp_path)))
    assert answer["still"] and answer["still_driving"] == ""
    answer = show_still(system, given, replay=given.photo)
    assert answer["still"] and answer["still_driving"]


def test_no_still_is_made_beside_the_camera(system, given):
    assert show_still(system, given, on_stage="live") == {"clip_notice": ""}


@pytest.mark.parametrize(
    "missing",
    [{"portrait": None}, {"driving": None}, {"weights": "published:vox"}, {"weights": None},
     {"portrait": __file__}, {"driving": __file__}],
)  # fmt: skip
def test_without_something_there_is_no_still_and_old_errors_go(system, given, missing):
    assert show_still(system, given, **missing) == {"clip_notice": ""}


def test_a_wrong_choice_is_said_at_once(system, given):
    assert texts.BAD_STRENGTH in show_still(system, given, strength=3)["clip_notice"]
    told = show_still(system, given, reference="chosen", frame=9)["clip_notice"]
    assert "from 0 to 8" in told
    assert show_still(system, given, reference="chosen", frame=8)["clip_notice"] == ""


# --- the explanation


def explain(system, given, **other):
    chosen = {
        "weights": "drawn", "portrait": given.portrait, "portrait_crop": None,
        "driving": given.clip, "driving_crop": None, "replay": None, "moment": 50,
        "strength": 1.0, "mode": "relative", "adapt": True, "reference": "first", "frame": 0,
        "how_open": True,
    } | other  # fmt: skip
    return still.explain(system, *chosen.values())


@pytest.mark.parametrize("other", [{}, {"mode": "absolute"}, {"moment": 100}])
def test_the_explanation_shows_five_pictures(system, given, other):
    answer = last(explain(system, given, **other))
    pictures = answer["explained"]
    assert pictures.count("<figure>") == 5 and answer["how_notice"] == ""
    assert all(title in pictures for title in texts.PICTURES.values())


def test_the_explanation_is_of_what_the_still_shows(system, given, monkeypatch):
    told = []
    monkeypatch.setattr(FOMMPipeline, "explain", lambda *_, **how: told.append(how) or {})
    frames = list(video.open_clip(given.clip).frames())
    last(explain(system, given, reference="chosen", frame=3))
    assert (told[-1]["reference"] == frames[3]).all()
    last(explain(system, given, reference="best"))
    assert any((told[-1]["reference"] == frame).all() for frame in frames)
    last(explain(system, given, replay=given.photo, weights="filmed"))
    drive = handlers.opened(given.photo)
    assert told[-1]["driving_box"] == still.box_of(system, "filmed", drive)
    assert told[-1]["reference"] is None


def test_nothing_is_explained_to_nobody(system, given):
    assert last(explain(system, given, how_open=False)) == {"how_notice": ""}


def test_a_motion_cannot_be_explained(system, given, tmp_path):
    file = saved_motion(system, given, tmp_path)
    answer = last(explain(system, given, replay=str(file)))
    assert list(answer) == ["how_notice"] and texts.NO_FRAMES_SHOWN in answer["how_notice"]
