"""The tab "Latent space": its handlers, called as the page calls them, on tiny weights."""

import pickle
import threading
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import safetensors.numpy

from gan_models import images, names, video
from gan_models.errors import UserError
from gan_models.progan import ProGANPipeline
from tabs import jobs, latent, weights_menu
from tabs import texts as words
from tabs.latent import clips, examples, handlers, texts
from tests import tiny

ONE, TWO = {"name": "seed 1", "seed": 1}, {"name": "seed 2", "seed": 2}
CLASSES = ["human", "cat", "robot"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The page's settings with two weights: "plain" (16 px) and "classes" (8 px, other latents)."""
    root = tmp_path_factory.mktemp("weights")
    plain = tiny.save_progan(root / "plain")
    labelled = tiny.save_progan(root / "classes", CLASSES, resolution=8, latent_size=12, seed=1)
    given = (("plain", str(plain)), ("classes", str(labelled)))
    return jobs.Settings(device="cpu", weights=given)


@pytest.fixture(scope="module")
def pipeline(settings):
    return ProGANPipeline.from_weights(dict(settings.weights)["plain"], device="cpu")


def visitor(name="a visitor"):
    return SimpleNamespace(session_hash=name)


def last(answers):
    """The last answer of a handler that yields no file."""
    return list(answers)[-1]


def is_skip(value):
    return value == gr.skip()


def show(settings, name="plain", label="", start=ONE, end=TWO, position=50, growth=100, **other):
    way, sharp = other.get("way", "spherical"), other.get("sharp", False)
    return handlers.show(settings, name, label, start, end, position, growth, way, sharp)


# --- the live picture


@pytest.mark.parametrize("way", ["spherical", "linear"])
def test_the_picture_between_two_seeds(settings, pipeline, way):
    list(show(settings))  # the weights are there now
    answers = show(settings, position=40, way=way, sharp=True)
    path, caption, text, stage, notice = next(answers)
    label = images.read_settings(path)
    large = images.read_picture(path)
    answers.close()
    assert not Path(path).exists(), "the file goes once the page has its copy"

    mix = pipeline.mix(pipeline.latents(1), pipeline.latents(2), 0.4, way)
    expected = pipeline.sample(mix)[0]
    assert np.array_equal(large, expected.repeat(32, 0).repeat(32, 1))
    assert label["note"] == "made by a model" and label["weights"] == "plain"
    assert label["settings"]["position"] == "40 %" and label["settings"]["path"] == way
    assert "start: seed 1" in text and f"path: {way}" in text
    assert caption == "Seed 1 to seed 2, 40 %. 16 px, shown at 512 px."
    assert stage.selected == "picture" and notice == ""


@pytest.mark.parametrize(("position", "seed"), [(0, 1), (100, 2)])
def test_the_ends_of_the_path_are_the_two_pictures(settings, pipeline, position, seed):
    picture, record = handlers._current(settings, "plain", "", ONE, TWO, position, 100, "spherical")
    difference = picture.astype(int) - pipeline.sample(pipeline.latents(seed))[0]
    assert np.abs(difference).max() <= 1  # the end of the spherical path is rounded once more
    assert record["resolution"] == 16 and record["fade_in"] == 1


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (0, (4, 1.0)),
        (25, (8, 0.5)),
        (50, (8, 1.0)),
        (75, (16, 0.5)),
        (99, (16, 0.98)),
        (100, (16, 1.0)),
    ],
)
def test_growth_goes_through_resolutions_and_fade_in(growth, expected):
    assert handlers._grown([4, 8, 16], growth) == expected


def test_every_step_of_the_growth_slider_draws(settings, pipeline):
    latents = pipeline.mix(pipeline.latents(1), pipeline.latents(2), 0.5)
    for growth in range(0, 101, 5):
        picture, record = handlers._current(
            settings, "plain", "", ONE, TWO, 50, growth, "spherical"
        )
        size, alpha = record["resolution"], record["fade_in"]
        assert np.array_equal(picture, pipeline.sample(latents, resolution=size, alpha=alpha)[0])


def test_small_pictures_are_enlarged_smoothly_or_sharply_and_large_ones_kept():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert handlers.enlarge(picture, 512).shape == (512, 512, 3)
    assert np.array_equal(handlers.enlarge(picture, 512, sharp=True)[::8, ::8], picture)
    assert handlers.enlarge(picture, 0) is picture and handlers.enlarge(picture, 64) is picture


def test_the_page_is_told_that_weights_load(settings, monkeypatch):
    monkeypatch.setattr(jobs, "_slots", type(jobs._slots)())
    first, *_, done = [answer[-1] for answer in show(settings)]
    assert words.LOADING in first and done == ""
    assert len(list(show(settings))) == 1


def test_no_weights_at_all_are_a_sentence(settings):
    *others, notice = last(show(settings, name=None))
    assert all(map(is_skip, others)) and "no weights yet" in notice and "error" in notice


def test_a_class_changes_the_picture(settings):
    pictures = []
    for label in ["", *CLASSES]:
        for answer in show(settings, name="classes", label=label):
            if not is_skip(answer[0]):
                pictures.append(images.read_picture(answer[0]).tobytes())
                assert (f"class: {label}" in answer[2]) == bool(label)
    assert len(pictures) == 4 and len(set(pictures)) == 4


def test_the_picture_to_download_has_its_own_size(settings):
    answers = handlers.picture_file(settings, "plain", "", ONE, TWO, 50, 50, "spherical")
    path, notice = next(answers)
    assert images.read_picture(path).shape == (8, 8, 3) and Path(path).name == "plain-8px.png"
    assert images.read_settings(path)["settings"]["resolution"] == 8 and notice == ""
    answers.close()


def test_the_growth_pictures_show_every_resolution(settings):
    answers = handlers.growth_pictures(settings, "plain", "", ONE, TWO, 0, "spherical")
    path, _ = next(answers)
    assert images.read_picture(path).shape == (128, 3 * 128 + 2 * 2, 3)
    answers.close()


# --- points


@pytest.mark.parametrize("seed", [-1, 1.5, 2**32, 1e300])
def test_what_is_no_seed_is_refused_at_the_field(seed):
    point, notice = handlers.set_seed(seed, ONE)
    assert point is ONE and texts.BAD_SEED in notice and "error" in notice


def test_seeds_set_points():
    assert handlers.set_seed(7, ONE) == ({"name": "seed 7", "seed": 7}, "")
    assert handlers.set_seed(2**32 - 1, ONE)[1] == ""
    assert handlers.set_seed(None, ONE) == (ONE, "")  # an emptied field changes nothing
    assert handlers.check_seed(handlers.new_seed()) >= 0
    assert handlers.next_seeds([1, 2, 3]) == [4, 5, 6]


def test_a_click_in_the_grid_sets_start_or_end():
    event = SimpleNamespace(index=2)
    start, end = handlers.pick("start", [10, 11, 12], event)
    assert start == 12 and is_skip(end)
    start, end = handlers.pick("end", [10, 11, 12], event)
    assert is_skip(start) and end == 12


def test_the_grid_shows_the_seeds(settings, pipeline):
    answers = handlers.fill(settings, "plain", "", [3, 5])
    files, notice = next(answers)
    assert [Path(path).name for path, _ in files] == ["seed-3.jpg", "seed-5.jpg"] and notice == ""
    for (path, _), seed in zip(files, [3, 5], strict=True):
        expected = images.resize(pipeline.sample(pipeline.latents(seed))[0], 128)
        assert np.abs(images.read_picture(path).astype(int) - expected).mean() < 8  # JPEG
        assert images.read_settings(path)["settings"]["seed"] == seed
    answers.close()


@pytest.mark.parametrize(("target", "position"), [("start", 0), ("end", 100)])
def test_a_kept_mix_becomes_a_point_and_the_picture_stays(settings, target, position):
    before, _ = handlers._current(settings, "plain", "", ONE, TWO, 30, 100, "spherical")
    answer = last(handlers.keep(settings, "plain", target, ONE, TWO, 30, "spherical"))
    start, end, start_seed, end_seed, place, notice = answer
    assert place == position and notice == ""
    assert (start_seed if target == "start" else end_seed) is None  # no seed makes this picture
    assert is_skip(end if target == "start" else start)
    start, end = (start, TWO) if target == "start" else (ONE, end)
    after, _ = handlers._current(settings, "plain", "", start, end, place, 100, "spherical")
    assert np.abs(before.astype(int) - after).max() <= 1


def test_the_small_pictures_of_start_and_end(settings):
    answers = handlers.thumbs(settings, "plain", "", ONE, TWO)
    start, end, notice = next(answers)
    assert start["label"] == "Start: seed 1" and end["label"] == "End: seed 2" and notice == ""
    assert images.read_picture(end["value"]).shape == (128, 128, 3)
    answers.close()


def saved_latents(settings, tmp_path, name="plain", start=ONE, end=TWO):
    answers = handlers.save_latents(settings, name, start, end)
    for path, _ in answers:
        if not is_skip(path):
            copy = tmp_path / "latents.safetensors"
            copy.write_bytes(Path(path).read_bytes())
    return copy


def test_saved_latents_come_back(settings, pipeline, tmp_path):
    file = saved_latents(settings, tmp_path)
    assert file.stat().st_size < 1000
    start, end, start_seed, end_seed, notice = last(
        handlers.load_latents(settings, "plain", str(file))
    )
    assert start_seed is None and end_seed is None and notice == ""
    assert np.array_equal(start["latent"], pipeline.latents(1)[0])
    assert np.array_equal(end["latent"], pipeline.latents(2)[0])


class Hostile:
    def __reduce__(self):
        return print, ("code ran",)


def spoiled(kind, good: bytes) -> bytes:
    arrays = safetensors.numpy.load(good)
    if kind == "truncated":
        return good[:-5]
    if kind == "pickle":
        return pickle.dumps(Hostile())
    if kind == "empty":
        return b""
    if kind == "another":
        return safetensors.numpy.save({"weight": np.zeros(3, np.float32)})
    if kind == "nan":
        arrays["start"][0] = np.nan
    if kind == "two-dimensional":
        arrays["end"] = arrays["end"][None]
    if kind == "large":
        arrays["more"] = np.zeros(2**19, np.float32)
    return safetensors.numpy.save(arrays)


@pytest.mark.parametrize(
    "kind", ["truncated", "pickle", "empty", "another", "nan", "two-dimensional", "large"]
)
def test_a_file_that_holds_no_latents_is_refused(settings, tmp_path, kind, capsys):
    file = saved_latents(settings, tmp_path)
    file.write_bytes(spoiled(kind, file.read_bytes()))
    *others, notice = last(handlers.load_latents(settings, "plain", str(file)))
    assert all(map(is_skip, others)) and "latents.safetensors" in notice
    assert "unexpected" not in notice and "code ran" not in capsys.readouterr().out


def test_latents_of_other_weights_are_a_sentence_with_both_sizes(settings, tmp_path):
    file = saved_latents(settings, tmp_path)
    notice = last(handlers.load_latents(settings, "classes", str(file)))[-1]
    assert "8 numbers" in notice and "take 12" in notice

    kept = {"name": "a kept mix", "latent": np.zeros(8, np.float32)}
    notice = last(show(settings, name="classes", start=kept))[-1]
    assert notice.count("A kept mix has 8 numbers and these weights take 12") == 1


# --- clips


def clip_of(settings, request=None, name="plain", kind="path", **other):
    """The answers of make_clip."""
    chosen = {
        "label": "", "start": ONE, "end": TWO, "seconds": 0.5, "fps": 10, "way": "spherical",
        "walk_seed": 3, "smoothing": 1.0, "size": 32, "sharp": True,
    } | other  # fmt: skip
    label, start, end = (chosen.pop(key) for key in ("label", "start", "end"))
    return clips.make_clip(settings, name, label, start, end, kind, *chosen.values(), request)


def finished(answers, tmp_path):
    """(last answer, copy of its clip): the handler's own file goes when it ends."""
    for answer in answers:
        if not is_skip(answer[1]):
            copy = tmp_path / "clip.mp4"
            copy.write_bytes(Path(answer[1]).read_bytes())
    return answer, copy


@pytest.mark.parametrize("kind", ["path", "walk"])
def test_a_clip_plays_and_says_how_it_was_made(settings, tmp_path, kind):
    answer, clip = finished(clip_of(settings, kind=kind, way="linear"), tmp_path)
    _, _, download, strip, caption, text, stage, notice, walk, stop = answer
    info = video.clip_info(clip)
    assert (info.frames, info.fps, info.width, info.height) == (5, 10, 32, 32)
    assert info.label["weights"] == "plain" and info.label["note"] == "made by a model"
    made = info.label["settings"]
    assert made["clip"] == kind and made["seconds"] == 0.5
    assert ("walk_seed" in made) == (kind == "walk") and ("start" in made) == (kind == "path")
    assert caption == "5 frames, 0.5 s, 32 px (16 px pictures)." and f"clip: {kind}" in text
    assert stage.selected == "clip" and notice == ""
    assert walk["interactive"] and not stop["interactive"] and download["interactive"]


def test_the_frames_go_from_start_to_end(settings, pipeline):
    ends = [pipeline.latents(seed)[0] for seed in (1, 2)]
    latents = pipeline.interpolate(*ends, 20, "spherical")
    made = list(handlers.frames(settings, "plain", latents, ""))
    assert len(made) == 20
    for place, seed in ((0, 1), (-1, 2)):
        expected = pipeline.sample(pipeline.latents(seed))[0]
        assert np.abs(made[place].astype(int) - expected).max() <= 1


def test_the_strip_goes_from_the_first_to_the_last_frame_however_long_the_clip():
    for length in (1, 2, 7, 8, 100, 5000):
        frames = (np.full((4, 4, 3), number % 251, np.uint8) for number in range(length))
        kept = []
        *_, newest = clips._noted(frames, kept)
        assert len(kept) <= 8 * clips.STRIP  # memory does not grow with the clip
        strip = clips._strip(kept, newest, sharp=True)
        assert strip.shape[1] == min(length, 8) * 130 - 2
        assert strip[0, 0, 0] == 0 and strip[0, -1, 0] == (length - 1) % 251


def test_the_clip_uses_the_class(settings, tmp_path):
    _, clip = finished(clip_of(settings, name="classes", label="cat"), tmp_path)
    assert video.clip_info(clip).label["settings"]["class"] == "cat"


def stops_after(frames, visit, monkeypatch):
    """The network asks for Stop itself once it has drawn so many frames."""
    original = handlers.frames

    def stopping(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == frames:
                clips.stop(visit)
            yield picture

    monkeypatch.setattr(clips, "frames", stopping)


def test_stop_leaves_the_part_that_was_made(settings, tmp_path, monkeypatch):
    visit = visitor("stopper")
    clips.begin(visit)
    stops_after(7, visit, monkeypatch)
    answer, clip = finished(clip_of(settings, visit, seconds=60, fps=30), tmp_path)
    assert video.clip_info(clip).frames == 7
    assert answer[4].startswith("Stopped at frame 7 of 1800.") and answer[7] == ""
    assert answer[-2]["interactive"] and not answer[-1]["interactive"]


def test_stop_before_the_first_frame_is_said(settings, monkeypatch):
    visit = visitor("early")
    clips.begin(visit)
    clips.stop(visit)
    answer = last(clip_of(settings, visit, seconds=60))
    assert all(map(is_skip, answer[1:7])) and words.STOPPED_EARLY in answer[7]
    progress, walk, stop = clips.begin(visit)  # the next one is not stopped
    assert words.QUEUED in progress and not walk["interactive"] and stop["interactive"]
    assert last(clip_of(settings, visit))[7] == ""


def test_stop_reaches_one_visitor_only(settings, monkeypatch):
    stopper, other = visitor("one"), visitor("other")
    stops_after(1, stopper, monkeypatch)
    assert last(clip_of(settings, other))[4].startswith("5 frames")


def test_progress_is_shown_while_a_clip_is_made(settings, monkeypatch):
    original, go_on = handlers.frames, threading.Event()

    def slow(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == 4:
                assert go_on.wait(20)
            yield picture

    monkeypatch.setattr(clips, "frames", slow)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    seen = []
    for answer in clip_of(settings):
        seen.append(answer[0])
        if " of 5 frames, " in answer[0]:
            assert "data:image/jpeg" in answer[0] and "progressbar" in answer[0]
            assert all(map(is_skip, answer[1:7])), "the old result stays in view"
            go_on.set()
    assert go_on.is_set() and seen[-1] == clips.IDLE


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seconds": 0}, "0.5 to 60 s"),
        ({"seconds": None}, "0.5 to 60 s"),
        ({"fps": 1000}, "60 frames per second"),
        ({"kind": "walk", "walk_seed": -1}, "whole number"),
        ({"kind": "walk", "walk_seed": None}, "whole number"),
        ({"name": None}, "no weights yet"),
        ({"start": {"name": "a mix", "latent": np.zeros(3)}}, "has 3 numbers"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why_and_walk_works_again(settings, wrong, words, caplog):
    answer = last(clip_of(settings, **wrong))
    assert all(map(is_skip, answer[1:7])) and words in answer[7]
    assert answer[-2]["interactive"] and not answer[-1]["interactive"] and not caplog.records


# --- weights


def test_the_menu_begins_with_the_weights_of_the_command_line(settings):
    assert handlers.menu(settings)[:2] == [
        ("plain (--weights)", "plain"),
        ("classes (--weights)", "classes"),
    ]


def test_the_class_menu_is_there_when_the_weights_have_classes(settings):
    menu, footer, notice = handlers.choose_weights(settings, "classes")
    assert menu.visible and [name for name, _ in menu.choices] == [texts.ANY_CLASS, *CLASSES]
    assert "classes" in footer and "CPU" in footer and notice == ""
    menu, _, _ = handlers.choose_weights(settings, "plain")
    assert not menu.visible
    assert "there are no weights" in handlers.choose_weights(settings, "nothing-here")[-1].lower()


@pytest.mark.parametrize(
    "name", ["", None, "org", "/etc/passwd", "../x", "a/b/c", "tabs/latent", "org/n@"]
)
def test_only_a_repository_is_fetched_from_the_hub(settings, name, monkeypatch):
    def never(_):
        raise AssertionError("looked up")

    monkeypatch.setattr(names, "find_weights", never)
    menu, _, notice = last(handlers.fetch(settings, name))
    assert is_skip(menu) and words.BAD_REPOSITORY in notice


def test_fetched_weights_are_chosen(settings, monkeypatch):
    folder = Path(dict(settings.weights)["classes"])
    monkeypatch.setattr(names, "find_weights", lambda name: folder)
    handlers.begin_fetch(None)
    menu, progress, notice = last(handlers.fetch(settings, " org/name@main "))
    assert menu.value == "org/name@main" and menu.choices[-1] == ("org/name@main",) * 2
    assert progress == "" and notice == ""


def test_a_hub_name_is_looked_up_once_and_rewritten_weights_are_seen(
    settings, tmp_path, monkeypatch
):
    """Not at each slider's move; weights that a run rewrites, or that were deleted, are seen."""
    folder, asked = tiny.save_progan(tmp_path / "hub"), []
    monkeypatch.setattr(names, "find_weights", lambda name: asked.append(name) or folder)
    weights_menu.resolved.cache_clear()
    handlers.choose_weights(settings, "org/name")
    first = [list(show(settings, "org/name", position=place))[-1] for place in (10, 40, 70)]
    assert asked == ["org/name"] and all(answer[-1] == "" for answer in first)
    tiny.save_progan(folder, CLASSES, seed=1)
    menu, _, _ = handlers.choose_weights(settings, "org/name")
    assert menu.visible and asked == ["org/name"]
    list(show(settings, "org/name", label="cat"))
    (folder / "model.safetensors").rename(folder / "away")
    (folder / "config.json").unlink()
    handlers.choose_weights(settings, "org/name")
    assert asked == ["org/name"] * 2
    weights_menu.resolved.cache_clear()


def test_a_download_can_be_waited_for_no_longer(settings, monkeypatch):
    never, visit = threading.Event(), visitor("impatient")
    monkeypatch.setattr(names, "find_weights", lambda name: never.wait(20))
    handlers.begin_fetch(visit)
    answers = handlers.fetch(settings, "org/name", visit)
    assert "Fetching org/name" in next(answers)[1]
    handlers.stop_fetch(visit)
    assert "Stopped waiting" in last(answers)[2]
    never.set()


def test_a_hub_that_cannot_be_reached_is_a_sentence(settings, monkeypatch):
    def missing(name):
        raise UserError("There is no connection to the Hub.")

    monkeypatch.setattr(names, "find_weights", missing)
    handlers.begin_fetch(None)
    assert "no connection" in last(handlers.fetch(settings, "org/name"))[2]


# --- the stored example


def test_the_example_is_made_by_the_handlers_and_shown_for_its_weights_only(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(latent, "EXAMPLES", tmp_path)
    monkeypatch.setattr(latent, "SECONDS", 0.5)
    assert latent.read_example("plain") == {}
    examples.make(settings, "plain")
    example = latent.read_example("plain")
    assert "plain" in example["clip_caption"] and "start: seed 1" in example["settings"]
    assert latent.read_example("classes") == {}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "example.json", "picture.png", "clip.mp4", "frames.png", "growth.png", "start.jpg",
        "end.jpg", *(f"seed-{seed}.jpg" for seed in latent.SEEDS),
    }  # fmt: skip
    assert video.clip_info(tmp_path / "clip.mp4").label["weights"] == "plain"
