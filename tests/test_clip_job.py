"""What the kit does with clips: given films that browsers do not play, both side by side."""

import numpy as np
import pytest

from gan_models import video
from tabs.kit import clips, films, jobs
from tabs.kit import texts as words
from tests import motion_given
from tests.motion_given import visitor


def grey(height, width, count=6):
    return [np.full((height, width, 3), 20 + 30 * at, np.uint8) for at in range(count)]


@pytest.fixture
def system():
    return type("", (), {"name": "fomm"})


def test_both_are_written_side_by_side(system, tmp_path):
    given, made = tmp_path / "given.mp4", tmp_path / "made.mp4"
    video.write_clip(given, grey(32, 48), 10, weights=None, settings={})
    video.write_clip(made, grey(64, 64), 10, weights="w", settings={"a": 1})
    handler = clips.save_both("hint")
    for answer in handler(system, str(given), str(made), visitor()):
        if "both_file" in answer:
            info, clip = video.clip_info(answer["both_file"]), video.open_clip(answer["both_file"])
            assert (info.width, info.height, info.frames, info.fps) == (96 + 64, 64, 6, 10)
            assert info.label["weights"] == "w" and info.label["settings"] == {"a": 1}
            for at, frame in enumerate(clip.frames()):
                assert np.abs(frame.astype(int) - 20 - 30 * at).max() < 6  # both at one moment
    assert answer["run"]["interactive"] and answer["clip_notice"] == ""
    (answer,) = handler(system, None, str(made), visitor())
    assert words.NOT_BOTH in answer["clip_notice"]
    assert not clips.offer_both(None)["get_both"]["interactive"]


def test_both_keep_the_sound_of_the_result(system, tmp_path):
    files = motion_given.files(tmp_path)
    *_, answer = (
        a | {"sound": video.open_clip(a["both_file"]).has_sound} if "both_file" in a else a
        for a in clips.save_both("hint")(system, files.clip, files.clip, visitor())
    )
    assert answer["sound"]


def test_a_gif_becomes_a_film_that_browsers_play(system, tmp_path):
    file = tmp_path / "walk.gif"
    video.write_clip(file, grey(30, 40), 10, weights="puppets", settings={})
    take, films_made = films.taking("hint"), []
    for answer in take(system, str(file), visitor()):
        if "film" in answer:
            info = video.clip_info(answer["film"])
            films_made.append((info.frames, info.width, info.fps, info.label["weights"]))
            assert answer["film"].endswith("walk.mp4") and answer["run"]["interactive"]
        else:
            assert not answer["run"]["interactive"] and answer["progress"]
    assert films_made == [(6, 40, 10, "puppets")]
    assert [*take(system, "a.webm", visitor())] == [{"film": "a.webm", "notice": ""}]
    (tmp_path / "bad.gif").write_bytes(b"GIF89a")
    (answer,) = take(system, str(tmp_path / "bad.gif"), visitor())
    assert "film" not in answer and "bad.gif" in answer["notice"]
    assert answer["run"]["interactive"]


def test_a_film_that_is_being_taken_can_be_stopped(system, tmp_path, monkeypatch):
    file, watch = tmp_path / "long.gif", jobs.Job.watch
    video.write_clip(file, grey(30, 40), 10, weights="puppets", settings={})

    def stopped_late(job, items):
        for number, item in enumerate(watch(job, items)):
            yield item
            if number == 2:
                clips.stop(system, visitor())

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Job, "watch", stopped_late)
        taken = [
            (video.clip_info(answer["film"]).frames, answer["notice"])
            for answer in films.taking("hint")(system, str(file), visitor())
            if "film" in answer
        ]
    assert len(taken) == 1 and taken[0][0] == 3 and "Stopped at frame 3 of 6" in taken[0][1]
    handler = films.taking("hint")(system, str(file), visitor())
    next(handler)
    clips.stop(system, visitor())
    *_, answer = handler
    assert "film" not in answer and words.STOPPED_EARLY in answer["notice"]
    assert answer["run"]["interactive"] and answer["progress"].count("hint")
