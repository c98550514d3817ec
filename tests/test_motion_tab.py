"""The tab "Motion transfer": its handlers, called as the page calls them, on tiny weights."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest

from gan_models import faces, images, names, video
from gan_models.errors import UserError
from gan_models.fomm.pipeline import FOMMPipeline
from tabs import motion
from tabs.kit import crop, jobs, results, systems
from tabs.kit import texts as words
from tabs.motion import handlers
from tests import motion_given
from tests.motion_given import COUNT, clip_of, last
from tools import examples, singers


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return motion.system(motion_given.settings(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def pipeline(system):
    return FOMMPipeline.from_weights(system.folder("drawn"), device="cpu")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return motion_given.files(tmp_path_factory.mktemp("given"))


# --- the crop


def show_portrait(system, portrait, weights="drawn"):
    return handlers.show_portrait(system, weights, portrait)


def show_driving(system, clip, weights="drawn"):
    return handlers.show_driving(system, weights, clip, 200)


def box_of(value, path=__file__):
    return crop.chosen(value, str(path), (60, 90))


def test_the_crop_of_a_portrait_is_shown_before_the_run(system, given):
    answer = show_portrait(system, given.portrait)
    assert answer["picture"]["visible"] == "hidden" and answer["other_picture"]["visible"]
    assert answer["crop"]["visible"] and answer["give_notice"] == ""
    value = answer["crop"]["value"]
    assert value["box"] == [15, 0, 75, 60] and (value["width"], value["height"]) == (90, 60)
    assert value["picture"].startswith("data:image/jpeg;base64,")
    assert box_of(value, given.portrait) == faces.Box(15, 0, 75, 60)


def test_face_weights_say_that_there_is_no_face(system, given):
    for name in ("filmed", "published:vox"):
        answer = show_portrait(system, given.portrait, name)
        assert "No face was found" in answer["give_notice"]


@pytest.fixture
def a_face(monkeypatch):
    """Every picture has this face."""
    face = faces.Box(50, 5, 70, 25)
    monkeypatch.setattr("gan_models.faces.framing.find_faces", lambda picture, quick: [face])
    return faces.frame(np.zeros((60, 90, 3), np.uint8), "face").box


@pytest.mark.parametrize("weights", ["drawn", "filmed", "published:vox"])
def test_a_face_in_a_photograph_is_found_and_the_crop_said(system, given, a_face, weights):
    answer = show_portrait(system, given.photo, weights)
    assert answer["crop"]["value"]["box"] == crop.corners(a_face)
    assert "The portrait is cropped around its face" in answer["give_notice"]


def test_puppets_are_cropped_as_their_weights_learned_them(system, given, a_face):
    answer = show_portrait(system, given.portrait)
    assert answer["crop"]["value"]["box"] == [15, 0, 75, 60]
    assert answer["give_notice"] == ""
    assert show_driving(system, given.clip)["driving_crop"]["value"]["box"] == [8, 0, 56, 48]


def test_a_face_that_shows_later_in_a_film_is_found(system, given, tmp_path, monkeypatch):
    frames = [np.full((48, 64, 3), 9 * number, np.uint8) for number in range(12)]
    video.write_clip(tmp_path / "film.mp4", frames, 10, weights="x", settings={})
    face = faces.Box(20, 10, 40, 30)
    monkeypatch.setattr(
        "gan_models.faces.framing.find_faces",
        lambda picture, quick: [face] if picture.mean() > 70 else [],
    )
    answer = show_driving(system, str(tmp_path / "film.mp4"))
    box = faces.frame(np.full((48, 64, 3), 99, np.uint8), "face").box
    assert answer["driving_crop"]["value"]["box"] == crop.corners(box)
    assert "The driving clip is cropped around its face" in answer["driving_notice"]


def test_the_crop_goes_with_the_portrait(system):
    answer = show_portrait(system, None)
    assert answer["picture"]["visible"] is True and not answer["crop"]["visible"]
    assert not answer["other_picture"]["visible"] and answer["give_notice"] == ""


def test_what_is_no_picture_is_a_sentence(system, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    answer = show_portrait(system, str(tmp_path / "broken.png"))
    assert "broken.png" in answer["give_notice"] and "error" in answer["give_notice"]
    assert answer["picture"]["visible"] is True
    notice = show_driving(system, str(tmp_path / "broken.png"))["driving_notice"]
    assert "broken.png" in notice and "error" in notice


def click(system, given, shown, x, y, weights="drawn"):
    event = SimpleNamespace(x=x, y=y)
    return last(handlers.click(system, weights, given.portrait, shown, event))


def test_a_click_moves_the_crop(system, given, monkeypatch):
    shown = show_portrait(system, given.portrait)["crop"]["value"]
    answer = click(system, given, shown, 20, 30)
    assert answer == {"crop": shown | {"box": [-10, 0, 50, 60]}, "notice": ""}
    face = faces.Box(50, 10, 80, 40)
    found = faces.Framing(faces.Box(45, 5, 90, 50), [face, faces.Box(2, 10, 30, 38)])
    monkeypatch.setattr(faces, "frame", lambda *_, **__: found)
    assert click(system, given, shown, 60, 20, "filmed")["crop"]["box"] == [45, 5, 90, 50]
    shown = show_portrait(system, given.portrait, "filmed")["crop"]["value"]
    assert shown["faces"] == [[50, 10, 80, 40], [2, 10, 30, 38]]


def test_a_click_that_came_back_damaged_is_a_sentence(system, given):
    answer = click(system, given, {"box": ["a", 1, 2, 3]}, 20, 30)
    assert list(answer) == ["notice"] and words.BAD_CROP in answer["notice"]


@pytest.mark.parametrize(
    "box",
    [[0, 0, 10, 20], [0, 0, 4, 4], [0, 0, float("nan"), 9], ["x", 0, 1, 1], [1, 2], None,
     [500, 500, 550, 550], [-9e9, -9e9, 9e9, 9e9]],
)  # fmt: skip
def test_only_squares_in_the_picture_are_crops(box):
    with pytest.raises(UserError, match="not a square"):
        box_of({"box": box})


def test_no_crop_is_the_weights_own():
    assert box_of(None) is None and box_of({}) is None and box_of("text") is None


def test_a_crop_of_the_picture_before_is_no_crop_of_this_one(tmp_path):
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    for path, grey in ((one, 50), (other, 200)):
        images.save_picture(path, np.full((60, 90, 3), grey, np.uint8), weights="", settings={})
    shown = crop.shown(str(one), images.read_picture(one), faces.Box(1, 2.003, 41, 42.003))
    assert box_of(shown, one) == crop.rounded(faces.Box(1, 2.003, 41, 42.003))
    assert box_of(shown, other) is None
    (tmp_path / "copy").mkdir()
    copied = tmp_path / "copy" / "one.png"  # where Gradio keeps what it is given
    copied.write_bytes(one.read_bytes())
    assert box_of(shown, copied) == box_of(shown, one)


def test_the_driving_crop_is_shown_where_it_leaves_something_out(system, given, tmp_path):
    answer = show_driving(system, given.clip)
    shown = answer["driving_crop"]
    assert shown["visible"] and shown["value"]["box"] == [8, 0, 56, 48]
    assert answer["frame"]["maximum"] == answer["frame"]["value"] == COUNT - 1  # it was beyond
    assert answer["driving_notice"] == ""
    video.write_clip(
        tmp_path / "square.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 10, weights="", settings={}
    )
    square = show_driving(system, str(tmp_path / "square.mp4"))
    assert not square["driving_crop"]["visible"]
    assert not show_driving(system, None)["driving_crop"]["visible"]


# --- the notice before the run


def test_photographs_for_puppet_weights_are_told_before_the_run(
    system, given, tmp_path, monkeypatch
):
    def warn(weights, portrait, driving):
        return handlers.warn(system, weights, portrait, driving)["photograph_notice"]

    assert warn("drawn", given.portrait, given.clip) == ""
    assert "The portrait is not one" in warn("drawn", given.photo, given.clip)
    video.write_clip(
        tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2, 10, weights="x", settings={}
    )
    film = str(tmp_path / "film.mp4")
    assert "The driving clip is" in warn("drawn", given.portrait, film)
    both = warn("drawn", given.photo, film)
    assert "This pair" in both and 'data-choice="filmed"' in both
    assert ">Use filmed (--weights)</button>" in both
    assert warn("filmed", given.photo, film) == ""
    assert warn("published:vox", given.photo, film) == ""
    assert warn("drawn", None, None) == ""
    monkeypatch.setattr(handlers.Motions, "remedy", lambda system, will_do: None)
    told = warn("drawn", given.photo, film)
    assert words.CAN_BE_FETCHED in told and 'data-choice="published:vox-adv"' in told


def test_the_button_of_a_notice_chooses_only_what_the_menu_offers(system, given):
    def click(choice):
        return systems.take_remedy(system, SimpleNamespace(choice=choice))

    for name in ("filmed", "published:vox"):
        chosen = click(name)["weights"]  # the page's own choices may be older
        assert chosen.value == name and chosen.choices == system.menu()
    assert click("/etc") == click("") == {}
    notice = last(clip_of(system, given, weights="published:vox-adv"))["clip_notice"]
    assert 'data-choice="drawn"' in notice and "Use drawn" in notice


# --- weights


def test_the_menu_ends_with_the_published_weights_and_opens_on_what_is_here(system, monkeypatch):
    monkeypatch.setattr(names, "known_weights", lambda system: [("vox (run, 256 px)", "runs/vox")])
    menu = system.menu()
    offered = {name: label for label, name in menu if name.startswith("published:")}
    assert menu[0] == ("drawn (--weights)", "drawn") and menu[-1][1] in offered
    assert "751 MB" in offered["published:vox-adv"] and len(offered) == 7
    assert "published:vox" not in offered  # here already, as a run
    assert system.first() == "drawn"
    monkeypatch.setattr(names, "known_weights", lambda system: [])
    assert motion.system(jobs.Settings()).first() is None


def test_published_weights_say_where_they_come_from(system, given):
    answer = last(systems.choose(system, "published:vox-adv"))
    assert "footer" not in answer and answer["weights_notice"] == ""
    for part in (
        "vox-adv-cpk.pth.tar",
        "MIT",
        "VoxCeleb",
        "https://",
        "gan_models.published fetch vox-adv",
    ):
        assert part in answer["about"]
    notice = last(clip_of(system, given, weights="published:vox-adv"))["clip_notice"]
    assert "not on this computer" in notice and "error" not in notice
    answer = last(systems.choose(system, "filmed"))
    assert "filmed" in answer["footer"] and "filmed faces" in answer["about"]
    assert "Apache-2.0" in answer["about"]
    assert "no weights called" in last(systems.choose(system, "nothing-here"))["weights_notice"]


# --- what is shipped


def test_the_singers_open_their_mouths_when_they_are_heard():
    for singer in singers.SINGERS:
        parts = singers.performance(singer)
        times = np.arange(len(parts)) / singers.FPS
        open_mouth = np.array([part.action_units[singers.ACTION_UNITS.index(25)] for part in parts])
        sound = np.abs(singers.sing(singer)).reshape(len(parts), -1).mean(1)
        assert len(parts) == round(singers.SECONDS * singers.FPS)
        assert 0.3 < np.abs(singers.sing(singer)).max() <= 1
        assert np.corrcoef(open_mouth, sound)[0, 1] > 0.6
        assert open_mouth[singers.loudness(singer, times) == 0].max() < 0.35


def test_the_example_is_made_by_the_handlers(system, tmp_path, monkeypatch):
    monkeypatch.setattr(motion, "EXAMPLES", tmp_path)
    monkeypatch.setattr(singers, "SECONDS", 0.4)
    assert results.stored_example(tmp_path, "drawn") == {}
    examples.make_motion(system.settings, "drawn")
    example = results.stored_example(tmp_path, "drawn")
    assert "drawn" in example["caption"] and "with sound" in example["caption"]
    assert results.stored_example(tmp_path, "filmed") == {}
    names = {path.name for path in tmp_path.iterdir()}
    clips_of = {f"driving-{one.domain}.{end}" for one in singers.SINGERS for end in ("mp4", "jpg")}
    portraits = {f"portrait-{number}.jpg" for number in range(1, len(singers.PORTRAITS) + 1)}
    assert names == {"example.json", "clip.mp4", "clip-driving.mp4"} | clips_of | portraits
    shipped = str(tmp_path / motion.PORTRAIT), str(tmp_path / motion.SINGER)
    assert handlers.warn(system, "drawn", *shipped) == {"photograph_notice": ""}


def test_what_ships_is_there_and_small():
    files = list(motion.EXAMPLES.iterdir())
    assert sum(file.stat().st_size for file in files) < 1.5e6
    for singer in singers.SINGERS:
        clip = video.open_clip(motion.EXAMPLES / f"driving-{singer.domain}.mp4")
        assert clip.has_sound and clip.frame_count == 90 and (clip.width, clip.height) == (256, 256)
    assert (motion.EXAMPLES / motion.PORTRAIT) in files


def test_a_picture_in_the_page_keeps_its_shape():
    data = results.data_url(np.zeros((400, 100, 3), np.uint8), 40).partition(",")[2]
    assert images.read_picture(base64.b64decode(data)).shape == (40, 10, 3)
