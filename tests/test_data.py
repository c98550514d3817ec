"""trainers/data: the order of pictures, broken files, .tar shards, puppets."""

import io
import itertools
import json
import logging
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_models.errors import UserError
from gan_models.images import PICTURE_ENDINGS, READABLE, resize
from trainers import puppets
from trainers.data import Stream, open_data, stream
from trainers.data.files import in_part

SIZE = 8


def colour(index: int) -> tuple[int, int, int]:
    """A colour that tells the picture's number."""
    return index, 255 - index, 7 * index % 256


def half_and_half(index: int) -> Image.Image:
    """Picture `index`: its colour on the left, black on the right, so that a mirror shows."""
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[:, : SIZE // 2] = colour(index)
    return Image.fromarray(picture)


def encoded(index: int) -> bytes:
    file = io.BytesIO()
    half_and_half(index).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """11 pictures, numbered by their colour."""
    root = tmp_path / "pictures"
    root.mkdir()
    for index in range(11):
        half_and_half(index).save(root / f"{index:02d}.png")
    return root


@pytest.fixture
def shards(tmp_path):
    """5 shards of unequal length with 29 pictures in all, class = number % 3."""
    root = tmp_path / "shards"
    root.mkdir()
    numbers = iter(range(29))
    for shard, count in enumerate((7, 4, 9, 6, 3)):
        with tarfile.open(root / f"{shard:04d}.tar", "w") as tar:
            for number in itertools.islice(numbers, count):
                add(tar, f"{number:03d}.png", encoded(number))
                add(tar, f"{number:03d}.cls", str(number % 3).encode())
    (root / "classes.txt").write_text("red\ngreen\nblue\n")
    return root


def add(tar: tarfile.TarFile, name: str, data: bytes):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def take(pictures, count, position=None, batch_size=4, **options):
    stream = pictures.batches(position or {}, batch_size, **options)
    return [
        SimpleNamespace(**batch, position=position)
        for batch, position in itertools.islice(stream, count)
    ]


def numbers(batches) -> list[int]:
    """The numbers of the pictures, read off their colours (mirrored or not)."""
    return [int(value) for batch in batches for value in batch.images[:, 0].amax((1, 2))]


def all_images(batches) -> torch.Tensor:
    return torch.cat([batch.images for batch in batches])


# The order -------------------------------------------------------------------------------------


def test_every_epoch_shows_each_picture_once_in_a_new_order(folder):
    seen = numbers(take(open_data(folder, size=SIZE, seed=3), 3, batch_size=11))
    epochs = [seen[:11], seen[11:22], seen[22:]]
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert seen == numbers(take(open_data(folder, size=SIZE, seed=3), 3, batch_size=11))
    assert seen != numbers(take(open_data(folder, size=SIZE, seed=4), 3, batch_size=11))


def test_a_batch_has_the_promised_form_and_values(folder):
    (batch,) = take(open_data(folder, size=SIZE), 1, batch_size=3)
    assert batch.images.shape == (3, 3, SIZE, SIZE) and batch.images.dtype == torch.uint8
    assert batch.labels.tolist() == [0, 0, 0] and batch.labels.dtype == torch.int64
    assert batch.position == {"images_seen": 3}
    for image, number in zip(batch.images, numbers([batch]), strict=True):
        expected = np.asarray(half_and_half(number)).transpose(2, 0, 1)
        assert (image.numpy() == expected).all()


def test_a_batch_may_be_larger_than_the_set(folder):
    (batch,) = take(open_data(folder, size=SIZE), 1, batch_size=25)
    assert sorted(numbers([batch])) == sorted([*range(11), *range(11), *numbers([batch])[22:]])


def test_resuming_after_any_batch_equals_going_on(folder):
    def sizes(seen):
        return 2 if seen < 8 else 5  # the batch grows on the way

    def opened():
        return open_data(folder, size=SIZE, mirror=True, seed=5)

    whole = take(opened(), 14, batch_size=sizes)
    for done in range(1, 13):
        position = json.loads(json.dumps(whole[done - 1].position))
        rest = take(opened(), 14 - done, position, batch_size=sizes)
        assert torch.equal(all_images(whole[done:]), all_images(rest)), done
        assert rest[-1].position == whole[-1].position


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_process_sees(world_size, folder):
    one = take(open_data(folder, size=SIZE, mirror=True), 8, batch_size=7)
    for rank in range(world_size):
        share = take(
            open_data(folder, size=SIZE, mirror=True),
            8,
            batch_size=7,
            rank=rank,
            world_size=world_size,
        )
        for whole, part in zip(one, share, strict=True):
            assert torch.equal(whole.images[rank::world_size], part.images)
            assert part.position["images_seen"] == whole.position["images_seen"]


def test_workers_change_nothing(folder):
    (folder / "05b.png").write_bytes(b"not a picture")

    def read(num_workers):
        opened = open_data(folder, size=SIZE, mirror=True, num_workers=num_workers)
        random_state = torch.get_rng_state()
        batches = take(opened, 6, batch_size=5)
        assert torch.equal(torch.get_rng_state(), random_state)
        assert opened.loader_rate > 0
        return all_images(batches), [batch.position for batch in batches], opened.skipped

    alone, two = read(0), read(2)
    assert torch.equal(alone[0], two[0])
    assert alone[1:] == two[1:]


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_mirroring_is_drawn_anew_for_each_epoch_about_half_the_time(kind, request):
    path = request.getfixturevalue(kind)
    plain = all_images(take(open_data(path, size=SIZE), 20, batch_size=11))
    mirrored = all_images(take(open_data(path, size=SIZE, mirror=True), 20, batch_size=11))
    changed = (plain != mirrored).flatten(1).any(1)
    assert torch.equal(mirrored[changed], plain[changed].flip(3))
    assert 80 < changed.sum() < 140  # of 220
    assert len({tuple(epoch.tolist()) for epoch in changed.view(20, 11)}) > 10


def test_a_batch_smaller_than_the_processes_is_refused(folder):
    with pytest.raises(UserError, match="A batch of 2 cannot be shared by 4 processes"):
        take(open_data(folder, size=SIZE), 1, batch_size=2, world_size=4)


# Folders ---------------------------------------------------------------------------------------


def test_pictures_of_any_mode_and_size_are_cut_or_stretched(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    Image.fromarray(wide).save(tmp_path / "deep" / "er" / "wide.PNG")
    (tmp_path / "notes.txt").write_text("ignored")
    (tmp_path / ".hidden.png").write_text("ignored")
    cropped = open_data(tmp_path, size=10)
    assert cropped.length == 1
    assert (take(cropped, 1, batch_size=1)[0].images == 200).all()
    stretched = take(open_data(tmp_path, size=10, resize="stretch"), 1, batch_size=1)[0].images
    assert (stretched[..., 0] == 0).all() and (stretched[..., 5] > 180).all()

    Image.new("L", (12, 12), 90).save(tmp_path / "grey.png")
    Image.new("RGBA", (12, 12), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    found = take(open_data(tmp_path, size=10), 1, batch_size=3)[0].images.float().mean((2, 3))
    assert sorted(found.int().tolist()) == [[90] * 3, [200] * 3, [255] * 3]


def test_class_folders_give_labels(tmp_path, folder):
    for index in range(11):
        place = tmp_path / "classes" / ("cat" if index < 4 else "dog") / str(index)
        place.mkdir(parents=True)
        shutil.copy(folder / f"{index:02d}.png", place)
    opened = open_data(tmp_path / "classes", size=SIZE, labels=True)
    assert opened.classes == ["cat", "dog"] and opened.num_classes == 2
    (batch,) = take(opened, 1, batch_size=11)
    assert batch.labels.tolist() == [int(number >= 4) for number in numbers([batch])]
    with pytest.raises(UserError, match="00.png lies outside a class folder"):
        open_data(folder, size=SIZE, labels=True)


def test_the_held_out_part_is_the_rest_and_does_not_move(folder):
    def names(part):
        return set(numbers(take(open_data(folder, size=SIZE, holdout=0.4, part=part), 9)))

    train, held_out = names("train"), names("held_out")
    assert train and held_out and not train & held_out and len(train | held_out) == 11
    half_and_half(40).save(folder / "another.png")
    assert names("train") - {40} == train and names("held_out") - {40} == held_out


def test_the_hold_out_takes_its_share():
    held = sum(in_part(f"{number}.jpg", 0.1, "held_out") for number in range(5000))
    assert 420 < held < 580
    assert all(in_part(str(number), 0.0, "train") for number in range(50))


def test_links_that_lead_back_up_end(folder):
    (folder / "again").symlink_to(folder)
    assert open_data(folder, size=SIZE).length == 11


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("missing", {}, "There is no folder .*missing"),
        ("empty", {}, "There are no pictures in .*empty"),
        ("file.zip", {}, "is a file: give the folder"),
        ("shard-{0..2}.tar", {}, "There is no shard .*shard-0.tar"),
        ("pictures", {"holdout": 0.7}, "A holdout of 0.7"),
        ("pictures", {"part": "held_out"}, "holdout of 0"),
        ("pictures", {"holdout": 1e-9, "part": "held_out"}, "leaves nothing of .*pictures"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, folder, path, options, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=message):
        open_data(tmp_path / path, size=SIZE, **options)


def test_puppet_counts_are_checked():
    for name in ("puppets:", "puppets:0", "puppets:many"):
        with pytest.raises(UserError, match="puppets:COUNT"):
            open_data(name, size=32)


# Broken files ----------------------------------------------------------------------------------


def break_files(folder: Path, count: int):
    """Spoil `count` pictures in different ways."""
    for index, path in enumerate(sorted(folder.glob("*.png"))[:count]):
        data = path.read_bytes()
        broken = [b"", data[: len(data) // 2], b"<html>not found</html>", data[:20] + b"\0" * 40]
        path.write_bytes(broken[index % 4])


def test_unreadable_pictures_are_replaced_counted_and_told_once(folder, caplog):
    break_files(folder, 4)
    opened = open_data(folder, size=SIZE)
    with caplog.at_level(logging.WARNING):
        batches = take(opened, 10, batch_size=11)
    assert opened.skipped == 4
    assert set(numbers(batches)) == set(range(4, 11))
    assert sum("Skipped" in record.getMessage() for record in caplog.records) <= 1
    again = take(open_data(folder, size=SIZE), 4, batches[5].position, batch_size=11)
    assert torch.equal(all_images(again), all_images(batches[6:]))


def test_a_warning_names_the_first_unreadable_picture(folder, caplog):
    (folder / "03.png").write_bytes(b"")
    opened = open_data(folder, size=SIZE)
    take(opened, 10)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "Skipped 03.png: " in message and str(folder) in message


def test_a_folder_that_is_mostly_unreadable_is_refused(folder):
    break_files(folder, 6)
    with pytest.raises(UserError, match=r"6 of the 11 pictures tried in .*pictures cannot be read"):
        open_data(folder, size=SIZE)


def test_a_large_set_that_turns_out_mostly_unreadable_stops_the_run(tmp_path):
    for index in range(60):
        half_and_half(index).save(tmp_path / f"{index:02d}.png")
    opened = open_data(tmp_path, size=SIZE, num_workers=1)  # one that keeps nothing in memory
    break_files(tmp_path, 59)
    with pytest.raises(UserError, match="cannot be read"):
        take(opened, 100)


def test_small_pictures_are_enlarged_with_one_warning(folder, caplog):
    (batch,) = take(open_data(folder, size=2 * SIZE), 1, batch_size=11)
    assert batch.images.shape[-1] == 2 * SIZE
    (message,) = [record.getMessage() for record in caplog.records]
    assert "smaller than the training size" in message


def test_a_small_set_is_decoded_once(folder):
    opened = open_data(folder, size=SIZE)
    first = take(opened, 1, batch_size=11)
    shutil.rmtree(folder)
    assert sorted(numbers(take(opened, 1, first[0].position, batch_size=11))) == list(range(11))


# Shards ----------------------------------------------------------------------------------------


def test_shards_give_every_picture_with_its_class(shards):
    opened = open_data(shards, size=SIZE, seed=1, labels=True)
    assert opened.length is None and opened.classes == ["red", "green", "blue"]
    batches = take(opened, 30)
    seen = numbers(batches)
    assert set(seen) == set(range(29)) and seen[:29] != sorted(seen[:29])
    assert [n % 3 for n in seen] == torch.cat([batch.labels for batch in batches]).tolist()


def test_a_pattern_names_the_same_shards(shards):
    by_pattern = open_data(f"{shards}/{{0000..0004}}.tar", size=SIZE, seed=1)
    assert numbers(take(by_pattern, 9)) == numbers(take(open_data(shards, size=SIZE, seed=1), 9))
    one = open_data(shards / "0001.tar", size=SIZE)
    assert sorted(numbers(take(one, 2))) == sorted([7, 8, 9, 10] * 2)


@pytest.fixture
def even_shards(tmp_path):
    """4 shards of 6 pictures each."""
    for shard in range(4):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for number in range(6 * shard, 6 * shard + 6):
                add(tar, f"{number}.png", encoded(number))
    return tmp_path


def test_shards_are_read_alike_every_time_and_in_new_order_every_epoch(even_shards):
    seen = numbers(take(open_data(even_shards, size=SIZE, seed=3), 3, batch_size=24))
    epochs = [seen[:24], seen[24:48], seen[48:]]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert seen == numbers(take(open_data(even_shards, size=SIZE, seed=3), 3, batch_size=24))
    assert seen != numbers(take(open_data(even_shards, size=SIZE, seed=4), 3, batch_size=24))


@pytest.mark.parametrize(("world_size", "num_workers"), [(2, 0), (4, 0), (2, 2), (1, 2), (8, 0)])
def test_every_process_and_worker_reads_pictures_of_its_own(even_shards, world_size, num_workers):
    shares = []
    for rank in range(world_size):
        random_state = torch.get_rng_state()
        opened = open_data(even_shards, size=SIZE, num_workers=num_workers)
        (share,) = take(opened, 1, batch_size=24, rank=rank, world_size=world_size)
        assert torch.equal(torch.get_rng_state(), random_state)
        assert opened.loader_rate > 0
        shares.append(set(numbers([share])))
    assert set.union(*shares) == set(range(24)) and sum(map(len, shares)) == 24
    if world_size == 4:  # a shard for each
        assert all(len({number // 6 for number in share}) == 1 for share in shares)


def test_shards_go_on_at_the_start_of_one(even_shards, monkeypatch):
    monkeypatch.setattr("trainers.data.shards.SHUFFLE_BUFFER", 1)  # shard after shard

    def read(count, **options):
        return take(open_data(even_shards, size=SIZE), count, batch_size=3, **options)

    whole = read(24)  # an epoch has eight batches
    assert [batch.position["shard"] for batch in whole[6:9]] == [[0, 3], [0, 3], [1, 0]]
    position = json.loads(json.dumps(whole[10].position))
    assert position == {"images_seen": 33, "shard": [1, 1]}
    resumed = read(6, position=position)
    assert numbers(resumed) == numbers(whole[10:16])
    assert resumed[-1].position == {"images_seen": 51, "shard": [1, 3]}
    # Another number of processes shares what is left of the epoch.
    shares = [read(6, position=position, rank=rank, world_size=3) for rank in range(3)]
    assert sorted(numbers(itertools.chain(*shares))) == sorted(numbers(resumed))


def test_the_held_out_part_of_shards(shards):
    def names(part):
        return set(numbers(take(open_data(shards, size=SIZE, holdout=0.3, part=part), 40)))

    assert names("train") | names("held_out") == set(range(29))
    assert names("held_out") and not names("train") & names("held_out")


def test_broken_pictures_and_cut_shards_are_skipped(shards, caplog):
    with tarfile.open(shards / "0000.tar", "w") as tar:
        for number in range(6):
            add(tar, f"{number:03d}.png", encoded(number) if number > 1 else b"broken")
    whole = (shards / "0002.tar").read_bytes()
    (shards / "0002.tar").write_bytes(whole[: 5 * 1024 + 600])
    (shards / "0003.tar").write_bytes(b"no tar at all")
    opened = open_data(shards, size=SIZE)
    seen = take(opened, 60)
    assert not {0, 1} & set(numbers(seen)) and {2, 11, 28} <= set(numbers(seen))
    assert opened.skipped == 4  # two pictures, two shards


def test_a_shard_of_fewer_pictures_than_workers(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "5.png", encoded(5))
    opened = open_data(tmp_path, size=SIZE, num_workers=2)
    assert numbers(take(opened, 5)) == [5] * 20


@pytest.mark.parametrize("num_workers", [0, 2])
def test_shards_without_a_readable_picture_end_in_a_sentence(tmp_path, num_workers):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "readme.txt", b"hello")
    with pytest.raises(UserError, match="There are no pictures to be read in .*a.tar"):
        take(open_data(tmp_path, size=SIZE, num_workers=num_workers), 1)
    for count, message in ((30, "cannot be read"), (5, "There are no pictures to be read")):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for number in range(count):
                add(tar, f"{number}.png", b"broken")
        with pytest.raises(UserError, match=message):
            take(open_data(tmp_path, size=SIZE, num_workers=num_workers), 1)


def test_labels_of_shards_need_their_names(shards):
    (shards / "classes.txt").write_text("red\n")
    with pytest.raises(UserError, match="no class of classes.txt"):
        take(open_data(shards, size=SIZE, labels=True), 40)
    (shards / "classes.txt").unlink()
    with pytest.raises(UserError, match="classes.txt"):
        open_data(shards, size=SIZE, labels=True)


# Puppets ---------------------------------------------------------------------------------------


def test_puppets_are_drawn_from_their_number_and_seed():
    opened = open_data("puppets:6", size=32, seed=2, labels=True)
    first, second = take(opened, 2, batch_size=6)
    assert opened.length == 6 and opened.classes == list(puppets.DOMAINS)
    known = [puppets.random_parameters(puppets.puppet_seed(2, index)) for index in range(6)]
    drawn = {puppets.draw(one, 32).picture.transpose(2, 0, 1).tobytes(): one for one in known}
    for batch in (first, second):
        shown = [drawn[image.numpy().tobytes()] for image in batch.images]
        assert {one.identity for one in shown} == {one.identity for one in known}
        assert [puppets.DOMAINS[n] for n in batch.labels] == [one.domain for one in shown]


@pytest.mark.parametrize(("size", "drawn_at"), [(20, 32), (520, 512)])
def test_puppets_of_sizes_that_are_not_drawn_are_resized(size, drawn_at):
    (image,) = open_data("puppets:1", size=size, seed=1).first(1)["images"]
    drawn = puppets.draw(puppets.random_parameters(puppets.puppet_seed(1, 0)), drawn_at)
    assert np.array_equal(image.permute(1, 2, 0), resize(drawn.picture, size))


def test_held_out_puppets_are_the_same_for_every_run_and_never_trained_on():
    held_out = [
        open_data("puppets:3", size=32, seed=seed, part="held_out").first(3)["images"]
        for seed in (1, 1, 8)
    ]
    assert torch.equal(held_out[0], held_out[1])
    assert {i.numpy().tobytes() for i in held_out[0]} == {i.numpy().tobytes() for i in held_out[2]}
    assert puppets.puppet_seed(1, 7, training=False) == puppets.FIRST_SCORE_SEED + 7
    seeds = {puppets.puppet_seed(1, index) for index in range(500)}
    assert len(seeds) > 490 and max(seeds) < puppets.FIRST_SCORE_SEED


# What is passed over, and texts from other editors ----------------------------------------------


def test_every_ending_of_a_picture_is_found_and_the_rest_is_said(folder, caplog):
    for ending in ("JFIF", "jpe", "apng", "mpo", "jif"):
        half_and_half(3).save(folder / f"more.{ending}", "PNG")
    (folder / "notes.txt").write_text("ours")
    (folder / "film.mp4").write_bytes(b"")
    (folder / ".hidden.txt").write_text("nobody's")
    assert open_data(folder, size=SIZE).length == 16
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == f"Passed over in {folder}: 2, such as film.mp4 (no pictures)."


def test_the_endings_are_those_that_pillow_knows():
    readable = {end for end, kind in Image.registered_extensions().items() if kind in READABLE}
    assert readable - {".pfm"} <= PICTURE_ENDINGS  # .pfm holds floating-point pixels


def test_links_that_lead_further_up_end(folder):
    half_and_half(90).save(folder.parent / "outside.png")
    (folder / "up").symlink_to(folder.parent)
    inner = folder / "inner" / "most"
    inner.mkdir(parents=True)
    (inner / "again").symlink_to(folder / "inner")
    assert open_data(folder, size=SIZE).length == 11


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_letters(tmp_path, encoding):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(6):
            add(tar, f"{number}.png", encoded(number))
            add(tar, f"{number}.cls", ("kätzchen", "dog")[number % 2].encode(encoding))
    (tmp_path / "classes.txt").write_bytes("kätzchen\r\ndog\r\n".encode(encoding))
    opened = open_data(tmp_path, size=SIZE, labels=True)
    assert opened.classes == ["kätzchen", "dog"]
    batches = take(opened, 3, batch_size=6)
    assert opened.skipped == 0
    assert [n % 2 for n in numbers(batches)] == torch.cat([b.labels for b in batches]).tolist()


def test_names_with_dots_that_make_one_sample_are_said(tmp_path, caplog):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(5):
            add(tar, f"shot at 10.{number:02d}.png", encoded(number))
        add(tar, "plain.png", encoded(7))
        add(tar, "plain.depth.png", encoded(8))
    (tmp_path / "stray.png").write_bytes(encoded(9))
    opened = open_data(tmp_path, size=SIZE)
    assert set(numbers(take(opened, 4))) == {0, 7}
    first, second = [record.getMessage() for record in caplog.records]
    assert "Passed over" in first and "stray.png" in first
    assert "holds 5 pictures whose names begin with shot at 10" in second
    assert "only one picture is used, here shot at 10.00.png" in second


# The stream itself -------------------------------------------------------------------------------


def test_a_source_is_a_length_names_and_read(tmp_path):
    class Maps:
        length, names = 5, list("abcde")

        def read(self, index, random):
            label_map = np.zeros((4, 4), np.uint8)
            label_map[:, :2] = index
            return {"label_map": label_map, "index": np.int64(index), "noise": random.random(3)}

    def read(**options):
        stream = Stream(Maps(), place="maps", seed=1, **options)
        return [batch for batch, _ in itertools.islice(stream.batches({}, 5), 8)]

    batches = read(mirror=True, num_workers=0)
    assert {name: tensor.shape for name, tensor in batches[0].items()} == {
        "label_map": (5, 4, 4), "index": (5,), "noise": (5, 3),
    }  # fmt: skip
    shown = torch.cat([batch["label_map"][:, 0, 0] for batch in batches])
    turned = torch.cat([batch["label_map"][:, 0, 3] for batch in batches])
    index = torch.cat([batch["index"] for batch in batches])
    assert torch.equal(shown + turned, index) and 8 < (turned > 0).sum() < 24
    assert len(torch.cat([batch["noise"] for batch in batches]).unique(dim=0)) == 40
    for ours, theirs in zip(batches, read(mirror=True, num_workers=2), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    in_order = read(shuffle=False, num_workers=0)
    assert all(batch["index"].tolist() == [0, 1, 2, 3, 4] for batch in in_order)


def test_batches_come_to_the_device(folder):
    opened = open_data(folder, size=SIZE)
    plain = take(opened, 3)
    moved = take(opened, 3, device=torch.device("cpu"))
    assert torch.equal(all_images(plain), all_images(moved))
    assert moved[2].position == plain[2].position


def test_workers_where_they_pay(monkeypatch):
    def workers(cores, gpu=False, share="1"):
        monkeypatch.setattr("os.cpu_count", lambda: cores)
        monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", share)
        return stream.useful_workers()

    assert [workers(cores) for cores in (1, 2, 3, 4, 16)] == [0, 0, 2, 3, 4]
    assert [workers(cores, gpu=True) for cores in (1, 2, 16)] == [0, 1, 4]
    assert workers(16, gpu=True, share="8") == 1
