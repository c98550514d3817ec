"""Puppets on disk: each layout read back, refusals, and writing that is interrupted."""

import csv
import json
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_models.errors import UserError
from gan_models.video import clip_info
from trainers import puppets
from trainers.data import open_data
from trainers.puppets import __main__ as command
from trainers.puppets import drawing, layouts

ASSETS = Path(__file__).parent.parent / "assets"


def write(layout, out, *flags):
    command.main(["--layout", layout, "--out", str(out), "--size", "32", *flags])
    manifest = json.loads((out / "manifest.json").read_text())
    listed = {name for puppet in manifest["puppets"] for name in puppet["files"]}
    found = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.suffix not in (".json", ".csv")
    }
    assert found == listed
    return manifest


def read(path):
    return np.asarray(Image.open(path))


def drawn(puppet, style="training"):
    """What the manifest says a picture shows."""
    return puppets.draw(puppets.random_parameters(puppet["seed"], puppet["domain"]), 32, style)


def test_fomm_clips(tmp_path):
    manifest = write("fomm", tmp_path / "set", "--count", "1", "--num-frames", "5")
    assert [puppet["part"] for puppet in manifest["puppets"]] == ["train", "test"]
    for puppet in manifest["puppets"]:
        assert puppet["files"] == [f"{puppet['part']}/{puppet['name']}.mp4"]
        info = clip_info(tmp_path / "set" / puppet["files"][0])
        assert (info.frames, info.width, info.height, info.fps) == (5, 32, 32, 25)


def test_fomm_frames(tmp_path):
    flags = ("--clips", "frames", "--count", "1", "--num-frames", "3", "--style", "held_out")
    manifest = write("fomm", tmp_path / "set", *flags)
    puppet = manifest["puppets"][1]
    assert puppet["files"] == [f"test/{puppet['name']}/{frame:07d}.png" for frame in range(3)]
    sequence = puppets.clip(puppet["seed"], 3, puppet["domain"])
    for name, parameters in zip(puppet["files"], sequence, strict=True):
        expected = puppets.draw(parameters, 32, "held_out").picture
        assert np.array_equal(read(tmp_path / "set" / name), expected)


def test_fomm_strips(tmp_path):
    flags = ("--clips", "strips", "--count", "1", "--num-frames", "3")
    puppet = write("fomm", tmp_path / "set", *flags)["puppets"][0]
    assert puppet["files"] == [f"train/{puppet['name']}.png"]
    frames = puppets.clip(puppet["seed"], 3, puppet["domain"])
    expected = [puppets.draw(parameters, 32).picture for parameters in frames]
    assert np.array_equal(read(tmp_path / "set" / puppet["files"][0]), np.hstack(expected))


def test_stargan_v2(tmp_path):
    manifest = write("stargan_v2", tmp_path / "set", "--count", "4")
    assert manifest["val_count"] == 3
    for part in ("train", "val"):
        folders = sorted(path.name for path in (tmp_path / "set" / part).iterdir())
        assert folders == sorted(puppets.DOMAINS)
    for puppet in manifest["puppets"]:
        folder = tmp_path / "set" / puppet["part"] / puppet["domain"]
        assert np.array_equal(read(folder / f"{puppet['name']}.png"), drawn(puppet).picture)


def test_spade(tmp_path):
    manifest = write("spade", tmp_path / "set", "--count", "3", "--val-count", "2")
    root = tmp_path / "set"
    for puppet in manifest["puppets"]:
        part, name = puppet["part"], f"{puppet['name']}.png"
        truth = drawn(puppet)
        assert np.array_equal(read(root / f"{part}_img" / name), truth.picture)
        label = Image.open(root / f"{part}_label" / name)
        assert label.mode == "P" and np.array_equal(np.asarray(label), truth.label_map)
        instance = read(root / f"{part}_inst" / name)
        assert instance.shape == (32, 32) and instance.dtype == np.uint8
        # A border between labels is a border between instances, and one piece has one label.
        pairs = set(zip(instance.ravel().tolist(), truth.label_map.ravel().tolist(), strict=True))
        assert len(pairs) == len(np.unique(instance)) > len(np.unique(truth.label_map))
    assert {path.name for path in root.iterdir()} == {
        "manifest.json", "train_img", "train_label", "train_inst", "val_img", "val_label",
        "val_inst",
    }  # fmt: skip


def test_ganimation(tmp_path):
    manifest = write("ganimation", tmp_path / "set", "--count", "11")
    root = tmp_path / "set"
    with open(root / "aus.csv", newline="") as file:
        rows = {row.pop("file"): row for row in csv.DictReader(file)}
    names = {
        part: (root / f"{part}_ids.csv").read_text().splitlines() for part in ("train", "test")
    }
    assert len(names["train"]) == 11 and len(names["test"]) == 1
    assert list(rows) == names["train"] + names["test"]
    for puppet in manifest["puppets"]:
        file = f"{puppet['name']}.jpg"
        parameters = puppets.random_parameters(puppet["seed"], puppet["domain"])
        assert list(rows[file]) == [f"AU{unit:02d}_r" for unit in puppets.ACTION_UNITS]
        intensities = np.array([float(value) for value in rows[file].values()])
        np.testing.assert_allclose(intensities / 5, parameters.action_units, atol=1e-4)
        difference = np.abs(read(root / "imgs" / file).astype(int) - drawn(puppet).picture)
        assert difference.mean() < 4
    assert not list(root.rglob("*.pkl"))


def test_progan_flat_and_in_class_folders(tmp_path):
    manifest = write("progan", tmp_path / "flat", "--count", "6")
    assert [puppet["part"] for puppet in manifest["puppets"]] == ["train"] * 6
    pictures = open_data(tmp_path / "flat", size=32)
    assert pictures.length == 6
    write("progan", tmp_path / "classes", "--count", "6", "--class-folders")
    pictures = open_data(tmp_path / "classes", size=32, labels=True)
    assert pictures.classes == sorted(puppets.DOMAINS)
    assert sorted(pictures.first(6)["labels"].tolist()) == [0, 0, 1, 1, 2, 2]


def test_what_the_judge_reads(tmp_path):
    manifest = write("judge", tmp_path / "set", "--count", "2")
    for puppet in manifest["puppets"]:
        truth, parameters = (
            drawn(puppet),
            puppets.random_parameters(puppet["seed"], puppet["domain"]),
        )
        with np.load(tmp_path / "set" / puppet["files"][0]) as file:
            for name, value in vars(truth).items():
                assert np.array_equal(file[name], value) and file[name].dtype == value.dtype
            assert puppets.DOMAINS[file["domain"]] == puppet["domain"]
            assert np.array_equal(file["action_units"], np.float32(parameters.action_units))
            assert file["style"][1] == np.float32(parameters.style.hair)
            assert file["identity"][3] == np.float32(parameters.identity.chin)


def test_training_and_scoring_never_share_a_puppet(tmp_path):
    options = [layouts.Options(seed=seed, val_count=50) for seed in (0, 1)]
    first, second = ([*layouts.plan("spade", 200, choice)] for choice in options)
    trained = {entry.seed for entry in first + second if entry.part == "train"}
    scored = {entry.seed for entry in first if entry.part == "val"}
    assert len(trained) == 400 and len(scored) == 50 and max(trained) < min(scored)
    assert scored == {entry.seed for entry in second if entry.part == "val"}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--count", "0"], "--count 0: give 1 or more"),
        (["--count", "-3"], "--count -3"),
        (["--layout", "stargan_v2", "--count", "2"], "one of each domain (human, cat, robot)"),
        (["--layout", "spade", "--val-count", "0"], "--val-count 0"),
        (["--val-count", "4"], "progan has no second part"),
        (["--size", "16"], "32 to 512"),
        (["--layout", "fomm", "--size", "33"], "even sizes"),
        (["--layout", "fomm", "--num-frames", "1"], "2 frames or more"),
        (["--seed", "-1"], "--seed -1"),
        (["--out", "full"], "full is not empty"),
        (["--out", "full/file.txt"], "is a file"),
        (["--out", "full/file.txt/below"], "could not be written (Not a directory)"),
        (["--out", "."], "the working folder itself"),
    ],
)
def test_mistakes_are_named(tmp_path, monkeypatch, flags, sentence):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refused:
        command.main(["--layout", "progan", "--out", "new", "--count", "3", *flags])
    assert sentence in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert (tmp_path / "full" / "file.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [([], "nothing to write"), (["--layout", "progan"], "go together"), (["--out", "a"], "both")],
)
def test_options_that_go_together(flags, sentence):
    with pytest.raises(SystemExit, match=sentence):
        command.main(flags)


# Sets that --data puppets means ----------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "puppets"


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def drawn_set(count, layout="progan", **options):
    return puppets.drawn_set(layout, f"puppets:{count}", 9, size=32, **options)


@pytest.mark.parametrize("layout", ["progan", "fomm", "judge"])
def test_a_set_is_drawn_once_and_grows(cache, layout):
    root, names = drawn_set(3, layout)
    assert root.parent == cache and sorted(names) == sorted(files_of(root))
    first = files_of(root)
    assert drawn_set(3, layout) == (root, names) and files_of(root) == first
    _, more = drawn_set(5, layout)
    assert more[:3] == names and len(more) == 5
    assert {name: files_of(root)[name] for name in names} == first
    assert drawn_set(2, layout) == (root, names[:2])
    assert puppets.drawn_set(layout, "puppets", 4, size=32) == (root, more[:4])


@pytest.mark.parametrize("layout", ["progan", "fomm", "judge"])
def test_files_that_a_power_cut_left_are_drawn_again(cache, layout):
    root, names = drawn_set(5, layout)
    before = {name: (root / name).read_bytes() for name in names}
    for name, length in zip(names, (0, 8, -9, None), strict=False):
        (root / name).write_bytes(before[name][:length])
    (root / names[3]).write_bytes(bytes(len(before[names[3]])))
    (root / ".0123.part.png").write_bytes(b"half")
    assert drawn_set(5, layout) == (root, names)
    assert {name: (root / name).read_bytes() for name in names} == before


def test_size_seed_and_part_have_sets_of_their_own(cache):
    folders = {
        drawn_set(1, **options)[0].name for options in ({}, {"seed": 1}, {"part": "held_out"})
    }
    folders.add(puppets.drawn_set("progan", "puppets:1", 9, size=64)[0].name)
    assert len(folders) == 4 and f"progan-{drawing.VERSION}-32px-seed0" in folders
    assert drawn_set(1, seed=7, part="held_out")[0].name in folders
    assert puppets.drawn_set("progan", "puppets:1", 9, size=8)[0].name in folders


def test_an_interrupted_drawing_goes_on(cache, monkeypatch):
    expected = drawn_set(6, seed=1)[1]
    shutil.rmtree(cache)
    left, save = iter(range(4)), layouts.save

    def stop_at_the_fifth(*arguments, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return save(*arguments, **options)

    monkeypatch.setattr(layouts, "save", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        drawn_set(6, seed=1)
    monkeypatch.undo()
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(cache.parent))
    (root,) = cache.iterdir()
    half = files_of(root)
    assert len(half) == 4
    assert drawn_set(6, seed=1) == (root, expected)
    assert {name: files_of(root)[name] for name in half} == half


def test_processes_draw_what_one_draws(cache, monkeypatch):
    (root, names), alone = drawn_set(9), None
    alone = {name: data for name, (data, _) in files_of(root).items()}
    shutil.rmtree(cache)
    monkeypatch.setattr(layouts, "WORTH_PROCESSES", 2)
    assert drawn_set(9) == (root, names)
    assert {name: data for name, (data, _) in files_of(root).items()} == alone


def test_two_commands_may_draw_one_set_at_once(cache):
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=drawn_set, args=(40,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    (root,) = cache.iterdir()
    files = files_of(root)
    _, names = drawn_set(40)
    assert files_of(root) == files and sorted(files) == sorted(names)


def test_a_place_that_cannot_be_written_to_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set GAN_ATELIER_CACHE to a folder"):
        drawn_set(1)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_set_leaves_nothing(tmp_path, monkeypatch, failure):
    left = iter(range(2))
    save = layouts.save

    def fail_at_the_third(*arguments, **options):
        if next(left, None) is None:
            raise failure
        return save(*arguments, **options)

    monkeypatch.setattr(layouts, "save", fail_at_the_third)
    expected = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else SystemExit
    with pytest.raises(expected) as ended:
        write("progan", tmp_path / "set", "--count", "5")
    assert list(tmp_path.iterdir()) == []
    if expected is SystemExit:
        assert "No space left on device" in str(ended.value)


def test_what_a_killed_command_left_is_no_hindrance(tmp_path):
    (tmp_path / ".set.part" / "train").mkdir(parents=True)
    (tmp_path / "set").mkdir()  # an empty folder may be there
    write("progan", tmp_path / "set", "--count", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_sheet(tmp_path):
    command.main(["--sheet", str(tmp_path / "sheet.png")])
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape == (724, 1186, 3)
    shipped = read(ASSETS / "puppets.png")
    assert np.abs(sheet.astype(int) - shipped).mean() < 1, "draw assets/puppets.png anew"
    assert (ASSETS / "puppets.png").stat().st_size < 600_000
    with pytest.raises(SystemExit, match="must end in"):
        command.main(["--sheet", str(tmp_path / "sheet.txt")])
