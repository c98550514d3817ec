"""The sound of clips: in step with the frames however the file was cut, and left out if broken."""

import subprocess

import av
import numpy as np
import pytest
from films import FFMPEG, counting, run

from gan_models.video import clip_info, open_clip, reading, write_clip

LABEL = {"weights": "w", "settings": {}}


def flash_and_click(clip_path):
    """(seconds of the white frame, seconds of the click, length of the sound) in a clip."""
    clip = open_clip(clip_path)
    bright = [frame.mean() for frame in clip.frames()]
    raw = subprocess.run(
        [FFMPEG, "-v", "error", "-i", clip_path, "-map", "0:a:0", "-ac", "1", "-ar", "8000"]
        + ["-af", "aresample=async=1:first_pts=0", "-f", "f32le", "-"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    sound = abs(np.frombuffer(raw, np.float32))
    click = np.flatnonzero(sound > 0.5 * sound.max())[0] if sound.max() > 0.05 else np.nan
    return float(np.argmax(bright) / clip.fps), click / 8000, len(sound) / 8000


@pytest.fixture(scope="module")
def clicking(tmp_path_factory):
    """Two seconds at 25: frame 30 is white, and a click sounds at 1.2 s."""
    folder = tmp_path_factory.mktemp("clicking")
    film = "color=black:s=32x24:r=25:d=2,drawbox=w=32:h=24:color=white:t=fill:enable='eq(n,30)'"
    click = "aevalsrc='0.9*sin(6000*t)*between(t,1.2,1.21)':s=16000:d=2"
    run(folder, "-f", "lavfi", "-i", film, "-c:v", "ffv1", "film.mkv")
    run(folder, "-f", "lavfi", "-i", click, "click.wav")
    run(folder, "-i", "film.mkv", "-i", "click.wav", "-bf", "2", "-pix_fmt", "yuv420p", "av.mp4")
    return folder


def _container_seconds(path):
    with av.open(str(path)) as container:
        return container.duration / 1e6


CASES = {
    "plain": (["-i", "av.mp4", "-c", "copy", "a.mp4"], {}),
    "edit list": (["-ss", "0.6", "-i", "av.mp4", "-c", "copy", "a.mp4"], {}),
    "far start": (["-itsoffset", "7", "-i", "av.mp4", "-c", "copy", "a.mkv"], {}),
    "transport": (["-i", "av.mp4", "-c", "copy", "a.ts"], {}),
    "late sound": (
        ["-i", "film.mkv", "-ss", "0.9", "-itsoffset", "0.9", "-i", "click.wav", "a.mp4"],
        {},
    ),
    "late film": (
        ["-i", "film.mkv", "-i", "click.wav", "-vf", "select='gte(n,20)'"]
        + ["-fps_mode", "passthrough", "a.mp4"],
        {},
    ),
    "varying": (
        ["-i", "av.mp4", "-vf", "select='not(mod(n,3))'", "-fps_mode", "vfr", "a.mp4"],
        {},
    ),
    "two tracks": (
        ["-i", "av.mp4", "-f", "lavfi", "-i", "sine=d=2", "-map", "0", "-map", "1:a", "a.mp4"],
        {},
    ),
    "part": (["-i", "av.mp4", "-c", "copy", "a.mp4"], {"start": 0.731, "seconds": 0.9}),
}


@pytest.mark.parametrize("case", CASES)
def test_sound_stays_in_step(tmp_path, clicking, case):
    arguments, part = CASES[case]
    run(clicking, *arguments[:-1], tmp_path / arguments[-1])
    clip = open_clip(tmp_path / arguments[-1], **part)
    assert clip.has_sound
    info = write_clip(tmp_path / "out.mp4", clip.frames(), clip.fps, audio=clip, **LABEL)
    assert info.frames == clip.frame_count and info.notices == ()
    flash, click, length = flash_and_click(tmp_path / "out.mp4")
    assert abs(flash - click) < 0.01 and abs(length - clip.seconds) < 0.04
    assert abs(_container_seconds(tmp_path / "out.mp4") - clip.seconds) < 0.011
    assert flash == pytest.approx({"edit list": 0.6, "late film": 0.4, "part": 0.48}.get(case, 1.2))


def test_a_seek_keeps_sound_in_step(tmp_path, clicking, monkeypatch):
    monkeypatch.setattr(reading, "SEEK_FROM", 0.5)
    monkeypatch.setattr(reading, "SEEK_BEFORE", 0.3)
    clip = open_clip(clicking / "av.mp4", start=1)
    assert clip.sound.seek == pytest.approx(0.7)
    write_clip(tmp_path / "out.mp4", clip.frames(), clip.fps, audio=clip, **LABEL)
    flash, click, _ = flash_and_click(tmp_path / "out.mp4")
    assert flash == pytest.approx(0.2) and abs(flash - click) < 0.01


def test_the_sound_of_a_file(tmp_path, clicking):
    film = ["-itsoffset", "3", "-i", clicking / "av.mp4", "-c", "copy", "late.mkv"]
    run(tmp_path, *film)
    frames = list(open_clip(clicking / "av.mp4").frames())
    for audio in (clicking / "click.wav", tmp_path / "late.mkv"):
        write_clip(tmp_path / "out.mp4", frames, 25, audio=audio, **LABEL)
        flash, click, _ = flash_and_click(tmp_path / "out.mp4")
        assert abs(flash - click) < 0.01


def test_sound_that_cannot_be_had_is_left_out(tmp_path, clicking):
    run(tmp_path, "-i", clicking / "av.mp4", "-c:v", "copy", "-c:a", "pcm_s16le", "a.mov")
    data = (tmp_path / "a.mov").read_bytes()
    (tmp_path / "a.mov").write_bytes(data.replace(b"sowt", b"zzzz"))  # a code nobody knows
    clip = open_clip(tmp_path / "a.mov")
    assert not clip.has_sound and "in a code that cannot be read" in clip.notices[0]
    run(tmp_path, "-i", clicking / "av.mp4", "-c:v", "copy", "-c:a", "libvorbis", "a.mkv")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data.replace(b"vorbis", b"vorbix"))  # in its three headers
    clip = open_clip(tmp_path / "a.mkv")
    info = write_clip(tmp_path / "out.mp4", clip.frames(), clip.fps, audio=clip, **LABEL)
    assert clip.has_sound and info.frames == 50 and "No sound of" in info.notices[0]
    assert not open_clip(tmp_path / "out.mp4").has_sound
    with_sound = open_clip(clicking / "av.mp4", seconds=0.2)
    info = write_clip(tmp_path / "a.gif", with_sound.frames(), 25, audio=with_sound, **LABEL)
    assert info.notices == ("A .gif holds no sound: it was left out.",)
    run(tmp_path, *counting(), "silent.mp4")
    silent = open_clip(tmp_path / "silent.mp4")
    info = write_clip(tmp_path / "b.mp4", silent.frames(), 25, audio=silent, **LABEL)
    assert info.notices == () and clip_info(tmp_path / "b.mp4").frames == 25


def test_of_channels_that_aac_does_not_take_two_are_kept(tmp_path):
    """Of height speakers, as here, or of channels that are labelled as unused."""
    pan = "pan=TFL+TFR+TBL+TBR|c0=c0|c1=0.5*c0|c2=c0|c3=c0"
    run(tmp_path, "-f", "lavfi", "-i", "color=red:s=32x32:r=25:d=1", "-f", "lavfi", "-i",
        "sine=d=1", "-filter:a", pan, "-c:a", "pcm_s16le", "a.mov")  # fmt: skip
    clip = open_clip(tmp_path / "a.mov")
    info = write_clip(tmp_path / "b.mp4", clip.frames(), 25, audio=clip, **LABEL)
    assert info.notices == (f"Of the sound of {clip.path} the first two channels are kept.",)
    read = [FFMPEG, "-v", "error", "-i", tmp_path / "b.mp4", "-f", "s16le", "-"]
    heard = np.frombuffer(subprocess.run(read, capture_output=True).stdout, np.int16)
    left, right = heard.reshape(-1, 2).T
    assert 0.4 < right.std() / left.std() < 0.6 and left.std() > 100
