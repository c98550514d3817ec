"""gan_models/fomm/reference.py: films that begin with nothing to measure motion from."""

import numpy as np
import pytest
from tiny_fomm import SIZE, clip, networks, picture

from gan_models import faces
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.reference import First


@pytest.fixture(scope="module")
def frames():
    return list(clip(8)) * 3


@pytest.fixture(scope="module")
def pipeline():
    return FOMMPipeline(*networks(), {"name": "tiny", "size": SIZE}, device="cpu")


def first_of(frames, kind="centre", at_once=1):
    search = First(kind)
    for number, frame in enumerate(frames):
        if number == at_once and search.found is not None:
            break
        search.look([frame])
    return search.index


def test_an_ordinary_clip_is_measured_from_its_first_frame_without_looking_on(pipeline, frames):
    assert first_of(frames) == 0
    faint = [frame // 8 + 100 for frame in frames]  # fog all along
    assert first_of(faint) == 0
    black = [np.zeros_like(frame) for frame in frames]
    assert first_of(black) == 0


@pytest.mark.parametrize("colour", [0, 255])
def test_a_blank_start_is_passed_over_and_said(pipeline, frames, colour):
    blank = [np.full_like(frames[0], colour)] * 9
    assert first_of(blank + frames) == 9
    told, none = [], []
    shown = list(pipeline.animate(picture(), blank + frames, notices=told, batch_size=4))
    plain = list(pipeline.animate(picture(), frames, notices=none, batch_size=4))
    assert np.abs(np.array(shown[9:], int) - plain).max() <= 1
    assert len(told) == 1 and "frame 9" in told[0] and not none
    chosen = list(pipeline.animate(picture(), blank + frames, reference=0))
    assert np.abs(np.array(chosen[9:], int) - plain).max() > 1


def test_a_fade_is_waited_for(frames):
    shares = np.linspace(0, 1, 20)
    fading = [
        (share * frame).astype(np.uint8) for share, frame in zip(shares, frames, strict=False)
    ]
    assert 15 <= first_of(fading + frames) <= 20


def test_weights_that_know_faces_wait_for_one(frames, monkeypatch):
    face = faces.Box(2, 2, 20, 20)
    seen = {frame.tobytes() for frame in frames}
    monkeypatch.setattr(
        faces, "find_faces", lambda crop, quick: [face] if crop.tobytes() in seen else []
    )
    title = [np.random.default_rng(0).integers(0, 256, frames[0].shape, np.uint8)] * 12
    assert first_of(title + frames, "face") == 12
    assert first_of(title + frames, "centre") == 0
    assert first_of(frames, "face") == 0
    assert first_of(title, "face") == 0  # there is none
