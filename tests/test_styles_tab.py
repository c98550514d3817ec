"""The tab "Style translation": its handlers, called as the page calls them, on tiny weights."""

import base64
import re
from html import escape
from types import SimpleNamespace

import numpy as np
import pytest

import app
from gan_models import faces, images, names, video
from gan_models.faces.pasting import Paster
from gan_models.stargan_v2.pipeline import NO_LANDMARKS
from tabs import styles
from tabs.kit import clips as kit
from tabs.kit import given as faces_given
from tabs.kit import jobs, results, seeds
from tabs.kit import texts as words
from tabs.kit.seeds import of_seed
from tabs.styles import clips, handlers, live, subject, texts
from tests import tiny_stargan_v2
from tests.motion_given import last, visitor
from tools import examples

ONE, TWO = of_seed(1), of_seed(2)
BOX = faces.Box(15, 0, 75, 60)  # the middle of the pictures given


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Weights "plain", and "masked" without the landmark network that they ask for."""
    root = tmp_path_factory.mktemp("weights")
    given = {
        "plain": tiny_stargan_v2.save_stargan_v2(root / "plain"),
        "masked": tiny_stargan_v2.save_stargan_v2(root / "masked", w_hpf=1.0, seed=1),
    }
    weights = tuple((name, str(folder)) for name, folder in given.items())
    return styles.system(jobs.Settings(device="cpu", weights=weights))


@pytest.fixture(scope="module")
def pipeline(system):
    return system.open("plain")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Files: two wide pictures, and one that is none."""
    folder, random = tmp_path_factory.mktemp("given"), np.random.default_rng(0)
    for name in ("wide", "other"):
        picture = images.resize(random.integers(0, 255, (6, 9, 3), np.uint8), (60, 90))
        images.save_picture(folder / f"{name}.png", picture, weights="puppets", settings={})
    (folder / "broken.png").write_bytes(b"no picture")
    return SimpleNamespace(
        **{one: str(folder / f"{one}.png") for one in ("wide", "other", "broken")}
    )


def show(system, path, domain="cat", first=ONE, second=TWO, share=0, strength=100, view="face",
         weights="plain"):  # fmt: skip
    return last(
        handlers.show(system, weights, path, None, domain, first, second, share, strength, view)
    )


def near(answer, made, which="after"):
    """Whether that was made, and sent as a JPEG."""
    shown = images.read_picture(base64.b64decode(answer["compared"][which].partition(",")[2]))
    sent = results.large_url(made)
    sent = images.read_picture(base64.b64decode(sent.partition(",")[2]))
    return shown.shape == sent.shape and abs(shown.astype(int) - sent).mean() < 1


def large(made):
    return results.enlarge(made, results.DISPLAY)


def test_a_picture_in_the_style_of_a_seed_and_of_a_reference(system, given, pipeline):
    wide, other = map(images.read_picture, (given.wide, given.other))
    by_seed = show(system, given.wide)
    assert near(by_seed, large(pipeline.translate(wide, "cat", seed=1)))
    assert near(by_seed, faces.crop(wide, BOX, results.DISPLAY), "before")
    assert "domain: cat" in by_seed["text"] and "style: seed 1" in by_seed["text"]
    by_reference = show(system, given.wide, "robot", subject.of_file(given.other), strength=50)
    made = pipeline.translate(wide, "robot", reference=other, strength=0.5)
    assert near(by_reference, large(made)) and "style of other.png" in by_reference["caption"]
    between = show(system, given.wide, share=25)
    ends = pipeline.style("cat", 1), pipeline.style("cat", 2)
    (made,) = pipeline.translations(pipeline.crop(wide), [pipeline.mix(*ends, 0.25)])
    assert near(between, large(made)) and "seed 1 to seed 2, 25 %" in between["text"]


def test_the_picture_follows_while_the_sliders_move(system, given):
    visit, ends = visitor("stylist"), ("cat", ONE, subject.of_file(given.other))
    noted = live.prepare(system, "plain", given.wide, None, *ends, "picture", visit)["live"]
    for share, strength in ((0, 100), (30, 60)):
        asked = noted | {"values": {live.SHARE: share, live.STRENGTH: strength}}
        at_rest = show(system, given.wide, *ends, share, strength, "picture")
        assert live.follow(system, asked) == {"after": at_rest["compared"]["after"]}
    for wrong, said in (
        ({"values": {live.SHARE: "much"}}, words.BAD_SHARE),
        ({"values": {live.SHARE: 0}}, texts.BAD_STRENGTH),
        ({"ticket": "0" * 20 + "/styles-live.json"}, words.VISIT_OVER),
    ):
        assert live.follow(system, asked | wrong) == {"error": said}
    assert live.prepare(system, "plain", None, None, *ends, "face", visit) == {"live": None}


def test_the_square_goes_back_into_the_whole_picture(system, given, pipeline):
    wide = images.read_picture(given.wide)
    answer = show(system, given.wide, view="picture")
    made = pipeline.translate(wide, "cat", seed=1)
    assert near(answer, Paster(wide, BOX).paste(made)) and near(answer, wide, "before")


@pytest.mark.parametrize(
    "wrong, said",
    [({"domain": "dog"}, "knows the domains human, cat, robot, and not 'dog'"),
     ({"share": 101}, words.BAD_SHARE), ({"share": None}, words.BAD_SHARE),
     ({"strength": -1}, texts.BAD_STRENGTH), ({"strength": float("nan")}, texts.BAD_STRENGTH)],
)  # fmt: skip
def test_what_cannot_be_asked_gets_a_sentence(system, given, wrong, said):
    answer = show(system, given.wide, **wrong)
    assert said.replace("'", "&#x27;") in answer["change_notice"] and "compared" not in answer


def test_the_menu_has_the_domains_of_the_weights_and_says_what_they_lack(system):
    answer = last(handlers.prepare(system, "plain", "dog"))
    assert answer["domain"] == {
        "choices": ["human", "cat", "robot"], "value": "cat", "__type__": "update",
    }  # fmt: skip
    assert answer["missing"] == ""
    answer = last(handlers.prepare(system, "masked", "robot"))
    assert answer["domain"]["value"] == "robot" and escape(NO_LANDMARKS) in answer["missing"]
    assert handlers.first_domain(["human", "cat"]) == "cat"  # the first picture is a human's
    assert handlers.first_domain(["one"]) == "one" and handlers.first_domain([]) is None


def test_each_domain_has_its_picture_in_the_menu(system, given, pipeline):
    rules = last(handlers.picture_domains(system, "plain", given.wide, None))["domain_pictures"]
    places = re.findall(r"nth-of-type\((\d)\)::before {[^}]*base64,([^)]+)\)", rules)
    assert [place for place, _ in places] == ["1", "2", "3"]
    wide = images.read_picture(given.wide)
    for domain, (_, data) in zip(pipeline.domains, places, strict=True):
        usual = results.data_url(pipeline.translate(wide, domain, strength=0), handlers.TILE)
        usual = images.read_picture(base64.b64decode(usual.partition(",")[2]))
        shown = images.read_picture(base64.b64decode(data))
        assert abs(shown.astype(int) - usual).mean() < 1


def test_a_reference_of_another_domain_is_used_and_said(system, given, tmp_path):
    robot = subject.of_file(str(faces_given.FACES / "face-6.jpg"), "Pink robot")
    answer = show(system, given.wide, "cat", robot)
    assert "compared" in answer and "Pink robot is of the domain robot" in answer["style_notice"]
    for domain, first, share in (("robot", robot, 0), ("cat", ONE, 0), ("cat", robot, 100)):
        assert show(system, given.wide, domain, first, share=share)["style_notice"] == ""
    unknown = str(tmp_path / "unknown.png")
    for settings in ({"domain": ["cat"]}, {}):
        wide = images.read_picture(given.wide)
        images.save_picture(unknown, wide, weights="x", settings=settings)
        subject.domain_of.cache_clear()
        assert show(system, given.wide, "cat", subject.of_file(unknown))["style_notice"] == ""


def references(system, *paths):
    return last(handlers.read_references(system, "plain", list(paths), visitor()))


def test_references_are_kept_where_they_can_be_read(system, given):
    answer = references(system, given.other, given.broken, given.wide)
    assert [style["file"] for style in answer["given"]] == [given.other, given.wide]
    assert answer["first"] == answer["given"][-1] and answer["first_seed"] is None
    assert "broken.png" in answer["reference_notice"] and answer["references"]["visible"]
    assert answer["through"]["visible"] and "all 2" in answer["through"]["label"]
    assert not references(system, given.wide)["through"]["visible"]
    answer = references(system, given.broken)
    assert "error" in answer["reference_notice"] and "first" not in answer
    assert texts.TOO_MANY.format(most=12, count=13) in references(
        system, *[given.wide] * 13
    )["reference_notice"]  # fmt: skip
    event = SimpleNamespace(index=1, value={"caption": "seed 6"})
    assert handlers.pick_reference([ONE, TWO], event)["first"] == TWO
    assert seeds.pick(event) == {
        "first": of_seed(6), "first_seed": 6, "share": 0,
    }  # fmt: skip


def test_variations_are_the_seeds_that_are_said(system, given, pipeline):
    made = handlers.vary(system, "plain", given.wide, None, "cat", 100, [3, 4], visitor())
    for answer in made:
        files = answer["variations"]
        assert [name for _, name in files] == ["seed 3", "seed 4"]
        wide = images.read_picture(given.wide)
        expected = results.enlarge(pipeline.translate(wide, "cat", seed=4), handlers.THUMB)
        assert abs(images.read_picture(files[1][0]).astype(int) - expected).mean() < 4


@pytest.mark.parametrize("beside", [False, True])
def test_a_download_is_the_whole_picture_with_its_settings(system, given, beside):
    asked = system, "plain", given.wide, None, "cat", ONE, TWO, 0, 100, "picture", beside
    for answer in handlers.save(*asked, visitor()):
        picture = images.read_picture(answer["picture_file"])
        assert picture.shape == (60, 180 if beside else 90, 3)
        kept = images.read_settings(answer["picture_file"])
        assert kept["weights"] == "plain" and kept["settings"]["domain"] == "cat"


def make_clip(system, path, second=TWO, seconds=1.0, view="face", given=(), through=True,
              back=True, beside=False):  # fmt: skip
    styles = ONE, second, list(given), through, beside
    asked = system, "plain", path, None, "cat", *styles, 100, view, seconds, 6, back
    return clips.make_clip(*asked, visitor())


def test_a_clip_goes_from_style_to_style(system, given):
    seen = []
    for answer in make_clip(system, given.wide, view="picture"):
        if "clip" in answer:
            clip = video.open_clip(answer["clip"])
            seen = list(clip.frames())
            assert (len(seen), clip.fps) == (6, 6) and "back: True" in answer["text"]
    apart = [abs(frame.astype(int) - seen[0]).mean() for frame in seen]
    assert apart[3] == max(apart) and seen[0].shape[0] >= clips.SMALLEST


def test_a_clip_goes_through_the_references_in_turn(system, given, pipeline):
    stops = [subject.of_file(given.other), of_seed(7), subject.of_file(given.wide)]
    wide, seen = images.read_picture(given.wide), {}
    for through in (True, False):
        for answer in make_clip(system, given.wide, given=stops, through=through, back=False):
            if "clip" in answer:
                seen[through] = [*video.open_clip(answer["clip"]).frames()], answer["text"]
    told = "styles: style of other.png, seed 7, style of wide.png\n"
    assert told in seen[True][1] and "styles: seed 1, seed 2\n" in seen[False][1]

    def far(frame, **style):
        made = results.enlarge(pipeline.translate(wide, "cat", **style), clips.SMALLEST)
        return abs(frame.astype(int) - made).mean()

    frames, ends = seen[True][0], [images.read_picture(path) for path in (given.other, given.wide)]
    first, last_one = (far(frames[0], reference=one) for one in ends)
    assert first < last_one / 2 and far(frames[-1], reference=ends[1]) < last_one / 2
    middle = [far(frame, seed=7) for frame in frames]
    assert min(middle[2:4]) == min(middle) < middle[0] / 2


@pytest.mark.parametrize("view", ["face", "picture"])
def test_references_slide_past_on_the_left_of_a_clip(system, given, view):
    """From the one to the other and back: each is whole where its style is, and half between."""
    stops = [subject.of_file(given.other), subject.of_file(given.wide)]
    for answer in make_clip(system, given.wide, view=view, given=stops, beside=True, seconds=2 / 3):
        if "clip" in answer:
            frames = list(video.open_clip(answer["clip"]).frames())
    side = len(frames[0])
    other, wide = clips.references(system, "plain", stops, side)
    half = np.vstack([other[side // 2 :], wide[: side // 2]])
    back = np.vstack([wide[side // 2 :], other[: side // 2]])
    assert len(frames) == 4 and frames[0].shape[1] == side * (2 if view == "face" else 2.5)
    for frame, reference in zip(frames, (other, half, wide, back), strict=True):
        apart = [abs(frame[:, :side].astype(int) - one).mean() for one in (reference, half)]
        assert apart[0] < 6 and (reference is half or apart[1] > 15), apart


@pytest.mark.parametrize(
    "wrong, said",
    [({"path": None}, words.NO_PICTURE), ({"seconds": 99}, words.BAD_LENGTH),
     ({"second": ONE}, texts.SAME)],
)  # fmt: skip
def test_no_clip_without_what_it_needs(system, given, wrong, said):
    answer = last(make_clip(system, **{"path": given.wide} | wrong))
    assert said in answer["clip_notice"] and answer["run"]["interactive"]


def test_a_grid_of_pictures_by_references_and_by_seeds(system, given, pipeline):
    cell = 128 + 2

    def grid(more, files):
        asked = system, "plain", given.wide, None, more, "cat", files, [3, 4, 5], 100
        for answer in clips.make_grid(*asked, visitor()):
            if "grid" in answer:
                assert answer["grid_caption"] == texts.GRID_DONE.format(
                    count=1 + len(more), styles=len(files) or 3
                )
                return images.read_picture(answer["grid"])

    other = subject.of_file(given.other)
    by_reference = grid([given.other], [other])
    assert by_reference.shape[0] // 128 == 2 and by_reference.shape[1] // 128 == 3
    made = pipeline.translate(
        images.read_picture(given.other), "cat", reference=images.read_picture(given.other)
    )
    right = by_reference[-128:, -128:] if by_reference.shape[1] == 3 * cell - 2 else None
    assert right is not None and abs(right.astype(int) - images.resize(made, 128)).max() <= 1
    by_seed = grid([], [])
    assert by_seed.shape[0] // 128 == 4 and by_seed.shape[1] == 128
    made = clips.sheet(system, "plain", [(given.wide, BOX)], [ONE, TWO], [made])
    assert (made[-128:] == 255).all()  # what Stop left unmade


def test_a_grid_says_what_it_leaves_out_and_what_stop_left(system, given):
    many = [given.other] * handlers.MOST
    asked = system, "plain", given.wide, None, many, "cat", [], [3], 100
    answer = last(clips.make_grid(*asked, visitor()))
    said = texts.TOO_MANY.format(most=handlers.MOST, count=handlers.MOST + 1)
    assert said in answer["grid_notice"]
    assert f"{handlers.MOST}" in answer["grid_caption"]
    visit = visitor("early")
    kit.begin(system, visit)
    kit.stop(system, visit)
    answer = last(clips.make_grid(*asked, visit))
    assert words.STOPPED_EARLY in answer["grid_notice"] and "grid" not in answer
    assert answer["run"]["interactive"] and set(answer) <= set(clips.make_grid.names)


def test_a_reference_is_looked_for_once(system, given, monkeypatch):
    def mixed():
        ends = ONE, subject.of_file(given.wide)
        return subject.mixed(system, "plain", "cat", *ends, 50, 100)

    before = mixed()
    monkeypatch.setattr(type(system), "frame", None)
    assert (mixed() == before).all()


def test_the_example_is_made_by_the_handlers(system, tmp_path, monkeypatch):
    monkeypatch.setattr(styles, "EXAMPLES", tmp_path)
    assert results.stored_example(tmp_path, "plain") == {}
    examples.make_styles(system.settings, "plain")
    small = {f"seed-{seed}.jpg" for seed in seeds.FIRST_SHOWN}
    assert {file.name for file in tmp_path.iterdir()} == {
        "example.json", "clip.mp4", "result.png", *small,
    }  # fmt: skip
    with examples.gr.Blocks() as page:
        tab = styles.build(page, system.settings)
    shown = tab.compared.value
    after = images.read_picture(base64.b64decode(shown["after"].partition(",")[2]))
    assert abs(after.astype(int) - images.read_picture(tmp_path / "result.png")).mean() < 2
    assert "An example made earlier with plain. Animate" in tab.clip_caption.value
    assert "face-1.jpg as cat, seed 1." in tab.caption.value and "domain: cat" in tab.text.value
    assert tab.clip.value and len(tab.variations.value) == 4
    assert tab.domain_pictures.value.count("nth-of-type") == 3
    assert tab.stage.selected == "clip" and tab.domain.value == "cat"


def test_the_tab_stands_on_the_page_without_weights_too(monkeypatch):
    monkeypatch.setattr(names, "known_weights", lambda system: [])
    assert f"'{texts.NAME}'" in str(app.build(jobs.Settings()).config)
