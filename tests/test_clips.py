"""Clips for motion training: what counts as one, the order of pairs, splits, and broken files."""

import csv
import itertools
import logging
import shutil
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from gan_models.errors import UserError
from gan_models.video import write_clip
from trainers import puppets
from trainers.data import open_clips
from trainers.data.clips import MOST_COMPARED

SIZE = 16
# The draw of numpy's old generator with seed 0 among all pairs, as the official code makes it.
OFFICIAL_PAIRS = {
    (10, 50): [(2, 6), (8, 6), (0, 2), (5, 5), (7, 5), (9, 3), (1, 6), (7, 3), (5, 4), (9, 5)],
    (4, 50): [(0, 1), (1, 2), (2, 0), (2, 1), (3, 1), (1, 0), (0, 2), (3, 2), (2, 2), (1, 3)],
    (31, 8): [(5, 5), (3, 5), (5, 3), (7, 5), (4, 2), (4, 1), (3, 7), (5, 0)],
}


def moving(seed: int, count: int = 6, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """(count, H, W, 3) uint8: a coarse pattern of its own that slides and darkens over time."""
    pattern = np.random.default_rng(seed).integers(60, 256, (4, 4, 3)).astype(np.uint8)
    picture = cv2.resize(pattern, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.stack(
        [
            (np.roll(picture, 2 * time, 1) * (1 - 0.05 * time)).astype(np.uint8)
            for time in range(count)
        ]
    )


def save_frames(folder, frames, name="{}.png"):
    folder.mkdir(parents=True)
    for time, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(time))


def save_strip(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(path)


def set_of(root, count, frames=6):
    for index in range(count):
        save_strip(root / f"clip{index}.png", moving(index, frames))
    return root


def take(clips, count, batch_size=4, position=None, **share):
    batches = clips.batches(position or {}, batch_size, **share)
    return [
        SimpleNamespace(**batch, position=position)
        for batch, position in itertools.islice(batches, count)
    ]


def pixels(batches) -> np.ndarray:
    """(pairs, 2, 3, S, S)"""
    pairs = [np.stack([batch.source.numpy(), batch.driving.numpy()], 1) for batch in batches]
    return np.concatenate(pairs)


# --- what counts as a clip ------------------------------------------------------------------------


def test_every_layout_gives_the_same_frames(tmp_path):
    frames = moving(1, 12)
    save_frames(tmp_path / "folder", frames)  # 10.png follows 9.png
    save_strip(tmp_path / "strip.png", frames)
    options = dict(weights="none", settings={})
    write_clip(tmp_path / "film.mp4", frames, 25, **options)
    write_clip(tmp_path / "film.gif", frames, 25, **options)
    save_frames(tmp_path / "inner" / "deep", frames[:3])
    (tmp_path / ".hidden.mp4").write_bytes(b"no")
    (tmp_path / "notes.txt").write_text("no")
    clips = open_clips(tmp_path, size=SIZE)
    assert clips.names == ["film.gif", "film.mp4", "folder", "inner/deep", "strip.png"]
    assert clips.length == 5 and clips.skipped == 0
    assert [clips.source.num_frames(index) for index in range(5)] == [12, 12, 12, 3, 12]
    np.testing.assert_array_equal(clips.clip(2), frames)
    np.testing.assert_array_equal(clips.clip(4), frames)
    np.testing.assert_array_equal(clips.clip(4, max_frames=5), frames[:5])
    assert clips.clip(3, max_frames=9).shape == (3, SIZE, SIZE, 3)
    for film in (0, 1):
        assert np.abs(clips.clip(film).astype(int) - frames).mean() < 12


def test_other_sizes_become_the_middle_square(tmp_path, caplog):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200  # only the middle square is bright
    save_frames(tmp_path / "wide", [wide, wide // 2])
    save_frames(tmp_path / "small", moving(0, 2, 8, 8))
    clips = open_clips(tmp_path, size=SIZE)
    assert clips.clip(clips.names.index("wide"), 1).min() > 190
    take(clips, 1)
    assert "small is smaller" in caplog.text and "enlarged" in caplog.text


def test_large_videos_are_read_whole_at_the_training_size(tmp_path):
    frames = moving(2, 4, 96, 128)
    write_clip(tmp_path / "film.mp4", frames, 25, weights="none", settings={})
    shown = open_clips(tmp_path, size=SIZE).clip(0)
    expected = [
        cv2.resize(f[:, 16:112], (SIZE, SIZE), interpolation=cv2.INTER_AREA) for f in frames
    ]
    assert np.abs(shown.astype(int) - np.stack(expected)).mean() < 6


def test_every_ending_of_a_film_is_found_and_the_rest_is_said(tmp_path, caplog):
    frames = moving(3, 4, 32, 32)
    write_clip(tmp_path / "a.mp4", frames, 25, weights="none", settings={})
    for ending in ("MTS", "m2ts", "vob", "3g2", "asf", "wmv", "mpg", "ogv", "flv"):
        shutil.copy(tmp_path / "a.mp4", tmp_path / f"{ending}.{ending}")
    save_frames(tmp_path / "frames", frames, "{}.jfif")
    (tmp_path / "frames" / "notes.txt").write_text("ours")
    (tmp_path / "pairs.csv").write_text("source,driving")
    clips = open_clips(tmp_path, size=SIZE)
    assert clips.length == 11 and clips.source.num_frames(clips.names.index("frames")) == 4
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == (f"Passed over in {tmp_path}: 2, such as pairs.csv (no clips).")


@pytest.mark.parametrize("place", ["", "person/a"])
def test_a_picture_beside_films_is_no_clip(tmp_path, caplog, place):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("take1.mp4", "take2.gif"):
        write_clip(folder / name, moving(1, 3, 32, 32), 25, weights="none", settings={})
    Image.new("RGB", (64, 48)).save(folder / "cover.jpg")
    Image.new("RGB", (96, 32)).save(folder / "banner.png")  # wide as three squares
    (folder / "broken.webp").write_bytes(b"")
    save_strip(folder / "strip.png", moving(2, 12))
    clips = open_clips(tmp_path, size=SIZE)
    assert [name.rpartition("/")[2] for name in clips.names] == [
        "strip.png", "take1.mp4", "take2.gif",
    ]  # fmt: skip
    assert clips.skipped == 0 and "3, such as" in caplog.text and "banner.png" in caplog.text


def test_a_film_beside_many_frames_is_their_preview(tmp_path, caplog):
    save_frames(tmp_path / "clip", moving(1, 12))
    (tmp_path / "clip" / "preview.gif").write_bytes(b"GIF89a")
    assert open_clips(tmp_path, size=SIZE).names == ["clip"]
    assert "such as clip/preview.gif" in caplog.text


def test_links_that_lead_upwards_end(tmp_path):
    set_of(tmp_path / "outside" / "data", 2)
    root = tmp_path / "outside" / "data"
    save_frames(root / "deep" / "clip", moving(3))
    for link, target in (("up", ".."), ("same", "."), ("deep/back", "..")):
        (root / link).symlink_to(target)
    assert open_clips(root, size=SIZE).names == ["clip0.png", "clip1.png", "deep/clip"]


def test_animated_pictures_are_films(tmp_path):
    frames = [Image.fromarray(frame) for frame in moving(1, 3)]
    for name in ("a.webp", "b.apng"):
        form = "PNG" if name == "b.apng" else "WEBP"
        frames[0].save(tmp_path / name, form, save_all=True, append_images=frames[1:], duration=40)
    clips = open_clips(tmp_path, size=SIZE)
    assert clips.names == ["a.webp", "b.apng"]
    assert [clips.source.num_frames(index) for index in (0, 1)] == [3, 3]


def test_a_picture_that_is_no_strip_is_named(tmp_path):
    Image.new("RGB", (20, 16)).save(tmp_path / "photo.png")
    with pytest.raises(UserError, match=r"photo\.png is 20 x 16 pixels and no strip"):
        open_clips(tmp_path, size=SIZE)


# --- pairs ----------------------------------------------------------------------------------------


def test_an_epoch_visits_every_clip_and_pairs_differ(tmp_path):
    set_of(tmp_path, 6)
    clips = open_clips(tmp_path, size=SIZE, mirror=False, time_flip=False, repeats=2)
    known = [clips.clip(index) for index in range(6)]
    seen = []
    for source, driving in pixels(take(clips, 3)).transpose(0, 1, 3, 4, 2):
        index, first = next(
            (i, t) for i, k in enumerate(known) for t in range(6) if np.array_equal(k[t], source)
        )
        second = next(t for t in range(6) if np.array_equal(known[index][t], driving))
        assert first < second  # the source is the earlier frame
        seen.append(index)
    assert sorted(seen) == sorted(2 * list(range(6)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resuming_and_sharing_give_the_same_pairs(tmp_path, num_workers):
    set_of(tmp_path, 5)
    options = dict(size=SIZE, seed=3, jitter=(0.2, 0.2, 0.2, 0.1), repaint=0.5)
    options |= {"num_workers": num_workers}
    whole = take(open_clips(tmp_path, **options), 5)
    resumed = take(open_clips(tmp_path, **options), 3, position=whole[1].position)
    np.testing.assert_array_equal(pixels(resumed), pixels(whole[2:]))
    assert whole[1].position == {"images_seen": 8}
    shares = [take(open_clips(tmp_path, **options), 1, rank=rank, world_size=2) for rank in (0, 1)]
    for rank in (0, 1):
        np.testing.assert_array_equal(pixels(shares[rank]), pixels(whole[:1])[rank::2])
    other = take(open_clips(tmp_path, **{**options, "seed": 4}), 5)
    assert not np.array_equal(pixels(other), pixels(whole))


def test_id_sampling_draws_one_pair_per_video(tmp_path):
    for index, name in enumerate(["a#1.png", "a#2.png", "a#3.png", "ab#1.png"]):
        save_strip(tmp_path / name, np.full((3, SIZE, SIZE, 3), 50 * (index + 1), np.uint8))
    clips = open_clips(tmp_path, size=SIZE, id_sampling=True)
    levels = pixels(take(clips, 20, batch_size=2))[:, 0, 0, 0, 0].reshape(20, 2)
    assert (np.sort(levels) // 200 == [0, 1]).all()  # each epoch of two: one "a", one "ab"
    assert set(levels.ravel()) == {50, 100, 150, 200}


# --- splits ---------------------------------------------------------------------------------------


def test_mirror_twins_stay_on_one_side(tmp_path):
    for index in range(12):
        frames = moving(index, 5, 64, 64)
        save_strip(tmp_path / f"{2 * index:02}.png", frames)
        strip = Image.fromarray(np.concatenate(list(frames[:, :, ::-1]), axis=1))
        strip.save(tmp_path / f"{2 * index + 1:02}.jpg", quality=80)
    options = dict(size=SIZE, holdout=0.3)
    train = open_clips(tmp_path, **options).names
    held_out = open_clips(tmp_path, part="held_out", **options).names
    assert len(train) + len(held_out) == 24 and held_out
    assert not set(train) & set(held_out)
    for names in (train, held_out):
        assert all(
            int(a[:2]) + 1 == int(b[:2]) for a, b in zip(names[::2], names[1::2], strict=True)
        )


def test_clips_of_one_video_stay_on_one_side(tmp_path):
    for index in range(20):
        save_strip(tmp_path / f"video{index // 2}#{index % 2}.png", moving(index, 3))
    parts = [
        {name[:6] for name in open_clips(tmp_path, size=SIZE, holdout=0.4, part=part).names}
        for part in ("train", "held_out")
    ]
    assert all(parts) and not parts[0] & parts[1]


def test_train_and_test_folders(tmp_path, caplog):
    set_of(tmp_path / "train", 4)
    save_strip(tmp_path / "test" / "x.png", moving(2)[:, :, ::-1])
    save_strip(tmp_path / "test" / "y.png", moving(9))
    train = open_clips(tmp_path, size=SIZE)
    assert train.names == ["clip0.png", "clip1.png", "clip3.png"]
    assert "1 of the 4 training clips, such as clip2.png" in caplog.text
    test = open_clips(tmp_path, size=SIZE, part="held_out")
    assert test.names == ["x.png", "y.png"]
    np.testing.assert_array_equal(test.clip(0), moving(2)[:, :, ::-1])


def test_different_clips_are_no_twins(tmp_path):
    set_of(tmp_path / "train", 8)
    set_of(tmp_path / "more", 10)
    (tmp_path / "test").mkdir()
    for name in ("clip8.png", "clip9.png"):
        (tmp_path / "more" / name).rename(tmp_path / "test" / name)
    assert open_clips(tmp_path, size=SIZE).length == 8


# --- pairs for evaluation -------------------------------------------------------------------------


@pytest.mark.parametrize("count, most", OFFICIAL_PAIRS)
def test_drawn_pairs_are_the_official_ones(count, most):
    clips = open_clips(f"puppets:{count}", size=SIZE)
    pairs = clips.pairs(count=most)
    assert pairs[:10] == OFFICIAL_PAIRS[count, most]
    assert len(pairs) == min(most, count * count)


def test_pairs_from_a_list(tmp_path):
    clips = open_clips(set_of(tmp_path / "data", 3), size=SIZE)
    rows = [("clip0.png", "clip2.png"), ("gone.png", "clip1.png"), ("clip1", "clip0")]
    with open(tmp_path / "pairs.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["distance", "source", "driving", "frame"])
        writer.writerows([0.5, source, driving, 3] for source, driving in rows)
    assert clips.pairs(tmp_path / "pairs.csv") == [(2, 0), (0, 1)]  # (driving, source)
    assert clips.pairs(tmp_path / "pairs.csv", count=1) == [(2, 0)]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="None of the pairs"):
        clips.pairs(tmp_path / "other.csv")
    (tmp_path / "none.csv").write_text("source,driving\nx,y\n")
    with pytest.raises(UserError, match="None of the pairs"):
        clips.pairs(tmp_path / "none.csv")


# --- puppets --------------------------------------------------------------------------------------


def test_puppets_are_drawn_in_motion():
    clips = open_clips("puppets:3", size=32, seed=4, mirror=False, time_flip=False)
    for index in range(3):
        moving = puppets.clip(puppets.puppet_seed(4, index), 8, fps=1.0)
        drawn = [puppets.draw(moment, 32).picture for moment in moving]
        np.testing.assert_array_equal(clips.clip(index), drawn)
    first = take(clips, 1, batch_size=3)[0]
    assert (first.source.float() - first.driving.float()).abs().mean() > 1
    again = open_clips("puppets:3", size=32, seed=4, mirror=False, time_flip=False)
    np.testing.assert_array_equal(pixels(take(again, 1, batch_size=3)), pixels([first]))


def test_held_out_puppets_are_others_and_the_same_for_every_seed():
    held_out = [
        open_clips("puppets:2", size=32, seed=n, part="held_out").clip(1, 1) for n in (0, 5)
    ]
    np.testing.assert_array_equal(*held_out)
    assert not np.array_equal(open_clips("puppets:2", size=32).clip(1, 1), held_out[0])


def test_puppets_lend_each_other_their_motion(monkeypatch):
    lent = []
    transfer = puppets.transfer
    monkeypatch.setattr(puppets, "transfer", lambda *two: lent.append(two) or transfer(*two))
    options = dict(size=32, seed=4, mirror=False, time_flip=False, num_workers=0, transfers=0.5)
    clips = open_clips("puppets:16", **options)
    lent.clear()  # what was looked at while opening
    items = [clips.source.read(index, np.random.default_rng(index)) for index in range(16)]
    numbers = [index for index in range(16) if not same(items[index], "source", "leader_first")]
    assert 0 < len(numbers) < 16 and len(lent) == 2 * len(numbers)
    for index, item in enumerate(items):
        if index in numbers:
            us, moment = lent[2 * numbers.index(index) + 1]
            assert us == puppets.random_parameters(puppets.puppet_seed(4, index))
            truth = replace(us, pose=moment.pose, action_units=moment.action_units)
            drawn = [puppets.draw(one, 32).picture for one in (truth, moment)]
            for name, picture in zip(("driving", "leader_then"), drawn, strict=True):
                np.testing.assert_array_equal(item[name].transpose(1, 2, 0), picture)
        else:
            assert same(item, "driving", "leader_then")
    moments = [[one for _, one in lent[at : at + 2]] for at in range(0, len(lent), 2)]
    still = [first.pose.yaw == then.pose.yaw for first, then in moments]
    corners = [first.pose == then.pose for first, then in moments]
    assert 0 < sum(corners) < sum(still) < len(moments)
    assert all(first.action_units != then.action_units for first, then in moments)
    with pytest.raises(UserError, match="only puppets can lend"):
        open_clips("elsewhere", size=32, transfers=0.5)


def same(item, one, other):
    return np.array_equal(item[one], item[other])


# --- what cannot be used --------------------------------------------------------------------------


def test_unreadable_clips_are_skipped_and_counted(tmp_path, caplog):
    set_of(tmp_path, 6)
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    save_frames(tmp_path / "one", moving(8, 1))
    save_frames(tmp_path / "partly", moving(9, 4))
    (tmp_path / "partly" / "2.png").write_bytes(b"cut off")
    clips = open_clips(tmp_path, size=SIZE)
    batches = take(clips, 9)
    assert clips.skipped == 1 and "broken.mp4" in caplog.text
    assert clips.source.num_frames(clips.names.index("partly")) == 3
    assert clips.clip(clips.names.index("one")).shape == (1, SIZE, SIZE, 3)
    # Whoever starts later takes the same clips in the place of the broken one.
    later = take(open_clips(tmp_path, size=SIZE), 3, position=batches[5].position)
    np.testing.assert_array_equal(pixels(later), pixels(batches[6:]))
    assert clips.loader_rate > 0


def test_mostly_unreadable_sets_are_refused(tmp_path):
    save_strip(tmp_path / "good.png", moving(0))
    for index in range(3):
        (tmp_path / f"bad{index}.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="3 of the 4 .* cannot be read, such as bad"):
        open_clips(tmp_path, size=SIZE)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"jitter": (0, 0, 0, 0.7)}, "hue is shifted by 0.5 at most"),
        ({"resize_range": (1.1, 0.9)}, "not \\(lowest, highest\\)"),
        ({"holdout": 0.6}, "between 0 and 0.5"),
    ],
)
def test_options_that_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        open_clips("puppets:2", **{"size": SIZE, **options})


def test_places_without_clips_are_refused(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        open_clips(tmp_path / "gone", size=SIZE)
    with pytest.raises(UserError, match="There are no clips in"):
        open_clips(tmp_path, size=SIZE)
    with pytest.raises(UserError, match="puppets:COUNT"):
        open_clips("puppets:many", size=SIZE)
    set_of(tmp_path, 1)
    with pytest.raises(UserError, match="With a holdout of 0 no clips are held out"):
        open_clips(tmp_path, size=SIZE, part="held_out")
    with pytest.raises(UserError, match="too small for it"):
        open_clips(tmp_path, size=SIZE, holdout=0.001, part="held_out")


def test_too_large_sets_are_not_compared(tmp_path, monkeypatch, caplog):
    assert MOST_COMPARED > 3
    monkeypatch.setattr("trainers.data.clips.MOST_COMPARED", 3)
    set_of(tmp_path, 4)
    with caplog.at_level(logging.WARNING):
        open_clips(tmp_path, size=SIZE, holdout=0.2)
    assert "too large to look for clips" in caplog.text
