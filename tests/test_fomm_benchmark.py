"""The motion benchmark's table: both sides move the same frames, and the distance is in words."""

import numpy as np
import tiny_fomm

from benchmarks import fomm, timing


def test_table_compares_with_the_official_way(capsys):
    fomm.speed(1, tiny_fomm.SIZE, tiny_fomm.DETECTOR, tiny_fomm.GENERATOR)
    official, *ours = capsys.readouterr().out.splitlines()
    assert official.endswith("equal") and " 1.00 " in official
    assert [">= 1.45" in line for line in ours] == [True, True, False]
    for line in ours[:2]:  # equal to 1 of 255
        assert line.endswith("equal") or " 1 at most" in line
    assert "bfloat16" in ours[2] and "PSNR" in ours[2]


def test_frames_differ_and_follow_the_driving():
    networks = fomm.random_networks(tiny_fomm.DETECTOR, tiny_fomm.GENERATOR, 32)
    source, frames = fomm.smooth_pictures(1, 32, 0)[0], fomm.smooth_pictures(2, 32, 1)
    moved = fomm.official_way(*networks, source, frames)()
    assert moved.shape == (2, 32, 32, 3) and moved.dtype == np.uint8
    assert not np.array_equal(moved[0], moved[1])


def test_larger_frames_are_timed(capsys):
    fomm.full_size(1)
    own, *larger = capsys.readouterr().out.splitlines()
    assert own.startswith("frame of 128 px") and " 1.00" in own
    assert [line.split()[2] for line in larger] == ["256", "512", "1024"]


def test_distance():
    truth = np.full((1, 2, 2, 3), 100, np.uint8)
    assert timing.distance(truth, truth) == "equal"
    off = truth.copy()
    off[0, 0, 0] = 98
    words = timing.distance(off, truth)
    assert words == "0.500 of 255 off on average, 2 at most, PSNR 48.1 dB"


def test_clip_sways():
    frames = list(fomm.swaying(40, 16))
    assert len(frames) == 40 and {frame.shape for frame in frames} == {(16, 16, 3)}
    assert not np.array_equal(frames[0], frames[15])
