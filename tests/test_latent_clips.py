"""Clips of the tab "Latent space": its handlers, called as the page calls them, on tiny weights."""

import threading
from pathlib import Path

import numpy as np
import pytest

from gan_models import video
from gan_models.progan import ProGANPipeline
from tabs import latent
from tabs.kit import clips as kit
from tabs.kit import jobs
from tabs.kit import texts as words
from tabs.latent import clips, drawing, texts
from tests import latent_given
from tests.latent_given import ONE, TWO
from tests.motion_given import last, stops_after, visitor

IDLE = kit.idle(texts.KEYS)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return latent.system(latent_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return ProGANPipeline.from_weights(system.folder("plain"), device="cpu")


def clip_of(system, request=None, weights="plain", kind="path", **other):
    """The answers of make_clip."""
    chosen = {
        "label": "", "start": ONE, "end": TWO, "seconds": 0.5, "fps": 10, "way": "spherical",
        "walk_seed": 3, "pace": 1.0, "truncation": 1, "size": 32, "sharp": True,
    } | other  # fmt: skip
    label, start, end = (chosen.pop(key) for key in ("label", "start", "end"))
    return clips.make_clip(system, weights, label, start, end, kind, *chosen.values(), request)


def finished(answers, tmp_path):
    """(last answer, copy of its clip): the handler's own file goes when it ends."""
    for answer in answers:
        if "clip" in answer:
            copy = tmp_path / "clip.mp4"
            copy.write_bytes(Path(answer["clip"]).read_bytes())
    return answer, copy


@pytest.mark.parametrize("kind", ["path", "walk"])
def test_a_clip_plays_and_says_how_it_was_made(system, tmp_path, kind):
    answer, clip = finished(clip_of(system, kind=kind, way="linear"), tmp_path)
    info = video.clip_info(clip)
    assert (info.frames, info.fps, info.width, info.height) == (5, 10, 32, 32)
    assert info.label["weights"] == "plain" and info.label["note"] == "made by a model"
    made = info.label["settings"]
    assert made["clip"] == kind and made["seconds"] == 0.5
    assert ("walk_seed" in made) == (kind == "walk") and ("path" in made) == (kind == "path")
    assert made["start"] == "seed 1" and made["end"] == "seed 2"
    assert answer["clip_caption"] == "5 frames, 0.5 s, 32 px (16 px pictures)."
    assert f"clip: {kind}" in answer["text"] and answer["clip_notice"] == ""
    assert answer["get_clip"]["interactive"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert answer["progress"] == IDLE["progress"] and answer["preview"] == ""


def test_the_frames_go_from_start_to_end(system, pipeline):
    ends = [pipeline.latents(seed)[0] for seed in (1, 2)]
    latents = pipeline.interpolate(*ends, 20, "spherical")
    made = list(drawing.frames(system, "plain", latents, "", 1))
    assert len(made) == 20
    for place, seed in ((0, 1), (-1, 2)):
        expected = pipeline.sample(pipeline.latents(seed))[0]
        assert np.abs(made[place].astype(int) - expected).max() <= 1


def test_the_walks_seed_is_there_for_walks_only():
    shown = [clips.choose_kind(kind)["walk_seed"]["visible"] for kind in ("path", "walk")]
    assert shown == [False, True]


@pytest.mark.parametrize("legs", [0, 3, 4, 9])
def test_a_random_walk_begins_at_start_passes_end_and_closes(pipeline, legs):
    start, end = pipeline.latents(1)[0], pipeline.latents(2)[0]
    total = 4 * max(legs, 3)
    walk = list(clips.walk_of(pipeline, start, end, 7, legs, total))
    assert len(walk) == total
    assert np.allclose(walk[0], start, atol=1e-6)
    assert np.allclose(walk[4 * (max(legs, 3) // 2)], end, atol=1e-6)
    steps = [np.linalg.norm(a - b) for a, b in zip(walk, [*walk[1:], walk[0]], strict=True)]
    assert steps[-1] <= max(steps[:-1])  # the last frame leads to the first
    other = list(clips.walk_of(pipeline, start, end, 8, legs, total))
    assert not np.allclose(walk, other)


def test_the_strip_goes_from_the_first_to_the_last_frame_however_long_the_clip():
    for length in (1, 2, 7, 8, 100, 5000):
        frames = (np.full((4, 4, 3), number % 251, np.uint8) for number in range(length))
        kept = []
        *_, newest = clips._noted(frames, kept)
        assert len(kept) <= 8 * clips.STRIP  # memory does not grow with the clip
        strip = clips._strip(kept, newest, sharp=True)
        assert strip.shape[1] == min(length, 8) * 130 - 2
        assert strip[0, 0, 0] == 0 and strip[0, -1, 0] == (length - 1) % 251


def test_the_clip_uses_the_class(system, tmp_path):
    _, clip = finished(clip_of(system, weights="classes", label="cat"), tmp_path)
    assert video.clip_info(clip).label["settings"]["class"] == "cat"


def test_stop_leaves_the_part_that_was_made(system, tmp_path, monkeypatch):
    visit = visitor("stopper")
    kit.begin(system, visit)
    stops_after(clips, 7, system, visit, monkeypatch)
    answer, clip = finished(clip_of(system, visit, seconds=60, fps=30), tmp_path)
    assert video.clip_info(clip).frames == 7
    assert answer["clip_caption"].startswith("Stopped at frame 7 of 1800.")
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]


def test_stop_before_the_first_frame_is_said(system):
    visit = visitor("early")
    kit.begin(system, visit)
    kit.stop(system, visit)
    answer = last(clip_of(system, visit, seconds=60))
    assert "clip" not in answer and words.STOPPED_EARLY in answer["clip_notice"]
    assert answer["run"]["interactive"]
    begun = kit.begin(system, visit)  # the next one is not stopped
    assert words.STARTING in begun["progress"]
    assert not begun["run"]["interactive"] and begun["stop"]["interactive"]
    assert last(clip_of(system, visit))["clip_notice"] == ""


def test_stop_reaches_one_visitor_only(system, monkeypatch):
    stopper, other = visitor("one"), visitor("other")
    stops_after(clips, 1, system, stopper, monkeypatch)
    assert last(clip_of(system, other))["clip_caption"].startswith("5 frames")


def test_progress_is_shown_while_a_clip_is_made(system, monkeypatch):
    original, go_on = drawing.frames, threading.Event()

    def slow(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == 4:
                assert go_on.wait(20)
            yield picture

    monkeypatch.setattr(clips, "frames", slow)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    for answer in clip_of(system):
        if " of 5 frames, " in answer["progress"]:
            assert "data:image/jpeg" in answer["progress"] and "progressbar" in answer["progress"]
            assert "data:image/jpeg" in answer["preview"]
            assert "clip" not in answer and "stage" not in answer, "the old result stays in view"
            go_on.set()
    assert go_on.is_set() and answer["progress"] == IDLE["progress"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seconds": 0}, "0.5 to 60 s"),
        ({"seconds": None}, "0.5 to 60 s"),
        ({"fps": 1000}, "60 frames per second"),
        ({"kind": "walk", "walk_seed": -1}, "whole number"),
        ({"kind": "walk", "walk_seed": None}, "whole number"),
        ({"weights": None}, "no weights yet"),
        ({"start": {"name": "a mix", "latent": np.zeros(3)}}, "has 3 numbers"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why_and_walk_works_again(system, wrong, words, caplog):
    answer = last(clip_of(system, **wrong))
    assert set(answer) == {*IDLE, "clip_notice"} and words in answer["clip_notice"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert not caplog.records
