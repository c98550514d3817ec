"""gan_models/video.py: clips play, carry their label, and are whole or absent."""

import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from gan_models.errors import Unreadable, UserError
from gan_models.video import ClipInfo, clip_info, ffmpeg, write_clip
from gan_models.video.writing import ClipWriter
from tests.commands import disk_full_after

LABEL = {"weights": "progan-puppets", "settings": {"seed": 3, "note": 'é = "x"; # \\ \n'}}
FULL = "the disk is full: free some room, or choose another"


def fading(count, height=16, width=16):
    """Red fading into blue."""
    for index in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, :, 2] = 255 * index // max(count - 1, 1)
        frame[:, :, 0] = 255 - frame[:, :, 2]
        yield frame


def decoded(path):
    """All frames of a clip as ffmpeg shows them, (N, H, W, 3) uint8."""
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(raw, np.uint8).reshape(height, width, 3) for raw in reader])


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_frames_come_back(tmp_path, ending):
    path = tmp_path / "new" / f"clip{ending}"
    written = write_clip(path, fading(12), 20, **LABEL)
    label = {"note": "made by a model", **LABEL}
    assert written == ClipInfo(12, 0.6, 16, 16, 20.0, (0, 0), label)
    assert clip_info(path) == written
    difference = decoded(path).astype(int) - np.stack(list(fading(12)))
    assert abs(difference).max() <= 8  # also proves that the colours are marked as they are stored
    assert os.listdir(path.parent) == [path.name]


def test_mp4_plays_in_browsers(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, fading(3), 30, **LABEL)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # faststart
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    reader.close()
    assert about["codec"] == "h264" and about["pix_fmt"].startswith("yuv420p(tv, bt709")


def test_gif_loops_and_others_see_the_label(tmp_path):
    path = tmp_path / "clip.gif"
    settings = {"seeds": list(range(500))}  # longer than one 255 byte block
    write_clip(path, fading(5, 7, 9), 10, weights="w", settings=settings)
    with Image.open(path) as image:
        assert image.n_frames == 5 and image.info["loop"] == 0 and image.info["duration"] == 100
        assert image.size == (9, 7)
        assert json.loads(image.info["comment"])["settings"] == settings


def test_odd_sizes_gain_a_repeated_edge(tmp_path):
    info = write_clip(tmp_path / "odd.mp4", fading(2, 17, 33), 10, **LABEL)
    assert (info.width, info.height, info.padded) == (34, 18, (1, 1))
    shown = decoded(tmp_path / "odd.mp4").astype(int)
    assert shown.shape == (2, 18, 34, 3)
    assert abs(shown[0, -1, -1] - (255, 0, 0)).max() <= 8
    assert write_clip(tmp_path / "odd.gif", fading(2, 17, 33), 10, **LABEL).padded == (0, 0)
    assert write_clip(tmp_path / "dot.mp4", fading(1, 1, 1), 10, **LABEL).frames == 1


def test_frames_need_not_be_contiguous(tmp_path):
    frames = [frame[:, ::-1].transpose(1, 0, 2) for frame in fading(2, 16, 20)]
    assert write_clip(tmp_path / "a.mp4", frames, 10, **LABEL).height == 20


def test_options_are_checked_before_any_frame_is_made(tmp_path):
    def made():
        raise AssertionError("a frame was made")
        yield

    def refused(match, name="a.mp4", fps=30, settings=None, **options):
        with pytest.raises(UserError, match=match):
            write_clip(
                tmp_path / name, made(), fps, weights="w", settings=settings or {}, **options
            )

    refused(r"a\.webm must end in \.mp4 or \.gif", "a.webm")
    refused("1 to 120 frames per second, not 0", fps=0)
    refused("not 121", fps=121)
    refused("not nan", fps=float("nan"))
    refused("1 to 50 frames per second, not 60", "a.gif", fps=60)
    refused("30000 is the most", settings={"latents": [0.123456789] * 5000})
    refused("too long", "x" * 252 + ".mp4")
    refused("too long", "new/" + "x" * 252 + ".mp4")
    (tmp_path / "new").rmdir()
    refused("missing.wav does not exist", audio="missing.wav")
    refused("holds no sound", audio=__file__)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_wrong_frames_leave_no_file(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    good = list(fading(3))
    for frames, match in (
        ([], "not a single frame"),
        ([*good, good[0][:8]], r"frame 3 .*\(8, 16, 3\), \(16, 16, 3\)"),
        ([good[0].astype(np.float32)], "frame 0"),
        ([*good, good[0][:, :, 0]], "frame 3"),
        ([*good, None], "frame 3"),
        ([good[0][:0]], "frame 0"),
    ):
        with pytest.raises(UserError, match=match):
            write_clip(path, frames, 30, **LABEL)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stop", [RuntimeError, GeneratorExit, KeyboardInterrupt, BrokenPipeError])
def test_stopping_keeps_the_old_clip_and_no_part_of_the_new(tmp_path, stop):
    path = tmp_path / "a.mp4"
    write_clip(path, fading(2), 30, weights="old", settings={})

    def stopped():
        yield from fading(40)
        raise stop("stopped here")

    with pytest.raises(UserError if stop is BrokenPipeError else stop, match="stopped here"):
        write_clip(path, stopped(), 30, **LABEL)
    assert os.listdir(tmp_path) == ["a.mp4"] and clip_info(path).label["weights"] == "old"


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_full_disk_is_a_sentence(tmp_path, ending):
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(60))
    with disk_full_after(100_000), pytest.raises(UserError, match="could not be written"):
        write_clip(tmp_path / f"a{ending}", frames, 30, **LABEL)
    assert os.listdir(tmp_path) == []
    with disk_full_after(1000), pytest.raises(UserError, match="File too large"):
        write_clip(tmp_path / f"a{ending}", iter([1, "no frame is asked for"]), 30, **LABEL)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("[out#0/mp4 @ 0x56] Could not write header (incorrect parameters ?): No space left on "
         "device\n[out#0/mp4 @ 0x56] Nothing was written into output file, because at least one of "
         "its streams received no packets.\n", FULL),
        ("[libx264 @ 0x5] [x264 @ 0x6] Unsupported size\n[vost#0:0] Error sending frames\n"
         "Conversion failed!", "Unsupported size"),
        ("", "ffmpeg was ended"),
    ],
)  # fmt: skip
def test_ffmpegs_cause_is_quoted_and_not_what_came_of_it(words, cause):
    writer = ClipWriter(Path("a.mp4"), Path("a.mp4"), None, "", None, None)
    writer._ffmpeg = SimpleNamespace(words=lambda: words)
    assert str(writer._refusal()) == f"a.mp4 could not be written: {cause}."


def test_where_a_full_disk_keeps_no_words_of_ffmpeg_it_is_said_all_the_same(monkeypatch):
    writer = ClipWriter(Path("a.mp4"), Path("a.mp4"), None, "", None, None)
    writer._ffmpeg = SimpleNamespace(words=lambda: "")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    assert str(writer._refusal()) == f"a.mp4 could not be written: {FULL}."


def test_the_encoder_and_the_name_are_tried_before_the_first_frame(tmp_path, monkeypatch):
    def attempt(name):
        with pytest.raises(UserError) as refused:
            write_clip(tmp_path / name, iter(["no frame is asked for"]), 30, **LABEL)
        return str(refused.value)

    (tmp_path / "folder.mp4").mkdir()
    assert "folder.mp4 is a folder" in attempt("folder.mp4")
    assert "File name too long" in attempt("a" * 252 + ".mp4")
    monkeypatch.setattr(ffmpeg, "listed", lambda what: frozenset({"aac", "mpeg4"}))
    assert "cannot write .mp4" in attempt("a.mp4") and "imageio-ffmpeg" in attempt("a.gif")
    monkeypatch.undo()
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(tmp_path / "nowhere"))
    ffmpeg.listed.cache_clear()
    assert "There is no ffmpeg" in attempt("a.mp4")
    assert os.listdir(tmp_path) == ["folder.mp4"]


def test_sound_is_kept_and_fitted(tmp_path):
    for seconds in (0.2, 3):
        with wave.open(str(tmp_path / "tone.wav"), "wb") as tone:
            tone.setnchannels(1)
            tone.setsampwidth(2)
            tone.setframerate(8000)
            tone.writeframes(bytes(int(16000 * seconds)))
        path = tmp_path / "a.mp4"
        write_clip(path, fading(30), 30, audio=tmp_path / "tone.wav", **LABEL)
        reader = imageio_ffmpeg.read_frames(str(path))
        about = next(reader)
        reader.close()
        assert about["audio_codec"] == "aac" and 0.9 < about["duration"] < 1.5
        assert clip_info(path).frames == 30


def test_clip_info_knows_clips_by_their_content(tmp_path):
    write_clip(tmp_path / "a.mp4", fading(7), 30, **LABEL)
    os.rename(tmp_path / "a.mp4", tmp_path / "named.gif")
    info = clip_info(tmp_path / "named.gif")
    assert (info.frames, info.fps, info.label["weights"]) == (7, 30, LABEL["weights"])
    write_clip(tmp_path / "uneven.gif", fading(7), 30, **LABEL)  # 3, 4, 3, ... hundredths
    info = clip_info(tmp_path / "uneven.gif")
    assert (info.frames, info.seconds) == (7, 0.23) and info.fps == pytest.approx(30, rel=0.02)


@pytest.mark.parametrize("sides", [(2828, 2828), (4000, 2002)])
def test_large_frames_are_written_sparingly(tmp_path, monkeypatch, sides):
    started, popen = [], subprocess.Popen

    def start(command, **options):
        started.append(command)
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    frame = np.zeros((*sides, 3), np.uint8)
    assert write_clip(tmp_path / "a.mp4", [frame], 30, **LABEL).frames == 1
    words = " ".join(started[0])
    sparing = all(
        option in words for option in ("-threads 2", "-rc-lookahead 5", "-bf 0", "-refs 1")
    )
    assert sparing == (sides[0] * sides[1] > 8_000_000)


def test_clip_info_refuses_what_is_no_clip(tmp_path):
    with pytest.raises(Unreadable, match=r"none\.mp4 does not exist"):
        clip_info(tmp_path / "none.mp4")
    write_clip(tmp_path / "a.mp4", fading(3), 30, **LABEL)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:200])
    (tmp_path / "text.mp4").write_text("no clip")
    (tmp_path / "text.gif").write_text("no clip")
    (tmp_path / "empty.mp4").touch()
    for name in ("cut.mp4", "text.mp4", "text.gif", "empty.mp4"):
        with pytest.raises(Unreadable, match=name):
            clip_info(tmp_path / name)


MEASURED_FFMPEG = """#!{python}
import resource, subprocess, sys
status = subprocess.call([{ffmpeg!r}, *sys.argv[1:]])
with open({log!r}, "a") as log:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=log)
sys.exit(status)
"""

SHORT_THEN_LONG = """
import resource, sys
import numpy as np
from gan_models.video import write_clip
row = np.random.default_rng(0).integers(0, 256, (1, 64, 3), np.uint8).repeat(64, 0)
for length in (1, 10):
    for ending, count in ((".mp4", 180), (".gif", 60)):
        frames = (np.roll(row, index, 1) for index in range(count * length))
        write_clip(sys.argv[1] + ending, frames, 30, weights="w", settings={})
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is counted in KiB on Linux")
def test_memory_does_not_grow_with_the_length(tmp_path):
    # ffmpeg is measured from a small program between: a child's peak begins with its parent's
    log, measured = tmp_path / "log", tmp_path / "ffmpeg"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    measured.write_text(MEASURED_FFMPEG.format(python=sys.executable, ffmpeg=ffmpeg, log=str(log)))
    measured.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", SHORT_THEN_LONG, str(tmp_path / "a")],
        env={**os.environ, "IMAGEIO_FFMPEG_EXE": str(measured)},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [int(line) / 1024 for line in done.stdout.split()]
    of_ffmpeg = [int(line) / 1024 for line in log.read_text().split()]
    _, mp4, gif, long_mp4, long_gif = of_ffmpeg  # the first run lists its encoders
    growth = (ours[1] - ours[0], long_mp4 - mp4, long_gif - gif)
    assert max(growth) < 6, growth  # MiB; the further frames are 19 MiB and 8 MiB
