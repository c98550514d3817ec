"""The tab "Expressions": its handlers, called as the page calls them, on tiny weights."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest

from gan_models import faces, images, video
from gan_models.ganimation.action_units import CODES, EMOTIONS, UNITS, emotion
from tabs import expressions
from tabs.expressions import clips, handlers, live, subject, texts
from tabs.kit import clips as kit
from tabs.kit import crop, jobs, results
from tabs.kit import given as giving
from tabs.kit import texts as words
from tests import tiny_ganimation
from tests.motion_given import last, visitor
from tools import examples

NOBODY = None, [0.0] * 17  # face and sliders, before a picture was measured
SMILE = CODES.index(12)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Weights "drawn" of puppets, "filmed" of faces."""
    root = tmp_path_factory.mktemp("weights")
    given = {
        "drawn": tiny_ganimation.save_ganimation(root / "drawn"),
        "filmed": tiny_ganimation.save_ganimation(root / "filmed", framing="face", seed=1),
    }
    weights = tuple((name, str(folder)) for name, folder in given.items())
    return expressions.system(jobs.Settings(device="cpu", weights=weights))


@pytest.fixture(scope="module")
def pipeline(system):
    return system.open("drawn")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Pictures: a wide one and another, said to be drawn; a photograph."""
    folder, random = tmp_path_factory.mktemp("given"), np.random.default_rng(0)
    for name, label in (("wide", "puppets"), ("other", "puppets"), ("photo", "somebody's")):
        picture = images.resize(random.integers(0, 255, (6, 9, 3), np.uint8), (60, 90))
        images.save_picture(folder / f"{name}.png", picture, weights=label, settings={})
    paths = {name: str(folder / f"{name}.png") for name in ("wide", "other", "photo")}
    return SimpleNamespace(**paths)


def opened(system, path, weights="drawn", before=NOBODY):
    face, values = before
    return last(handlers.show_picture(system, weights, path, 100, "picture", face, *values))


def values_of(answer):
    return [answer[name] for name in handlers.SLIDERS]


def show(system, path, values, weights="drawn", all_faces=False, strength=100, view="picture"):
    return last(handlers.show(system, weights, path, None, all_faces, strength, view, *values))


def picture_in(answer, which="after"):
    return images.read_picture(base64.b64decode(answer["compared"][which].partition(",")[2]))


def edited(pipeline, path, units, box=None):
    """(the edit, what was measured) by the pipeline itself."""
    picture = images.read_picture(path)
    squares = [box] if box else pipeline.squares(picture)[0]
    measured = pipeline.measure(picture, squares)
    return pipeline.edit(picture, squares, pipeline.wanted(measured, units)), measured


def near(shown, made):
    """Whether that was made, and sent as a JPEG."""
    sent = results.large_url(made.astype(np.uint8))
    sent = images.read_picture(base64.b64decode(sent.partition(",")[2]))
    return shown.shape == sent.shape and abs(shown.astype(int) - sent).mean() < 1


def test_the_sliders_start_where_the_face_is(system, given, pipeline):
    answer = opened(system, given.wide)
    _, measured = edited(pipeline, given.wide, {})
    assert values_of(answer) == pytest.approx(measured[0], abs=0.006)
    assert len(set(values_of(answer))) > 3
    assert values_of(answer) == answer["face"]["measured"]
    assert answer["give_notice"] == "" and answer["caption"] == texts.UNCHANGED
    first = handlers.framed(system, "drawn", given.wide)
    assert crop.chosen(first["crop"]["value"], given.wide, (60, 90)) == faces.Box(15, 0, 75, 60)
    assert not first["all_faces"]["visible"] and first["picture"]["visible"] == "hidden"
    assert near(picture_in(answer, "before"), images.read_picture(given.wide))


def test_a_slider_changes_the_face_in_the_whole_picture(system, given, pipeline):
    values = values_of(opened(system, given.wide))
    moved = values[:SMILE] + [0.9] + values[SMILE + 1 :]
    answer = show(system, given.wide, moved)
    made, measured = edited(pipeline, given.wide, {12: 0.9})
    assert near(picture_in(answer), made.picture)
    assert f"AU12: 0.9 (measured {measured[0, SMILE]:.2g})" in answer["text"]
    assert answer["caption"] == texts.CHANGED.format(count=1)
    assert answer["compared"] != show(system, given.wide, values)["compared"]
    kept = show(system, given.wide, moved, strength=0)
    assert kept["compared"] == show(system, given.wide, values)["compared"]
    for view, part in (("face", made.crops[0]), ("color", made.color[0])):
        assert near(picture_in(show(system, given.wide, moved, view=view)), part)
    attention = picture_in(show(system, given.wide, moved, view="attention"))
    assert near(attention, np.rint(255 * made.attention[0])[:, :, None].repeat(3, axis=2))


def test_the_picture_follows_while_the_sliders_move(system, given):
    visit = visitor("mover")
    noted = live.prepare(system, "drawn", given.wide, None, False, "picture", visit)["live"]
    values = [0.0] * 17
    units = {live.UNIT.format(code=code): 0.0 for code in CODES}
    asked = noted | {"values": units | {live.STRENGTH: 100}}
    assert (
        live.follow(system, asked)["after"] == show(system, given.wide, values)["compared"]["after"]
    )
    asked["values"]["expressions-au12"], values[SMILE] = 0.9, 0.9
    assert (
        live.follow(system, asked)["after"] == show(system, given.wide, values)["compared"]["after"]
    )
    for wrong, said in (
        ({live.UNIT.format(code=12): "much"}, texts.BAD_UNIT),
        ({live.UNIT.format(code=1): None}, texts.BAD_UNIT),
        ({live.STRENGTH: None}, texts.BAD_STRENGTH),
    ):
        assert live.follow(system, asked | {"values": asked["values"] | wrong}) == {"error": said}
    assert "error" in live.follow(system, asked | {"values": [0.0] * 17})
    for ticket in (None, "../../etc/passwd", "0" * 20 + "/expressions-live.json"):
        assert live.follow(system, asked | {"ticket": ticket}) == {"error": words.VISIT_OVER}
    assert live.prepare(system, "drawn", None, None, False, "picture", visit) == {"live": None}


@pytest.mark.parametrize("wrong", [-0.1, 1.5, None, float("nan"), "much"])
def test_what_is_no_intensity_gets_a_sentence(system, given, wrong):
    answer = show(system, given.wide, [wrong] + [0.0] * 16)
    assert texts.BAD_UNIT in answer["change_notice"] and "compared" not in answer
    answer = show(system, given.wide, [0.0] * 17, strength=wrong if wrong != 1.5 else 101)
    assert texts.BAD_STRENGTH in answer["change_notice"]


def test_what_was_moved_stays_with_another_crop_and_goes_with_another_picture(system, given):
    answer = opened(system, given.wide)
    asked = [1.0, *values_of(answer)[1:]]
    box = {"box": [0, 0, 40, 40]}
    there = system, "drawn", given.wide, box, False, 100, "picture", answer["face"], *asked
    moved = last(handlers.move(*there))
    assert moved["au1"] == 1.0 and moved["face"]["measured"] != answer["face"]["measured"]
    assert values_of(moved)[1:] == moved["face"]["measured"][1:]
    other = opened(system, given.other, before=(moved["face"], values_of(moved)))
    assert values_of(other) == other["face"]["measured"]
    back = last(handlers.to_measured(system, "drawn", given.wide, box, False, 100, "picture"))
    assert values_of(back) == moved["face"]["measured"]


def test_a_click_moves_the_crop(system, given):
    event = SimpleNamespace(x=20, y=30)
    box = {"box": [15, 0, 75, 60], "width": 90, "height": 60, "picture": "", "faces": []}
    answer = last(giving.click(system, "drawn", given.wide, box, event))
    assert answer["crop"]["box"] == [-10, 0, 50, 60]


@pytest.mark.parametrize("name", EMOTIONS)
def test_a_named_expression_is_a_target(system, given, name):
    def aimed(keep):
        asked = system, "drawn", given.wide, None, False, 100, "picture", keep, name
        return last(handlers.aim(*asked))

    assert values_of(aimed(0)) == pytest.approx(emotion(name), abs=handlers.NEAR)
    measured = opened(system, given.wide)["face"]["measured"]
    for code, value, old in zip(CODES, values_of(aimed(50)), measured, strict=True):
        target = EMOTIONS[name].get(code, old / 2)
        assert value == pytest.approx(old if abs(target - old) < 0.045 else target, abs=0.011)


def test_a_random_expression_moves_a_few(system, given):
    answers = [last(handlers.roll(system, "drawn", given.wide, None, False, 100, "picture"))
               for _ in range(3)]  # fmt: skip
    assert len({tuple(values_of(answer)) for answer in answers}) == 3
    assert all(3 <= np.count_nonzero(values_of(answer)) <= 6 for answer in answers)


def test_the_expression_of_a_second_picture_is_taken(system, given):
    asked = system, "drawn", given.wide, None, False, 100, "picture"
    answer = last(handlers.mirror(*asked, given.other))
    assert values_of(answer) == opened(system, given.other)["face"]["measured"]
    assert "other.png" in answer["mirror_notice"]
    told = last(handlers.mirror(system, "filmed", *asked[2:], given.photo))["mirror_notice"]
    assert "No face was found" in told
    assert "compared" not in last(handlers.mirror(*asked, None))


@pytest.fixture
def two_faces(monkeypatch):
    found = [faces.Box(5, 20, 30, 45), faces.Box(55, 20, 80, 45)]
    monkeypatch.setattr("gan_models.faces.framing.find_faces", lambda picture, **how: found)
    monkeypatch.setattr(faces, "find_faces", lambda picture: found)
    subject.found.cache_clear()
    yield
    subject.found.cache_clear()


def test_several_faces_are_offered_and_changed_together(system, given, two_faces):
    first = handlers.framed(system, "filmed", given.wide)
    assert first["all_faces"]["visible"] and "2 faces" in first["all_faces"]["label"]
    assert len(first["crop"]["value"]["faces"]) == 2
    pipeline, picture = system.open("filmed"), images.read_picture(given.wide)
    squares, _ = pipeline.squares(picture, all_faces=True)
    measured = pipeline.measure(picture, squares)
    values = [round(float(value), 2) for value in measured[0]]
    values[SMILE] = 0.9
    answer = show(system, given.wide, values, "filmed", all_faces=True)
    made = pipeline.edit(picture, squares, pipeline.wanted(measured, {12: 0.9}))
    assert near(picture_in(answer), made.picture)
    one = show(system, given.wide, values, "filmed")
    right = np.s_[:, 60:]
    assert (picture_in(one)[right] != picture_in(answer)[right]).mean() > 0.5
    side = max(map(len, made.crops))
    views = picture_in(show(system, given.wide, values, "filmed", all_faces=True, view="face"))
    assert views.shape == (side, 2 * side + 2, 3)


def test_a_photograph_is_told_to_be_strange_to_weights_of_puppets(system, given, monkeypatch):
    monkeypatch.setattr(type(system), "knows_puppets", lambda self, weights: weights == "drawn")
    assert giving.warn(system, "drawn", given.wide, texts.PHOTOGRAPH)["photograph_notice"] == ""
    assert giving.warn(system, "filmed", given.photo, texts.PHOTOGRAPH)["photograph_notice"] == ""
    told = giving.warn(system, "drawn", given.photo, texts.PHOTOGRAPH)["photograph_notice"]
    assert "drawn puppets" in told and "filmed (--weights)" in told


def test_no_face_is_said_and_the_middle_taken(system, given):
    answer = opened(system, given.photo, "filmed")
    assert "No face was found" in answer["give_notice"] and "compared" in answer


def test_the_picture_is_downloaded_at_full_size_with_its_settings(system, given, tmp_path):
    large = np.tile(images.read_picture(given.wide), (10, 10, 1))  # (600, 900, 3)
    images.save_picture(tmp_path / "large.png", large, weights="puppets", settings={})
    path, asked = str(tmp_path / "large.png"), [0.5] * 17
    assert picture_in(show(system, path, asked)).shape == (512, 768, 3)
    for view, beside, width in (("picture", False, 900), ("picture", True, 1800),
                                ("face", False, 600)):  # fmt: skip
        options = system, "drawn", path, None, False, 100, view, *asked, beside
        for answer in handlers.save(*options, visitor()):
            file = answer["picture_file"]
            made, label = images.read_picture(file), images.read_settings(file)
        assert made.shape == (600, width, 3) and label["settings"]["strength"] == "100 %"
        if beside:
            assert (made[:, :900] == large).all()
    nothing = last(handlers.save(system, "drawn", None, None, False, 100, "face", *asked, False))
    assert words.NO_PICTURE in nothing["file_notice"]


def clip_of(system, path, asked, view="picture", visit=None, back=True, **changes):
    how = {"seconds": 1, "fps": 10, "easing": "linear"} | changes
    asked = system, "drawn", path, None, False, 100, view, *asked, *how.values(), back
    return clips.make_clip(*asked, visit or visitor())


def test_the_clip_goes_from_the_face_to_the_expression_and_back(system, given, pipeline, tmp_path):
    values = values_of(opened(system, given.wide))
    moved = values[:SMILE] + [0.9] + values[SMILE + 1 :]
    for view, shape in (("picture", (256, 384, 3)), ("face", (256, 256, 3))):
        for answer in clip_of(system, given.wide, moved, view):
            if "clip" in answer:
                frames = list(video.open_clip(answer["clip"]).frames())
                label = video.clip_info(answer["clip"]).label
        assert len(frames) == 10 and frames[0].shape == shape
        assert label["settings"]["easing"] == "linear" and "AU12" in label["settings"]
        away = [abs(frame.astype(int) - frames[0]).mean() for frame in frames]
        assert max(away) == max(away[4:6]) > 2 * away[-1]
    answer = last(clip_of(system, given.wide, values))
    assert texts.NOTHING_MOVES in answer["clip_notice"] and answer["run"]["interactive"]
    answer = last(clip_of(system, given.wide, moved, seconds=31))
    assert words.BAD_LENGTH in answer["clip_notice"]


def test_stop_leaves_no_clip_before_the_first_frame(system, given):
    visit = visitor("early")
    kit.begin(system, visit)
    kit.stop(system, visit)
    answer = last(clip_of(system, given.wide, [0.5] * 17, visit=visit))
    assert words.STOPPED_EARLY in answer["clip_notice"] and "clip" not in answer


@pytest.mark.parametrize("wrong", ["gone", "text"])
def test_an_unreadable_picture_gets_a_sentence_and_the_chooser(system, tmp_path, wrong):
    (tmp_path / "text.png").write_text("no picture")
    answer = opened(system, str(tmp_path / f"{wrong}.png"))
    assert f"{wrong}.png" in answer["give_notice"] and answer["picture"]["visible"] is True


def test_without_weights_or_a_picture_a_sentence_says_so(system, given):
    assert "no weights yet" in opened(system, given.wide, None)["give_notice"]
    assert words.NO_PICTURE in show(system, None, [0.0] * 17)["change_notice"]
    assert words.NO_PICTURE in last(clip_of(system, None, [0.5] * 17))["clip_notice"]
    assert "compared" not in opened(system, None)


def test_what_ships_fits_the_texts():
    for names in (words.FACES, texts.MIRROR_NAMES):
        assert len(giving.named(names)) == len(names) == 6
    sheet = images.read_picture(expressions.EXAMPLES / "units.jpg")
    assert sheet.shape == (17 * sheet.shape[1] // 2, sheet.shape[1], 3)
    for row in np.split(sheet, 17):
        rest, most = np.hsplit(row.astype(int), 2)
        assert (abs(rest - most).max(2) > 60).mean() > 0.01
    assert set(texts.EMOTIONS) == set(EMOTIONS)
    assert set(texts.REGIONS) == {unit.region for unit in UNITS}


def test_the_tab_opens_on_what_the_tool_made(system, tmp_path, monkeypatch):
    monkeypatch.setattr(expressions, "EXAMPLES", tmp_path / "expressions")
    monkeypatch.setattr(examples.faces, "SIZE", 96)
    examples.make_expressions(system.settings, "drawn")
    with examples.gr.Blocks() as page:
        tab = expressions.build(page, system.settings)
    values = [getattr(tab, name).value for name in handlers.SLIDERS]
    assert values == pytest.approx(emotion(expressions.TARGET), abs=handlers.NEAR)
    shown = expressions.images.read_picture(expressions.EXAMPLES / "result.png")
    assert near(picture_in({"compared": tab.compared.value}), shown)
    assert "An example made earlier with drawn" in tab.clip_caption.value
    assert tab.clip.value and tab.face.value["file"].endswith(expressions.OPENING)
