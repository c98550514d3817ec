"""What tests of the tab "Motion transfer" give it: tiny weights, a portrait, a clip with sound."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gan_models import images, video
from tabs.kit import clips as kit
from tabs.kit import jobs
from tabs.motion import clips
from tests import tiny
from tools import singers

COUNT, FPS = 9, 10
SLIDERS = {"yaw": (-20, 20), "mouth": (0, 1)}


def settings(root):
    """The page's settings with two weights: "drawn" (puppets, centre; the sliders of `SLIDERS`)
    and "filmed" (faces)."""
    drawn = tiny.save_fomm(root / "drawn", sliders=SLIDERS)
    filmed = tiny.save_fomm(root / "filmed", framing="face", data="filmed faces", seed=1)
    return jobs.Settings(device="cpu", weights=(("drawn", str(drawn)), ("filmed", str(filmed))))


def files(folder):
    """Files a visitor gives: a wide portrait, a wide clip with sound, a photograph."""
    random = np.random.default_rng(0)
    portrait = images.resize(random.integers(0, 255, (6, 9, 3), np.uint8), (60, 90))
    images.save_picture(folder / "portrait.png", portrait, weights="puppets", settings={})
    frames = [np.roll(images.resize(portrait, (48, 64)), 2 * i, axis=1) for i in range(COUNT)]
    singers.write_sound(folder / "sound.wav", singers.sing(singers.SINGERS[0])[: 22050 * 2])
    video.write_clip(
        folder / "drive.mp4", frames, FPS, weights="puppets", settings={},
        audio=folder / "sound.wav",
    )  # fmt: skip
    images.save_picture(folder / "photo.png", portrait, weights="somebody's", settings={})
    return SimpleNamespace(
        portrait=str(folder / "portrait.png"), clip=str(folder / "drive.mp4"),
        photo=str(folder / "photo.png"),
    )  # fmt: skip


def visitor(name="a visitor"):
    return SimpleNamespace(session_hash=name)


def last(answers):
    """The last answer of a handler that yields no file."""
    return list(answers)[-1]


def clip_of(system, given, request=None, **other):
    """The answers of make_clip."""
    chosen = {
        "weights": "drawn", "portrait": given.portrait, "portrait_crop": None,
        "driving": given.clip, "driving_crop": None, "replay": None, "strength": 1.0,
        "mode": "relative", "adapt": True,
        "reference": "first", "frame": 0, "smoothing": 0, "paste": False, "size": 0,
    } | other  # fmt: skip
    return clips.make_clip(system, *chosen.values(), request)


def finished(answers, tmp_path):
    """(last answer, copies of clip and driving): the handler's own files go when it ends."""
    kept = {}
    for answer in answers:
        for key, name in (("clip", "clip.mp4"), ("shown", "driving.mp4")):
            value = answer.get(key)
            path = value.get("value") if isinstance(value, dict) else value
            if path:
                kept[name] = tmp_path / name
                kept[name].write_bytes(Path(path).read_bytes())
    return answer, kept.get("clip.mp4"), kept.get("driving.mp4")


def saved_motion(system, given, tmp_path):
    for answer in clips.save_motion(system, "drawn", given.clip, None):
        if "motion_file" in answer:
            copy = tmp_path / "kept.safetensors"
            copy.write_bytes(Path(answer["motion_file"]).read_bytes())
    assert answer["run"]["interactive"] and "9 frames, 0.9 s" in answer["clip_notice"]
    return copy


def stops_after(tab_clips, count, system, visit, monkeypatch):
    """The network of a module `clips` asks for Stop itself once it has made `count` frames."""
    original = tab_clips.frames

    def stopping(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == count:
                kit.stop(system, visit)
            yield picture

    monkeypatch.setattr(tab_clips, "frames", stopping)
