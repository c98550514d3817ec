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
from gan_models.seeds import BAD_SEED
from tabs import latent
from tabs.kit import jobs, results, systems
from tabs.kit import texts as words
from tabs.kit.seeds import of_seed
from tabs.latent import drawing, handlers, points, texts
from tests import latent_given, tiny
from tests.latent_given import CLASSES, MIX, ONE, TWO
from tests.motion_given import last, visitor
from tools import examples


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return latent.system(latent_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return ProGANPipeline.from_weights(system.folder("plain"), device="cpu")


def show(system, weights="plain", label="", shown=MIX, growth=100, truncation=1, sharp=False):
    return handlers.show(system, weights, label, shown, growth, truncation, sharp, 1.5)


def show_mix(system, position, way="spherical", sharp=False):
    return handlers.show_mix(system, "plain", "", ONE, TWO, position, way, 100, 1, sharp, 1.5)


def current(system, shown, growth=100, truncation=1):
    return handlers._current(system, "plain", "", shown, growth, truncation)


# --- the large picture


@pytest.mark.parametrize("way", ["spherical", "linear"])
def test_the_picture_between_two_seeds(system, pipeline, way):
    list(show(system))  # the weights are there now
    answers = show_mix(system, 40, way, sharp=True)
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
    name = "seed 1 to seed 2, 40 %" + (", linear" if way == "linear" else "")
    assert label["settings"]["picture"] == answer["shown"]["name"] == name
    assert f"picture: {name}" in answer["text"]
    assert answer["picture_caption"] == f"S{name[1:]}. 16 px, shown at 512 px."
    assert answer["get_shown"]["value"] == "Download 512 px, as shown"
    assert answer["get_own"]["value"] == "Download 16 px, own size" and answer["get_own"]["visible"]
    assert answer["give_notice"] == ""


@pytest.mark.parametrize(("position", "point"), [(0, ONE), (100, TWO)])
def test_the_ends_of_the_path_are_the_two_pictures(position, point):
    assert points.of_mix(ONE, TWO, position, "spherical") is point


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
    assert drawing.grown([4, 8, 16], growth) == expected


def test_every_step_of_the_growth_slider_draws_in_the_colours_of_the_last(system, pipeline):
    latents = pipeline.mix(pipeline.latents(1), pipeline.latents(2), 0.5)
    for growth in range(0, 101, 5):
        picture, record = current(system, MIX, growth)
        size, alpha = record["resolution"], record["fade_in"]
        expected = pipeline.sample(latents, resolution=size, alpha=alpha, matched=True)
        assert np.array_equal(picture, expected[0])


def test_truncation_reaches_every_picture(system, pipeline):
    seeds, drawn = [1, 2], {"truncation": 0.5}
    expected = pipeline.sample(np.concatenate([pipeline.latents(one) for one in seeds]), **drawn)
    picture, record = current(system, ONE, truncation=0.5)
    assert np.array_equal(picture, expected[0]) and record["truncation"] == 0.5
    assert not np.array_equal(expected, pipeline.sample(pipeline.latents(1)))
    fill = handlers.fill(system, "plain", "", seeds, 0.5)
    thumbs = handlers.thumbs(system, "plain", "", ONE, TWO, 0.5)
    files = [path for path, _ in next(fill)["picks"]]
    files += [next(thumbs)["start_thumb"]["value"]]
    for file, picture in zip(files, [*expected, expected[0]], strict=True):
        shown = images.read_picture(file).astype(int)
        assert np.abs(shown - images.resize(picture, 128)).mean() < 8  # JPEG
    latents = np.concatenate([pipeline.latents(1)] * 2)
    assert np.array_equal(next(drawing.frames(system, "plain", latents, "", 0.5)), expected[0])


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


@pytest.mark.parametrize(("enlarged", "size"), [(True, 512), (False, 8)])
def test_the_picture_is_downloaded_as_shown_and_at_its_own_size(system, enlarged, size):
    answers = handlers.save_picture(system, "plain", "", MIX, 50, 1, False, enlarged)
    path = next(answers)["picture_file"]
    picture = images.read_picture(path)
    assert picture.shape == (size, size, 3)
    assert Path(path).name == f"plain-seed-1-to-seed-2-50-{size}px.png"
    assert images.read_settings(path)["settings"]["resolution"] == 8
    assert np.array_equal(picture[:: size // 8, :: size // 8], current(system, MIX, 50)[0])
    answers.close()


def test_the_growth_pictures_show_every_resolution_to_who_looks(system):
    answers = handlers.growth_pictures(system, "plain", "", ONE, 1, True)
    assert images.read_picture(next(answers)["grown"]).shape == (128, 3 * 128 + 2 * 2, 3)
    answers.close()
    assert list(handlers.growth_pictures(system, "plain", "", ONE, 1, False)) == []
    assert handlers.open_how() == {"how_open": True} and handlers.close_how() == {"how_open": False}


def test_other_weights_draw_everything_anew_once_and_leave_the_stage_alone(system):
    given = "plain", "", [3, 5], ONE, TWO, MIX, 100, 1, False, 1.5
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
    assert BAD_SEED in answer["point_notice"] and "error" in answer["point_notice"]


def test_seeds_set_points():
    seven = {"name": "seed 7", "seed": 7}
    assert last(handlers.set_seed(7)) == {"point": seven, "shown": seven, "point_notice": ""}
    assert last(handlers.set_seed(2**32 - 1))["point_notice"] == ""
    assert last(handlers.set_seed(None)) == {"point_notice": ""}  # an emptied field


def test_a_click_in_the_grid_shows_that_picture(system):
    answer = handlers.pick(SimpleNamespace(index=2, value={"caption": "seed 12"}))
    assert answer == {"shown": of_seed(12)}
    answers = show(system, shown=answer["shown"])
    assert "Seed 12." in next(answers)["picture_caption"]
    answers.close()


def test_the_grid_shows_the_seeds(system, pipeline):
    answers = handlers.fill(system, "plain", "", [3, 5], 1)
    files = next(answers)["picks"]
    assert [Path(path).name for path, _ in files] == ["seed-3.jpg", "seed-5.jpg"]
    for (path, _), seed in zip(files, [3, 5], strict=True):
        expected = images.resize(pipeline.sample(pipeline.latents(seed))[0], 128)
        assert np.abs(images.read_picture(path).astype(int) - expected).mean() < 8  # JPEG
        assert images.read_settings(path)["settings"]["seed"] == seed
    answers.close()


@pytest.mark.parametrize("shown", [MIX, points.of_map([1, 2, 3, 4], 0.25, 0.8)])
def test_what_is_shown_becomes_a_start_or_an_end(system, shown):
    answer = last(handlers.keep(system, "plain", shown))
    assert set(answer) == {"point", "seed", "point_notice"} and answer["point_notice"] == ""
    assert answer["seed"] is None  # no seed makes this picture
    assert answer["point"]["name"] == shown["name"]
    assert np.array_equal(current(system, answer["point"])[0], current(system, shown)[0])
    assert last(handlers.keep(system, "plain", TWO)) == {
        "point": TWO,
        "seed": 2,
        "point_notice": "",
    }


def test_a_name_tells_what_a_picture_is_made_of_while_that_is_short(system, pipeline):
    mix = points.of_mix(points.kept(pipeline, MIX), of_seed(9), 25, "linear")
    assert mix["name"] == "(seed 1 to seed 2, 50 %) to seed 9, 25 %, linear"
    for _ in range(3):
        mix = points.of_mix(mix, mix, 50, "spherical")
    assert mix["name"] == texts.KEPT
    assert handlers.point_label("Start", ONE) == "Start: seed 1"
    assert handlers.point_label("Start", MIX) == "Start: kept"


def test_the_small_pictures_of_start_and_end(system):
    answers = handlers.thumbs(system, "plain", "", ONE, TWO, 1)
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
    assert answer["shown"] == answer["start"]
    for key, seed in (("start", 1), ("end", 2)):
        assert answer[key]["name"] == f"{key} of latents.safetensors"
        assert np.array_equal(points.latent_of(pipeline, answer[key]), pipeline.latents(seed)[0])


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

    kept = {"name": "a kept mix", "latent": np.zeros(8).tolist()}
    notice = last(show(system, weights="classes", shown=kept))["give_notice"]
    assert "A kept mix has 8 numbers and these weights take 12. Choose the weights" in notice


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
    answers = [last(show(system, "org/name", shown=of_seed(one))) for one in (3, 5, 7)]
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
    assert example["get_own"] == "Download 16 px, own size"
    assert "plain" in example["clip_caption"] and "start: seed 1" in example["settings"]
    assert results.stored_example(tmp_path, "classes") == {}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "example.json", "picture.png", "clip.mp4", "frames.png", "growth.png", "start.jpg",
        "end.jpg", "map.jpg", *(f"seed-{seed}.jpg" for seed in latent.SEEDS),
    }  # fmt: skip
    assert video.clip_info(tmp_path / "clip.mp4").label["weights"] == "plain"
