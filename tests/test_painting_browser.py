"""The painting tool in a real browser: what is painted there, pixel by pixel, reaches Python."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_models import images
from gan_models.spade.labels import LABELS
from gan_models.spade.segmenting import map_of_picture
from tabs import painting
from tabs.kit import jobs
from tabs.kit import texts as words
from tests import tiny_spade
from tests.served import in_browser
from tests.test_browser import browser  # noqa: F401 - a fixture
from trainers.puppets import draw, random_parameters

CLASSES = LABELS["puppets"].names
HAIR, IRIS, EXTRA = (CLASSES.index(name) for name in ("hair", "iris", "extra"))
# The ids that the canvas shows, by their colours; and whether the picture has changed since.
IDS = """(colours) => {
  const canvas = document.querySelector('.paint-map');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const known = new Map(colours.map((colour, id) => [colour.join(), id]));
  return Array.from({length: data.length / 4}, (_, at) =>
    known.get([...data.subarray(4 * at, 4 * at + 3)].join()));
}"""
PICTURE = "() => document.querySelector('.paint-result').toDataURL()"
SAME = "(old) => document.querySelector('.paint-result').toDataURL() === old"
OTHER = "(old) => document.querySelector('.paint-result').toDataURL() !== old"


@pytest.fixture
def page(browser, tmp_path, monkeypatch):  # noqa: F811
    """This tab beside another one, and what Python was given to paint: a list of (ids, style)."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "page"))
    weights = (("painter", str(tiny_spade.save_spade(tmp_path / "weights"))),)
    settings, painted = jobs.Settings(device="cpu", weights=weights), []
    pipeline = painting.system(settings).open("painter")
    paint = pipeline.paint

    def watched(label_map, style):
        painted.append((np.array(label_map), np.array(style)))
        return paint(label_map, style)

    monkeypatch.setattr(pipeline, "paint", watched)
    with in_browser(browser, painting, settings) as opened:
        opened.get_by_text("painted in").wait_for()
        yield SimpleNamespace(page=opened, painted=painted)


def ids_of(page):
    colours = LABELS["puppets"].colours.tolist()
    return np.array(page.evaluate(IDS, colours), np.uint8).reshape(64, 64)


def test_a_stroke_a_fill_undo_styles_files_and_what_was_before(page, tmp_path):
    page, painted = page.page, page.painted
    box = page.locator(".paint-map").bounding_box()

    def drag(*places):
        at = [(box["x"] + (x + 0.5) * box["width"] / 64, box["y"] + (y + 0.5) * box["height"] / 64)
              for x, y in places]  # fmt: skip
        page.mouse.move(*at[0])
        page.mouse.down()
        for place in at[1:]:
            page.mouse.move(*place, steps=6)
        page.mouse.up()

    def until(true):
        for _ in range(200):
            if true():
                return
            page.wait_for_timeout(50)
        raise AssertionError("it was waited for in vain")

    def reaches_python(seen):
        """The picture changes, and what the canvas shows is painted, id by id."""
        page.wait_for_function(OTHER, arg=seen)
        ids = ids_of(page)
        until(lambda: any((one == ids).all() for one, _ in painted[-8:]))
        return ids

    def choose(name):
        page.locator(".paint-classes button", has_text=name).click()

    first, seen = ids_of(page), page.evaluate(PICTURE)
    assert (first == painted[0][0]).all()
    assert page.locator(".paint-classes [aria-pressed=true]").inner_text() == "hair"

    # A stroke of the brush, of the class that a search finds.
    page.get_by_label(painting.texts.CANVAS_WORDS["search"]).fill("EXT")
    assert page.locator(".paint-classes button").all_inner_texts() == ["extra"]
    page.get_by_label(painting.texts.CANVAS_WORDS["search"]).press("Enter")
    drag((5, 60), (30, 60), (58, 60))
    stroke = reaches_python(seen)
    assert (stroke[60, 5:59] == EXTRA).all() and (stroke[:50] == first[:50]).all()
    assert 100 < (stroke != first).sum() < 64 * 6
    page.get_by_label(painting.texts.CANVAS_WORDS["search"]).fill("")

    # A fill of the background, by the key; it ends where another class begins.
    seen = page.evaluate(PICTURE)
    choose("iris")
    page.locator(".paint-map").press("f")
    drag((1, 1))
    filled = reaches_python(seen)
    assert filled[0, 0] == IRIS and (filled[stroke != 0] == stroke[stroke != 0]).all()
    assert (filled == IRIS).sum() > 500

    # A rectangle follows the drag, and is as it ends.
    seen = page.evaluate(PICTURE)
    choose("hair")
    page.get_by_role("button", name="Rectangle").click()
    drag((50, 10), (10, 40), (40, 20))
    drawn = reaches_python(seen)
    assert (drawn[10:21, 40:51] == HAIR).all() and ((drawn != filled).sum() <= 11 * 11)

    # Undo three times, redo once.
    for step in range(3):
        seen = page.evaluate(PICTURE)
        if step:
            page.keyboard.press("Control+z")
        else:
            page.get_by_role("button", name="Undo").click()
        now = reaches_python(seen)
        assert (now == (filled, stroke, first)[step]).all()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Redo").click()
    page.wait_for_function(SAME, arg=seen)  # the stroke's own picture, as before
    assert (ids_of(page) == stroke).all()

    # Another style is another picture of the same map.
    page.get_by_role("button", name=words.NEW).first.click()
    page.wait_for_function(OTHER, arg=seen)
    assert (ids_of(page) == stroke).all()

    # The map goes out as it is.
    with page.expect_download() as download:
        page.get_by_role("button", name=painting.texts.GET_MAP).click()
    assert (np.asarray(Image.open(download.value.path())) == stroke).all()

    # A click on an example, which undo takes back.
    seen = page.evaluate(PICTURE)
    page.locator(".picks:visible button").nth(3).click()
    page.wait_for_function(OTHER, arg=seen)
    assert (ids_of(page) != stroke).any()
    page.get_by_role("button", name="Undo").click()
    assert (ids_of(page) == stroke).all()

    # A picture becomes a map, and lies before its painting under the slider.
    puppet = draw(random_parameters(3), 64).picture
    expected, _ = map_of_picture(puppet, LABELS["puppets"], (64, 64))
    Image.fromarray(puppet).save(tmp_path / "puppet.png")
    page.get_by_role("button", name=painting.texts.PICTURE).click()
    page.locator("#painting-source input[type=file]").set_input_files(tmp_path / "puppet.png")
    until(lambda: (ids_of(page) == expected).all() and (painted[-1][0] == expected).all())
    page.get_by_label(painting.texts.CANVAS_WORDS["compare"]).press("End")

    def off():
        shown = images.read_picture(base64.b64decode(page.evaluate(PICTURE).partition(",")[2]))
        return np.abs(images.resize(shown, 64).astype(int) - puppet).mean()

    until(lambda: off() < 8)
    page.get_by_label(painting.texts.CANVAS_WORDS["compare"]).press("Home")
    assert off() > 20
