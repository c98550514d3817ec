"""Clips that are decoded once and packed: what is kept, where, and when it is made anew."""

import os
import resource
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_models import images
from gan_models.errors import UserError
from tests.test_clips import SIZE, moving, save_frames, save_strip, set_of, take
from trainers.data import clips as clip_sources
from trainers.data import frames, open_clips, packing


def test_photographs_as_frames_are_shrunk_as_they_are_read(tmp_path, monkeypatch):
    folder, wide = tmp_path / "data" / "one", moving(1, 3, 300, 400)
    folder.mkdir(parents=True)
    for number, frame in enumerate(wide):
        Image.fromarray(frame).save(folder / f"{number}.jpg", quality=95)
    shapes = {frame.shape for frame in frames.read_frames(folder, SIZE)}
    assert shapes == {(38, 50, 3)}
    expected = np.stack([images.centre_square(frame, SIZE) for frame in wide])
    packed = open_clips(tmp_path / "data", size=SIZE).clip(0)
    monkeypatch.setattr(clip_sources, "KEPT_BYTES", 0)  # now they are read in place
    in_place = open_clips(tmp_path / "data", size=SIZE).clip(0)
    for found in (packed, in_place):
        assert np.abs(found.astype(int) - expected).mean() <= 3


def test_a_cache_folder_is_used_again_and_notices_changes(tmp_path, monkeypatch):
    root, cache = set_of(tmp_path / "data", 2), tmp_path / "cache"
    first = open_clips(root, size=SIZE, cache_folder=cache)
    expected = first.clip(0)
    made = sorted(cache.iterdir())
    assert len(made) == 2

    def refuse(path, size):
        raise AssertionError(f"{path} was decoded again")

    monkeypatch.setattr(clip_sources, "read_frames", refuse)
    again = open_clips(root, size=SIZE, cache_folder=cache)
    np.testing.assert_array_equal(again.clip(0), expected)
    monkeypatch.undo()
    save_strip(root / "clip0.png", moving(7, 9))
    np.testing.assert_array_equal(
        open_clips(root, size=SIZE, cache_folder=cache).clip(0), moving(7, 9)
    )
    assert len(sorted(cache.iterdir())) == 3


def test_frames_replaced_in_place_are_decoded_again(tmp_path):
    data, cache = tmp_path / "data", tmp_path / "cache"

    def write(level, count=4):
        (data / "clip").mkdir(parents=True, exist_ok=True)
        for time in range(count):
            frame = np.full((SIZE, SIZE, 3), level + time, np.uint8)
            Image.fromarray(frame).save(data / "clip" / f"{time}.bmp")
        return open_clips(data, size=SIZE, cache_folder=cache).clip(0)[:, 0, 0, 0].tolist()

    assert write(20) == [20, 21, 22, 23]
    before = [(file, file.stat()) for file in (data / "clip").iterdir()]
    assert write(200) == [200, 201, 202, 203]
    write(40)
    for file, state in before:  # as after unpacking: the times are those of the old files
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert open_clips(data, size=SIZE, cache_folder=cache).clip(0)[0, 0, 0, 0] == 40
    assert write(60, 5) == [60, 61, 62, 63, 64]


@pytest.mark.parametrize("kept", ["small", "large"])
def test_a_packed_clip_that_was_cut_is_made_again(tmp_path, monkeypatch, kept):
    if kept == "large":
        monkeypatch.setattr(clip_sources, "KEPT_BYTES", 0)
    root, cache = set_of(tmp_path / "data", 1), tmp_path / "cache"
    expected = open_clips(root, size=SIZE, cache_folder=cache).clip(0)
    (packed,) = cache.iterdir()
    whole = packed.read_bytes()
    zeros = whole[:200] + b"\0" * (len(whole) - 200)
    for broken in (b"", whole[:7], whole[:100], whole[:-1], bytes(len(whole)), zeros):
        packed.write_bytes(broken)
        again = open_clips(root, size=SIZE, cache_folder=cache)
        np.testing.assert_array_equal(again.clip(0), expected)
        assert packed.read_bytes() == whole


def test_the_temporary_cache_goes_with_the_clips(tmp_path):
    clips = open_clips(set_of(tmp_path, 2), size=SIZE, num_workers=1)
    take(clips, 2)
    folder = clips.source.cache.folder
    assert any(folder.iterdir())
    del clips
    assert not folder.exists()


def test_there_may_be_more_clips_than_open_files(tmp_path):
    clips = open_clips(set_of(tmp_path, 60), size=SIZE, num_workers=0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/proc/self/fd")) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
    try:
        take(clips, 15)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert clips.skipped == 0


def test_large_sets_are_packed_as_jpeg_or_read_in_place(tmp_path, monkeypatch):
    save_frames(tmp_path / "folder", moving(0, 5, 32, 32))
    save_strip(tmp_path / "strip.png", moving(1, 5, 32, 32))
    small = open_clips(tmp_path, size=32)
    monkeypatch.setattr(clip_sources, "KEPT_BYTES", 1000)
    large = open_clips(tmp_path, size=32, cache_folder=tmp_path / ".cache")
    np.testing.assert_array_equal(large.clip(0), small.clip(0))  # the folder itself
    assert np.abs(large.clip(1).astype(int) - small.clip(1)).mean() < 3
    (packed,) = (tmp_path / ".cache").iterdir()
    assert np.load(packed).ndim == 2  # rows of bytes
    assert take(large, 1)[0].source.shape == (4, 3, 32, 32)


def test_very_long_clips_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MAX_FRAMES", 8)
    frames = np.stack([np.full((SIZE, SIZE, 3), 10 * time, np.uint8) for time in range(20)])
    save_strip(tmp_path / "long.png", frames)
    clip = open_clips(tmp_path, size=SIZE).clip(0)
    np.testing.assert_array_equal(clip[:, 0, 0, 0], [0, 40, 80, 120, 160])


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    set_of(tmp_path, 2)
    monkeypatch.setattr(clip_sources.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError, match="which has 0.0 GB left: give a cache folder"):
        open_clips(tmp_path, size=SIZE)
    monkeypatch.undo()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gan_models.images.os.replace", full)
    with pytest.raises(UserError, match="No space left on device.*another cache folder"):
        open_clips(tmp_path, size=SIZE)
