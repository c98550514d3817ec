"""Reading clips: whatever the container claims, frames come at one rate, upright and in step."""

import gc
import io
import itertools
import os
import subprocess
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from films import counting, levels, run
from PIL import Image

from gan_models import faces
from gan_models.errors import Unreadable, UserError
from gan_models.video import (
    animations,
    clip_info,
    ffmpeg,
    open_clip,
    probing,
    reading,
    write_clip,
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One second: 25 counted frames at 25 per second."""
    folder = tmp_path_factory.mktemp("plain")
    run(folder, *counting(), "-bf", "2", "plain.mp4")
    return folder / "plain.mp4"


# --- time -------------------------------------------------------------------------------------


def test_a_constant_clip_is_read_frame_by_frame(plain):
    clip = open_clip(plain)
    assert (clip.fps, clip.width, clip.height, clip.frame_count) == (25, 32, 24, 25)
    assert clip.seconds == 1 and not clip.has_sound and clip.notices == [] and clip.path == plain
    for _ in range(2):  # it may be read again
        assert levels(clip) == list(range(25))
    frame = next(clip.frames())
    assert frame.shape == (24, 32, 3) and frame.dtype == np.uint8 and frame.flags.writeable


def test_a_varying_rate_becomes_constant(tmp_path, plain):
    kept = "select='lt(n,10)+not(mod(n-10,4))'"  # 0..9, then 10, 14, 18, 22
    run(tmp_path, "-i", plain, "-vf", kept, "-fps_mode", "vfr", "-bf", "0", "varying.mp4")
    clip = open_clip(tmp_path / "varying.mp4")
    assert clip.fps == 25 and "varying frame rate became 25 frames" in clip.notices[0]
    shown = levels(clip)
    assert 23 <= len(shown) <= 26 and len(shown) == clip.frame_count
    assert shown[:23] == [*range(10), *[10] * 4, *[14] * 4, *[18] * 4, 22]


def test_milliseconds_of_matroska_are_no_varying_rate(tmp_path):
    for rate in ("30000/1001", "60"):
        run(tmp_path, *counting(25, Fraction(rate)), "a.mkv")
        clip = open_clip(tmp_path / "a.mkv")
        assert clip.fps == Fraction(rate) and clip.notices == [] and clip.frame_count == 25


@pytest.mark.parametrize("cut", [["-ss", "0.4"], ["-itsoffset", "5"], ["-itsoffset", "0.3"]])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_edit_lists_and_late_starts_do_not_count(tmp_path, plain, cut, ending):
    name = "cut" + ending
    run(tmp_path, *cut, "-i", plain, "-c", "copy", name)
    clip = open_clip(tmp_path / name)
    first = 10 if cut[0] == "-ss" and ending == ".mp4" else 0  # only .mp4 can cut between keyframes
    shown = levels(clip)
    assert clip.fps == 25 and shown == list(range(first, 25))


def test_hidden_and_unstamped_packets_are_counted_by_decoding(tmp_path):
    run(
        tmp_path,
        *counting(),
        "-c:v",
        "libvpx",
        "-lag-in-frames",
        "9",
        "-auto-alt-ref",
        "1",
        "a.webm",
    )
    run(tmp_path, *counting(), "-c:v", "mpeg4", "-bf", "2", "-q:v", "1", "a.avi")
    run(tmp_path, *counting(), "-bf", "2", "a.h264")
    for name in ("a.webm", "a.avi", "a.h264"):
        clip = open_clip(tmp_path / name)
        assert (clip.fps, clip.frame_count) == (25, 25), name
        assert levels(clip) == list(range(25)), name


def test_fast_clips_are_thinned_out_and_slow_ones_filled(tmp_path, plain):
    run(tmp_path, "-r", "120", "-i", plain, "-bf", "0", "fast.mp4")
    clip = open_clip(tmp_path / "fast.mp4")
    assert clip.fps == 60 and clip.notices == ["The clip's 120 frames per second became 60."]
    assert levels(clip)[:12] == list(range(0, 24, 2)) and clip.frame_count in (12, 13)
    assert open_clip(plain, max_fps=10).fps == Fraction(25, 3)
    run(tmp_path, *counting(3, 25), "-vf", "setpts=N*100,settb=1/25", "-r", "1/4", "slow.mp4")
    slow = open_clip(tmp_path / "slow.mp4")
    assert slow.fps == 10 and levels(slow) == [0] * 40 + [1] * 40 + [2] * 40


def test_one_frame(tmp_path):
    run(tmp_path, *counting(1, 30), "one.mp4")
    clip = open_clip(tmp_path / "one.mp4")
    assert (clip.frame_count, clip.fps, levels(clip)) == (1, 30, [0])


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_uneven_pictures_keep_their_time(tmp_path, ending):
    path = tmp_path / f"uneven{ending}"
    frames = [Image.new("RGB", (20, 10), (80 * index, 0, 0)) for index in range(4)]
    lengths = [100, 300, 50, 200]
    options = {"lossless": True} if ending == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=lengths, **options)
    clip = open_clip(path)
    assert (clip.width, clip.height) == (20, 10) and abs(clip.seconds - 0.65) <= 1 / clip.fps
    shown = [round(frame[5, 5, 0] / 80) for frame in clip.frames()]
    expected = [*[0] * 100, *[1] * 300, *[2] * 50, *[3] * 200]  # per millisecond
    times = ((np.arange(len(shown)) + 0.5) / float(clip.fps) * 1000).astype(int)
    assert [expected[min(ms, 649)] for ms in times] == shown
    part = open_clip(path, start=0.4, seconds=0.05)
    assert {round(frame[5, 5, 0] / 80) for frame in part.frames()} == {2}


def test_a_part_is_the_same_as_in_the_whole(tmp_path, plain, monkeypatch):
    assert levels(open_clip(plain, start=0.2, seconds=0.4)) == list(range(5, 15))
    assert levels(open_clip(plain).part(0.2, 0.4)) == list(range(5, 15))
    thin = open_clip(plain, max_fps=10, max_side=20).part(0.2, 0.4)
    assert (thin.fps, max(thin.width, thin.height)) == (Fraction(25, 3), 20)
    assert levels(thin) == levels(open_clip(plain, max_fps=10, start=0.2, seconds=0.4))
    assert levels(open_clip(plain, start=0.97)) == [24] == levels(open_clip(plain, start=0.999))
    with pytest.raises(Unreadable, match=r"1\.00 seconds long: it has nothing at 1\.0"):
        open_clip(plain, start=1)
    run(tmp_path, "-stream_loop", "3", "-i", plain, "-g", "20", "-t", "4", "-bf", "2", "long.mp4")
    monkeypatch.setattr(reading, "SEEK_FROM", 1)  # so that it is looked up in the file
    monkeypatch.setattr(reading, "SEEK_BEFORE", 0.5)
    assert levels(open_clip(tmp_path / "long.mp4", start=2.2, seconds=0.6)) == list(range(5, 20))


# --- pixels -----------------------------------------------------------------------------------


def test_rotation_flags_and_oblong_pixels(tmp_path):
    corner = "drawbox=w=8:h=8:color=white:t=fill"  # at the top left
    run(tmp_path, *counting(3), "-vf", corner, "-bf", "0", "up.mp4")
    for turn, place in ((90, (-4, 4)), (-90, (4, -4)), (180, (-4, -4))):
        run(tmp_path, "-display_rotation", turn, "-i", "up.mp4", "-c", "copy", "turned.mp4")
        clip = open_clip(tmp_path / "turned.mp4")
        frame = next(clip.frames())
        assert frame.shape == ((24, 32, 3) if turn == 180 else (32, 24, 3))
        assert frame.shape[:2] == (clip.height, clip.width)
        assert frame[place].mean() > 200 and frame.mean() < 80
    run(tmp_path, "-i", "up.mp4", "-vf", "setsar=2/1", "wide.mp4")
    run(tmp_path, "-i", "up.mp4", "-vf", "setsar=1/2", "tall.mp4")
    assert next(open_clip(tmp_path / "wide.mp4").frames()).shape == (24, 64, 3)
    assert next(open_clip(tmp_path / "tall.mp4").frames()).shape == (48, 32, 3)
    assert next(open_clip(tmp_path / "wide.mp4", max_side=16).frames()).shape == (6, 16, 3)


@pytest.mark.parametrize(
    "options",
    [
        ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=none"],
        ["-pix_fmt", "yuv444p"],
        ["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p"],
    ],
)
def test_other_codes_and_odd_sizes(tmp_path, options):
    odd = ["-vf", "crop=31:23:exact=1"] if "yuv420p" in options or "yuv444p" in options else []
    run(tmp_path, *counting(4), *odd, *options, "a.mkv")
    clip = open_clip(tmp_path / "a.mkv")
    assert levels(clip) == list(range(4))
    assert (clip.width, clip.height) == ((31, 23) if odd else (32, 24))


def test_transparency_is_over_white(tmp_path):
    red = "color=red@0.5:s=32x24:r=25:d=0.12,format="
    run(tmp_path, "-f", "lavfi", "-i", red + "rgba", "-c:v", "png", "a.mov")
    run(tmp_path, "-f", "lavfi", "-i", red + "yuva420p", "-c:v", "libvpx-vp9", "a.webm")
    for name in ("a.mov", "a.webm"):
        colour = next(open_clip(tmp_path / name).frames())[12, 16]
        assert abs(colour.astype(int) - (255, 128, 128)).max() <= 4, name


def test_high_dynamic_range(tmp_path, monkeypatch):
    grey = "color=gray:s=32x24:r=25:d=0.12,format=yuv444p,setparams=color_primaries=bt709"
    steps = f"{grey}:color_trc=bt709:colorspace=bt709:range=tv,zscale=t=linear:npl=100"
    steps += ",format=gbrpf32le,zscale=p=2020:t=smpte2084:m=2020_ncl:r=tv,format=yuv420p10le"
    marks = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
    codec = ["-c:v", "libx265", "-x265-params", "log-level=none", "-color_range", "tv"]
    run(tmp_path, "-f", "lavfi", "-i", steps, *codec, *marks, "hdr.mp4")
    clip = open_clip(tmp_path / "hdr.mp4")
    mapped = next(clip.frames()).mean()
    assert clip.notices == [] and abs(mapped - 128) < 12
    monkeypatch.setattr(reading, "_tone_mapping", lambda: False)
    plainly = open_clip(tmp_path / "hdr.mp4")
    assert "high dynamic range" in plainly.notices[0]
    assert abs(next(plainly.frames()).mean() - 128) > abs(mapped - 128)


def test_pictures_are_clips_of_one_frame(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned
    Image.new("RGB", (40, 20), (200, 10, 10)).save(tmp_path / "a.jpg", exif=exif)
    os.rename(tmp_path / "a.jpg", tmp_path / "named.mp4")
    clip = open_clip(tmp_path / "named.mp4", max_side=20)
    assert (clip.frame_count, clip.fps, clip.width, clip.height) == (1, 25, 10, 20)
    assert [frame.shape for frame in clip.frames()] == [(20, 10, 3)]
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.gif")
    assert next(open_clip(tmp_path / "clear.gif").frames()).mean() == 255


def test_a_size_that_changes_midway(tmp_path):
    run(tmp_path, *counting(25), "-f", "mpegts", "a.ts")
    later = ["-output_ts_offset", "1", "-f", "mpegts", "b.ts"]
    run(tmp_path, *counting(25, height=48, width=48), *later)
    (tmp_path / "both.ts").write_bytes(
        b"".join((tmp_path / n).read_bytes() for n in ("a.ts", "b.ts"))
    )
    clip = open_clip(tmp_path / "both.ts")
    shown = levels(clip)
    assert {frame.shape for frame in clip.frames()} == {(24, 32, 3)}
    assert (
        abs(len(shown) - 50) <= 1
        and shown[:24] == list(range(24))
        and shown[-20:] == list(range(5, 25))
    )


@pytest.mark.parametrize("box", [(40, 10, 200, 170), (-30, -50, 170, 150), (20.4, 9.8, 93.9, 83.3)])
def test_ffmpeg_cuts_out_and_scales(tmp_path, box):
    waves = "nullsrc=s=320x180:r=25:d=0.2,geq=r='128+100*sin(X/9)':g='128+90*cos(Y/7)':b='X/2'"
    run(tmp_path, "-f", "lavfi", "-i", waves, "-pix_fmt", "yuv444p", "-crf", "4", "a.mp4")
    whole, box = list(open_clip(tmp_path / "a.mp4").frames()), faces.Box(*box)
    clip = open_clip(tmp_path / "a.mp4").cropped(box, 64)
    assert (clip.width, clip.height, clip.frame_count) == (64, 64, 5)
    for frame, full in zip(clip.frames(), whole, strict=True):
        assert abs(frame.astype(int) - faces.crop(full, box, 64)).mean() < 3
    oblong = open_clip(tmp_path / "a.mp4").cropped(box, (20, 64))
    assert next(oblong.frames()).shape == (20, 64, 3)
    with pytest.raises(UserError, match="lies beside the 320 x 180"):
        open_clip(tmp_path / "a.mp4").cropped(faces.Box(320, 0, 330, 10), 8)


def test_a_crop_is_in_pixels_as_they_are_shown(tmp_path):
    corner = "drawbox=w=8:h=8:color=white:t=fill"  # at the top left
    run(tmp_path, *counting(3), "-vf", f"{corner},setsar=2/1", "-bf", "0", "wide.mp4")
    run(tmp_path, "-display_rotation", 90, "-i", "wide.mp4", "-c", "copy", "turned.mp4")
    for name, box in (("wide.mp4", (0, 0, 16, 8)), ("turned.mp4", (0, 48, 8, 64))):
        frame = next(open_clip(tmp_path / name).cropped(faces.Box(*box), 8).frames())
        assert frame[2:6, 2:6].min() > 200, name
    frames = [Image.new("RGB", (20, 10), (80 * index, 0, 0)) for index in range(3)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    clip = open_clip(tmp_path / "a.webp").cropped(faces.Box(-5, 0, 5, 10), 6)
    assert [frame.shape for frame in clip.frames()] == [(6, 6, 3)] * clip.frame_count


# --- bad input --------------------------------------------------------------------------------


def test_what_is_no_clip_gets_its_sentence(tmp_path):
    def refused(name, match, content=None):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable, match=match):
            open_clip(tmp_path / name)

    refused("none.mp4", r"none\.mp4 does not exist")
    refused("empty.mp4", "is empty", b"")
    refused("text.mp4", "not a clip|cut off or damaged", b"no clip" * 50)
    refused("text.webm", "not a clip that can be read", b"no clip" * 50)
    refused("noise.mp4", "not a clip|damaged", np.random.default_rng(0).bytes(5000))
    refused("list.mp4", "text.mp4|damaged|not a clip", b"ffconcat version 1.0\nfile text.mp4\n")
    refused("large.y4m", "100 million pixels", b"YUV4MPEG2 W12000 H9000 F25:1 C420jpeg\nFRAME\n")
    (tmp_path / "folder.mp4").mkdir()
    refused("folder.mp4", "is not a file")
    tone = ["-f", "lavfi", "-i", "sine=d=0.2"]
    run(tmp_path, *tone, "song.m4a")
    refused("song.m4a", "only sound and no film")
    cover = ["-f", "lavfi", "-i", "color=red:s=16x16:d=0.04:r=25", "-disposition:v", "attached_pic"]
    run(tmp_path, *tone, *cover, "-map", "0", "-map", "1", "-c:v", "png", "c.mp3")
    refused("c.mp3", "only sound and no film")
    picture = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(picture, "PNG")
    refused("cut.png", "damaged or cut off", picture.getvalue()[:500])


def test_a_playlist_is_not_followed(tmp_path, plain):
    run(tmp_path, "-i", plain, "-c", "copy", "secret.ts")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2,", "secret.ts", "#EXT-X-ENDLIST"]
    (tmp_path / "list.mp4").write_text("\n".join(lines))
    (tmp_path / "list.m3u8").write_text("\n".join(lines))
    (tmp_path / "list.gif").write_text("ffconcat version 1.0\nfile secret.ts\n")
    for name in ("list.mp4", "list.m3u8", "list.gif"):
        for asked in (open_clip, clip_info):
            with pytest.raises(Unreadable, match=name):
                asked(tmp_path / name)


def test_cut_off_clips_end_at_their_last_good_frame(tmp_path, plain):
    noise = ["-f", "lavfi", "-i", "nullsrc=s=64x64:r=25:d=2,geq=random(1)*255:128:128"]
    run(tmp_path, *noise, "-g", "10", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    clip = open_clip(tmp_path / "cut.mp4")
    assert "is cut off: its end is missing" in clip.notices[0]
    assert 15 <= clip.frame_count < 45
    assert 15 <= sum(1 for _ in clip.frames()) <= clip.frame_count
    (tmp_path / "headless.mp4").write_bytes(data[-len(data) // 2 :])
    with pytest.raises(Unreadable, match="headless"):
        open_clip(tmp_path / "headless.mp4")


WORDS = (
    "untruncated partial file ended prematurely error invalid corrupt Audio: none (attached pic)"
)


def test_words_of_the_film_itself_are_not_what_ffmpeg_says(tmp_path):
    """Its name, title and comment are text of whoever made it."""
    stream = "Stream #0:0: Video: h264, 99999x99999, 5 fps"
    told = ["-metadata", f"title={WORDS}\n  {stream}", "-metadata", f"comment={WORDS}"]
    sound = ["-f", "lavfi", "-i", "sine=d=1"]
    for ending in ("mp4", "mkv", "mov"):
        path = tmp_path / f"{WORDS}.{ending}".replace(":", "")
        run(tmp_path, *sound, *counting(), *told, "-map", "1", "-map", "0", path)
        clip = open_clip(path)
        assert (clip.frame_count, clip.fps, clip.width, clip.notices) == (25, 25, 32, [])
        assert clip.has_sound and len(list(clip.frames())) == 25 and clip.notices == []
        assert clip_info(path).label is None
    label = '{"note": "made by a model", "weights": "w"}'
    run(tmp_path, "-i", path, "-c", "copy", "-metadata", f"title=a\ncomment={label}",
        "-metadata", "comment=b", "titled.mp4")  # fmt: skip
    assert clip_info(tmp_path / "titled.mp4").label is None
    write_clip(path.with_suffix(".mp4"), clip.frames(), 25, weights="w", settings={}, audio=clip)
    assert open_clip(path.with_suffix(".mp4")).notices == []


def test_damage_in_the_middle_ends_or_mends_the_clip(tmp_path):
    noise = ["-f", "lavfi", "-i", "nullsrc=s=64x64:r=25:d=1,geq=random(1)*255:128:128"]
    run(tmp_path, *noise, "-pix_fmt", "yuv420p", "-movflags", "+faststart", "a.mp4")
    run(tmp_path, *noise, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "a.avi")
    for name in ("a.mp4", "a.avi"):
        data = bytearray((tmp_path / name).read_bytes())
        middle = slice(len(data) // 2, len(data) // 2 + 4000)
        data[middle] = np.random.default_rng(1).bytes(4000)
        (tmp_path / name).write_bytes(data)
        clip = open_clip(tmp_path / name)
        frames = list(clip.frames())
        assert 10 <= len(frames) <= clip.frame_count and clip.notices, name


def test_missing_last_frames_are_said(plain, monkeypatch):
    clip = open_clip(plain)
    filters = reading._filters

    def ending_after(count):
        def shortened(clip):
            steps, *rest = filters(clip)
            return f"{steps},trim=end_frame={count}", *rest

        monkeypatch.setattr(reading, "_filters", shortened)

    ending_after(10)
    assert levels(clip) == list(range(10))
    assert "ends at its last good frame, after 0.40 seconds" in clip.notices[0]
    ending_after(0)
    with pytest.raises(Unreadable, match="no frame that can be shown"):
        next(clip.frames())


# --- ffmpeg -----------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """The processes that were started since."""
    processes, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: processes.append(popen(*a, **k)) or processes[-1]
    )
    return processes


def test_ffmpeg_never_stays(tmp_path, started):
    run(tmp_path, *counting(200, height=240, width=320), "a.mp4")
    clip = open_clip(tmp_path / "a.mp4")
    frames = clip.frames()
    next(frames)
    assert started[-1].poll() is None
    frames.close()
    assert started[-1].poll() is not None
    dropped = clip.frames()
    next(dropped)
    del dropped
    gc.collect()
    with pytest.raises(RuntimeError):
        for _ in clip.frames():
            raise RuntimeError
    gc.collect()
    assert all(process.poll() is not None for process in started)


def test_an_ffmpeg_that_hangs_is_ended(tmp_path, plain, started, monkeypatch):
    clip = open_clip(plain)
    (tmp_path / "asleep").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "asleep").chmod(0o755)
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(tmp_path / "asleep"))
    monkeypatch.setattr(ffmpeg, "PATIENCE", 0.2)
    begun = time.monotonic()
    with pytest.raises(Unreadable, match="no frame that can be shown"):
        next(clip.frames())
    assert time.monotonic() - begun < 10
    assert all(process.poll() is not None for process in started)


def test_a_listing_that_takes_too_long_believes_the_container(plain, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(probing.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(probing, "LISTING_LIMIT", 20)
    assert abs(probing.probe(plain).seconds - 1) < 0.1


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for count in (25, 500):
        run(tmp_path, *counting(count, 25, 48, 64), "a.mp4")
        tracemalloc.start()
        assert sum(1 for _ in open_clip(tmp_path / "a.mp4").frames()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 300_000, peaks  # 475 frames are 4.4 MB


def test_a_damaged_animation_ends_early(tmp_path, monkeypatch):
    frames = [Image.effect_noise((32, 32), 90).convert("RGB") for _ in range(4)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=100)
    whole = animations.frames

    def broken(path):
        for index, frame in enumerate(whole(path)):
            if index == 2:
                raise OSError("broken")
            yield frame

    monkeypatch.setattr(animations, "frames", broken)
    clip = open_clip(tmp_path / "a.webp")
    assert clip.frame_count == 2 and "after 0.20 seconds" in clip.notices[0]
    assert sum(1 for _ in clip.frames()) == 2
