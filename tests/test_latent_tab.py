"""The tab "Latent space": its handlers, called as the page calls them, on tiny weights."""

import pickle
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy

from gan_models import images, names, video
from gan_models.errors import UserError
from gan_models.progan import ProGANPipeline
from tabs import latent
from tabs.kit import clips as kit
from tabs.kit import jobs, results, systems
from tabs.kit import texts as words
from tabs.latent import clips, handlers, texts
from tests import tiny
from tools import examples

IDLE = kit.idle(texts.KEYS)
ONE, TWO = {"name": "seed 1", "seed": 1}, {"name": "seed 2", "seed": 2}
CLASSES = ["human", "cat", "robot"]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """The tab's system with two weights: "plain" (16 px) and "classes" (8 px, other latents)."""
    root = tmp_path_factory.mktemp("weights")
    plain = tiny.save_progan(root / "plain")
    labelled = tiny.save_progan(root / "classes", CLASSES, resolution=8, latent_size=12, seed=1)
    given = (("plain", str(plain)), ("classes", str(labelled)))
    return latent.system(jobs.Settings(device="cpu", weights=given))


@pytest.fixture(scope="module")
def pipeline(system):
    return ProGANPipeline.from_weights(system.folder("plain"), device="cpu")


def visitor(name="a visitor"):
    return SimpleNamespace(session_hash=name)


def last(answers):
    """The last answer of a handler that yields no file."""
    return list(answers)[-1]


def show(system, weights="plain", label="", start=ONE, end=TWO, position=50, growth=100, **other):
    way, sharp = other.get("way", "spherical"), other.get("sharp", False)
    return handlers.show(system, weights, label, start, end, position, growth, way, sharp)


# --- the live picture


@pytest.mark.parametrize("way", ["spherical", "linear"])
def test_the_picture_between_two_seeds(system, pipeline, way):
    list(show(system))  # the weights are there now
    answers = show(system, position=40, way=way, sharp=True)
    answer = next(answers)
    path = answer["picture"]
    label = images.read_settings(path)
    large = images.read_picture(path)
    answers.close()
    assert not Path(path).exists(), "the file goes once the page has its copy"

    mix = pipeline.mix(pipeline.latents(1), pipeline.latents(2), 0.4, way)
    expected = pipeline.sample(mix)[0]
    assert np.array_equal(large, expected.repeat(32, 0).repeat(32, 1))
    assert label["note"] == "made by a model" and label["weights"] == "plain"
    assert label["settings"]["position"] == "40 %" and label["settings"]["path"] == way
    assert "start: seed 1" in answer["text"] and f"path: {way}" in answer["text"]
    assert answer["picture_caption"] == "Seed 1 to seed 2, 40 %. 16 px, shown at 512 px."
    assert answer["stage"].selected == "picture" and answer["give_notice"] == ""


@pytest.mark.parametrize(("position", "seed"), [(0, 1), (100, 2)])
def test_the_ends_of_the_path_are_the_two_pictures(system, pipeline, position, seed):
    picture, record = handlers._current(system, "plain", "", ONE, TWO, position, 100, "spherical")
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


def test_every_step_of_the_growth_slider_draws(system, pipeline):
    latents = pipeline.mix(pipeline.latents(1), pipeline.latents(2), 0.5)
    for growth in range(0, 101, 5):
        picture, record = handlers._current(system, "plain", "", ONE, TWO, 50, growth, "spherical")
        size, alpha = record["resolution"], record["fade_in"]
        assert np.array_equal(picture, pipeline.sample(latents, resolution=size, alpha=alpha)[0])


def test_small_pictures_are_enlarged_smoothly_or_sharply_and_large_ones_kept():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert results.enlarge(picture, 512).shape == (512, 512, 3)
    assert results.enlarge(picture[:32], 512).shape == (512, 1024, 3)
    assert np.array_equal(results.enlarge(picture, 512, sharp=True)[::8, ::8], picture)
    assert results.enlarge(picture, 0) is picture and results.enlarge(picture, 64) is picture


def test_the_page_is_told_that_weights_load(system, monkeypatch):
    monkeypatch.setattr(jobs, "_slots", type(jobs._slots)())
    first, *_, done = [answer["give_notice"] for answer in show(system)]
    assert words.LOADING in first and done == ""
    assert len(list(show(system))) == 1


def test_no_weights_at_all_are_a_sentence(system):
    answer = last(show(system, weights=None))
    assert list(answer) == ["give_notice"]
    assert "no weights yet" in answer["give_notice"] and "error" in answer["give_notice"]


def test_a_class_changes_the_picture(system):
    pictures = []
    for label in ["", *CLASSES]:
        for answer in show(system, weights="classes", label=label):
            if "picture" in answer:
                pictures.append(images.read_picture(answer["picture"]).tobytes())
                assert (f"class: {label}" in answer["text"]) == bool(label)
    assert len(pictures) == 4 and len(set(pictures)) == 4


def test_the_picture_to_download_has_its_own_size(system):
    answers = handlers.save_picture(system, "plain", "", ONE, TWO, 50, 50, "spherical")
    path = next(answers)["picture_file"]
    assert images.read_picture(path).shape == (8, 8, 3) and Path(path).name == "plain-8px.png"
    assert images.read_settings(path)["settings"]["resolution"] == 8
    answers.close()


def test_the_growth_pictures_show_every_resolution(system):
    answers = handlers.growth_pictures(system, "plain", "", ONE, TWO, 0, "spherical")
    assert images.read_picture(next(answers)["grown"]).shape == (128, 3 * 128 + 2 * 2, 3)
    answers.close()


def test_other_weights_draw_everything_anew_once_and_leave_the_stage_alone(system):
    given = "plain", "", [3, 5], ONE, TWO, 50, 100, "spherical", False
    answers = list(handlers.draw_all(system, *given))
    assert answers[-1]["drawn"] == "plain"
    seen = set().union(*answers)
    assert {"picks", "start_thumb", "end_thumb", "picture", "text"} <= seen and "stage" not in seen
    assert len(list(handlers.draw_all_again(system, *given, "plain"))) == len(answers)
    assert list(handlers.draw_all_again(system, *given, "classes")) == []  # the menu's event draws


# --- points


@pytest.mark.parametrize("seed", [-1, 1.5, 2**32, 1e300])
def test_what_is_no_seed_is_refused_at_the_field(seed):
    answer = last(handlers.set_seed(seed))
    assert list(answer) == ["point_notice"]
    assert texts.BAD_SEED in answer["point_notice"] and "error" in answer["point_notice"]


def test_seeds_set_points():
    seven = {"point": {"name": "seed 7", "seed": 7}, "point_notice": ""}
    assert last(handlers.set_seed(7)) == seven
    assert last(handlers.set_seed(2**32 - 1))["point_notice"] == ""
    assert last(handlers.set_seed(None)) == {"point_notice": ""}  # an emptied field
    assert handlers.check_seed(handlers.new_seed()["seed"]) >= 0
    assert handlers.next_seeds([1, 2, 3]) == {"seeds": [4, 5, 6]}


def test_a_click_in_the_grid_sets_start_or_end():
    event = SimpleNamespace(index=2)
    assert handlers.pick("start", [10, 11, 12], event) == {"start_seed": 12}
    assert handlers.pick("end", [10, 11, 12], event) == {"end_seed": 12}


def test_the_grid_shows_the_seeds(system, pipeline):
    answers = handlers.fill(system, "plain", "", [3, 5])
    files = next(answers)["picks"]
    assert [Path(path).name for path, _ in files] == ["seed-3.jpg", "seed-5.jpg"]
    for (path, _), seed in zip(files, [3, 5], strict=True):
        expected = images.resize(pipeline.sample(pipeline.latents(seed))[0], 128)
        assert np.abs(images.read_picture(path).astype(int) - expected).mean() < 8  # JPEG
        assert images.read_settings(path)["settings"]["seed"] == seed
    answers.close()


@pytest.mark.parametrize(("target", "position"), [("start", 0), ("end", 100)])
def test_a_kept_mix_becomes_a_point_and_the_picture_stays(system, target, position):
    before, _ = handlers._current(system, "plain", "", ONE, TWO, 30, 100, "spherical")
    answer = last(handlers.keep(system, "plain", target, ONE, TWO, 30, "spherical"))
    assert set(answer) == {target, f"{target}_seed", "position", "point_notice"}
    assert answer["position"] == position and answer["point_notice"] == ""
    assert answer[f"{target}_seed"] is None  # no seed makes this picture
    ends = answer.get("start", ONE), answer.get("end", TWO)
    after, _ = handlers._current(system, "plain", "", *ends, position, 100, "spherical")
    assert np.abs(before.astype(int) - after).max() <= 1


def test_the_small_pictures_of_start_and_end(system):
    answers = handlers.thumbs(system, "plain", "", ONE, TWO)
    answer = next(answers)
    assert answer["start_thumb"]["label"] == "Start: seed 1"
    assert answer["end_thumb"]["label"] == "End: seed 2" and answer["give_notice"] == ""
    assert images.read_picture(answer["end_thumb"]["value"]).shape == (128, 128, 3)
    answers.close()


def saved_latents(system, tmp_path):
    for answer in handlers.save_latents(system, "plain", ONE, TWO):
        if "latents_file" in answer:
            copy = tmp_path / "latents.safetensors"
            copy.write_bytes(Path(answer["latents_file"]).read_bytes())
    return copy


def test_saved_latents_come_back(system, pipeline, tmp_path):
    file = saved_latents(system, tmp_path)
    assert file.stat().st_size < 1000
    answer = last(handlers.load_latents(system, "plain", str(file)))
    assert answer["start_seed"] is None and answer["end_seed"] is None
    assert np.array_equal(answer["start"]["latent"], pipeline.latents(1)[0])
    assert np.array_equal(answer["end"]["latent"], pipeline.latents(2)[0])


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
def test_a_file_that_holds_no_latents_is_refused(system, tmp_path, kind, capsys):
    file = saved_latents(system, tmp_path)
    file.write_bytes(spoiled(kind, file.read_bytes()))
    answer = last(handlers.load_latents(system, "plain", str(file)))
    notice = answer.pop("file_notice")
    assert not answer and "latents.safetensors" in notice
    assert "unexpected" not in notice and "code ran" not in capsys.readouterr().out


def test_latents_of_other_weights_are_a_sentence_with_both_sizes(system, tmp_path):
    file = saved_latents(system, tmp_path)
    notice = last(handlers.load_latents(system, "classes", str(file)))["file_notice"]
    assert "8 numbers" in notice and "take 12" in notice

    kept = {"name": "a kept mix", "latent": np.zeros(8, np.float32)}
    notice = last(show(system, weights="classes", start=kept))["give_notice"]
    assert notice.count("A kept mix has 8 numbers and these weights take 12") == 1


# --- clips


def clip_of(system, request=None, weights="plain", kind="path", **other):
    """The answers of make_clip."""
    chosen = {
        "label": "", "start": ONE, "end": TWO, "seconds": 0.5, "fps": 10, "way": "spherical",
        "walk_seed": 3, "smoothing": 1.0, "size": 32, "sharp": True,
    } | other  # fmt: skip
    label, start, end = (chosen.pop(key) for key in ("label", "start", "end"))
    return clips.make_clip(system, weights, label, start, end, kind, *chosen.values(), request)


def finished(answers, tmp_path):
    """(last answer, copy of its clip): the handler's own file goes when it ends."""
    for answer in answers:
        if "clip" in answer:
            copy = tmp_path / "clip.mp4"
            copy.write_bytes(Path(answer["clip"]).read_bytes())
    return answer, copy


@pytest.mark.parametrize("kind", ["path", "walk"])
def test_a_clip_plays_and_says_how_it_was_made(system, tmp_path, kind):
    answer, clip = finished(clip_of(system, kind=kind, way="linear"), tmp_path)
    info = video.clip_info(clip)
    assert (info.frames, info.fps, info.width, info.height) == (5, 10, 32, 32)
    assert info.label["weights"] == "plain" and info.label["note"] == "made by a model"
    made = info.label["settings"]
    assert made["clip"] == kind and made["seconds"] == 0.5
    assert ("walk_seed" in made) == (kind == "walk") and ("start" in made) == (kind == "path")
    assert answer["clip_caption"] == "5 frames, 0.5 s, 32 px (16 px pictures)."
    assert f"clip: {kind}" in answer["text"] and answer["clip_notice"] == ""
    assert answer["get_clip"]["interactive"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert answer["progress"] == IDLE["progress"] and answer["preview"] == ""


def test_the_frames_go_from_start_to_end(system, pipeline):
    ends = [pipeline.latents(seed)[0] for seed in (1, 2)]
    latents = pipeline.interpolate(*ends, 20, "spherical")
    made = list(handlers.frames(system, "plain", latents, ""))
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


def test_the_clip_uses_the_class(system, tmp_path):
    _, clip = finished(clip_of(system, weights="classes", label="cat"), tmp_path)
    assert video.clip_info(clip).label["settings"]["class"] == "cat"


def stops_after(frames, system, visit, monkeypatch):
    """The network asks for Stop itself once it has drawn so many frames."""
    original = handlers.frames

    def stopping(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == frames:
                kit.stop(system, visit)
            yield picture

    monkeypatch.setattr(clips, "frames", stopping)


def test_stop_leaves_the_part_that_was_made(system, tmp_path, monkeypatch):
    visit = visitor("stopper")
    kit.begin(system, visit)
    stops_after(7, system, visit, monkeypatch)
    answer, clip = finished(clip_of(system, visit, seconds=60, fps=30), tmp_path)
    assert video.clip_info(clip).frames == 7
    assert answer["clip_caption"].startswith("Stopped at frame 7 of 1800.")
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]


def test_stop_before_the_first_frame_is_said(system):
    visit = visitor("early")
    kit.begin(system, visit)
    kit.stop(system, visit)
    answer = last(clip_of(system, visit, seconds=60))
    assert "clip" not in answer and words.STOPPED_EARLY in answer["clip_notice"]
    assert answer["run"]["interactive"]
    begun = kit.begin(system, visit)  # the next one is not stopped
    assert words.STARTING in begun["progress"]
    assert not begun["run"]["interactive"] and begun["stop"]["interactive"]
    assert last(clip_of(system, visit))["clip_notice"] == ""


def test_stop_reaches_one_visitor_only(system, monkeypatch):
    stopper, other = visitor("one"), visitor("other")
    stops_after(1, system, stopper, monkeypatch)
    assert last(clip_of(system, other))["clip_caption"].startswith("5 frames")


def test_progress_is_shown_while_a_clip_is_made(system, monkeypatch):
    original, go_on = handlers.frames, threading.Event()

    def slow(*inputs):
        for number, picture in enumerate(original(*inputs)):
            if number == 4:
                assert go_on.wait(20)
            yield picture

    monkeypatch.setattr(clips, "frames", slow)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.01)
    for answer in clip_of(system):
        if " of 5 frames, " in answer["progress"]:
            assert "data:image/jpeg" in answer["progress"] and "progressbar" in answer["progress"]
            assert "data:image/jpeg" in answer["preview"]
            assert "clip" not in answer and "stage" not in answer, "the old result stays in view"
            go_on.set()
    assert go_on.is_set() and answer["progress"] == IDLE["progress"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seconds": 0}, "0.5 to 60 s"),
        ({"seconds": None}, "0.5 to 60 s"),
        ({"fps": 1000}, "60 frames per second"),
        ({"kind": "walk", "walk_seed": -1}, "whole number"),
        ({"kind": "walk", "walk_seed": None}, "whole number"),
        ({"weights": None}, "no weights yet"),
        ({"start": {"name": "a mix", "latent": np.zeros(3)}}, "has 3 numbers"),
    ],
)
def test_a_clip_that_cannot_be_made_says_why_and_walk_works_again(system, wrong, words, caplog):
    answer = last(clip_of(system, **wrong))
    assert set(answer) == {*IDLE, "clip_notice"} and words in answer["clip_notice"]
    assert answer["run"]["interactive"] and not answer["stop"]["interactive"]
    assert not caplog.records


# --- weights


def test_the_menu_begins_with_the_weights_of_the_command_line(system):
    assert system.menu()[:2] == [
        ("plain (--weights)", "plain"),
        ("classes (--weights)", "classes"),
    ]


def test_the_class_menu_is_there_when_the_weights_have_classes(system):
    menu = last(handlers.choose_class(system, "classes"))["label"]
    assert menu.visible and [name for name, _ in menu.choices] == [texts.ANY_CLASS, *CLASSES]
    assert not last(handlers.choose_class(system, "plain"))["label"].visible


def test_other_weights_are_named_and_say_what_they_are(system):
    answer = last(systems.choose(system, "classes"))
    assert "classes" in answer["footer"] and "CPU" in answer["footer"]
    assert "Apache-2.0" in answer["about"] and answer["weights_notice"] == ""
    notice = last(systems.choose(system, "nothing-here"))["weights_notice"]
    assert "there are no weights" in notice.lower()


@pytest.mark.parametrize(
    "name", ["", None, "org", "/etc/passwd", "../x", "a/b/c", "tabs/latent", "org/n@"]
)
def test_only_a_repository_is_fetched_from_the_hub(system, name, monkeypatch):
    def never(_):
        raise AssertionError("looked up")

    monkeypatch.setattr(names, "find_weights", never)
    answer = last(systems.fetch(system, name))
    assert "weights" not in answer and words.BAD_REPOSITORY in answer["hub_notice"]


def test_fetched_weights_are_chosen(system, monkeypatch):
    folder = system.folder("classes")
    monkeypatch.setattr(names, "find_weights", lambda name: folder)
    systems.begin_fetch(system)
    answer = last(systems.fetch(system, " org/name@main "))
    menu = answer["weights"]
    assert menu.value == "org/name@main" and menu.choices[-1] == ("org/name@main",) * 2
    assert answer["fetch_progress"] == answer["hub_notice"] == ""


def test_a_hub_name_is_looked_up_once_and_rewritten_weights_are_seen(system, tmp_path, monkeypatch):
    """Not at each slider's move; weights that a run rewrites, or that were deleted, are seen."""
    folder, asked = tiny.save_progan(tmp_path / "hub"), []
    monkeypatch.setattr(names, "find_weights", lambda name: asked.append(name) or folder)
    systems.resolved.cache_clear()
    last(systems.choose(system, "org/name"))
    answers = [last(show(system, "org/name", position=place)) for place in (10, 40, 70)]
    assert asked == ["org/name"] and all(answer["give_notice"] == "" for answer in answers)
    tiny.save_progan(folder, CLASSES, seed=1)
    menu = last(handlers.choose_class(system, "org/name"))["label"]
    assert menu.visible and asked == ["org/name"]
    list(show(system, "org/name", label="cat"))
    (folder / "model.safetensors").rename(folder / "away")
    (folder / "config.json").unlink()
    last(systems.choose(system, "org/name"))
    assert asked == ["org/name"] * 2
    systems.resolved.cache_clear()


def test_a_download_can_be_waited_for_no_longer(system, monkeypatch):
    never, visit = threading.Event(), visitor("impatient")
    monkeypatch.setattr(names, "find_weights", lambda name: never.wait(20))
    systems.begin_fetch(system, visit)
    answers = systems.fetch(system, "org/name", visit)
    assert "Fetching org/name" in next(answers)["fetch_progress"]
    systems.stop_fetch(system, visit)
    assert "Stopped waiting" in last(answers)["hub_notice"]
    never.set()


def test_a_hub_that_cannot_be_reached_is_a_sentence(system, monkeypatch):
    def missing(name):
        raise UserError("There is no connection to the Hub.")

    monkeypatch.setattr(names, "find_weights", missing)
    systems.begin_fetch(system)
    assert "no connection" in last(systems.fetch(system, "org/name"))["hub_notice"]


# --- the stored example


def test_the_example_is_made_by_the_handlers_and_shown_for_its_weights_only(
    system, tmp_path, monkeypatch
):
    monkeypatch.setattr(latent, "EXAMPLES", tmp_path)
    monkeypatch.setattr(latent, "SECONDS", 0.5)
    assert results.stored_example(tmp_path, "plain") == {}
    examples.make_latent(system.settings, "plain")
    example = results.stored_example(tmp_path, "plain")
    assert "plain" in example["clip_caption"] and "start: seed 1" in example["settings"]
    assert results.stored_example(tmp_path, "classes") == {}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "example.json", "picture.png", "clip.mp4", "frames.png", "growth.png", "start.jpg",
        "end.jpg", *(f"seed-{seed}.jpg" for seed in latent.SEEDS),
    }  # fmt: skip
    assert video.clip_info(tmp_path / "clip.mp4").label["weights"] == "plain"
