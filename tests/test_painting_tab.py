"""The tab "Semantic painting": its handlers as functions, and what a browser may send them."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_models import images
from gan_models.errors import UserError
from gan_models.spade import segmenting
from gan_models.spade.labels import LABELS, read_map
from tabs import painting
from tabs.kit import jobs, seeds
from tabs.kit import texts as words
from tabs.kit.seeds import of_seed
from tabs.painting import canvas, handlers, maps, styles, texts
from tests import tiny_spade
from trainers.puppets import draw, random_parameters

VISITOR = SimpleNamespace(session_hash="a painter")
FIRST, SECOND = of_seed(1), of_seed(2)
PUPPETS = LABELS["puppets"]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Weights "painter" with styles, "plain" without, "stuff" of 182 classes and their edges."""
    root = tmp_path_factory.mktemp("weights")
    given = {
        "painter": tiny_spade.save_spade(root / "painter"),
        "plain": tiny_spade.save_spade(root / "plain", latent_size=0, size=[64, 128]),
        "stuff": tiny_spade.save_spade(root / "stuff", kind="coco", latent_size=4),
    }
    weights = tuple((name, str(folder)) for name, folder in given.items())
    return painting.system(jobs.Settings(device="cpu", weights=weights))


def last(answers):
    return list(answers)[-1]


def open_canvas(system, weights="painter", value=None, styles_given=(FIRST, SECOND), share=0):
    return last(handlers.prepare(system, weights, value, *styles_given, share, VISITOR))


def came_back(value, ids=None):
    """The canvas's value as the browser sends it, with `ids` painted on it."""
    text = value["map"] if ids is None else maps.encoded(ids)
    return {key: value[key] for key in ("ticket", "width", "height", "labels")} | {"ids": text}


@pytest.fixture
def value(system):
    return open_canvas(system)["canvas"]


def picture_of(system, value, **changes):
    return canvas.paint(system, {"ticket": value["ticket"], "ids": value["map"]} | changes)


def pixels(answer):
    assert "error" not in answer, answer
    return images.read_picture(base64.b64decode(answer["picture"].partition(",")[2]))


def test_the_page_opens_on_a_face_and_names_all_classes(system, value):
    assert (value["width"], value["height"]) == (64, 64)
    assert value["names"] == list(PUPPETS.names) and value["colours"][0] == "#e8ecf2"
    ids = maps.decoded(value["map"], (64, 64), PUPPETS.classes)
    assert len(np.unique(ids)) > 8
    assert pixels(picture_of(system, value)).shape == (512, 512, 3)


def test_the_exact_ids_are_painted(system, value):
    pipeline = system.open("painter")
    ids = np.random.default_rng(0).integers(0, PUPPETS.classes, (64, 64)).astype(np.uint8)
    seen = {}

    class Watching:
        size, labels, latent_size = pipeline.size, pipeline.labels, pipeline.latent_size
        style, mix = pipeline.style, pipeline.mix

        def paint(self, label_map, style):
            seen.update(ids=label_map, style=style)
            return pipeline.paint(label_map, style)

    watching = SimpleNamespace(open=lambda weights: Watching())
    shown = picture_of(watching, value, ids=maps.encoded(ids))
    assert (seen["ids"] == ids).all() and (seen["style"] == pipeline.style(1)).all()
    assert (pixels(shown) != pixels(picture_of(system, value))).any()


WRONG = {
    "short": (maps.encoded(np.zeros((64, 63), np.uint8)), texts.BAD_IDS),
    "nearly": (maps.encoded(np.zeros(64 * 64 + 1, np.uint8)), texts.BAD_IDS),
    "long": ("A" * 10**6, texts.BAD_IDS),
    "not base64": ("!" * 5464, texts.BAD_IDS),
    "not ascii": ("é" * 5464, texts.BAD_IDS),
    "a number": (7, texts.BAD_IDS),
    "none": (None, texts.BAD_IDS),
    "a list": ([0] * 4096, texts.BAD_IDS),
    "classes": (maps.encoded(np.full((64, 64), PUPPETS.classes, np.uint8)), texts.BAD_CLASSES),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_map_gets_a_sentence(system, value, wrong):
    sent, sentence = WRONG[wrong]
    assert picture_of(system, value, ids=sent) == {"error": sentence}
    back = came_back(value) | {"ids": sent}
    answer = last(handlers.save_map(system, "painter", back, VISITOR))
    assert sentence in answer["file_notice"] and "map_out" not in answer


@pytest.mark.parametrize("ticket", ["", None, "../../etc/passwd", "0" * 20 + "/painting-live.json"])
def test_no_picture_without_a_ticket(system, value, ticket):
    assert picture_of(system, value, ticket=ticket) == {"error": words.VISIT_OVER}


def test_a_map_goes_out_and_comes_in_unchanged(system, value, tmp_path):
    ids = np.random.default_rng(1).integers(0, PUPPETS.classes, (64, 64)).astype(np.uint8)
    back = came_back(value, ids)
    for answer in handlers.save_map(system, "painter", back, VISITOR):
        content = open(answer["map_out"], "rb").read()
    image = Image.open(io.BytesIO(content))
    assert image.mode == "P" and (np.asarray(image) == ids).all()
    (tmp_path / "map.png").write_bytes(content)
    given = system, "painter", str(tmp_path / "map.png"), "auto", FIRST, SECOND, 0
    answer = last(handlers.load_map(*given, VISITOR))
    assert answer["give_notice"] == "" and answer["canvas"]["map"] == maps.encoded(ids)


def test_a_scaled_map_is_told_and_a_photograph_refused(system, tmp_path):
    Image.fromarray(np.zeros((32, 64), np.uint8)).save(tmp_path / "small.png")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    told, refused = (
        last(handlers.load_map(system, "painter", str(tmp_path / name), "auto", FIRST, SECOND, 0))
        for name in ("small.png", "photo.png")
    )
    assert "64 x 32 pixels" in told["give_notice"] and "map" in told["canvas"]
    assert "not a label map" in refused["give_notice"] and "canvas" not in refused


ASKED = FIRST, SECOND, 0, VISITOR


def test_a_picture_of_a_puppet_becomes_a_map_beside_it(system, tmp_path):
    drawing = draw(random_parameters(3), 64)
    Image.fromarray(drawing.picture).save(tmp_path / "puppet.png")
    answer = last(handlers.read_puppet(system, "painter", str(tmp_path / "puppet.png"), *ASKED))
    found = maps.decoded(answer["canvas"]["map"], (64, 64), PUPPETS.classes)
    assert (found == drawing.label_map).mean() > 0.9
    shown = images.read_picture(base64.b64decode(answer["canvas"]["before"].partition(",")[2]))
    assert np.abs(images.resize(shown, 64).astype(int) - drawing.picture).mean() < 8
    assert last(handlers.read_puppet(system, "painter", None, *ASKED)) == {"give_notice": ""}


def test_a_photograph_becomes_a_map_by_the_segmenter_that_is_named(system, tmp_path, monkeypatch):
    offered = open_canvas(system, "stuff")
    assert offered["segmenter_box"]["visible"] and not offered["source_help"]["visible"]
    assert "facebook/mask2former-swin-tiny-coco-panoptic" in offered["segmenter"]["info"]
    assert open_canvas(system, "painter")["segmenter_box"]["visible"] is False
    photograph, opened = str(tmp_path / "photograph.png"), []
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(photograph)

    def segmenter(name, device):
        opened.append(name)
        whole = Image.fromarray(np.full((40, 40), 255, np.uint8))
        return lambda image, subtask: [{"label": "sky-other-merged", "mask": whole}]

    monkeypatch.setattr(segmenting, "opened", segmenter)
    assert list(handlers.read_puppet(system, "stuff", photograph, *ASKED)) == [{"give_notice": ""}]
    read = [
        last(handlers.read_photograph(system, "stuff", *given, *ASKED))
        for given in [(None, "org/name"), (photograph, "assets/weights"), (photograph, "org/name")]
    ]
    assert opened == ["org/name"] * 2  # once in the job, once from the cache
    assert texts.NO_PICTURE in read[0]["give_notice"]
    assert words.BAD_REPOSITORY in read[1]["give_notice"]
    found = maps.decoded(read[2]["canvas"]["map"], (64, 64), 183)
    assert (found == LABELS["coco"].names.index("sky-other")).all()


def test_a_random_map_has_areas_of_several_classes(system):
    first, second = (last(handlers.noise(system, "stuff", *ASKED))["canvas"] for _ in range(2))
    found = maps.decoded(first["map"], (64, 64), 183)
    assert first["map"] != second["map"] and 3 <= len(np.unique(found)) <= maps.NOISE_CLASSES
    assert (found[1:] != found[:-1]).mean() < 0.15  # areas, not dots


def test_every_example_is_a_map_of_the_puppets(system):
    assert len(maps.example_files()) == len(texts.NAMES)
    for number, file in enumerate(maps.example_files()):
        label_map, notices = read_map(file, PUPPETS)
        assert len(np.unique(label_map)) > 8 and notices == []
        event = SimpleNamespace(index=number)
        answer = last(handlers.pick(system, "painter", FIRST, SECOND, 0, event, VISITOR))
        assert answer["give_notice"] == "" or "scaled" not in answer["give_notice"]
        assert answer["canvas"]["map"]


def test_other_weights_keep_the_painting_where_its_classes_mean_the_same(system, value):
    ids = np.zeros((64, 64), np.uint8)
    ids[:, 32:] = 5
    wide = open_canvas(system, "plain", came_back(value, ids))
    kept = maps.decoded(wide["canvas"]["map"], (64, 128), PUPPETS.classes)
    assert (kept[:, :64] == 0).all() and (kept[:, 64:] == 5).all()
    assert wide["style_box"]["visible"] is False and texts.NO_STYLES in wide["styles_notice"]
    stuff = open_canvas(system, "stuff", came_back(value, ids))
    assert len(stuff["canvas"]["names"]) == 183 and stuff["picks"]["visible"] is False
    started = maps.decoded(stuff["canvas"]["map"], (64, 64), 183)
    named = [LABELS["coco"].names[id] for id in (started[0, 0], started[-1, 0])]
    assert named == ["sky-other", "grass"]
    huge = came_back(value) | {"width": 10**9, "height": 10**9}
    assert open_canvas(system, "painter", huge)["canvas"]["width"] == 64


def test_a_style_of_a_picture_and_its_mix(system, value, tmp_path):
    red = np.full((40, 40, 3), (220, 20, 20), np.uint8)
    images.save_picture(tmp_path / "red.png", red, weights="none", settings={})
    taken = last(handlers.take_style(system, "painter", str(tmp_path / "red.png")))
    assert taken["first"]["name"] == "style of red.png" and taken["first_seed"] is None
    pipeline = system.open("painter")
    numbers = styles.mixed(pipeline, taken["first"], SECOND, 0)
    assert numbers == pytest.approx(pipeline.style_of(red), abs=1e-4)
    ends = [styles.mixed(pipeline, taken["first"], SECOND, share) for share in (0, 50, 100)]
    assert ends[2] == pytest.approx(pipeline.style(2), abs=1e-5)
    assert ends[1] == pytest.approx(pipeline.mix(numbers, pipeline.style(2), 0.5))
    made = last(handlers.restyle(system, "painter", taken["first"], SECOND, 30, VISITOR))
    assert "style of red.png to seed 2, 30 %" in made["text"]
    assert made["canvas"]["look"] != value["look"] and "map" not in made["canvas"]
    other = last(handlers.take_style(system, "plain", str(tmp_path / "red.png")))
    assert "no encoder" in other["style_picture_notice"]
    # Weights with shorter styles begin with a seed again.
    assert open_canvas(system, "stuff", None, (taken["first"], SECOND))["first"] == FIRST


def test_another_style_is_another_picture(system, value):
    before = pixels(picture_of(system, value))
    handlers.restyle(system, "painter", SECOND, FIRST, 0, VISITOR).__next__()
    assert (pixels(picture_of(system, value)) != before).any()


def test_four_variations_and_a_click_takes_one(system, value):
    some = seeds.FIRST_SHOWN
    for answer in handlers.vary(system, "painter", came_back(value), some, VISITOR):
        shown = [images.read_picture(file) for file, _ in answer["variations"]]
        assert [name for _, name in answer["variations"]] == [f"seed {seed}" for seed in some]
    assert len({one.tobytes() for one in shown}) == 4
    taken = seeds.pick(SimpleNamespace(index=2, value={"caption": f"seed {some[2]}"}))
    assert taken["first"] == of_seed(some[2]) and taken["share"] == 0
    assert seeds.next_seeds(some)["seeds"] == [15, 16, 17, 18]
    assert list(handlers.vary(system, "plain", None, some, VISITOR)) == []


def test_the_picture_is_downloaded_with_its_settings(system, value):
    for enlarged, side in ((True, 512), (False, 64)):
        given = system, "painter", came_back(value), FIRST, SECOND, 0, enlarged
        for answer in handlers.save_picture(*given, VISITOR):
            settings = images.read_settings(answer["picture_file"])
            assert images.read_picture(answer["picture_file"]).shape == (side, side, 3)
    assert settings["settings"]["style"] == "seed 1" and settings["weights"] == "painter"


@pytest.mark.parametrize("seed", [-1, 1.5, 2**32, "x", float("nan")])
def test_wrong_seeds_and_mixes_get_a_sentence(system, seed):
    with pytest.raises(UserError, match="whole number"):
        of_seed(seed)
    answer = last(handlers.restyle(system, "painter", FIRST, SECOND, 101, VISITOR))
    assert words.BAD_SHARE in answer["style_notice"]


def test_a_swap_and_a_rolled_seed():
    assert seeds.swap(FIRST, SECOND)["first"] == SECOND
    assert seeds.new_seed()["seed"] >= 1000
    assert last(seeds.set_seed(5)) == {"notice": "", "style": of_seed(5)}
    assert last(seeds.set_seed(None)) == {"notice": ""}


def test_without_weights_a_sentence_says_so(system):
    answer = last(handlers.prepare(system, None, None, FIRST, SECOND, 0))
    assert "no weights yet" in answer["canvas_notice"] and "canvas" not in answer
